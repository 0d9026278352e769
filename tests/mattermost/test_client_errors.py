"""What each kind of failure of Mattermost's REST API becomes."""

from __future__ import annotations

import asyncio
import logging
import traceback

import aiohttp
import pytest
from aiohttp import web

from sm.core.outcome import PeerError, Refused, Unreachable
from sm.mattermost import transport
from sm.mattermost.client import MattermostClient

from .kit import BOT, CHANNEL, JAMES, TOKEN, Script, Waits, error_json, post_json


async def post(client: MattermostClient) -> object:
    return await client.create_post(CHANNEL, "hello", props={"sm_command": "c"}, pending_post_id=f"{BOT}:c")


@pytest.mark.parametrize(
    ("error_id", "status", "code"),
    [
        ("api.context.session_expired.app_error", 401, "unauthorized"),
        ("api.context.permissions.app_error", 403, "forbidden"),
        ("app.post.get.app_error", 404, "not_found"),
        ("model.post.is_valid.msg.app_error", 400, "too_long"),
        ("model.post.is_valid.message_length.app_error", 400, "too_long"),
        ("model.post.is_valid.props.app_error", 400, "too_long"),
        ("api.post.create_post.root_id.app_error", 400, "root_missing"),
        ("api.post.create_post.can_not_post_to_deleted.error", 400, "channel_archived"),
        ("api.context.invalid_body_param.app_error", 400, "bad_request"),
        ("api.something.new", 422, "bad_request"),
    ],
)
async def test_a_4xx_in_mattermosts_words_is_refused_with_a_code(
    client: MattermostClient, script: Script, error_id: str, status: int, code: str
) -> None:
    script.answers = [error_json(error_id, status, "You may not.")]
    with pytest.raises(Refused, match="You may not") as caught:
        await post(client)
    assert caught.value.code == code
    assert len(script.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
async def test_a_4xx_that_is_not_mattermosts_is_unreachable(
    client: MattermostClient, script: Script, status: int
) -> None:
    script.answers = [web.Response(status=status, text="<html>no such backend</html>")]
    with pytest.raises(Unreachable, match="proxy"):
        await client.is_member(CHANNEL, JAMES)


async def test_a_413_of_a_proxy_is_refused_as_too_long(client: MattermostClient, script: Script) -> None:
    script.answers = [web.Response(status=413, text="<html>")]
    with pytest.raises(Refused) as caught:
        await post(client)
    assert caught.value.code == "too_long"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
async def test_a_5xx_is_unreachable_and_not_repeated(
    client: MattermostClient, script: Script, status: int
) -> None:
    script.answers = [web.Response(status=status, text="", headers={"Retry-After": "7"})]
    with pytest.raises(Unreachable, match=str(status)) as caught:
        await post(client)
    assert caught.value.retry_after_s == 7
    assert len(script.requests) == 1


async def test_a_pending_duplicate_is_unreachable(client: MattermostClient, script: Script) -> None:
    script.answers = [error_json("api.post.deduplicate_create_post.pending", 500)]
    with pytest.raises(Unreachable, match="deduplicate_create_post"):
        await post(client)


def limited(**headers: str) -> web.Response:
    return web.Response(
        status=429, text="limit exceeded\n", headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


async def test_a_429_is_waited_for_and_the_request_sent_again(
    client: MattermostClient, script: Script, waits: Waits
) -> None:
    script.answers = [
        limited(Retry_After="3"),
        limited(X_RateLimit_Reset="2"),
        limited(),
        web.json_response(post_json(1), status=201),
    ]
    await post(client)
    assert waits.seconds == [3, 2, 1]
    assert len({body for _method, _path, _headers, body in script.requests}) == 1


async def test_a_429_without_end_is_unreachable_with_the_servers_wish(
    client: MattermostClient, script: Script, waits: Waits
) -> None:
    script.answers = [limited(Retry_After="3")]
    with pytest.raises(Unreachable, match="rate") as caught:
        await post(client)
    assert caught.value.retry_after_s == 3
    assert len(script.requests) == transport.RATE_LIMIT_ATTEMPTS
    assert len(waits.seconds) == transport.RATE_LIMIT_ATTEMPTS - 1


async def test_a_429_that_asks_for_an_hour_is_not_waited_for(
    client: MattermostClient, script: Script, waits: Waits
) -> None:
    script.answers = [limited(Retry_After="3600")]
    with pytest.raises(Unreachable) as caught:
        await post(client)
    assert caught.value.retry_after_s == 3600
    assert waits.seconds == []


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", ""])
async def test_a_429_with_a_senseless_wait_is_tried_again_after_a_second(
    client: MattermostClient, script: Script, waits: Waits, value: str
) -> None:
    script.answers = [limited(Retry_After=value), web.json_response(post_json(1), status=201)]
    await post(client)
    assert waits.seconds == [1]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"\xff\xfe",
        b'{"id":"api.context.permissions.app_error","message":"no","status_code":403}',
        b"[" * 100_000,
    ],
)
async def test_a_success_with_another_body_is_unreachable(
    client: MattermostClient, script: Script, body: bytes
) -> None:
    script.answers = [web.Response(status=201, body=body, content_type="application/json")]
    with pytest.raises(Unreachable):
        await post(client)


async def test_a_post_in_another_channel_than_asked_is_not_believed(
    client: MattermostClient, script: Script
) -> None:
    script.answers = [web.json_response(post_json(1, channel_id=BOT), status=201)]
    with pytest.raises(Unreachable):
        await post(client)


async def test_a_body_over_the_limit_is_not_read_to_its_end(
    client: MattermostClient, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 1000)
    script.answers = [web.Response(status=200, body=b"x" * 1_000_000)]
    with pytest.raises(Unreachable, match="larger"):
        await client.me()


async def test_a_server_that_does_not_answer_is_unreachable_after_the_time_limit(
    http: aiohttp.ClientSession, script: Script
) -> None:
    async def hold(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    script.answers = [hold]
    client = MattermostClient(http, script.url, TOKEN, timeout_s=0.1)
    with pytest.raises(Unreachable, match="in time"):
        await client.me()


async def test_a_lost_reply_is_unreachable(client: MattermostClient, script: Script) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    script.answers = [cut]
    with pytest.raises(Unreachable):
        await post(client)


async def test_a_refused_connection_is_unreachable(http: aiohttp.ClientSession) -> None:
    client = MattermostClient(http, "http://127.0.0.1:1", TOKEN)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        await client.me()


async def test_a_redirect_is_not_followed_and_named_without_its_query(
    client: MattermostClient, script: Script
) -> None:
    script.answers = [
        web.Response(status=302, headers={"Location": "https://login.example.com/x?code=SECRET"})
    ]
    with pytest.raises(Unreachable, match=r"https://login\.example\.com: SM_MATTERMOST_URL") as caught:
        await client.me()
    assert "SECRET" not in str(caught.value)
    assert len(script.requests) == 1


@pytest.mark.parametrize("bad", ["me", "..", "", "a/b", "x" * 26 + "?", "x" * 25, "\u00e9" * 26])
async def test_what_is_no_id_never_reaches_a_path(client: MattermostClient, script: Script, bad: str) -> None:
    for call in (
        client.user(bad),
        client.is_member(CHANNEL, bad),
        client.is_member(bad, JAMES),
        client.get_post(bad),
    ):
        with pytest.raises(Refused) as caught:
            await call
        assert caught.value.code == "bad_id"
    assert script.requests == []


async def test_the_token_is_in_the_header_and_in_no_error_repr_or_log(
    http: aiohttp.ClientSession, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 nonsense\r\n\r\n")
        request.transport.close()
        return web.Response()

    client = MattermostClient(http, script.url, TOKEN, timeout_s=5)
    script.answers = [error_json("x.y", 401), web.Response(status=502), cut]
    for _ in range(3):
        with pytest.raises(PeerError) as caught:
            await client.me()
        error: BaseException | None = caught.value
        while error is not None:
            assert TOKEN not in repr(error) + str(error) + repr(vars(error))
            error = error.__cause__ or error.__context__
        assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert all(headers["Authorization"] == f"Bearer {TOKEN}" for _m, _p, headers, _b in script.requests)
    assert all(TOKEN not in path for _m, path, _h, _b in script.requests)
    assert TOKEN not in repr(client) + caplog.text


@pytest.mark.parametrize(
    "url", ["mattermost.example.com", "ftp://x", "https://u:p@x", "https://x?token=1", "http://"]
)
async def test_a_url_that_is_none_is_refused_at_once(http: aiohttp.ClientSession, url: str) -> None:
    with pytest.raises(ValueError, match="Mattermost URL"):
        MattermostClient(http, url, TOKEN)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "pässword"])
async def test_a_token_that_is_none_is_refused_without_being_shown(
    http: aiohttp.ClientSession, token: str
) -> None:
    with pytest.raises(ValueError, match="one word") as caught:
        MattermostClient(http, "http://x", token)
    assert not token or token not in str(caught.value)
