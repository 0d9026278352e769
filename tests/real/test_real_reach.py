"""A host's port 443, asked from where the agents are, under rootless podman: what that leaves as it was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from need import needs
from real_kit import Rig, until

from sm.core.outcome import Unreachable
from sm.vm import Vm

OPEN, SHUT = "api.anthropic.com", "example.com"
RULES = "podman unshare --rootless-netns /usr/sbin/nft list tables 2>/dev/null || true"
pytestmark = [
    needs("sshd", "podman", "claude"),
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


async def probes(rig: Rig) -> list[str]:
    """The containers that ask."""
    return (await rig.vm.run("podman ps -aq --filter label=sm.probe")).split()


async def asking(rig: Rig) -> bool:
    """Whether such a container is at it."""
    return "curl" in await rig.vm.run("ps -u $(id -un) -o comm=")


async def test_beside_an_agent_it_leaves_the_agent_and_its_rules(rig: Rig, vm: Vm) -> None:
    async with rig.talk() as talk:
        await talk.start()
        found = await vm.network.reach(OPEN, within_s=20)
        assert (found.state, found.detail) == ("reachable", "")
        found = await vm.network.reach(SHUT, within_s=4)
        assert (found.state, found.detail) == ("unreachable", "Nothing answered on port 443.")
        assert await probes(rig) == []
        assert "table inet sm_podman" in await rig.vm.run(RULES)
        await talk.answers("still here?")
        await talk.stop()


async def test_a_host_that_is_opened_meanwhile_is_reached(rig: Rig, vm: Vm) -> None:
    asked = asyncio.create_task(vm.network.reach("example.org", within_s=60))
    await until("it is asked", lambda: asking(rig))
    await rig.control("POST", "opnsense/edit", {"add": ["example.org"]})
    assert (await asked).state == "reachable"


async def test_nothing_is_asked_before_the_rules_are_there(rig: Rig, vm: Vm) -> None:
    """No agent has made the namespace: the container that asks is the first in it."""
    assert "table inet sm_podman" not in await rig.vm.run(RULES)
    asked = asyncio.create_task(vm.network.reach(SHUT, within_s=20))
    await until("it is asked", lambda: asking(rig))
    assert "table inet sm_podman" in await rig.vm.run(RULES)
    with powerless(rig):
        found = await vm.network.reach(OPEN, within_s=20)
    assert found.state == "unknown"
    assert "can be reached" in found.detail
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)


async def test_it_ends_when_the_connection_breaks_and_when_it_is_given_up(rig: Rig, vm: Vm) -> None:
    asked = asyncio.create_task(vm.network.reach(SHUT, within_s=120))
    await until("it is asked", lambda: asking(rig))
    rig.vm.cut()
    with pytest.raises(Unreachable):
        await asked

    async def gone() -> bool:
        return not await probes(rig)

    await until("the container is gone", gone, 20)
    asked = asyncio.create_task(vm.network.reach(SHUT, within_s=120))
    await until("it is asked", lambda: asking(rig))
    asked.cancel()
    await until("the container is gone", gone, 20)
    assert "curl" not in await rig.vm.run("ps -u $(id -un) -o comm=")


async def test_a_start_beside_many_that_end_is_not_disturbed(rig: Rig, vm: Vm) -> None:
    """Each that ends may be the last container whose network is up, and podman takes the namespace down with it."""
    async with rig.talk() as talk:
        asked = [asyncio.create_task(vm.network.reach(OPEN, within_s=30)) for _ in range(4)]
        await talk.start()
        assert {one.state for one in await asyncio.gather(*asked)} == {"reachable"}
        await talk.stop()


async def test_what_a_power_cut_left_of_such_a_container_is_removed_later(rig: Rig, vm: Vm) -> None:
    made = "podman create --network none --label sm.probe=x --label sm.until={} claude-code:latest true"
    left = (await rig.vm.run(made.format(1700000000))).split()[-1]
    kept = (await rig.vm.run(made.format(99999999999))).split()[-1]
    await vm.network.reach(OPEN, within_s=20)

    async def gone() -> bool:
        found = await probes(rig)
        return kept[:12] in found and left[:12] not in found

    await until("the old one is gone", gone, 20)
    await rig.vm.run(f"podman rm {kept}")


@contextlib.contextmanager
def powerless(rig: Rig) -> Iterator[None]:
    """An nft that says yes and takes all tables away."""
    tool = rig.vm.disk / "nft"
    tool.write_text("#!/bin/sh\nexec /usr/sbin/nft flush ruleset\n")
    tool.chmod(0o755)
    rig.vm.write_profile(more=f'PATH="{rig.vm.disk}:$PATH"')
    yield
    rig.vm.write_profile()
    tool.unlink()
