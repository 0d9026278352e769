"""A scripted server over a real socket, and what it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

BOT = "kjaxr5c59jf3txjnmwca15xh4r"
JAMES = "d1wipmp5jpgdjqsdcwb8m659br"
CHANNEL = "ts4afxx9ytn7xy8c7ompdprfko"
TOKEN = "bot-token-of-the-test"


def post_json(number: int, **more: Any) -> dict[str, Any]:
    """A post as the API shows it."""
    return {
        "id": f"post{number:022d}",
        "create_at": 1_795_491_937_000 + number,
        "update_at": 1_795_491_937_000 + number,
        "edit_at": 0,
        "delete_at": 0,
        "user_id": JAMES,
        "channel_id": CHANNEL,
        "root_id": "",
        "message": f"m{number}",
        "type": "",
        "props": {},
        **more,
    }


def error_json(error_id: str, status: int, message: str = "No.") -> web.Response:
    """Mattermost's error shape."""
    body = {
        "id": error_id,
        "message": message,
        "detailed_error": "",
        "request_id": BOT,
        "status_code": status,
    }
    return web.json_response(body, status=status)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Script:
    """A server that answers each request with the next of `answers`, the last one for ever; keeps the requests."""

    def __init__(self) -> None:
        self.answers: list[Handler | web.Response] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = f"{request.path}?{request.query_string}" if request.query_string else request.path
        self.requests.append((request.method, raw, dict(request.headers), await request.read()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not isinstance(answer, web.Response):
            return await answer(request)
        return web.Response(
            status=answer.status, body=answer.body, headers=answer.headers
        )  # each is sent once only

    def body(self, index: int = -1) -> dict[str, Any]:
        return json.loads(self.requests[index][3])


class Waits:
    """A sleep that does not wait, but remembers."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._more = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self._more.set()
        await asyncio.sleep(0)

    async def reach(self, count: int) -> None:
        """Until so many waits were asked for."""
        while len(self.seconds) < count:
            self._more.clear()
            await self._more.wait()


@asynccontextmanager
async def serving(handle: Handler) -> AsyncIterator[str]:
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
