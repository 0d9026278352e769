"""Web search works freely: the real CLI has the API search, and nobody is asked for a host."""

from __future__ import annotations

import pytest
from need import needs
from real_kit import Rig

pytestmark = [
    needs("sshd", "podman", "claude"),
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


async def test_a_web_search_needs_no_approval(rig: Rig) -> None:
    async with rig.talk() as talk:
        await talk.start()
        await talk.say("search OAuth2 best practices")
        await talk.sees("Found about OAuth2 best practices: https://example.com/")
        assert not [line for line in talk.said if "Network Request" in line]
        firewall = await talk.room.state("opnsense")
        assert firewall["aliases"]["llm_approved_domains"]["content"] == ["api.anthropic.com"]
        await talk.stop()
