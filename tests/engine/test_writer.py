"""The one writer: keys, order, notices, quarantine, the moment of a commit, a clock that jumps."""

from __future__ import annotations

import asyncio

import pytest
from engine_kit import (
    ALIAS_STREAM,
    CHANNEL,
    CHANNEL_STREAM,
    Engine,
    ManualClock,
    happened,
    said,
    settled,
    until,
)

from sm.core import fold as rules
from sm.core import streams
from sm.core.events import Ask, ChannelJoined, Event, NetworkRequested, PostSent
from sm.engine.writer import Submission
from sm.journal.errors import JournalError
from sm.journal.hashing import ChainVerifier
from sm.journal.masking import Masker

JOINED = ChannelJoined(CHANNEL, "claude-project", None)
ASKED = NetworkRequested("s1", CHANNEL, (Ask("r1", "pypi.org"),))


def breaks_on(monkeypatch: pytest.MonkeyPatch, kind: str, stream_kind: str) -> None:
    """From here on the rules raise for events of this kind in streams of that one."""
    true_fold = rules.fold

    def fold(state, recorded):
        if kind == recorded.event.KIND and streams.kind_of(recorded.stream) == stream_kind:
            raise ZeroDivisionError("sk-ant-not-to-be-shown")
        return true_fold(state, recorded)

    monkeypatch.setattr(rules, "fold", fold)


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_a_second_delivery_of_a_key_is_a_no_op(engine: Engine) -> None:
    first = await engine.happen(CHANNEL_STREAM, JOINED, "joined:1")
    second = await engine.happen(CHANNEL_STREAM, JOINED, "joined:1")
    assert (first.seq, second.seq) == (2, None)
    assert second.state == first.state
    assert await engine.kinds() == ["stream.opened", "channel.joined"]


async def test_a_key_twice_in_one_batch_is_taken_once(engine: Engine) -> None:
    one, two, three = await engine.at_once(
        happened(CHANNEL_STREAM, JOINED, "joined:1"),
        happened(CHANNEL_STREAM, JOINED, "joined:1"),
        happened(ALIAS_STREAM, ASKED, "joined:1"),
    )
    assert (one.seq, two.seq, three.seq) == (2, None, None)
    assert len(engine.commits) == 1


async def test_a_key_is_remembered_across_a_restart(start_engine, path) -> None:
    engine = await start_engine(path)
    await engine.happen(CHANNEL_STREAM, JOINED, "joined:1")
    await engine.crash()
    again = await start_engine(path)
    assert (await again.happen(CHANNEL_STREAM, JOINED, "joined:1")).seq is None
    assert (await again.happen(CHANNEL_STREAM, JOINED, "joined:2")).seq == 3


async def test_a_build_that_declines_records_nothing(engine: Engine) -> None:
    outcome = await engine.writer.submit(Submission(CHANNEL_STREAM, lambda _: None, "k"))
    assert outcome.seq is None
    assert await engine.rows() == []
    assert (await engine.happen(CHANNEL_STREAM, JOINED, "k")).seq == 2


# --- order ----------------------------------------------------------------------------------------------------------


async def test_each_stream_begins_with_stream_opened_and_names_its_rules(engine: Engine) -> None:
    await engine.say("@claude start acme/webapp")
    await engine.ask("pypi.org")
    firsts: dict[str, str] = {}
    for row in await engine.rows():
        firsts.setdefault(row.stream, row.kind)
    assert len(firsts) == 4  # channel, session, repository, alias
    assert set(firsts.values()) == {"stream.opened"}
    assert {engine.writer.state(stream).rules for stream in firsts} == {rules.RULES}


async def test_seq_counts_without_a_gap_and_the_chain_holds(engine: Engine) -> None:
    await engine.at_once(said("@claude start acme/webapp"), said("hello"), happened(ALIAS_STREAM, ASKED))
    await engine.say("@claude status")
    rows = await engine.rows()
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    verifier = ChainVerifier()
    verifier.feed(rows)
    assert verifier.problems == []


async def test_events_of_one_batch_see_each_others_effect(engine: Engine) -> None:
    start, words = await engine.at_once(said("@claude start acme/webapp"), said("add pytest"))
    assert len(engine.commits) == 1
    assert start.state.name == words.state.name == "occupied"
    [assigned] = engine.recorded("chat.message_assigned")
    assert assigned.event.text == "add pytest"
    session = engine.writer.state(assigned.stream)
    assert session.name == "preparing"
    assert [line.text for line in session.data.talk.queue] == ["add pytest"]


async def test_a_build_sees_what_the_batch_did_before_it(engine: Engine) -> None:
    """Whether a text is stored depends on the `start` that was handed over just before."""
    await engine.at_once(said("nobody's business"), said("@claude start acme/webapp"), said("yours"))
    assert [row.kind for row in await engine.rows(stream=CHANNEL_STREAM)] == [
        "stream.opened",
        "chat.message_skipped",
        "chat.message_received",
        "chat.message_received",
    ]
    assert not any("nobody's" in row.payload for row in await engine.rows())


async def test_a_thousand_at_once_are_all_recorded_in_order(engine: Engine) -> None:
    submissions = [
        happened(CHANNEL_STREAM, PostSent(f"x/{n}/0", CHANNEL, "p" * 26), f"k{n}") for n in range(1000)
    ]
    outcomes = await engine.at_once(*submissions)
    assert [outcome.seq for outcome in outcomes] == list(range(2, 1002))
    assert len(engine.commits) < 10


# --- notices --------------------------------------------------------------------------------------------------------


async def test_notices_lie_in_the_same_transaction_with_their_cause_and_key(engine: Engine) -> None:
    outcome = await engine.say("@claude start acme/webapp")
    [commit] = engine.commits
    rows = {(row.stream.partition(":")[0], row.kind): row for row in await engine.rows()}
    assert len(commit.events) == len(rows)
    requested = rows["session", "session.requested"]
    claimed = rows["repository", "repository.claim_requested"]
    granted = rows["session", "repository.granted"]
    assert (requested.cause, requested.key) == (str(outcome.seq), f"{outcome.seq}:0")
    assert (claimed.cause, claimed.key) == (str(requested.seq), f"{requested.seq}:0")
    assert (granted.cause, granted.key) == (str(claimed.seq), f"{claimed.seq}:0")


async def test_commands_are_named_after_the_event_that_caused_them(engine: Engine) -> None:
    await engine.say("@claude start acme/webapp")
    [granted] = engine.recorded("repository.granted")
    commands = await engine.commands()
    assert [(c.id, c.kind, c.settled_by) for c in commands] == [
        (f"{granted.stream}/{granted.seq}/0", "chat.say", None),
        (f"{granted.stream}/{granted.seq}/1", "repository.prepare", None),
    ]
    assert [c.id for c in await engine.journal.outstanding()] == [c.id for c in commands]


async def test_streams_that_notify_each_other_without_an_end_are_fatal(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_fold = rules.fold

    def fold(state, recorded):
        folded = true_fold(state, recorded)
        again: Event = ASKED
        return rules.Folded(folded.state, (), (rules.Notice(ALIAS_STREAM, again),))

    monkeypatch.setattr(rules, "fold", fold)
    future = await engine.writer.enqueue(happened(ALIAS_STREAM, ASKED))
    await until(lambda: engine.fatal)
    assert not future.done()
    assert await engine.rows() == []


# --- quarantine -----------------------------------------------------------------------------------------------------


async def test_an_event_that_cannot_be_folded_commits_together_with_the_quarantine(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.ask("pypi.org")
    before = engine.writer.state(ALIAS_STREAM)
    breaks_on(monkeypatch, "network.requested", "alias")
    await engine.ask("example.com")
    bad, quarantined = (await engine.rows())[-2:]
    assert (bad.kind, bad.state_after) == ("network.requested", before.name)
    assert (quarantined.kind, quarantined.stream) == ("stream.quarantined", ALIAS_STREAM)
    assert quarantined.state_after == "quarantined"
    assert quarantined.cause == str(bad.seq)
    assert [row.seq for row in engine.commits[-1].events] == [bad.seq, quarantined.seq]
    assert "not-to-be-shown" not in quarantined.payload
    assert engine.writer.state(ALIAS_STREAM).data == before.data


async def test_a_quarantine_touches_no_other_stream_of_the_batch(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks_on(monkeypatch, "network.requested", "alias")
    await engine.at_once(said("@claude start acme/webapp"), happened(ALIAS_STREAM, ASKED), said("add pytest"))
    assert len(engine.commits) == 1
    names = {stream.partition(":")[0]: state.name for stream, state in engine.writer.states.items()}
    assert names == {
        "channel": "occupied",
        "session": "preparing",
        "repository": "held",
        "alias": "quarantined",
    }
    assert not engine.fatal


async def test_a_notice_that_cannot_be_folded_quarantines_only_the_stream_that_it_is_for(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.say("@claude start acme/webapp")
    breaks_on(monkeypatch, "chat.message_assigned", "session")
    await engine.say("add pytest")
    names = {stream.partition(":")[0]: state.name for stream, state in engine.writer.states.items()}
    assert names == {"channel": "occupied", "session": "quarantined", "repository": "held"}
    [said_so] = [i for i in engine.issued("chat.say") if i.command.message == "quarantined"]
    assert said_so.command.channel_id == CHANNEL


# --- the commit -----------------------------------------------------------------------------------------------------


async def test_a_failed_commit_is_fatal_and_resolves_no_future(start_engine) -> None:
    broken = asyncio.Event()

    def full_disk(point: str) -> None:
        if point == "journal.before_commit" and broken.is_set():
            raise JournalError("The disk is full.")

    engine = await start_engine(faults=full_disk)
    await engine.happen(CHANNEL_STREAM, JOINED)
    broken.set()
    future = await engine.writer.enqueue(happened(CHANNEL_STREAM, JOINED))
    await until(lambda: engine.fatal)
    await settled()
    assert not future.done()
    assert [str(error) for error in engine.fatal] == ["The disk is full."]
    assert engine.running.done()
    assert len(engine.commits) == 1  # no listener heard of it


async def test_a_writer_that_lost_its_claim_is_fatal(start_engine, path) -> None:
    engine = await start_engine(path)
    await start_engine(path)
    future = await engine.writer.enqueue(happened(CHANNEL_STREAM, JOINED))
    await until(lambda: engine.fatal)
    assert "epoch 2" in str(engine.fatal[0])
    assert not future.done()


async def test_listeners_hear_of_a_commit_before_its_submitters(engine: Engine) -> None:
    heard: list[str] = []
    engine.writer.listen(lambda committed: heard.append(f"listener {committed.events[-1].seq}"))

    async def submit() -> None:
        outcome = await engine.happen(CHANNEL_STREAM, JOINED)
        heard.append(f"submitter {outcome.seq}")

    await submit()
    await submit()
    assert heard == ["listener 2", "submitter 2", "listener 3", "submitter 3"]


async def test_a_commit_is_stored_when_listeners_hear_of_it(engine: Engine) -> None:
    stored: list[int] = []
    engine.writer.listen(lambda _: stored.append(engine.journal._store.run(last_seq)))
    await engine.happen(CHANNEL_STREAM, JOINED)
    assert stored == [2]


def last_seq(connection) -> int:
    return connection.execute("select max(seq) from events").fetchone()[0]


async def test_a_submitter_that_went_away_does_not_stop_the_writer(engine: Engine) -> None:
    future = await engine.writer.enqueue(happened(CHANNEL_STREAM, JOINED, "a"))
    future.cancel()
    assert (await engine.happen(CHANNEL_STREAM, JOINED, "b")).seq == 3
    assert (await engine.happen(CHANNEL_STREAM, JOINED, "a")).seq is None  # recorded all the same


async def test_a_report_settles_its_command(engine: Engine) -> None:
    await engine.say("@claude help")
    [said_so] = engine.issued("chat.say")
    report = PostSent(said_so.id, CHANNEL, "p" * 26)
    outcome = await engine.happen(CHANNEL_STREAM, report, f"done:{said_so.id}", settles=said_so.id)
    [command] = await engine.commands()
    assert command.settled_by == outcome.seq
    assert await engine.journal.outstanding() == []


# --- time and secrets -----------------------------------------------------------------------------------------------


async def test_a_clock_that_jumps_back_an_hour_never_makes_time_go_back(start_engine, path) -> None:
    clock = ManualClock()
    engine = await start_engine(path, clock=clock)
    await engine.happen(CHANNEL_STREAM, JOINED)
    clock.ms -= 3_600_000
    await engine.happen(CHANNEL_STREAM, JOINED)
    await engine.crash()
    again = await start_engine(path, clock=clock)
    await again.happen(CHANNEL_STREAM, JOINED)
    clock.ms += 7_200_000
    await again.happen(CHANNEL_STREAM, JOINED)
    times = [row.recorded_at_ms for row in await again.rows()]
    assert times == sorted(times)
    assert times[0] == times[-2] < times[-1] == clock.ms


async def test_a_secret_is_masked_before_it_is_folded_or_stored(start_engine) -> None:
    engine = await start_engine(masker=Masker(["hunter2-hunter2"]))
    await engine.happen(CHANNEL_STREAM, ChannelJoined(CHANNEL, "hunter2-hunter2", None))
    [joined] = engine.recorded("channel.joined")
    assert joined.event.name == "[masked]"
    assert not any("hunter2" in row.payload for row in await engine.rows())
