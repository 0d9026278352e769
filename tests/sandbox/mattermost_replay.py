"""Replays a recording of a real Mattermost against the sandbox's: the requests as recorded, the answers compared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from attrs import define, field
from recorded_kit import Comparison, Rule, exchanges

from sm.sandbox.faults import Faults
from sm.sandbox.mattermost.peer import STATE_FILE, MattermostPeer

DEADLINE_S = 5.0
#: The headers that a client of Mattermost may go by; no other is compared.
HEADERS = ("Content-Type", "X-Request-Id", "X-Version-Id", "Etag", "Location", "Retry-After")
CALLED = ("User-Agent", "Accept", "Content-Type", "Accept-Encoding")
BARRIER = 999
RECORDED_INTEGRATION = "127.0.0.1:7357"

CLAUDE, JAMES, SARAH, ADMIN = (
    "kjaxr5c59jf3txjnmwca15xh4r", "d1wipmp5jpgdjqsdcwb8m659br", "g66p1fmfc38gzgojk5sckjxu7e", "h55scx5m9fbeinksxousr85zoc",
)  # fmt: skip
TEAM, OPS, PRIVATE = "aw6xagas6j8t3xph1aguyzrtoe", "ts4afxx9ytn7xy8c7ompdprfko", "z9j7ghzyffygmyrper99tmpamh"
SECOND = {
    CLAUDE: "kqw3nqne6prxtet7ocbthre9mw",
    JAMES: "awkdjofce3gwj8wrjkz3sftoqy",
    TEAM: "95awm3w4fjn99jxkn6ozn9k5yy",
    OPS: "g1t83q1attrwur8gdmxtm1tsqo",
}

#: What the integration answered to a press was not recorded; this is what its modes' names and their effects say.
#: An ephemeral text was Slack's `<http://x.test|link>`, which the real server rewrites: here it is rewritten already.
ANSWERS: dict[str, dict[str, Any]] = {
    "empty": {"text": "{}"},
    "nobody": {"text": ""},
    "text": {"text": "thanks", "content_type": "text/plain"},
    "update": {
        "text": json.dumps(
            {
                "update": {"message": "UPDATED by action", "props": {"attachments": [{"text": "done"}]}},
                "ephemeral_text": "eph [link](http://x.test) *b*",
            }
        )
    },
    "updatenoprops": {"text": json.dumps({"update": {"message": "UPDATED keep props"}})},
    "updateempty": {"text": json.dumps({"update": {"message": "UPDATED clear", "props": {}}})},
    "skip": {"text": json.dumps({"ephemeral_text": "eph <http://x.test|link>"})},
    "error": {"text": json.dumps({"error": {"message": "no"}})},
    "201": {"text": "{}", "status": 201},
    "500": {"text": "{}", "status": 500},
    "redir": {"text": "", "status": 302, "headers": {"Location": "/act?m=empty"}},
    "slow2": {"text": json.dumps({"ephemeral_text": "late"})},
}


def world(ids: dict[str, str]) -> dict[str, Any]:
    """The state of the server that was recorded, with the identifiers that it had."""

    def known(recorded: str) -> str:
        return ids.get(recorded, recorded)

    at = 1_795_491_759_000
    users = [(CLAUDE, "claude"), (JAMES, "james"), (SARAH, "sarah"), (ADMIN, "admin")]
    everybody = [known(user_id) for user_id, _ in users]
    direct = f"{known(ADMIN)}__{known(CLAUDE)}"
    channels = [
        (known(OPS), known(TEAM), "O", "ops", "Ops", known(ADMIN), everybody),
        (PRIVATE, known(TEAM), "P", "nobot", "No bot", known(JAMES), [known(JAMES)]),
        ("bu93nto9fjf3mqgixxmprm661h", known(TEAM), "O", "town-square", "Town Square", "", everybody),
        ("xad6dfk1m3bo7f8npmowwh8uge", known(TEAM), "O", "off-topic", "Off-Topic", "", everybody),
        ("bto1caf4a3ntmerdynw9eumath", "", "D", direct, "", known(CLAUDE), [known(ADMIN), known(CLAUDE)]),
    ]
    return {
        "teams": [{"id": known(TEAM), "name": "lab", "create_at": at, "members": everybody}],
        "users": [
            {
                "id": known(user_id),
                "username": name,
                "is_bot": name == "claude",
                "is_admin": name == "admin",
                "create_at": at + index,
                "update_at": at + 100 + index,
            }
            for index, (user_id, name) in enumerate(users)
        ],
        "tokens": {f"token{name:_<21}": known(user_id) for user_id, name in users},
        "token_ids": {},
        "channels": [
            {
                "id": channel_id,
                "team_id": team_id,
                "type": kind,
                "name": name,
                "display_name": display_name,
                "creator_id": creator_id,
                "create_at": at,
            }
            for channel_id, team_id, kind, name, display_name, creator_id, _ in channels
        ],
        "members": {channel[0]: channel[-1] for channel in channels},
        "rows": [],
        "reactions": [],
        "files": [],
        "last_ms": at + 1000,
    }


@define
class Wire:
    """One WebSocket of the recording: what came over it, in order."""

    ws: aiohttp.ClientWebSocketResponse
    expected: list[dict[str, Any]] = field(factory=list)
    frames: list[dict[str, Any]] = field(factory=list)
    pings: int = 0
    ended: bool = False
    changed: asyncio.Condition = field(factory=asyncio.Condition)
    reader: asyncio.Task[None] | None = None

    async def read(self, answer_pings: bool) -> None:
        while True:
            message = await self.ws.receive()
            async with self.changed:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self.frames.append(json.loads(message.data))
                elif message.type is aiohttp.WSMsgType.PING:
                    self.pings += 1
                    if answer_pings:
                        await self.ws.pong(message.data)
                elif message.type is not aiohttp.WSMsgType.PONG:
                    self.ended = True
                self.changed.notify_all()
                if self.ended:
                    return

    async def until(self, what: str, happened: Any) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S), self.changed:
                await self.changed.wait_for(happened)
        except TimeoutError:
            raise AssertionError(f"{what}; there came {json.dumps(self.frames, indent=1)[-3000:]}") from None


class Replay:
    """One recording, step by step."""

    def __init__(
        self, peer: MattermostPeer, http: aiohttp.ClientSession, integration: str, rules: tuple[Rule, ...]
    ) -> None:
        self.peer = peer
        self.http = http
        self.integration = integration
        self.comparison = Comparison(rules)
        self.wires: dict[str, Wire] = {}
        self.tokens: dict[str, str] = {}
        self.called: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.received: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.pinged: set[str] = set()

    async def run(self, steps: list[dict[str, Any]]) -> list[str]:
        self.pinged = {step["who"] for step in steps if step.get("ws") == "ping"}
        for number, step in enumerate(steps, 2):
            if "http" in step:
                await self._exchange(f"line {number} {step['http']['note']}".strip(), step)
            elif "setup" in step:
                _, _, answer = await self._call(step["as"], "POST", step["path"], None, step["body"])
                self.comparison.bind(step["id"], answer["id"])
            elif "integration" in step:
                self.called.append((step["headers"], step["body"]))
            else:
                await self._socket(step)
        for who, wire in self.wires.items():
            await self._settle(who, wire)
            assert wire.reader is not None
            wire.reader.cancel()
        return self.comparison.result()

    # --- REST ----------------------------------------------------------------------------------------------

    async def _exchange(self, where: str, step: dict[str, Any]) -> None:
        asked = step["http"]
        status, headers, answer = await self._call(
            asked["as"], asked["method"], asked["path"], asked.get("query"), asked.get("body")
        )
        self.comparison.compare(f"{where}: status", step["status"], status)
        self.comparison.compare(f"{where}: headers", step["headers"], headers)
        if isinstance(answer, dict) and step["answer"].get("token") == "<token>":
            self.tokens["bot-tmp"] = answer["token"]
            answer = answer | {"token": "<token>"}
        self.comparison.compare(f"{where}: answer", step["answer"], answer)
        if self.called:
            self._compare_call(where)

    def _compare_call(self, where: str) -> None:
        """The press that was just answered called the integration, as recorded."""
        recorded_headers, recorded = self.called.pop(0)
        headers, body = self.received.pop(0)
        kept = {name: value for name, value in recorded_headers.items() if name in CALLED}
        self.comparison.compare(f"{where}: call headers", kept, headers)
        self.comparison.compare(f"{where}: call", recorded, body)

    async def _call(
        self, who: str, method: str, path: str, query: dict[str, str] | None, body: Any
    ) -> tuple[int, dict[str, str], Any]:
        headers = {"Authorization": f"Bearer {self._token(who)}"} if who != "nobody" else {}
        path, _, inline = path.partition("?")
        url = f"{self.peer.url}/api/v4{self.comparison.translated(path)}"
        params = dict(pair.split("=") for pair in inline.split("&")) if inline else query
        translated = json.loads(
            json.dumps(self.comparison.translated(body)).replace(RECORDED_INTEGRATION, self.integration)
        )
        async with self.http.request(
            method,
            aiohttp.client.URL(url, encoded=True),
            params=self.comparison.translated(params),
            json=translated if body is not None else None,
            headers=headers,
        ) as response:
            text = await response.text()
            shown = {name: response.headers[name] for name in HEADERS if name in response.headers}
            return response.status, shown, json.loads(text)

    def _token(self, who: str) -> str:
        if who == "bad token":
            return "badtoken"
        if who.startswith("token of "):
            return self.tokens[who.removeprefix("token of ")]
        return self.peer.token(who)

    # --- WebSocket -----------------------------------------------------------------------------------------

    async def _socket(self, step: dict[str, Any]) -> None:
        who = step["who"]
        if step["ws"] == "open":
            await self._open(who, step)
            return
        wire = self.wires[who]
        if step["ws"] == "send":
            await wire.ws.send_str(json.dumps(self._frame(who, step["frame"])))
        elif step["ws"] == "receive":
            wire.expected.append(step["frame"])
        elif step["ws"] == "ping":
            await wire.until(f"{who} was not pinged", lambda: wire.pings)
        else:
            await self._close(who, wire, step)

    async def _open(self, who: str, step: dict[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {self._socket_token(who)}"} if step["bearer"] else {}
        query = self.comparison.translated(step["query"])
        url = f"{self.peer.url}/api/v4/websocket?{query}"
        ws = await self.http.ws_connect(url, headers=headers, autoping=False)
        wire = self.wires[who] = Wire(ws)
        wire.reader = asyncio.create_task(wire.read(answer_pings=who not in self.pinged))

    def _socket_token(self, who: str) -> str:
        return self.tokens.get(who) or self.peer.token("james" if who == "james" else "claude")

    def _frame(self, who: str, recorded: dict[str, Any]) -> dict[str, Any]:
        frame = self.comparison.translated(recorded)
        if frame.get("data", {}).get("token") == "<token>":
            frame["data"] = {"token": self._socket_token(who)}
        return frame

    async def _close(self, who: str, wire: Wire, step: dict[str, Any]) -> None:
        if step["by"] == "server":
            await wire.until(f"{who} was not closed", lambda: wire.ended)
            self.comparison.compare(f"{who}: close code", step["code"], int(wire.ws.close_code or 0))
        await self._settle(who, wire)
        assert wire.reader is not None
        wire.reader.cancel()
        if step["by"] == "client":
            await wire.ws.close()
        del self.wires[who]
        while any(
            one.request is not None and one.id == _connection(wire) for one in self.peer.hub.connections()
        ):
            await asyncio.sleep(0.005)

    async def _settle(self, who: str, wire: Wire) -> None:
        """Everything came that was recorded, and, as a reply to a last action shows, nothing more."""
        await wire.until(
            f"{who} lacks frames (recorded: {[_name(frame) for frame in wire.expected]})",
            lambda: len(wire.frames) >= len(wire.expected) or wire.ended,
        )
        if not wire.ended:
            await wire.ws.send_str(json.dumps({"seq": BARRIER, "action": "ping"}))
            await wire.until(
                f"{who} gets no answer", lambda: wire.frames[-1].get("seq_reply") == BARRIER or wire.ended
            )
            if wire.frames[-1].get("seq_reply") == BARRIER:
                wire.frames.pop()
        names = [_name(frame) for frame in wire.frames]
        recorded = [_name(frame) for frame in wire.expected]
        if names != recorded:
            self.comparison.differences.append(f"{who}: there came {names}, recorded {recorded}")
            return
        for left, right in zip(wire.expected, wire.frames, strict=True):
            self.comparison.compare(f"{who} {_name(left)}", left, right)


def _name(frame: dict[str, Any]) -> str:
    return str(frame.get("event") or frame.get("status"))


def _connection(wire: Wire) -> str:
    hello = next((frame for frame in wire.frames if frame.get("event") == "hello"), {})
    return str(hello.get("data", {}).get("connection_id"))


@asynccontextmanager
async def replaying(
    folder: Path,
    rules: tuple[Rule, ...],
    *,
    online: tuple[str, ...] = (),
    second: bool = False,
    direct: bool = False,
) -> AsyncIterator[Replay]:
    """A server in the recorded state; who is `online` has another WebSocket open, as they had then."""
    state = world(SECOND if second else {})
    if direct:
        channel = state["channels"][-1]
        name = f"{JAMES}__{CLAUDE}"
        state["channels"].append(
            channel | {"id": "iuxwduz6hbfgbd3nuuacpw5ojr", "name": name, "creator_id": JAMES}
        )
        state["members"]["iuxwduz6hbfgbd3nuuacpw5ojr"] = [JAMES, CLAUDE]
        state["channels"].insert(0, state["channels"].pop())
    (folder / STATE_FILE).write_text(json.dumps(state))
    faults = Faults()
    peer = MattermostPeer(faults, state_dir=folder)
    received: list[tuple[dict[str, str], dict[str, Any]]] = []
    stuck = asyncio.Event()

    async def act(request: web.Request) -> web.Response:
        received.append(({name: request.headers.get(name, "") for name in CALLED}, await request.json()))
        mode = request.query["m"]
        if mode == "slow40":
            await stuck.wait()
        return web.Response(**ANSWERS.get(mode, {"text": "{}"}))

    app = web.Application()
    app.router.add_post("/act", act)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await peer.start()
    faults.set_scale("mattermost.press", 0.02)
    faults.set_scale("mattermost.websocket", 0.02)
    try:
        async with aiohttp.ClientSession() as http:
            others: list[aiohttp.ClientWebSocketResponse] = []
            for name in online:
                headers = {"Authorization": f"Bearer {peer.token(name)}"}
                others.append(await http.ws_connect(f"{peer.url}/api/v4/websocket", headers=headers))
            replay = Replay(peer, http, f"127.0.0.1:{runner.addresses[0][1]}", rules)
            replay.received = received
            yield replay
    finally:
        stuck.set()
        await runner.cleanup()
        await peer.stop()


async def differences(name: str, folder: Path, rules: tuple[Rule, ...], **world_of: Any) -> list[str]:
    """What our server does otherwise than the recorded one did."""
    async with replaying(folder, rules, **world_of) as replay:
        return await replay.run(exchanges(f"mattermost/{name}.jsonl"))
