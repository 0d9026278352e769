"""What the OPNsense stand-in knows: its aliases as configured, as last generated, and as loaded in the packet filter.

Three layers, as the real one has them: `setItem` changes the configuration and nothing else; `reconfigure` writes the
generated tables and has them loaded; a cron minute loads what was generated, and resolves names again after their
interval. That nothing of it is ever joined up by itself is the trap.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from attrs import define

TYPES: Mapping[str, str] = {
    "host": "Host(s)",
    "network": "Network(s)",
    "port": "Port(s)",
    "url": "URL (IPs)",
    "urltable": "URL Table (IPs)",
    "urljson": "URL Table in JSON format (IPs)",
    "geoip": "GeoIP",
    "networkgroup": "Network group",
    "mac": "MAC address",
    "asn": "BGP ASN",
    "dynipv6host": "Dynamic IPv6 Host",
    "authgroup": "OpenVPN group",
    "internal": "Internal (automatic)",
    "external": "External (advanced)",
}
INTERNAL: Mapping[str, str] = {
    "__lan_network": "LAN net",
    "__wan_network": "WAN net",
    "bogons": "bogon networks (internal)",
    "bogonsv6": "bogon networks IPv6 (internal)",
    "virusprot": "overload table for rate limiting (internal)",
    "sshlockout": "abuse lockout table (internal)",
}
SETTABLE = (
    "enabled", "name", "type", "path_expression", "proto", "interface", "counters", "updatefreq", "content",
    "password", "username", "authtype", "expire", "categories", "description",
)  # fmt: skip
MAX_ALIASES = 200
MAX_EXPANDED = 256

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,31}")
# The real pattern lets labels be of any length and of any letters (observed: a label of 64, Unicode, single labels).
_LABEL = r"[^\W_](?:[\w-]*[^\W_])?"
_HOSTNAME = re.compile(rf"(?!.*_)(?:{_LABEL}\.)*{_LABEL}")
_DIGITS = re.compile(r"[0-9.]+")


@define
class Alias:
    """One alias as configured; `fields` holds every settable value as text, as the configuration file has it."""

    uuid: str
    fields: dict[str, str]

    def __getitem__(self, key: str) -> str:
        return self.fields.get(key, "")

    @property
    def name(self) -> str:
        """Its name."""
        return self["name"]

    @property
    def entries(self) -> list[str]:
        """The lines of its content; none when it is empty."""
        return self["content"].split("\n") if self["content"] else []


def alias(uuid: str, name: str, kind: str, content: str = "", *, enabled: bool = True) -> Alias:
    """An alias with the defaults that a fresh one has."""
    fields = dict.fromkeys(SETTABLE, "")
    fields |= {"enabled": "1" if enabled else "0", "name": name, "type": kind, "content": content}
    return Alias(uuid, fields | {"counters": "1", "description": f"sandbox {name}"})


@define
class Table:
    """A table in the packet filter; `lines` are what it was made from, `resolved_at_s` by the loop's clock."""

    rows: list[str]
    lines: tuple[str, ...]
    resolved_at_s: float
    updated: str | None


def now_text() -> str:
    """A time as the appliance writes it: local wall clock with microseconds, no zone."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat()


class Store:
    """The aliases and their tables. Knows no time, no network and no lock: the server does."""

    def __init__(self, aliases: Iterable[Alias]) -> None:
        self.aliases: dict[str, Alias] = {alias.uuid: alias for alias in aliases}
        self.generated: dict[str, tuple[str, ...]] = {}
        self.tables: dict[str, Table] = {}

    def by_name(self, name: str) -> Alias | None:
        """The alias of exactly this name."""
        return next((alias for alias in self.aliases.values() if alias.name == name), None)

    def generate(self) -> None:
        """Write what the loader reads: a disabled alias becomes an empty table, a port list none at all."""
        self.generated = {
            alias.name: tuple(alias.entries) if alias["enabled"] == "1" else ()
            for alias in self.aliases.values()
            if alias["type"] != "port"
        }
        for name in set(self.tables) - {alias.name for alias in self.aliases.values()}:
            del self.tables[name]

    def save(self, uuid: str, changes: Mapping[str, str]) -> dict[str, str | list[str]]:
        """Change the given fields of an alias, or make it when there is none with this id.

        Answers the complaints by field (`alias.content`, …); with any, nothing has changed.
        """
        old = self.aliases.get(uuid)
        fields = dict(old.fields) if old else dict.fromkeys(SETTABLE, "") | {"enabled": "1"}
        fields |= {key: value for key, value in changes.items() if key in SETTABLE}
        complaints = self._complaints(uuid, fields)
        if not complaints:
            if old is None and len(self.aliases) >= MAX_ALIASES:
                return {"alias.name": f"The sandbox holds {MAX_ALIASES} aliases at most."}
            self.aliases[uuid] = Alias(uuid, fields)
        return complaints

    def _complaints(self, uuid: str, fields: Mapping[str, str]) -> dict[str, str | list[str]]:
        complaints: dict[str, str | list[str]] = {}
        other = self.by_name(fields["name"])
        if not fields["name"]:
            complaints["alias.name"] = "A value is required."
        elif not _NAME.fullmatch(fields["name"]) or fields["name"] in INTERNAL:
            complaints["alias.name"] = (
                "The name must be less than 32 characters long and may only consist of the following characters: "
                "a-z, A-Z, 0-9, _"
            )
        elif other is not None and other.uuid != uuid:
            complaints["alias.name"] = "An alias with this name already exists."
        if fields["type"] not in TYPES:
            complaints["alias.type"] = f"Option [{fields['type']}] not in list."
        if fields["content"]:
            bad = [
                text
                for entry in fields["content"].split("\n")
                if (text := self._complaint(fields["type"], entry))
            ]
            if bad:
                complaints["alias.content"] = bad[0] if len(bad) == 1 else bad
        return complaints

    def _complaint(self, kind: str, entry: str) -> str | None:
        if self.by_name(entry) is not None or entry in INTERNAL:
            return None
        if kind == "host" and not is_host(entry):
            return f'Entry "{entry}" is not a valid hostname, IP address or range.'
        if kind == "network" and not is_network(entry):
            return f'Entry "{entry}" is not a network.'
        if kind == "port" and not re.fullmatch(r"[0-9]{1,5}([:-][0-9]{1,5})?", entry):
            return f'Entry "{entry}" is not a valid port number.'
        return None


def is_host(entry: str) -> bool:
    """Whether the appliance takes this as an entry of a host alias: much more than a domain name is."""
    address = entry.removeprefix("!")
    if is_address(address) or address_range(address) is not None:
        return True
    return _HOSTNAME.fullmatch(entry) is not None and _DIGITS.fullmatch(entry) is None


def is_address(text: str) -> bool:
    """Whether this is one IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_network(text: str) -> bool:
    """Whether this is one address or network, negated or not."""
    try:
        ipaddress.ip_network(text.removeprefix("!"), strict=False)
    except ValueError:
        return False
    return True


def address_range(entry: str) -> list[str] | None:
    """`10.0.0.1-10.0.0.9` as the networks that a table holds; None when it is no range."""
    first, dash, last = entry.partition("-")
    if not dash:
        return None
    try:
        low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
        if isinstance(low, ipaddress.IPv4Address) and isinstance(high, ipaddress.IPv4Address):
            return [_row(network) for network in ipaddress.summarize_address_range(low, high)]
        if isinstance(low, ipaddress.IPv6Address) and isinstance(high, ipaddress.IPv6Address):
            return [_row(network) for network in ipaddress.summarize_address_range(low, high)]
    except ValueError:
        pass
    return None


def _row(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def ordered(rows: Iterable[str]) -> list[str]:
    """Rows without duplicates in the order of `pfctl`: IPv4 before IPv6, by number."""

    def key(row: str) -> tuple[int, int, str]:
        network = ipaddress.ip_network(row.removeprefix("!"), strict=False)
        return network.version, int(network.network_address), row

    return sorted(set(rows), key=key)


def expand(rows: Iterable[str]) -> frozenset[str]:
    """The single addresses that a table lets through; of a large network only the first few hundred."""
    opened: set[str] = set()
    shut: set[str] = set()
    for row in rows:
        network = ipaddress.ip_network(row.removeprefix("!"), strict=False)
        few = [str(network[index]) for index in range(min(network.num_addresses, MAX_EXPANDED))]
        (shut if row.startswith("!") else opened).update(few)
    return frozenset(opened - shut)
