"""Anything that may happen to a world: moves, with small pools so that they meet.

A *move* is something that befalls a `World`: an event out of nowhere, what came of a command that was issued, a line
of the agent, a post, a press. `play` makes the journal that follows from a list of moves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from attrs import frozen
from hypothesis import strategies as st

from sm.core import commands as c
from sm.core import events as e

from . import playbook as p
from .any_event import any_event
from .outcomes import reports
from .playbook import World
from .pools import CHANNELS, DOMAINS, LINES, POLICIES, RESOLVED, SESSIONS, STREAMS, TEXTS


@frozen
class Move:
    """Something that befalls a world; shown by its label where an example fails."""

    label: str
    run: Callable[[World], object]

    def __call__(self, world: World) -> None:
        self.run(world)

    def __repr__(self) -> str:
        return self.label


def report(number: int, which: int) -> Move:
    """One of the outstanding commands is reported."""

    def move(world: World) -> None:
        waiting = [issued for issued in world.issued if issued.id not in world.settled]
        waiting = [
            issued
            for issued in waiting
            if issued.command.KIND
            not in {"chat.say", "chat.say_privately", "chat.relay", "workspace.show_diff"}
        ]
        if waiting:
            issued = waiting[number % len(waiting)]
            world.settled.add(issued.id)
            outcomes = reports(issued.command, world.firewall)
            outcome = outcomes[which % len(outcomes)]
            if isinstance(issued.command, c.WriteAlias):
                world.read()
            if isinstance(issued.command, c.SetTimer):
                world.at_ms = max(world.at_ms, issued.command.due_ms)
            if isinstance(outcome, e.AliasWritten):
                world.firewall[:] = outcome.entries
            world.record(issued.stream, outcome)

    return Move(f"report({number}, {which})", move)


def as_session(session: int, move: Move) -> Move:
    """The move befalls the session of one of the two channels; after its end, the next."""

    def moved(world: World) -> None:
        number = 1
        while world.state(name := f"{SESSIONS[session][:-4]}{number:04}") in {"stopped", "failed", "refused"}:
            number += 1
        world.session, world.channel = name, CHANNELS[session]
        move(world)

    return Move(f"{'ab'[session]}.{move}", moved)


def acknowledged(world: World) -> None:
    """The agent replays what it has."""
    if world.data.talk.unacknowledged is not None:
        world.replay()


def decided(number: int, action: e.Action, via: e.Via, user: str) -> Move:
    """A person presses a button of one of the cards, or reacts to it."""

    def move(world: World) -> None:
        cards = [request for request in world.alias.requests.values() if request.card_id]
        if not cards:
            return
        request = cards[number % len(cards)]
        named = "set:python" if action == "set" else request.request_id
        world >> e.NetworkDecided(
            action=action,
            channel_id=request.channel_id,
            user_id=f"u-{user}",
            user_name=user,
            via=via,
            card_id=request.card_id,
            request_id=named if via == "button" else "",
            privately=number > 1,
        )

    return Move(f"decided({number}, {action}, {via}, {user})", move)


def looked(
    *names: e.Resolved, taken_out: str = "", put_in: str = "", table: tuple[str, ...] | None = ()
) -> Move:
    """Somebody may have edited the alias; then it is looked at, between writes."""

    def move(world: World) -> None:
        world.firewall[:] = [entry for entry in world.firewall if entry != taken_out]
        world.firewall.extend(name for name in [put_in] if name and name not in world.firewall)
        if not world.alias.busy:
            world.observed(*names, table=table)

    return Move(f"looked({names}, {taken_out!r}, {put_in!r}, {table})", move)


def push_decided(action: str) -> Move:
    """A person presses a button of the push's card, if there is one."""

    def move(world: World) -> None:
        if world.data.push is not None:
            world.push_decided(action)

    return Move(f"push_decided({action})", move)


def later(minutes: int) -> Move:
    def move(world: World) -> None:
        world.at_ms += minutes * 60_000

    return Move(f"later({minutes})", move)


def worked(world: World) -> None:
    """The agent does a turn about what it has."""
    if world.data.talk.unacknowledged is not None:
        world.turn()


def asked(domain: str) -> Move:
    return Move(f"asked({domain})", lambda world: world.says(f"[NETWORK_REQUEST: {domain}]"))


def line(value: dict[str, Any]) -> Move:
    return Move(f"agent({json.dumps(value)})", lambda world: world.agent(value))


def post(text: str) -> Move:
    return Move(f"post({text!r})", lambda world: world.post(text))


def happens(event: e.Event, stream: str = "") -> Move:
    """An event out of nowhere, in the stream where it belongs or in this one."""
    where = f", {stream}" if stream else ""
    return Move(
        f"happens({event}{where})", lambda world: world.record(stream or world.stream_of(event), event)
    )


def step(of_world: Callable[[World], object]) -> Move:
    return Move(of_world.__name__, of_world)


def heard(move: Move) -> Move:
    """The agent's own doing: nobody follows an output before the start was reported, nor behind its end."""

    def moved(world: World) -> None:
        if world.data.follows_output:
            move(world)

    return Move(repr(move), moved)


def broken(world: World) -> None:
    """The agent's output is not the file that was followed."""
    world >> e.OutputBroken(world.data.generation, "replaced")


def pending(world: World) -> None:
    world.working().asked("pypi.org")


def approved(world: World) -> None:
    world.working().granted("pypi.org")


def died(world: World) -> None:
    world.working().dies()


_WHAT_HAPPENS: st.SearchStrategy[Move] = st.one_of(
    st.just(report(0, 0)),
    st.just(report(1, 0)),
    st.builds(report, st.integers(0, 3), st.integers(0, 9)),
    st.just(heard(step(worked))),
    st.sampled_from(DOMAINS).map(asked).map(heard),
    st.sampled_from(LINES).map(line).map(heard),
    st.sampled_from(TEXTS).map(post),
    st.just(heard(step(acknowledged))),
    st.just(heard(step(World.initialized))),
    st.just(heard(step(World.ended))),
    st.just(heard(step(broken))),
    st.builds(
        decided,
        st.integers(0, 3),
        st.sampled_from(["approve", "approve", "session", "hour", "set", "deny", "retry"]),
        st.sampled_from(["button", "button", "reaction"]),
        st.sampled_from(["james", "sarah"]),
    ),
    st.builds(
        looked,
        st.sampled_from(RESOLVED),
        taken_out=st.sampled_from(["", *DOMAINS]),
        put_in=st.sampled_from(["", *DOMAINS]),
        table=st.sampled_from([(), None, tuple(map(p.address_of, DOMAINS))]),
    ),
    st.sampled_from(POLICIES).map(e.AliasConfigured).map(happens),
    st.sampled_from(["disabled", "gone"]).map(lambda code: happens(e.AliasTroubled(code, ""))),
    st.sampled_from(["approve", "deny"]).map(push_decided),
    st.builds(later, st.integers(0, 9)),
)
_BEGINNINGS = st.sampled_from(
    [
        [step(pending)],
        [step(approved)],
        [step(died)],
        [step(World.working)],
        [step(World.ready), step(World.stop)],
        [step(World.ready)],
        [step(World.start)],
        [],
    ]
)


def _sessions(moves: st.SearchStrategy[Move]) -> st.SearchStrategy[Move]:
    return st.builds(as_session, st.sampled_from([0, 0, 0, 1]), moves)


def _whole(moves: st.SearchStrategy[Move], most: int, least: int = 0) -> st.SearchStrategy[list[Move]]:
    first = _BEGINNINGS.map(lambda begun: [as_session(0, move) for move in begun])
    return st.builds(
        lambda begun, rest: [*begun, *rest], first, st.lists(_sessions(moves), min_size=least, max_size=most)
    )


plausible_moves = _whole(_WHAT_HAPPENS, 40, least=5)
"""What peers and people can bring about."""

_OUT_OF_NOWHERE: st.SearchStrategy[Move] = st.one_of(
    any_event.map(happens), st.builds(happens, any_event, st.sampled_from(STREAMS))
)
any_moves = _whole(_WHAT_HAPPENS | _OUT_OF_NOWHERE, 30)
"""That, and any event in any stream at any time."""

many_moves = _whole(_WHAT_HAPPENS | _OUT_OF_NOWHERE, 60, least=30)


def play(moves: list[Move], check: Callable[[World], object] | None = None) -> World:
    """The world after these moves; `check` is called after each."""
    world = World()
    for move in moves:
        move(world)
        if check is not None:
            check(world)
    return world
