"""Which addresses may be opened: public ones that are nobody's of ours. Pure.

The tables are those of the IANA special-purpose address registries (2025), written out: what Python's `ipaddress`
takes for global has changed between its versions, and one address must not get two verdicts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

NOT_GLOBAL = "not_global"
IS_PEER = "is_peer"

_NOT_GLOBAL_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # the former 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# Nothing else of IPv6 has been given out as global unicast; this leaves out ULA, link-local, multicast and the rest.
_GLOBAL_6 = IPv6Network("2000::/3")
_NOT_GLOBAL_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
_6TO4 = IPv6Network("2002::/16")
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = IPv6Network("::/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
# An interface identifier of ISATAP: the address of the tunnel's end follows (RFC 5214).
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
_32_BITS = 0xFFFFFFFF


def canonical(address: str) -> str:
    """The one spelling of an address, without a zone; text that is none (a network, `!`-negation) stays as it is."""
    found = _parsed(address)
    return address if found is None else str(found)


def is_address(text: str) -> bool:
    """Whether this is one address, in a notation that leaves no doubt."""
    return _parsed(text) is not None


def embedded(address: str) -> tuple[str, ...]:
    """The IPv4 addresses that an IPv6 address leads to: mapped, translated (NAT64) or tunnelled ones."""
    found = _parsed(address)
    return tuple(str(inner) for inner in _inner(found)) if isinstance(found, IPv6Address) else ()


def is_global(address: str) -> bool:
    """Whether this is one public unicast address, and all that it embeds are. Text that is no address is not."""
    found = _parsed(address)
    return found is not None and _is_global(found)


def judge(addresses: Iterable[str], peers: Collection[str] = ()) -> tuple[str, str]:
    """The first address that may not be opened, as (code, address), or two empty texts.

    `is_peer`: it is one of `peers` (addresses), or embeds one; said before `not_global`: it is not public.
    """
    ours = {canonical(peer) for peer in peers}
    for address in addresses:
        spelled = canonical(address)
        if spelled in ours or not ours.isdisjoint(embedded(spelled)):
            return IS_PEER, spelled
        if not is_global(spelled):
            return NOT_GLOBAL, spelled
    return "", ""


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address.partition("%")[0])
    except ValueError:
        return None


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_GLOBAL_4)
    if address not in _NAT64 and (
        address not in _GLOBAL_6 or any(address in network for network in _NOT_GLOBAL_6)
    ):
        return False
    return all(_is_global(inner) for inner in _inner(address))


def _inner(address: IPv6Address) -> list[IPv4Address]:
    number = int(address)
    found: list[int] = []
    if address.ipv4_mapped is not None or any(
        address in network for network in (_NAT64, _NAT64_LOCAL, _COMPATIBLE, _TRANSLATED)
    ):
        found.append(number & _32_BITS)
    if address in _6TO4:
        found.append(number >> 80 & _32_BITS)
    if address.teredo is not None:
        found += [int(end) for end in address.teredo]
    if number >> 32 & _32_BITS in _ISATAP:
        found.append(number & _32_BITS)
    return [IPv4Address(inner) for inner in found]
