"""Events and commands to JSON text and back.

On disk stand a kind, a version and a canonical JSON payload. An older version is upcast as a plain dict, step
by step, before it becomes an object; rows are never rewritten. Decoding is strict: a key too many, one that is
missing, or a value of another type than the class says raises `UnknownPayload`, which names the kind but shows
nothing of the payload.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TypeVar, cast, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.errors import ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn

from sm.core.commands import COMMANDS, Command
from sm.core.events import EVENTS, Event
from sm.journal.errors import JournalError, UnknownPayload
from sm.journal.hashing import canonical_json

T = TypeVar("T")

JsonObject = dict[str, Any]
Upcaster = Callable[[JsonObject], JsonObject]
"""Turns the payload of one version into that of the next; may change its argument."""

EVENT_UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""(kind, from version) → the step to the next version."""

COMMAND_UPCASTERS: dict[tuple[str, int], Upcaster] = {}


_MISFITS = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    RecursionError,
    ForbiddenExtraKeysError,
)
"""What upcasters and hooks raise for a payload that does not fit."""


class _Kinded(Protocol):
    KIND: str
    VERSION: int


def _strict(kind: type[T]) -> Callable[[object, Any], T]:
    def structure(value: object, _type: Any) -> T:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
        return value

    return structure


def _tuple_hook(wanted: Any, converter: Converter) -> Callable[[object, Any], tuple[Any, ...]]:
    arguments = get_args(wanted)
    endless = len(arguments) == 2 and arguments[1] is Ellipsis

    def structure(value: object, _type: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise TypeError(f"expected a list, found {type(value).__name__}")
        items = cast("list[object]", value)
        types = (arguments[0],) * len(items) if endless else arguments
        if len(items) != len(types):
            raise TypeError(f"expected {len(types)} items, found {len(items)}")
        return tuple(converter.structure(item, each) for item, each in zip(items, types, strict=True))

    return structure


def _literal_hook(wanted: Any, _converter: Converter) -> Callable[[object, Any], object]:
    allowed = get_args(wanted)

    def structure(value: object, _type: Any) -> object:
        if type(value) is not str or value not in allowed:
            raise TypeError(f"expected one of {', '.join(map(str, allowed))}")
        return value

    return structure


def _class_hook(wanted: type[Any], converter: Converter) -> Callable[[Mapping[str, Any], Any], Any]:
    build = make_dict_structure_fn(
        wanted, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=False
    )

    def structure(value: Mapping[str, Any], _type: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"expected an object, found {type(value).__name__}")
        return build(value, wanted)

    return structure


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=False)
    for primitive in (str, int, bool):
        converter.register_structure_hook(primitive, _strict(primitive))
    converter.register_structure_hook_factory(lambda wanted: get_origin(wanted) is tuple, _tuple_hook)
    converter.register_structure_hook_factory(lambda wanted: get_origin(wanted) is Literal, _literal_hook)
    converter.register_structure_hook_factory(attrs.has, _class_hook)
    return converter


class Codec:
    """Writes and reads the classes of one registry (kind → class); their hooks are made once and kept."""

    def __init__(
        self, what: str, registry: Mapping[str, type[Any]], upcasters: Mapping[tuple[str, int], Upcaster]
    ) -> None:
        self._what = what
        self._registry = registry
        self._upcasters = upcasters
        self._converter = _converter()
        self._writers: dict[type[Any], Callable[[Any], Any]] = {}
        self._readers: dict[str, Callable[[Any, Any], Any]] = {}

    def encode(self, value: object) -> tuple[str, int, str]:
        """Answer (kind, version, canonical payload text)."""
        kinded = type(value)
        writer = self._writers.get(kinded)
        if writer is None:
            writer = self._writers[kinded] = self._converter.get_unstructure_hook(kinded)
        named = cast("_Kinded", value)
        return named.KIND, named.VERSION, canonical_json(writer(value))

    def decode(self, kind: str, version: int, payload: str) -> Any:
        """Build the object; raises `JournalError` for what this version of the program does not know."""
        kinded = self._registry.get(kind)
        if kinded is None:
            raise JournalError(
                f"The journal holds {self._what} of the kind {kind!r}, which this version of Session Manager"
                " does not know: run the version that wrote it."
            )
        reader = self._readers.get(kind)
        if reader is None:
            reader = self._readers[kind] = self._converter.get_structure_hook(kinded)
        try:
            plain = self._upcast(kind, version, kinded.VERSION, json.loads(payload))
            return reader(plain, kinded)
        except JournalError:
            raise
        except _MISFITS as error:
            raise UnknownPayload(
                f"The payload of {self._what} of the kind {kind!r}, version {version}, does not fit what this"
                f" version of Session Manager expects ({_shape_of(error)})."
            ) from None

    def _upcast(self, kind: str, version: int, target: int, plain: Any) -> Any:
        if version > target:
            raise JournalError(
                f"The journal holds {self._what} of the kind {kind!r} in version {version}; this version of"
                f" Session Manager reads up to {target}: run the version that wrote it."
            )
        while version < target:
            step = self._upcasters.get((kind, version))
            if step is None:
                raise JournalError(
                    f"No step leads from version {version} of {self._what} of the kind {kind!r} to the next."
                )
            plain = step(plain)
            version += 1
        return plain


def _shape_of(error: Exception) -> str:
    """Say what was wrong without a value of the payload: a key's name at most."""
    if isinstance(error, KeyError):
        return f"the key {str(error)[:80]} is missing"
    extra = getattr(error, "extra_fields", None)
    if extra:
        return f"unknown keys: {', '.join(sorted(extra))[:200]}"
    if isinstance(error, json.JSONDecodeError):
        return "it is no JSON"
    return str(error) if type(error) is TypeError else type(error).__name__


_events = Codec("an event", EVENTS, EVENT_UPCASTERS)
_commands = Codec("a command", COMMANDS, COMMAND_UPCASTERS)


def encode(value: Event | Command) -> tuple[str, int, str]:
    """Answer (kind, version, canonical payload text) of an event or a command."""
    return _events.encode(value)


def decode_event(kind: str, version: int, payload: str) -> Event:
    """Build an event; raises `JournalError` for an unknown kind or version, `UnknownPayload` for a misfit."""
    return _events.decode(kind, version, payload)


def decode_command(kind: str, version: int, payload: str) -> Command:
    """Build a command; raises as `decode_event` does."""
    return _commands.decode(kind, version, payload)
