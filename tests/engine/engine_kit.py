"""The engine on a SQLite journal, with a clock of the test's own, and short ways to say what happened."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import evolve

from sm.core import streams
from sm.core.events import AgentStarted, Ask, Event, NetworkRequested, RepositoryPrepared
from sm.core.fold import Recorded
from sm.core.stream_json import initialize_id
from sm.engine.dispatch import Dispatcher, Effector, Job
from sm.engine.faultpoints import NoFaults
from sm.engine.ingress import Ingress, Place
from sm.engine.outages import Outages
from sm.engine.recovery import Recovered, recover
from sm.engine.writer import Committed, Issued, Outcome, Submission, Writer
from sm.journal.masking import Masker
from sm.journal.operations import FaultPoint, no_fault
from sm.journal.rows import Holder, StoredCommand, StoredEvent
from sm.journal.sqlite import InlineSqliteJournal
from sm.mattermost.client import Post, User

DEADLINE_S = 10.0
NOON_MS = 1_795_491_936_000
ALIAS = "llm_approved_domains"
ALIAS_STREAM = streams.alias(ALIAS)
PLACE = Place("vm.test", ALIAS, "podman", "claude-code:latest", "isolated", "bypassPermissions")
CHANNEL = "c" * 26
CHANNEL_STREAM = streams.channel(CHANNEL)
JAMES = User("j" * 26, "james", is_bot=False, deleted=False)
SARAH = User("s" * 26, "sarah", is_bot=False, deleted=False)

_numbers = itertools.count(1)


async def until(
    condition: Callable[[], Any], what: str = "the condition", deadline_s: float = DEADLINE_S
) -> Any:
    """Wait until it holds; answers its value."""
    give_up_at = time.monotonic() + deadline_s
    while not (found := condition()):
        assert time.monotonic() < give_up_at, f"{what} did not come true within {deadline_s:g} s"
        await asyncio.sleep(0.004)
    return found


async def settled(rounds: int = 30) -> None:
    """Let everything that can run now run."""
    for _ in range(rounds):
        await asyncio.sleep(0)


class ManualClock:
    """Time that passes only when told to, unless `flows`: then a sleep moves it and takes no time."""

    def __init__(self, *, flows: bool = False) -> None:
        self.ms = NOON_MS
        self.flows = flows
        self.slept: list[float] = []
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        return self.ms

    @property
    def sleepers(self) -> int:
        return sum(not future.done() for _, future in self._waiting)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        due_ms = self.ms + round(seconds * 1000)
        if self.flows:
            self.ms = max(self.ms, due_ms)
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((due_ms, future))
        await future

    async def pass_s(self, seconds: float) -> None:
        """Let so much time pass, and what waited for it run."""
        self.ms += round(seconds * 1000)
        for due_ms, future in list(self._waiting):
            if due_ms <= self.ms:
                self._waiting.remove((due_ms, future))
                if not future.done():
                    future.set_result(None)
        await settled()


class Engine:
    """One start of the engine's middle: journal, recovery, the writer at work."""

    def __init__(
        self,
        journal: InlineSqliteJournal,
        epoch: int,
        recovered: Recovered,
        clock: ManualClock,
        masker: Masker,
    ) -> None:
        self.journal = journal
        self.epoch = epoch
        self.recovered = recovered
        self.positions = recovered.positions
        self.clock = clock
        self.fatal: list[BaseException] = []
        self.commits: list[Committed] = []
        self.dispatcher: Dispatcher | None = None
        self.writer = Writer(
            journal,
            epoch=epoch,
            clock=clock,
            masker=masker,
            states=recovered.states,
            last_seq=recovered.last_seq,
            last_ms=recovered.last_ms,
            on_fatal=self.fatal.append,
        )
        self.writer.listen(self._committed)
        self.running = asyncio.create_task(self.writer.run(), name="writer")

    @classmethod
    async def start(
        cls,
        path: Path | str = ":memory:",
        *,
        clock: ManualClock | None = None,
        masker: Masker | None = None,
        faults: FaultPoint = no_fault,
        before: Callable[[InlineSqliteJournal, int], Awaitable[None]] | None = None,
    ) -> Engine:
        """Open, claim at once (the holder before is dead), recover."""
        clock = clock or ManualClock()
        journal = InlineSqliteJournal.open(path, faults=faults)
        claim = await journal.claim(Holder("here", "ns", 1, -1), now_ms=clock.now_ms)
        if before is not None:
            await before(journal, claim.epoch)
        return cls(journal, claim.epoch, await recover(journal), clock, masker or Masker())

    def _committed(self, committed: Committed) -> None:
        self.commits.append(committed)
        for recorded in committed.events:
            self.positions.note(recorded.event)
        if self.dispatcher is not None:
            self.dispatcher.take(committed.commands)

    def dispatch(self, effectors: dict[Any, Effector], faults: Any = None) -> Dispatcher:
        """Carry out what is committed from here on, and what was outstanding at the start."""
        self.dispatcher = Dispatcher(
            self.writer,
            effectors,
            clock=self.clock,
            faults=faults or NoFaults(),
            outages=Outages(self.writer, self.clock),
            on_fatal=self.fatal.append,
        )
        self.dispatcher.take(self.recovered.outstanding, doubtful=True)
        return self.dispatcher

    async def crash(self) -> None:
        """Stop where it stands: nothing is said to anybody, the claim stays."""
        if self.dispatcher is not None:
            await self.dispatcher.stop()
        self.running.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self.running
        await self.journal.close()

    # --- what happens -----------------------------------------------------------------------------------------------

    async def happen(
        self, stream: str, event: Event, key: str | None = None, *, settles: str | None = None
    ) -> Outcome:
        return await self.writer.submit(Submission(stream, lambda _: event, key, settles, settles))

    async def at_once(self, *submissions: Submission) -> list[Outcome]:
        """Hand over in one go, so that one transaction takes them all."""
        futures = [await self.writer.enqueue(submission) for submission in submissions]
        return [await future for future in futures]

    async def say(self, text: str, *, user: User = JAMES, channel: str = CHANNEL, **more: Any) -> Outcome:
        """A person writes in a channel; `more` are fields of the post."""
        return await self.writer.submit(said(text, user=user, channel=channel, **more))

    async def ask(
        self, domain: str | Ask, *more: str | Ask, channel: str = CHANNEL, session: str = "s1", **fields: Any
    ) -> str:
        """An agent asks for domains in one go; answers the id of the first one's request."""
        asks = tuple(
            one if isinstance(one, Ask) else Ask(f"r{next(_numbers)}", one) for one in (domain, *more)
        )
        await self.happen(ALIAS_STREAM, NetworkRequested(session, channel, asks, **fields))
        return asks[0].request_id

    # --- what came of it --------------------------------------------------------------------------------------------

    async def rows(self, **where: Any) -> list[StoredEvent]:
        return [row async for page in self.journal.read(**where) for row in page]

    async def commands(self) -> list[StoredCommand]:
        return [row async for page in self.journal.commands() for row in page]

    async def kinds(self, stream: str | None = None) -> list[str]:
        return [row.kind for row in await self.rows(stream=stream)]

    def recorded(self, kind: str, stream: str | None = None) -> list[Recorded]:
        """The events of a kind since this start."""
        return [
            recorded
            for commit in self.commits
            for recorded in commit.events
            if kind == recorded.event.KIND and stream in (None, recorded.stream)
        ]

    def issued(self, kind: str) -> list[Issued]:
        """The commands of a kind since this start."""
        return [
            issued for commit in self.commits for issued in commit.commands if kind == issued.command.KIND
        ]

    def job(self, kind: str, *, doubtful: bool = False) -> Job:
        """The last command of a kind, as a job for an effector."""
        return Job(self.issued(kind)[-1], doubtful)


def ingress(masker: Masker | None = None, bot_name: str = "claude", **place: Any) -> Ingress:
    def session_id() -> str:
        return f"{next(_numbers):08x}-0000-4000-8000-000000000000"

    return Ingress(
        bot_name=bot_name, place=evolve(PLACE, **place), masker=masker or Masker(), new_session_id=session_id
    )


def a_post(text: str, *, user: User = JAMES, channel: str = CHANNEL, **more: Any) -> Post:
    number = next(_numbers)
    fields: dict[str, Any] = {
        "id": f"post{number:022d}",
        "channel_id": channel,
        "user_id": user.id,
        "message": text,
        "create_at_ms": NOON_MS + number,
        "root_id": "",
        "type": "",
        "props": {},
        "delete_at_ms": 0,
    }
    return Post(**{**fields, **more})


def said(text: str, *, user: User = JAMES, channel: str = CHANNEL, **more: Any) -> Submission:
    """A person's post as intake would hand it over."""
    post, reader = a_post(text, user=user, channel=channel, **more), ingress()
    return Submission(
        streams.channel(channel), lambda state: reader.message(post, user, state), f"post:{post.id}"
    )


def happened(stream: str, event: Event, key: str | None = None) -> Submission:
    return Submission(stream, lambda _: event, key)


async def nothing() -> None:
    """The claim is ours."""


# --- a session --------------------------------------------------------------------------------------------------------


async def ready_session(engine: Engine, *, channel: str = CHANNEL, repository: str = "acme/webapp") -> str:
    """From `start` to Ready, without a VM; answers the session's stream."""
    await engine.say(f"@claude start {repository}", channel=channel)
    stream = engine.recorded("session.requested")[-1].stream
    await become_ready(engine, stream)
    return stream


async def become_ready(engine: Engine, stream: str) -> None:
    """From a place that was asked for to Ready, without a VM."""
    await engine.happen(
        stream, RepositoryPrepared("/repos/r", "main", "f" * 40, "/repos/m", True, "main", "main")
    )
    await engine.happen(stream, AgentStarted(1, "cid1"))
    answer = {"subtype": "success", "request_id": initialize_id(1)}
    await agent_prints(engine, stream, {"type": "control_response", "response": answer})
    assert engine.writer.state(stream).name == "ready"


async def agent_prints(engine: Engine, stream: str, value: dict[str, Any]) -> None:
    """The agent prints a line, which the follower would have recorded."""
    data, text = engine.writer.state(stream).data, json.dumps(value)
    start, end = data.output_bytes, data.output_bytes + len(text) + 1
    event = ingress().line(data.generation, offset=start, end=end, text=text, terminated=True)
    await engine.happen(stream, event, f"out:{stream}:{data.generation}:{start}")


async def agent_says(engine: Engine, stream: str, *texts: str) -> None:
    """The agent writes text blocks."""
    content = [{"type": "text", "text": text} for text in texts]
    await agent_prints(engine, stream, {"type": "assistant", "message": {"content": content}})
