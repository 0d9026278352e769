"""The one writer: takes what happened, folds it, commits it in one transaction, and only then lets it act.

Whatever is pending is committed in one go. A submitter's future resolves after the commit. Any error of a commit
ends the process: its outcome is unknown, and the next start rebuilds from what is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog
from attrs import field, frozen

from sm.core import fold as rules
from sm.core.commands import Command, command_id
from sm.core.events import Event, StreamOpened, StreamQuarantined
from sm.core.fold import Recorded, StreamState
from sm.engine.clock import Clock
from sm.journal.codec import encode
from sm.journal.masking import Masker
from sm.journal.protocol import Journal
from sm.journal.rows import Batch, NewCommand, NewEvent

log = structlog.get_logger(__name__)

MAX_BATCH = 500
MAX_NOTICES = 100  # from one event; more is a fault of the rules
Build = Callable[[StreamState], Event | None]


@frozen
class Submission:
    """Something that happened. `build` sees its stream as it is at the append, or declines with None."""

    stream: str
    build: Build
    key: str | None = None
    cause: str | None = None
    settles: str | None = None
    masked: bool = False  # by the submitter already


@frozen
class Issued:
    """A command in its place, committed."""

    id: str
    stream: str
    seq: int
    command: Command


@frozen
class Outcome:
    """What became of a submission. `seq` is None for a second delivery, or when `build` declined."""

    seq: int | None
    state: StreamState


@frozen
class Committed:
    """What one transaction brought, in the order of the journal."""

    events: tuple[Recorded, ...]
    commands: tuple[Issued, ...]


Listener = Callable[[Committed], None]


@frozen
class _Draft:
    """A transaction in the making."""

    states: dict[str, StreamState] = field(factory=dict[str, StreamState])
    rows: list[NewEvent] = field(factory=list[NewEvent])
    recorded: list[Recorded] = field(factory=list[Recorded])
    issued: list[Issued] = field(factory=list[Issued])
    commands: list[NewCommand] = field(factory=list[NewCommand])
    settled: list[tuple[str, int]] = field(factory=list[tuple[str, int]])


class Writer:
    """Appends and folds; the states of all streams as of the last commit are in `states`."""

    def __init__(
        self,
        journal: Journal,
        *,
        epoch: int,
        clock: Clock,
        masker: Masker,
        states: dict[str, StreamState],
        last_seq: int,
        last_ms: int,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._journal = journal
        self._epoch = epoch
        self._clock = clock
        self._masker = masker
        self.states = states
        self._seq = last_seq
        self._ms = last_ms
        self._on_fatal = on_fatal
        self._pending: asyncio.Queue[tuple[Submission, asyncio.Future[Outcome]]] = asyncio.Queue(10_000)
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener` after each commit, before the submitters hear of it."""
        self._listeners.append(listener)

    @property
    def recorded_ms(self) -> int:
        """The time of the last event; it never goes back."""
        return self._ms

    def state(self, stream: str) -> StreamState:
        """A stream as of the last commit."""
        known = self.states.get(stream)
        return known if known is not None else rules.initial(stream)

    async def submit(self, submission: Submission) -> Outcome:
        """Record what happened; returns when it is durable and folded."""
        future = await self.enqueue(submission)
        return await future

    async def enqueue(self, submission: Submission) -> asyncio.Future[Outcome]:
        """Hand over, in order; the future resolves after the commit."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        await self._pending.put((submission, future))
        return future

    async def run(self) -> None:
        """Write until cancelled. An error here is fatal for the process."""
        try:
            while True:
                batch = [await self._pending.get()]
                while len(batch) < MAX_BATCH and not self._pending.empty():
                    batch.append(self._pending.get_nowait())
                await self._write(batch)
        except Exception as error:
            self._on_fatal(error)
            raise

    async def _write(self, batch: list[tuple[Submission, asyncio.Future[Outcome]]]) -> None:
        keys = [submission.key for submission, _ in batch if submission.key is not None]
        taken = set(await self._journal.seen(keys)) if keys else set[str]()
        draft = _Draft()
        seqs: list[int | None] = []
        for submission, _ in batch:
            seqs.append(self._take(draft, submission, taken))
        if draft.rows:
            whole = Batch(tuple(draft.rows), tuple(draft.commands), tuple(draft.settled))
            await self._journal.append(self._epoch, whole)
            self.states.update(draft.states)
            committed = Committed(tuple(draft.recorded), tuple(draft.issued))
            for listener in self._listeners:
                listener(committed)
        for (submission, future), seq in zip(batch, seqs, strict=True):
            if not future.done():
                future.set_result(Outcome(seq, self.state(submission.stream)))

    def _take(self, draft: _Draft, submission: Submission, taken: set[str]) -> int | None:
        if submission.key is not None:
            if submission.key in taken:
                return None
            taken.add(submission.key)
        event = submission.build(self._draft_state(draft, submission.stream))
        if event is None:
            return None
        masked = event if submission.masked else self._masker.mask_event(event)[0]
        seq = self._record(draft, submission.stream, masked, key=submission.key, cause=submission.cause)
        if submission.settles is not None:
            draft.settled.append((submission.settles, seq))
        return seq

    def _draft_state(self, draft: _Draft, stream: str) -> StreamState:
        known = draft.states.get(stream)
        return known if known is not None else self.state(stream)

    def _record(
        self,
        draft: _Draft,
        stream: str,
        event: Event,
        *,
        key: str | None,
        cause: str | None,
        depth: int = 0,
    ) -> int:
        state = self._draft_state(draft, stream)
        if not state.rules:
            self._place(draft, stream, StreamOpened(rules.RULES), key=None, cause=cause, depth=depth)
        return self._place(draft, stream, event, key=key, cause=cause, depth=depth)

    def _place(
        self, draft: _Draft, stream: str, event: Event, *, key: str | None, cause: str | None, depth: int
    ) -> int:
        self._seq += 1
        self._ms = max(self._ms, self._clock.now_ms())
        recorded = Recorded(self._seq, stream, self._ms, event)
        before = self._draft_state(draft, stream)
        trouble = ""
        try:
            folded = rules.fold(before, recorded)
        except Exception as error:  # whatever a rule raises: this stream stops, no other
            log.exception("stream quarantined", stream=stream, seq=recorded.seq)
            folded, trouble = rules.Folded(before), f"{type(error).__name__} at event {recorded.seq}"
        kind, version, payload = encode(event)
        draft.rows.append(
            NewEvent(
                seq=recorded.seq,
                stream=stream,
                kind=kind,
                version=version,
                recorded_at_ms=recorded.recorded_at_ms,
                cause=cause,
                key=key,
                payload=payload,
                state_after=folded.state.name,
            )
        )
        draft.recorded.append(recorded)
        draft.states[stream] = folded.state
        self._issue(draft, recorded, folded.commands)
        if depth > MAX_NOTICES:
            raise RuntimeError("streams notify each other without an end")
        for index, notice in enumerate(folded.notices):
            self._record(
                draft,
                notice.stream,
                notice.event,
                key=f"{recorded.seq}:{index}",
                cause=str(recorded.seq),
                depth=depth + 1,
            )
        if trouble:
            quarantined = StreamQuarantined(trouble, recorded.seq)
            self._place(draft, stream, quarantined, key=None, cause=str(recorded.seq), depth=depth + 1)
        return recorded.seq

    def _issue(self, draft: _Draft, recorded: Recorded, commands: Iterable[Command]) -> None:
        for index, command in enumerate(commands):
            made = command_id(recorded.stream, recorded.seq, index)
            kind, version, payload = encode(command)
            draft.issued.append(Issued(made, recorded.stream, recorded.seq, command))
            draft.commands.append(
                NewCommand(
                    id=made,
                    stream=recorded.stream,
                    seq=recorded.seq,
                    index=index,
                    kind=kind,
                    version=version,
                    payload=payload,
                    lane=command.lane,
                )
            )
