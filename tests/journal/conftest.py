"""Both adapters under one name, and small makers of rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from sm.journal.claim import this_process
from sm.journal.protocol import Journal
from sm.journal.rows import Batch, NewCommand, NewEvent
from sm.journal.sqlite import AioSqliteJournal, InlineSqliteJournal

Opener = Callable[..., Awaitable[Journal]]


async def open_aio(path: Path, **how) -> Journal:
    return await AioSqliteJournal.open(path, **how)


async def open_inline(path: Path, **how) -> Journal:
    return InlineSqliteJournal.open(path, **how)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture(params=[open_aio, open_inline], ids=["aiosqlite", "inline"])
async def opener(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    """Open journals with one of the adapters; all are closed at the end."""
    opened: list[Journal] = []

    async def open_one(path: Path, **how) -> Journal:
        journal = await request.param(path, **how)
        opened.append(journal)
        return journal

    yield open_one
    for journal in opened:
        await journal.close()


@pytest.fixture
async def journal(opener: Opener, path: Path) -> Journal:
    """A new journal, held under epoch 1."""
    journal = await opener(path)
    await journal.claim(this_process())
    return journal


def new_event(
    seq: int, *, stream: str = "session:a", key: str | None = None, payload: str = "{}"
) -> NewEvent:
    return NewEvent(
        seq=seq,
        stream=stream,
        kind="test.happened",
        version=1,
        recorded_at_ms=1_000 + seq,
        cause=None,
        key=key,
        payload=payload,
        state_after="ready",
    )


def new_command(seq: int, index: int = 0, *, stream: str = "session:a", lane: str = "chat:c") -> NewCommand:
    return NewCommand(
        id=f"{stream}/{seq}/{index}",
        stream=stream,
        seq=seq,
        index=index,
        kind="test.do",
        version=1,
        payload="{}",
        lane=lane,
    )


def batch(
    *events: NewEvent, commands: tuple[NewCommand, ...] = (), settled: tuple[tuple[str, int], ...] = ()
):
    return Batch(events=events, commands=commands, settled=settled)


async def all_events(journal: Journal, **where):
    return [event async for page in journal.read(**where) for event in page]


async def all_commands(journal: Journal, **where):
    return [command async for page in journal.commands(**where) for command in page]
