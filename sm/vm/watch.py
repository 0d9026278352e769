"""Idle generations: many share one channel, on which the VM says when there is something to follow again.

The script on the VM compares `out` with the size that we have read, five times a second, so nothing depends on
when a generation was handed over. A watch says only *that* something changed; what it was is read by following.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from typing import Final

import asyncssh
from attrs import define, field

from sm.core.outcome import Refused, Unreachable
from sm.vm.remote import command, past_preamble
from sm.vm.ssh import Pool

TICK_S: Final = 0.2
BEAT_S: Final = 5
"""How often the script says that it is at work, whole seconds."""
SILENCE_S: Final = 60
"""How long it may say nothing before it counts as gone."""
LONELY_BEATS: Final = 6
"""After how many beats with nothing to watch the channel is given up."""
MAX_WATCHED: Final = 256
"""Generations on one channel."""
MAX_CHANNELS: Final = 8
MAX_SAID_BYTES: Final = 100

GIVEN_UP: Final = "The watch over the idle agents' output was given up."


@define(eq=False)
class Watches:
    """The watching channels of one VM: as few as hold all idle generations."""

    _pool: Pool
    _open: list[_Watch] = field(factory=list["_Watch"], init=False)
    _tasks: set[asyncio.Task[None]] = field(factory=set["asyncio.Task[None]"], init=False)

    @property
    def have_room(self) -> bool:
        """Whether one more generation can be watched."""
        return len(self._live()) < MAX_CHANNELS or any(watch.has_room for watch in self._open)

    @property
    def watched(self) -> int:
        """How many generations are watched now."""
        return sum(watch.watched for watch in self._live())

    async def changed(self, folder: str, size: int) -> None:
        """Return when FOLDER/out is no longer `size` bytes long or the generation's pump is gone.

        It may return without either. Raises Unreachable when the watching channel breaks.
        """
        watch = next((watch for watch in self._live() if watch.has_room), None)
        await (watch or self._begin()).changed(folder, size)

    async def close(self) -> None:
        """Give up the channels; each who waits gets Unreachable."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for watch in self._live():  # a task that never began ends none
            watch.give_up(GIVEN_UP)

    def _live(self) -> list[_Watch]:
        self._open = [watch for watch in self._open if not watch.over]
        return self._open

    def _begin(self) -> _Watch:
        watch = _Watch(self._pool)
        self._open.append(watch)
        task = asyncio.create_task(watch.run(), name="watch idle generations")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return watch


@define(eq=False)
class _Watch:
    """One channel and who waits on it. A generation has a new number each time, so a late answer meets nobody."""

    _pool: Pool
    _waiting: dict[str, asyncio.Future[None]] = field(factory=dict[str, "asyncio.Future[None]"], init=False)
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1), init=False)
    _early: list[bytes] = field(factory=list[bytes], init=False)
    """What is to be said once the script listens: a login profile could swallow it before."""
    _stdin: asyncssh.SSHWriter[bytes] | None = field(default=None, init=False)
    _lonely: int = field(default=0, init=False)
    over: bool = field(default=False, init=False)

    @property
    def has_room(self) -> bool:
        return not self.over and len(self._waiting) < MAX_WATCHED

    @property
    def watched(self) -> int:
        return len(self._waiting) if self._stdin else 0

    async def changed(self, folder: str, size: int) -> None:
        number = str(next(self._numbers))
        found = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._lonely = 0
        self._tell(f"add {number} {size} {folder}\n")
        try:
            await found
        finally:
            del self._waiting[number]
            if found.cancelled():
                self._tell(f"drop {number}\n")

    async def run(self) -> None:
        """Keep the channel until it breaks or nobody needs it; whoever waits then gets Unreachable."""
        problem = GIVEN_UP
        try:
            async with self._pool.process(command("watch", [str(TICK_S), BEAT_S])) as process:
                async with asyncio.timeout(SILENCE_S):
                    await past_preamble(process.stdout)
                self._stdin = process.stdin
                for line in self._early:
                    process.stdin.write(line)
                await self._listen(process.stdout)
        except (Unreachable, Refused) as error:  # following again tells a refusal to each
            problem = str(error)
        finally:
            self.give_up(problem)

    def give_up(self, problem: str) -> None:
        """Tell all who wait that nothing is known about theirs."""
        self.over = True
        for found in self._waiting.values():
            if not found.done():
                found.set_exception(Unreachable(problem))

    async def _listen(self, reader: asyncssh.SSHReader[bytes]) -> None:
        unfinished = b""
        while not self.over:
            async with asyncio.timeout(SILENCE_S):
                chunk = await reader.read(65536)
            if not chunk:
                raise Unreachable("The connection that watched the idle agents' output broke.")
            *lines, unfinished = (unfinished + chunk).split(b"\n")
            if len(unfinished) > MAX_SAID_BYTES:
                raise Unreachable("The VM's answer about the idle agents' output is not understood.")
            for line in lines:
                self._said(line.decode("ascii", "replace"))

    def _said(self, line: str) -> None:
        word, _, number = line.partition(" ")
        if word == "changed":
            found = self._waiting.get(number)
            if found is not None and not found.done():
                found.set_result(None)
        elif word == "here":
            self._lonely = 0 if self._waiting else self._lonely + 1
            self.over = self._lonely >= LONELY_BEATS

    def _tell(self, line: str) -> None:
        """Not waited for: at most one short line for each who waits, and a script that takes none falls silent."""
        if self.over:
            return
        if self._stdin is None:
            self._early.append(line.encode())
            return
        with contextlib.suppress(OSError):  # a channel just closed: `run` tells all who wait
            self._stdin.write(line.encode())
