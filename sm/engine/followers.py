"""Followers: read each running generation's output into the journal, line by line, from where the journal ends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

import structlog

from sm.core import streams
from sm.core.events import AgentEnded, Event, OutputBroken
from sm.core.memory import SessionData
from sm.core.outcome import Refused, Unreachable
from sm.engine.clock import Clock
from sm.engine.fenced_vm import FencedVm
from sm.engine.ingress import Ingress
from sm.engine.outages import Outages
from sm.engine.writer import Committed, Outcome, Submission, Writer
from sm.vm.client import Ended, Line
from sm.vm.client import OutputBroken as FileBroken

log = structlog.get_logger(__name__)

LONG_LINE = 65_536  # characters from which a line is read and masked beside the loop
WINDOW = 256  # lines handed over and not yet durable
FIRST_DELAY_S = 0.5
MAX_DELAY_S = 30.0


class Followers:
    """One follower a running generation; which ones there must be is read from the sessions' states."""

    def __init__(
        self,
        writer: Writer,
        vm: FencedVm,
        ingress: Ingress,
        *,
        clock: Clock,
        outages: Outages,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._writer = writer
        self._vm = vm
        self._ingress = ingress
        self._clock = clock
        self._outages = outages
        self._on_fatal = on_fatal
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}

    def start_all(self) -> None:
        """Take up what ran before this start."""
        for stream in list(self._writer.states):
            self._consider(stream)

    def committed(self, committed: Committed) -> None:
        """Look at the sessions that a commit changed."""
        for stream in {recorded.stream for recorded in committed.events}:
            self._consider(stream)

    async def stop(self) -> None:
        """Let go; the next start goes on from the journal."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _consider(self, stream: str) -> None:
        if streams.kind_of(stream) != "session":
            return
        state = self._writer.state(stream)
        data: SessionData = state.data
        wanted = (data.session_id, data.generation)
        if data.follows_output and state.name != "quarantined" and wanted not in self._tasks:
            task = asyncio.create_task(self._follow(stream, data.generation), name=f"follow {stream}")
            self._tasks[wanted] = task
            task.add_done_callback(lambda done: self._ended(wanted, done))

    def _ended(self, which: tuple[str, int], task: asyncio.Task[None]) -> None:
        self._tasks.pop(which, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fatal(error)

    async def _follow(self, stream: str, generation: int) -> None:
        delay_s = FIRST_DELAY_S
        while True:
            before = self._offset(stream, generation)
            if before is None:
                return
            try:
                await self._read(stream, generation, before)
            except Unreachable as error:
                log.warning("output cannot be read now", stream=stream, error=str(error))
                await self._outages.failed(stream, str(error))
            except Refused as error:
                log.warning("output cannot be read", stream=stream, code=error.code, error=str(error))
            except Exception:  # a fault of ours stops this follower, loudly, and no other
                log.exception("follower failed, trying again", stream=stream)
                delay_s = MAX_DELAY_S
            delay_s = FIRST_DELAY_S if self._offset(stream, generation) != before else delay_s
            await self._clock.sleep(delay_s)
            delay_s = min(delay_s * 2, MAX_DELAY_S)

    def _offset(self, stream: str, generation: int) -> int | None:
        data: SessionData = self._writer.state(stream).data
        wanted = data.generation == generation and data.follows_output
        return data.output_bytes if wanted else None

    async def _read(self, stream: str, generation: int, offset: int) -> None:
        """Read on from `offset` to where the VM says that it ends.

        Where the container may run on without its pump, the fold has it stopped, and the rest is read afterwards.
        """
        session_id = streams.id_of(stream)
        vm = await self._vm.ready(session_id)
        window: deque[asyncio.Future[Outcome]] = deque()
        try:
            idle = partial(self._is_idle, stream)
            if self._outages.lasts(
                stream
            ):  # an idle agent may say nothing for long: ask, to know that the VM answers
                await vm.status(session_id, generation)
                await self._outages.over(stream)
            async for item in vm.follow(session_id, generation, offset, idle=idle):
                await self._outages.over(stream)
                if isinstance(item, Line):
                    event: Event = await self._line(generation, item)
                    key = f"out:{session_id}:{generation}:{item.offset}"
                elif isinstance(item, Ended):
                    event = AgentEnded(generation, item.status.meaning, item.status.exit, item.err_tail)
                    key = f"ended:{session_id}:{generation}:{item.status.meaning}"
                else:
                    broken: FileBroken = item
                    event = OutputBroken(generation, broken.reason)
                    key = f"broken:{session_id}:{generation}"
                submission = Submission(
                    stream, lambda _, made=event: made, key, masked=isinstance(item, Line)
                )
                window.append(await self._writer.enqueue(submission))
                while len(window) > WINDOW:
                    await window.popleft()
        finally:
            await asyncio.gather(*window)

    def _is_idle(self, stream: str) -> bool:
        """Whether no turn is open: the output then needs no channel of its own."""
        return self._writer.state(stream).name == "ready"

    async def _line(self, generation: int, line: Line) -> Event:
        make = partial(
            self._ingress.line,
            generation,
            offset=line.offset,
            end=line.end,
            text=line.text,
            terminated=line.terminated,
        )
        return await asyncio.to_thread(make) if len(line.text) > LONG_LINE else make()
