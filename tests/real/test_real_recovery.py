"""An agent that dies, a connection that breaks, a VM that goes down: the conversation goes on, in the real CLI's own memory."""

from __future__ import annotations

import pytest
from need import needs
from real_kit import Rig, Talk

pytestmark = [
    needs("sshd", "podman", "claude"),
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


async def _remembers(talk: Talk, *words: str) -> None:
    """The agent's next request repeats these words of people, in order, before the new ones."""
    await talk.answers("good evening")
    conversations = (await talk.room.state("agent"))["conversations"].values()
    (conversation,) = [texts for texts in conversations if texts[-1] == "good evening" and words[0] in texts]
    assert [text for text in conversation if text in words] == list(words)


async def test_a_killed_container_is_started_again_with_the_conversation_so_far(rig: Rig) -> None:
    async with rig.talk() as talk:
        session = await talk.start()
        await talk.answers("the word is tangerine")
        await rig.vm.run(f"podman kill claude-{session}")
        await talk.sees("⚠️ The agent ended (exit status `137`)")
        await talk.sees("✅ Back, with the conversation so far.")
        await _remembers(talk, "the word is tangerine")
        await talk.stop()


async def test_an_agent_that_dies_in_mid_turn_is_said_to_be_cut_off_and_remembers(rig: Rig) -> None:
    async with rig.talk() as talk:
        await talk.start()
        await talk.answers("the word is quince")
        await talk.say("die")
        ended = await talk.sees("⚠️ The agent ended")
        assert "write `continue`" in ended.text
        await talk.sees("✅ Back, with the conversation so far.")
        # The CLI writes its transcript a moment later: of what killed it, it may know nothing, which the chat allowed for.
        await _remembers(talk, "the word is quince")
        await talk.stop()


async def test_a_broken_connection_in_mid_turn_loses_nothing_and_repeats_nothing(rig: Rig) -> None:
    async with rig.talk() as talk:
        await talk.start()
        await talk.say("run sleep 3; echo one two three")
        await talk.told("run sleep 3")
        rig.vm.cut()
        await talk.sees("one two three")
        await talk.answers("still there?")
        assert talk.said.count("claude: one two three") == 1
        assert "⚠️" not in "\n".join(talk.said)
        await talk.stop()


async def test_after_a_power_cut_of_the_vm_the_conversation_goes_on(rig: Rig) -> None:
    async with rig.talk() as talk:
        await talk.start()
        await talk.answers("the word is medlar")
        await rig.vm.power_cut()
        await talk.sees("⚠️ The agent was cut off: the VM restarted")
        await talk.sees("✅ Back, with the conversation so far.")
        await _remembers(talk, "the word is medlar")
        await talk.stop()


async def test_after_every_process_of_the_vms_user_was_killed_the_conversation_goes_on(rig: Rig) -> None:
    """As `loginctl terminate-user` does it, or a machine out of memory: podman's own state stays as it was."""
    async with rig.talk() as talk:
        await talk.start()
        await talk.answers("the word is damson")
        await rig.vm.kill_everything()
        await talk.sees("⚠️ The agent")
        await talk.sees("✅ Back, with the conversation so far.")
        await _remembers(talk, "the word is damson")
        await talk.stop()
        assert (await rig.vm.state())["containers"] == []
