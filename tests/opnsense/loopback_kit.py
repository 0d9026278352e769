"""The alias's client beside the sandbox's firewall, with its traps to switch on and a clock of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import aiohttp

from sm.opnsense.client import Applied, OPNsenseClient, Saved
from sm.sandbox.faults import Faults
from sm.sandbox.network.names import Names
from sm.sandbox.opnsense.peer import OPNsensePeer

KEY, SECRET = "k" * 20, "s" * 20
NAME = "llm_approved_domains"
PYPI = "192.52.193.107"


class Wall:
    """The peer, our client of it, and what its hooks were shown. `cron` runs a minute each time the client waits."""

    def __init__(self, http: aiohttp.ClientSession, **changes: Any) -> None:
        self.http = http
        self.faults, self.names = Faults(), Names()
        self.names.set("pypi.org", [PYPI])
        self.peer = OPNsensePeer(self.faults, self.names, key=KEY, secret=SECRET, **changes)
        self.faults.set_scale("opnsense.authentication", 0)
        self.faults.set_scale("opnsense.cron", 1000)
        self.shown: list[tuple[str, ...]] = []
        self.applies = 0
        self.now_s = 0.0
        self.cron = False

    def client(self, **changes: Any) -> OPNsenseClient:
        how: dict[str, Any] = {"key": KEY, "secret": SECRET, "alias": NAME} | changes
        return OPNsenseClient(
            self.http, self.peer.url, sleep=self._sleep, monotonic=lambda: self.now_s, resolve=self._resolve, **how
        )  # fmt: skip

    def arm(self, fault: str, times: int | None = 1, **match: str) -> None:
        self.faults.arm("opnsense", fault, times=times, match=match)

    async def save(self, *add: str, remove: tuple[str, ...] = (), **changes: Any) -> Saved:
        return await self.client(**changes).save(add=add, remove=remove, before_write=self.show)

    async def apply(
        self, *domains: str, before: Any = None, gone: tuple[str, ...] = (), **changes: Any
    ) -> Applied:
        return await self.client(**changes).apply(domains, before, gone=gone, before_write=self.claim)

    async def show(self, entries: tuple[str, ...]) -> None:
        self.shown.append(entries)

    async def claim(self) -> None:
        self.applies += 1

    async def edit(self, *add: str, remove: tuple[str, ...] = ()) -> None:
        """What an administrator saves at the web interface, without applying it."""
        await self.peer.actions["opnsense/edit"]({"add": list(add), "remove": list(remove), "apply": False})

    async def change(self, **fields: object) -> None:
        await self.peer.actions["opnsense/alias"](fields)

    @property
    def content(self) -> list[str]:
        aliases = cast("Mapping[str, Mapping[str, list[str]]]", self.peer.state()["aliases"])
        return aliases[NAME]["content"]

    @property
    def writes(self) -> list[dict[str, Any]]:
        """Every write there was, ours (`api`) and an administrator's."""
        return cast("list[dict[str, Any]]", self.peer.state()["writes"])

    @property
    def wire(self) -> list[str]:
        """The endpoints that we asked, in their order."""
        requests = cast("list[dict[str, str]]", self.peer.state()["requests"])
        return ["/".join(request["path"].split("/")[3:5]) for request in requests]

    async def _sleep(self, seconds: float) -> None:
        self.now_s += seconds
        if self.cron:
            await self.peer.actions["opnsense/cron"]({})

    async def _resolve(self, domain: str) -> frozenset[str]:
        return frozenset(self.names.lookup(domain))
