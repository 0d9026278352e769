"""One line for a person about an event or a command. Whatever came from outside is made safe for a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, cast

import attrs

from sm.core.commands import Command
from sm.core.events import Event
from sm.replay.times import utc

MAX_TEXT = 100
MAX_SUMMARY = 300
MAX_NAMED = 6

_UNSAID = frozenset(
    {
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
)
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


def _fields(value: object, unsaid: AbstractSet[str] = _UNSAID) -> str:
    """Answer the fields that differ from their defaults, as `name value`."""
    parts: list[str] = []
    for field in attrs.fields(cast("type[attrs.AttrsInstance]", type(value))):
        held: object = getattr(value, field.name)
        if field.name in unsaid or held in (field.default, "", (), None):
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
        printable(verdict.domain)
        + (f" refused: {verdict.refused}" if verdict.refused else "")
        + (f" {excerpt(verdict.reason)}" if verdict.reason else "")
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


def _say_privately(command: Any) -> str:
    return f"to {printable(command.user_id)}: {_say(command)}"


def _to_agent(command: Any) -> str:
    return f"{command.generation}@{getattr(command, 'expected', 0)} {_said(command.line)}"


def _timer(command: Any) -> str:
    return f"{printable(command.name)} at {utc(command.due_ms)}"


def _try(command: Any) -> str:
    return f"{printable(command.domain)} until {utc(command.due_ms)}"


# --- requests, cards, decisions, the alias ------------------------------------------------------------------------------


def _asked(event: Any) -> str:
    asks = [printable(ask.domain) + (f" {excerpt(ask.reason)}" if ask.reason else "") for ask in event.asks]
    at = f", at {excerpt(event.doing)}" if event.doing else ""
    session = f"session {printable(event.session_id)[:8]} of @{printable(event.user_name)}"
    return f"{session} asks for {_some(asks)}{at}"


def _decided(event: Any) -> str:
    """Who, via what, what, about which card or names."""
    names = [printable(name.domain) + (" (refused)" if name.refused else "") for name in event.names]
    about = [event.request_id, f"on {event.card_id}" if event.card_id else "", _some([*names, *event.sets])]
    said = " ".join(printable(word) for word in (event.action, event.scope, *about) if word)
    reason = f" {excerpt(event.reason)}" if event.reason else ""
    outsider = "" if event.is_member else " (no member of the channel)"
    return f"@{printable(event.user_name)}{outsider} via {event.via}: {said}{reason}"


def _resolved(name: Any) -> str:
    to = name.status if not name.addresses else " ".join(name.addresses[:3])
    more = " …" if len(name.addresses) > 3 else ""
    bad = f" ({name.refused}: {name.address})" if name.refused else ""
    return printable(f"{name.domain} → {to}{more}{bad}")


def _card_resolved(event: Any) -> str:
    return f"{printable(event.card_id)}: {_some([_resolved(name) for name in event.names])}"


def _card(value: Any) -> str:
    """A card's name, and what the event or the command says beside it."""
    copy = " (copy)" if value.copy else ""
    rest = _fields(value, unsaid={*_UNSAID, "copy", "view"})
    view = getattr(value, "view", None)
    rows = _some([printable(f"{row.domain} {row.state}") for row in view.rows]) if view is not None else ""
    said = ", ".join(part for part in (rows, rest) if part)
    return f"{printable(value.card_id)}{copy}{': ' if said else ''}{said}"


def _resolve(command: Any) -> str:
    return f"{printable(command.card_id)}: {_some([printable(domain) for domain in command.domains])}"


def _entries(event: Any) -> str:
    count = len(event.entries)
    if not count:
        return "no entries"
    return (
        f"{count} {'entry' if count == 1 else 'entries'}: {_some([printable(one) for one in event.entries])}"
    )


def _written(event: Any) -> str:
    changed = "" if event.changed else "nothing to change, "
    good = [name for name in event.names if name.domain in event.entries]
    bad = [name for name in event.names if name.domain not in event.entries]
    into = f"in {_some([_resolved(name) for name in good])}, " if good else ""
    into += f"left out {_some([_resolved(name) for name in bad])}, " if bad else ""
    out = f"out {_some([printable(name) for name in event.remove])}, " if event.remove else ""
    return f"{changed}{into}{out}then {_entries(event)}"


def _observed(event: Any) -> str:
    odd = f", in the table {printable(event.address)} ({event.refused})" if event.refused else ""
    turned = [_resolved(name) for name in event.names if name.refused]
    names = f", {_some(turned)}" if turned else ""
    return f"{_entries(event)}{names}{odd}"


def _some(parts: Sequence[str]) -> str:
    return ", ".join(parts[:MAX_NAMED]) + (
        f" and {len(parts) - MAX_NAMED} more" if len(parts) > MAX_NAMED else ""
    )


_SPECIAL: dict[str, Callable[[Any], str]] = {
    "chat.message_received": _message,
    "chat.message_assigned": _assigned,
    "session.requested": _requested,
    "agent.line_received": _line,
    "chat.say": _say,
    "chat.say_privately": _say_privately,
    "agent.append": _to_agent,
    "timer.set": _timer,
    "network.try": _try,
    "network.requested": _asked,
    "network.decided": _decided,
    "card.resolve": _resolve,
    "card.resolved": _card_resolved,
    "card.post": _card,
    "card.posted": _card,
    "card.update": _card,
    "card.updated": _card,
    "card.failed": _card,
    "alias.read": _entries,
    "alias.written": _written,
    "alias.observed": _observed,
}
