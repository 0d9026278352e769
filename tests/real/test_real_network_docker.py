"""The agents' network under docker: root's rules on its bridge, without which no agent is started."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from need import needs
from real_kit import Rig, until

from sm.sandbox.network.netns import BOX_ADDRESS
from sm.vm import Vm

RUNTIME = "docker"
pytestmark = [
    needs("sshd", "docker", "claude"),
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(loop_scope="module")
async def without_rules(rig: Rig) -> AsyncIterator[None]:
    """As before root installed them."""
    listed = subprocess.run(
        rig.vm.gate.wrap(["nft", "-j", "list", "tables"]), capture_output=True, check=True
    )
    for one in json.loads(listed.stdout)["nftables"]:
        if (table := one.get("table")) and table["name"].startswith("sm_"):
            subprocess.run(
                rig.vm.gate.wrap(["nft", "delete", "table", table["family"], table["name"]]), check=True
            )
    yield
    await rig.vm.install_rules()


async def test_with_the_rules_an_agent_is_started_and_the_doctor_finds_everything_closed(rig: Rig) -> None:
    async with rig.talk() as talk:
        await talk.start()
        await talk.stop()
    done = await rig.vm.doctor("network")
    assert (done.returncode, done.stderr) == (0, "")
    for text in (
        "closed  example.com:443, a host outside the alias",
        f"closed  the VM itself ({BOX_ADDRESS})",
        "closed  the network's gateway (172.30.213.1)",
        "closed  another container (172.30.213.",
    ):
        assert text in done.stdout
    assert await rig.vm.run("docker ps -aq") == ""


async def test_what_the_firewall_lets_through_is_reached_and_nothing_else(rig: Rig, vm: Vm) -> None:
    found = await vm.network.reach("api.anthropic.com", within_s=20)
    assert (found.state, found.detail) == ("reachable", "")
    found = await vm.network.reach("example.com", within_s=4)
    assert (found.state, found.detail) == ("unreachable", "Nothing answered on port 443.")
    assert await rig.vm.run("docker ps -aq") == ""


async def test_what_a_power_cut_left_of_such_a_container_is_removed_later(rig: Rig, vm: Vm) -> None:
    labels = "--label sm.probe=x --label sm.until=1700000000"
    await rig.vm.run(f"docker create --network none {labels} {rig.vm.docker.image} true")
    await vm.network.reach("api.anthropic.com", within_s=20)

    async def gone() -> bool:
        return await rig.vm.run("docker ps -aq") == ""

    await until("it is gone", gone, 20)


async def test_without_the_rules_nothing_is_asked(rig: Rig, vm: Vm, without_rules: None) -> None:
    found = await vm.network.reach("api.anthropic.com", within_s=20)
    assert found.state == "unknown"
    assert "sm doctor rules" in found.detail
    assert await rig.vm.run("docker ps -aq") == ""


async def test_without_the_rules_nothing_is_started_and_they_are_named(rig: Rig, without_rules: None) -> None:
    async with rig.talk() as talk:
        await talk.say("@claude start acme/webapp")
        text = (await talk.sees("❌ Could not start the container.")).text
        assert "can be reached" in text
        assert "sm doctor rules" in text

        async def gone() -> bool:  # the two that tried it end with their input
            return (await rig.vm.state())["containers"] == []

        await until("the trial's containers are gone", gone, 20)
    done = await rig.vm.doctor("network")
    assert done.returncode == 1
    assert "OPEN    the network's gateway (172.30.213.1)" in done.stdout
    assert "OPEN    another container (172.30.213." in done.stdout
    assert "sm doctor rules" in done.stderr
