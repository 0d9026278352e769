"""Markers between agent and manager: `[NETWORK_REQUEST: …]` from it, `[NETWORK_APPROVED: …]` and the like to it.

Looked for only in the agent's own top-level text, alone on a line, inside a fence or not. A model can repeat tool
output as its own text, so a marker is a request and never an authorisation.
"""

from __future__ import annotations

import re

from sm.core import domains

MAX_MARKERS = 20  # requests taken from one line of the agent; one more stands for the rest, and is refused
MAX_NAME = 1000  # characters of a name that are kept
MAX_SHOWN = 100  # characters of a refused name that are repeated

# Possessive, so that no line makes it go back: the time is linear in the text.
_REQUEST = re.compile(r"^[ \t]*+\[NETWORK_REQUEST:([^\r\n\]]*+)\][ \t]*+\r?$", re.MULTILINE)


def requested_domains(text: str) -> tuple[str, ...]:
    """What the markers of a text block name, in order, each once, as written; at most one over `MAX_MARKERS`."""
    found = dict.fromkeys(match.group(1).strip(" \t")[:MAX_NAME] for match in _REQUEST.finditer(text))
    return tuple(found)[: MAX_MARKERS + 1]


def approved(domain: str) -> str:
    """Tells the agent to try again."""
    return f"[NETWORK_APPROVED: {domain}]"


def denied(domain: str, reason: str = "") -> str:
    """Tells the agent to go on without."""
    return f"[NETWORK_DENIED: {domain} — {reason}]" if reason else f"[NETWORK_DENIED: {domain}]"


def refused(name: str, code: str) -> str:
    """Tells the agent why what it asked for cannot be asked for."""
    return denied(shown(name), domains.advice(code))


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
