"""Mattermost's WebSocket: every `posted` in order, for ever, with an honest word about each break.

Facts as observed on Mattermost 5.37: the token goes in the handshake's header (only then are the resume parameters
heeded); a bad one is let in, never greeted, and closed with 1006 after seconds. A ping right after the handshake shows
where a resumed stream stands. The server drops a client that is silent for about 100 s, and one that sends
a frame over 8192 bytes.
"""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress

import aiohttp

from sm.core.outcome import Refused, Unreachable
from sm.mattermost.client import MattermostClient
from sm.mattermost.frames import (
    ChannelJoined,
    ChannelLeft,
    Connected,
    Disconnected,
    LostError,
    Posted,
    Reacted,
    Sequence,
    SocketEvent,
)
from sm.mattermost.transport import api_url, bearer, describe, rate_limit_wait_s

#: A post of 16383 characters, escaped twice, beside props of 800000 characters.
MAX_FRAME_BYTES = 8 * 1024 * 1024
FIRST_DELAY_S = 0.5
MAX_DELAY_S = 30.0
DENIED_DELAY_S = 60.0

__all__ = [
    "ChannelJoined",
    "ChannelLeft",
    "Connected",
    "Disconnected",
    "MattermostSocket",
    "Posted",
    "Reacted",
    "SocketEvent",
]


class MattermostSocket:
    """One bot's event stream. `events()` is for one consumer at a time.

    `sleep` waits between connections; `ping_interval_s` is also how long the server may leave a ping unanswered;
    `handshake_timeout_s` bounds the handshake, and the wait for the server's first word after it.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        token: str,
        *,
        bot_id: str,
        ssl: ssl_module.SSLContext | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        ping_interval_s: float = 30.0,
        handshake_timeout_s: float = 20.0,
        max_frame_bytes: int = MAX_FRAME_BYTES,
    ) -> None:
        self._http = http
        self._address = api_url(url).joinpath("websocket")
        self._headers = bearer(token)
        self._client = MattermostClient(http, url, token, ssl=ssl, sleep=sleep)
        self._ssl = ssl if ssl is not None else True
        self._sleep = sleep
        self._ping_interval_s = ping_interval_s
        self._handshake_timeout_s = handshake_timeout_s
        self._max_frame_bytes = max_frame_bytes
        self._sequence = Sequence(bot_id)

    async def events(self) -> AsyncIterator[SocketEvent]:
        """What happens, for ever. After each loss the connection is made again, after 0.5 s and later up to 30 s.

        A post is given only when nothing between it and the last `Connected` is missing.
        """
        self._sequence.forget()
        clock = asyncio.get_running_loop().time
        failures, said = 0, ""
        while True:
            opened_at = clock()
            try:
                async with aclosing(self._connection()) as stream:
                    async for event in stream:
                        said = ""
                        yield event
                raise AssertionError("a connection ends with its reason")
            except LostError as error:
                lost = error
            if self._sequence.confirmed and clock() - opened_at >= self._ping_interval_s:
                failures = 0
            reason, delay_s = await self._diagnose(lost, failures)
            failures += 1
            if reason != said:
                said = reason
                yield Disconnected(reason)
            await self._sleep(delay_s)

    async def _diagnose(self, lost: LostError, failures: int) -> tuple[str, float]:
        """Why there is no connection, and the seconds to wait; asks over REST whether the token is good."""
        delay_s = min(FIRST_DELAY_S * 2 ** min(failures, 10), MAX_DELAY_S)
        if lost.wait_s is not None:
            return lost.reason, min(max(lost.wait_s, delay_s), DENIED_DELAY_S)
        if lost.denied:
            with suppress(Unreachable):
                try:
                    await self._client.me()
                except Refused as error:
                    return (
                        f"{error} Check SM_MATTERMOST_TOKEN: the token may be wrong, revoked or its bot disabled.",
                        (DENIED_DELAY_S),
                    )
        return lost.reason, delay_s

    async def _connection(self) -> AsyncGenerator[SocketEvent, None]:
        """One connection from the handshake to its end, which is always a LostError."""
        ws = await self._open()
        self._sequence.begin()
        try:
            async with aclosing(self._read(ws)) as stream:
                async for event in stream:
                    yield event
        finally:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                await ws.close()

    async def _open(self) -> aiohttp.ClientWebSocketResponse:
        self._sequence.begin()
        lost: LostError
        try:
            async with asyncio.timeout(self._handshake_timeout_s):
                return await self._http.ws_connect(
                    self._address.with_query(self._sequence.resume_query()),
                    headers=self._headers,
                    ssl=self._ssl,
                    max_msg_size=self._max_frame_bytes,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),  # pyright: ignore[reportCallIssue]
                )
        except aiohttp.WSServerHandshakeError as error:
            lost = LostError(
                f"Mattermost answered the WebSocket handshake with status {error.status}",
                denied=error.status in {401, 403},
                wait_s=rate_limit_wait_s(dict(error.headers or {})) if error.status == 429 else None,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            lost = LostError(f"no WebSocket connection to {self._address.origin()}: {describe(error)}")
        raise lost

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> AsyncGenerator[SocketEvent, None]:
        """The events of an open connection, pinging beside.

        The consumer may take its time over an event: the silence counted is only that of waiting for a frame.
        """
        clock = asyncio.get_running_loop().time
        greet_by = clock() + self._handshake_timeout_s
        ping_at, pings, heard = clock(), 0, True
        while True:
            if clock() >= ping_at:
                pings, heard = pings + 1, False
                await _ping(ws, pings)
                ping_at = clock() + self._ping_interval_s
            wait_until = ping_at if self._sequence.confirmed else min(ping_at, greet_by)
            try:
                message = await ws.receive(timeout=max(wait_until - clock(), 0.001))
            except TimeoutError:
                message = None
            if message is not None:
                heard = True
                for event in self._take(ws, message):
                    yield event
            elif not self._sequence.confirmed and clock() >= greet_by:
                raise LostError("the WebSocket was opened, and Mattermost said no hello", denied=True)
            elif not heard and clock() >= ping_at:
                raise LostError(f"Mattermost did not answer a ping within {self._ping_interval_s:g} s")

    def _take(self, ws: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage) -> list[SocketEvent]:
        if message.type is aiohttp.WSMsgType.TEXT:
            return self._sequence.take(message.data)
        if message.type not in _ENDS:
            return []
        code = ws.close_code
        if message.type is aiohttp.WSMsgType.ERROR or code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
            # Resumed, it would send the frame that we can't read again, and again.
            self._sequence.forget()
        raise LostError(f"the WebSocket was closed (code {code})", denied=not self._sequence.confirmed)


_ENDS = {
    aiohttp.WSMsgType.CLOSE,
    aiohttp.WSMsgType.CLOSING,
    aiohttp.WSMsgType.CLOSED,
    aiohttp.WSMsgType.ERROR,
}


async def _ping(ws: aiohttp.ClientWebSocketResponse, seq: int) -> None:
    try:
        await ws.send_json({"seq": seq, "action": "ping"})
    except (aiohttp.ClientError, OSError, RuntimeError):
        return  # closed meanwhile: the next receive says how
