"""`run`: the client's side, from the arguments to the exit code."""

from __future__ import annotations

import json
import os
import secrets
import selectors
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from sm.sandbox.vm.container import arguments, checks, monitor, wording
from sm.sandbox.vm.container.store import Engine, Record, Store

WORKDIR = "/workspace"
_CHUNK_BYTES = 1 << 16


def run(runtime: str, engine: Engine, store: Store, words: list[str]) -> int:
    """Create and start a container, stay its client, answer its exit code.

    Raises `RefusedError` when it was not started.
    """
    try:
        parsed = arguments.parse_run(words)
    except arguments.UsageError as error:
        refuse = wording.too_few if str(error) == arguments.NO_IMAGE else wording.usage
        raise refuse(runtime, "run", str(error)) from error
    checks.check(runtime, parsed)
    if (userns := parsed.last("--userns")) and (refused := wording.no_user_namespace(runtime, userns)):
        raise refused
    cidfile = parsed.last("--cidfile")
    if cidfile and Path(cidfile).exists():
        raise wording.cidfile_exists(runtime, cidfile)
    if cidfile and not Path(cidfile).parent.is_dir():
        raise wording.no_cidfile(runtime, cidfile)
    if not has_image(engine, parsed.image):
        raise wording.no_image(runtime, parsed.image)
    record = _record(runtime, engine, parsed)
    if not record.argv:
        raise wording.no_command(runtime)
    if record.network not in engine.networks:
        raise wording.no_network(runtime, record.network)
    with store.locked():
        holder = next((other for other in store.records() if other.name == record.name), None)
        if holder is not None:
            raise wording.name_in_use(runtime, record.name, holder.id)
        store.add(record)
    if cidfile:
        Path(cidfile).write_text(record.id)
    return _attend(engine, store, record)


def has_image(engine: Engine, image: str) -> bool:
    """Whether the image is there, under its short or its full local name."""
    short = image.removeprefix("localhost/")
    return (short if ":" in short else f"{short}:latest") in engine.images


def _record(runtime: str, engine: Engine, parsed: arguments.RunArguments) -> Record:
    container_id = secrets.token_hex(32)
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": _home(runtime, parsed),
        "HOSTNAME": container_id[:12],
        "TERM": "xterm",
        "container": "docker" if runtime == "docker" else "podman",
        **engine.environment,
        **arguments.environment(parsed),
        "SM_SANDBOX_CONTAINER": container_id,
    }
    local = (
        f"{environment['HOME'].rstrip('/')}/.local"  # what the agent installs; the image itself is read-only
    )
    if environment.setdefault("PIP_PREFIX", local) == local:
        environment["PATH"] = f"{local}/bin:{environment['PATH']}"
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        environment.setdefault("PYTHONPATH", f"{local}/lib/{python}/site-packages")
    entrypoint = parsed.last("--entrypoint")
    return Record(
        id=container_id,
        name=parsed.last("--name") or f"sandbox_{container_id[:8]}",
        runtime=runtime,
        image=parsed.image,
        created_s=time.time(),
        argv=(*([entrypoint] if entrypoint else []), *parsed.command),
        labels=arguments.labels(parsed),
        environment=environment,
        mounts=arguments.mounts(parsed, runtime),
        tmpfs=tuple(parsed.all("--tmpfs")),
        workdir=parsed.last("--workdir", WORKDIR),
        network=parsed.last("--network", "bridge" if runtime == "docker" else "podman"),
        user=parsed.last("--user"),
        ulimits=tuple(parsed.all("--ulimit")),
        sysctls=tuple(parsed.all("--sysctl")),
        read_only=parsed.given("--read-only"),
        interactive=parsed.given("--interactive"),
        remove=parsed.given("--rm"),
        init=parsed.given("--init"),
        drop_caps=parsed.last("--cap-drop").lower() == "all",
        no_new_privileges=any(text.startswith("no-new-privileges") for text in parsed.all("--security-opt")),
    )


def _home(runtime: str, parsed: arguments.RunArguments) -> str:
    """Root's is in the image; for the user of `keep-id` podman invents an entry whose home is the working directory."""
    if os.getuid() == 0 and parsed.last("--user", "0").partition(":")[0] == "0":
        return "/root"
    return parsed.last("--workdir", WORKDIR) if runtime == "podman" else "/"


def _attend(engine: Engine, store: Store, record: Record) -> int:
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # the client dies of it and the container does not: --sig-proxy=false
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    status_read, status_write = os.pipe()
    streams = monitor.Streams(in_read, out_write, err_write, status_write)
    monitor.detach(store, engine, record, streams, close=(in_write, out_read, err_read, status_read))
    for number in (in_read, out_write, err_write, status_write):
        os.close(number)
    if record.interactive:
        threading.Thread(target=_copy_input, args=(in_write,), daemon=True).start()
    else:
        os.close(in_write)
    _copy_output({out_read: 1, err_read: 2})
    with os.fdopen(status_read, "rb") as pipe:
        said = json.loads(pipe.read() or b'{"exit": 125}')
    if said.get("workdir"):
        raise wording.no_workdir(record.workdir, record.id)
    if "error" in said:
        raise wording.not_started(record.runtime, record.argv[0], said["error"], said["code"])
    return said["exit"]


def _copy_input(target: int) -> None:
    """Pass standard input on until its end; the container's end of it may close first."""
    try:
        while chunk := os.read(0, _CHUNK_BYTES):
            view = memoryview(chunk)
            while view:
                view = view[os.write(target, view) :]
    except OSError:
        return
    finally:
        os.close(target)


def _copy_output(pairs: dict[int, int]) -> None:
    selector = selectors.DefaultSelector()
    for source in pairs:
        selector.register(source, selectors.EVENT_READ)
    while selector.get_map():
        for key, _events in selector.select():
            chunk = os.read(key.fd, _CHUNK_BYTES)
            if not chunk:
                selector.unregister(key.fd)
                continue
            view = memoryview(chunk)
            try:
                while view:
                    view = view[os.write(pairs[key.fd], view) :]
            except BrokenPipeError:
                _die_of_sigpipe()


def _die_of_sigpipe() -> NoReturn:
    """End as a program does whose reader is gone: by the signal (the shell says 141). The container goes on."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    os._exit(141)
