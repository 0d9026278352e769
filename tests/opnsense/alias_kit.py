"""The alias's client beside a small firewall, with a clock and a resolver of the test's own."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from firewall import KEY, NAME, SECRET, Clock, Firewall

from sm.core.outcome import Refused
from sm.opnsense.client import Applied, OPNsenseClient, Saved


class Bench:
    """A firewall, a clock, a resolver, and how often a write was asked about."""

    def __init__(self, firewall: Firewall, http: aiohttp.ClientSession) -> None:
        self.firewall, self.http = firewall, http
        self.clock = Clock()
        self.resolved: dict[str, frozenset[str]] = {}
        self.claims = 0
        self.shown: list[tuple[str, ...]] = []
        self.client = self.made()

    def made(self, **changes: Any) -> OPNsenseClient:
        how: dict[str, Any] = {
            "url": self.firewall.url,
            "key": KEY,
            "secret": SECRET,
            "alias": NAME,
            **changes,
        }
        return OPNsenseClient(
            self.http, sleep=self.clock.sleep, monotonic=self.clock.monotonic, resolve=self.resolve, **how
        )

    async def resolve(self, domain: str) -> frozenset[str]:
        return self.resolved.get(domain, frozenset())

    async def claim(self) -> None:
        self.claims += 1

    async def show(self, entries: tuple[str, ...]) -> None:
        self.claims += 1
        self.shown.append(entries)

    async def save(self, *domains: str, remove: tuple[str, ...] = ()) -> Saved:
        return await self.client.save(add=domains, remove=remove, before_write=self.show)

    async def apply(
        self, *domains: str, table_before: tuple[str, ...] | None = None, gone: tuple[str, ...] = ()
    ) -> Applied:
        return await self.client.apply(domains, table_before, gone=gone, before_write=self.claim)


async def refusal(what: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await what
    return caught.value
