"""docker on the VM: the example conversation, who the agent is there, and its limits."""

from __future__ import annotations

import json

import pytest
from need import needs
from real_kit import Rig

from sm.sandbox.demo import example

RUNTIME = "docker"
pytestmark = [
    needs("sshd", "docker", "claude"),
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


async def test_the_example_conversation_happens_word_for_word_in_docker(rig: Rig) -> None:
    async with rig.talk() as talk:
        played = await example.play(talk.room, talk.sessions)
    assert len(played.facts) == 5


async def test_the_agent_in_docker_is_the_vms_user_without_privileges_and_within_limits(rig: Rig) -> None:
    async with rig.talk() as talk:
        session = await talk.start()
        await talk.say("run touch made && id -u && grep -E 'CapEff|NoNewPrivs' /proc/self/status")
        await talk.sees(f"\n{rig.vm.user.pw_uid}\n")
        assert "0000000000000000" in "\n".join(talk.said)
        assert "NoNewPrivs:\t1" in "\n".join(talk.said)
        made = rig.vm.repos / "github.com/acme/webapp/made"
        assert (made.stat().st_uid, made.stat().st_gid) == (rig.vm.user.pw_uid, rig.vm.user.pw_gid)
        (box,) = json.loads(await rig.vm.run(f"docker inspect claude-{session}"))
        host = box["HostConfig"]
        assert (host["Memory"], host["PidsLimit"]) == (4 << 30, 512)
        # Debian 12's docker keeps the word as it was given.
        dropped = [capability.upper() for capability in host["CapDrop"]]
        assert (host["Privileged"], dropped) == (False, ["ALL"])
        assert not [bind for bind in host["Binds"] if "docker.sock" in bind]
        await talk.stop()


async def test_an_agent_killed_in_docker_is_started_again_with_the_conversation_so_far(rig: Rig) -> None:
    async with rig.talk() as talk:
        session = await talk.start()
        await talk.answers("the word is tangerine")
        await rig.vm.run(f"docker kill claude-{session}")
        await talk.sees("✅ Back, with the conversation so far.")
        await talk.answers("good evening")
        conversations = (await talk.room.state("agent"))["conversations"].values()
        assert ["the word is tangerine", "good evening"] in conversations
        await talk.stop()


async def test_a_missing_image_is_named_with_dockers_command(rig: Rig) -> None:
    async with rig.talk(SM_CONTAINER_IMAGE="other:2") as talk:
        await talk.say("@claude start acme/webapp")
        assert "docker build -t other:2 ." in (await talk.sees("❌ Could not prepare")).text
