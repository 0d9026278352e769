"""The agents' network under rootless podman: what stays on the VM is closed to them, or no agent is started."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from need import needs
from real_kit import Rig, Talk, until

from sm.sandbox.network.netns import BOX_ADDRESS

PORT = 2222
LISTENER = "import socket; s = socket.create_server(('0.0.0.0', %d)); print('up', flush=True)\nwhile True: s.accept()[0].close()"
TRY = "timeout 2 bash -c 'exec 3<>/dev/tcp/{0}/{1}' && echo reached || echo closed"
pytestmark = [
    needs("sshd", "podman", "claude"),
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest.fixture
def listener(rig: Rig) -> Iterator[None]:
    """A port of the VM's own, on every address of it."""
    command = rig.vm.gate.wrap([sys.executable, "-c", LISTENER % PORT])
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield
        process.kill()


@contextlib.contextmanager
def powerless(rig: Rig) -> Iterator[None]:
    """An nft that says yes and does nothing: the rules are never there."""
    tool = rig.vm.disk / "nft"
    tool.write_text("#!/bin/sh\nexit 0\n")
    tool.chmod(0o755)
    rig.vm.write_profile(more=f'PATH="{rig.vm.disk}:$PATH"')
    yield
    rig.vm.write_profile()
    tool.unlink()


async def tables(rig: Rig) -> str:
    return await rig.vm.run("podman unshare --rootless-netns /usr/sbin/nft list tables 2>/dev/null")


async def inside(rig: Rig, name: str, command: str) -> str:
    return (await rig.vm.run(f'podman exec {name} bash -c "{command}"')).strip()


async def address(rig: Rig, name: str) -> str:
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return (await rig.vm.run(f"podman inspect -f '{form}' {name}")).strip()


async def _refused(talk: Talk) -> str:
    await talk.say("@claude start acme/webapp")
    return (await talk.sees("❌ Could not start the container.")).text


async def test_an_agent_reaches_neither_the_vms_ports_nor_a_sibling_nor_ipv6(
    rig: Rig, listener: None
) -> None:
    async with rig.talk() as talk:
        first = f"claude-{await talk.start()}"
        await rig.vm.run(
            "podman run -d --rm --init --name neighbour --network isolated --userns=keep-id --pull=never "
            "claude-code:latest python3 -m http.server 8000"
        )
        neighbour = await address(rig, "neighbour")
        for place, port in ((BOX_ADDRESS, PORT), ("10.89.0.1", PORT), (neighbour, 8000), ("10.0.2.2", PORT)):
            assert await inside(rig, first, TRY.format(place, port)) == "closed", place
        assert await inside(rig, first, "cat /proc/net/if_inet6") == ""
        # … and it is the rules that close it:
        for family in ("inet", "bridge"):
            await rig.vm.run(
                f"podman unshare --rootless-netns /usr/sbin/nft delete table {family} sm_podman1"
            )
        for place, port in ((BOX_ADDRESS, PORT), (neighbour, 8000)):
            assert await inside(rig, "neighbour", TRY.format(place, port)) == "reached", place
        await rig.vm.run("podman rm -f -t 0 neighbour")
        await talk.stop()


async def test_the_rules_are_there_again_after_their_namespace_went_away(rig: Rig) -> None:
    async with rig.talk() as talk:
        await talk.start()
        assert "table inet sm_podman" in await tables(rig)
        await talk.stop()
        assert "table inet sm_podman" not in await tables(rig)
        await talk.start()
        assert "table inet sm_podman" in await tables(rig)
        await talk.stop()


async def test_without_rules_nothing_is_started_and_the_chat_says_what_is_open(rig: Rig) -> None:
    async with rig.talk() as talk:
        with powerless(rig):
            text = await _refused(talk)
        assert "can be reached" in text

        async def gone() -> bool:  # the two that tried it end with their input
            return (await rig.vm.state())["containers"] == []

        await until("the trial's containers are gone", gone, 20)
        await talk.start()  # … and with them it is
        await talk.stop()


async def test_the_doctor_finds_everything_closed(rig: Rig) -> None:
    done = await rig.vm.doctor("network")
    assert (done.returncode, done.stderr) == (0, "")
    for text in (
        "closed  example.com:443, a host outside the alias",
        f"closed  the VM itself ({BOX_ADDRESS})",
        "closed  the network's gateway (10.89.",
        "closed  another container (10.89.",
        "closed  IPv6: another container (fe80:",
        "closed  IPv6: the network's gateway (fe80:",
    ):
        assert text in done.stdout
    assert await rig.vm.run("podman ps -aq") == ""


async def test_the_doctor_is_loud_about_what_is_open(rig: Rig) -> None:
    with powerless(rig):
        done = await rig.vm.doctor("network")
        told = await rig.vm.doctor("network", "--json")
    assert done.returncode == told.returncode == 1
    assert f"OPEN    the VM itself ({BOX_ADDRESS})" in done.stdout
    assert "OPEN    another container (10.89." in done.stdout
    assert "OPEN    IPv6: another container (fe80:" in done.stdout
    assert "To close it: " in done.stderr
    answer = json.loads(told.stdout)
    assert answer["closed"] is False
    assert {"vm", "sibling", "gateway", "ipv6"} <= {
        one["kind"] for one in answer["findings"] if one["state"] == "open"
    }


async def test_a_host_that_the_firewall_lets_through_is_open_to_the_doctor(rig: Rig) -> None:
    done = await rig.vm.doctor("network", "--host", "api.anthropic.com:443")
    assert done.returncode == 1
    assert "OPEN    api.anthropic.com:443" in done.stdout
    assert "mend the rules of the OPNsense" in done.stderr


async def test_the_doctor_says_when_it_could_not_try(rig: Rig) -> None:
    unknown = await rig.vm.doctor("network", "--host", "nowhere.invalid:443")
    assert unknown.returncode == 2
    assert "could not be resolved" in unknown.stdout
    missing = await rig.vm.doctor("network", SM_CONTAINER_NETWORK="gone")
    assert missing.returncode == 2
    assert "podman network create gone" in missing.stderr


async def test_the_doctor_shows_the_rules_that_a_start_loads(rig: Rig) -> None:
    shown = await rig.vm.doctor("rules")
    assert shown.returncode == 0
    assert "apt-get install nftables" in shown.stdout
    assert "table inet sm_podman" in shown.stdout
