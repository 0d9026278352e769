"""What becomes the container: namespaces, its root, its first process (as `--init`), the command.

Started by the monitor, behind the gate's command where there is one. On a pipe of the monitor's one JSON line says
what came of it: `{"pid": N}` or `{"error": text, "code": 125 | 126 | 127}`.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from sm.sandbox.vm.container import kernel, rootfs
from sm.sandbox.vm.container.store import Engine, Record, Store, process_start

_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def main(folder: Path, container_id: str, report: int) -> int:
    """Run one container to its end and answer its exit code. The parent of the first process stays outside."""
    engine, store = Engine.load(folder), Store(folder)
    record = store.record(container_id)
    os.set_inheritable(report, False)
    try:
        _leave_namespaces(engine, record)
    except OSError as error:
        return _report(report, {"error": f"namespaces: {error}", "code": 125})
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(ready_read)
        os.close(report)
        os.close(go_write)
        os.read(go_read, 1)
        os.close(go_read)
        _exit_with(lambda: _first_process(engine, record, store.path(record.id), ready_write, parent))
    began = process_start(child)  # before it goes on: its change of root will be this process's too
    os.close(go_read)
    os.close(go_write)
    os.close(ready_write)
    _let_go_of_streams()
    with os.fdopen(ready_read, "rb") as pipe:
        said = pipe.read()
    _report(report, json.loads(said) if said else {"pid": child, "start": began})
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return _wait(child)


def probe() -> list[str]:
    """Which of `mounts`, `pids`, `nets` the kernel allows here; each is tried by a process of its own."""
    allowed: list[str] = []
    for what, flag in (
        ("mounts", kernel.CLONE_NEWNS),
        ("pids", kernel.CLONE_NEWPID),
        ("nets", kernel.CLONE_NEWNET),
    ):
        child = os.fork()
        if child == 0:
            _exit_with(lambda what=what, flag=flag: _try(what, flag))
        if _wait(child) == 0:
            allowed.append(what)
    return allowed


def _try(what: str, flag: int) -> int:
    try:
        if os.getuid() == 0:
            kernel.unshare(flag)
        else:
            kernel.enter_user_namespace(flag)
        if what == "mounts":
            kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
            kernel.mount("tmpfs", "/mnt", "tmpfs")
            kernel.bind("/usr", "/mnt", read_only=True)
    except OSError:
        return 1
    return 0


def _leave_namespaces(engine: Engine, record: Record) -> None:
    flags = (kernel.CLONE_NEWNS if engine.mounts else 0) | (kernel.CLONE_NEWPID if engine.pids else 0)
    if record.network == "none" and engine.nets:
        flags |= kernel.CLONE_NEWNET
    if flags == 0:
        return
    if os.getuid() == 0:
        kernel.unshare(flags)
    else:
        kernel.enter_user_namespace(flags)
    if flags & kernel.CLONE_NEWNET:
        kernel.raise_loopback()
        for (
            text
        ) in record.sysctls:  # those of a network that the container does not have to itself stay as they are
            kernel.set_network(text)


def _first_process(engine: Engine, record: Record, folder: Path, ready: int, parent: int) -> int:
    """Process 1 of the container: prepares it, and becomes the command.

    With `--init`, and where there is no process namespace, it stays: passes signals on, reaps, ends with the command.
    """
    if engine.pids:
        kernel.die_with_parent(signal.SIGKILL)
    else:
        kernel.adopt_orphans()
    try:
        if not engine.pids and os.getppid() != parent:
            return 125
        environment = dict(record.environment)
        argv, workdir = list(record.argv), record.workdir or "/"
        if engine.mounts:
            root = folder / "root"
            root.mkdir(exist_ok=True)
            rootfs.enter(engine, record, root)
            if not Path(workdir).is_dir():
                os.write(ready, json.dumps({"error": f"no {workdir}", "code": 126, "workdir": True}).encode())
                return 126
        else:
            argv, workdir, environment = substitute(record)
        os.chdir(workdir)
        _restrict(record)
    except (OSError, ValueError) as error:
        os.write(
            ready,
            json.dumps({"error": str(error), "code": 126 if isinstance(error, OSError) else 125}).encode(),
        )
        return 125
    if engine.pids and not record.init:
        return _command(argv, environment, ready)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _exit_with(lambda: _command(argv, environment, write))
    os.close(write)
    for number in _FORWARDED:
        signal.signal(number, lambda received, _frame: _pass_on(child, received))
    with os.fdopen(read, "rb") as pipe:
        failed = pipe.read()
    if failed:
        os.write(ready, failed)
    os.close(ready)
    _let_go_of_streams()
    return _wait(child)


def _command(argv: list[str], environment: dict[str, str], failed: int) -> int:
    if os.getpid() != 1:
        os.setsid()
    for number in (*_FORWARDED, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    program = shutil.which(argv[0], path=environment.get("PATH", os.defpath)) or argv[0]
    try:
        os.execve(program, argv, environment)  # noqa: S606
    except OSError as error:
        code = 127 if error.errno == errno.ENOENT else 126
        os.write(failed, json.dumps({"error": error.strerror, "code": code}).encode())
        return code


def substitute(record: Record) -> tuple[list[str], str, dict[str, str]]:
    """Where nothing can be mounted: sources instead of targets in whole arguments, values and the working directory."""
    pairs = sorted(((mount.target, mount.source) for mount in record.mounts), reverse=True)

    def swap(text: str) -> str:
        for target, source in pairs:
            if text == target or text.startswith(target + "/"):
                return source + text[len(target) :]
        return text

    workdir = swap(record.workdir or "/")
    environment = {name: swap(value) for name, value in record.environment.items()}
    return [swap(word) for word in record.argv], workdir if Path(workdir).is_dir() else "/", environment


def _restrict(record: Record) -> None:
    for limit in record.ulimits:
        name, _, value = limit.partition("=")
        number = getattr(resource, f"RLIMIT_{name.upper()}", None)
        if number is None or name == "nproc":
            continue  # nproc counts the whole user's processes: on a person's machine it would stop everything
        hard = resource.getrlimit(number)[1]
        wanted = int(value.partition(":")[0])
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(number, (soft, soft))
    user, _, group = record.user.partition(":")
    if user.isdecimal() and os.getuid() == 0 and int(user) != 0:
        os.setgroups([])
        os.setgid(int(group or user))
        os.setuid(int(user))
    if record.drop_caps:
        kernel.drop_capabilities()
    if record.no_new_privileges:
        kernel.allow_no_new_privileges()


def _pass_on(child: int, number: int) -> None:
    try:
        os.kill(child, number)
    except ProcessLookupError:
        return


def _let_go_of_streams() -> None:
    """Keep the command's ends of the streams the only ones, so that closing them is noticed."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)


def _wait(child: int) -> int:
    """Reap until this child ends; its exit code, 128 + the signal's number when one ended it."""
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _report(report: int, said: dict[str, object]) -> int:
    os.write(report, json.dumps(said).encode() + b"\n")
    os.close(report)
    code = said.get("code", 0)
    return code if isinstance(code, int) else 125


def _exit_with(run: Callable[[], int]) -> None:
    """End a forked process with what `run` answers, whatever happens."""
    code = 125
    try:
        code = run()
    finally:
        os._exit(code)
