"""The WebSocket client against the sandbox's Mattermost, and against a scripted one for what only a bad day brings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sm.mattermost.client import MattermostClient
from sm.mattermost.socket import (
    DENIED_DELAY_S,
    FIRST_DELAY_S,
    MAX_DELAY_S,
    ChannelJoined,
    ChannelLeft,
    Connected,
    Disconnected,
    MattermostSocket,
    Posted,
    Reacted,
)
from sm.sandbox.mattermost.peer import MattermostPeer

from .kit import BOT, TOKEN, Waits, error_json, serving
from .test_frames import FIRST, SECOND, hello, posted

DEADLINE_S = 5.0


class Events:
    """The consumer's side, with a deadline on each wait."""

    def __init__(self, events: AsyncIterator[Any]) -> None:
        self._events = events

    async def next(self) -> Any:
        event = await asyncio.wait_for(anext(self._events), DEADLINE_S)
        return event.post.message if isinstance(event, Posted) else event

    async def take(self, count: int) -> list[Any]:
        return [await self.next() for _ in range(count)]


@asynccontextmanager
async def listening(http: aiohttp.ClientSession, url: str, token: str, **more: Any) -> AsyncIterator[Events]:
    socket = MattermostSocket(http, url, token, **{"bot_id": BOT, "sleep": Waits(), **more})
    async with aclosing(socket.events()) as events:
        yield Events(events)


async def say(client: MattermostClient, peer: MattermostPeer, message: str) -> None:
    await client.create_post(peer.channel_id, message, props={}, pending_post_id="")


# --- beside the sandbox's Mattermost ------------------------------------------------------------------------


@pytest.fixture
async def events(http: aiohttp.ClientSession, peer: MattermostPeer) -> AsyncIterator[Events]:
    async with listening(http, peer.url, peer.bot_token, bot_id=peer.user_id("claude")) as it:
        yield it


async def test_posts_of_all_come_in_order_the_bots_own_too(
    events: Events, bot: MattermostClient, james: MattermostClient, peer: MattermostPeer
) -> None:
    assert await events.next() == Connected(resumed=False)
    await say(james, peer, "one")
    await say(bot, peer, "two")
    await say(james, peer, "three")
    assert await events.take(3) == ["one", "two", "three"]


async def test_a_reaction_comes_in_order_with_the_posts(
    events: Events, james: MattermostClient, bot: MattermostClient, peer: MattermostPeer
) -> None:
    await events.next()
    card = await bot.create_post(peer.channel_id, "card", props={}, pending_post_id="")
    peer.react("sarah", card.id, "white_check_mark")
    await say(james, peer, "after")
    first, reacted, last = await events.take(3)
    assert (first, last) == ("card", "after")
    [listed] = await bot.reactions(card.id)
    sarah = peer.user_id("sarah")
    assert reacted == Reacted(card.id, peer.channel_id, sarah, "white_check_mark", listed.create_at_ms)


async def test_a_reaction_that_a_cut_connection_missed_arrives_when_it_is_resumed(
    events: Events, bot: MattermostClient, peer: MattermostPeer
) -> None:
    await events.next()
    card = await bot.create_post(peer.channel_id, "card", props={}, pending_post_id="")
    await events.next()
    peer.hub.drop("claude")
    peer.react("sarah", card.id, "x")
    assert isinstance(await events.next(), Disconnected)
    resumed, reacted = await events.take(2)
    assert (resumed, reacted.emoji) == (Connected(resumed=True), "x")


async def test_a_reaction_that_no_stream_kept_is_listed_on_its_post(
    events: Events, bot: MattermostClient, peer: MattermostPeer
) -> None:
    await events.next()
    card = await bot.create_post(peer.channel_id, "card", props={}, pending_post_id="")
    await events.next()
    peer.hub.drop("claude", forget=True)
    peer.react("sarah", card.id, "x")
    assert isinstance(await events.next(), Disconnected)
    assert await events.next() == Connected(resumed=False)
    assert [one.emoji for one in await bot.reactions(card.id)] == ["x"]


async def test_a_cut_connection_is_resumed_and_what_was_missed_arrives(
    events: Events, james: MattermostClient, peer: MattermostPeer
) -> None:
    await events.next()
    await say(james, peer, "before")
    await events.next()
    peer.hub.drop("claude")
    await say(james, peer, "meanwhile")
    assert isinstance(await events.next(), Disconnected)
    assert await events.take(2) == [Connected(resumed=True), "meanwhile"]


async def test_a_connection_that_missed_nothing_is_resumed_too(events: Events, peer: MattermostPeer) -> None:
    await events.next()
    peer.hub.drop("claude")
    assert isinstance(await events.next(), Disconnected)
    assert await events.next() == Connected(resumed=True)


async def test_a_server_that_forgot_the_stream_gives_a_new_one(
    events: Events, james: MattermostClient, peer: MattermostPeer
) -> None:
    await events.next()
    peer.hub.drop("claude", forget=True)
    await say(james, peer, "lost to the socket")
    assert isinstance(await events.next(), Disconnected)
    assert await events.next() == Connected(resumed=False)
    await say(james, peer, "seen")
    assert await events.next() == "seen"


async def test_a_number_that_never_comes_gives_a_new_stream_and_no_post_out_of_order(
    events: Events, james: MattermostClient, peer: MattermostPeer
) -> None:
    await events.next()
    peer.faults.arm("mattermost", "skip_event", match={"event": "posted"})
    await say(james, peer, "skipped")
    await say(james, peer, "behind it")
    assert isinstance(await events.next(), Disconnected)
    assert await events.next() == Connected(resumed=False)
    await say(james, peer, "later")
    assert await events.next() == "later"


async def test_a_silent_server_is_left_for_a_new_connection(
    http: aiohttp.ClientSession, peer: MattermostPeer
) -> None:
    peer.faults.arm("mattermost", "silent_websocket", match={"event": "hello"})
    more = {"bot_id": peer.user_id("claude"), "ping_interval_s": 0.1}
    async with listening(http, peer.url, peer.bot_token, **more) as events:
        assert await events.next() == Connected(resumed=False)
        lost = await events.next()
        assert "ping" in lost.reason
        assert isinstance(await events.next(), Connected)


async def test_a_quiet_server_that_answers_pings_is_kept(
    http: aiohttp.ClientSession, peer: MattermostPeer, james: MattermostClient
) -> None:
    more = {"bot_id": peer.user_id("claude"), "ping_interval_s": 0.05}
    async with listening(http, peer.url, peer.bot_token, **more) as events:
        await events.next()
        waiting = asyncio.create_task(events.next())
        await asyncio.wait([waiting], timeout=0.4)
        assert not waiting.done()
        await say(james, peer, "still here")
        assert await waiting == "still here"


async def test_a_consumer_that_takes_its_time_loses_nothing(
    http: aiohttp.ClientSession, peer: MattermostPeer, james: MattermostClient
) -> None:
    more = {"bot_id": peer.user_id("claude"), "ping_interval_s": 0.05}
    async with listening(http, peer.url, peer.bot_token, **more) as events:
        await events.next()
        for number in range(20):
            await say(james, peer, str(number))
        await events.next()
        await asyncio.wait([asyncio.create_task(asyncio.Event().wait())], timeout=0.3)
        assert await events.take(19) == [str(number) for number in range(1, 20)]


async def test_a_revoked_token_is_named_and_tried_again_slowly(
    http: aiohttp.ClientSession, peer: MattermostPeer
) -> None:
    waits = Waits()
    peer.faults.set_scale("mattermost.websocket", 0.01)
    more = {"bot_id": peer.user_id("claude"), "sleep": waits, "handshake_timeout_s": 1.0}
    async with listening(http, peer.url, peer.bot_token, **more) as events:
        await events.next()
        await peer.actions()["mattermost/revoke"]({"user": "claude"})
        peer.hub.drop("claude")
        reasons = [(await events.next()).reason for _ in range(2)]
        assert "SM_MATTERMOST_TOKEN" in reasons[1]
        assert peer.channel_id not in reasons[1]
        asking = asyncio.create_task(events.next())
        await asyncio.wait([asking], timeout=0.3)
        assert not asking.done()
        assert waits.seconds[1:3] == [DENIED_DELAY_S] * 2
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_joining_and_leaving_a_channel_is_told(events: Events, peer: MattermostPeer) -> None:
    await events.next()
    made = await peer.actions()["mattermost/channel"]({"name": "other", "members": ["james"]})
    await peer.actions()["mattermost/join"]({"channel": "other", "user": "claude"})
    await peer.actions()["mattermost/leave"]({"channel": "other", "user": "claude"})
    told = [event for event in await events.take(3) if not isinstance(event, str)]
    assert told == [ChannelJoined(made["id"]), ChannelLeft(made["id"])]


# --- beside a scripted server -------------------------------------------------------------------------------

Scene = Callable[[web.WebSocketResponse, web.Request], Awaitable[None]]


class Stage:
    """Plays one scene a connection, the last one again and again; keeps the handshakes and what the client sent."""

    def __init__(self, *scenes: Scene | web.Response) -> None:
        self.scenes = list(scenes)
        self.handshakes: list[tuple[dict[str, str], dict[str, str]]] = []
        self.received: list[str] = []
        self.rest: Callable[[], web.Response] = lambda: web.json_response({"id": BOT, "username": "claude"})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("/websocket"):
            return self.rest()
        self.handshakes.append((dict(request.query), dict(request.headers)))
        scene = self.scenes.pop(0) if len(self.scenes) > 1 else self.scenes[0]
        if isinstance(scene, web.Response):
            return web.Response(status=scene.status, body=scene.body, headers=scene.headers)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await scene(ws, request)
        return ws

    def plays(self, *frames: str, cut: bool = False) -> Scene:
        """Send these, then answer pings for ever (or cut)."""

        async def scene(ws: web.WebSocketResponse, request: web.Request) -> None:
            for frame in frames:
                await ws.send_str(frame)
            if cut:
                assert request.transport is not None
                request.transport.abort()
                return
            async for message in ws:
                self.received.append(message.data)
                await ws.send_str(json.dumps({"status": "OK", "seq_reply": json.loads(message.data)["seq"]}))

        return scene


async def test_the_handshake_carries_the_token_in_its_header_and_resumes_by_number(
    http: aiohttp.ClientSession,
) -> None:
    stage = Stage()
    stage.scenes = [stage.plays(hello(FIRST), posted(1, 1), cut=True), stage.plays(posted(2, 2))]
    async with serving(stage.handle) as url, listening(http, url, TOKEN) as events:
        assert await events.take(2) == [Connected(resumed=False), "m1"]
        assert isinstance(await events.next(), Disconnected)
        assert await events.take(2) == [Connected(resumed=True), "m2"]
    assert [query for query, _ in stage.handshakes] == [{}, {"connection_id": FIRST, "sequence_number": "2"}]
    assert all(headers["Authorization"] == f"Bearer {TOKEN}" for _, headers in stage.handshakes)
    assert all(len(frame) < 8192 and TOKEN not in frame for frame in stage.received)


async def test_a_gap_gives_a_new_stream_before_anything_later(http: aiohttp.ClientSession) -> None:
    stage = Stage()
    stage.scenes = [
        stage.plays(hello(FIRST), posted(1, 1), posted(3, 3)),
        stage.plays(hello(SECOND), posted(4, 1)),
    ]
    async with serving(stage.handle) as url, listening(http, url, TOKEN) as events:
        assert await events.take(2) == [Connected(resumed=False), "m1"]
        assert "missing" in (await events.next()).reason
        assert await events.take(2) == [Connected(resumed=False), "m4"]
    assert [query for query, _ in stage.handshakes] == [{}, {}]


async def test_events_out_of_order_are_never_given_out_of_order(http: aiohttp.ClientSession) -> None:
    stage = Stage()
    stage.scenes = [
        stage.plays(hello(FIRST), posted(2, 2), posted(1, 1)),
        stage.plays(hello(SECOND)),
    ]
    async with serving(stage.handle) as url, listening(http, url, TOKEN) as events:
        assert await events.next() == Connected(resumed=False)
        assert isinstance(await events.next(), Disconnected)
        assert await events.next() == Connected(resumed=False)


async def test_a_frame_too_large_to_read_is_not_asked_for_again(http: aiohttp.ClientSession) -> None:
    stage = Stage()
    stage.scenes = [stage.plays(hello(FIRST), "x" * 20_000), stage.plays(hello(SECOND))]
    async with serving(stage.handle) as url, listening(http, url, TOKEN, max_frame_bytes=10_000) as events:
        assert await events.next() == Connected(resumed=False)
        assert isinstance(await events.next(), Disconnected)
        assert await events.next() == Connected(resumed=False)
    assert stage.handshakes[1][0] == {}


async def test_a_large_post_is_read(http: aiohttp.ClientSession) -> None:
    stage = Stage()
    big = json.loads(posted(1, 1))
    post = json.loads(big["data"]["post"]) | {"message": "\U0001f600" * 16383, "props": {"x": "<" * 100_000}}
    big["data"]["post"] = json.dumps(post)
    stage.scenes = [stage.plays(hello(FIRST), json.dumps(big))]
    async with serving(stage.handle) as url, listening(http, url, TOKEN) as events:
        await events.next()
        assert len(await events.next()) == 16383


async def test_binary_and_malformed_frames_are_skipped(http: aiohttp.ClientSession) -> None:
    stage = Stage()

    async def scene(ws: web.WebSocketResponse, request: web.Request) -> None:
        await ws.send_str(hello(FIRST))
        await ws.send_bytes(b"\x00\x01")
        await ws.send_str("{broken")
        await stage.plays(posted(1, 1))(ws, request)

    stage.scenes = [scene]
    async with serving(stage.handle) as url, listening(http, url, TOKEN) as events:
        assert await events.take(2) == [Connected(resumed=False), "m1"]


async def test_a_refused_handshake_with_a_bad_token_is_slow_and_names_the_setting(
    http: aiohttp.ClientSession,
) -> None:
    stage, waits = Stage(error_json("api.context.session_expired.app_error", 401)), Waits()
    stage.rest = lambda: error_json("api.context.session_expired.app_error", 401)
    async with serving(stage.handle) as url, listening(http, url, TOKEN, sleep=waits) as events:
        reason = (await events.next()).reason
        assert "SM_MATTERMOST_TOKEN" in reason
        assert TOKEN not in reason
        asking = asyncio.create_task(events.next())
        await asyncio.wait([asking], timeout=0.1)
        assert not asking.done()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert set(waits.seconds) == {DENIED_DELAY_S}


async def test_a_connection_that_is_never_greeted_is_given_up(http: aiohttp.ClientSession) -> None:
    stage = Stage()
    stage.scenes = [stage.plays(), stage.plays(hello(FIRST))]
    async with serving(stage.handle) as url, listening(http, url, TOKEN, handshake_timeout_s=0.1) as events:
        assert "no hello" in (await events.next()).reason
        assert await events.next() == Connected(resumed=False)


async def test_a_429_at_the_handshake_is_waited_for_as_asked(http: aiohttp.ClientSession) -> None:
    stage, waits = Stage(), Waits()
    limited = web.Response(status=429, text="limit exceeded\n", headers={"Retry-After": "7"})
    stage.scenes = [limited, stage.plays(hello(FIRST))]
    async with serving(stage.handle) as url, listening(http, url, TOKEN, sleep=waits) as events:
        assert "429" in (await events.next()).reason
        assert await events.next() == Connected(resumed=False)
    assert waits.seconds == [7]


async def test_an_outage_is_said_once_and_retried_later_and_later_up_to_a_bound(
    http: aiohttp.ClientSession,
) -> None:
    waits = Waits()
    stage = Stage(web.Response(status=502))
    async with serving(stage.handle) as url, listening(http, url, TOKEN, sleep=waits) as events:
        assert "502" in (await events.next()).reason
        asking = asyncio.create_task(events.next())
        await asyncio.wait_for(waits.reach(9), DEADLINE_S)
        stage.scenes = [stage.plays(hello(FIRST))]
        assert await asking == Connected(resumed=False)
    assert waits.seconds[:3] == [FIRST_DELAY_S, FIRST_DELAY_S * 2, FIRST_DELAY_S * 4]
    assert waits.seconds[8] == MAX_DELAY_S


async def test_nobody_at_the_port_is_an_outage_too(http: aiohttp.ClientSession) -> None:
    async with listening(http, "http://127.0.0.1:1", TOKEN) as events:
        assert "127.0.0.1" in (await events.next()).reason


async def test_closing_the_stream_closes_the_connection_at_once(http: aiohttp.ClientSession) -> None:
    stage, closed = Stage(), asyncio.Event()

    async def scene(ws: web.WebSocketResponse, request: web.Request) -> None:
        await stage.plays(hello(FIRST))(ws, request)
        closed.set()

    stage.scenes = [scene]
    async with serving(stage.handle) as url:
        async with listening(http, url, TOKEN) as events:
            await events.next()
            assert not closed.is_set()
        await asyncio.wait_for(closed.wait(), DEADLINE_S)
