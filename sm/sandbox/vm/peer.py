"""The sandbox's VM: an SSH server whose commands really run, with git, and containers as far as the kernel allows.

vm = VmPeer(state, faults, gate=gate)
await vm.start()
vm.environment()      # what the service needs: host, user, keys, folders
vm.notes              # lines for a person: which agent, what the kernel refused
await vm.stop()       # ends every process that ran on it
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, cast

import asyncssh

import sm.sandbox
from sm.sandbox.faults import Faults
from sm.sandbox.vm import home as vm_home
from sm.sandbox.vm import ssh as vm_ssh
from sm.sandbox.vm.container.monitor import kill_marked
from sm.sandbox.vm.container.store import Engine, Store

IMAGE = "claude-code:latest"
NETWORKS = ("isolated", "none", "host", "bridge", "podman")
USER = "claude"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_END_S = 5.0


class GateLike(Protocol):
    """What the VM needs of the network gate."""

    @property
    def hosts_file(self) -> Path:
        """Replaces /etc/hosts in a container."""
        ...

    @property
    def environment(self) -> dict[str, str]:
        """What a container's environment needs."""
        ...

    def wrap(self, argv: list[str]) -> list[str]:
        """The command that runs `argv` behind the gate."""
        ...


class VmPeer:
    """The VM. `git_settings` say, once it starts, how its git reaches github.com (`vm_home.make_home`).

    `api_base_url` is where the agent finds its API; by default the real name, which the gate serves. `claude` is the
    real CLI's path; None looks for it (`CLAUDE_CLI`, then PATH), an empty path takes the stand-in.
    """

    def __init__(
        self,
        state: Path,
        faults: Faults,
        *,
        gate: GateLike | None = None,
        api_base_url: str = "https://api.anthropic.com",
        claude: str | None = None,
        gh_token: str = "",
        git_settings: Callable[[], str] = str,
        agent_environment: Mapping[str, str] | None = None,
        mounts: bool | None = None,
    ) -> None:
        self.layout = vm_home.Layout(state.resolve())
        self.faults = faults
        self.host = "127.0.0.1"
        self.port = 0
        self.notes: list[str] = []
        self.agent = "stand-in"
        self._gate = gate
        self._api_base_url = api_base_url
        self._wanted_claude = claude
        self._secrets = {"ANTHROPIC_API_KEY": "sk-ant-sandbox-" + "0" * 24}
        if gh_token:
            self._secrets["GH_TOKEN"] = gh_token
        self._git_settings = git_settings
        self._agent_environment = dict(agent_environment or {})
        self._wanted_mounts = mounts
        self._marker = f"{hashlib.sha256(str(self.layout.state).encode()).hexdigest()[:16]}"
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._servers: set[vm_ssh.Server] = set()
        self._host_key: asyncssh.SSHKey | None = None
        vm_ssh.declare(faults)

    @property
    def store(self) -> Store:
        """The records of its containers."""
        return Store(self.layout.engine)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Set the VM up in the state folder (what is there stays) and listen; port 0 takes a free one.

        Raises `OSError` when the port is taken, `RuntimeError` when git or venv fails.
        """
        await self.set_up()
        self._host_key = self._key("host_key")
        login = vm_ssh.Login(
            USER, self._key("client_key"), shutil.which("bash") or "/bin/bash", str(self.layout.home),
            self._login_environment(), self.faults,
        )  # fmt: skip

        def connection() -> vm_ssh.Server:
            server = vm_ssh.Server(login)
            self._servers = {other for other in self._servers if other.connection is not None} | {server}
            return server

        self._acceptor = await asyncssh.listen(
            host, port, server_factory=connection, server_host_keys=[self._host_key], agent_forwarding=False,
            password_auth=False, kbdint_auth=False, allow_pty=False, login_timeout=20, encoding=None,
        )  # fmt: skip
        self.host, self.port = host, self._acceptor.get_port()

    async def set_up(self) -> None:
        """Write the VM's disk, as `start` does first. Raises `RuntimeError` when git or venv fails."""
        closed = self._gate is not None and bool(self._gate.wrap([]))
        vm_home.make_home(self.layout, self._secrets, self._git_settings(), closed=closed)
        self.notes.clear()
        python, (claude, note), _ = await asyncio.gather(
            asyncio.to_thread(vm_home.make_python, self.layout.vm),
            asyncio.to_thread(vm_home.find_agent, self._wanted_claude),
            vm_home.make_upstream(self.layout),
        )
        self.agent = f"real CLI {claude}" if claude else "stand-in"
        self.notes.append(note)
        vm_home.make_agent(self.layout, claude)
        await self._write_engine(python, claude)

    async def stop(self) -> None:
        """Close the server and every connection, and end every process that ran on the VM."""
        if self._acceptor is not None:
            self._acceptor.close()
            for server in self._servers:
                if server.connection is not None:
                    server.connection.abort()
            self._servers.clear()
            await self._acceptor.wait_closed()
            self._acceptor = None
        await self.kill_everything()

    async def kill_everything(self) -> None:
        """What a power cut does to processes: all of the VM's are gone at once, its disk stays."""
        for _ in range(int(_END_S / 0.05)):
            if not await asyncio.to_thread(kill_marked, f"SM_SANDBOX_VM={self._marker}"):
                return
            await asyncio.sleep(0.05)

    def environment(self) -> dict[str, str]:
        """The `SM_*` variables by which the service reaches this VM. Call it after `start`."""
        if self._host_key is None:
            raise RuntimeError("The VM has no keys before it is started.")
        host_key = self._host_key.export_public_key().decode().split()
        return {
            "SM_VM_HOST": f"{self.host}:{self.port}",
            "SM_VM_USER": USER,
            "SM_VM_SSH_KEY": (self.layout.vm / "client_key").read_text(),
            "SM_VM_HOST_KEY": " ".join(host_key[:2]),
            "SM_REPOS_BASE_PATH": str(self.layout.repos),
            "SM_WORKTREES_PATH": str(self.layout.worktrees),
            "SM_SESSIONS_PATH": str(self.layout.sessions),
            "SM_CONTAINER_RUNTIME": "podman",
            "SM_CONTAINER_IMAGE": IMAGE,
            "SM_CONTAINER_NETWORK": NETWORKS[0],
        }

    def state(self) -> dict[str, object]:
        """What an observer compares: containers, each generation's input lines and output size, repositories."""
        store = self.store
        containers = [
            {
                "id": record.id, "name": record.name, "labels": record.labels, "image": record.image,
                "status": state.status, "running": state.status == "running", "exit_code": state.exit_code,
            }
            for record in store.records() for state in [store.state(record)]
        ]  # fmt: skip
        repos = self.layout.repos
        return {
            "agent": self.agent,
            "containers": containers,
            "sessions": self._generations(),
            "mirrors": _heads(repos, ".mirrors/*/*/*.git/HEAD"),
            "repositories": _heads(repos, "[!.]*/*/*/.git/HEAD"),
            "worktrees": _heads(self.layout.worktrees, "*/.git/HEAD"),
        }

    def _generations(self) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = {}
        for file in sorted(self.layout.sessions.glob("*/*/in")):
            generation = file.parent
            out, ended = generation / "out", generation / "exit"
            text = file.read_text(errors="replace")
            found.setdefault(generation.parent.name, {})[generation.name] = {
                "in": text.removesuffix("\n").split("\n") if text else [],
                "in_bytes": file.stat().st_size,
                "out_bytes": out.stat().st_size if out.exists() else 0,
                "exit": ended.read_text(errors="replace").strip() if ended.exists() else None,
            }
        return found

    def _key(self, name: str) -> asyncssh.SSHKey:
        """A key that stays the same over restarts in the same state folder."""
        path = self.layout.vm / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(_new_key().export_private_key())
        return asyncssh.read_private_key(path)

    def _login_environment(self) -> dict[str, str]:
        """What sshd gives to a command; the profile's variables are not among it."""
        return {
            "HOME": str(self.layout.home),
            "USER": USER,
            "LOGNAME": USER,
            "SHELL": "/bin/bash",
            "PATH": _SYSTEM_PATH,
            "LANG": "C.UTF-8",
            "SM_SANDBOX_VM": self._marker,
        }

    async def _write_engine(self, python: Path, claude: Path | None) -> None:
        found = await _probe()
        allowed = {what: what in found for what in ("mounts", "pids", "nets")}
        if self._wanted_mounts is not None:
            allowed["mounts"] = self._wanted_mounts
        if not allowed["mounts"]:
            self.notes.append(
                "Containers: the kernel allows no mount namespace here, so the source path stands in for a mount's "
                "destination in whole arguments and in the working directory, and the host's files stay visible."
            )
        if not allowed["pids"]:
            self.notes.append(
                "Containers: no process namespace here; what a container leaves is found and killed."
            )
        visible = [
            sys.base_prefix,
            sys.prefix,
            str(Path(sm.sandbox.__file__).parents[1]),
            str(python),
            str(self.layout.image),
        ]
        visible += [path for path in sys.path if path.endswith("-packages")]
        programs = [str(self.layout.image), str(python / "bin")]
        if claude is not None:
            folders, on_path = vm_home.needs(claude)
            visible += folders
            programs += on_path
        gate = self._gate
        environment = {
            "PATH": ":".join([*programs, _SYSTEM_PATH]),
            "LANG": "C.UTF-8",
            "DISABLE_TELEMETRY": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "SM_SANDBOX_VM": self._marker,
        }
        if self._api_base_url != "https://api.anthropic.com":
            environment["ANTHROPIC_BASE_URL"] = self._api_base_url
        if os.getuid() == 0:
            environment["IS_SANDBOX"] = "1"
        if gate is not None:
            environment.update(gate.environment)
            visible += [
                value for value in gate.environment.values() if value.startswith(str(self.layout.state))
            ]
        environment.update(self._agent_environment)
        Engine(
            state=str(self.layout.state),
            images=(IMAGE,),
            networks=NETWORKS,
            environment=environment,
            gate_prefix=tuple(gate.wrap([])) if gate is not None else (),
            hosts_file=str(gate.hosts_file) if gate is not None else "",
            visible=tuple(dict.fromkeys(visible)),
            **allowed,
        ).save(self.layout.engine)


def _new_key() -> asyncssh.SSHKey:
    generate = cast("Callable[[str], asyncssh.SSHKey]", asyncssh.generate_private_key)  # pyright: ignore[reportUnknownMemberType] - its keyword arguments have no types
    return generate("ssh-ed25519")


def _heads(folder: Path, pattern: str) -> list[str]:
    """Repositories below a folder, by where their HEAD file lies."""
    heads = sorted(folder.glob(pattern))
    return [
        str((head.parent.parent if head.parent.name == ".git" else head.parent).relative_to(folder))
        for head in heads
    ]


async def _probe() -> list[str]:
    """Which namespaces the kernel allows."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sm.sandbox.vm.container", "probe",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    said, _ = await process.communicate()
    return said.decode().split()
