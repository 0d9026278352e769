"""The schemas in `schemas/` and the classes say the same, and what is written fits them."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Literal

import pytest
import schema_kit
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sm.core.commands import COMMANDS
from sm.core.events import EVENTS, StatusRequested, TimerFired
from sm.journal import schemas
from sm.journal.codec import Codec, decode_command, decode_event, encode
from sm.journal.examples import EXAMPLES
from sm.journal.hashing import canonical_json

KINDS = [("events", kind) for kind in sorted(EVENTS)] + [("commands", kind) for kind in sorted(COMMANDS)]
DECODE = {"events": decode_event, "commands": decode_command}
HOW_TO = "run scripts/schemas and look at the difference"


def on_disk() -> dict[str, str]:
    found = schema_kit.SCHEMAS.rglob("*")
    return {
        path.relative_to(schema_kit.SCHEMAS).as_posix(): path.read_text("utf-8")
        for path in found
        if path.is_file()
    }


# --- the files ------------------------------------------------------------------------------------------------------------


def test_the_files_are_those_that_the_classes_make() -> None:
    files = on_disk()
    drifted = sorted(path for path, text in schemas.generated().items() if files.get(path) != text)
    assert not drifted, f"{', '.join(drifted)}: {HOW_TO}"


def test_no_file_is_missing_and_none_is_too_many() -> None:
    assert set(on_disk()) == schemas.expected(), HOW_TO


def test_rewriting_removes_what_nothing_owns_and_keeps_older_versions(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    schemas.rewrite(tmp_path)
    (tmp_path / "events" / "chat.shouted.v1.json").write_text("{}")
    first = (tmp_path / "events" / "timer.fired.v1.json").read_text()
    monkeypatch.setattr(TimerFired, "VERSION", 2)
    schemas.rewrite(tmp_path)
    names = {path.name for path in (tmp_path / "events").iterdir()}
    assert "chat.shouted.v1.json" not in names
    assert {"timer.fired.v1.json", "timer.fired.v2.json"} <= names
    assert (tmp_path / "events" / "timer.fired.v1.json").read_text() == first
    refs = [
        one["properties"]["payload"]["$ref"]
        for one in json.loads((tmp_path / "events.json").read_text())["oneOf"]
    ]
    assert {"events/timer.fired.v1.json", "events/timer.fired.v2.json"} <= set(refs)


def test_every_kind_has_one_example() -> None:
    assert sorted(type(example).__name__ for example in EXAMPLES) == sorted(
        made.__name__ for made in (*EVENTS.values(), *COMMANDS.values())
    )


def test_a_kind_without_an_example_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "EXAMPLES", [one for one in EXAMPLES if type(one) is not TimerFired])
    with pytest.raises(ValueError, match=r"TimerFired \(timer\.fired\) has no example"):
        schemas.generated()


@pytest.mark.parametrize("path", sorted(on_disk()))
def test_a_file_is_a_schema_of_the_2020_12_draft_under_its_own_name(path: str) -> None:
    schema = json.loads(on_disk()[path])
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"https://session-manager.example/schemas/{path}"
    assert schema["description"]


@pytest.mark.parametrize("path", sorted(path for path in on_disk() if "/" in path))
def test_an_example_fits_its_schema_and_can_be_read(path: str) -> None:
    """Also that of an older version: through its upcasters."""
    folder, _, name = path.removesuffix(".json").partition("/")
    kind, _, version = name.rpartition(".v")
    (example,) = json.loads(on_disk()[path])["examples"]
    assert not schema_kit.misfit(path, example)
    assert not schema_kit.misfit(
        f"{folder}.json", {"kind": kind, "version": int(version), "payload": example}
    )
    read = DECODE[folder](kind, int(version), canonical_json(example))
    if int(version) == read.VERSION:
        assert read in EXAMPLES
        assert encode(read)[2] == canonical_json(example)


# --- what is written ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("folder", "kind"), KINDS)
def test_whatever_the_codec_writes_fits(folder: str, kind: str) -> None:
    made = schemas.REGISTRIES[folder][kind]

    @settings(max_examples=30, deadline=None)
    @given(st.from_type(made))
    def fits(value: Any) -> None:
        written, version, payload = encode(value)
        schema_kit.check(folder, written, version, payload)

    fits()


@pytest.mark.parametrize(("folder", "kind"), KINDS)
def test_a_key_too_many_or_one_that_is_missing_does_not_fit(folder: str, kind: str) -> None:
    path = schemas.path_of(folder, kind, schemas.REGISTRIES[folder][kind].VERSION)
    (example,) = json.loads(on_disk()[path])["examples"]
    assert schema_kit.misfit(path, example | {"extra": 1})
    for name in example:
        assert schema_kit.misfit(path, {key: value for key, value in example.items() if key != name})


def test_the_index_knows_no_kind_under_another_version_or_with_the_payload_of_another() -> None:
    payload = {"name": "ready", "generation": 1}
    row = {"kind": "timer.fired", "version": 1, "payload": payload}
    assert not schema_kit.misfit("events.json", row)
    assert schema_kit.misfit("events.json", row | {"version": 99})
    assert schema_kit.misfit("events.json", row | {"kind": "agent.ended"})
    assert schema_kit.misfit("events.json", row | {"payload": {}})
    assert schema_kit.misfit("commands.json", row)


def test_every_test_that_writes_an_event_holds_it_against_its_schema() -> None:
    """The fixture of `tests/conftest.py` is in force here, too."""
    wrong: Any = 7
    with pytest.raises(
        AssertionError, match=r"session\.status_requested\.v1\.json: \$\.user_name: 7 is not of type"
    ):
        encode(StatusRequested("p1", wrong))


# --- how a class is described ---------------------------------------------------------------------------------------------


@frozen
class Place:
    """Somewhere."""

    row: int
    label: str = ""


@frozen
class Moved:
    """Something moved."""

    KIND: ClassVar[str] = "test.moved"
    VERSION: ClassVar[int] = 1
    how: Literal["walk", "run"]
    places: tuple[Place, ...]
    pair: tuple[str, int]
    home: Place | None = None
    sure: bool | None = None


def test_each_type_has_its_description() -> None:
    schema = schemas.schema_of(Moved)
    assert schema["properties"] == {
        "how": {"enum": ["walk", "run"]},
        "places": {"type": "array", "items": {"$ref": "#/$defs/Place"}},
        "pair": {
            "type": "array",
            "prefixItems": [{"type": "string"}, {"type": "integer"}],
            "items": False,
            "minItems": 2,
        },
        "home": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
        "sure": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
    }
    assert schema["description"] == "Something moved."
    assert schema["required"] == ["how", "places", "pair", "home", "sure"]
    assert schema["$defs"]["Place"] == {
        "description": "Somewhere.",
        "type": "object",
        "properties": {"row": {"type": "integer"}, "label": {"type": "string"}},
        "required": ["row", "label"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"how": "fly"},
        {"pair": ["a"]},
        {"pair": ["a", 1, 2]},
        {"pair": ["a", True]},
        {"places": [{"row": 1}]},
        {"places": [{"row": 1, "label": "", "seat": 2}]},
        {"places": None},
        {"home": []},
        {"sure": 1},
    ],
)
def test_what_the_codec_would_not_write_does_not_fit(change: dict[str, Any]) -> None:
    moved = Moved("run", (Place(1), Place(2, "ü")), ("a", 7), Place(3), True)
    plain = json.loads(Codec("an event", {}, {}).encode(moved)[2])
    schema = Draft202012Validator(schemas.schema_of(Moved))
    assert schema.is_valid(plain)
    assert not schema.is_valid(plain | change)


@frozen
class Weighed:
    """Floats are in no event."""

    pounds: tuple[float, ...]


def test_a_type_without_a_description_is_refused_with_its_field() -> None:
    with pytest.raises(TypeError, match=r"Weighed\.pounds: no schema is known for <class 'float'>"):
        schemas.schema_of(Weighed)
