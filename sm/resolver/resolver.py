"""One question about one name: which addresses does it have, does it have none, or can that not be told?

    resolver = Resolver("192.0.2.53")                  # or Resolver() for this machine's own
    await resolver.resolve("pypi.org")                 # Resolution(addresses=("151.101.0.223", …), status="found")

Names are taken as absolute ones: no search list makes `pypi.org` into `pypi.org.cluster.local`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Iterable
from typing import Any, Final, Literal, cast

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
from attrs import frozen

from sm.core.addresses import canonical, is_address, is_global
from sm.resolver import hosts

TIMEOUT_S = 5.0
MAX_ADDRESSES = 64
PORT = 53
# A resolver that does not follow aliases itself is followed this far; real chains have two or three.
MAX_ALIASES = 8
# A question to this machine's resolver holds a thread for as long as that takes, even when nobody waits any more.
MAX_SYSTEM_QUESTIONS = 8

Status = Literal["found", "none", "unknown"]

_SERVER = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[A-Za-z0-9_.-]{1,253}))(?::(?P<port>\d{1,5}))?"
)
# What getaddrinfo says when the answer is a definite no; all else (EAI_AGAIN: no answer, SERVFAIL) is unknown.
_NONE: Final = frozenset(
    code for code in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None), getattr(socket, "EAI_ADDRFAMILY", None))
    if code is not None
)  # fmt: skip


@frozen
class Resolution:
    """What a resolver had for a name. `none`: it says that there are no addresses; `unknown`: it did not tell.

    `addresses` are canonical, sorted, at most 64. Where there are more, those that are not public are kept first and
    the status is `unknown`: a name must not hide an address behind others.
    """

    addresses: tuple[str, ...]
    status: Status


class Resolver:
    """Asks one DNS server, or this machine's resolver (its hosts file included)."""

    def __init__(self, server: str | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        """`server`: `host`, `host:port` or `[v6]:port`; None is this machine's own. Raises `ValueError` for another."""
        self._server = None if server is None else _server(server)
        self._timeout_s = timeout_s
        self._system: dict[str, asyncio.Task[Resolution]] = {}

    async def resolve(self, name: str) -> Resolution:
        """A and AAAA of a name, aliases followed, within `timeout_s` seconds. Raises nothing of its own.

        An address is found to be itself.
        """
        if is_address(name):
            return Resolution((canonical(name),), "found")
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                if self._server is None:
                    return await self._ask_system(name)
                resolver = await self._resolver(*self._server)
            return await _ask(resolver, name, deadline)
        except (TimeoutError, OSError, UnicodeError):
            return _UNKNOWN

    # A DNS server

    async def _resolver(self, host: str, port: int) -> dns.asyncresolver.Resolver:
        """Questions to our one server, which may be given by a name of its own."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        resolver.port = port
        resolver.lifetime = self._timeout_s
        return resolver

    # This machine's own

    async def _ask_system(self, name: str) -> Resolution:
        """One question a name is under way at a time, and few in all: one that hangs must not gather threads."""
        if listed := await asyncio.to_thread(hosts.addresses_of, name):
            return _resolution(listed, is_known=True)
        task = self._system.get(name)
        if task is None:
            if len(self._system) >= MAX_SYSTEM_QUESTIONS:
                return _UNKNOWN
            task = self._system[name] = asyncio.create_task(_system(f"{name.removesuffix('.')}."))
            task.add_done_callback(lambda _: self._system.pop(name, None))
        return await asyncio.shield(task)


_UNKNOWN: Final = Resolution((), "unknown")


async def where(host: str, *, timeout_s: float = TIMEOUT_S) -> Resolution:
    """The addresses at which this machine would connect to a peer: search list and hosts file included, as a
    `mattermost` of the same cluster needs them. Raises nothing of its own.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _system(host)
    except TimeoutError:
        return _UNKNOWN


async def _ask(resolver: dns.asyncresolver.Resolver, name: str, deadline: float) -> Resolution:
    """Both families at once, each on its own: one that is silent does not cost what the other says."""
    try:
        absolute = dns.name.from_text(name.encode("ascii"))
    except (dns.exception.DNSException, UnicodeError):
        return Resolution((), "none")
    both = await asyncio.gather(
        *(_family(resolver, absolute, kind, deadline) for kind in (dns.rdatatype.A, dns.rdatatype.AAAA))
    )
    return _resolution(
        [address for addresses in both for address in addresses or ()], is_known=None not in both
    )


async def _family(
    resolver: dns.asyncresolver.Resolver, name: dns.name.Name, kind: dns.rdatatype.RdataType, deadline: float
) -> list[str] | None:
    """The addresses of one kind; None when the server did not tell before the loop's time `deadline`."""
    for _ in range(MAX_ALIASES):
        try:
            async with asyncio.timeout_at(deadline):
                answer = await resolver.resolve(name, kind, search=False, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return []
        except (dns.exception.DNSException, OSError, EOFError, ValueError):
            return None
        if answer.rrset is not None:
            return [str(rdata.address) for rdata in cast("Iterable[Any]", answer.rrset)]
        if answer.canonical_name == name:
            return []
        name = answer.canonical_name
    return None


async def _system(name: str) -> Resolution:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return Resolution((), "none") if error.errno in _NONE else _UNKNOWN
    except UnicodeError:
        return Resolution((), "none")
    except OSError:
        return _UNKNOWN
    return _resolution([str(entry[4][0]) for entry in found], is_known=True)


def _resolution(addresses: list[str] | tuple[str, ...], *, is_known: bool) -> Resolution:
    found = sorted({canonical(address) for address in addresses})
    if len(found) > MAX_ADDRESSES:
        kept = sorted(found, key=is_global)[:MAX_ADDRESSES]
        return Resolution(tuple(sorted(kept)), "unknown")
    if found:
        return Resolution(tuple(found), "found")
    return Resolution((), "none") if is_known else _UNKNOWN


def _server(text: str) -> tuple[str, int]:
    match = _SERVER.fullmatch(text)
    if match is not None:
        port = int(match["port"] or PORT)
        host = match["v6"] or match["host"]
        with contextlib.suppress(OSError):
            if match["v6"]:
                socket.inet_pton(socket.AF_INET6, host)
            if 0 < port < 65536:
                return host, port
    raise ValueError("a DNS server is written host, host:port or [v6]:port")
