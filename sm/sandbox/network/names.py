"""The sandbox's own DNS: which name has which addresses, for the firewall, the gate and the container alike.

The service opens public addresses only, so those of the documentation ranges would be refused. These are public by the
registries, and nobody's web server: 192.52.193.0/24 is for AMT relays (RFC 7450), 192.175.48.0/24 and 2620:4f:8000::/48
are for AS112 name servers (RFC 7534). Nothing is sent there: what goes to them stays within the gate.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, get_args

Answer = Literal["ok", "nxdomain", "servfail", "hang"]

MAX_NAMES = 1000

EXAMPLE_NAMES: Mapping[str, tuple[str, ...]] = {
    "api.anthropic.com": ("192.52.193.10", "2620:4f:8000::10"),
    "pypi.org": ("192.52.193.20", "192.52.193.21"),
    "files.pythonhosted.org": ("192.52.193.30",),
    "github.com": ("192.52.193.40",),
    "api.github.com": ("192.52.193.41",),
    # One address for three names, as a content network has it: opening one opens all.
    "registry.npmjs.org": ("192.52.193.50",),
    "www.npmjs.com": ("192.52.193.50",),
    "cdn.example.com": ("192.52.193.50",),
    "crates.io": ("192.52.193.60",),
    "static.crates.io": ("192.52.193.61",),
    "example.com": ("192.175.48.10",),
    "www.example.com": ("192.175.48.10",),
    "example.org": ("192.175.48.11",),
    "cafe.de": ("192.175.48.12",),
    "xn--mnchen-3ya.example": ("192.175.48.77",),
}


class BadNameError(ValueError):
    """A name or address that the sandbox's DNS cannot hold; the text is a sentence."""


class Names:
    """Names and their addresses, changeable while everything runs. Lookups ignore case."""

    def __init__(self, names: Mapping[str, Iterable[str]] = EXAMPLE_NAMES) -> None:
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._answers: dict[str, Answer] = {}
        self._ever: dict[str, set[str]] = {}
        self._listeners: list[Callable[[], None]] = []
        self.outage = False
        for name, addresses in names.items():
            self.set(name, addresses)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Have `listener` called after each change."""
        self._listeners.append(listener)

    def set(self, name: str, addresses: Iterable[str], answer: Answer = "ok") -> None:
        """Give a name its addresses and how it is answered; no addresses and "ok" take it away.

        Raises `BadNameError` for what is no address or no answer.
        """
        key = name.lower()
        if not key or len(key) > 253 or any(char.isspace() for char in key):
            raise BadNameError(f"{name[:60]!r} is no host name.")
        if key not in self._addresses and len(self._addresses) >= MAX_NAMES:
            raise BadNameError(f"{MAX_NAMES} names are held already.")
        if answer not in get_args(Answer):
            raise BadNameError(f"{answer!r} is no answer: give one of {', '.join(get_args(Answer))}.")
        try:
            wanted = tuple(str(ipaddress.ip_address(address)) for address in addresses)
        except ValueError as error:
            raise BadNameError(f"{error}.") from error
        self._answers[key] = answer
        self._addresses[key] = wanted
        self._ever.setdefault(key, set()).update(wanted)
        if not wanted and answer == "ok":
            del self._addresses[key], self._answers[key]
        for listener in self._listeners:
            listener()

    def answer(self, name: str) -> Answer:
        """How a question for this name is answered: an unknown one does not exist, in an outage nothing answers."""
        if self.outage:
            return "servfail"
        return self._answers.get(name.lower(), "nxdomain")

    def lookup(self, name: str) -> tuple[str, ...]:
        """The addresses that the name's answer holds now; empty when it has none."""
        return self._addresses[name.lower()] if self.answer(name) == "ok" else ()

    def hosted(self, name: str) -> frozenset[str]:
        """Every address the name has had since the start: servers outlive the change of a record."""
        return frozenset(self._ever.get(name.lower(), ()))

    def __contains__(self, name: str) -> bool:
        """Whether the name is held, be its answer a failure."""
        return name.lower() in self._answers

    def hosts(self, at: str = "") -> str:
        """The content of an `/etc/hosts` with the present IPv4 addresses of every name that is answered.

        `at` gives them all one address instead.
        """
        lines = ["127.0.0.1 localhost"]
        for name in sorted(self._addresses):
            found = [address for address in self.lookup(name) if ":" not in address]
            lines += [f"{address} {name}" for address in ([at] if at and found else found)]
        return "\n".join(lines) + "\n"

    def table(self) -> dict[str, object]:
        """Everything held, for whoever looks from outside."""
        return {
            name: {"addresses": list(self._addresses[name]), "answer": self._answers[name]}
            for name in sorted(self._addresses)
        }
