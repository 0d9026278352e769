"""Pieces of what we say: somebody else's words, bounded and fenced in, and counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

MAX_DETAIL = 600  # characters of somebody else's words in a message of ours
MAX_LINE = 200  # … where they stand within a line

Facts = Mapping[str, str]


def detail(text: str) -> str:
    """The end of somebody else's words, which cannot close a fence."""
    short = text if len(text) <= MAX_DETAIL else "…" + text[-MAX_DETAIL:]
    return short.replace("```", "'''").strip()


def fenced(text: str) -> str:
    """Somebody else's words in a fence on lines of their own; nothing for none."""
    return f"\n```text\n{detail(text)}\n```" if text.strip() else ""


def line(text: str, limit: int = MAX_LINE) -> str:
    """On one line, bounded."""
    short = " ".join(text.split())
    return short if len(short) <= limit else short[: limit - 1] + "…"


def code(text: str, limit: int = MAX_LINE) -> str:
    """Somebody else's words as a code span, out of which nothing leads."""
    shown = line(text, limit).replace("`", "'")
    return f"`{shown or ' '}`"


def counted(count: int, one: str, several: str) -> str:
    """A number with its noun."""
    return f"{count} {one if count == 1 else several}"


def listed(names: Iterable[str], limit: int) -> str:
    """Names of ours as code spans; those over the limit are counted."""
    every = list(names)
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(f"`{name}`" for name in every[:limit]) + more


def undelivered(facts: Facts) -> str:
    """How many messages the agent never got, on a line of its own; nothing for none."""
    count = int(facts.get("waiting", "0"))
    return f"\n{counted(count, 'message was', 'messages were')} not delivered." if count else ""
