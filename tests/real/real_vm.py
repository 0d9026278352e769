"""A VM of real parts on this machine: OpenSSH, a user of its own, rootless podman or docker, behind the sandbox's gate.

Its network is the gate's: sshd runs there, and so everything that it starts, so the firewall's table decides what the
containers reach. sshd is started for each connection (`-i`, as by a systemd socket), since the service connects from
this machine's own network.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import asyncssh
from need import USER
from real_docker import Docker

from sm.sandbox.network.gate import Gate
from sm.sandbox.vm.home import Layout, make_upstream

IMAGE = "claude-code:latest"
KEY = "sk-ant-real-peers-" + "0" * 24
CA = "/etc/session-manager-tests-ca.pem"


def generate_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


class RealVm:
    """The VM, as `Sandbox` wants one. Only one at a time: the user and its containers are the machine's."""

    def __init__(self, gate: Gate, folder: Path, runtime: str = "podman") -> None:
        self.gate = gate
        self.folder = folder
        self.runtime = runtime
        self.user = pwd.getpwnam(USER)
        self.home = Path(self.user.pw_dir)
        self.disk = self.home / "vm"
        self.sessions, self.repos = self.disk / "sessions", self.disk / "repos"
        self.worktrees = self.disk / "worktrees"
        self.port = 0
        self.host_key, self.client_key = generate_key(), generate_key()
        self.docker = Docker(gate, folder / "docker", self.user.pw_gid) if runtime == "docker" else None
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._daemons: list[subprocess.Popen[bytes]] = []

    @property
    def notes(self) -> list[str]:
        return [
            f"Containers: {self.runtime}, of the user {USER} behind a real sshd; the agent is the real CLI."
        ]

    # --- start and stop -------------------------------------------------------------------------------------

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        await self._end_everything()
        await self._write_home()
        self._write_sshd()
        if self.docker is not None:
            await self.docker.start()
        self._listener = socket.create_server((host, port))
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self._accepting = asyncio.create_task(self._accept(self._listener))
        if self.docker is not None:
            await self.install_rules()

    async def stop(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
        self.cut()
        if self.docker is not None:
            await self.docker.stop()
        await self._end_everything()

    async def _end_everything(self) -> None:
        """Leave no container and no process, whatever state a test left them in."""
        await self.power_cut()
        await asyncio.to_thread(self.as_user, "podman", "rm", "--all", "--force", "--time", "0")
        await self.kill_everything()
        await asyncio.to_thread(shutil.rmtree, self.disk, ignore_errors=True)

    async def power_cut(self) -> None:
        """The VM goes down and comes up again: its processes are gone, and so is what lies in memory only."""
        self.cut()
        await self.kill_everything()
        shutil.rmtree(self._runtime_folder)
        assert Path(self._runtime_folder).is_dir()

    async def kill_everything(self) -> None:
        """Every process of the VM's user ends at once."""
        for _ in range(200):
            pids = self._processes()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not pids:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"processes of {USER} could not be ended: {self._processes()}")

    def _processes(self) -> list[int]:
        found: list[int] = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                status = (path / "status").read_text()
                if f"\nUid:\t{self.user.pw_uid}\t" in status and "\nState:\tZ" not in status:
                    found.append(int(path.name))
        return found

    def as_user(self, *command: str) -> str:
        """Run a command as the user, outside of SSH, to clear up."""
        environment = {
            "HOME": str(self.home),
            "PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin",
            "XDG_RUNTIME_DIR": self._runtime_folder,
        }
        done = subprocess.run(
            ["runuser", "-u", USER, "--", *command], env=environment, cwd="/", capture_output=True, text=True, timeout=60
        )  # fmt: skip
        return done.stdout

    @property
    def _runtime_folder(self) -> str:
        """What pam_systemd makes at a login; here it is made by scripts/real-peers, and again after a reboot."""
        path = Path(f"/run/user/{self.user.pw_uid}")
        if not path.exists():
            path.mkdir(mode=0o700, parents=True)
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        return str(path)

    async def install_rules(self) -> None:
        """What root does on a VM whose bridge is docker's: run what `sm doctor rules` prints. Its /etc is a scratch one."""
        assert self.docker is not None
        printed = await self.doctor("rules")
        assert printed.returncode == 0, printed.stderr
        scratch = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /etc && exec sh"]
        done = await asyncio.to_thread(
            subprocess.run, self.gate.wrap(scratch), input=printed.stdout, capture_output=True, text=True, timeout=60
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    async def doctor(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """`sm doctor`, with the service's settings of the VM and nothing behind the others."""
        elsewhere = {
            "SM_MATTERMOST_URL": "http://127.0.0.1:9", "SM_MATTERMOST_TOKEN": "unused", "SM_OPNSENSE_URL": "http://127.0.0.1:9",
            "SM_OPNSENSE_KEY": "unused", "SM_OPNSENSE_SECRET": "unused",
        }  # fmt: skip
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SM_")}
        variables = {**inherited, **elsewhere, **self.environment(), **settings}
        command = [sys.executable, "-m", "sm", "doctor", *words]
        return await asyncio.to_thread(
            subprocess.run, command, env=variables, capture_output=True, text=True, timeout=120
        )

    # --- its disk -------------------------------------------------------------------------------------------

    async def _write_home(self) -> None:
        self.write_profile()
        upstream = Layout(self.disk)
        await make_upstream(upstream)
        self._write(
            self.home / ".gitconfig",
            f'[url "file://{upstream.upstream}/"]\n\tinsteadOf = https://github.com/\n',
        )
        self._write(self.home / ".ssh" / "authorized_keys", self.client_key.export_public_key().decode())
        self._write(self.disk / "ca.pem", self.gate.ca.pem_file.read_text())
        self._write(self.disk / "hosts", self.gate.names.hosts())
        self._write(self.home / ".config/containers/containers.conf", self._containers_conf())
        for path in (self.disk, *self.disk.rglob("*")):
            os.chown(path, self.user.pw_uid, self.user.pw_gid, follow_symlinks=False)

    def write_profile(self, *, key: str = KEY, more: str = "") -> None:
        """The login environment: what a person who sets a VM up writes there."""
        lines = [
            f"export XDG_RUNTIME_DIR={self._runtime_folder}",
            *([f"export ANTHROPIC_API_KEY={key}"] if key else []),
        ]
        if self.docker is not None:
            lines.append(f"export DOCKER_HOST=unix://{self.docker.socket}")
        self._write(self.home / ".profile", "\n".join([*lines, more]) + "\n")

    def _containers_conf(self) -> str:
        environment = environment_inside(self.gate)
        pairs = ", ".join(json.dumps(f"{name}={value}") for name, value in environment.items())
        return (
            "[containers]\n"
            f"env = [{pairs}]\n"
            f'volumes = ["{self.disk}/ca.pem:{CA}:ro"]\n'
            f'base_hosts_file = "{self.disk}/hosts"\n'
            # A box without CAP_SYS_RESOURCE cannot raise limits, and podman's own defaults are high.
            'default_ulimits = ["nproc=4096:4096", "nofile=4096:4096"]\n'
            '[engine]\nruntime = "runc"\n'
        )

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for one in (path, path.parent):
            os.chown(one, self.user.pw_uid, self.user.pw_gid)

    # --- sshd -----------------------------------------------------------------------------------------------

    def _write_sshd(self) -> None:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        key = self.folder / "host_key"
        key.touch(mode=0o600)
        key.write_bytes(self.host_key.export_private_key())
        (self.folder / "sshd_config").write_text(
            f"HostKey {key}\nAllowUsers {USER}\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            f"UsePAM no\nStrictModes yes\nLogLevel VERBOSE\nPidFile none\nX11Forwarding no\n"
        )

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        log = self.folder / "sshd.log"
        while True:
            connection, _ = await loop.sock_accept(listener)
            with connection, log.open("ab") as said:
                connection.setblocking(True)
                command = self.gate.wrap([sshd, "-i", "-e", "-f", str(self.folder / "sshd_config")])
                self._daemons = [one for one in self._daemons if one.poll() is None]
                self._daemons.append(
                    subprocess.Popen(command, stdin=connection, stdout=connection, stderr=said)
                )

    def cut(self) -> None:
        """Every SSH connection breaks at this moment; what ran detached goes on."""
        behind = [pid for daemon in self._daemons for pid in _children(daemon.pid, "sshd")]
        for daemon in self._daemons:
            daemon.kill()
        for pid in behind:  # it has the connection, too, as the user, and would go on without its monitor
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for daemon in self._daemons:
            daemon.wait()
        self._daemons.clear()

    # --- what others see of it ------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        return {
            "SM_VM_HOST": f"127.0.0.1:{self.port}",
            "SM_VM_USER": USER,
            "SM_VM_SSH_KEY": self.client_key.export_private_key().decode(),
            "SM_VM_HOST_KEY": " ".join(self.host_key.export_public_key().decode().split()[:2]),
            "SM_REPOS_BASE_PATH": str(self.repos),
            "SM_WORKTREES_PATH": str(self.worktrees),
            "SM_SESSIONS_PATH": str(self.sessions),
            "SM_CONTAINER_RUNTIME": self.runtime,
            "SM_CONTAINER_IMAGE": self.docker.image if self.docker is not None else IMAGE,
            "SM_CONTAINER_NETWORK": "isolated",
        }

    async def run(self, command: str) -> str:
        """Run a command as an operator logged in on the VM would, and answer what it printed."""
        async with asyncssh.connect(
            "127.0.0.1",
            self.port,
            username=USER,
            client_keys=[self.client_key],
            known_hosts=None,
            config=None,
        ) as connection:
            done = await connection.run(f"bash -lc {shlex.quote(command)}")
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return str(done.stdout)

    async def clear(self) -> None:
        """Remove what a test left in containers."""
        await self.run(f'left=$({self.runtime} ps -aq); [ -z "$left" ] || {self.runtime} rm -f $left')

    async def state(self) -> dict[str, object]:
        """What `VmPeer.state` answers, of the real ones."""
        listed = await self.run(f"{self.runtime} ps -a --format '{{{{.ID}}}} {{{{.Names}}}} {{{{.State}}}}'")
        containers = [
            {"id": number, "name": name, "status": status, "running": status == "running"}
            for number, name, status in (line.split()[:3] for line in listed.splitlines())
        ]
        return {"agent": "real CLI", "containers": containers}


def _children(pid: int, name: str) -> list[int]:
    """The processes of this name that a process has started."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(one) for one in children if Path(f"/proc/{one}/comm").read_text().strip() == name]
    return []


def environment_inside(gate: Gate) -> dict[str, str]:
    """What every container's environment needs: the file of the gate's authority lies elsewhere there.

    The CLI tries a refused request for three minutes; a test has no use for that.
    """
    outside = str(gate.ca.pem_file)
    named = {name: CA if value == outside else value for name, value in gate.environment.items()}
    return {**named, "CLAUDE_CODE_MAX_RETRIES": "1"}


def folder_of(gate: Gate) -> Path:
    """Where the parts of the VM that are not the user's keep their files."""
    return gate.hosts_file.parent.parent / "real-vm"
