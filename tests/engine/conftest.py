"""A journal in memory or on disk with a writer at work, stopped after the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from engine_kit import Engine

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
