"""What the tests of the alias's client share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from alias_kit import Bench
from firewall import Firewall


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    firewall = Firewall()
    await firewall.start()
    async with aiohttp.ClientSession() as http:
        yield Bench(firewall, http)
    await firewall.stop()
