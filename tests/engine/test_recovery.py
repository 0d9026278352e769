"""A start after a stop: the same states from the journal, the cursors, the rules held against the record."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from engine_kit import (
    ALIAS_STREAM,
    CHANNEL,
    CHANNEL_STREAM,
    JAMES,
    SARAH,
    Engine,
    happened,
    ingress,
    said,
)

from sm.core import events as e
from sm.core import fold as rules
from sm.core import streams
from sm.core.commands import Say
from sm.core.stream_json import initialize_id
from sm.engine.recovery import OVERLAP, Positions, recover, rules_hash
from sm.engine.writer import Issued
from sm.journal.rows import StoredCommand

OTHER = "d" * 26


class Story:
    """Whatever may happen to the service, at random: people, agents, firewalls, lost and doubled reports."""

    WORDS = (
        "@claude start acme/webapp",
        "@claude start acme/api",
        "@claude start acme/webapp@next --worktree",
        "@claude diff",
        "@claude push",
        "@claude fetch",
        "@claude stop",
        "@claude status",
        "@claude strat x",
        "hello",
        "/clear",
        "@claude",
        "",
        "key sk-ant-0123456789abcdef",
    )
    LINES: tuple[dict[str, Any], ...] = (
        {"type": "system", "subtype": "session_state_changed", "state": "running"},
        {"type": "system", "subtype": "session_state_changed", "state": "idle"},
        {"type": "system", "subtype": "api_retry", "error_status": 529, "error": "overloaded"},
        {"type": "result", "subtype": "success", "is_error": False, "result": "done"},
        {"type": "result", "subtype": "error", "is_error": True, "result": "bad\ud800"},
        {
            "type": "assistant",
            "message": {"content": [{"type": "text", "text": "[NETWORK_REQUEST: pypi.org]"}]},
        },
        {"type": "assistant", "message": {"content": [{"type": "text", "text": "[NETWORK_REQUEST: co.uk]"}]}},
        {"type": "system", "subtype": "init", "session_id": "aaaaaaaa-0000-4000-8000-000000000000"},
    )

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine = engine
        self.chance = random.Random(seed)
        self.ingress = ingress()
        self.done: list[Issued] = []

    async def step(self) -> None:
        do = self.chance.choice(
            [self._post, *[self._report] * 4, *[self._line] * 3, self._press, self._press, self._ask]
        )
        await do()
        if self.chance.random() < 0.1:
            self.engine.clock.ms += self.chance.choice([-3_600_000, 1, 700_000])

    async def _post(self) -> None:
        await self.engine.at_once(
            *[
                said(
                    self.chance.choice(self.WORDS),
                    user=self.chance.choice([JAMES, SARAH]),
                    channel=self.chance.choice([CHANNEL, OTHER]),
                )
                for _ in range(self.chance.randint(1, 3))
            ]
        )

    async def _report(self) -> None:
        open_commands = [
            issued for commit in self.engine.commits for issued in commit.commands if issued not in self.done
        ]
        if not open_commands:
            return
        issued = self.chance.choice(open_commands)
        event = self._outcome(issued)
        await self.engine.happen(issued.stream, event, f"done:{issued.id}", settles=issued.id)
        self.done.append(issued)

    def _outcome(self, issued: Issued) -> e.Event:
        command: Any = issued.command
        well = self.chance.random() < 0.8
        match command.KIND:
            case "chat.say" | "chat.relay":
                return e.PostSent(issued.id, command.channel_id, f"post{issued.seq:022d}")
            case "card.post" if well:
                return e.CardPosted(command.card_id, f"card{issued.seq:022d}", command.channel_id)
            case "card.post" | "card.update":
                return e.CardFailed(command.card_id, "not_found", "gone")
            case "repository.prepare" if well:
                return e.RepositoryPrepared("/r", "main", "f" * 40, "/m", True)
            case "repository.prepare":
                return e.RepositoryPrepareFailed("disk_full", "no space")
            case "agent.start" if well:
                return e.AgentStarted(command.generation, f"cid{command.generation}")
            case "agent.start":
                return e.AgentStartFailed(command.generation, "name_taken", "no")
            case "agent.append" if well:
                return e.LineAppended(command.generation, command.expected + len(command.line))
            case "agent.append":
                return e.AppendRefused(command.generation, command.expected, 7)
            case "agent.stop":
                return e.AgentStopped(command.generation, "ended", "143 0")
            case "agent.probe":
                return e.MessageProbed(
                    command.generation, command.uuid, self.chance.choice([True, False, None])
                )
            case "timer.set":
                return e.TimerFired(command.name, command.generation)
            case _:
                return self._outcome_of_the_network(command, well=well)

    def _outcome_of_the_network(self, command: Any, *, well: bool) -> e.Event:
        match command.KIND:
            case "chat.say_privately":
                return e.PostSent("id", "d" * 26, "p" * 26)
            case "card.resolve":
                status = self.chance.choice(["found", "none", "unknown"])
                return e.CardResolved(
                    command.card_id, tuple(e.Resolved(domain, status) for domain in command.domains)
                )
            case "alias.write" if well:
                names = tuple(e.Resolved(domain, "found", ("1.2.3.4",)) for domain in command.add)
                return e.AliasWritten(command.add, command.remove, names, True, command.add, ())
            case "alias.apply" if well:
                resolved = self.chance.choice(["seen", "unseen", "unknown"])
                return e.AliasApplied(command.added, command.removed, resolved, None)
            case "alias.write" | "alias.apply":
                return e.AliasFailed(command.KIND.removeprefix("alias."), "forbidden", "no")
            case "network.try":
                return e.NetworkTried(command.domain, self.chance.choice(["reachable", "unknown"]), "")
            case _:
                return self._outcome_of_place(command)

    def _outcome_of_place(self, command: Any) -> e.Event:
        match command.KIND:
            case "repository.cancel_prepare":
                return e.RepositoryPrepareCancelled()
            case "workspace.inspect":
                return e.WorkspaceInspected("main", "f" * 40, (" M a.py",), 1, 2)
            case "workspace.diff":
                return e.WorkspaceDiffed("+a", False, 1, 1, 0)
            case "mirror.fetch":
                return e.MirrorFetchFailed("network_unreachable", "no route")
            case "push.prepare":
                return e.PushPrepared("c" * 40, 2, "", workflows=False, new_branch=True)
            case "push.post_card":
                return e.CardPosted(command.card_id, f"card{command.card_id:>022}", command.channel_id)
            case "push.update_card":
                return e.CardUpdated(command.card_id, command.status)
            case "push.push":
                return e.PushDone(command.commit, command.target)
            case _:
                return e.PostSent("id", command.channel_id, "p" * 26)

    async def _line(self) -> None:
        live = [
            (stream, state.data)
            for stream, state in self.engine.writer.states.items()
            if stream.startswith("session:") and state.data.container_id
        ]
        if not live:
            return
        stream, data = self.chance.choice(live)
        line = self.chance.choice(self.LINES)
        chosen = self.chance.random()
        if chosen < 0.3 or not data.was_ready:
            request_id = initialize_id(data.generation)
            line = {
                "type": "control_response",
                "response": {"subtype": "success", "request_id": request_id},
            }
        elif chosen < 0.5 and data.talk.unacknowledged is not None:
            line = {"type": "user", "isReplay": True, "uuid": data.talk.unacknowledged.uuid}
        elif chosen < 0.6:
            ended = e.AgentEnded(data.generation, "cut_off", "", "oh")
            await self.engine.happen(stream, ended, f"ended:{stream}:{data.generation}")
            return
        text = json.dumps(line)
        event = self.ingress.line(
            data.generation,
            offset=data.output_bytes,
            end=data.output_bytes + len(text) + 1,
            text=text,
            terminated=True,
        )
        await self.engine.happen(stream, event, f"out:{stream}:{data.generation}:{data.output_bytes}")

    async def _ask(self) -> None:
        """A session's agent asks; in this story also one that isn't there any more."""
        sessions = [name for name in self.engine.writer.states if name.startswith("session:")]
        if sessions:
            domain = self.chance.choice(["pypi.org", "example.com", "npmjs.org"])
            await self.engine.ask(domain, session=streams.id_of(self.chance.choice(sessions)))

    async def _ask(self) -> None:
        """A session's agent asks; in this story also one that isn't there any more."""
        sessions = [name for name in self.engine.writer.states if name.startswith("session:")]
        if sessions:
            domain = self.chance.choice(["pypi.org", "example.com", "npmjs.org"])
            await self.engine.ask(domain, session=streams.id_of(self.chance.choice(sessions)))

    async def _press(self) -> None:
        requests = list(self.engine.writer.state(ALIAS_STREAM).data.requests.values())
        if requests:
            request = self.chance.choice(requests)
            action = self.chance.choice(["approve", "session", "hour", "deny", "retry"])
            press = e.NetworkDecided(
                action,
                request.channel_id,
                JAMES.id,
                "james",
                "button",
                card_id=request.card_id,
                request_id=request.request_id,
            )
            await self.engine.happen(ALIAS_STREAM, press)


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happened_recovery_gives_the_live_states_and_the_same_commands(
    engine: Engine, seed: int
) -> None:
    story = Story(engine, seed)
    for _ in range(120):
        await story.step()
    await engine.journal.set_meta(engine.epoch, "rules_hash", "rules of another day")
    recovered = await recover(engine.journal)
    assert recovered.states == engine.writer.states
    assert recovered.diverged == {}
    assert not engine.fatal
    last = (await engine.rows())[-1]
    assert (recovered.last_seq, recovered.last_ms) == (last.seq, last.recorded_at_ms)
    issued = [issued for commit in engine.commits for issued in commit.commands]
    assert list(recovered.outstanding) == [one for one in issued if one not in story.done]
    assert recovered.positions == engine.positions
    assert not any("sk-ant-0123" in row.payload for row in await engine.rows())


async def test_an_empty_journal_recovers_to_nothing(engine: Engine) -> None:
    recovered = await recover(engine.journal)
    assert (recovered.states, recovered.last_seq, recovered.outstanding) == ({}, 0, ())


# --- cursors ----------------------------------------------------------------------------------------------------------


async def test_a_gap_is_filled_from_some_posts_back_but_never_from_before_the_join(
    start_engine, path: Path
) -> None:
    engine = await start_engine(path)
    await engine.happen(CHANNEL_STREAM, e.ChannelJoined(CHANNEL, "x", "a" * 26))
    await engine.happen(streams.channel(OTHER), e.ChannelJoined(OTHER, "y", None))
    for n in range(OVERLAP - 1):
        await engine.say("nothing for us" if n % 2 else "@claude help")
        await engine.say("@claude help", channel=OTHER)
    assert (engine.positions.cursor(CHANNEL), engine.positions.cursor(OTHER)) == ("a" * 26, None)
    await engine.say("@claude help")
    await engine.say("@claude help", channel=OTHER)
    first = engine.recorded("chat.message_received", CHANNEL_STREAM)[0].event.post_id
    assert engine.positions.cursor(CHANNEL) == first
    await engine.crash()
    assert (await start_engine(path)).positions == engine.positions


async def test_confirmed_is_the_last_post_of_ours(start_engine, path: Path) -> None:
    engine = await start_engine(path)
    await engine.happen(CHANNEL_STREAM, e.PostSent("x/1/0", CHANNEL, "p" * 26))
    await engine.happen(ALIAS_STREAM, e.CardPosted("c1", "q" * 26, OTHER))
    await engine.crash()
    positions = (await start_engine(path)).positions
    assert positions.confirmed == {CHANNEL: "p" * 26, OTHER: "q" * 26}


async def test_before_anything_is_read_the_cursor_is_where_the_channel_was_joined() -> None:
    positions = Positions()
    positions.note(e.ChannelJoined(CHANNEL, "x", "a" * 26))
    positions.note(e.ChannelJoined(OTHER, "y", None))
    assert (positions.cursor(CHANNEL), positions.cursor(OTHER)) == ("a" * 26, None)
    assert positions.confirmed == {CHANNEL: "a" * 26}


async def test_joining_anew_moves_the_cursor_and_keeps_what_is_confirmed() -> None:
    positions = Positions()
    positions.note(e.ChannelJoined(CHANNEL, "x", "a" * 26))
    positions.note(e.MessageSkipped("b" * 26, CHANNEL, 1))
    positions.note(e.ChannelJoined(CHANNEL, "x", "z" * 26))
    assert positions.cursor(CHANNEL) == "z" * 26
    assert positions.confirmed == {CHANNEL: "a" * 26}


# --- the rules against the record ---------------------------------------------------------------------------------------


async def changed_rules(journal: Any, epoch: int) -> None:
    await journal.set_meta(epoch, "rules_hash", "rules of another day")


@pytest.fixture
async def two_channels(start_engine, path: Path) -> Engine:
    """`help` in two channels, then a crash."""
    engine = await start_engine(path)
    await engine.say("@claude help")
    await engine.say("@claude help", channel=OTHER)
    await engine.say("@claude stop", channel=OTHER)
    await engine.journal.set_meta(engine.epoch, "rules_hash", rules_hash())
    await engine.crash()
    return engine


def now_answer_otherwise(monkeypatch: pytest.MonkeyPatch, change) -> None:
    """From here on the rules give other commands for `help` in the second channel."""
    true_fold = rules.fold

    def fold(state, recorded):
        folded = true_fold(state, recorded)
        is_help = isinstance(recorded.event, e.MessageReceived) and recorded.event.intent.name == "help"
        if recorded.stream != streams.channel(OTHER) or not is_help:
            return folded
        return evolve(folded, commands=change(folded.commands))

    monkeypatch.setattr(rules, "fold", fold)


async def test_changed_rules_that_agree_with_the_record_change_nothing(
    start_engine, path: Path, two_channels: Engine
) -> None:
    again = await start_engine(path, before=changed_rules)
    assert again.recovered.diverged == {}
    assert again.writer.states == two_channels.writer.states


@pytest.mark.parametrize(
    ("change", "now"),
    [
        (lambda commands: (), "nothing"),
        (lambda commands: commands * 2, "chat.say, chat.say"),
        (lambda commands: (Say(OTHER, "help"), Say(OTHER, "no_session")), "chat.say, chat.say"),
    ],
)
async def test_rules_that_give_other_commands_are_named_for_that_stream_alone(
    start_engine, path: Path, two_channels: Engine, monkeypatch: pytest.MonkeyPatch, change, now: str
) -> None:
    now_answer_otherwise(monkeypatch, change)
    again = await start_engine(path, before=changed_rules)
    assert list(again.recovered.diverged) == [streams.channel(OTHER)]
    why = again.recovered.diverged[streams.channel(OTHER)]
    assert "chat.message_received" in why
    assert f"caused chat.say, under the rules now {now}" in why


async def test_another_payload_alone_quarantines_nothing(
    start_engine, path: Path, two_channels: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_answer_otherwise(monkeypatch, lambda commands: (Say(OTHER, "no_session"),))
    again = await start_engine(path, before=changed_rules)
    assert again.recovered.diverged == {}


async def test_under_the_same_rules_the_record_is_not_compared(
    start_engine, path: Path, two_channels: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_answer_otherwise(monkeypatch, lambda commands: ())
    assert (await start_engine(path)).recovered.diverged == {}


async def test_a_recorded_quarantine_is_accepted_ever_after(
    start_engine, path: Path, two_channels: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_answer_otherwise(monkeypatch, lambda commands: ())
    again = await start_engine(path, before=changed_rules)
    stream = streams.channel(OTHER)
    why = again.recovered.diverged[stream]
    await again.happen(stream, e.StreamQuarantined(why, again.recovered.last_seq))
    await again.crash()
    third = await start_engine(path, before=changed_rules)
    assert third.recovered.diverged == {}
    assert third.writer.state(stream).name == "quarantined"
    assert third.writer.state(CHANNEL_STREAM).name == "open"


async def test_an_event_that_could_not_be_folded_then_is_accepted_where_its_quarantine_follows(
    start_engine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await start_engine(path)
    true_fold = rules.fold

    def fold(state, recorded):
        if isinstance(recorded.event, e.NetworkRequested) and recorded.event.asks[0].domain == "bad.example":
            raise ZeroDivisionError
        return true_fold(state, recorded)

    monkeypatch.setattr(rules, "fold", fold)
    await engine.ask("good.example")
    await engine.ask("bad.example")
    await engine.crash()
    again = await start_engine(path, before=changed_rules)
    assert again.recovered.diverged == {}
    assert again.writer.states == engine.writer.states
    assert again.writer.state(ALIAS_STREAM).name == "quarantined"


async def test_an_event_that_can_be_folded_no_more_diverges_only_its_own_stream(
    start_engine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await start_engine(path)
    await engine.at_once(
        said("@claude help"),
        happened(ALIAS_STREAM, e.NetworkRequested("s1", CHANNEL, (e.Ask("r1", "pypi.org"),))),
    )
    await engine.crash()
    true_fold = rules.fold

    def fold(state, recorded):
        if isinstance(recorded.event, e.NetworkRequested):
            raise ZeroDivisionError
        return true_fold(state, recorded)

    monkeypatch.setattr(rules, "fold", fold)
    again = await start_engine(path)
    assert list(again.recovered.diverged) == [ALIAS_STREAM]
    assert "cannot be folded" in again.recovered.diverged[ALIAS_STREAM]
    assert again.writer.state(CHANNEL_STREAM).name == "open"


async def test_a_refold_never_issues_a_recorded_command_again(
    start_engine, path: Path, two_channels: Engine
) -> None:
    again = await start_engine(path, before=changed_rules)
    assert again.commits == []
    assert [type(issued) for issued in again.recovered.outstanding] == [Issued] * 3
    assert all(isinstance(row, StoredCommand) for row in await again.commands())
    assert len(await again.commands()) == 3


def test_the_rules_hash_is_of_the_sources_and_the_same_each_time() -> None:
    assert rules_hash() == rules_hash()
    assert len(rules_hash()) == 64
