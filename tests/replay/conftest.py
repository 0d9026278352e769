"""A journal of a short conversation, written by the real writer with the real rules."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from sm.core import streams
from sm.core.events import (
    AgentStarted,
    ChannelJoined,
    Event,
    Intent,
    LineReceived,
    MessageReceived,
    NetworkDecided,
    Placement,
    PostSent,
    RepositoryPrepared,
)
from sm.engine.recovery import recover
from sm.engine.writer import Submission, Writer
from sm.journal.claim import this_process
from sm.journal.masking import Masker
from sm.journal.sqlite import InlineSqliteJournal

FIRST = "abc12345-0000-4000-8000-000000000001"
SECOND = "abd67890-0000-4000-8000-000000000002"


class StandingClock:
    def now_ms(self) -> int:
        return 1_700_000_000_123

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits here")


def message(post: str, text: str, *, channel: str, intent: Intent, session: str = "") -> MessageReceived:
    place = None
    if session:
        place = Placement(
            session, "vm1", "allowed", "podman", "claude-code:latest", "isolated", "bypassPermissions"
        )
    return MessageReceived(post, channel, "u1", "james", text, 0, True, 0, 1, intent, place)


def conversation(channel: str, session: str, org: str) -> list[tuple[str, Event]]:
    of_channel, of_session = streams.channel(channel), streams.session(session)
    start, talk = Intent("start", org, "webapp"), Intent("text")
    return [
        (of_channel, ChannelJoined(channel, "claude-project", None)),
        (
            of_channel,
            message(f"{channel}-p1", f"start {org}/webapp", channel=channel, intent=start, session=session),
        ),
        (of_session, RepositoryPrepared("/w", "main", "0" * 40, "/m", True)),
        (of_session, AgentStarted(1, "cid")),
        (of_session, PostSent("x", channel, "b1")),
        (of_channel, message(f"{channel}-p2", "add pytest\x1b[31m\u202e", channel=channel, intent=talk)),
        (of_session, LineReceived(1, 0, 3, "\x1b[2J no json")),
        (of_channel, message(f"{channel}-p3", "stop", channel=channel, intent=Intent("stop"))),
        (streams.alias("allowed"), NetworkDecided("approve", channel, "u1", "james", "button", "card", "r")),
    ]


async def record(journal: InlineSqliteJournal, events: list[tuple[str, Event]]) -> None:
    """Append events through the engine's own writer, from where the journal is."""
    recovered = await recover(journal)
    fatal: list[BaseException] = []
    claim = await journal.claim(this_process())
    writer = Writer(
        journal,
        epoch=claim.epoch,
        clock=StandingClock(),
        masker=Masker(),
        states=recovered.states,
        last_seq=recovered.last_seq,
        last_ms=recovered.last_ms,
        on_fatal=fatal.append,
    )
    running = asyncio.create_task(writer.run())
    for stream, event in events:
        await writer.submit(Submission(stream, lambda _state, event=event: event))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await journal.release(claim.epoch)
    assert not fatal


def write(path: Path, events: list[tuple[str, Event]]) -> None:
    """Append events to a journal that nobody has open."""

    async def run() -> None:
        async with InlineSqliteJournal.open(path) as journal:
            await record(journal, events)

    asyncio.run(run())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def recorded(path: Path) -> Path:
    """A journal of two sessions in two channels; no connection is left open."""
    write(path, [*conversation("c1", FIRST, "acme"), *conversation("c2", SECOND, "other")])
    return path


@pytest.fixture
def change_journal(path: Path) -> Callable[..., None]:
    """Change the file behind the journal's back."""

    def run(*statements: str) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        for statement in statements:
            connection.execute(statement)
        connection.close()

    return run


@pytest.fixture
def change(recorded: Path, change_journal: Callable[..., None]) -> Callable[..., None]:
    """The same, with a conversation recorded before."""
    assert recorded.exists()
    return change_journal


def rehash(path: Path) -> None:
    """Write the hashes anew, as somebody would who knows the formulas."""
    from sm.journal import sql
    from sm.journal.hashing import GENESIS, chain_hash, content_hash
    from sm.journal.rows import StoredEvent

    connection = sqlite3.connect(path, isolation_level=None)
    previous = GENESIS
    for values in connection.execute(sql.READ_ALL, (0,)).fetchall():
        row = StoredEvent(*values)
        content = content_hash(row)
        previous = chain_hash(previous, row.seq, row.stream, content)
        connection.execute(
            "UPDATE events SET content_hash = ?, chain_hash = ? WHERE seq = ?", (content, previous, row.seq)
        )
    connection.close()
