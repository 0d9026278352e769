"""Which names can be asked for. Syntax only: whether a name is a public suffix is decided at ingress, by its list.

OPNsense accepts more than it should (single labels, ranges, `!`, other aliases' names), so we judge first.
"""

from __future__ import annotations

import re

MAX_NAME = 253
MAX_LABEL = 63

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z")
_ADVICE = {
    "empty": "name one host, as in [NETWORK_REQUEST: example.com]",
    "not_a_host_name": "write a plain host name: lower-case letters, digits, hyphens and dots",
    "no_dot": "a single label is no public host name; write the full name",
    "too_long": "a host name has at most 253 characters, and 63 between dots",
    "an_address": "addresses and ranges are not opened; ask for the host's name",
    "public_suffix": "that is a whole registry, not one host; name the host",
    "too_many": "too many open requests; wait for an answer to the others",
}


def advice(code: str) -> str:
    """What to do about a refused name."""
    return _ADVICE.get(code, "it cannot be opened")


def refusal(name: str) -> str:
    """The code of what is wrong with a name, or an empty string."""
    if not name:
        return "empty"
    if len(name) > MAX_NAME:
        return "too_long"
    if ":" in name or re.fullmatch(r"[0-9.\-/]+", name) or _is_number(name.rpartition(".")[2]):
        return "an_address" if re.fullmatch(r"[0-9a-fA-Fx.:/\[\]-]+", name) else "not_a_host_name"
    labels = name.split(".")
    if any(len(label) > MAX_LABEL for label in labels):
        return "too_long"
    if not all(_LABEL.match(label) for label in labels):
        return "not_a_host_name"
    return "no_dot" if len(labels) == 1 else ""


def _is_number(label: str) -> bool:
    """A resolver reads a name as an address when its last label is a number, be it hexadecimal."""
    return label.isdigit() or re.fullmatch(r"0x[0-9a-f]*", label) is not None
