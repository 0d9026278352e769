"""The part of Go's text/template that `--format` needs: fields, `json`, `index`, and literal text between them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import cast

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_ESCAPES = {"\\n": "\n", "\\t": "\t"}


class TemplateError(ValueError):
    """A template that Go (or this subset) would not take: `unreadable`, or naming what is not there."""

    def __init__(self, text: str, *, unreadable: bool = False) -> None:
        super().__init__(text)
        self.unreadable = unreadable


def render(template: str, value: Mapping[str, object]) -> str:
    """Fill a template from nested mappings. Raises `TemplateError` with the runtime's kind of wording."""
    for escape, char in _ESCAPES.items():
        template = template.replace(escape, char)
    rest = _ACTION.sub("", template)
    if "{{" in rest:
        raise TemplateError("unclosed action", unreadable=True)
    return _ACTION.sub(lambda match: _print(_evaluate(match[1], value)), template)


def _evaluate(action: str, value: Mapping[str, object]) -> object:
    words = shlex.split(action, posix=False)
    match words:
        case [path] if path.startswith("."):
            return _field(path, value)
        case ["json", path] if path.startswith("."):
            return _Raw(json.dumps(_field(path, value), separators=(",", ":"), ensure_ascii=False))
        case ["index", path, key] if path.startswith(".") and key[0] in '"`':
            found = _field(path, value)
            return (
                cast("Mapping[str, object]", found).get(key[1:-1], "") if isinstance(found, Mapping) else ""
            )
        case _:
            raise TemplateError(f'function "{action}" not defined', unreadable=True)


def _field(path: str, value: object) -> object:
    for name in path.split(".")[1:]:
        if name == "":
            continue
        if not isinstance(value, Mapping) or name not in value:
            raise TemplateError(f"can't evaluate field {name}")
        value = cast("Mapping[str, object]", value)[name]
    return value


class _Raw(str):
    """Text that is printed as it is."""

    __slots__ = ()


def _print(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
        case dict():
            pairs = cast("dict[str, object]", value)
            return "map[" + " ".join(f"{key}:{_print(pairs[key])}" for key in sorted(pairs)) + "]"
        case list():
            return "[" + " ".join(_print(item) for item in cast("list[object]", value)) + "]"
        case _:
            return "<no value>" if value is None else str(value)
