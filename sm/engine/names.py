"""What a name leads to, judged: an address that is not public, or is one of this system's own, is not opened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from sm.core import addresses
from sm.core.events import Resolved
from sm.engine.clock import Clock
from sm.resolver import Resolver, where

PEERS_FOR_MS = 60_000  # how long the peers' own addresses are taken for known
AT_ONCE = 16


class Names:
    """Resolves and judges. `peers` are the hosts of Mattermost, VM and OPNsense, by name or address."""

    def __init__(self, resolver: Resolver, peers: Iterable[str], clock: Clock) -> None:
        self._ask = resolver.resolve
        self._peers = tuple(dict.fromkeys(peers))
        self._clock = clock
        self._known_peers: dict[str, tuple[str, ...]] = {}
        self._known_until_ms = 0
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def resolve(self, domains: Iterable[str]) -> tuple[Resolved, ...]:
        """What each name leads to now, with a verdict; never raises for a resolver that does not answer."""
        wanted = tuple(dict.fromkeys(domains))
        peers = await self.peers() if wanted else frozenset[str]()
        return tuple(await asyncio.gather(*(self._one(domain, peers) for domain in wanted)))

    async def judge(self, found: Iterable[str]) -> tuple[str, str]:
        """The code of why one of these addresses may not be opened, and which; two empty strings for none."""
        return addresses.judge(found, await self.peers())

    async def _one(self, domain: str, peers: frozenset[str]) -> Resolved:
        async with self._gate:
            answer = await self._ask(domain)
        code, address = addresses.judge(answer.addresses, peers)
        return Resolved(domain, answer.status, answer.addresses, code, address)

    async def peers(self) -> frozenset[str]:
        """The addresses of our neighbours; what was known of one whose name has no answer now stays.

        One that was never found is asked for again each time.
        """
        now_ms = self._clock.now_ms()
        if now_ms >= self._known_until_ms:
            answers = await asyncio.gather(*(where(host) for host in self._peers))
            for host, answer in zip(self._peers, answers, strict=True):
                if answer.status == "found":
                    self._known_peers[host] = answer.addresses
            if len(self._known_peers) == len(self._peers):
                self._known_until_ms = now_ms + PEERS_FOR_MS
        return frozenset(address for found in self._known_peers.values() for address in found)


def addresses_of(resolver: Resolver) -> Callable[[str], Awaitable[frozenset[str]]]:
    """The resolver as the alias's client asks it: addresses, or none."""

    async def ask(name: str) -> frozenset[str]:
        return frozenset((await resolver.resolve(name)).addresses)

    return ask
