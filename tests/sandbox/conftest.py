"""What the tests of the sandbox's OPNsense share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from opnsense_kit import Client, appliance


@pytest.fixture
async def firewall() -> AsyncIterator[Client]:
    async with appliance() as client:
        yield client
