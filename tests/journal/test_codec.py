"""Objects to rows and back."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from sm.core.commands import COMMANDS
from sm.core.events import EVENTS
from sm.journal.codec import Codec, decode_command, decode_event, encode
from sm.journal.errors import JournalError, UnknownPayload
from sm.journal.hashing import canonical_json


@frozen
class Place:
    row: int
    label: str = ""


@frozen
class Moved:
    KIND: ClassVar[str] = "test.moved"
    VERSION: ClassVar[int] = 3
    how: Literal["walk", "run"]
    places: tuple[Place, ...]
    pair: tuple[str, int]
    home: Place | None = None
    sure: bool | None = None
    names: tuple[str, ...] | None = None


MOVED = Moved("run", (Place(1), Place(2, "ü")), ("a", 7), Place(3), True, ("x",))


def first_step(plain: dict[str, Any]) -> dict[str, Any]:
    plain["how"] = plain.pop("manner")
    return plain


def second_step(plain: dict[str, Any]) -> dict[str, Any]:
    return plain | {"pair": ["from v2", 0]}


UPCASTERS = {("test.moved", 1): first_step, ("test.moved", 2): second_step}
CODEC = Codec("an event", {"test.moved": Moved}, UPCASTERS)


def payload(**changes: object) -> str:
    import json

    plain = json.loads(CODEC.encode(MOVED)[2])
    for name, value in changes.items():
        if value is ...:
            del plain[name]
        else:
            plain[name] = value
    return canonical_json(plain)


def test_an_object_survives_the_way_to_disk_and_back():
    kind, version, text = CODEC.encode(MOVED)
    assert (kind, version) == ("test.moved", 3)
    assert text == (
        '{"home":{"label":"","row":3},"how":"run","names":["x"],"pair":["a",7],'
        '"places":[{"label":"","row":1},{"label":"\\u00fc","row":2}],"sure":true}'
    )
    assert CODEC.decode(kind, version, text) == MOVED


def test_nothing_stands_for_none():
    moved = Moved("walk", (), ("", 0))
    assert CODEC.decode(*CODEC.encode(moved)) == moved


def test_a_field_with_a_default_may_be_missing():
    assert CODEC.decode("test.moved", 3, payload(home=..., sure=..., names=...)).home is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"extra": 1}, "unknown keys: extra"),
        ({"how": ...}, "the key 'how' is missing"),
        ({"how": "fly"}, "expected one of walk, run"),
        ({"pair": ["a", True]}, "expected int, found bool"),
        ({"pair": ["a", 1, 2]}, "expected 2 items, found 3"),
        ({"names": "abc"}, "expected a list, found str"),
        ({"names": [1]}, "expected str, found int"),
        ({"sure": 1}, "expected bool, found int"),
        ({"home": []}, "expected an object, found list"),
        ({"home": {"row": 1, "seat": 2}}, "unknown keys: seat"),
        ({"places": [{"row": 1.0}]}, "expected int, found float"),
        ({"places": None}, "expected a list"),
    ],
)
def test_a_payload_that_does_not_fit_names_the_kind_and_what_is_wrong(changes, said):
    with pytest.raises(UnknownPayload, match=r"'test\.moved'") as caught:
        CODEC.decode("test.moved", 3, payload(**changes))
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "null", "7", '"x"', "{", ""])
def test_a_payload_that_is_no_object_is_refused(text):
    with pytest.raises(UnknownPayload, match=r"'test\.moved'"):
        CODEC.decode("test.moved", 3, text)


def test_a_refusal_shows_nothing_of_the_payload():
    with pytest.raises(UnknownPayload) as caught:
        CODEC.decode("test.moved", 3, payload(how="very-private-words"))
    assert "private" not in str(caught.value)


def test_older_versions_are_upcast_step_by_step():
    import json

    oldest = json.loads(payload(pair=...))
    oldest["manner"] = oldest.pop("how")
    assert CODEC.decode("test.moved", 1, canonical_json(oldest)).pair == ("from v2", 0)
    assert CODEC.decode("test.moved", 2, payload(pair=...)).how == "run"


def test_an_upcaster_that_does_not_fit_is_a_misfit():
    with pytest.raises(UnknownPayload, match="the key 'manner' is missing"):
        CODEC.decode("test.moved", 1, payload())


def test_a_version_without_a_step_is_named():
    codec = Codec("an event", {"test.moved": Moved}, {})
    with pytest.raises(JournalError, match="No step leads from version 2"):
        codec.decode("test.moved", 2, payload())


def test_a_newer_version_says_which_program_to_run():
    with pytest.raises(JournalError, match="in version 4; this version of Session Manager reads up to 3"):
        CODEC.decode("test.moved", 4, payload())


def test_an_unknown_kind_says_which_program_to_run():
    with pytest.raises(JournalError, match=r"kind 'test\.flown', which this version"):
        CODEC.decode("test.flown", 1, "{}")


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_every_event_survives(kind):
    @settings(max_examples=30, deadline=None)
    @given(st.from_type(EVENTS[kind]))
    def survives(event):
        assert decode_event(*encode(event)) == event

    survives()


@pytest.mark.parametrize("kind", sorted(COMMANDS))
def test_every_command_survives(kind):
    @settings(max_examples=30, deadline=None)
    @given(st.from_type(COMMANDS[kind]))
    def survives(command):
        assert decode_command(*encode(command)) == command

    survives()
