"""Dispatch: commands wait in lanes; each is carried out until what came of it is known and committed.

Lanes run side by side; within one, commands go in the order of the journal, one at a time. A command from before
this start, or one whose last attempt ended without an answer, is *doubtful*: its effector probes first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import structlog
from attrs import frozen

from sm.core.commands import Command
from sm.core.events import Event
from sm.core.outcome import Unreachable
from sm.engine.clock import Clock
from sm.engine.faultpoints import FaultPoints
from sm.engine.outages import Outages
from sm.engine.writer import Issued, Submission, Writer

log = structlog.get_logger(__name__)

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 30.0


@frozen
class Job:
    """A command on its way. `doubtful`: it may have taken effect already."""

    issued: Issued
    doubtful: bool

    @property
    def id(self) -> str:
        """The command's id."""
        return self.issued.id

    @property
    def command(self) -> Any:
        """The command itself."""
        return self.issued.command


Effector = Callable[[Job], Awaitable[Event]]
"""Carries a command out and answers what came of it. Raises `Unreachable` to be called again, doubtful."""


class Dispatcher:
    """Runs the outbox."""

    def __init__(
        self,
        writer: Writer,
        effectors: Mapping[type[Command], Effector],
        *,
        clock: Clock,
        faults: FaultPoints,
        outages: Outages,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._writer = writer
        self._effectors = effectors
        self._clock = clock
        self._faults = faults
        self._outages = outages
        self._on_fatal = on_fatal
        self._lanes: dict[str, deque[Job]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, commands: Iterable[Issued], *, doubtful: bool = False) -> None:
        """Queue commands that are committed."""
        for issued in commands:
            lane = issued.command.lane
            waiting = self._lanes.get(lane)
            if waiting is None:
                waiting = self._lanes[lane] = deque()
                task = asyncio.create_task(self._run(lane, waiting), name=f"lane {lane}")
                self._tasks.add(task)
                task.add_done_callback(self._ended)
            waiting.append(Job(issued, doubtful))

    async def stop(self) -> None:
        """Cancel what is under way; the next start probes it."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fatal(error)

    async def _run(self, lane: str, waiting: deque[Job]) -> None:
        while waiting:
            job = waiting[0]
            if self._stands_still(job):
                waiting.popleft()
                continue
            self._faults.reached("after_commit", job.command.KIND)
            report = await self._carry_out(job)
            self._faults.reached("after_effect", job.command.KIND)
            await self._writer.submit(
                Submission(
                    job.issued.stream, lambda _, made=report: made, f"done:{job.id}", job.id, settles=job.id
                )
            )
            waiting.popleft()
        del self._lanes[lane]

    def _stands_still(self, job: Job) -> bool:
        """A quarantined stream acts no more: what it asked for stays in the outbox. Only what it says goes out."""
        if job.issued.command.lane.startswith(("chat:", "direct:")):
            return False
        quarantined = self._writer.state(job.issued.stream).name == "quarantined"
        if quarantined:
            log.error("left undone, its stream is quarantined", command=job.id, kind=job.command.KIND)
        return quarantined

    async def _carry_out(self, job: Job) -> Event:
        delay_s = FIRST_DELAY_S
        effector = self._effectors[type(job.command)]
        is_on_vm = job.issued.command.lane.startswith("vm:")
        while True:
            try:
                report = await effector(job)
            except Unreachable as error:
                log.warning(
                    "no answer, trying again", command=job.id, kind=job.command.KIND, error=str(error)
                )
                wanted_s = min(error.retry_after_s or 0.0, 300.0)
                if is_on_vm:
                    await self._outages.failed(job.issued.stream, str(error))
            except Exception:  # a fault of ours stops this lane, loudly, and no other
                log.exception("effector failed, trying again", command=job.id, kind=job.command.KIND)
                wanted_s = MAX_DELAY_S
            else:
                if is_on_vm:
                    await self._outages.over(job.issued.stream)
                return report
            await self._clock.sleep(max(delay_s, wanted_s))
            delay_s = min(delay_s * 2, MAX_DELAY_S)
            job = Job(job.issued, doubtful=True)
