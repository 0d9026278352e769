"""What holds whatever peers and people do, in whatever order."""

from __future__ import annotations

import json
from typing import cast

from hypothesis import HealthCheck, given, settings

from sm.core import commands as c
from sm.core import events as e
from sm.core import streams
from sm.core.memory import SessionData
from sm.core.stream_json import message_uuid

from .anything import Move, plausible_moves, play
from .outcomes import reports
from .playbook import PYTHON, VM, Issued, World

often = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@often
@given(plausible_moves)
def test_whatever_peers_and_people_do_the_promises_hold(moves: list[Move]):
    world = play(moves, check=promises)
    promises_about_appends(world)
    promises_about_the_alias(world)
    promises_about_cards(world)


def promises(world: World) -> None:
    """What holds of the states after each move."""
    assert world.stale_cards() == [], "a card shows the state that it is in, always"
    for stream, state in world.states.items():
        if streams.kind_of(stream) != "session":
            continue
        data = cast("SessionData", state.data)
        if state.name == "new":
            continue
        over = state.name in {"stopped", "failed", "refused"}
        place = streams.repository(VM, data.org, data.repo)
        if data.is_project:
            place = streams.project(VM, data.path)
        holders = [held.holder for held in world.of(place).data.held]
        members = [member.session_id for member in world.of(streams.channel(data.channel_id)).data.sessions]
        assert (data.session_id in members) is (not over), "belongs to the channel while it lives"
        if state.name != "locating" and not (state.name == "stopping" and not data.path and data.is_project):
            assert (holders.count(data.session_id) == 1) is (not over), "holds its place while it lives"
        assert len(set(holders)) == len(holders), "nobody holds two places"
        if state.name == "recovering":
            assert data.stop_issued, "a generation that is over is stopped"
        if state.name == "ready":
            assert not data.talk.queue, "a resting agent lets nothing wait"
            assert data.talk.unacknowledged is None
            assert not data.talk.turn_open
        if state.name in {"ready", "working"}:
            assert data.was_ready
        if state.name == "probing":
            assert data.talk.unacknowledged is not None


def promises_about_appends(world: World) -> None:
    """`in` is written without a gap, a container is stopped once, nothing goes in after a stop."""
    lengths: dict[tuple[str, int], int] = {}
    stops: list[tuple[str, int]] = []
    stop_seqs = {r.stream: r.seq for r in reversed(world.history) if isinstance(r.event, e.StopRequested)}
    seen: set[tuple[str, int, str]] = set()
    for issued in world.issued:
        match issued.command:
            case c.StartAgent(session_id=session, generation=n, line=line):
                assert (session, n) not in lengths
                assert issued.seq < stop_seqs.get(issued.stream, issued.seq + 1)
                lengths[session, n] = len(line)
            case c.AppendLine(session_id=session, generation=n, expected=expected, line=line):
                assert lengths[session, n] == expected
                lengths[session, n] += len(line)
                assert (session, n, line) not in seen
                seen.add((session, n, line))
                if '"type":"user"' in line:
                    assert issued.seq < stop_seqs.get(issued.stream, issued.seq + 1)
            case c.StopAgent(session_id=session, generation=n):
                assert (session, n) in lengths
                assert (session, n) not in stops
                stops.append((session, n))
            case _:
                pass


def promises_about_the_alias(world: World) -> None:
    """Nothing is written that nobody approved, nothing is called approved that the firewall did not show."""
    shown: set[str] = set()
    for recorded in world.history:
        match recorded.event:
            case e.AliasApplied(resolved="seen" | "unknown", added=added):
                shown.update(added)
            case e.AliasObserved(entries=entries):
                shown.update(entries)
            case e.NetworkApproved(domain=domain):
                assert domain in shown
            case _:
                pass
    for issued in world.issued:
        if isinstance(issued.command, c.WriteAlias):
            allowed = {name for r in world.history if r.seq <= issued.seq for name in allows(world, r.event)}
            assert set(issued.command.add) <= allowed
    events = {recorded.seq: recorded.event for recorded in world.history}
    for grant in world.alias.grants.values():
        decision = events[int(grant.grant_id[1:].partition("x")[0])]
        assert isinstance(decision, e.NetworkDecided)
        assert (decision.user_id, decision.via) == (grant.user_id, grant.via)
        assert decision.action in {"approve", "session", "hour", "set", "retry"}


def promises_about_cards(world: World) -> None:
    """What a card was told to show last is what it is to show; and nothing names a decider of another channel."""
    told: dict[tuple[str, bool], c.CardView] = {}
    for command in (issued.command for issued in world.issued):
        if isinstance(command, c.PostCard | c.UpdateCard):
            told[command.card_id, command.copy] = command.view
    for card in world.alias.cards.values():
        if card.issued and card.post_id:
            assert told[card.card_id, False] == card.shown
        if card.copy_post:
            assert told[card.card_id, True] == card.copy_shown
        for row in card.shown.rows if card.shown is not None else ():
            elsewhere = world.alias.requests[row.request_id].decided_in not in (
                card.channel_id,
                card.copy_channel,
            )
            assert not (elsewhere and row.user_name), "a card names nobody of another channel"


def allows(world: World, event: e.Event) -> set[str]:
    """The domains that somebody allowed with this."""
    if not isinstance(event, e.NetworkDecided) or event.action in {"deny", "revoke"}:
        return set()
    if event.via == "command":
        return {verdict.domain for verdict in event.names if not verdict.refused} | (
            set(PYTHON.domains) if event.sets else set()
        )
    if event.action == "set":
        return set(PYTHON.domains)
    return {domain for card, domain in asked_for(world) if card == event.card_id}


def asked_for(world: World) -> set[tuple[str, str]]:
    """The domains of each card that there ever was."""
    return {
        (command.card_id, domain) for command in world.all(c.ResolveCard) for domain in command.domains
    } | {
        (command.card_id, row.domain)
        for command in [*world.all(c.PostCard), *world.all(c.UpdateCard)]
        for row in command.view.rows
    }


@often
@given(plausible_moves)
def test_each_message_is_given_to_the_agent_or_waits(moves: list[Move]):
    world = play(moves)
    given_or_waiting = {json.loads(command.line).get("uuid") for command in world.all(c.AppendLine)} | {
        line.uuid
        for stream, state in world.states.items()
        if streams.kind_of(stream) == "session"
        for line in state.data.talk.queue
    }
    for recorded in world.history:
        if isinstance(recorded.event, e.MessageAssigned):
            assert message_uuid(recorded.stream, recorded.seq) in given_or_waiting


@often
@given(plausible_moves)
def test_each_session_can_be_stopped_from_wherever_it_is(moves: list[Move]):
    world = play(moves)
    for stream in [name for name in world.states if streams.kind_of(name) == "session"]:
        world.session = streams.id_of(stream)
        world.channel = world.data.channel_id
        if world.state() in {"new", "stopped", "failed", "refused"}:
            continue
        world.post(f"@claude stop {world.session}")
        settle(world, stream)
        assert world.state() in {"stopped", "failed"}
        mine = [
            m for m in world.of(streams.channel(world.channel)).data.sessions if m.session_id == world.session
        ]
        assert mine == []


def settle(world: World, stream: str) -> None:
    """Report all that a session asked for, time included; a container that is stopped has no more to say."""

    def waiting() -> list[Issued]:
        if world.data.follows_output and world.data.stop_reported:
            world.ended()  # it was stopped before this: whoever follows its output still comes to the end
        return [i for i in world.issued if i.stream == stream and i.id not in world.settled]

    while unsettled := waiting():
        issued = unsettled[0]
        world.settled.add(issued.id)
        if isinstance(issued.command, c.StopAgent) and world.data.follows_output:
            world.ended()
        world.record(stream, reports(issued.command)[0])
