"""Stories of requests and decisions, told to the rules and written into a journal by the real writer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import field, mutable
from core.playbook import OTHER, World

from sm.core.events import Event
from sm.engine.recovery import recover
from sm.engine.writer import Submission, Writer
from sm.journal.claim import this_process
from sm.journal.masking import Masker
from sm.journal.sqlite import InlineSqliteJournal
from sm.replay.cli import run
from sm.replay.times import utc

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS


@mutable
class Story(World):
    """A `World` that remembers what it was given; a second goes by before each event."""

    tape: list[tuple[int, str, Event]] = field(factory=list)

    def record(self, stream: str, event: Event) -> World:
        self.at_ms += SECOND_MS
        self.tape.append((self.at_ms, stream, event))
        return super().record(stream, event)

    def later(self, ms: int) -> Story:
        self.at_ms += ms
        return self

    def second(self) -> Story:
        """Another session, ready in another channel; `>>` means it from here on."""
        self.channel, self.session = "ch2", OTHER
        self.start("acme/other").prepared().started().initialized()
        return self

    def first(self) -> Story:
        """Back to the session that the story began with."""
        self.channel, self.session = World().channel, World().session
        return self

    def seq_of(self, kind: str) -> int:
        """The seq of the last event of a kind."""
        return [r.seq for r in self.history if kind == r.event.KIND][-1]

    def time_of(self, kind: str) -> str:
        return utc([r.recorded_at_ms for r in self.history if kind == r.event.KIND][-1])

    def where(self, kind: str) -> str:
        """Seq and time of the last event of a kind, as a sentence has them."""
        return f"seq {self.seq_of(kind)} ({self.time_of(kind)})"

    def stamp(self, kind: str) -> str:
        """Seq and time of the last event of a kind, as a line of `why` has them."""
        return f"{self.seq_of(kind):>6}  {self.time_of(kind)}  "


@mutable
class TapeClock:
    now: int = 0

    def now_ms(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits here")


async def play(journal: InlineSqliteJournal, tape: list[tuple[int, str, Event]]) -> None:
    """Have the engine's own writer record a tape, from where the journal is."""
    recovered = await recover(journal)
    clock, fatal = TapeClock(), list[BaseException]()
    claim = await journal.claim(this_process())
    writer = Writer(
        journal,
        epoch=claim.epoch,
        clock=clock,
        masker=Masker(),
        states=recovered.states,
        last_seq=recovered.last_seq,
        last_ms=recovered.last_ms,
        on_fatal=fatal.append,
    )
    running = asyncio.create_task(writer.run())
    for at_ms, stream, event in tape:
        clock.now = at_ms
        await writer.submit(Submission(stream, lambda _state, event=event: event))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await journal.release(claim.epoch)
    assert not fatal


def keep(path: Path, tape: list[tuple[int, str, Event]]) -> None:
    """Write a tape into a journal that nobody has open."""

    async def write() -> None:
        async with InlineSqliteJournal.open(path) as journal:
            await play(journal, tape)

    asyncio.run(write())


Ask = Callable[..., list[str]]


def asking(path: Path, capsys: Any) -> Callable[..., list[str]]:
    """Write a story down, ask about it, and answer the lines; it must be an answer."""

    def ask(story: Story, *arguments: str) -> list[str]:
        if not path.exists():
            keep(path, story.tape)
        capsys.readouterr()
        status = run([str(path), *arguments])
        said = capsys.readouterr()
        assert (status, said.err) == (0, "")
        return said.out.splitlines()

    return ask
