"""The process that watches over one container after the client is gone (podman's is called conmon).

It starts the container, passes its output on to the client for as long as there is one, notes the end, and removes the
record of an `--rm` container. The client's death is the end of the container's input and nothing else.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path

import attrs

from sm.sandbox.vm.container.store import Engine, Record, State, Store, process_start

_CHUNK_BYTES = 1 << 16


@attrs.frozen
class Streams:
    """The monitor's ends of the pipes to the client, and the read end of the container's input."""

    stdin: int
    stdout: int
    stderr: int
    status: int


def detach(store: Store, engine: Engine, record: Record, streams: Streams, *, close: tuple[int, ...]) -> None:
    """Fork the monitor away from this process and its session. `close` are the client's ends of the pipes."""
    if (child := os.fork()) != 0:
        os.waitpid(child, 0)
        return
    code = 1
    try:
        os.setsid()
        if os.fork() == 0:
            for number in close:
                os.close(number)
            _only_keep(streams)
            code = _watch(store, engine, record, streams)
        else:
            code = 0
    finally:
        os._exit(code)


def _only_keep(streams: Streams) -> None:
    """Let go of everything that the client inherited, the standard streams above all."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    kept = {0, 1, 2, *attrs.astuple(streams)}
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number not in kept:
            try:
                os.close(number)
            except OSError:
                continue  # the listing's own
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


def _watch(store: Store, engine: Engine, record: Record, streams: Streams) -> int:
    report_read, report_write = os.pipe()
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    behind_gate = record.network not in ("none", "host")
    command = [
        sys.executable,
        "-m",
        "sm.sandbox.vm.container",
        "start",
        str(store.folder),
        record.id,
        str(report_write),
    ]
    process = subprocess.Popen(
        [*(engine.gate_prefix if behind_gate else ()), *command],
        stdin=streams.stdin, stdout=out_write, stderr=err_write, cwd="/", start_new_session=True,
        pass_fds=(report_write,),
    )  # fmt: skip
    for number in (streams.stdin, out_write, err_write, report_write):
        os.close(number)
    with os.fdopen(report_read, "rb") as pipe:
        said = json.loads(pipe.readline() or b'{"error": "the container could not be started", "code": 125}')
    if "error" in said:
        process.wait()
        code = said["code"] if record.runtime == "docker" else 0
        store.set_state(record.id, State(exit_code=code, error=said["error"]))
        _forget_if_asked(store, record)
        os.write(streams.status, json.dumps(said).encode())
        return 0
    running = State("running", 0, said["pid"], said["start"], os.getpid())
    store.set_state(record.id, running)
    _pass_output(process, [(out_read, streams.stdout), (err_read, streams.stderr)])
    code = process.wait()
    code = code if code >= 0 else 128 - code
    _end_stragglers(engine, record)
    store.set_state(record.id, State("exited", code))
    _forget_if_asked(store, record)
    os.write(streams.status, json.dumps({"exit": code}).encode())
    return 0


def _forget_if_asked(store: Store, record: Record) -> None:
    if record.remove:
        with store.locked():
            store.remove(record.id)


def _pass_output(process: subprocess.Popen[bytes], pairs: list[tuple[int, int]]) -> None:
    """Copy until the container ended and its pipes are empty; what has no taker any more is dropped."""
    selector = selectors.DefaultSelector()
    for source, target in pairs:
        os.set_blocking(source, False)
        selector.register(source, selectors.EVENT_READ, [target])
    while selector.get_map():
        ready = selector.select(0.2)
        for key, _events in ready:
            try:
                chunk = os.read(key.fd, _CHUNK_BYTES)
            except BlockingIOError:
                continue
            if not chunk:
                selector.unregister(key.fd)
            elif key.data:
                _write(key.data, chunk)
        if not ready and process.poll() is not None:
            break  # something outside the container holds the pipe
    for _source, target in pairs:
        os.close(target)


def _write(targets: list[int], chunk: bytes) -> None:
    view = memoryview(chunk)
    try:
        while view:
            view = view[os.write(targets[0], view) :]
    except BrokenPipeError:
        targets.clear()


def _end_stragglers(engine: Engine, record: Record) -> None:
    """Where a container has no process namespace of its own: kill what it left behind."""
    if not engine.pids:
        kill_marked(f"SM_SANDBOX_CONTAINER={record.id}")


def kill_marked(assignment: str) -> list[int]:
    """Kill every process whose environment was started with `NAME=VALUE`; answers their ids."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            if assignment.encode() in environment and process_start(int(entry.name)):
                os.kill(int(entry.name), signal.SIGKILL)
                found.append(int(entry.name))
        except OSError:
            continue  # ended meanwhile, or not ours to see
    return found
