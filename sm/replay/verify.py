"""Fold a journal again and hold the outcome against the record; check the hash chain.

Compared for each event: the state's name, the commands (id, kind; another payload is a note, no more) and the
notices (key, stream, kind). A stream that the record itself quarantined may differ: that is what the quarantine
says, and it is a note. Beside it: each command that has no reported outcome must stand in the outbox.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import define, field

from sm.core import fold as rules
from sm.core.commands import command_id
from sm.core.events import Event, StreamQuarantined
from sm.core.fold import Folded, Notice, Recorded, StreamState
from sm.journal.codec import decode_event, encode
from sm.journal.errors import JournalError, UnknownPayload
from sm.journal.hashing import ChainVerifier
from sm.journal.protocol import Journal
from sm.journal.rows import StoredCommand, StoredEvent
from sm.replay.show import commands_of

MAX_KEPT = 20  # problems and notes a stream


@define
class StreamReport:
    """What the refold of one stream found. `more` counts the problems beyond those kept."""

    stream: str
    events: int = 0
    commands: int = 0
    problems: list[str] = field(factory=list[str])
    notes: list[str] = field(factory=list[str])
    unreadable: list[str] = field(factory=list[str])
    more: int = 0
    quarantined_at: int | None = None

    @property
    def diverges(self) -> bool:
        """Whether the record and the refold disagree beyond what a recorded quarantine says."""
        return bool(self.problems) and self.quarantined_at is None


@define
class Report:
    """What a verification found: the whole journal's chain, and the streams that were folded again."""

    chain: ChainVerifier = field(factory=ChainVerifier)
    streams: dict[str, StreamReport] = field(factory=dict[str, StreamReport])

    @property
    def exit_code(self) -> int:
        """0: it holds; 1: it diverges; 2: a part can't be read by this version."""
        if self.chain.problems or any(report.diverges for report in self.streams.values()):
            return 1
        return 2 if any(report.unreadable for report in self.streams.values()) else 0

    def lines(self) -> Iterator[str]:
        """Yield the report for a person."""
        for problem in self.chain.problems:
            yield f"chain: {problem}"
        holds = "DIVERGES" if self.chain.problems else "holds"
        yield f"chain: {self.chain.checked} events, {holds}, ends with {self.chain.last_chain_hash}"
        for report in self.streams.values():
            yield from _stream_lines(report)


def _stream_lines(report: StreamReport) -> Iterator[str]:
    name = report.stream
    for problem in report.problems:
        accepted = "" if report.diverges else "accepted, the stream is quarantined: "
        yield f"{name}: {accepted}{problem}"
    if report.more:
        yield f"{name}: and {report.more} more"
    for note in report.notes:
        yield f"{name}: note: {note}"
    for unreadable in report.unreadable:
        yield f"{name}: can't be read: {unreadable}"
    verdict = "DIVERGES" if report.diverges else "can't be read whole" if report.unreadable else "holds"
    quarantine = "" if report.quarantined_at is None else f" (quarantined at seq {report.quarantined_at})"
    yield f"{name}: {report.events} events, {report.commands} commands, {verdict}{quarantine}"


async def verify(journal: Journal, stream: str | None = None) -> Report:
    """Verify the whole journal, or its chain and one stream. Raises `JournalError` when it can't be read."""
    refold = _Refold(journal, stream)
    last_seq = await journal.last_seq()
    refold.take_outbox(await journal.outstanding(), last_seq)
    after = 0
    async for page in journal.read():
        refold.report.chain.feed(page)
        mine = page if stream is None else [row for row in page if row.stream == stream]
        if mine:
            commands = await commands_of(journal, mine, stream=stream, after=after)
            await refold.take(mine, commands)
            after = mine[-1].seq
    if stream is None:
        await refold.take_rest(after)
    return refold.report


class _Refold:
    """The states as they become, and what differs on the way."""

    def __init__(self, journal: Journal, stream: str | None) -> None:
        self._journal = journal
        self.report = Report()
        self._states: dict[str, StreamState] = {}
        self._only = stream
        self._waiting: frozenset[str] = frozenset()
        self._waiting_seq = 0
        if stream is not None:
            self.report.streams[stream] = StreamReport(stream)

    def _of(self, stream: str) -> StreamReport:
        return self.report.streams.setdefault(stream, StreamReport(stream))

    async def take(self, page: Sequence[StoredEvent], commands: dict[int, list[StoredCommand]]) -> None:
        """Fold the next events and compare; `commands` are all of the journal's up to the page's end."""
        for row in page:
            report = self._of(row.stream)
            report.events += 1
            recorded = commands.get(row.seq, [])
            report.commands += len(recorded)
            folded = self._fold(row, report)
            if folded is not None:
                self._compare_state(row, folded, report)
                self._compare_commands(row, folded, recorded, report)
                await self._compare_notices(row, folded, report)
            for command in recorded:
                self._compare_outbox(command, report)
        known = {row.seq for row in page}
        for row in (several[0] for seq, several in commands.items() if seq not in known):
            _problem(self._of(row.stream), _orphan(row))

    def _fold(self, row: StoredEvent, report: StreamReport) -> Folded | None:
        """Answer what the event makes of its stream; None when that can't be told."""
        try:
            event = decode_event(row.kind, row.version, row.payload)
            before = self._states.get(row.stream) or rules.initial(row.stream)
        except UnknownPayload as error:
            _problem(report, f"seq {row.seq}: {error}")
            return None
        except (JournalError, ValueError) as error:
            _keep(report, report.unreadable, f"seq {row.seq}: {error}")
            return None
        if isinstance(event, StreamQuarantined):
            report.quarantined_at = row.seq
        folded = self._folded(before, row, event, report)
        self._states[row.stream] = folded.state
        return folded

    def _folded(self, before: StreamState, row: StoredEvent, event: Event, report: StreamReport) -> Folded:
        try:
            return rules.fold(before, Recorded(row.seq, row.stream, row.recorded_at_ms, event))
        except Exception as error:  # noqa: BLE001 - whatever a rule raises; the record has a quarantine for it
            _problem(report, f"seq {row.seq} ({row.kind}) can't be folded: {type(error).__name__}")
            return Folded(before)

    def _compare_state(self, row: StoredEvent, folded: Folded, report: StreamReport) -> None:
        if folded.state.name != row.state_after:
            _problem(
                report,
                f"seq {row.seq} ({row.kind}): recorded state {row.state_after!r}, folded {folded.state.name!r}",
            )

    def _compare_commands(
        self, row: StoredEvent, folded: Folded, recorded: Sequence[StoredCommand], report: StreamReport
    ) -> None:
        made = [
            (command_id(row.stream, row.seq, index), *encode(command))
            for index, command in enumerate(folded.commands)
        ]
        if [(one.id, one.kind) for one in recorded] != [(made_id, kind) for made_id, kind, _, _ in made]:
            _problem(
                report,
                f"seq {row.seq} ({row.kind}): recorded commands {_named(one.kind for one in recorded)},"
                f" folded {_named(kind for _, kind, _, _ in made)}",
            )
            return
        for one, (_, kind, version, payload) in zip(recorded, made, strict=True):
            if (one.version, one.payload) != (version, payload):
                _keep(report, report.notes, f"command {one.id} ({kind}) was recorded with another payload")

    async def _compare_notices(self, row: StoredEvent, folded: Folded, report: StreamReport) -> None:
        for index, notice in enumerate(folded.notices):
            found = await self._journal.event_by_key(notice_key(row.seq, index))
            self._compare_notice(row, index, notice, found, report)
        beyond = notice_key(row.seq, len(folded.notices))
        if await self._journal.seen([beyond]):
            _problem(report, f"seq {row.seq} ({row.kind}): a notice {beyond} is recorded, none is folded")

    def _compare_notice(
        self, row: StoredEvent, index: int, notice: Notice, found: StoredEvent | None, report: StreamReport
    ) -> None:
        kind, version, payload = encode(notice.event)
        name = f"seq {row.seq} ({row.kind}): notice {notice_key(row.seq, index)}"
        if found is None:
            _problem(report, f"{name} ({kind} to {notice.stream}) is folded, none is recorded")
        elif (found.stream, found.kind) != (notice.stream, kind):
            _problem(
                report, f"{name}: recorded {found.kind} to {found.stream}, folded {kind} to {notice.stream}"
            )
        elif (found.version, found.payload) != (version, payload):
            _keep(report, report.notes, f"{name} ({kind}) was recorded with another payload")

    def take_outbox(self, outstanding: Sequence[StoredCommand], last_seq: int) -> None:
        """Take the outbox, read when the journal had come to `last_seq` at least, and before its commands are read."""
        self._waiting = frozenset(command.id for command in outstanding)
        self._waiting_seq = last_seq
        for command in outstanding:
            if command.settled_by is not None and self._only in (None, command.stream):
                _problem(
                    self._of(command.stream),
                    f"command {command.id} is in the outbox, but event {command.settled_by} reported its outcome",
                )

    def _compare_outbox(self, command: StoredCommand, report: StreamReport) -> None:
        """What has no outcome now had none before, when the outbox was read."""
        if command.settled_by is None:
            if command.seq <= self._waiting_seq and command.id not in self._waiting:
                _problem(report, f"command {command.id} has no reported outcome and is not in the outbox")
        elif command.settled_by < command.seq:
            _problem(
                report, f"command {command.id} is reported by event {command.settled_by}, which is older"
            )

    async def take_rest(self, after: int) -> None:
        """Look for commands behind the last event. Both come in one transaction, so there can be none."""
        rest = [command async for page in self._journal.commands(after_seq=after) for command in page]
        last_seq = await self._journal.last_seq()
        for command in rest:
            if command.seq > last_seq:
                _problem(self._of(command.stream), _orphan(command))


def _orphan(command: StoredCommand) -> str:
    return f"command {command.id} names event {command.seq}, which is not recorded"


def notice_key(seq: int, index: int) -> str:
    """Answer the key under which the `index`-th notice of an event is appended."""
    return f"{seq}:{index}"


def _problem(report: StreamReport, text: str) -> None:
    _keep(report, report.problems, text)


def _keep(report: StreamReport, kept: list[str], text: str) -> None:
    if len(kept) < MAX_KEPT:
        kept.append(text)
    else:
        report.more += 1


def _named(kinds: Iterator[str]) -> str:
    return ", ".join(kinds) or "none"
