"""A JSON Schema (draft 2020-12) for what stands in a row's `payload`, one for each kind and version.

They are read off the attrs classes and lie in `schemas/`, for people and for programs that read a journal without
ours; `scripts/schemas` writes them anew. A class describes its newest version only: the file of an older one stays
as it was when that version was the newest.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from sm.core.commands import COMMANDS
from sm.core.events import EVENTS
from sm.journal.examples import EXAMPLES

JsonSchema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
BASE = "https://session-manager.example/schemas/"
"""What `$id`s begin with: a name, not an address. `.example` never resolves (RFC 2606)."""

REGISTRIES: Mapping[str, Mapping[str, type[Any]]] = {"events": EVENTS, "commands": COMMANDS}
"""Folder → kind → the class of the newest version."""

_PRIMITIVES: Mapping[object, str] = {str: "string", int: "integer", bool: "boolean", NoneType: "null"}


def schema_of(kind: type[Any]) -> JsonSchema:
    """Describe the objects of an attrs class; TypeError, naming the field, for a type that has no description here.

    Every field is required: the codec writes them all.
    """
    definitions: dict[str, JsonSchema] = {}
    schema = _object(kind, definitions)
    return schema | ({"$defs": dict(sorted(definitions.items()))} if definitions else {})


def _object(kind: type[Any], definitions: dict[str, JsonSchema]) -> JsonSchema:
    hints = get_type_hints(kind)
    properties: dict[str, JsonSchema] = {}
    for field in attrs.fields(kind):
        try:
            properties[field.name] = _value(hints[field.name], definitions)
        except TypeError as error:
            raise TypeError(f"{kind.__name__}.{field.name}: {error}") from None
    return {
        "description": inspect.getdoc(kind) or "",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _value(wanted: Any, definitions: dict[str, JsonSchema]) -> JsonSchema:
    """Describe the values of one annotation; nested classes go into `definitions` under their names."""
    if wanted in _PRIMITIVES:
        return {"type": _PRIMITIVES[wanted]}
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin in (UnionType, Union):
        return {"anyOf": [_value(each, definitions) for each in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return {"type": "array", "items": _value(arguments[0], definitions)}
    if origin is tuple and arguments:
        items = [_value(each, definitions) for each in arguments]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    if isinstance(wanted, type) and attrs.has(wanted):
        if wanted.__name__ not in definitions:
            definitions[wanted.__name__] = {}  # known from here on, also to itself
            definitions[wanted.__name__] = _object(wanted, definitions)
        return {"$ref": f"#/$defs/{wanted.__name__}"}
    raise TypeError(f"no schema is known for {wanted!r}")


def path_of(folder: str, kind: str, version: int) -> str:
    """Where a schema lies below `schemas/`."""
    return f"{folder}/{kind}.v{version}.json"


def generated() -> dict[str, str]:
    """The schemas of all newest versions and both indexes, as path below `schemas/` → text.

    Raises ValueError for a kind without an example.
    """
    examples = {type(example): example for example in EXAMPLES}
    files: dict[str, str] = {}
    for folder, registry in REGISTRIES.items():
        for kind, made in sorted(registry.items()):
            if made not in examples:
                raise ValueError(
                    f"{made.__name__} ({kind}) has no example: give it one in sm/journal/examples.py."
                )
            path = path_of(folder, kind, made.VERSION)
            head = {"$schema": DIALECT, "$id": BASE + path, "title": kind}
            files[path] = _text(head | schema_of(made) | {"examples": [attrs.asdict(examples[made])]})
        files[f"{folder}.json"] = _text(_index(folder, registry))
    return files


def expected() -> set[str]:
    """Which files belong below `schemas/`: those that are generated, and one for each older version."""
    older = {
        path_of(folder, kind, version)
        for folder, registry in REGISTRIES.items()
        for kind, version in _versions(registry)
    }
    return older | {f"{folder}.json" for folder in REGISTRIES}


def rewrite(root: Path) -> None:
    """Write all schemas below `root` anew; a file of an older version stays, one that nothing owns goes."""
    files = generated()
    wanted = expected()
    for found in root.rglob("*.json"):
        if found.relative_to(root).as_posix() not in wanted:
            found.unlink()
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")


def _index(folder: str, registry: Mapping[str, type[Any]]) -> JsonSchema:
    """One schema for all rows of a table: which payload goes with which kind and version."""
    return {
        "$schema": DIALECT,
        "$id": f"{BASE}{folder}.json",
        "title": folder,
        "description": f"Kind, version and payload of a row of the table `{folder}`.",
        "oneOf": [
            {
                "type": "object",
                "properties": {
                    "kind": {"const": kind},
                    "version": {"const": version},
                    "payload": {"$ref": path_of(folder, kind, version)},
                },
                "required": ["kind", "version", "payload"],
                "additionalProperties": False,
            }
            for kind, version in _versions(registry)
        ],
    }


def _versions(registry: Mapping[str, type[Any]]) -> Iterator[tuple[str, int]]:
    for kind, made in sorted(registry.items()):
        for version in range(1, made.VERSION + 1):
            yield kind, version


def _text(schema: JsonSchema) -> str:
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
