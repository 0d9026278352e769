"""Followers: each running generation's output into the journal, from where the journal ends, nothing twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from engine_kit import Engine, ManualClock, ingress, ready_session, settled, until

from sm.core import streams
from sm.core.events import AgentStopped, LineReceived, StreamQuarantined
from sm.core.outcome import Refused, Unreachable
from sm.engine.followers import LONG_LINE, WINDOW, Followers
from sm.engine.outages import Outages
from sm.vm.model import Ended, GenerationStatus, Line, OutputBroken

Item = Line | Ended | OutputBroken | Exception | None  # None: it just ends


class Vm:
    """A VM whose `out` is a text; what happens at its end is told by `then`, one a follow."""

    def __init__(self) -> None:
        self.out = ""
        self.then: list[Item] = []
        self.follows: list[tuple[str, int, int]] = []
        self.more = asyncio.Event()
        self.not_ready: list[Exception] = []
        self.idle: Callable[[], bool] = lambda: False

    async def ready(self, _session_id: str) -> Vm:
        if self.not_ready:
            raise self.not_ready.pop(0)
        return self

    async def status(self, _session_id: str, _generation: int) -> None:
        """It answers."""

    async def follow(
        self, session_id: str, generation: int, offset: int, *, idle: Callable[[], bool]
    ) -> AsyncIterator[Any]:
        self.follows.append((session_id, generation, offset))
        self.idle = idle
        at = offset
        while True:
            while (end := self.out.find("\n", at)) >= 0:
                yield Line(at, end + 1, self.out[at:end], True)
                at = end + 1
            if self.then:
                item = self.then.pop(0)
                if isinstance(item, Exception):
                    raise item
                if item is not None:
                    yield item
                return
            self.more.clear()
            await self.more.wait()

    def prints(self, *values: dict[str, Any]) -> None:
        self.out += "".join(json.dumps(value) + "\n" for value in values)
        self.more.set()

    def ends(self, item: Item) -> None:
        self.then.append(item)
        self.more.set()


class Bench:
    def __init__(self, engine: Engine) -> None:
        self.engine, self.vm = engine, Vm()
        self.followers = Followers(
            engine.writer,
            self.vm,  # type: ignore[arg-type]
            ingress(),
            clock=engine.clock,
            outages=Outages(engine.writer, engine.clock),
            on_fatal=engine.fatal.append,
        )
        engine.writer.listen(self.followers.committed)
        self.stream = ""

    async def session(self) -> Bench:
        """A session that is ready; what it said so far is at the head of `out`."""
        self.stream = await ready_session(self.engine)
        self.vm.out = "x" * (self.data.output_bytes - 1) + "\n"
        return self

    @property
    def data(self) -> Any:
        return self.engine.writer.state(self.stream).data

    @property
    def state(self) -> str:
        return self.engine.writer.state(self.stream).name

    def texts(self) -> list[str]:
        lines = [r.event.line for r in self.engine.recorded("agent.line_received", self.stream)]
        return [json.loads(line)["n"] for line in lines if '"n"' in line]

    async def reads(self, *numbers: int) -> None:
        await until(lambda: self.texts() == list(numbers) or None, f"{numbers}")


@pytest.fixture
async def bench(start_engine, path: Path) -> AsyncIterator[Bench]:
    bench = await Bench(await start_engine(path, clock=ManualClock(flows=True))).session()
    yield bench
    await bench.followers.stop()


def n(number: int) -> dict[str, Any]:
    return {"type": "other", "n": number}


def over(meaning: Any = "ended", exit_text: str = "0 exited 0 false", err: str = "") -> Ended:
    return Ended(GenerationStatus(meaning, exit_text, "cid1", 0, 0), err)


async def test_a_generation_is_followed_from_where_the_journal_ends(bench: Bench) -> None:
    start = bench.data.output_bytes
    bench.vm.prints(n(1), n(2))
    await bench.reads(1, 2)
    session_id = streams.id_of(bench.stream)
    assert (session_id, 1, start) in bench.vm.follows or (session_id, 1, 0) in bench.vm.follows
    assert bench.data.output_bytes == len(bench.vm.out)
    row = await bench.engine.journal.event_by_key(f"out:{session_id}:1:{start}")
    assert row is not None
    assert row.kind == "agent.line_received"


async def test_lines_are_recorded_with_their_raw_offsets(bench: Bench) -> None:
    start = bench.data.output_bytes
    bench.vm.prints(n(1))
    await bench.reads(1)
    line = bench.engine.recorded("agent.line_received")[-1].event
    assert isinstance(line, LineReceived)
    assert (line.generation, line.offset, line.end) == (1, start, len(bench.vm.out))


async def test_a_generation_is_idle_while_no_turn_is_open(bench: Bench) -> None:
    await until(lambda: bench.vm.follows)
    assert bench.vm.idle()
    await bench.engine.say("hello")
    assert bench.state == "working"
    assert not bench.vm.idle()


@pytest.mark.parametrize("trouble", [Unreachable("cut"), Refused("host_key_changed", "another key")])
async def test_after_a_break_it_goes_on_where_it_was_with_nothing_lost_or_twice(
    bench: Bench, trouble: Exception
) -> None:
    bench.vm.prints(n(1), n(2))
    await bench.reads(1, 2)
    at, follows = bench.data.output_bytes, len(bench.vm.follows)
    bench.vm.prints(n(3))
    bench.vm.ends(trouble)
    await until(lambda: len(bench.vm.follows) > follows)
    bench.vm.prints(n(4))
    await bench.reads(1, 2, 3, 4)
    assert bench.vm.follows[-1][2] >= at
    assert not bench.engine.fatal


async def test_while_the_vm_is_away_it_waits_longer_and_longer_and_gives_nothing_up(bench: Bench) -> None:
    await until(lambda: bench.vm.follows)
    bench.engine.clock.slept.clear()
    bench.vm.not_ready = [Unreachable("away")] * 9
    bench.vm.ends(Unreachable("cut"))
    bench.vm.prints(n(1))
    await until(lambda: not bench.vm.not_ready)
    await bench.reads(1)
    assert (
        bench.engine.clock.slept[-8:] == [1, 2, 4, 8, 16, 30, 30, 30] or max(bench.engine.clock.slept) == 30
    )
    assert bench.state == "ready"
    assert (
        len(bench.engine.recorded("session.vm_lost")) == len(bench.engine.recorded("session.vm_found")) == 1
    )


async def test_an_agent_that_says_nothing_is_known_to_be_back_all_the_same(bench: Bench) -> None:
    await until(lambda: bench.vm.follows)
    bench.vm.not_ready = [Unreachable("away")] * 9
    bench.vm.ends(Unreachable("cut"))
    bench.vm.more.set()
    await until(lambda: bench.engine.recorded("session.vm_found"))
    assert len(bench.engine.recorded("session.vm_lost")) == 1


async def test_a_follow_that_ends_without_a_word_is_begun_again(bench: Bench) -> None:
    bench.vm.prints(n(1))
    await bench.reads(1)
    before = len(bench.vm.follows)
    bench.vm.ends(None)
    await until(lambda: len(bench.vm.follows) > before)
    bench.vm.prints(n(2))
    await bench.reads(1, 2)


async def test_the_end_is_recorded_after_the_last_line_and_ends_the_following(bench: Bench) -> None:
    bench.vm.prints(n(1), n(2))
    bench.vm.ends(over("ended", "137 0", "killed"))
    [ended] = await until(lambda: bench.engine.recorded("agent.ended"))
    assert (ended.event.meaning, ended.event.exit, ended.event.err_tail) == ("ended", "137 0", "killed")
    assert bench.texts() == [1, 2]
    assert bench.state == "recovering"
    await until(lambda: not bench.followers._tasks)
    follows = len(bench.vm.follows)
    await settled()
    assert len(bench.vm.follows) == follows


async def test_what_a_container_writes_after_its_pump_was_killed_is_read_once_it_is_stopped(
    bench: Bench,
) -> None:
    bench.vm.prints(n(1))
    bench.vm.ends(over("pump_killed", ""))
    await until(lambda: bench.engine.recorded("agent.ended"))
    assert bench.state == "recovering"
    assert bench.engine.issued("agent.stop")
    bench.vm.prints(n(2))
    bench.vm.ends(over("cut_off", ""))
    await bench.engine.happen(bench.stream, AgentStopped(1, "cut_off", ""))
    await until(lambda: len(bench.engine.recorded("agent.ended")) == 2)
    assert bench.texts() == [1, 2]


async def test_output_that_is_not_what_was_followed_ends_the_generation(bench: Bench) -> None:
    bench.vm.prints(n(1))
    bench.vm.ends(OutputBroken("out was truncated"))
    [broken] = await until(lambda: bench.engine.recorded("agent.output_broken"))
    assert broken.event.reason == "out was truncated"
    assert bench.state == "recovering"
    assert bench.engine.issued("agent.stop")
    await until(lambda: not bench.followers._tasks)


async def test_an_unfinished_last_line_is_recorded_as_such(bench: Bench) -> None:
    start = bench.data.output_bytes
    bench.vm.ends(Line(start, start + 4, '{"ty', False))
    await until(lambda: bench.data.output_bytes == start + 4)
    line = bench.engine.recorded("agent.line_received")[-1].event
    assert (line.line, line.terminated) == ('{"ty', False)


async def test_a_flood_of_lines_is_recorded_in_order_within_a_window(bench: Bench) -> None:
    count = WINDOW * 4
    bench.vm.prints(*[n(number) for number in range(count)])
    await bench.reads(*range(count))
    assert bench.data.output_bytes == len(bench.vm.out)


async def test_after_a_restart_it_goes_on_at_the_stored_offset(
    bench: Bench, start_engine, path: Path
) -> None:
    bench.vm.prints(n(1), n(2))
    await bench.reads(1, 2)
    await bench.followers.stop()
    await bench.engine.crash()
    again = Bench(await start_engine(path, clock=ManualClock(flows=True)))
    again.stream, again.vm.out = bench.stream, bench.vm.out
    again.vm.prints(n(3))
    again.followers.start_all()
    await again.reads(3)
    assert again.vm.follows[0][2] == len(bench.vm.out)
    await again.followers.stop()


async def test_one_follower_reads_a_generation_however_often_its_session_changes(bench: Bench) -> None:
    for number in range(5):
        bench.vm.prints(n(number))
        await bench.engine.say("hello")
    bench.followers.start_all()
    await bench.reads(*range(5))
    assert len(bench.followers._tasks) == 1


async def test_a_quarantined_session_is_followed_no_more_when_it_is_taken_up(
    bench: Bench, start_engine, path: Path
) -> None:
    await bench.engine.happen(bench.stream, StreamQuarantined("a test", 1))
    await bench.followers.stop()
    await bench.engine.crash()
    again = Bench(await start_engine(path))
    again.followers.start_all()
    await settled()
    assert again.vm.follows == []


async def test_what_has_not_started_or_is_over_is_not_followed(start_engine, path: Path) -> None:
    bench = Bench(await start_engine(path))
    await bench.engine.say("@claude start acme/webapp")
    await settled()
    assert bench.vm.follows == []
    assert bench.followers._tasks == {}


async def test_a_fault_of_our_own_while_reading_is_tried_again_and_stops_nobody_else(bench: Bench) -> None:
    bench.vm.ends(ZeroDivisionError("ours"))
    bench.vm.prints(n(1))
    await until(lambda: not bench.vm.then)
    bench.vm.prints(n(2))
    await bench.reads(1, 2)
    assert not bench.engine.fatal


async def test_a_long_line_is_read_whole_and_in_its_place(bench: Bench) -> None:
    long = {"type": "other", "n": 2, "text": "x" * (LONG_LINE + 1)}
    bench.vm.prints(n(1), long, n(3))
    await bench.reads(1, 2, 3)


async def test_stopping_lets_go_at_once_and_blames_nobody(bench: Bench) -> None:
    await until(lambda: bench.vm.follows)
    await bench.followers.stop()
    assert not bench.engine.fatal
    assert evolve(bench.data).follows_output
