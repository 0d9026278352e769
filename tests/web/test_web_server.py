"""The listener: presses, health, readiness, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from sm.web.mac import card_context
from sm.web.press import Press
from sm.web.server import (
    BODY_BYTES,
    FAILED,
    NOT_OURS,
    NOT_READY,
    STILL_WORKING,
    CannotListen,
    PressAnswer,
    WebServer,
)

SECRET = b"s" * 32
CHANNEL = "c" * 26
OTHER_CHANNEL = "d" * 26


class Bench:
    """A listener with a caller beside it; `answer` is what `on_press` does."""

    def __init__(self) -> None:
        self.presses: list[Press] = []
        self.is_ready = True
        self.answer: Callable[[], Awaitable[PressAnswer]] = self.at_once
        self.server = WebServer(
            callback_path="/callback",
            on_press=self._on_press,
            ready=lambda: self.is_ready,
            secret=SECRET,
            answer_within_s=0.05,
        )
        self.http = aiohttp.ClientSession()

    async def at_once(self) -> PressAnswer:
        return PressAnswer()

    async def _on_press(self, press: Press) -> PressAnswer:
        self.presses.append(press)
        return await self.answer()

    async def ask(self, method: str, path: str, **how: Any) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{self.server.port}{path}"
        async with self.http.request(method, url, **how) as response:
            body = (
                await response.json()
                if response.content_type == "application/json"
                else await response.text()
            )
            return response.status, body

    async def press(self, **changes: Any) -> tuple[int, Any]:
        return await self.ask("POST", "/callback", json={**press_body(), **changes})


def press_body() -> dict[str, Any]:
    """A press as Mattermost 5.37 posts it."""
    return {
        "user_id": "u" * 26,
        "user_name": "james",
        "channel_id": CHANNEL,
        "channel_name": "ops",
        "team_id": "t" * 26,
        "team_domain": "lab",
        "post_id": "p" * 26,
        "trigger_id": "aXRlY2d3N280YmI1aXJzNWtndXFy+/9=",
        "type": "button",
        "data_source": "",
        "context": card_context(
            SECRET, card_id="card:1", request_id="r1", action="approve", channel_id=CHANNEL
        ),
    }


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.server.start("127.0.0.1", 0)
    yield bench
    await bench.http.close()
    await bench.server.stop()


async def test_a_press_of_our_button_reaches_the_service_with_all_its_fields(bench: Bench) -> None:
    assert await bench.press() == (200, {})
    assert bench.presses == [
        Press(
            card_id="card:1",
            request_id="r1",
            action="approve",
            channel_id=CHANNEL,
            user_id="u" * 26,
            user_name="james",
            post_id="p" * 26,
            trigger_id="aXRlY2d3N280YmI1aXJzNWtndXFy+/9=",
        )
    ]


async def test_what_the_service_says_is_shown_to_the_presser(bench: Bench) -> None:
    async def refuse() -> PressAnswer:
        return PressAnswer("You are not a member of this channel.", refused="not_a_member")

    bench.answer = refuse
    assert await bench.press() == (200, {"ephemeral_text": "You are not a member of this channel."})
    assert bench.server.refused_presses == {"not_a_member": 1}


async def test_a_forged_button_is_refused_and_counted_and_never_reaches_the_service(bench: Bench) -> None:
    forged = {**press_body()["context"], "action": "deny"}
    assert await bench.press(context=forged) == (200, {"ephemeral_text": NOT_OURS})
    assert bench.presses == []
    assert bench.server.refused_presses == {"bad_mac": 1}


async def test_our_buttons_context_in_another_channel_is_refused(bench: Bench) -> None:
    assert await bench.press(channel_id=OTHER_CHANNEL) == (200, {"ephemeral_text": NOT_OURS})
    assert bench.presses == []


@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": None},
        {"user_id": "U" * 26},
        {"user_id": "u" * 27},
        {"user_id": ["u" * 26]},
        {"user_name": "james\n"},
        {"user_name": "j" * 65},
        {"channel_id": ""},
        {"post_id": "../etc"},
        {"trigger_id": ""},
        {"trigger_id": "t" * 1025},
        {"trigger_id": 7},
        {"context": None},
        {"context": []},
        {"context": {"mac": 5}},
        {"context": {"card_id": "a b", "request_id": "r", "action": "approve", "mac": "0" * 64}},
        {"context": {"card_id": "c", "request_id": "r", "action": "Approve", "mac": "0" * 64}},
        {"context": {"card_id": "c", "request_id": "r", "action": "approve", "mac": "0" * 63}},
        {"context": {"card_id": "c", "request_id": "\ud800", "action": "approve", "mac": "0" * 64}},
    ],
)
async def test_a_field_of_another_shape_is_a_bad_request(bench: Bench, changes: dict[str, Any]) -> None:
    assert await bench.press(**changes) == (400, {"error": "malformed"})
    assert bench.presses == []
    assert bench.server.refused_presses == {"malformed": 1}


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 60_000])
async def test_what_is_no_json_is_a_bad_request(bench: Bench, data: bytes) -> None:
    assert await bench.ask("POST", "/callback", data=data) == (400, {"error": "not_json"})


@pytest.mark.parametrize("data", [b"[]", b"null", b"7", b'"press"'])
async def test_json_that_is_no_object_is_a_bad_request(bench: Bench, data: bytes) -> None:
    assert await bench.ask("POST", "/callback", data=data) == (400, {"error": "malformed"})


async def test_a_body_over_the_limit_is_refused(bench: Bench) -> None:
    assert await bench.ask("POST", "/callback", data=b"x" * (BODY_BYTES + 1)) == (413, {"error": "too_large"})
    assert bench.server.refused_presses == {"too_large": 1}


async def test_a_slow_decision_is_answered_in_time_and_goes_on(bench: Bench) -> None:
    go_on, ended = asyncio.Event(), asyncio.Event()

    async def slow() -> PressAnswer:
        await go_on.wait()
        ended.set()
        return PressAnswer()

    bench.answer = slow
    assert await bench.press() == (200, {"ephemeral_text": STILL_WORKING})
    go_on.set()
    await asyncio.wait_for(ended.wait(), 5)


async def test_a_failure_inside_is_said_without_its_text(bench: Bench) -> None:
    async def fail() -> PressAnswer:
        raise RuntimeError("secret detail")

    bench.answer = fail
    assert await bench.press() == (200, {"ephemeral_text": FAILED})


async def test_before_the_journal_is_recovered_a_press_is_asked_for_again(bench: Bench) -> None:
    bench.is_ready = False
    assert await bench.press() == (200, {"ephemeral_text": NOT_READY})
    assert bench.presses == []


async def test_health_says_that_the_process_answers_and_ready_that_it_can_record(bench: Bench) -> None:
    assert await bench.ask("GET", "/health") == (200, {"status": "ok"})
    assert await bench.ask("GET", "/ready") == (200, {"status": "ready"})
    bench.is_ready = False
    assert await bench.ask("GET", "/health") == (200, {"status": "ok"})
    assert await bench.ask("GET", "/ready") == (503, {"status": "starting"})


@pytest.mark.parametrize(
    "path", ["/", "/callback/", "/callback/x", "/metrics", "/../callback2", "/%63allback2"]
)
async def test_every_other_path_is_not_found(bench: Bench, path: str) -> None:
    status, _ = await bench.ask("POST", path, json=press_body())
    assert status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/callback"), ("PUT", "/callback"), ("POST", "/health"), ("DELETE", "/ready")],
)
async def test_another_method_is_not_allowed(bench: Bench, method: str, path: str) -> None:
    status, _ = await bench.ask(method, path)
    assert status == 405


async def test_an_address_in_use_is_said_with_what_to_do(bench: Bench) -> None:
    second = Bench()
    await second.http.close()
    with pytest.raises(CannotListen, match="SM_LISTEN_ADDR"):
        await second.server.start("127.0.0.1", bench.server.port)


async def test_stopping_lets_a_press_under_way_end(bench: Bench) -> None:
    go_on = asyncio.Event()

    async def slow() -> PressAnswer:
        await go_on.wait()
        return PressAnswer(refused="not_a_member")

    bench.answer = slow
    await bench.press()
    stopping = asyncio.create_task(bench.server.stop())
    go_on.set()
    await asyncio.wait_for(stopping, 5)
    assert bench.server.refused_presses == {"not_a_member": 1}
