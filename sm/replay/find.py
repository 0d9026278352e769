"""Find streams and sessions in a journal."""

from __future__ import annotations

from typing import TypeVar

from attrs import frozen

from sm.core import streams
from sm.core.events import ChannelJoined, Event, SessionRequested
from sm.core.tables import SESSION_ENDED
from sm.journal.codec import decode_event
from sm.journal.errors import JournalError
from sm.journal.protocol import Journal
from sm.journal.rows import StreamSummary
from sm.replay.errors import ReplayError

_CONTAINER_PREFIX = "claude-"
_NAMED = 5
E = TypeVar("E", bound=Event)


@frozen
class Session:
    """One session as the list shows it; times are milliseconds since 1970, `ended_ms` None while it lives."""

    id: str
    channel: str
    repository: str
    state: str
    started_ms: int
    ended_ms: int | None
    events: int


async def sessions(journal: Journal) -> list[Session]:
    """Answer all sessions, by their first event."""
    summaries = {summary.stream: summary for summary in await journal.streams()}
    found: list[Session] = []
    for summary in summaries.values():
        if not summary.stream.startswith("session:"):
            continue
        requested = await _early(journal, summary, SessionRequested)
        channel = "" if requested is None else requested.channel_id
        found.append(
            Session(
                id=streams.id_of(summary.stream),
                channel=await _channel_name(journal, summaries.get(streams.channel(channel)), channel),
                repository="" if requested is None else f"{requested.org}/{requested.repo}",
                state=summary.state,
                started_ms=summary.first_at_ms,
                ended_ms=summary.state_since_ms if summary.state in SESSION_ENDED else None,
                events=summary.events,
            )
        )
    return found


async def _channel_name(journal: Journal, summary: StreamSummary | None, channel: str) -> str:
    joined = None if summary is None else await _early(journal, summary, ChannelJoined)
    return channel if joined is None or not joined.name else f"{joined.name} ({channel})"


async def _early(journal: Journal, summary: StreamSummary, wanted: type[E]) -> E | None:
    """Answer a stream's first event of its own, which stands right behind `stream.opened`."""
    for seq in (summary.first_seq, summary.first_seq + 1):
        row = await journal.event(seq)
        if row is None or row.stream != summary.stream or row.kind != wanted.KIND:
            continue
        try:
            event = decode_event(row.kind, row.version, row.payload)
        except JournalError:
            return None
        return event if isinstance(event, wanted) else None
    return None


async def resolve(journal: Journal, name: str) -> str:
    """Answer the stream that a person means: a session's id, a unique beginning of it, its container's name,
    or any stream's own name. Raises `ReplayError`.
    """
    known = [summary.stream for summary in await journal.streams()]
    if name in known:
        return name
    wanted = name.removeprefix("session:").removeprefix(_CONTAINER_PREFIX)
    if streams.session(wanted) in known:
        return streams.session(wanted)
    matches = [stream for stream in known if wanted and stream.startswith(streams.session(wanted))]
    if len(matches) == 1:
        return matches[0]
    if matches:
        several = ", ".join(streams.id_of(stream) for stream in matches[:_NAMED])
        more = f" and {len(matches) - _NAMED} more" if len(matches) > _NAMED else ""
        raise ReplayError(f"{name!r} begins several sessions: {several}{more}. Write more of the id.")
    others = ", ".join(stream for stream in known if not stream.startswith("session:"))
    hint = f" Other streams: {others[:500]}." if others else ""
    raise ReplayError(f"There is no session {name!r} in this journal; `sessions` lists them.{hint}")
