"""Whose is an address of the firewall's table that may not be open? The table names no names."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping

from attrs import frozen

from sm.core import addresses
from sm.core.alias import AliasData
from sm.core.events import Resolved
from sm.engine.names import Names

MAX_ASKED = 200  # names of others that are resolved to explain an address

_NAME = re.compile(r"(?=.{1,253}\Z)([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{1,63}")


@frozen
class Odd:
    """An address that may not be open and that no entry of somebody else explains; without a code there is none.

    `suspects` are the names of ours that it may belong to; none, where it can as well be somebody else's.
    """

    code: str = ""
    address: str = ""
    suspects: tuple[str, ...] = ()


async def find_odd(
    names: Names,
    rows: Iterable[str],
    *,
    table: Iterable[str],
    entries: Iterable[str],
    data: AliasData,
    resolved: Iterable[Resolved] | None = None,
) -> Odd:
    """Judge `rows` of the table; only where one may not be open, others' entries are resolved to explain it.

    `resolved` is what our own names lead to, if that is known. A name is suspect when the table has no address of it:
    the firewall was told another answer than we. An entry of somebody else that the table does not show either might
    be the one just as well; then nobody is blamed. What stood there at the last look counts, too: who takes an entry out
    may not have applied that yet.
    """
    peers = await names.peers()
    odd = [row for row in rows if not row.startswith("!") and addresses.judge([row], peers)[0]]
    if not odd:
        return Odd()
    wish = data.wish()
    known = dict.fromkeys((*entries, *(data.foreign or ())))
    others = [entry for entry in known if entry not in wish and not entry.startswith("!")]
    fixed = [entry for entry in others if _span(entry) is not None]
    named = [entry for entry in others if _span(entry) is None]
    asked = [entry for entry in named if _NAME.fullmatch(entry)][:MAX_ASKED]
    answers = {one.domain: one.addresses for one in await names.resolve(asked)}
    explained = {address for found in answers.values() for address in found}
    left = [row for row in odd if row not in explained and not any(_holds(entry, row) for entry in fixed)]
    code, address = addresses.judge(left, peers)
    if not code:
        return Odd()
    ours = tuple(await names.resolve(wish) if resolved is None else resolved)
    turned = {name.domain for row in left for name in ours if addresses.canonical(row) in name.addresses}
    if turned:  # our own resolver says it, too
        return Odd(code, address, tuple(sorted(turned)))
    there = {addresses.canonical(row) for row in table}
    if any(there.isdisjoint(answers.get(entry, ())) for entry in named):
        return Odd(code, address)
    suspects = _unlike(there, ours, data)
    if not suspects and len(ours) == 1 and not _one_turned_before(data):
        suspects = (ours[0].domain,)
    return Odd(code, address, suspects)


def _unlike(there: Collection[str], ours: Iterable[Resolved], data: AliasData) -> tuple[str, ...]:
    """The names of which neither an address of now nor one of the last time is there."""
    before: Mapping[str, tuple[str, ...]] = {e.domain: e.addresses for e in data.entries.values()}
    return tuple(
        name.domain
        for name in ours
        if not any(address in there for address in (*name.addresses, *before.get(name.domain, ())))
    )


def _one_turned_before(data: AliasData) -> bool:
    """Whether the address may be one of a name that was taken out for that, and has not left the table yet."""
    reasons = (addresses.NOT_GLOBAL, addresses.IS_PEER)
    return any(grant.reason in reasons for grant in data.grants.values())


def _holds(entry: str, row: str) -> bool:
    """Whether an address, a network or a range has all of a row."""
    outer, inner = _span(entry), _span(row)
    return (
        outer is not None
        and inner is not None
        and outer[0] == inner[0]
        and (outer[1] <= inner[1] and inner[2] <= outer[2])
    )


def _span(text: str) -> tuple[int, int, int] | None:
    """IP version, first and last number of an address, a network or a range; None for a name."""
    first, dash, last = text.partition("-")
    try:
        if dash:
            low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
            return (low.version, int(low), int(high)) if low.version == high.version else None
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return network.version, int(network.network_address), int(network.broadcast_address)
