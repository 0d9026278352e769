"""Holds payloads against the files in `schemas/`, as a reader of journals would that has nothing else of ours."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource

from sm.journal.sqlite import InlineSqliteJournal

SCHEMAS = Path(__file__).parents[1] / "schemas"


@cache
def _registry() -> Registry[Any]:
    schemas = [json.loads(path.read_text("utf-8")) for path in SCHEMAS.rglob("*.json")]
    return Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in schemas)


@cache
def validator(path: str) -> Draft202012Validator:
    """The schema in a file below `schemas/`."""
    found = SCHEMAS / path
    assert found.exists(), (
        f"There is no schemas/{path}: give it an example in sm/journal/examples.py, run scripts/schemas."
    )
    return Draft202012Validator(json.loads(found.read_text("utf-8")), registry=_registry())


def misfit(path: str, value: object) -> str:
    """What does not fit the schema in this file; empty when all does."""
    schema = validator(path)
    if schema.is_valid(value):
        return ""
    found = best_match(schema.iter_errors(value))
    return f"schemas/{path}: {found.json_path}: {found.message} (when the class is right: scripts/schemas)"


def check(folder: str, kind: str, version: int, payload: str) -> None:
    """Hold one payload against the schema of its kind and version; `folder` is events or commands."""
    said = misfit(f"{folder}/{kind}.v{version}.json", json.loads(payload))
    assert not said, said


async def check_journal(path: Path) -> None:
    """Hold every row of a journal against the schema of its kind and version."""
    async with InlineSqliteJournal.open(path, read_only=True) as journal:
        events = [row async for page in journal.read() for row in page]
        commands = [row async for page in journal.commands() for row in page]
    assert events, f"{path} is empty"
    for folder, rows in (("events", events), ("commands", commands)):
        for row in rows:
            check(folder, row.kind, row.version, row.payload)
