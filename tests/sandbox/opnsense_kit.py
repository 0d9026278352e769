"""The OPNsense of the sandbox with a client that follows nothing and believes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp

from sm.sandbox.faults import Faults
from sm.sandbox.network.names import Names
from sm.sandbox.opnsense.peer import ALIAS_UUID, OPNsensePeer

AUTH = {"Authorization": aiohttp.encode_basic_auth("key", "secret")}
JSON = AUTH | {"Content-Type": "application/json"}
ANTHROPIC = ["192.52.193.10", "2620:4f:8000::10"]
PYPI = ["192.52.193.20", "192.52.193.21"]


class Client:
    """Speaks to the peer and follows no redirect; answers (status, body)."""

    def __init__(self, peer: OPNsensePeer, faults: Faults, session: aiohttp.ClientSession) -> None:
        self.peer, self.faults, self.session = peer, faults, session
        self.opened: list[frozenset[str]] = []

    async def call(
        self, method: str, path: str, body: object = None, **options: object
    ) -> tuple[int, object]:
        options = {"headers": AUTH, "allow_redirects": False} | options
        if body is not None:
            options["json"] = body
        url = f"{self.peer.url}/api/firewall/{path}"
        async with self.session.request(method, url, **options) as response:  # type: ignore[arg-type]
            kind = response.content_type
            return response.status, await (response.json() if kind == "application/json" else response.text())

    async def get(self, path: str, **options: object) -> object:
        status, body = await self.call("GET", path, **options)
        assert status == 200, body
        return body

    async def post(self, path: str, body: object) -> object:
        status, answer = await self.call("POST", path, body)
        assert status == 200, answer
        return answer

    async def set(self, *entries: str) -> object:
        return await self.post(f"alias/setItem/{ALIAS_UUID}", {"alias": {"content": "\n".join(entries)}})

    async def reconfigure(self) -> object:
        return await self.post("alias/reconfigure", {})

    async def table(self) -> list[str]:
        answer = await self.get("alias_util/list/llm_approved_domains")
        return [row["ip"] for row in answer["rows"]]  # type: ignore[index]

    def content(self) -> list[str]:
        return self.peer.state()["aliases"]["llm_approved_domains"]["content"]  # type: ignore[index, return-value]


@asynccontextmanager
async def appliance() -> AsyncIterator[Client]:
    faults, names = Faults(), Names()
    opened: list[frozenset[str]] = []

    async def on_table(addresses: frozenset[str]) -> None:
        opened.append(addresses)

    peer = OPNsensePeer(faults, names, key="key", secret="secret", on_table=on_table)
    await peer.start()
    async with aiohttp.ClientSession() as session:
        client = Client(peer, faults, session)
        client.opened = opened
        yield client
    await peer.stop()


async def until(condition: Callable[[], Awaitable[bool]], limit_s: float = 5) -> None:
    async with asyncio.timeout(limit_s):
        while not await condition():
            await asyncio.sleep(0.01)
