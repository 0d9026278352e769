"""The fold is total: every state × event of every stream has an answer, and *ignored* changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings

from sm.core import events as e
from sm.core import streams
from sm.core.alias import AliasData
from sm.core.events import EVENTS, Event
from sm.core.fold import Recorded, StreamState, fold, initial
from sm.core.memory import SessionData
from sm.core.repository import Place, RepositoryData
from sm.core.tables import ALIAS_STATES, CHANNEL_STATES, REPOSITORY_STATES, SESSION_STATES, VM_STATES

from .any_event import samples
from .anything import Move, any_moves, play
from .playbook import (
    ALIAS,
    CHANNEL,
    NOON_MS,
    PLACE,
    PUSH_PREPARED,
    PYTHON,
    SESSION,
    VM,
    World,
    nowhere,
    turned,
)

STATES: dict[str, list[str]] = {
    streams.session(SESSION): SESSION_STATES,
    streams.channel(CHANNEL): CHANNEL_STATES,
    streams.repository(VM, "acme", "webapp"): REPOSITORY_STATES,
    streams.project(VM, PLACE.project_path): REPOSITORY_STATES,
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
    lambda world: world.working().says("[NETWORK_REQUEST: pypi.org files.example — tests]"),
    lambda world: world.working().asked("pypi.org", "a.example"),
    lambda world: world.configured(approval_channel="ch2", sets=(PYTHON,)).working().asked("pypi.org"),
    lambda world: world.working().asked("pypi.org").press("pypi.org"),
    lambda world: world.working().asked("pypi.org").press("pypi.org", "hour").read(),
    lambda world: world.working().asked("pypi.org").press("pypi.org", "session").written(),
    lambda world: world.working().asked("pypi.org").press("pypi.org").written().applied("unseen"),
    lambda world: world.working().asked("pypi.org").press("pypi.org").written().applied(),
    lambda world: world.working().asked("pypi.org").press("pypi.org").alias_failed(),
    lambda world: world.working().asked("pypi.org").press("pypi.org", "deny"),
    lambda world: world.working().granted("pypi.org"),
    lambda world: world.working().granted("pypi.org").post("@claude revoke pypi.org"),
    lambda world: world.working().granted("pypi.org").observed(turned("pypi.org")),
    lambda world: world.working().asked("pypi.org").press("pypi.org").written(nowhere("pypi.org")),
    lambda world: world.working().asked("pypi.org").press("pypi.org").read().alias_failed(),
    lambda world: world.working().granted("pypi.org").post("@claude revoke pypi.org").read().alias_failed(),
    lambda world: world.working().granted("pypi.org").post("@claude revoke pypi.org").written(),
    lambda world: (
        world.working().granted("pypi.org").post("@claude revoke pypi.org").written().alias_failed()
    ),
    lambda world: (
        world.working().granted("pypi.org").post("@claude revoke pypi.org").written().applied("unseen")
    ),
    lambda world: (
        world.working().granted("pypi.org").press("pypi.org", "hour").post("@claude approve a.example 1h")
    ),
    lambda world: world.configured(approval_channel="ch2", strong=True).ready().asked("pypi.org").stopped(),
    lambda world: world >> e.AliasTroubled("disabled", ""),
    lambda world: world.ready().post("one").dies(),
    lambda world: world.working().ended(),
    lambda world: world.working().dies().started(),
    lambda world: world.working().stop(),
    lambda world: world.working() >> e.VmLost("no answer"),
    lambda world: world.ready().stop().ended(),
    lambda world: world.ready().stop().ended().container_stopped(),
    lambda world: world >> e.HostKeySeen(VM, "key", "SHA256:x"),
    lambda world: world.start("myproject"),
    lambda world: world.start("myproject") >> e.ProjectResolved(PLACE.project_path, "", ""),
    lambda world: world.start("acme/webapp --worktree=feature"),
    lambda world: world.start("acme/webapp --worktree=feature").prepared(),
    lambda world: world.start() >> e.RepositoryPrepareFailed("network_unreachable", ""),
    lambda world: world.start() >> e.RepositoryPrepareFailed("network_unreachable", "") >> approved("r7g"),
    lambda world: world.ready().post("@claude fetch") >> e.MirrorFetchFailed("network_unreachable", ""),
    lambda world: world.ready().post("@claude push"),
    lambda world: world.ready().post("@claude push") >> PUSH_PREPARED,
    lambda world: world.ready().push_shown(),
    lambda world: world.ready().push_shown().push_decided(),
    lambda world: world.ready().push_shown().push_decided() >> e.PushFailed("network_unreachable", ""),
]


def approved(request_id: str) -> Event:
    return e.NetworkApproved(request_id, "github.com", "james")


def reached(stream: str) -> list[Any]:
    """What a stream remembers at the end of each story, each once."""
    found: list[Any] = [initial(stream).data]
    for story in STORIES:
        world = World()
        story(world)
        data = world.of(stream).data
        if data not in found:
            found.append(data)
    if isinstance(found[0], RepositoryData):
        found.append(RepositoryData(worktrees={"feature": Place(SESSION, "feature")}))
    return found


def fitted(event: Event, data: Any) -> list[Event]:
    """The event as it is, and as one that names what the stream has at hand."""
    if isinstance(data, RepositoryData) and hasattr(event, "session_id"):
        return [event, *(evolve(cast("Any", event), session_id=place.holder) for place in data.held)]
    if isinstance(data, AliasData):
        return [event, *fitted_to_the_alias(event, data)]
    if not isinstance(data, SessionData):
        return [event]
    names = {"generation": data.generation, "session_id": data.session_id, "offset": data.output_bytes}
    if data.push is not None:
        names["card_id"] = data.push.card_id
    if data.git_waits:
        names["domain"] = data.git_host
    if data.talk.unacknowledged is not None:
        names["uuid"] = data.talk.unacknowledged.uuid
    known = {name: value for name, value in names.items() if hasattr(event, name)}
    return [event, evolve(cast("Any", event), **known)] if known else [event]


def fitted_to_the_alias(event: Event, data: AliasData) -> list[Event]:
    """The event as it is about each card and its requests, each grant, what is being written."""
    if isinstance(event, e.TimerFired):
        names = [f"remind:{name}" for name in data.cards] + [f"expire:{name}" for name in data.cards]
        names += [f"grant:{name}" for name in data.grants]
        return [evolve(event, name=name) for name in names]
    if isinstance(event, e.NetworkSessionEnded):
        return [evolve(event, session_id=card.session_id) for card in data.cards.values()]
    if isinstance(event, e.NetworkTried):
        return [evolve(event, domain=domain) for domain in data.trying]
    about: list[Event] = []
    for card in data.cards.values() if hasattr(event, "card_id") else ():
        there = evolve(cast("Any", event), card_id=card.card_id)
        if isinstance(event, e.NetworkDecided):
            there = evolve(there, channel_id=card.channel_id, post_id=card.post_id)
            about += [evolve(there, request_id=name) for name in ("", "set:python", *card.requests)]
        about.append(there)
    return about


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


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(any_moves)
def test_no_sequence_of_events_makes_a_fold_raise(moves: list[Move]):
    world = play(moves)
    quarantined = [r.event for r in world.history if isinstance(r.event, e.StreamQuarantined)]
    assert [event.reason for event in quarantined if " at event " in event.reason] == []
