"""What was open at a time, as the journal had it then: each grant, by whom, until when, what for; and what is not ours."""

from __future__ import annotations

from collections.abc import Iterator

from sm.core import streams
from sm.core.alias import Grant
from sm.journal.protocol import Journal
from sm.replay import changes
from sm.replay.history import History, history
from sm.replay.records import AskRecord, GrantRecord
from sm.replay.show import columns
from sm.replay.summaries import excerpt
from sm.replay.times import utc
from sm.replay.why import alias_streams, not_open
from sm.replay.words import failure, until

HEAD = ("DOMAIN", "STATE", "UNTIL", "BY", "VIA", "DECIDED", "FOR")


async def net(journal: Journal, at_ms: int | None) -> list[str]:
    """Answer what each alias of the journal had open at a time, or at the end. Raises `ReplayError`."""
    lines: list[str] = []
    for stream in await alias_streams(journal):
        told = await history(journal, stream, at_ms)
        lines += [*([""] if lines else []), *_about(told, at_ms)]
    return lines


def _about(told: History, at_ms: int | None) -> Iterator[str]:
    at = f"at {utc(at_ms)}" if at_ms is not None else "at the end of the journal"
    if not told.last.seq:
        yield f"Of the alias {told.alias} nothing was recorded yet {at}."
        return
    yield f"The alias {told.alias} {at}, as recorded up to seq {told.last.seq} ({utc(told.last.at_ms)}):"
    yield from told.notes
    yield ""
    yield from _grants(told, at_ms)
    yield from (_withdrawn(told, grant) for grant in told.data.grants.values() if not grant.live)
    leaving = sorted(e.domain for e in told.data.entries.values() if e.ours and not told.data.live(e.domain))
    yield from (f"closing: {name}, which no decision holds any more" for name in leaving)
    yield from _foreign(told)
    yield from _troubles(told)


def _grants(told: History, at_ms: int | None) -> Iterator[str]:
    grants = sorted(told.data.live(), key=lambda grant: (grant.domain, grant.at_ms, grant.grant_id))
    if not grants:
        yield "Nothing was open by a decision."
        return
    yield from columns(HEAD, [_row(told, told.grants[grant.grant_id], at_ms) for grant in grants])


def _row(told: History, record: GrantRecord, at_ms: int | None) -> tuple[str, ...]:
    grant = record.grant
    over = " (over)" if at_ms is not None and 0 < grant.until_ms <= at_ms else ""
    return (
        grant.domain,
        _state(told, record),
        until(grant) + over,
        f"@{grant.user_name}",
        grant.via,
        f"{utc(grant.at_ms)} (seq {record.made.seq})",
        _wanted(told.asks.get(grant.request_id), grant),
    )


def _state(told: History, record: GrantRecord) -> str:
    domain, entry = record.grant.domain, told.data.entries.get(record.grant.domain)
    if entry is None or not told.data.is_open(domain):
        return f"not open: {not_open(told, domain)}"
    unsure = ", not confirmed" if entry.applied == "unknown" else ""
    return f"open{unsure}{'' if entry.ours else ', not by our hand'}"


def _withdrawn(told: History, grant: Grant) -> str:
    ended = told.grants[grant.grant_id].ended
    since = f" since seq {ended.seq} ({utc(ended.at_ms)})" if ended is not None else ""
    why = ended.text.removeprefix("withdrawn: ") if ended is not None else grant.reason
    return f"withdrawn: {grant.domain}{since}: {why}; @{grant.user_name} had allowed it via {grant.via}"


def _wanted(ask: AskRecord | None, grant: Grant) -> str:
    if ask is None:
        return "-"
    if ask.by_person:
        return f"@{grant.user_name}, nobody had asked"
    session = f"session {streams.short(ask.session_id)}"
    what = f": {excerpt(ask.reason or ask.doing)}" if ask.reason or ask.doing else ""
    return f"{session}{what}"


def _foreign(told: History) -> Iterator[str]:
    if told.data.foreign is None:
        yield "Not ours: unknown, the alias had not been read with a write or a look yet."
        return
    names = [name for name in told.data.foreign if not told.data.live(name)]
    if not names:
        yield "Not ours: nothing."
    for name in names:
        since = told.foreign[name][-1]
        by = since.text.removeprefix(changes.STANDS)
        yield f"not ours: {name}, since seq {since.seq} ({utc(since.at_ms)}): {by}"


def _troubles(told: History) -> Iterator[str]:
    data, stopped = told.data, told.quarantined
    if data.trouble:
        yield f"The alias itself could not work: {failure(data.trouble)}."
    elif data.blocked:
        yield f"Nothing more was written for now: {failure(data.blocked)}."
    if data.table_trouble:
        yield f"The firewall's table held {data.table_trouble}, which may not be open and which no name explains."
    if stopped is not None:
        yield f"The stream is quarantined since seq {stopped.seq} ({utc(stopped.at_ms)}): nothing is written."
