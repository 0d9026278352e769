"""The specification's second conversation, sarah's: OpenSSH, rootless podman and the real CLI, word for word."""

from __future__ import annotations

import pytest
from need import needs
from real_kit import Rig

from sm.sandbox.demo import second

pytestmark = [
    needs("sshd", "podman", "claude"),
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


async def test_sarahs_conversation_happens_word_for_word(rig: Rig) -> None:
    async with rig.talk() as talk:
        played = await second.play(talk.room, rig.sandbox.environment())
    assert len(played.facts) == 4
