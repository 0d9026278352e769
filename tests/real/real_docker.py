"""A docker of its own in the gate's network, with a bridge network `isolated` whose way out is the gate.

What a firewall's box would do beside it is done here: names are answered, and the bridge's addresses are translated.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

from need import STATE

from sm.sandbox.network.gate import Gate

BASE = "claude-code:latest"
NETWORK = "isolated"
SUBNET, GATEWAY = "172.30.213.0/24", "172.30.213.1"
NAT = "add table ip peers; add chain ip peers out {{ type nat hook postrouting priority 100; }}; add rule ip peers out ip saddr {0} ip daddr != {0} masquerade"


class Docker:
    """dockerd on a socket that the VM's user may use. Its base image is the machine's, made by scripts/real-peers."""

    image = "claude-code:behind-the-gate"

    def __init__(self, gate: Gate, folder: Path, gid: int) -> None:
        self.gate = gate
        self.folder = folder
        self.gid = gid
        self.socket = Path("/run/session-manager-peers-docker.sock")
        self._processes: list[subprocess.Popen[bytes]] = []

    async def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        daemon = self._spawn(
            "dockerd", "--data-root", str(STATE / "docker"), "--exec-root", str(self.folder / "exec"),
            "--pidfile", str(self.folder / "pid"), "--host", f"unix://{self.socket}", "--group", str(self.gid),
            "--storage-driver=overlay2", "--iptables=false", "--ip6tables=false", "--bridge=none", "--dns", GATEWAY,
        )  # fmt: skip
        async with asyncio.timeout(40):
            while self._docker("info").returncode:
                assert daemon.poll() is None, (self.folder / "log").read_text()[-2000:]
                await asyncio.sleep(0.1)
        await asyncio.to_thread(self._clear)
        self._must("network", "create", "--subnet", SUBNET, "--gateway", GATEWAY, NETWORK)
        subprocess.run(self.gate.wrap(["nft", NAT.format(SUBNET)]), check=True)
        self._spawn(
            sys.executable,
            str(Path(__file__).with_name("name_server.py")),
            str(self.gate.hosts_file),
            GATEWAY,
        )
        await asyncio.to_thread(self._make_image)

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as said:
            process = subprocess.Popen(
                self.gate.wrap(list(command)), stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        self._processes.append(process)
        return process

    def _docker(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["docker", "--host", f"unix://{self.socket}", *words], capture_output=True, timeout=60
        )

    def _must(self, *words: str) -> None:
        done = self._docker(*words)
        assert done.returncode == 0, f"docker {words}: {done.stderr.decode()}"

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
        self._must("build", "-q", "-t", self.image, str(here))

    def _clear(self) -> None:
        """Containers and the network outlive a daemon, and so what a test that was killed left."""
        left = self._docker("ps", "-aq").stdout.decode().split()
        if left:
            self._docker("rm", "-f", *left)
        self._docker("network", "rm", NETWORK)

    async def stop(self) -> None:
        if not self._processes:
            return
        await asyncio.to_thread(self._clear)
        self._docker("rmi", "-f", self.image)
        for process in reversed(self._processes):
            process.terminate()
            await asyncio.to_thread(process.wait, 30)
        self._processes.clear()
