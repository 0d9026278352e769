"""The specification's example conversation: OpenSSH, rootless podman and the real CLI, word for word."""

from __future__ import annotations

import pytest
from need import needs
from real_kit import Rig

from sm.sandbox.demo import example

pytestmark = [
    needs("sshd", "podman", "claude"),
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


async def test_the_example_conversation_happens_word_for_word(rig: Rig) -> None:
    async with rig.talk() as talk:
        played = await example.play(talk.room, talk.sessions)
    assert len(played.facts) == 5
