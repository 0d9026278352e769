"""Names, as ingress judges them with a public suffix list of two, and what they lead to."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from sm.core import domains, markers
from sm.core import events as e
from sm.core.stream_json import read_line

SUFFIXES = {"co.uk", "github.io"}
PYTHON = e.DomainSet("python", ("pypi.org", "files.pythonhosted.org"))


def verdicts(text: str) -> tuple[e.Verdict, ...]:
    """What ingress makes of a line's markers, with a public suffix list of two."""
    found: dict[str, e.Verdict] = {}
    for part, block in enumerate(read_line(text).texts):
        for asked in markers.requests(block):
            found.setdefault(asked.name, evolve(judge(asked.name), reason=asked.reason, part=part))
    taken = list(found.values())
    if len(taken) > markers.MAX_MARKERS:
        last = taken[markers.MAX_MARKERS]
        taken = [*taken[: markers.MAX_MARKERS], e.Verdict(last.domain, "too_many", part=last.part)]
    return tuple(taken)


def judge(name: str) -> e.Verdict:
    return e.Verdict(name, domains.refusal(name) or ("public_suffix" if name in SUFFIXES else ""))


# --- what names lead to ---------------------------------------------------------------------------------------------------


def address_of(domain: str) -> str:
    """An address that is this name's alone."""
    return f"203.0.113.{sum(map(ord, domain)) % 250}"


def found(domain: str, *addresses: str) -> e.Resolved:
    return e.Resolved(domain, "found", addresses or (address_of(domain),))


def nowhere(domain: str, status: str = "none") -> e.Resolved:
    """It has no address, or nobody answers (`unknown`)."""
    return e.Resolved(domain, status)


def turned(domain: str, address: str = "10.0.0.5", code: str = "not_global") -> e.Resolved:
    """It leads where nothing may be opened."""
    return e.Resolved(domain, "found", (address,), code, address)


def resolve(domains: Iterable[str], known: Iterable[e.Resolved] = ()) -> tuple[e.Resolved, ...]:
    answers = {name.domain: name for name in known}
    return tuple(answers.get(domain) or found(domain) for domain in domains)
