"""Replays a recording of a real OPNsense against the sandbox's: the requests as recorded, the answers compared."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
from recorded_kit import Comparison, Rule, exchanges
from yarl import URL

from sm.sandbox.faults import Faults
from sm.sandbox.network.names import Names
from sm.sandbox.opnsense.peer import OPNsensePeer

#: The headers that a client of the API may go by; no other is compared.
HEADERS = ("Content-Type", "Location")
#: The users of the recorded appliance; those that it did not let in are not here.
USERS = {
    "SVC_NONE": frozenset[str](),
    "SVC_VIEWER": frozenset({"alias_view"}),
    "SVC_MIN": frozenset({"alias"}),
    "SVC_READONLY": frozenset({"alias", "alias_util"}),
    "SVC_FULL": frozenset({"alias", "alias_util"}),
    "SVC_ALL": frozenset({"all"}),
}
ADDRESSES = {
    "api.anthropic.com": ["192.0.2.10", "2001:db8::10"],
    "api.openai.com": ["198.51.100.7", "198.51.100.8"],
    "openrouter.ai": ["203.0.113.5"],
    "xn--mnchen-3ya.example": ["203.0.113.77"],
}


class Replay:
    """One recording, step by step."""

    def __init__(self, http: aiohttp.ClientSession, rules: tuple[Rule, ...], *, fresh: bool) -> None:
        self.faults = Faults()
        self.names = Names()
        for name, addresses in ADDRESSES.items():
            self.names.set(name, addresses)
        self.names.set("hang.example", [], "hang")
        self.peer = OPNsensePeer(self.faults, self.names, key="key", secret="secret")
        for scale in ("authentication", "daemon", "resolver", "lock", "reconfigure"):
            self.faults.set_scale(f"opnsense.{scale}", 0.001)
        self.http = http
        self.fresh = fresh
        self.comparison = Comparison(rules)

    async def run(self, steps: list[dict[str, Any]]) -> list[str]:
        await self.peer.start()
        try:
            if self.fresh:  # the real one had not loaded anything yet
                self.peer._store.tables.clear()
            for number, step in enumerate(steps, 2):
                where = f"line {number} {step.get('note', '')}".strip()
                if "request" in step:
                    await self._exchange(where, step)
                elif "holds" in step:
                    alias = self.peer._store.by_name(step["alias"])
                    self.comparison.compare(f"{where}: content", step["holds"], alias and alias["content"])
                else:
                    await self._step(step)
        finally:
            await self.peer.stop()
        return self.comparison.result()

    async def _exchange(self, where: str, step: dict[str, Any]) -> None:
        status, headers, answer = await self._call(step["request"])
        self.comparison.compare(f"{where}: status", step["status"], status)
        self.comparison.compare(f"{where}: headers", step["headers"], headers)
        self.comparison.compare(f"{where}: answer", step["answer"], answer)

    async def _call(self, request: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        user = request["user"]
        self.peer.privileges = USERS.get(user, frozenset())
        if user == "SVC_READONLY":
            self.faults.arm("opnsense", "readonly_user")
        headers: dict[str, str] = {}
        if user != "NONE":
            key = ("key", "secret") if user in USERS else ("key", user)
            headers["Authorization"] = aiohttp.encode_basic_auth(*key)
        if "content_type" in request:
            headers["Content-Type"] = request["content_type"]
        async with self.http.request(
            request["method"],
            URL(self.peer.url + request["path"], encoded=True),
            data=request["body"].encode() if "body" in request else None,
            headers=headers,
            skip_auto_headers=["Content-Type"],
            allow_redirects=False,
        ) as response:
            text = await response.text()
            self.faults.clear("opnsense", "readonly_user")
            shown = {name: response.headers[name] for name in HEADERS if name in response.headers}
            return response.status, shown, json.loads(text) if text else None

    async def _step(self, step: dict[str, Any]) -> None:
        """Something that was done beside the requests."""
        match step:
            case {"step": "cron"}:
                await self.peer.actions["opnsense/cron"]({})
            case {"step": "dns"}:
                await self.peer.actions["opnsense/dns"](
                    {key: step[key] for key in ("name", "addresses", "answer")}
                )
            case {"step": "outage"}:
                self.names.outage = step["value"]
            case {"step": "due"}:
                self.faults.set_scale("opnsense.refresh", 0 if step["value"] else 1)
            case {"step": "fault"}:
                self.faults.arm("opnsense", step["name"])
            case {"step": "request"}:
                body = json.dumps(step["body"])
                path = f"/api/firewall/{step['path']}"
                asked = {
                    "user": "SVC_FULL",
                    "method": "POST",
                    "path": path,
                    "content_type": "application/json",
                    "body": body,
                }
                status, _, answer = await self._call(asked)
                assert (status, answer) != (200, {"result": "failed"}), step
            case _:
                raise AssertionError(f"an unknown step: {step}")


async def differences(name: str, rules: tuple[Rule, ...] = (), *, fresh: bool = False) -> list[str]:
    """What our appliance does otherwise than the recorded one did."""
    async with aiohttp.ClientSession() as http:
        return await Replay(http, rules, fresh=fresh).run(exchanges(f"opnsense/{name}.jsonl"))
