"""A Mattermost of the sandbox with its control server, and clients that speak to both over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from sm.sandbox.control import ControlServer
from sm.sandbox.faults import Faults
from sm.sandbox.mattermost.peer import MattermostPeer

DEADLINE_S = 5.0
CUT = (aiohttp.ClientConnectionError, aiohttp.ServerDisconnectedError, ConnectionError)


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 1_795_491_936.0

    def __call__(self) -> float:
        return self.now


class Socket:
    """One WebSocket client."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def frame(self) -> dict[str, Any]:
        return json.loads(await asyncio.wait_for(self.ws.receive_str(), DEADLINE_S))

    async def event(self, name: str) -> dict[str, Any]:
        while True:
            frame = await self.frame()
            if frame.get("event") == name:
                return frame

    async def posted(self) -> str:
        return json.loads((await self.event("posted"))["data"]["post"])["message"]

    async def end(self) -> int | None:
        """Read to the end of the connection; answers the close code."""
        while True:
            message = await asyncio.wait_for(self.ws.receive(), DEADLINE_S)
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                return self.ws.close_code

    async def say(self, seq: int, action: str, **data: Any) -> None:
        await self.ws.send_str(json.dumps({"seq": seq, "action": action, "data": data}))

    async def close(self) -> None:
        await self.ws.close()


class Box:
    def __init__(self, peer: MattermostPeer, control: ControlServer, http: aiohttp.ClientSession) -> None:
        self.peer = peer
        self.control = control
        self.http = http

    async def call(
        self, who: str, method: str, path: str, body: Any = None, **query: Any
    ) -> tuple[int, dict[str, Any]]:
        """One REST call; `who` is a user name, or empty for nobody."""
        headers = {"Authorization": f"Bearer {self.peer.token(who)}"} if who else {}
        url = f"{self.peer.url}/api/v4{path}"
        async with self.http.request(method, url, json=body, headers=headers, params=query) as response:
            return response.status, json.loads(await response.text())

    async def post(self, who: str, message: str, **more: Any) -> dict[str, Any]:
        body = {"channel_id": self.peer.channel_id, "message": message, **more}
        status, post = await self.call(who, "POST", "/posts", body)
        assert status == 201, post
        return post

    async def messages(self, **query: Any) -> list[str]:
        status, page = await self.call(
            "claude", "GET", f"/channels/{self.peer.channel_id}/posts", None, **query
        )
        assert status == 200, page
        return [page["posts"][post_id]["message"] for post_id in page["order"]]

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One call to the control server."""
        async with self.http.request(method, f"{self.control.url}{path}", json=body) as response:
            return response.status, await response.json()

    async def arm(self, fault: str, **more: Any) -> None:
        status, answer = await self.ask("POST", "/faults", {"peer": "mattermost", "fault": fault, **more})
        assert status == 200, answer

    async def listen(self, who: str, **query: Any) -> Socket:
        """Open a WebSocket with the token in the handshake."""
        url = f"{self.peer.url}/api/v4/websocket"
        headers = {"Authorization": f"Bearer {self.peer.token(who)}"} if who else {}
        return Socket(await self.http.ws_connect(url, headers=headers, params=query))


@asynccontextmanager
async def sandbox(clock: Clock | None = None, state_dir: Path | None = None) -> AsyncIterator[Box]:
    faults = Faults()
    peer = MattermostPeer(faults, state_dir=state_dir, **({"clock": clock} if clock else {}))
    control = ControlServer(faults, peer.sections(), peer.actions())
    await peer.start()
    await control.start()
    try:
        async with aiohttp.ClientSession() as http:
            yield Box(peer, control, http)
    finally:
        await control.stop()
        await peer.stop()


class Integration:
    """What a button is bound to: records the calls, answers as it is told to."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: dict[str, Any] = {"json": {}}
        self.called = asyncio.Semaphore(0)
        self.hold: asyncio.Event | None = None
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(await request.json())
        self.headers.append(dict(request.headers))
        self.called.release()
        if self.hold is not None:
            await self.hold.wait()
        kind = dict(self.answer)
        if "json" in kind:
            return web.json_response(kind.pop("json"), **kind)
        return web.Response(**kind)


@asynccontextmanager
async def integration() -> AsyncIterator[Integration]:
    it = Integration()
    app = web.Application()
    app.router.add_post("/callback", it.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}/callback"
    try:
        yield it
    finally:
        if it.hold is not None:
            it.hold.set()
        await runner.cleanup()


def card(url: str, action_id: str = "approve", **context: Any) -> dict[str, Any]:
    action = {
        "id": action_id,
        "name": "Approve",
        "type": "button",
        "style": "primary",
        "integration": {"url": url, "context": context},
    }
    return {"attachments": [{"fallback": "f", "title": "T", "text": "press", "actions": [action]}]}
