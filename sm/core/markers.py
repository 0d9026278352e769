"""Markers between agent and manager: `[NETWORK_REQUEST: …]` from it, `[NETWORK_APPROVED: …]` and the like to it.

Looked for only in the agent's own top-level text, alone on a line, inside a fence or not. A model can repeat tool
output as its own text, so a marker is a request and never an authorisation.
"""

from __future__ import annotations

import re

from sm.core import domains

MAX_MARKERS = 20  # requests taken from one text block; the rest is refused
MAX_SHOWN = 100  # characters of a refused name that are repeated

_REQUEST = re.compile(r"^[ \t]*\[NETWORK_REQUEST:[ \t]*([^\r\n\]]{0,1000}?)[ \t]*\][ \t]*\r?$", re.MULTILINE)


def requested_domains(text: str) -> tuple[str, ...]:
    """What the markers of a text block name, in order, each once, as written."""
    found = dict.fromkeys(match.group(1) for match in _REQUEST.finditer(text))
    return tuple(found)[:MAX_MARKERS]


def approved(domain: str) -> str:
    """Tells the agent to try again."""
    return f"[NETWORK_APPROVED: {domain}]"


def denied(domain: str, reason: str = "") -> str:
    """Tells the agent to go on without."""
    return f"[NETWORK_DENIED: {domain} — {reason}]" if reason else f"[NETWORK_DENIED: {domain}]"


def refused(name: str, code: str) -> str:
    """Tells the agent why what it asked for cannot be asked for."""
    return denied(shown(name), domains.advice(code))


def shown(name: str) -> str:
    """A name as it may be repeated: bounded, on one line, without what would end a marker or a code span."""
    clean = re.sub(r"[^\x21-\x7e\u00a1-\uffff]|[\[\]`]", "?", name)
    return clean if len(clean) <= MAX_SHOWN else clean[: MAX_SHOWN - 1] + "…"
