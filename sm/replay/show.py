"""The story of a stream, one line an event."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from sm.core.fold import initial
from sm.journal.codec import decode_command, decode_event
from sm.journal.errors import JournalError
from sm.journal.protocol import Journal
from sm.journal.rows import StoredCommand, StoredEvent
from sm.replay.find import Session
from sm.replay.summaries import printable, summary
from sm.replay.times import utc


async def story(journal: Journal, stream: str) -> AsyncIterator[str]:
    """Yield a line for each event of the stream: seq, time, state before → after, what, and what it caused."""
    state = initial(stream).name
    async for page in journal.read(stream=stream):
        caused = await commands_of(journal, page, stream=stream, after=page[0].seq - 1)
        for row in page:
            yield _line(row, state, caused.get(row.seq, []))
            state = row.state_after


async def commands_of(
    journal: Journal, page: Sequence[StoredEvent], *, stream: str | None, after: int
) -> dict[int, list[StoredCommand]]:
    """Answer the commands above seq `after` up to the page's last event, by the seq that caused them.

    They are read after the page, so that none of its events was committed later than they were looked for.
    """
    found: dict[int, list[StoredCommand]] = {}
    last = page[-1].seq
    async for commands in journal.commands(after_seq=after, stream=stream):
        for command in commands:
            if command.seq > last:
                return found
            found.setdefault(command.seq, []).append(command)
    return found


def _line(row: StoredEvent, before: str, caused: Sequence[StoredCommand]) -> str:
    try:
        said = summary(decode_event(row.kind, row.version, row.payload))
    except JournalError:
        said = f"(version {row.version}: this program can't read it)"
    effects = "; ".join(_effect(command) for command in caused)
    return (
        f"{row.seq:>6}  {utc(row.recorded_at_ms)}  {printable(row.kind)}"
        + (f": {said}" if said else "")
        + f"  [{printable(before)} → {printable(row.state_after)}]"
        + (f"  ⇒ {effects}" if effects else "")
    )


def _effect(row: StoredCommand) -> str:
    try:
        said = summary(decode_command(row.kind, row.version, row.payload))
    except JournalError:
        said = f"(version {row.version})"
    outcome = "outstanding" if row.settled_by is None else f"reported by {row.settled_by}"
    return f"{row.index}: {printable(row.kind)}" + (f" {said}" if said else "") + f" ({outcome})"


def table(sessions: Sequence[Session]) -> list[str]:
    """Lay out the list of sessions."""
    if not sessions:
        return ["No session in this journal."]
    head = ("SESSION", "CHANNEL", "REPOSITORY", "STATE", "STARTED", "ENDED", "EVENTS")
    rows = [
        (
            one.id,
            one.channel or "-",
            one.repository or "-",
            one.state,
            utc(one.started_ms),
            "-" if one.ended_ms is None else utc(one.ended_ms),
            str(one.events),
        )
        for one in sessions
    ]
    return columns(head, rows)


def columns(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lay out rows under their heads."""
    safe = [tuple(map(printable, row)) for row in (head, *rows)]
    widths = [max(len(row[column]) for row in safe) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in safe
    ]
