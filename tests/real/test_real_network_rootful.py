"""The rules under rootful podman, whose bridge is the VM's own: found missing, installed as root does it, found whole.

Our scripts run as an operator's login would run them, in a network namespace that stands for the VM's.
"""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
from attrs import frozen
from need import STATE, needs

from sm.core.outcome import Refused
from sm.vm.remote import Answer, command, read_answer

ADDRESS = "10.77.0.2"
IMAGE = "sm-network-test:latest"
# What the probe needs of an image; the rest of it would only take time here.
FILES = (
    "bin", "lib", "lib64", "usr/bin/bash", "usr/bin/timeout", "usr/bin/sed", "usr/bin/getent", "usr/bin/sleep", "usr/bin/grep",
    "usr/bin/head", "usr/lib64", "usr/lib/*-linux-gnu/ld-linux*", "usr/lib/*-linux-gnu/libc.so*", "usr/lib/*-linux-gnu/libtinfo*",
    "usr/lib/*-linux-gnu/libselinux*", "usr/lib/*-linux-gnu/libpcre2-8*", "usr/lib/*-linux-gnu/libacl*",
)  # fmt: skip
pytestmark = [needs("podman"), pytest.mark.timeout(120)]


@frozen
class Machine:
    """A network namespace with a port of its own, and a container network in it."""

    netns: str
    network: str

    def enter(self, *words: str, **more: object) -> subprocess.CompletedProcess[bytes]:
        line = ["nsenter", f"--net=/run/netns/{self.netns}", "--", *words]
        return subprocess.run(line, capture_output=True, timeout=100, **more)  # type: ignore[call-overload]

    def ask(self, name: str, *arguments: str | int) -> Answer:
        """Run one of our scripts as a login over SSH would."""
        here = f"export SSH_CONNECTION='10.77.0.1 5000 {ADDRESS} 2222'; "
        done = self.enter("bash", "-c", here + command(name, arguments))
        return read_answer(done.stdout, name)

    def reach(self) -> Answer:
        return self.ask("reach", "podman", IMAGE, self.network, "example.com", 5, "reach")

    def doctor(self) -> Answer:
        return self.ask("doctor", "podman", IMAGE, self.network, "192.0.2.77", 443)


@pytest.fixture
def machine() -> Iterator[Machine]:
    name = f"smnet{uuid.uuid4().hex[:8]}"
    made = Machine(name, name)
    lines = [
        "link set lo up",
        "link add up0 type veth peer name up1",
        f"address add {ADDRESS}/24 dev up0",
        "link set up0 up",
        "link set up1 up",
    ]
    subprocess.run(["ip", "netns", "add", name], check=True)
    listener: subprocess.Popen[bytes] | None = None
    try:
        subprocess.run(["ip", "-n", name, "-batch", "-"], input="\n".join(lines), text=True, check=True)
        packed = subprocess.run(
            ["sh", "-c", f"tar -C {STATE}/root -c $(cd {STATE}/root && ls -d {' '.join(FILES)} 2>/dev/null)"],
            capture_output=True,
            check=True,
        )
        subprocess.run(
            ["podman", "import", "-q", "-", IMAGE], input=packed.stdout, capture_output=True, check=True
        )
        subprocess.run(["podman", "network", "create", name], capture_output=True, check=True)
        listener = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{name}", "--", sys.executable, "-m", "http.server", "2222"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        yield made
    finally:
        if listener is not None:
            listener.kill()
            listener.wait()
        subprocess.run(["podman", "network", "rm", "-f", name], capture_output=True)
        subprocess.run(["podman", "rmi", "-f", IMAGE], capture_output=True)
        subprocess.run(["ip", "netns", "del", name], check=True)


async def test_root_installs_the_rules_and_everything_is_closed(machine: Machine) -> None:
    before = await asyncio.to_thread(machine.doctor)
    found = {line.split()[0] for line in before.all("open")}
    assert found == {"gateway", "vm", "sibling", "ipv6"}
    assert f"vm the VM itself ({ADDRESS}), port 2222" in before.all("open")

    rules = await asyncio.to_thread(machine.ask, "rules", "podman", machine.network)
    assert rules.get("rootless") == "0"
    loaded = [
        machine.enter("nft", "-f", "-", input=base64.b64decode(rules.get(word)))
        for word in ("whole", "plain")
    ]
    assert 0 in [one.returncode for one in loaded], loaded

    after = await asyncio.to_thread(machine.doctor)
    assert after.all("open") == ()
    assert {line.split()[0] for line in after.all("shut")} == {"outside", "gateway", "vm", "sibling", "ipv6"}

    # The image has no curl: what is told is that it got as far as to look for it.
    assert ("nocurl", "") in (await asyncio.to_thread(machine.reach)).lines


async def test_before_root_installed_the_rules_no_host_is_asked(machine: Machine) -> None:
    with pytest.raises(Refused) as caught:
        await asyncio.to_thread(machine.reach)
    assert caught.value.code == "network_open"
    listed = subprocess.run(
        ["podman", "ps", "-aq", "--filter", "label=sm.probe"], capture_output=True, check=True
    )
    assert listed.stdout == b""
