"""A docker of its own, in the gate's network: `--network host` there is the network behind the firewall."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

from need import STATE

from sm.sandbox.network.gate import Gate

BASE = "claude-code:latest"


class Docker:
    """dockerd on a socket that the VM's user may use. Its images are the machine's, made by scripts/real-peers."""

    image = "claude-code:behind-the-gate"

    def __init__(self, gate: Gate, folder: Path, gid: int) -> None:
        self.gate = gate
        self.folder = folder
        self.gid = gid
        self.socket = Path("/run/session-manager-peers-docker.sock")
        self._daemon: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        hosts = self.folder / "hosts"
        hosts.write_text(self.gate.names.hosts())
        options = [
            "--data-root", str(STATE / "docker"), "--exec-root", str(self.folder / "exec"), "--pidfile", str(self.folder / "pid"),
            "--host", f"unix://{self.socket}", "--group", str(self.gid), "--storage-driver=overlay2", "--iptables=false",
            "--ip6tables=false", "--bridge=none",
        ]  # fmt: skip
        # A container on the host's network gets the host's names: those of this machine are not meant.
        script = 'mount --make-rprivate / && mount --bind "$1" /etc/hosts && shift && exec dockerd "$@"'
        command = self.gate.wrap(["unshare", "--mount", "sh", "-c", script, "sh", str(hosts), *options])
        with (self.folder / "dockerd.log").open("ab") as said:
            self._daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        async with asyncio.timeout(40):
            while self._docker("info").returncode:
                assert self._daemon.poll() is None, (self.folder / "dockerd.log").read_text()[-2000:]
                await asyncio.sleep(0.1)
        await asyncio.to_thread(self._make_image)

    def _docker(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["docker", "--host", f"unix://{self.socket}", *words],
            input=stdin,
            capture_output=True,
            timeout=60,
        )

    def _make_image(self) -> None:
        """The agent's image with the gate's authority and names: what podman takes from containers.conf."""
        from real_vm import CA, environment_inside

        here = self.folder / "image"
        here.mkdir(exist_ok=True)
        shutil.copy(self.gate.ca.pem_file, here / "ca.pem")
        environment = environment_inside(self.gate)
        lines = [
            f"FROM {BASE}",
            f"COPY ca.pem {CA}",
            *(f"ENV {name}={json.dumps(value)}" for name, value in environment.items()),
        ]
        (here / "Dockerfile").write_text("\n".join(lines) + "\n")
        made = self._docker("build", "-q", "-t", self.image, str(here))
        assert made.returncode == 0, made.stderr.decode()

    async def stop(self) -> None:
        if self._daemon is None:
            return
        left = self._docker("ps", "-aq").stdout.decode().split()
        if left:
            self._docker("rm", "-f", *left)
        self._docker("rmi", "-f", self.image)
        self._daemon.terminate()
        await asyncio.to_thread(self._daemon.wait, 30)
        self._daemon = None
