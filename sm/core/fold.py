"""The fold: (state, event) → state, commands, notices. Pure and total.

A pair that no row answers is ignored. `RULES` names the version of the rules that a new stream follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve

from sm.core import streams
from sm.core.alias import AliasData, AliasStep
from sm.core.channel import ChannelData, ChannelStep
from sm.core.events import RulesAdopted, StreamOpened
from sm.core.memory import SessionData
from sm.core.repository import RepositoryData, RepositoryStep
from sm.core.session import SessionStep
from sm.core.step import Folded, Notice, Recorded, Step, StreamState
from sm.core.vm import VmData, VmStep

__all__ = ["RULES", "Folded", "Notice", "Recorded", "StreamState", "fold", "initial"]

RULES = "unreleased"

_STEPS: dict[streams.StreamKind, type[Step[Any]]] = {
    "session": SessionStep,
    "channel": ChannelStep,
    "repository": RepositoryStep,
    "project": RepositoryStep,
    "alias": AliasStep,
    "vm": VmStep,
}
_DATA: dict[streams.StreamKind, Callable[[str], Any]] = {
    "session": lambda _: SessionData(),
    "channel": lambda name: ChannelData(channel_id=name),
    "repository": lambda _: RepositoryData(),
    "project": lambda _: RepositoryData(),
    "alias": lambda name: AliasData(alias=name),
    "vm": lambda _: VmData(),
}


def initial(stream: str) -> StreamState:
    """The state of a stream before its first event."""
    kind = streams.kind_of(stream)
    machine = _STEPS[kind].machine
    return StreamState(str(machine.initial), "", _DATA[kind](streams.id_of(stream)))


def fold(state: StreamState, recorded: Recorded) -> Folded:
    """What an event makes of a stream."""
    event = recorded.event
    if isinstance(event, StreamOpened | RulesAdopted):
        return Folded(evolve(state, rules=event.rules), moved=True)
    step = _STEPS[streams.kind_of(recorded.stream)](state.name, state.data, recorded)
    moved = step.run(event.KIND)
    return step.folded(state.rules, moved)
