"""A small OPNsense over a real socket, with its unkind ways, for the client's own tests.

Answers are those of 27.1, observed: 200 with the failure inside, an empty JSON list where an alias is missing,
401 and 403 bodies, 302 without a key, 400 for `application/json` without a body.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

KEY, SECRET = "the-api-key", "the-api-secret"
BASIC = "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
UUID = "11111111-1111-4111-8111-111111111111"
NAME = "llm_approved_domains"


class Firewall:
    """Its state in plain fields; `instead` answers a path its own way, `requests` records all."""

    def __init__(self) -> None:
        self.name, self.type, self.enabled = NAME, "host", "1"
        self.content = "api.anthropic.com"
        self.addresses = {"api.anthropic.com": ["192.0.2.10", "2001:db8::10"], "pypi.org": ["198.51.100.7"]}
        self.table = ["192.0.2.10", "2001:db8::10"]
        self.may_see_table = True
        self.lies = False
        self.instead: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {}
        self.before_set: Callable[[], None] | None = None
        self.after_set: Callable[[], None] | None = None
        self.requests: list[tuple[str, str, str | None, bytes]] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def say(self, path: str, body: Any, status: int = 200, **headers: str) -> None:
        """Let every request to this path be answered so; text goes out as it is, all else as JSON."""

        async def answer(_request: web.Request) -> web.StreamResponse:
            text = body if isinstance(body, str) else json.dumps(body)
            return web.Response(status=status, text=text, content_type="application/json", headers=headers)

        self.instead[path] = answer

    def asked(self, path: str) -> list[dict[str, Any]]:
        """The bodies that this path was given."""
        return [json.loads(body or b"null") for _, asked, _, body in self.requests if path in asked]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        path = request.raw_path.removeprefix("/api/firewall/")
        content_type = request.headers.get("Content-Type")
        self.requests.append((request.method, path, content_type, content))
        for prefix, answer in self.instead.items():
            if path.startswith(prefix):
                return await answer(request)
        auth = request.headers.get("Authorization")
        if auth is None:
            return web.Response(status=302, headers={"Location": f"/?url={request.raw_path}"})
        if auth != BASIC:
            return web.json_response({"status": 401, "message": "Authentication Failed"}, status=401)
        if content_type == "application/json" and not content:
            return web.json_response({"message": "Invalid JSON syntax", "status": 400}, status=400)
        body = json.loads(content) if content_type == "application/json" else {}
        return self._route(request.method, path, body)

    def _route(self, method: str, path: str, body: Any) -> web.Response:
        if path == f"alias/getAliasUUID/{NAME}":
            return web.json_response({"uuid": UUID} if self.name else [])
        if path == "alias/export" and method == "POST":
            item = {"enabled": self.enabled, "name": self.name, "type": self.type, "content": self.content}
            return web.json_response(
                {"aliases": {"alias": {uuid: item for uuid in body["ids"] if uuid == UUID}}}
            )
        if path == f"alias/setItem/{UUID}" and method == "POST":
            return self._set(body)
        if path == "alias/reconfigure":
            if method != "POST":
                return web.json_response({"status": "failed"})
            if not self.lies:
                self.refresh()
            return web.json_response({"status": "ok"})
        if path == f"alias_util/list/{NAME}":
            if not self.may_see_table:
                return web.json_response({"status": 403, "message": "Forbidden"}, status=403)
            rows = [{"ip": ip, "out_pass_p": 12} for ip in self.table]
            return web.json_response({"total": len(rows), "rowCount": len(rows), "current": 1, "rows": rows})
        return web.json_response({"errorMessage": "Endpoint not found"}, status=404)

    def _set(self, body: Any) -> web.Response:
        if "alias" not in body:
            return web.json_response({"result": "failed"})
        if self.before_set:
            self.before_set()
        content = body["alias"]["content"]
        self.name = body["alias"].get("name", self.name)
        bad = [
            f'Entry "{line}" is not a valid hostname, IP address or range.'
            for line in content.split("\n")
            if not line or "*" in line
        ]
        if bad and content:
            found = bad[0] if len(bad) == 1 else bad
            return web.json_response({"result": "failed", "validations": {"alias.content": found}})
        self.content = content
        if self.after_set:
            self.after_set()
        return web.json_response({"result": "saved"})

    def refresh(self) -> None:
        """What cron does, or an honest reconfigure."""
        names = self.content.split("\n") if self.enabled == "1" else []
        self.table = [ip for name in names for ip in self.addresses.get(name, [])]


class Clock:
    """Time that passes only while somebody sleeps; `at` holds what happens then."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.at: list[tuple[float, Callable[[], None]]] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        due = [what for when, what in self.at if when <= self.now - 1000.0]
        self.at = [(when, what) for when, what in self.at if when > self.now - 1000.0]
        for what in due:
            what()
        await asyncio.sleep(0)
