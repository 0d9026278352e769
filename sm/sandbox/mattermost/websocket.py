"""The sandbox's Mattermost over its WebSocket: events, replies to actions, and resuming a lost connection.

As observed with Mattermost 5.37: `posted` carries its post as a JSON string; about 128 events and 5 minutes are
kept for whoever comes back with `connection_id` and `sequence_number` and the Bearer header; a bad token or a
silent client ends in an aborted connection (1006), a frame over 8192 bytes in 1009.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import cast

from aiohttp import WSMessage, WSMsgType, web

from sm.sandbox.faults import Faults
from sm.sandbox.mattermost.connection import Connection
from sm.sandbox.mattermost.rows import new_id
from sm.sandbox.mattermost.shapes import Json, as_object, go_json
from sm.sandbox.mattermost.store import Store

PEER = "mattermost"
SERVER_VERSION = "5.37.0..23fa8f182148d3fa423f643c85c98bff.false"
MAX_FRAME_BYTES = 8192
KEPT_CONNECTIONS = 256
KEPT_S = 300.0
CHALLENGE_S = 5.0
PING_S = 60.0
SILENCE_S = 100.0
HELD_BACK_S = 1.0


class Hub:
    """All connections, and who gets which event."""

    def __init__(self, store: Store, faults: Faults, clock: Callable[[], float]) -> None:
        self.store = store
        self.faults = faults
        self.clock = clock
        self._connections: dict[str, Connection] = {}
        self._held_back: list[tuple[Json, Json]] = []

    # --- events --------------------------------------------------------------------------------------------

    def posted(self, data: Json, channel_id: str, **context: object) -> None:
        """Tell the channel of a new post; here events get lost, doubled or out of order when told to."""
        broadcast = to_channel(channel_id)
        if self.faults.hit(PEER, "reorder_posted", **context):
            self._held_back.append((data, broadcast))
            wait_s = HELD_BACK_S * self.faults.scale("mattermost.held_back")
            asyncio.get_running_loop().call_later(wait_s, self._release)
            return
        self.publish("posted", data, broadcast, **context)
        if self.faults.hit(PEER, "duplicate_posted", **context):
            self.publish("posted", data, broadcast, **context)
        self._release()

    def publish(self, event: str, data: Json, broadcast: Json, **context: object) -> None:
        """Send an event to those whom `broadcast` names."""
        for connection in list(self._connections.values()):
            if connection.ended or not self._concerns(connection.user_id, broadcast):
                continue
            details = {**context, "event": event, "user": self._name(connection.user_id)}
            if connection.request is not None and self.faults.hit(PEER, "skip_event", **details):
                connection.skip()
                continue
            connection.push(event, data, broadcast)
            if connection.request is None:
                continue
            if self.faults.hit(PEER, "drop_websocket", **details):
                self._abort(connection)
            elif self.faults.hit(PEER, "silent_websocket", **details):
                self._silence(connection)

    async def flush(self) -> None:
        """Wait until every client that listens has been sent all there is; at most half a second."""
        waits = [c.sent.wait() for c in self._connections.values() if c.request is not None and not c.silent]
        if waits:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*waits), 0.5)

    def end_sessions(self, user_id: str) -> None:
        """The user was deactivated: a last word, and the open sockets bring nothing more."""
        offline: Json = {"status": "offline", "user_id": user_id}
        self.publish("status_change", offline, to_user(user_id))
        for connection in self._connections.values():
            connection.ended = connection.ended or connection.user_id == user_id

    def drop(self, username: str | None = None, *, forget: bool = False) -> int:
        """Abort the connections of a user, or of all; `forget` what they could have come back for."""
        dropped = 0
        for connection in list(self._connections.values()):
            if username is not None and self._name(connection.user_id) != username:
                continue
            if connection.request is not None:
                self._abort(connection)
                dropped += 1
            if forget:
                self._connections.pop(connection.id, None)
        return dropped

    def connections(self) -> list[Connection]:
        """Every stream that is kept, with a socket or without."""
        return list(self._connections.values())

    def listeners(self) -> dict[str, int]:
        """How many sockets each user has open."""
        counts: dict[str, int] = {}
        for connection in self._live():
            name = self._name(connection.user_id)
            counts[name] = counts.get(name, 0) + 1
        return counts

    # --- one socket ----------------------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Handle one WebSocket from its handshake to its end."""
        ws = web.WebSocketResponse(
            max_msg_size=MAX_FRAME_BYTES + 1, autoping=False, compress=False, timeout=1.0
        )
        await ws.prepare(request)
        user = self.store.user_of(bearer(request))
        if user is not None:
            user_id = user.id
            connection = self._resumed_or_new(request, user_id)
        else:
            challenge = await self._challenge(ws)
            if challenge is None:
                abort(request)
                return ws
            user_id, seq = challenge
            connection = self._new(request, user_id, go_json({"status": "OK", "seq_reply": seq}))
        if self.faults.hit(PEER, "silent_websocket", event="hello", user=self._name(user_id)):
            await self._write_out(connection, ws)
            self._silence(connection)
        await self._converse(connection, ws, request)
        return ws

    async def _converse(
        self, connection: Connection, ws: web.WebSocketResponse, request: web.Request
    ) -> None:
        writer = asyncio.create_task(self._write(connection, ws))
        pinger = asyncio.create_task(self._ping(connection, ws))
        try:
            await self._read(connection, ws, request)
        finally:
            for task in (writer, pinger):
                task.cancel()
            await asyncio.gather(writer, pinger, return_exceptions=True)
            if connection.request is request:
                connection.detach(self.clock())

    async def _read(self, connection: Connection, ws: web.WebSocketResponse, request: web.Request) -> None:
        while True:
            try:
                limit_s = SILENCE_S * self.faults.scale("mattermost.websocket")
                message = await ws.receive(timeout=limit_s)
            except TimeoutError:
                abort(request)
                return
            if message.type is WSMsgType.PING:
                if not connection.silent:
                    await ws.pong(cast("bytes", message.data))
            elif message.type is WSMsgType.TEXT:
                answer = self._answer(connection, _frame(message))
                if answer is None:
                    abort(request)
                    return
                connection.send(go_json(answer))
            elif message.type is not WSMsgType.PONG:
                return

    async def _write(self, connection: Connection, ws: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self._write_out(connection, ws)
                await connection.changed.wait()

    async def _write_out(self, connection: Connection, ws: web.WebSocketResponse) -> None:
        connection.changed.clear()
        while connection.outgoing:
            await ws.send_str(connection.outgoing.popleft())
        connection.sent.set()

    async def _ping(self, connection: Connection, ws: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(max(0.01, PING_S * self.faults.scale("mattermost.websocket")))
                if not connection.silent:
                    await ws.ping()

    async def _challenge(self, ws: web.WebSocketResponse) -> tuple[str, int] | None:
        """Wait for `authentication_challenge`; answers user id and its seq, None for a bad token or none at all."""
        try:
            limit_s = CHALLENGE_S * self.faults.scale("mattermost.websocket")
            message = await ws.receive(timeout=limit_s)
        except TimeoutError:
            return None
        frame = _frame(message) if message.type is WSMsgType.TEXT else {}
        user = self.store.user_of(str(as_object(frame.get("data")).get("token")))
        seq = frame.get("seq")
        if frame.get("action") != "authentication_challenge" or user is None or not isinstance(seq, int):
            return None
        return user.id, seq

    def _answer(self, connection: Connection, frame: Json) -> Json | None:
        """The reply to a client's action; None when it is no action at all, which ends the connection."""
        seq = frame.get("seq")
        if not isinstance(seq, int) or seq <= 0:
            return None
        action, data = frame.get("action"), as_object(frame.get("data"))
        if action == "ping":
            pong = {
                "node_id": "",
                "server_time": int(self.clock() * 1000),
                "text": "pong",
                "version": "5.37.0",
            }
            return {"status": "OK", "seq_reply": seq, "data": pong}
        if action == "user_typing":
            self.typing(connection.user_id, str(data.get("channel_id")), str(data.get("parent_id") or ""))
            return {"status": "OK", "seq_reply": seq}
        if action == "authentication_challenge":
            return {"status": "OK", "seq_reply": seq}
        error = {
            "id": "api.web_socket_router.bad_action.app_error",
            "message": "Unknown WebSocket action.",
            "detailed_error": "",
            "status_code": 500,
        }
        return {"status": "FAIL", "seq_reply": seq, "error": error}

    def typing(self, user_id: str, channel_id: str, parent_id: str) -> None:
        """Tell a channel that somebody is typing; ignored from who isn't in it."""
        if self.store.is_member(channel_id, user_id):
            broadcast = to_channel(channel_id) | {"omit_users": {user_id: True}}
            self.publish("typing", {"parent_id": parent_id, "user_id": user_id}, broadcast)

    # --- who is there --------------------------------------------------------------------------------------

    def _resumed_or_new(self, request: web.Request, user_id: str) -> Connection:
        sequence = request.query.get("sequence_number", "")
        wanted = self._connections.get(request.query.get("connection_id", ""))
        kept_s = KEPT_S * self.faults.scale("mattermost.resume")
        if (
            wanted is not None
            and wanted.user_id == user_id
            and wanted.request is None
            and self.clock() - wanted.lost_at <= kept_s
            and sequence.isdecimal()
            and int(sequence) > 0
        ):
            wanted.request, wanted.silent = request, False
            if wanted.replay(int(sequence)):
                return wanted
            wanted.detach(self.clock())
            self._connections.pop(wanted.id)
            return self._taken_over(request, wanted)
        return self._new(request, user_id)

    def _taken_over(self, request: web.Request, lost: Connection) -> Connection:
        """A new stream for a number that isn't there: what was never sent comes between its two `hello`."""
        connection = self._new(request, lost.user_id)
        hello = connection.kept[0]
        for event, data, broadcast in lost.unsent:
            connection.push(event, data, broadcast)
        again = as_object(json.loads(hello[1]))
        connection.push("hello", as_object(again["data"]), as_object(again["broadcast"]))
        return connection

    def _new(self, request: web.Request, user_id: str, reply: str = "") -> Connection:
        """A stream of its own; the `reply` to a client that authenticated comes right behind the `hello`."""
        online = any(connection.user_id == user_id for connection in self._live())
        connection = Connection(new_id(), user_id, request=request)
        self._connections[connection.id] = connection
        self._forget_oldest()
        hello: Json = {"connection_id": connection.id, "server_version": SERVER_VERSION}
        connection.push("hello", hello, to_user(user_id))
        if reply:
            connection.send(reply)
        if not online:
            connection.push("status_change", {"status": "online", "user_id": user_id}, to_user(user_id))
        return connection

    def _forget_oldest(self) -> None:
        lost = sorted(
            (c for c in self._connections.values() if c.request is None),
            key=lambda connection: connection.lost_at,
        )
        for connection in lost[: max(0, len(self._connections) - KEPT_CONNECTIONS)]:
            self._connections.pop(connection.id)

    def _live(self) -> Iterator[Connection]:
        return (c for c in self._connections.values() if c.request is not None)

    def _concerns(self, user_id: str, broadcast: Json) -> bool:
        if user_id in as_object(broadcast["omit_users"]):
            return False
        if broadcast["user_id"]:
            return broadcast["user_id"] == user_id
        if not broadcast["channel_id"]:
            return True
        return self.store.is_member(str(broadcast["channel_id"]), user_id)

    def _release(self) -> None:
        held, self._held_back = self._held_back, []
        for data, broadcast in held:
            self.publish("posted", data, broadcast)

    def _silence(self, connection: Connection) -> None:
        connection.silent = True
        connection.outgoing.clear()
        connection.sent.set()

    def _abort(self, connection: Connection) -> None:
        if connection.request is not None:
            abort(connection.request)
            connection.detach(self.clock())

    def _name(self, user_id: str) -> str:
        return self.store.users[user_id].username


def to_channel(channel_id: str) -> Json:
    """The `broadcast` of what concerns a channel."""
    return {"omit_users": None, "user_id": "", "channel_id": channel_id, "team_id": ""}


def to_user(user_id: str) -> Json:
    """The `broadcast` of what concerns one user alone."""
    return {"omit_users": None, "user_id": user_id, "channel_id": "", "team_id": ""}


def to_all() -> Json:
    """The `broadcast` of what concerns everybody."""
    return {"omit_users": None, "user_id": "", "channel_id": "", "team_id": ""}


def bearer(request: web.Request) -> str:
    """The token of the Authorization header, or an empty string."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() in ("bearer", "token") else ""


def abort(request: web.Request) -> None:
    """Cut the connection, with no answer and no close frame."""
    if request.transport is not None:
        request.transport.abort()


def _frame(message: WSMessage) -> Json:
    try:
        value: object = json.loads(cast("str", message.data))
    except json.JSONDecodeError:
        return {}
    return as_object(value)
