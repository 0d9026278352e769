"""The outbox at work: lanes, doubt, waiting, the report, the fault points."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from engine_kit import ALIAS, ALIAS_STREAM, CHANNEL, Engine, ManualClock, said, settled, until

from sm.core.commands import COMMANDS, AppendLine, ResolveCard, Say, WriteAlias
from sm.core.events import (
    AliasFailed,
    Event,
    NetworkDecided,
    NetworkListRequested,
    PostFailed,
    PostSent,
    StreamQuarantined,
)
from sm.core.outcome import Unreachable
from sm.engine.dispatch import Job
from sm.engine.faultpoints import KillAt, NoFaults

OTHER = "d" * 26
Trouble = Callable[[Job], Awaitable[None]]


class Chat:
    """An effector that notes what it is called with, and waits at the gates that a test shuts."""

    def __init__(self) -> None:
        self.began: list[tuple[str, bool]] = []
        self.ended: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.troubles: list[Exception] = []

    async def __call__(self, job: Job) -> Event:
        channel = job.command.channel_id
        self.began.append((channel, job.doubtful))
        if channel in self.gates:
            await self.gates[channel].wait()
        if self.troubles:
            raise self.troubles.pop(0)
        self.ended.append(job.id)
        return PostSent(job.id, channel, "p" * 26)


@pytest.fixture
def chat() -> Chat:
    return Chat()


async def test_commands_of_one_lane_go_one_after_another_and_lanes_side_by_side(
    engine: Engine, chat: Chat
) -> None:
    chat.gates[CHANNEL] = asyncio.Event()
    engine.dispatch({Say: chat})
    await engine.say("@claude help")
    await engine.say("@claude help")
    await engine.say("@claude help", channel=OTHER)
    await until(lambda: len(chat.ended) == 1)
    assert chat.began == [(CHANNEL, False), (OTHER, False)]
    chat.gates[CHANNEL].set()
    await until(lambda: len(chat.ended) == 3)
    here = [issued.id for issued in engine.issued("chat.say") if issued.command.channel_id == CHANNEL]
    assert [done for done in chat.ended if done in here] == here


async def test_the_next_of_a_lane_begins_after_the_report_of_the_one_before_is_committed(
    engine: Engine,
) -> None:
    outstanding: list[int] = []

    async def effector(job: Job) -> Event:
        outstanding.append(len(await engine.journal.outstanding()))
        return PostSent(job.id, CHANNEL, "p" * 26)

    engine.dispatch({Say: effector})
    await engine.at_once(*[said("@claude help") for _ in range(3)])
    await until(lambda: len(outstanding) == 3)
    assert outstanding == [3, 2, 1]


async def test_a_command_that_ended_without_an_answer_is_tried_again_in_doubt(
    start_engine, chat: Chat
) -> None:
    engine = await start_engine(clock=ManualClock(flows=True))
    chat.troubles = [Unreachable("gone"), Unreachable("still gone")]
    engine.dispatch({Say: chat})
    await engine.say("@claude help")
    await engine.say("@claude help")
    await until(lambda: len(chat.ended) == 2)
    assert [doubtful for _, doubtful in chat.began] == [False, True, True, False]


async def test_the_wait_grows_up_to_half_a_minute_and_never_ends(start_engine, chat: Chat) -> None:
    engine = await start_engine(clock=ManualClock(flows=True))
    chat.troubles = [Unreachable("gone")] * 10
    engine.dispatch({Say: chat})
    await engine.say("@claude help")
    await until(lambda: chat.ended)
    assert engine.clock.slept == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]


async def test_what_the_peer_asks_to_wait_is_honoured_and_bounded(start_engine, chat: Chat) -> None:
    engine = await start_engine(clock=ManualClock(flows=True))
    chat.troubles = [
        Unreachable("busy", retry_after_s=7.5),
        Unreachable("busy", retry_after_s=0.1),
        Unreachable("busy", retry_after_s=86_400),
    ]
    engine.dispatch({Say: chat})
    await engine.say("@claude help")
    await until(lambda: chat.ended)
    assert engine.clock.slept == [7.5, 1, 300]


async def test_a_lane_that_waits_holds_up_no_other(engine: Engine, chat: Chat) -> None:
    chat.troubles = [Unreachable("busy", retry_after_s=60)]
    engine.dispatch({Say: chat})
    await engine.say("@claude help")
    await until(lambda: engine.clock.sleepers)
    await engine.say("@claude help", channel=OTHER)
    await until(lambda: chat.ended)
    assert chat.began == [(CHANNEL, False), (OTHER, False)]
    await engine.clock.pass_s(61)
    await until(lambda: len(chat.ended) == 2)


async def test_what_was_outstanding_at_a_crash_is_taken_up_in_doubt_and_in_order(
    start_engine, path, chat: Chat
) -> None:
    engine = await start_engine(path)
    await engine.say("@claude help")
    await engine.say("@claude stop")
    ids = [issued.id for issued in engine.issued("chat.say")]
    await engine.crash()
    again = await start_engine(path)
    assert [issued.id for issued in again.recovered.outstanding] == ids
    again.dispatch({Say: chat})
    await again.say("@claude help")
    await until(lambda: len(chat.ended) == 3)
    assert chat.ended[:2] == ids
    assert [doubtful for _, doubtful in chat.began] == [True, True, False]
    await until(lambda: len(again.recorded("post.sent")) == 3)
    assert await again.journal.outstanding() == []


async def test_what_is_settled_is_never_carried_out_again(start_engine, path, chat: Chat) -> None:
    engine = await start_engine(path)
    engine.dispatch({Say: chat})
    await engine.say("@claude help")
    await until(lambda: engine.recorded("post.sent"))
    await engine.crash()
    again = await start_engine(path)
    again.dispatch({Say: chat})
    await again.say("@claude help", channel=OTHER)
    await until(lambda: len(chat.ended) == 2)
    assert [channel for channel, _ in chat.began] == [CHANNEL, OTHER]


async def test_a_report_lies_in_the_commands_own_stream_with_its_cause_and_key(
    engine: Engine, chat: Chat
) -> None:
    engine.dispatch({Say: chat})
    await engine.say("@claude help")
    await until(lambda: engine.recorded("post.sent"))
    [command] = await engine.commands()
    [report] = [row for row in await engine.rows() if row.kind == "post.sent"]
    assert (report.stream, report.cause, report.key) == (command.stream, command.id, f"done:{command.id}")
    assert command.settled_by == report.seq


async def test_a_second_report_of_a_command_is_a_no_op(engine: Engine) -> None:
    gate = asyncio.Event()

    async def effector(job: Job) -> Event:
        await gate.wait()
        return PostFailed(job.id, CHANNEL, "late", "the second one")

    engine.dispatch({Say: effector})
    await engine.say("@claude help")
    [issued] = engine.issued("chat.say")
    first = PostSent(issued.id, CHANNEL, "p" * 26)
    await engine.happen(issued.stream, first, f"done:{issued.id}", settles=issued.id)
    gate.set()
    await engine.say("@claude help")
    await until(lambda: engine.recorded("post.failed"))
    kinds = await engine.kinds()
    assert kinds.count("post.sent") == kinds.count("post.failed") == 1
    assert await engine.journal.outstanding() == []


async def test_fault_points_are_reached_in_order_around_commit_and_effect(engine: Engine) -> None:
    reached: list[str] = []

    class Points:
        def reached(self, point: str, kind: str) -> None:
            reached.append(f"{point}:{kind} {len(engine.recorded('post.sent'))}")

    async def effector(job: Job) -> Event:
        reached.append("effect")
        assert await engine.journal.event(job.issued.seq) is not None
        return PostSent(job.id, CHANNEL, "p" * 26)

    engine.dispatch({Say: effector}, faults=Points())
    await engine.say("@claude help")
    await until(lambda: engine.recorded("post.sent"))
    assert reached == ["after_commit:chat.say 0", "effect", "after_effect:chat.say 0"]


async def test_an_effector_that_breaks_is_tried_again_later_in_doubt_and_stops_its_own_lane_only(
    engine: Engine, chat: Chat
) -> None:
    chat.troubles = [ZeroDivisionError("ours")]  # whoever comes first
    engine.dispatch({Say: chat})
    await engine.say("@claude help")
    await until(lambda: engine.clock.sleepers)
    await engine.say("@claude help", channel=OTHER)
    await until(lambda: engine.recorded("post.sent"))
    assert not engine.fatal
    assert len(await engine.journal.outstanding()) == 1
    await engine.clock.pass_s(31)
    await until(lambda: len(chat.ended) == 2)
    assert chat.began == [(CHANNEL, False), (OTHER, False), (CHANNEL, True)]


async def test_what_is_cancelled_at_the_end_stays_outstanding(engine: Engine, chat: Chat) -> None:
    chat.gates[CHANNEL] = asyncio.Event()
    dispatcher = engine.dispatch({Say: chat})
    await engine.say("@claude help")
    await until(lambda: chat.began)
    await dispatcher.stop()
    assert not engine.fatal
    assert len(await engine.journal.outstanding()) == 1


async def test_after_its_quarantine_the_alias_is_written_no_more(engine: Engine) -> None:
    """What waited for its turn is not carried out; it stays in the outbox, and what is said goes out."""
    request_id = await engine.ask("pypi.org")
    request = engine.writer.state(ALIAS_STREAM).data.requests[request_id]
    press = NetworkDecided(
        "approve", CHANNEL, "u" * 26, "james", "button", card_id=request.card_id, request_id=request_id
    )
    await engine.happen(ALIAS_STREAM, press)
    await engine.happen(ALIAS_STREAM, StreamQuarantined("a test", 1))
    await engine.happen(ALIAS_STREAM, NetworkListRequested("net", CHANNEL, "james"))
    writes: list[Job] = []

    async def write(job: Job) -> Event:
        writes.append(job)
        return AliasFailed("write", "forbidden", "no")

    async def say(job: Job) -> Event:
        return PostSent(job.id, CHANNEL, "p" * 26)

    dispatcher = engine.dispatch({WriteAlias: write, ResolveCard: write, Say: say})
    dispatcher.take(issued for commit in engine.commits for issued in commit.commands)
    await until(lambda: engine.recorded("post.sent"))
    await settled()
    assert writes == []
    assert [row.kind for row in await engine.journal.outstanding()] == ["card.resolve", "alias.write"]


# --- the fault of the command line -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(COMMANDS))
def test_every_kind_of_command_can_be_named_as_a_fault(kind: str) -> None:
    for point in ("after_commit", "after_effect"):
        KillAt.parse(f"{point}:{kind}").reached(point, "another.kind")
        NoFaults().reached(point, kind)


@pytest.mark.parametrize(
    "text", ["", "after_commit", "after_commit:", "before:chat.say", "after_effect:chat.shout"]
)
def test_a_fault_that_is_none_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(ValueError, match="after_commit, after_effect") as caught:
        KillAt.parse(text)
    assert "alias.write" in str(caught.value)


def test_lanes_are_named_by_what_must_keep_its_order() -> None:
    assert Say(CHANNEL, "help").lane == f"chat:{CHANNEL}"
    assert WriteAlias(ALIAS, ("pypi.org",), ()).lane == f"alias:{ALIAS}"
    assert AppendLine("s1", 1, 0, "{}\n").lane == "vm:s1"
    assert AliasFailed("write", "x", "y").KIND == "alias.failed"
