"""Markers between agent and manager: `[NETWORK_REQUEST: …]` from it, `[NETWORK_APPROVED: …]` and the like to it.

Looked for only in the agent's own top-level text, alone on a line, inside a fence or not. A model can repeat tool
output as its own text, so a marker is a request and never an authorisation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from sm.core import domains

NOT_YET = " — not reachable yet, try again in a minute"
MAX_MARKERS = 20  # names taken from one line of the agent; one more stands for the rest, and is refused
MAX_NAME = domains.MAX_WRITTEN  # characters of a name that are kept
MAX_SHOWN = 100  # characters of a refused name that are repeated
MAX_REASON = 200  # characters of the agent's reason
MAX_DENIAL = 500  # characters of a reason that the agent hears

# Possessive, so that no line makes it go back: the time is linear in the text.
_REQUEST = re.compile(r"^[ \t]*+\[NETWORK_REQUEST:([^\r\n]*+)\r?$", re.MULTILINE)
_CLOSED = re.compile(
    r"(?:[^\[\]]++|\[[^\[\]]*+\])*+"
)  # each bracket that ends was begun: a masked word, a link
_BEFORE_REASON = re.compile(
    r"(?<![^ \t])(?:[\u2014\u2013]|--?)(?![^ \t])"
)  # a dash that stands alone; no host has one
_NAME = re.compile(r"[^ \t\u00a0,]+")


@frozen
class Asked:
    """A name that a marker asks for, as written, and what for, in the agent's own words."""

    name: str
    reason: str = ""


def requests(text: str) -> tuple[Asked, ...]:
    """What the markers of a text block ask for, in order, each name once; at most one over `MAX_MARKERS`.

    A marker that names nothing asks for an empty name. The first reason that is given for a name counts.
    """
    found: dict[str, str] = {}
    for match in _REQUEST.finditer(text):
        content, end, after = match.group(1).rpartition("]")
        if not end or after.strip(" \t") or ("]" in content and not _CLOSED.fullmatch(content)):
            continue
        dash = _BEFORE_REASON.search(content)
        reason = cleaned(content[dash.end() :]) if dash else ""
        for name in _names(content[: dash.start()] if dash else content):
            if name in found or len(found) <= MAX_MARKERS:
                found[name] = found.get(name) or reason
    return tuple(Asked(name, reason) for name, reason in found.items())


def _names(listed: str) -> Iterator[str]:
    """Names apart, by commas or blanks; a list without any is an empty name."""
    name = None
    for name in _NAME.finditer(listed):
        yield name.group()[:MAX_NAME]
    if name is None:
        yield ""


def approved(domain: str, reachable: bool = True) -> str:
    """Tells the agent to try again."""
    return f"[NETWORK_APPROVED: {domain}{'' if reachable else NOT_YET}]"


def denied(domain: str, reason: str = "") -> str:
    """Tells the agent to go on without, and why; whatever the reason holds, it stays one marker."""
    why = cleaned(reason, MAX_DENIAL)
    return f"[NETWORK_DENIED: {domain} — {why}]" if why else f"[NETWORK_DENIED: {domain}]"


def refused(name: str, code: str, hint: str = "") -> str:
    """Tells the agent why what it asked for cannot be asked for, and what it perhaps meant."""
    return denied(shown(name), domains.advice(code, hint))


# What is no letter, digit or sign of its own: blanks, controls, what turns the direction of a line or is not
# seen, surrogates, private and unassigned planes; and what would end a marker or a code span.
_UNFIT = re.compile(
    r"[^\x21-\x7e\u00a1-\u1fff\u2070-\u2fff\u3001-\ud7ff\uf900-\ufdff\ufe10-\ufefe\uff01-\uffdc]"
    r"|[\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u3164\[\]`]"
)


def shown(name: str) -> str:
    """A name as it may be repeated: bounded, on one line, without what would end a marker or a code span."""
    clean = _UNFIT.sub("?", name)
    return clean if len(clean) <= MAX_SHOWN else clean[: MAX_SHOWN - 1] + "…"


# Beside what is unfit in a name: blanks are one each, and there are dashes, quotation marks and the like.
_UNFIT_IN_WORDS = re.compile(
    r"[^\x20-\x7e\u00a1-\u1fff\u2010-\u2027\u2030-\u205e\u2070-\u2fff\u3001-\ud7ff\uf900-\ufdff\ufe10-\ufefe\uff01-\uffdc"
    r"\U0001f300-\U0001faff]|[\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u3164]"
)
_ENDS_A_MARKER = str.maketrans("[]`", "()'")


def cleaned(words: str, limit: int = MAX_REASON) -> str:
    """Somebody's words as they may be repeated: on one line, bounded, without what would end a marker or a code span."""
    head = " ".join(words[: 4 * limit].split())
    clean = _UNFIT_IN_WORDS.sub("?", head).translate(_ENDS_A_MARKER)
    return clean if len(clean) <= limit else clean[: limit - 1].rstrip() + "…"
