"""A journal in memory or on disk with a writer at work, stopped after the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from chat_kit import Bench, Town
from engine_kit import Engine, ManualClock
from wall_kit import Wall

StartEngine = Callable[..., Awaitable[Engine]]


@pytest.fixture
async def start_engine() -> AsyncIterator[StartEngine]:
    """Start an engine; all are stopped at the end."""
    started: list[Engine] = []

    async def start(*args: Any, **how: Any) -> Engine:
        engine = await Engine.start(*args, **how)
        started.append(engine)
        return engine

    yield start
    for engine in started:
        await engine.crash()


@pytest.fixture
async def engine(start_engine: StartEngine) -> Engine:
    """An engine over a journal in memory."""
    return await start_engine()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal on disk lies."""
    return tmp_path / "journal.db"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def town(http: aiohttp.ClientSession) -> AsyncIterator[Town]:
    """The sandbox's Mattermost on loopback."""
    town = Town(http)
    await town.peer.start()
    yield town
    await town.peer.stop()


@pytest.fixture
async def start_bench(
    start_engine: StartEngine, town: Town
) -> AsyncIterator[Callable[..., Awaitable[Bench]]]:
    """Start an engine before the town, with all that the chat needs; all are stopped at the end."""
    started: list[Bench] = []

    async def start(*args: Any, dispatch: bool = True, **how: Any) -> Bench:
        how.setdefault("clock", ManualClock(flows=True))
        bench = Bench(await start_engine(*args, **how), town)
        started.append(bench)
        return await bench.start(dispatch=dispatch)

    yield start
    for bench in started:
        await bench.stop()


@pytest.fixture
async def bench(start_bench: Callable[..., Awaitable[Bench]]) -> Bench:
    """One of them over a journal in memory."""
    return await start_bench()


@pytest.fixture
async def bare_wall(http: aiohttp.ClientSession, path: Path) -> AsyncIterator[Wall]:
    """The sandbox's firewall, and nobody before it yet; the journal is on disk, so that it can be begun again."""
    wall = Wall(http, path)
    await wall.peer.start()
    yield wall
    await wall.crash()
    await wall.peer.stop()


@pytest.fixture
async def wall(http: aiohttp.ClientSession) -> AsyncIterator[Wall]:
    """The same with an engine at work, over a journal in memory."""
    wall = Wall(http)
    await wall.peer.start()
    await wall.start()
    yield wall
    await wall.crash()
    await wall.peer.stop()
