"""One step of a stream: an event goes in; a state, commands and notices come out."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from attrs import field, frozen
from transitions import Machine

from sm.core.commands import Command
from sm.core.events import Event

D = TypeVar("D")


@frozen
class Recorded:
    """An event in its place: what the fold may know of it."""

    seq: int
    stream: str
    recorded_at_ms: int
    event: Event


@frozen
class Notice:
    """An event for another stream, appended in the same transaction."""

    stream: str
    event: Event


@frozen
class StreamState:
    """A stream after some event: the state's name, the rules that it follows, and what else it remembers."""

    name: str
    rules: str
    data: Any = field(repr=False)


@frozen
class Folded:
    """What one event made of a stream. `moved` is False where the pair of state and event was ignored."""

    state: StreamState
    commands: tuple[Command, ...] = ()
    notices: tuple[Notice, ...] = ()
    moved: bool = False


class Model(Protocol):
    """What a machine moves."""

    state: str


def fire(machine: Machine, model: Model, trigger: str) -> bool:
    """Fire a trigger on a model with a `state`; False when no row answered.

    The pair is looked up first, since the library writes a line to the log for each that has no row.
    """
    event = machine.events.get(trigger)
    return event is not None and model.state in event.transitions and bool(event.trigger(model))


class Step(Generic[D]):
    """A short-lived model for a shared machine: holds the state's name, collects what the rows ask for."""

    machine: Machine
    data: D

    def __init__(self, name: str, data: D, recorded: Recorded) -> None:
        self.state = name
        self.data = data
        self.seq = recorded.seq
        self.stream = recorded.stream
        self.at_ms = recorded.recorded_at_ms
        self.event: Any = recorded.event
        self.commands: list[Command] = []
        self.notices: list[Notice] = []
        self._derived: list[str] = []

    def issue(self, command: Command) -> None:
        """Ask for an effect."""
        self.commands.append(command)

    def notify(self, stream: str, event: Event) -> None:
        """Tell another stream."""
        self.notices.append(Notice(stream, event))

    def then(self, trigger: str) -> None:
        """Fire a derived trigger when this row is done."""
        self._derived.append(trigger)

    def run(self, trigger: str) -> bool:
        """Fire a trigger and all that follow from it; False when no row answered the first."""
        moved = fire(self.machine, self, trigger)
        while self._derived:
            fire(self.machine, self, self._derived.pop(0))
        return moved

    def folded(self, rules: str, moved: bool) -> Folded:
        """The outcome as values."""
        return Folded(
            StreamState(self.state, rules, self.data), tuple(self.commands), tuple(self.notices), moved
        )
