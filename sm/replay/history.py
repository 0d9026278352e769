"""The alias's stream as a history: folded event after event, what changed between two states is put on record.

The fold forgets what nobody asks about any more (requests of sessions that ended, grants that were taken back). Here
all of it stays, with the seq and the time of what made it so. Only the alias's own stream is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, field

from sm.core import fold as rules
from sm.core import streams
from sm.core.alias import AliasData, Entry, Grant, Request
from sm.core.events import (
    AliasObserved,
    AliasRead,
    AliasWritten,
    CardFailed,
    CardPosted,
    CardResolved,
    Event,
    NetworkApproved,
    NetworkDecided,
    NetworkDenied,
    NetworkRequested,
    StreamQuarantined,
)
from sm.core.fold import Folded, Notice, Recorded, StreamState
from sm.core.tables import REQUEST_FINAL
from sm.journal.codec import decode_event
from sm.journal.errors import JournalError
from sm.journal.protocol import Journal
from sm.journal.rows import StoredEvent
from sm.replay import changes
from sm.replay.errors import ReplayError
from sm.replay.records import AskRecord, EntryRecord, Fact, GrantRecord
from sm.replay.words import ending

MAX_NOTES = 5
NOTHING = Fact(0, 0, "")


async def history(journal: Journal, stream: str, until_ms: int | None = None) -> History:
    """Fold an alias's stream up to a time (both ends count), or to its end. Raises `ReplayError`, `JournalError`."""
    told = History(stream, rules.initial(stream))
    async for page in journal.read(stream=stream):
        for row in page:
            if until_ms is not None and row.recorded_at_ms > until_ms:
                return told
            told.take(row)
    return told


def key(name: str) -> str:
    """A name as it is looked up: DNS knows no case, and a dot at the end says nothing."""
    return name.strip().rstrip(".").lower()


@define
class History:
    """One alias, as far as it was read."""

    stream: str
    state: StreamState
    last: Fact = NOTHING  # the last event, with its kind; seq 0 before the first
    reading: Fact | None = None  # when the alias was last read
    held: tuple[str, ...] = ()  # what it held then
    quarantined: Fact | None = None
    asks: dict[str, AskRecord] = field(factory=dict[str, AskRecord])
    grants: dict[str, GrantRecord] = field(factory=dict[str, GrantRecord])
    granted: dict[str, list[AskRecord]] = field(factory=dict[str, list[AskRecord]])  # by grant
    entries: dict[str, EntryRecord] = field(factory=dict[str, EntryRecord])  # those that there are now
    cards: dict[str, list[Fact]] = field(factory=dict[str, list[Fact]])  # where each was posted
    foreign: dict[str, list[Fact]] = field(factory=dict[str, list[Fact]])  # of each that ever stood there
    refused: list[tuple[str, Fact]] = field(factory=list[tuple[str, Fact]])  # names of commands
    notes: list[str] = field(factory=list[str])

    @property
    def alias(self) -> str:
        """The alias's name."""
        return streams.id_of(self.stream)

    @property
    def data(self) -> AliasData:
        """What the fold remembers now."""
        return self.state.data

    def domains(self) -> dict[str, list[str]]:
        """Each name that something is known of, as it is recorded, by its `key` and by the one of its Unicode form."""
        known: dict[str, list[str]] = {}
        shown = [(ask.shown or ask.domain, ask.domain) for ask in self.asks.values()]
        names = [
            *(ask.domain for ask in self.asks.values()),
            *self.foreign,
            *self.held,
            *(n for n, _ in self.refused),
        ]
        for written, name in (*shown, *((name, name) for name in names)):
            same = known.setdefault(key(written), [])
            if name not in same:
                same.append(name)
        return known

    # --- event after event ------------------------------------------------------------------------------------------

    def take(self, row: StoredEvent) -> None:
        """Fold the next event and keep what it changed. Raises `ReplayError` where it can't be read."""
        try:
            event = decode_event(row.kind, row.version, row.payload)
        except JournalError as error:
            raise ReplayError(f"seq {row.seq} of {self.stream} can't be read: {error}") from error
        folded = self._folded(row, event)
        before, self.state = self.data, folded.state
        self.last = Fact(row.seq, row.recorded_at_ms, row.kind)
        self._take_event(row, event, before)
        self._take_changes(before, event, folded.notices)

    def _folded(self, row: StoredEvent, event: Event) -> Folded:
        recorded = Recorded(row.seq, row.stream, row.recorded_at_ms, event)
        try:
            folded = rules.fold(self.state, recorded)
        except Exception as error:  # noqa: BLE001 - whatever a rule raises; the record has a quarantine for it
            self._note(f"seq {row.seq} ({row.kind}) can't be folded: {type(error).__name__}")
            return Folded(self.state)
        if folded.state.name != row.state_after:
            self._note(f"seq {row.seq} ({row.kind}) was recorded with another state: `verify` tells more")
        return folded

    def _note(self, text: str) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append(text)

    def fact(self, text: str, grant_id: str = "") -> Fact:
        """Something that the last event did."""
        return Fact(self.last.seq, self.last.at_ms, text, grant_id)

    def _take_event(self, row: StoredEvent, event: Event, before: AliasData) -> None:
        match event:
            case AliasRead() | AliasWritten() | AliasObserved():
                self.reading, self.held = self.fact("read"), event.entries
            case NetworkRequested():
                self._take_asks(row, event)
            case NetworkDecided():
                bad = [verdict for verdict in event.names if verdict.refused]
                self.refused += [(one.domain, self.fact(changes.refused_command(event, one))) for one in bad]
            case CardPosted() | CardFailed():
                self.cards.setdefault(event.card_id, []).append(self.fact(changes.card(event)))
            case CardResolved():
                self._take_resolved(event, before)
            case StreamQuarantined():
                self.quarantined = self.quarantined or self.fact(event.reason)
            case _:
                pass

    def _take_resolved(self, event: CardResolved, before: AliasData) -> None:
        names = {name.domain: name for name in event.names}
        for request in before.of_card(event.card_id):
            if request.domain in names:
                led = self.fact(changes.resolved(names[request.domain]))
                self.asks[request.request_id].resolved.append(led)

    def _take_changes(self, before: AliasData, event: Event, notices: Sequence[Notice]) -> None:
        after = self.data
        if after.foreign != before.foreign:
            self._take_foreign(before.foreign, after.foreign)
        self._take_entries(before, after.entries, event)
        self._take_grants(before.grants, after.grants, event)
        self._take_requests(before.requests, after.requests, event)
        for notice in notices:
            self._take_notice(notice)
        if isinstance(event, NetworkRequested):
            self._settle_asks(event, before)

    # --- requests -----------------------------------------------------------------------------------------------------

    def _take_asks(self, row: StoredEvent, event: NetworkRequested) -> None:
        for ask in event.asks:
            self.asks[ask.request_id] = AskRecord(
                ask.request_id,
                ask.domain,
                ask.shown,
                event.session_id,
                card_id="",
                asked=self.fact(changes.asked(event)),
                reason=ask.reason,
                doing=event.doing,
                wanted=[self.fact(text) for text in changes.wanted(event, ask)],
                line_seq=int(row.cause) if row.cause and row.cause.isdigit() else None,
            )

    def _take_requests(
        self, before: Mapping[str, Request], after: Mapping[str, Request], event: Event
    ) -> None:
        if before is after:
            return
        for request in after.values():
            old = before.get(request.request_id)
            if old is not request:
                self._take_request(old, request, event)
        for request in before.values():
            if request.request_id not in after and request.state not in REQUEST_FINAL:
                self._forget(request, event)

    def _take_request(self, old: Request | None, request: Request, event: Event) -> None:
        ask = self.asks.get(request.request_id)
        if ask is None and isinstance(event, NetworkDecided):
            ask = self._unasked(request, event)
        if ask is None:
            return
        ask.card_id, ask.state, ask.request = request.card_id, request.state, request
        if request.grant_id and (old is None or old.grant_id != request.grant_id):
            self.granted.setdefault(request.grant_id, []).append(ask)
        text = changes.request(old, request)
        if not text:
            return
        ends = request.state in REQUEST_FINAL and request.state != "closed"
        if ends and (old is None or old.state == "pending"):
            ask.answers.append(self.fact(text))
        elif request.state == "denied" and old is not None and old.state == "denied":
            ask.answers.append(self.fact(text))  # the reason, said later
        else:
            ask.facts.append(self.fact(text, request.grant_id))

    def _forget(self, request: Request, event: Event) -> None:
        """It ended; where it had a grant, that one's end says how."""
        ask = self.asks[request.request_id]
        ask.state = "forgotten"
        if not request.grant_id:
            ask.answers.append(self.fact(changes.forgotten(request, event)))

    def _unasked(self, request: Request, event: NetworkDecided) -> AskRecord:
        """Nobody asked for it: request and decision are one person's, or it came with a set."""
        made = self.asks[request.request_id] = AskRecord(
            request.request_id,
            request.domain,
            request.shown,
            request.session_id,
            request.card_id,
            asked=self.fact(changes.unasked(event)),
            by_person=True,
        )
        return made

    def _take_notice(self, notice: Notice) -> None:
        event = notice.event
        if not isinstance(event, NetworkApproved | NetworkDenied):
            return
        ask = self.asks.get(event.request_id)
        if ask is None:
            return
        grant_id = ask.request.grant_id if ask.request is not None else ""
        if not ask.state and isinstance(event, NetworkDenied):
            ask.answers.append(self.fact(f"refused by a rule, without a card: {event.reason}"))
        session = streams.short(streams.id_of(notice.stream))
        ask.facts.append(self.fact(changes.heard(session, event), grant_id))

    def _settle_asks(self, event: NetworkRequested, before: AliasData) -> None:
        """What needed neither card nor refusal was answered from what was known."""
        for asked in event.asks:
            ask = self.asks[asked.request_id]
            if not ask.state and not ask.answers:
                mine = [r for r in before.asked(asked.domain) if r.session_id == event.session_id]
                ask.answers.append(self.fact(changes.asked_again(mine[-1] if mine else None)))

    # --- grants -------------------------------------------------------------------------------------------------------

    def _take_grants(self, before: Mapping[str, Grant], after: Mapping[str, Grant], event: Event) -> None:
        if before is after:
            return
        for grant in after.values():
            old = before.get(grant.grant_id)
            if old is None and isinstance(event, NetworkDecided):
                self._make(grant, event)
            elif old is not None and old is not grant:
                self._take_grant(old, grant, event)
        for grant in before.values():
            if grant.grant_id not in after:
                self._end(self.grants[grant.grant_id], changes.grant_gone(grant, event, after.values()))

    def _make(self, grant: Grant, event: NetworkDecided) -> None:
        record = GrantRecord(grant, event, self.fact(changes.granted(grant)))
        if grant.domain in self.entries:
            record.entries.append(self.entries[grant.domain])
        self.grants[grant.grant_id] = record

    def _take_grant(self, old: Grant, grant: Grant, event: Event) -> None:
        record = self.grants[grant.grant_id]
        record.grant = grant
        if old.state == "wanted" and grant.state == "held":
            record.facts.append(self.fact("held: the alias was read back with it"))
        if old.live and not grant.live:
            why = ending(grant.reason, changes.address(event, grant.domain))
            self._end(record, f"withdrawn: {why}")

    def _end(self, record: GrantRecord, text: str) -> None:
        fact = self.fact(text)
        if record.ended is None:
            record.ended = fact
        record.facts.append(fact)

    # --- the alias ----------------------------------------------------------------------------------------------------

    def _take_entries(self, was: AliasData, after: Mapping[str, Entry], event: Event) -> None:
        before = was.entries
        if before is after:
            return
        for domain, entry in after.items():
            old = before.get(domain)
            if old is entry:
                continue
            if old is None:
                self._enter(domain, entry, was)
            record = self.entries[domain]
            record.ours = entry.ours
            record.facts += [self.fact(text) for text in changes.entry(old, entry, event)]
        for domain, entry in before.items():
            if domain not in after:
                stays = domain in (self.data.foreign or ())
                record = self.entries.pop(domain)
                record.facts.append(self.fact(changes.entry_gone(entry, event, stays=stays)))

    def _enter(self, domain: str, entry: Entry, was: AliasData) -> None:
        record = self.entries[domain] = EntryRecord(entry.ours)
        for grant in was.live(domain):
            self.grants[grant.grant_id].entries.append(record)

    def _take_foreign(self, before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> None:
        now, was = after or (), before or ()
        by = "it was there when the alias was first read" if before is None else "somebody else put it there"
        for name in sorted(set(now) - set(was)):
            self.foreign.setdefault(name, []).append(self.fact(f"{changes.STANDS}{by}"))
        for name in sorted(set(was) - set(now)):
            self.foreign.setdefault(name, []).append(
                self.fact("does not stand there by another hand any more")
            )
