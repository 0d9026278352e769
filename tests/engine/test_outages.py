"""A VM that does not answer is said once a session, and once that it is back; nothing is taken for gone."""

from __future__ import annotations

from engine_kit import Engine, ManualClock, ready_session, until

from sm.core.commands import AppendLine
from sm.core.events import Event, LineAppended, MessageAssigned
from sm.core.outcome import Unreachable
from sm.engine.dispatch import Job
from sm.engine.outages import SAY_AFTER_MS, Outages


async def test_an_outage_is_said_after_ten_seconds_and_once(start_engine, path) -> None:
    clock = ManualClock()
    engine: Engine = await start_engine(path, clock=clock)
    stream = await ready_session(engine)
    outages = Outages(engine.writer, clock)
    await outages.failed(stream, "no answer")
    assert engine.recorded("session.vm_lost") == []
    await clock.pass_s(SAY_AFTER_MS / 1000)
    for _ in range(3):
        await outages.failed(stream, "no answer")
    assert [recorded.event.reason for recorded in engine.recorded("session.vm_lost")] == ["no answer"]
    for _ in range(3):
        await outages.over(stream)
    assert len(engine.recorded("session.vm_found")) == 1


async def test_a_short_break_is_not_worth_a_word(start_engine, path) -> None:
    clock = ManualClock()
    engine: Engine = await start_engine(path, clock=clock)
    stream = await ready_session(engine)
    outages = Outages(engine.writer, clock)
    for _ in range(5):
        await outages.failed(stream, "no answer")
        await outages.over(stream)
        await clock.pass_s(SAY_AFTER_MS / 1000)
    assert engine.recorded("session.vm_lost") == engine.recorded("session.vm_found") == []


async def test_a_command_that_the_vm_does_not_take_tells_the_chat_and_goes_on_when_it_is_back(
    start_engine, path
) -> None:
    engine: Engine = await start_engine(path, clock=ManualClock(flows=True))
    stream = await ready_session(engine)
    tries = 0

    async def append(job: Job) -> Event:
        nonlocal tries
        tries += 1
        if not engine.recorded("session.vm_lost"):
            raise Unreachable("10.0.0.1 did not answer.")
        return LineAppended(job.command.generation, job.command.expected + len(job.command.line))

    engine.dispatch({AppendLine: append})
    await engine.happen(stream, MessageAssigned("p" * 26, "u" * 26, "james", "hello"))
    await until(lambda: engine.recorded("session.vm_found"))
    assert tries > 1
    assert len(engine.recorded("session.vm_lost")) == len(engine.recorded("agent.line_appended")) == 1
