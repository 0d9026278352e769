"""One line for a person about an event or a command. Whatever came from outside is made safe for a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import attrs

from sm.core.commands import Command
from sm.core.events import Event

MAX_TEXT = 100
MAX_SUMMARY = 300

_UNSAID = {
    "session_id",
    "channel_id",
    "user_id",
    "card_id",
    "request_id",
    "command_id",
    "uuid",
    "intent",
    "placement",
}
"""Fields that say nothing to a reader: which stream it is, or who, stands elsewhere in the line."""


def printable(text: str) -> str:
    """Escape what would steer a terminal or turn the reading direction."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def excerpt(text: str, limit: int = MAX_TEXT) -> str:
    """Quote the beginning of a text on one line."""
    cut = text[:limit]
    return f"“{printable(cut)}{'…' if len(text) > limit else ''}”"


def summary(value: Event | Command) -> str:
    """Say in a few words what an event or a command holds."""
    special = _SPECIAL.get(value.KIND)
    text = special(value) if special is not None else _fields(value)
    return text if len(text) <= MAX_SUMMARY else text[:MAX_SUMMARY] + "…"


def _fields(value: object) -> str:
    """Answer the fields that differ from their defaults, as `name value`."""
    parts: list[str] = []
    for field in attrs.fields(cast("type[attrs.AttrsInstance]", type(value))):
        held: object = getattr(value, field.name)
        if field.name in _UNSAID or held in (field.default, "", (), None):
            continue
        parts.append(f"{field.name} {_value(held)}")
    return ", ".join(parts)


def _value(held: object) -> str:
    if isinstance(held, str):
        return excerpt(held) if " " in held or len(held) > MAX_TEXT or not held.isprintable() else held
    if isinstance(held, bool):
        return "yes" if held else "no"
    if isinstance(held, tuple):
        items = cast("tuple[object, ...]", held)
        shown = ", ".join(_value(item) for item in items[:5])
        return f"({shown}{', …' if len(items) > 5 else ''})"
    if attrs.has(type(held)):
        return f"[{_fields(held)}]"
    return str(held)


def _message(event: Any) -> str:
    intent = event.intent
    wanted = "" if intent.name == "text" else f" ({intent.name})"
    return f"@{printable(event.user_name)}{wanted}: {excerpt(event.text)}"


def _assigned(event: Any) -> str:
    return f"@{printable(event.user_name)}: {excerpt(event.text)}"


def _requested(event: Any) -> str:
    return (
        f"@{printable(event.user_name)} starts {printable(event.org)}/{printable(event.repo)} on {event.vm}"
    )


def _line(event: Any) -> str:
    markers = ", ".join(
        printable(verdict.domain) + (f" refused: {verdict.refused}" if verdict.refused else "")
        for verdict in event.verdicts
    )
    at = f"{event.generation}@{event.offset}"
    cut = "" if event.terminated else " (cut off)"
    return f"{at} {_said(event.line)}{cut}" + (f" asks for {markers}" if markers else "")


def _said(line: str) -> str:
    """Tell what a line of stream-json is."""
    try:
        plain: Any = json.loads(line)
    except (ValueError, RecursionError):
        return f"no JSON: {excerpt(line)}"
    if not isinstance(plain, dict):
        return f"no object: {excerpt(line)}"
    said = cast("dict[str, Any]", plain)
    name = "/".join(printable(str(said[key]))[:40] for key in ("type", "subtype") if said.get(key))
    message: Any = said.get("message")
    content: Any = cast("dict[str, Any]", message).get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return f"{name} {excerpt(content)}"
    if isinstance(content, list):
        return f"{name} {', '.join(_block(block) for block in cast('list[object]', content)[:4])}"
    result = said.get("result")
    return f"{name} {excerpt(result)}" if isinstance(result, str) else name


def _block(block: object) -> str:
    if not isinstance(block, dict):
        return "?"
    held = cast("dict[str, Any]", block)
    kind = printable(str(held.get("type", "?")))[:40]
    if isinstance(held.get("text"), str):
        return excerpt(held["text"])
    name = held.get("name")
    return f"{kind} {printable(str(name))[:40]}" if name else kind


def _say(command: Any) -> str:
    facts = ", ".join(f"{name} {_value(value)}" for name, value in command.facts if value)
    return f"{command.message}" + (f" ({facts})" if facts else "")


def _to_agent(command: Any) -> str:
    return f"{command.generation}@{getattr(command, 'expected', 0)} {_said(command.line)}"


_SPECIAL: dict[str, Callable[[Any], str]] = {
    "chat.message_received": _message,
    "chat.message_assigned": _assigned,
    "session.requested": _requested,
    "agent.line_received": _line,
    "chat.say": _say,
    "agent.append": _to_agent,
}
