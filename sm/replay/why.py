"""Why a domain is open, or is not: alias entry → grant → card → who, via what → what the agent wanted it for."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence

from sm.core import domains, streams
from sm.core.events import LineReceived
from sm.journal.codec import decode_event
from sm.journal.errors import JournalError
from sm.journal.protocol import Journal
from sm.replay.errors import ReplayError
from sm.replay.history import History, history, key
from sm.replay.records import AskRecord, Fact, GrantRecord
from sm.replay.times import utc
from sm.replay.words import failure, listed, until, who

MAX_REFUSED = 20  # lines about a name that never had a card
MAX_NEAR = 5


async def why(journal: Journal, name: str) -> list[str]:
    """Answer all that the journal knows of a domain, the last decision first. Raises `ReplayError`."""
    wanted = key(name)
    if not wanted:
        raise ReplayError("Name the domain, as in `why pypi.org`.")
    told = [await history(journal, stream) for stream in await alias_streams(journal)]
    known = [one for one in told if wanted in one.domains()]
    if known:
        return [line for one in known for domain in one.domains()[wanted] for line in _about(one, domain)]
    lines = [f"{wanted}: nobody asked for it, and no alias held it, as far as this journal goes."]
    lines += [_read(one, wanted) for one in told]
    refused = await _refused(journal, wanted)
    lines += [_line("refused", fact) for fact in refused[-MAX_REFUSED:]]
    near = _near(wanted, {known_name for one in told for known_name in one.domains()})
    if near:
        lines.append(f"On record are: {listed(near)}.")
    return lines


async def alias_streams(journal: Journal) -> list[str]:
    """Answer the streams of aliases. Raises `ReplayError` where there is none."""
    found = [one.stream for one in await journal.streams() if streams.kind_of(one.stream) == "alias"]
    if not found:
        raise ReplayError("This journal has no alias's stream: nothing was ever asked for, or looked at.")
    return found


def _near(wanted: str, known: set[str]) -> list[str]:
    around = sorted(name for name in known if name.endswith(f".{wanted}") or wanted.endswith(f".{name}"))
    alike = difflib.get_close_matches(wanted, sorted(known), MAX_NEAR)
    return list(dict.fromkeys((*around, *alike)))[:MAX_NEAR]


async def _refused(journal: Journal, wanted: str) -> list[Fact]:
    """Where agents asked for a name that was refused before any card. Reads the whole journal."""
    found: list[Fact] = []
    quoted = json.dumps(wanted, ensure_ascii=False)[1:-1]
    async for page in journal.read():
        for row in page:
            if row.kind != LineReceived.KIND or quoted not in row.payload.lower():
                continue
            try:
                event = decode_event(row.kind, row.version, row.payload)
            except JournalError:
                continue  # another version's; `verify` says so
            for verdict in event.verdicts if isinstance(event, LineReceived) else ():
                if verdict.refused and key(verdict.domain) == wanted:
                    session, advice = (
                        streams.id_of(row.stream),
                        domains.advice(verdict.refused, verdict.hint),
                    )
                    text = f"session {session} asked, no card: {verdict.refused} ({advice})"
                    found.append(Fact(row.seq, row.recorded_at_ms, text))
    return found


# --- one alias ----------------------------------------------------------------------------------------------------------


def _about(told: History, domain: str) -> Iterator[str]:
    yield f"{domain} {standing(told, domain)}"
    yield _read(told, domain)
    yield from told.notes
    for fact in reversed(told.foreign.get(domain, ())):
        yield _line("alias", fact)
    for name, fact in reversed(told.refused):
        if name == domain:
            yield _line("refused", fact)
    for item in reversed(_items(told, domain)):
        yield ""
        yield from _grant(told, item) if isinstance(item, GrantRecord) else _ask(told, item)


def _items(told: History, domain: str) -> list[GrantRecord | AskRecord]:
    """The domain's grants, and the requests that had another answer or none, oldest first."""
    grants: list[GrantRecord | AskRecord] = [g for g in told.grants.values() if g.grant.domain == domain]
    asks = [
        ask for ask in told.asks.values() if ask.domain == domain and (ask.answers or not ask.was_granted)
    ]
    return sorted([*grants, *asks], key=_seq)


def _seq(item: GrantRecord | AskRecord) -> int:
    return item.made.seq if isinstance(item, GrantRecord) else _when(item).seq


def _when(ask: AskRecord) -> Fact:
    return ask.answers[-1] if ask.answers else ask.asked


def standing(told: History, domain: str) -> str:
    """Whether a domain is open at the end of what was read, and by whose hand."""
    closed = " No write goes out: the alias's stream is quarantined." if told.quarantined else ""
    trouble = f" The alias itself can't work: {failure(told.data.trouble)}." if told.data.trouble else ""
    return _standing(told, domain) + trouble + closed


def _standing(told: History, domain: str) -> str:
    data, entry = told.data, told.data.entries.get(domain)
    alias = f"the alias {told.alias}"
    live = data.live(domain)
    if live and entry is not None and data.is_open(domain):
        whose = "by our hand" if entry.ours else "but not by our hand: it stood there before"
        unsure = ". The firewall's table can't be read" if entry.applied == "unknown" else ""
        return f"is open: {alias} holds it, {whose}{unsure}."
    if live:
        return f"is allowed, but not open: {not_open(told, domain)}."
    if (entry is not None and entry.ours) or data.is_on_its_way(domain):
        return "is no longer allowed; it is being taken out, and may still be open."
    if domain in (data.foreign or ()):
        return (
            f"stands in {alias}, but not by our hand: no decision here holds it, and it is never taken out."
        )
    items = _items(told, domain)
    if not items:
        return "is not open: no decision holds it."
    last = items[-1]
    if isinstance(last, GrantRecord):
        ended = last.ended.text if last.ended else "its grant is over"
        return f"is not open: {ended}.{' It needs a new decision.' if last.grant.domain in _withdrawn(told) else ''}"
    if last.state == "pending":
        return "is not open: it was asked for, and nobody has decided yet."
    return f"is not open: {_when(last).text}."


def _withdrawn(told: History) -> set[str]:
    return {grant.domain for grant in told.data.grants.values() if not grant.live}


def not_open(told: History, domain: str) -> str:
    """Why what is allowed is not open."""
    data, entry = told.data, told.data.entries.get(domain)
    code = data.held_back.get(domain) or data.blocked
    if code:
        return failure(code)
    if entry is not None and entry.confirmed:
        return failure("unseen") if entry.applied == "unseen" else "saved, the firewall has yet to load it"
    return "the write is under way" if data.writing is not None else "it is not written yet"


def _read(told: History, domain: str) -> str:
    if told.reading is None:
        return f"The alias {told.alias} was never read, as far as this journal goes."
    many = f"{len(told.held)} {'entry' if len(told.held) == 1 else 'entries'}"
    return (
        f"The alias {told.alias} as last read on record (seq {told.reading.seq}, {utc(told.reading.at_ms)}): {many}, this"
        f" name {'is one of them' if domain in told.held else 'is none of them'}."
    )


# --- one decision -------------------------------------------------------------------------------------------------------


def _grant(told: History, record: GrantRecord) -> Iterator[str]:
    grant, decision = record.grant, record.decision
    state = record.ended.text if record.ended else "it holds"
    yield f"Grant {grant.grant_id}, {until(grant)}: {state}"
    for entry in reversed(record.entries):
        yield from _lines("entry", entry.facts)
    if not record.entries:
        yield f"  {'entry':<8}     -  it never came into the alias"
    yield from _lines("grant", [record.made, *record.facts])
    ask = told.asks.get(grant.request_id)
    if ask is not None:
        yield from _card(told, ask)
    on = f" on {decision.card_id}" if decision.card_id else ""
    by = f"{who(grant.user_name, grant.user_id)}, via {grant.via}{on} in channel {grant.channel_id}: {decision.action}"
    yield _line("decided", Fact(record.made.seq, record.made.at_ms, by))
    if ask is not None:
        yield from _wanted(ask)
        yield from _lines("request", ask.facts_of(grant.grant_id))
    for other in told.granted.get(grant.grant_id, ()):
        if other is not ask:
            yield from _wanted(other, "also")
            yield from _lines("request", other.facts_of(grant.grant_id))


def _ask(told: History, ask: AskRecord) -> Iterator[str]:
    waits = "it waits for a decision" if ask.state == "pending" else "what became of it is not recorded"
    yield f"Request {ask.request_id}: {ask.answers[-1].text if ask.answers else waits}"
    yield from _card(told, ask)
    yield from _lines("answer", ask.answers)
    yield from _wanted(ask)
    yield from _lines("request", ask.facts_of(""))


def _card(told: History, ask: AskRecord) -> Iterator[str]:
    if not ask.card_id:
        yield f"  {'card':<8}     -  there was none"
        return
    asked = Fact(ask.asked.seq, ask.asked.at_ms, f"{ask.card_id}, request {ask.request_id} for {ask.domain}")
    yield from _lines("card", [asked, *ask.resolved, *told.cards.get(ask.card_id, ())])


def _wanted(ask: AskRecord, label: str = "wanted") -> Iterator[str]:
    shown = f" at seq {ask.line_seq}" if ask.line_seq else ""
    yield _line(label, Fact(ask.asked.seq, ask.asked.at_ms, f"{ask.asked.text}{shown}"))
    yield from _lines("", ask.wanted)


def _lines(label: str, facts: Sequence[Fact]) -> Iterator[str]:
    for fact in facts:
        yield _line(label, fact)


def _line(label: str, fact: Fact) -> str:
    return f"  {label:<8}{fact.seq:>6}  {utc(fact.at_ms)}  {fact.text}"
