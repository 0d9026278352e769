r"""Known secrets are replaced by `[masked]` before anything is appended.

Known are the values of the secret settings (from 8 characters on) in the forms in which a text may hold them,
and what looks like a key by its shape: Anthropic's `sk-ant-…`, GitHub's `ghp_…` and `github_pat_…`, and
private-key blocks, also one whose end is missing (masked to the end of its text).

All patterns are linear in the text: alternatives of fixed words, one character class at a time, bounded
repetition. A line of the agent is JSON, where a secret can hide behind escapes (`\u0073k-ant-…`): each of its
strings is decoded, masked, and written anew only if something was masked. The strings are found by a scan of
tokens, not by a parser, so nesting has no depth to bound, and what is no JSON is masked as plain text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import attrs

T = TypeVar("T")

MASK = "[masked]"
MIN_SECRET_CHARACTERS = 8

_KEY_LABEL = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_SHIPPED = (
    rf"-----BEGIN {_KEY_LABEL}(?s:.*?)(?:-----END {_KEY_LABEL}|\Z)",
    r"sk-ant-[A-Za-z0-9_-]{8,}",
    r"ghp_[A-Za-z0-9]{8,}",
    r"github_pat_[A-Za-z0-9_]{8,}",
)

_JSON_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*+(?:"|\\?\Z)', re.DOTALL)
"""A string of JSON with its quotes; one that is cut off counts to the end, which keeps the scan linear."""

_lenient = json.JSONDecoder(strict=False)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_SHORT_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}

_JSON_FIELD = "line"
"""The name of the fields that hold a line of JSON."""


class Masker:
    """Masks the given secrets and the shipped shapes; neither shows in its repr."""

    __slots__ = ("_pattern",)

    def __init__(self, secret_values: Iterable[str] = ()) -> None:
        forms: set[str] = set()
        for value in secret_values:
            forms.update(_forms(value))
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join([*map(re.escape, longest_first), *_SHIPPED]))

    def mask_text(self, text: str) -> tuple[str, int]:
        """Answer the text without its secrets, and how many were masked."""
        return self._pattern.subn(MASK, text)

    def mask_json_line(self, line: str) -> tuple[str, int]:
        """Mask a line of JSON within its decoded strings, keys too; what is no JSON as plain text."""
        suspect = self._pattern.search(line) is not None
        if not suspect and "\\" not in line:
            return line, 0
        count = 0

        def replace(match: re.Match[str]) -> str:
            nonlocal count
            token = match.group()
            if "\\" in token:
                masked, hits = self.mask_text(_decoded(token))
                masked = json.dumps(masked) if hits else token
            elif suspect:
                masked, hits = self.mask_text(token)
            else:
                return token
            count += hits
            return masked

        masked_line, rest = self.mask_text(_JSON_STRING.sub(replace, line))
        return masked_line, count + rest

    def mask_event(self, event: T) -> tuple[T, int]:
        """Mask all texts of an attrs object, nested ones and tuples too; the same object when none was masked."""
        masked, count = self._mask_value(event, self.mask_text)
        return cast("T", masked), count

    def _mask_value(self, value: object, mask: Callable[[str], tuple[str, int]]) -> tuple[object, int]:
        if isinstance(value, str):
            return mask(value)
        if isinstance(value, tuple):
            items = [self._mask_value(item, mask) for item in cast("tuple[object, ...]", value)]
            count = sum(hits for _, hits in items)
            return (tuple(item for item, _ in items), count) if count else (cast("object", value), 0)
        if attrs.has(type(value)):
            return self._mask_fields(cast("attrs.AttrsInstance", value))
        return value, 0

    def _mask_fields(self, instance: attrs.AttrsInstance) -> tuple[object, int]:
        changes: dict[str, Any] = {}
        total = 0
        for field in attrs.fields(type(instance)):
            mask = self.mask_json_line if field.name == _JSON_FIELD else self.mask_text
            masked, count = self._mask_value(getattr(instance, field.name), mask)
            if count:
                changes[field.alias] = masked
                total += count
        return (attrs.evolve(instance, **changes), total) if changes else (instance, 0)


def _forms(value: str) -> set[str]:
    """Answer the forms in which a text may hold a secret: as it is, and as JSON or Windows would write it."""
    forms: set[str] = set()
    for one in (value, value.strip()):
        unix = one.replace("\r\n", "\n")
        for line_ends in (one, unix, unix.replace("\n", "\r\n")):
            forms.add(line_ends)
            forms.add(json.dumps(line_ends)[1:-1])
            forms.add(json.dumps(line_ends, ensure_ascii=False)[1:-1])
    return {form for form in forms if len(form.strip()) >= MIN_SECRET_CHARACTERS}


def _decoded(token: str) -> str:
    """Decode a string of JSON with its quotes, as far as it is one: it may be cut off or hold wrong escapes."""
    try:
        return cast("str", _lenient.decode(token))
    except ValueError:
        return _ESCAPE.sub(_unescaped, token.strip('"'))


def _unescaped(match: re.Match[str]) -> str:
    escape = match.group(1)
    return chr(int(escape[1:], 16)) if len(escape) == 5 else _SHORT_ESCAPES.get(escape, escape)
