"""Variants of the example conversation that change what is said: decisions, long answers, a stop, a refused key."""

from __future__ import annotations

import json

import pytest
from need import needs
from real_kit import Rig, until

pytestmark = [
    needs("sshd", "podman", "claude"),
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]

APPROVE, DENY = "✅ Approve", "❌ Deny"


async def test_a_stop_in_mid_turn_ends_the_agent_and_what_it_runs(rig: Rig) -> None:
    async with rig.talk() as talk:
        session = await talk.start()
        await talk.say("sleep 77")

        async def sleeps() -> str:
            return await rig.vm.run("pgrep -f '[s]leep 77' || true")

        await until("the agent's tool runs", sleeps)
        await talk.stop()
        assert not await sleeps()
        assert (await rig.vm.state())["containers"] == []
        lines = (talk.generation(session) / "out").read_text().splitlines()
        results = [line for line in map(json.loads, lines) if line["type"] == "result"]
        assert [line["terminal_reason"] for line in results] == ["aborted_tools"]
        assert (rig.vm.repos / "github.com/acme/webapp/README.md").exists()


async def test_a_denied_request_is_told_to_the_agent_and_leaves_the_firewall_shut(rig: Rig) -> None:
    async with rig.talk() as talk:
        await talk.start()
        await talk.say("please open crates.io")
        await talk.decide(await talk.card("crates.io"), DENY, "❌ `crates.io` denied by @james")
        await talk.sees("Understood: I go on without crates.io.")
        firewall = await talk.room.state("opnsense")
        assert "crates.io" not in json.dumps(firewall["aliases"])
        await talk.stop()


async def test_two_requests_in_a_row_are_decided_each_for_itself(rig: Rig) -> None:
    async with rig.talk() as talk:
        await talk.start()
        await talk.say("please open example.com")
        first = await talk.card("example.com")
        await talk.say("please open cafe.de")
        second = await talk.card("cafe.de")
        await talk.decide(second, DENY, "❌ `cafe.de` denied by @james")
        await talk.sees("Understood: I go on without cafe.de.")
        await talk.decide(first, APPROVE, "✅ `example.com` approved by @james")
        await talk.sees("[NETWORK_APPROVED: example.com]")
        await talk.say("run curl -s -o /dev/null -w '%{http_code}' --max-time 10 https://example.com/")
        await talk.sees("\n200")
        await talk.say("run curl -s -o /dev/null --max-time 2 https://cafe.de/; echo status $?")
        await talk.sees("\nstatus 28")
        await talk.stop()


async def test_a_long_answer_arrives_whole_in_posts_that_mattermost_takes(rig: Rig) -> None:
    async with rig.talk() as talk:
        await talk.start()
        await talk.say("long 60000")
        await talk.answers("and now?")
        posts = [line.removeprefix("claude: ") for line in talk.said if line.startswith("claude: ")]
        text = "\n".join(posts)
        numbers = [line.split()[0] for line in posts if line.startswith("line_")]
        assert len(numbers) == len(set(numbers)) > 1000
        assert numbers == sorted(numbers, key=lambda name: [int(part) for part in name.split("_")[1:]])
        assert text.count("```python") == text.count("```") / 2
        await talk.stop()


async def test_a_refused_key_is_said_and_the_session_goes_on_when_it_is_mended(rig: Rig) -> None:
    async with rig.talk() as talk:
        await talk.start()
        await rig.control("POST", "faults", {"peer": "agent", "fault": "api_401", "times": None})
        await talk.say("good morning")
        failed = await talk.sees("⚠️ The agent's turn ended with an error")
        assert "401" in failed.text or "401" in "\n".join(talk.said)
        await rig.control("DELETE", "faults")
        await talk.answers("good evening")
        await talk.stop()
