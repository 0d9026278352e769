"""A scripted server over a real socket, and the sandbox's Mattermost."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from sm.mattermost.client import MattermostClient
from sm.sandbox.faults import Faults
from sm.sandbox.mattermost.peer import MattermostPeer

from .kit import TOKEN, Script, Waits, serving


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    it = Script()
    async with serving(it.handle) as url:
        it.url = url
        yield it


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def client(http: aiohttp.ClientSession, script: Script, waits: Waits) -> MattermostClient:
    return MattermostClient(http, script.url, TOKEN, sleep=waits, timeout_s=5)


@pytest.fixture
async def peer() -> AsyncIterator[MattermostPeer]:
    it = MattermostPeer(Faults())
    await it.start()
    yield it
    await it.stop()


@pytest.fixture
def bot(http: aiohttp.ClientSession, peer: MattermostPeer, waits: Waits) -> MattermostClient:
    return MattermostClient(http, peer.url, peer.bot_token, sleep=waits)


@pytest.fixture
def james(http: aiohttp.ClientSession, peer: MattermostPeer) -> MattermostClient:
    return MattermostClient(http, peer.url, peer.james_token)
