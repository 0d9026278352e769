"""The fold is total: every state × event of every stream has an answer, and *ignored* changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings

from sm.core import events as e
from sm.core import streams
from sm.core.events import EVENTS, Event
from sm.core.fold import Recorded, StreamState, fold, initial
from sm.core.memory import SessionData
from sm.core.tables import ALIAS_STATES, CHANNEL_STATES, REPOSITORY_STATES, SESSION_STATES, VM_STATES

from .anything import Move, any_moves, plausible_moves, play, samples
from .playbook import ALIAS, CHANNEL, NOON_MS, SESSION, VM, World

STATES: dict[str, list[str]] = {
    streams.session(SESSION): SESSION_STATES,
    streams.channel(CHANNEL): CHANNEL_STATES,
    streams.repository(VM, "acme", "webapp"): REPOSITORY_STATES,
    streams.alias(ALIAS): ALIAS_STATES,
    streams.vm(VM): VM_STATES,
}

STORIES: list[Callable[[World], object]] = [
    lambda world: world,
    World.start,
    lambda world: world.start().post("one"),
    lambda world: world.start().prepared(),
    World.ready,
    World.working,
    lambda world: world.ready().post("one"),
    lambda world: world.working().post("/clear"),
    lambda world: world.working().asked("pypi.org"),
    lambda world: world.working().asked("pypi.org").press("pypi.org"),
    lambda world: world.working().granted("pypi.org"),
    lambda world: world.ready().post("one").dies(),
    lambda world: world.working().ended(),
    lambda world: world.working().dies().started(),
    lambda world: world.working().stop(),
    lambda world: world.ready().stop().ended(),
    lambda world: world.ready().stop().ended().container_stopped(),
    lambda world: world >> e.HostKeySeen(VM, "key", "SHA256:x"),
]


def reached(stream: str) -> list[Any]:
    """What a stream remembers at the end of each story, each once."""
    found: list[Any] = [initial(stream).data]
    for story in STORIES:
        world = World()
        story(world)
        data = world.of(stream).data
        if data not in found:
            found.append(data)
    return found


def fitted(event: Event, data: Any) -> list[Event]:
    """The event as it is, and as one that names what the stream has at hand."""
    if not isinstance(data, SessionData):
        return [event]
    names = {"generation": data.generation, "session_id": data.session_id, "offset": data.output_bytes}
    if data.talk.unacknowledged is not None:
        names["uuid"] = data.talk.unacknowledged.uuid
    known = {name: value for name, value in names.items() if hasattr(event, name)}
    return [event, evolve(cast("Any", event), **known)] if known else [event]


@pytest.mark.parametrize("stream", STATES, ids=streams.kind_of)
def test_each_state_answers_each_event_and_ignoring_changes_nothing(stream: str):
    known = reached(stream)
    events = [event for kind in EVENTS.values() for event in samples(kind)]
    moved: set[tuple[str, str]] = set()
    for name in STATES[stream]:
        for data in known:
            state = StreamState(name, "rules", data)
            for event in [fit for sample in events for fit in fitted(sample, data)]:
                folded = fold(state, Recorded(99, stream, NOON_MS, event))
                assert folded.state.name in STATES[stream]
                if folded.moved:
                    moved.add((name, event.KIND))
                else:
                    assert (folded.state, folded.commands, folded.notices) == (state, (), ())
    rows = {(source, trigger) for source, trigger in _rows(stream) if trigger in EVENTS}
    assert {pair for pair in moved if pair[1] not in {"stream.opened", "rules.adopted"}} == rows


def _rows(stream: str) -> set[tuple[str, str]]:
    from sm.core import tables

    table = getattr(tables, streams.kind_of(stream).upper())
    return {(source, row.trigger) for row in table for source in row.source}


def test_the_product_is_whole():
    assert {streams.kind_of(stream) for stream in STATES} == set(streams.KINDS)
    assert all(samples(kind) for kind in EVENTS.values())


@pytest.mark.parametrize("name", ["", "session", "sessions:x", "Session:x", ":x"])
def test_a_stream_of_another_name_is_none_of_ours(name: str):
    with pytest.raises(ValueError, match="is not the name of a stream"):
        initial(name)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(any_moves)
def test_no_sequence_of_events_makes_a_fold_raise(moves: list[Move]):
    world = play(moves)
    quarantined = [r.event for r in world.history if isinstance(r.event, e.StreamQuarantined)]
    assert [event.reason for event in quarantined if " at event " in event.reason] == []


# --- what holds however it goes -------------------------------------------------------------------------------------------


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(plausible_moves)
def test_whatever_peers_and_people_do_the_promises_hold(moves: list[Move]):
    world = play(moves, check=promises)
    promises_about_appends(world)
    promises_about_the_alias(world)


def promises(world: World) -> None:
    """What holds of the states after each move."""
    for stream, state in world.states.items():
        if streams.kind_of(stream) != "session":
            continue
        data = cast("SessionData", state.data)
        over = state.name in {"stopped", "failed", "refused"}
        holder = world.of(streams.repository(VM, data.org, data.repo)).data.holder
        occupant = world.of(streams.channel(data.channel_id)).data.session_id
        assert (holder == data.session_id) is (not over), "holds the main clone while it lives"
        assert (occupant == data.session_id) is (not over), "holds the channel while it lives"
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
    from sm.core import commands as c

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
    approved: set[str] = set()
    shown: set[str] = set()
    for recorded in world.history:
        match recorded.event:
            case e.CardPressed(action="approve", request_id=request):
                approved.add(world.alias.requests[request].domain)
            case e.AliasApplied(resolved="seen" | "unknown", domain=domain):
                shown.add(domain)
            case e.NetworkApproved(domain=domain):
                assert domain in approved & shown
            case _:
                pass
    from sm.core.commands import SaveAlias

    assert {
        issued.command.domain for issued in world.issued if isinstance(issued.command, SaveAlias)
    } <= approved
