"""A VM and its agent's API on loopback, a client of it, and the pump that the service starts (VM side of a session)."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from sm.sandbox.agent.api import AgentApi
from sm.sandbox.faults import Faults
from sm.sandbox.vm import home as vm_home
from sm.sandbox.vm.peer import VmPeer

PUMP = r"""
cd "$1" || exit; shift; RT=$1; shift; exec 9>alive; flock -w 5 9 || exit
bash -c 'echo $$ >pid; exec "$@"' pump $RT run -i --cidfile cid --sig-proxy=false --init "$@" \
  9>&- < <(exec tail -c +1 -F -s .2 --pid=$$ in 9>&-) 2> >(ulimit -S -f 16384; exec cat >>err 9>&-) \
  | (ulimit -S -f 262144; exec cat >>out 9>&-); st="${PIPESTATUS[*]}"
[ -s cid ] && timeout 30 $RT stop -t 5 $(cat cid) >/dev/null 2>&1 9>&-
echo "$st $(timeout 10 $RT inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}' $(cat cid || echo none) 9>&-)" >exit.part 2>/dev/null && mv exit.part exit
"""
CLAUDE = (
    "claude", "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose",
    "--replay-user-messages", "--permission-mode", "bypassPermissions",
)  # fmt: skip

_PROBE = [sys.executable, "-m", "sm.sandbox.vm.container", "probe"]
needs_mounts = pytest.mark.skipif(
    "mounts" not in subprocess.run(_PROBE, capture_output=True, text=True, check=True).stdout.split(),
    reason="the kernel allows no mount namespace here",
)


def as_user(runtime: str = "podman") -> list[str]:
    """The VM user's own uid, as each runtime has it."""
    if runtime == "podman" and os.getuid() != 0:
        return ["--userns=keep-id"]
    return ["--user", f"{os.getuid()}:{os.getgid()}"]


async def until(
    ready: Callable[[], object], what: str, timeout_s: float = 30.0, tell: Callable[[], str] = str
) -> object:
    """Wait for a condition; the last value when it is true."""
    deadline = time.monotonic() + timeout_s
    while not (value := ready()):
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s} s: {tell()}"
        await asyncio.sleep(0.02)
    return value


class Rig:
    """One VM under test."""

    def __init__(self, vm: VmPeer, api: AgentApi, faults: Faults) -> None:
        self.vm, self.api, self.faults = vm, api, faults

    async def connect(self) -> asyncssh.SSHClientConnection:
        env = self.vm.environment()
        host, port = env["SM_VM_HOST"].rsplit(":", 1)
        known = asyncssh.import_known_hosts(f"[{host}]:{port} {env['SM_VM_HOST_KEY']}\n")
        key = asyncssh.import_private_key(env["SM_VM_SSH_KEY"])
        return await asyncssh.connect(
            host, int(port), username=env["SM_VM_USER"], client_keys=[key], known_hosts=known, config=None
        )

    async def run(self, command: str, stdin: str | None = None) -> asyncssh.SSHCompletedProcess:
        """One command through a login shell."""
        async with await self.connect() as connection:
            return await connection.run(f"bash -lc {shlex.quote(command)}", input=stdin)

    def generation(self, name: str = "s1") -> Generation:
        return Generation(self, name)


class Generation:
    """One start of a container with its files, as the service makes them."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.rig = rig
        self.folder = rig.vm.layout.sessions / name / "1"
        self.name = f"claude-{name}"

    async def start(
        self,
        *options: str,
        argv: tuple[str, ...] = CLAUDE,
        runtime: str = "podman",
        limit_blocks: int = 262144,
    ) -> None:
        work, home = self.folder.parent / "workspace", self.folder.parent / "home"
        for folder in (self.folder, work, home):
            folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "in").touch()
        (self.folder / "pump").write_text(PUMP.replace("262144", str(limit_blocks)))
        words = [
            runtime, "--name", self.name, "--label", "sm.session=s1", "--log-driver", "none", "--network", "isolated",
            *as_user(runtime), "--cap-drop=all", "--security-opt=no-new-privileges", "--pull=never", "--read-only",
            "--memory", "2g", "--pids-limit", "512", "--ulimit", "nofile=4096:4096", "--tmpfs", "/tmp:rw,exec,size=64m",
            "-e", "ANTHROPIC_API_KEY", "-e", "HOME=/home/agent", "-e", "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS=1",
            "-v", f"{home}:/home/agent", "-v", f"{work}:/workspace", "-w", "/workspace", *options,
            "claude-code:latest", *argv,
        ]  # fmt: skip
        line = shlex.join(["setsid", "-f", "bash", str(self.folder / "pump"), str(self.folder), *words])
        done = await self.rig.run(f"{line} </dev/null >/dev/null 2>&1")
        assert done.exit_status == 0, done.stderr

    def write(self, line: dict[str, object]) -> None:
        with (self.folder / "in").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def say(self, text: str, number: int = 1) -> None:
        uuid = f"aaaaaaaa-0000-4000-8000-{number:012d}"
        self.write({"type": "user", "uuid": uuid, "message": {"role": "user", "content": text}})

    def out(self) -> list[dict[str, object]]:
        file = self.folder / "out"
        return [json.loads(line) for line in file.read_text().split("\n") if line] if file.exists() else []

    def texts(self) -> list[str]:
        """What the agent said at the top level."""
        return [
            block["text"]
            for line in self.out()
            if line["type"] == "assistant"
            for block in line["message"]["content"]
            if block["type"] == "text"
        ]

    def results(self) -> list[dict[str, object]]:
        return [line for line in self.out() if line["type"] == "result"]

    async def result(self, number: int = 1, timeout_s: float = 30.0) -> dict[str, object]:
        await until(lambda: len(self.results()) >= number, f"result {number}", timeout_s, self.diagnosis)
        return self.results()[number - 1]

    async def ended(self, timeout_s: float = 30.0) -> str:
        """The contents of `exit`."""
        await until((self.folder / "exit").exists, "the pump's end", timeout_s, self.diagnosis)
        return (self.folder / "exit").read_text().strip()

    def diagnosis(self) -> str:
        """The files' ends and the containers, for a failure's message."""
        return f"{self.rig.vm.state()['containers']} | " + " | ".join(
            f"{name}: {(self.folder / name).read_text()[-600:]}"
            for name in ("out", "err", "exit")
            if (self.folder / name).exists()
        )

    @property
    def container_id(self) -> str:
        return (self.folder / "cid").read_text()


async def set_up_once() -> Path:
    """A disk whose upstream repositories are made once a process, to be copied."""
    if not hasattr(set_up_once, "folder"):
        layout = vm_home.Layout(Path(tempfile.mkdtemp(prefix="upstream")))
        await vm_home.make_upstream(layout)
        atexit.register(shutil.rmtree, layout.state)
        set_up_once.folder = layout.upstream
    return set_up_once.folder


@asynccontextmanager
async def running_vm(state: Path, **settings: object) -> AsyncIterator[Rig]:
    """A VM with the stand-in agent, answered over plain HTTP on loopback."""
    faults = Faults()
    shutil.copytree(await set_up_once(), vm_home.Layout(state).upstream)
    api = AgentApi(faults)
    await api.start()
    vm = VmPeer(state, faults, **{"api_base_url": api.url, "claude": "", **settings})  # type: ignore[arg-type]
    await vm.start()
    try:
        yield Rig(vm, api, faults)
    finally:
        await vm.stop()
        await api.stop()
