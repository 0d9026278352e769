"""The HTTP listener: presses of buttons on the callback's path, `/health`, `/ready`, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web
from attrs import frozen

from sm.web.press import NotAPress, Press, read_press

BODY_BYTES = 64 * 1024
BODY_WITHIN_S = 5.0
# Mattermost waits 30 s and then shows its user an error; a person has long pressed again.
ANSWER_WITHIN_S = 5.0
# Presses that may be on their way to the journal at once.
PRESSES_UNDER_WAY = 64
STOP_WITHIN_S = 5.0

STILL_WORKING = "Still working on it: the card will show what came of it. If it doesn't, press again."
NOT_OURS = "This button does not belong to a card of mine in this channel, so nothing was done."
NOT_READY = "I am just starting. Press again in a moment."
BUSY = "Too many buttons are being pressed at once. Press again in a moment."
FAILED = "Something went wrong here, and I don't know whether this press counts. If the card doesn't change, press again."

_log = structlog.get_logger(__name__)


@frozen
class PressAnswer:
    """What the presser alone is shown, if anything; `refused` is the reason by which it is counted, if it was."""

    ephemeral_text: str | None = None
    refused: str = ""


class CannotListen(Exception):
    """The address cannot be bound; the text says which and what to do."""


class WebServer:
    """`on_press` is called with presses whose MAC is right, and answers once they are committed.

    `refused_presses` counts what was turned away, by reason: `too_large`, `too_slow`, `not_json`, `malformed`,
    `no_mac`, `bad_mac`, `not_ready`, `busy`, and whatever `on_press` names.
    """

    def __init__(
        self,
        *,
        callback_path: str,
        on_press: Callable[[Press], Awaitable[PressAnswer]],
        ready: Callable[[], bool],
        secret: bytes,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        if not callback_path.startswith("/") or callback_path in ("/health", "/ready"):
            raise ValueError("the callback needs a path of its own")
        self._on_press = on_press
        self._ready = ready
        self._secret = secret
        self._answer_within_s = answer_within_s
        self._under_way: set[asyncio.Task[PressAnswer]] = set()
        self._runner: web.AppRunner | None = None
        self.refused_presses: Counter[str] = Counter()
        self._app = web.Application(client_max_size=BODY_BYTES)
        self._app.router.add_post(callback_path, self._press)
        self._app.router.add_get("/health", self._health)
        self._app.router.add_get("/ready", self._readiness)

    @property
    def port(self) -> int:
        """The port that is bound; useful after `start(host, 0)`."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the listener is not running")
        return int(self._runner.addresses[0][1])

    async def start(self, host: str, port: int) -> None:
        """Bind and serve. Raises `CannotListen`."""
        runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=STOP_WITHIN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            await runner.cleanup()
            raise CannotListen(
                f"Cannot listen on {host} port {port} ({error.strerror or error}): stop what listens there, or set "
                "SM_LISTEN_ADDR to another address."
            ) from None
        self._runner = runner

    async def stop(self) -> None:
        """Take no more requests, let those under way end, and give up what takes longer than a few seconds."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=STOP_WITHIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readiness(self, _request: web.Request) -> web.Response:
        if self._ready():
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "starting"}, status=503)

    async def _press(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                content = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._unreadable("too_large", 413)
        except TimeoutError:
            return self._unreadable("too_slow", 408)
        try:
            body: Any = json.loads(content)
        except (ValueError, RecursionError):
            return self._unreadable("not_json", 400)
        try:
            press = read_press(body, self._secret)
        except NotAPress as finding:
            if finding.reason in ("no_mac", "bad_mac"):
                _log.warning("press_refused", reason=finding.reason, remote=request.remote)
                return self._turned_away(finding.reason, NOT_OURS)
            return self._unreadable(finding.reason, 400)
        if not self._ready():
            return self._turned_away("not_ready", NOT_READY)
        if len(self._under_way) >= PRESSES_UNDER_WAY:
            return self._turned_away("busy", BUSY)
        return await self._answered(press)

    async def _answered(self, press: Press) -> web.Response:
        task = asyncio.ensure_future(self._on_press(press))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        # `wait` leaves the task alone, when it is late as when the caller has hung up: a press goes its way.
        done, _ = await asyncio.wait({task}, timeout=self._answer_within_s)
        if not done:
            return _shown(STILL_WORKING)
        if task.cancelled() or task.exception() is not None:
            return _shown(FAILED)
        return _shown(task.result().ephemeral_text)

    def _ended(self, task: asyncio.Task[PressAnswer]) -> None:
        self._under_way.discard(task)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            _log.error("press_failed", exc_info=error)
        elif reason := task.result().refused:
            _log.warning("press_refused", reason=reason)
            self.refused_presses[reason] += 1

    def _turned_away(self, reason: str, text: str) -> web.Response:
        self.refused_presses[reason] += 1
        return _shown(text)

    def _unreadable(self, reason: str, status: int) -> web.Response:
        self.refused_presses[reason] += 1
        return web.json_response({"error": reason}, status=status)


def _shown(text: str | None) -> web.Response:
    """200 and JSON, the only thing that Mattermost takes for success."""
    return web.json_response({} if text is None else {"ephemeral_text": text})
