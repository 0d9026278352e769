"""The base of all events, and their names on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar, dataclass_transform

from attrs import field, frozen


class Event:
    """Base of all events: `KIND` is the name on disk, `VERSION` counts changes of the payload's shape."""

    KIND: ClassVar[str]
    VERSION: ClassVar[int] = 1
    __slots__ = ()


EVENTS: dict[str, type[Event]] = {}
E = TypeVar("E", bound=Event)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def event(kind: str) -> Callable[[type[E]], type[E]]:
    """Register an event class under its stable name."""

    def register(cls: type[E]) -> type[E]:
        made = frozen(slots=True)(cls)
        made.KIND = kind
        EVENTS[kind] = made
        return made

    return register
