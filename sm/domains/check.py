"""What the service makes of a name that somebody asks for: one `Checked` each, as a line or as JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from attrs import evolve, field, frozen

from sm.core import addresses, domains, markers
from sm.core.events import Verdict
from sm.engine import domain_sets
from sm.engine.judging import judge
from sm.resolver import Resolution
from sm.settings import load_some

PEERS = ("SM_MATTERMOST_URL", "SM_VM_HOST", "SM_OPNSENSE_URL")


class Resolves(Protocol):
    """Whoever knows a name's addresses."""

    async def resolve(self, name: str) -> Resolution:
        """The addresses as of now."""
        ...


@frozen
class Checked:
    """A name as written and the verdict on it. `members`: the hosts of a set, each with its own."""

    name: str
    verdict: Verdict
    members: tuple[Verdict, ...] = ()
    found: Mapping[str, Resolution] = field(factory=dict[str, Resolution])  # by host, where it was asked

    @property
    def said(self) -> Literal["accepted", "set", "refused"]:
        """The verdict in a word."""
        if self.verdict.refused:
            return "refused"
        return "set" if self.members else "accepted"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What would be opened, if a person said so."""
        if self.verdict.refused:
            return ()
        return tuple(member.domain for member in self.members) or (self.verdict.domain,)

    @property
    def reason(self) -> str:
        """Why it is refused, or what to know of it; may be empty."""
        verdict = self.verdict
        if not verdict.refused:
            return domains.caution(verdict.warning) if verdict.warning else ""
        if not self.members:
            return domains.advice(verdict.refused, verdict.hint)
        return f"its host {markers.shown(verdict.domain)}: {domains.advice(verdict.refused, verdict.hint)}"

    def line(self) -> str:
        """For a person: on one line, whatever the name holds."""
        name, host = markers.shown(self.name), self.verdict.domain
        if self.said == "refused":
            return (
                f"refused   {name or '(nothing)'}: {self.reason} ({self.verdict.refused}){self._addresses()}"
            )
        if self.said == "set":
            return f"set       {name}: {', '.join(self.hosts)}{self._addresses()}"
        became = "" if name == host else f" → {host}"
        shown = f" ({self.verdict.shown})" if self.verdict.shown not in ("", name) else ""
        reason = f": {self.reason} ({self.verdict.warning})" if self.reason else ""
        return f"accepted  {name}{became}{shown}{reason}{self._addresses()}"

    def json(self) -> dict[str, Any]:
        """For a program. `resolved` is there only when it was asked for."""
        resolved = {
            host: {"status": answer.status, "addresses": list(answer.addresses)}
            for host, answer in self.found.items()
        }
        return {
            "name": self.name,
            "verdict": self.said,
            "domain": self.verdict.domain if self.said == "accepted" else None,
            "hosts": list(self.hosts),
            "code": self.verdict.refused or None,
            "reason": self.reason or None,
            "hint": self.verdict.hint or None,
            "warning": self.verdict.warning or None,
            "shown": self.verdict.shown or None,
            **({"resolved": resolved} if resolved else {}),
        }

    def _addresses(self) -> str:
        words = {"none": "no address", "unknown": "not to be found out"}
        each = [
            (f"{host} " if self.members else "") + (words.get(answer.status) or " ".join(answer.addresses))
            for host, answer in self.found.items()
        ]
        return f" [{'; '.join(each)}]" if each else ""


def check(name: str, sets: Mapping[str, Collection[str]]) -> Checked:
    """A name or the name of a set. A set is refused with the first of its hosts that is."""
    if name.lower() not in sets:
        return Checked(name, judge(name))
    members = tuple(judge(host) for host in sets[name.lower()])
    bad = next((member for member in members if member.refused), None)
    return Checked(name, bad or Verdict(name.lower()), members)


async def resolved(checked: Checked, resolver: Resolves, peers: Collection[str]) -> Checked:
    """With the addresses of its hosts as of now; refused when one of them may not be opened."""
    found = {host: await resolver.resolve(host) for host in checked.hosts}
    refused = checked.verdict
    for host, answer in found.items():
        code, _ = addresses.judge(answer.addresses, peers)
        if code:
            refused = Verdict(host, code)
            break
    return evolve(checked, verdict=refused, found=found)


async def peers_of(environment: Mapping[str, str], resolver: Resolves) -> tuple[str, ...]:
    """The addresses of those peers that the settings name. Raises `SettingsError`."""
    named = load_some(environment, *(name for name in PEERS if environment.get(name, "").strip()))
    found: list[str] = []
    for value in named.values():
        host = urlsplit(value).hostname or "" if isinstance(value, str) else value.host
        found += (await resolver.resolve(host)).addresses
    return tuple(found)


def sets_of(environment: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The named sets in force; all other settings may be missing. Raises `SettingsError`."""
    return domain_sets.merged(load_some(environment, "SM_DOMAIN_SETS")["SM_DOMAIN_SETS"])
