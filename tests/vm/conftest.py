"""An SSH server in the test's process that runs real bash, as a VM with a small container runtime of its own."""

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncssh
import attrs
import pytest
from git_kit import GitHub

from sm.vm import StartSpec, Vm, VmSettings

SESSION = "0a1b2c3d-1111-4222-8333-444455556666"
AGENT = "7e0c8f0a-9b1c-4d3e-8f00-000000000001"
HERE = Path(__file__).parent


async def until(condition, what, seconds=20.0):
    """Wait for a condition, bounded."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(0.02)


async def _copy(source, target, *, close=False):
    """What a pipe of sshd does: a reader that is gone ends it, quietly."""
    with contextlib.suppress(asyncssh.Error, OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    if close:
        target.close()
    elif hasattr(source, "_transport"):
        source._transport.close()


class Peer:
    """The VM as a test sees it: its folders, its SSH server, and what can be done to both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.state = folder / "state"
        self.bin = folder / "bin"
        self.sessions = folder / "sessions"
        self.repos = folder / "repos"
        self.workspace = folder / "workspace"
        for path in (self.home, self.state, self.bin, self.sessions, self.repos, self.workspace):
            path.mkdir()
        self.profile = ""
        self.max_channels = 10
        self.refused_channels = 0
        self.most_channels = 0
        self.logins = 0
        self.running = 0
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.servers: list[asyncssh.SSHServer] = []
        self.kept: list[object] = []  # what must live as long as the test
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.port = 0
        self.server: asyncssh.SSHAcceptor | None = None
        self.vms: list[Vm] = []
        for name in ("podman", "docker"):
            self.tool(
                name,
                f'exec {shlex.quote(sys.executable)} -S {shlex.quote(str(HERE / "fake_podman.py"))} "$@"',
            )
        self.tool("claude", f'exec bash {shlex.quote(str(HERE / "fake_claude.sh"))} "$@"')
        (self.state / "images").write_text("claude-code:latest\n")
        (self.state / "networks").write_text("isolated\n")
        self.write_profile()

    def tool(self, name: str, text: str) -> None:
        (self.bin / name).write_text(f"#!/bin/bash\n{text}\n")
        (self.bin / name).chmod(0o755)

    def write_profile(self, *, key: str = "sk-ant-test-0000", more: str = "") -> None:
        lines = [f"export PATH={self.bin}:/usr/bin:/bin", f"export FAKE_STATE={self.state}", more]
        if key:
            lines.append(f"export ANTHROPIC_API_KEY={key}")
        (self.home / ".profile").write_text("\n".join(lines) + "\n")

    async def listen(self) -> None:
        peer = self

        class Server(asyncssh.SSHServer):
            def connection_made(self, conn):
                self.conn, self.open = conn, 0
                peer.connections.append(conn)
                peer.servers.append(self)

            def connection_lost(self, exc):
                peer.servers.remove(self)
                peer.connections.remove(self.conn)

            async def begin_auth(self, username):
                return True

            def public_key_auth_supported(self):
                return True

            def validate_public_key(self, username, key):
                peer.logins += 1
                return key == peer.client_key.convert_to_public()

            def session_requested(self):
                if self.open >= peer.max_channels:
                    peer.refused_channels += 1
                    return False
                self.open += 1
                peer.most_channels = max(peer.most_channels, self.open)
                return asyncssh.SSHServerProcess(lambda process: peer.run(process, self), None, 3, False)

        self.server = await asyncssh.create_server(
            Server, "127.0.0.1", self.port, server_host_keys=[self.host_key], encoding=None, line_editor=False
        )
        self.port = self.server.get_port()

    async def run(self, process, server) -> None:
        """What sshd does for `exec`: the user's shell, in an environment that knows next to nothing."""
        self.running += 1
        try:
            child = await asyncio.create_subprocess_exec(
                "bash", "-c", process.command, cwd=self.home, env={"HOME": str(self.home), "PATH": "/usr/bin:/bin"},
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            feeding = asyncio.create_task(_copy(process.stdin, child.stdin, close=True))
            await asyncio.gather(_copy(child.stdout, process.stdout), _copy(child.stderr, process.stderr))
            code = await child.wait()
            process.exit(code) if code >= 0 else process.exit_with_signal("KILL")
            await feeding
        finally:
            server.open -= 1
            self.running -= 1

    @property
    def open_channels(self) -> int:
        """Of all connections together; a channel counts until its process ended."""
        return sum(server.open for server in self.servers)

    async def away(self) -> None:
        self.server.close()
        await self.server.wait_closed()
        self.cut()

    def cut(self) -> None:
        """Every connection breaks at this moment."""
        for connection in list(self.connections):
            connection.abort()

    def settings(self, **changes) -> VmSettings:
        settings = VmSettings(
            host="127.0.0.1", port=self.port, user="claude", private_key=self.client_key.export_private_key().decode(),
            pinned_host_keys=(self.host_key.export_public_key().decode(),), repos_base=str(self.repos),
            worktrees=str(self.folder / "worktrees"), sessions=str(self.sessions), runtime="podman",
            network="isolated", image="claude-code:latest", git_base_url="https://github.com",
        )  # fmt: skip
        return attrs.evolve(settings, **changes)

    def vm(self, *, accept=None, **changes) -> Vm:
        vm = Vm(self.settings(**changes), accept_host_key=accept)
        self.vms.append(vm)
        return vm

    def generation(self, number: int = 1) -> Path:
        return self.sessions / SESSION / str(number)

    def read(self, name: str, number: int = 1) -> str:
        file = self.generation(number) / name
        return file.read_text() if file.exists() else ""

    def shell(self, command: str) -> str:
        return subprocess.run(
            ["bash", "-lc", command], env={"HOME": str(self.home)}, capture_output=True, text=True, check=True
        ).stdout.strip()

    def pump(self, number: int = 1) -> int:
        """The pump's process id: the bash that works in the generation's folder and is a session's leader."""
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                leads = os.getsid(int(path.name)) == int(path.name)
                here = os.readlink(path / "cwd") == str(self.generation(number))
                if leads and here and b"/pump\0" in (path / "cmdline").read_bytes():
                    return int(path.name)
        return 0

    def kill_everything(self) -> None:
        (self.state / "hold-run").unlink(missing_ok=True)
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if int(path.name) != os.getpid() and os.readlink(path / "cwd").startswith(str(self.folder)):
                    os.kill(int(path.name), signal.SIGKILL)


@pytest.fixture
async def peer(tmp_path):
    peer = Peer(tmp_path)
    await peer.listen()
    yield peer
    for vm in peer.vms:
        await vm.close()
    await peer.away()
    peer.kill_everything()
    await until(lambda: peer.running == 0, "the end of what the server ran")


@pytest.fixture
async def github(peer):
    """A real git host on loopback: `peer.vm(git_base_url=github.url)` uses it."""
    host = GitHub(peer.folder / "github-host")
    await host.start()
    yield host
    await host.stop()


@pytest.fixture
def vm(peer):
    return peer.vm()


FIRST = '{"type":"control_request","request_id":"init"}'


def spec(peer, generation=1, **changes) -> StartSpec:
    return attrs.evolve(
        StartSpec(
            session_id=SESSION, generation=generation, workspace=str(peer.workspace), mirror="", agent_session_id=AGENT,
            resume=False, system_prompt="It's \"quoted\" $HOME `id`\nand long", permission_mode="bypassPermissions",
            first_line=FIRST + "\n",
        ),
        **changes,
    )  # fmt: skip


@pytest.fixture
async def started(peer, vm):
    """A running agent; answers once the initialize line came back."""
    await vm.start_generation(spec(peer), 1)
    await until(lambda: "got" in peer.read("out"), "the agent's first answer")
    return vm
