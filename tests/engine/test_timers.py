"""Timers: they fire when due, also when that was while nobody ran, and whatever the clock does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chat_kit import forever
from engine_kit import Engine, ManualClock, ready_session, until

from sm.core import streams
from sm.core.commands import COMMANDS, SetTimer
from sm.core.events import AgentStarted, RepositoryPrepared
from sm.engine.effectors.timers import STEP_S, TimerEffectors


def with_timers(engine: Engine) -> None:
    effectors: dict[Any, Any] = dict.fromkeys(COMMANDS.values(), forever)
    engine.dispatch(effectors | {SetTimer: TimerEffectors(engine.clock).wait})


async def starting(engine: Engine) -> str:
    """A session whose container runs and that has not answered; its timer is set."""
    await engine.say("@claude start acme/webapp")
    stream = engine.recorded("session.requested")[-1].stream
    await engine.happen(stream, RepositoryPrepared("/r", "main", "f" * 40, "/m", True))
    await engine.happen(stream, AgentStarted(1, "cid"))
    return stream


async def test_a_timer_fires_when_its_time_has_come_and_not_before(engine: Engine) -> None:
    with_timers(engine)
    stream = await starting(engine)
    await until(lambda: engine.clock.sleepers)
    await engine.clock.pass_s(59.9)
    await until(lambda: engine.clock.sleepers or None)
    assert engine.recorded("timer.fired") == []
    await engine.clock.pass_s(0.2)
    [fired] = await until(lambda: engine.recorded("timer.fired"))
    assert (fired.stream, fired.event.name, fired.event.generation) == (stream, "ready", 1)
    assert engine.writer.state(stream).name == "recovering"


async def test_what_was_due_while_nobody_ran_fires_at_the_next_start(start_engine, path: Path) -> None:
    clock = ManualClock()
    engine = await start_engine(path, clock=clock)
    with_timers(engine)
    stream = await starting(engine)
    await until(lambda: clock.sleepers)
    await engine.crash()
    clock.ms += 3_600_000
    again = await start_engine(path, clock=clock)
    with_timers(again)
    await until(lambda: again.recorded("timer.fired"))
    assert again.writer.state(stream).name == "recovering"


async def test_after_a_restart_a_timer_waits_for_the_rest_only(start_engine, path: Path) -> None:
    clock = ManualClock()
    engine = await start_engine(path, clock=clock)
    with_timers(engine)
    await starting(engine)
    await until(lambda: clock.sleepers)
    await clock.pass_s(40)
    await engine.crash()
    again = await start_engine(path, clock=clock)
    with_timers(again)
    await until(lambda: clock.slept[-1] == 20)
    await clock.pass_s(21)
    await until(lambda: again.recorded("timer.fired"))


async def test_a_clock_that_jumps_ahead_is_noticed_within_a_step(engine: Engine) -> None:
    with_timers(engine)
    await starting(engine)
    await until(lambda: engine.clock.sleepers)
    assert max(engine.clock.slept) <= STEP_S
    await engine.clock.pass_s(3600)
    await until(lambda: engine.recorded("timer.fired"))


async def test_a_clock_that_jumps_back_makes_it_wait_longer_and_never_fire_twice(engine: Engine) -> None:
    with_timers(engine)
    await starting(engine)
    await until(lambda: engine.clock.sleepers)
    engine.clock.ms -= 3_600_000
    for _ in range(70):
        await engine.clock.pass_s(60)
    await until(lambda: engine.recorded("timer.fired"))
    assert len(engine.recorded("timer.fired")) == 1


async def test_a_timer_of_a_session_that_got_ready_fires_into_nothing(engine: Engine) -> None:
    with_timers(engine)
    stream = await ready_session(engine)
    await until(lambda: engine.clock.sleepers)
    await engine.clock.pass_s(61)
    await until(lambda: engine.recorded("timer.fired"))
    assert engine.writer.state(stream).name == "ready"
    assert streams.kind_of(stream) == "session"


async def test_timers_hold_up_neither_each_other_nor_their_session(engine: Engine) -> None:
    with_timers(engine)
    await starting(engine)
    await engine.say("@claude start acme/api", channel="d" * 26)
    other = engine.recorded("session.requested")[-1].stream
    await engine.happen(other, RepositoryPrepared("/r", "main", "f" * 40, "/m", True))
    await engine.clock.pass_s(10)
    await engine.happen(other, AgentStarted(1, "cid2"))
    await until(lambda: engine.clock.sleepers == 2)
    await engine.clock.pass_s(51)
    await until(lambda: len(engine.recorded("timer.fired")) == 1)
    await engine.clock.pass_s(10)
    await until(lambda: len(engine.recorded("timer.fired")) == 2)
