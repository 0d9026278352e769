"""The sandbox's Mattermost as an HTTP server: errors in its shape, who is asking, and the faults of any request."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sm.sandbox.faults import Faults
from sm.sandbox.mattermost.rows import Channel, Post, User, new_id
from sm.sandbox.mattermost.shapes import Json, as_object, go_json
from sm.sandbox.mattermost.store import Store
from sm.sandbox.mattermost.websocket import PEER, SERVER_VERSION, bearer

SLOW_S = 5.0
LATE_S = 0.2
SAVE_S = 1.0
LATE_COMMIT_S = 1.0
PREFIX = "/api/v4"
_BOT = {"user": "claude"}


class ApiError(Exception):
    """An answer other than success, in Mattermost's shape."""

    def __init__(self, status: int, error_id: str, message: str, detailed: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.error_id = error_id
        self.detailed = detailed


def no_permission() -> ApiError:
    """403, which also hides what doesn't exist."""
    return ApiError(403, "api.context.permissions.app_error", "You do not have the appropriate permissions.")


def not_logged_in() -> ApiError:
    """401, whether the token is missing, wrong or revoked."""
    text = "Invalid or expired session, please login again."
    return ApiError(401, "api.context.session_expired.app_error", text)


def invalid_parameter(name: str) -> ApiError:
    """400 for what stands in the path or the query."""
    return ApiError(
        400, "api.context.invalid_url_param.app_error", f"Invalid or missing {name} parameter in request URL."
    )


def invalid_body(name: str) -> ApiError:
    """400 for what stands in the body."""
    return ApiError(
        400, "api.context.invalid_body_param.app_error", f"Invalid or missing {name} in request body."
    )


def declare_faults(faults: Faults) -> None:
    """Make the peer's faults and waits known. Faults of a request strike the bot's unless `match` names a user."""
    for name, description in (
        ("lost_request", "the connection is cut before anything happened"),
        ("lost_reply", "what was asked is done, then the connection is cut before the answer"),
        ("slow", "the request waits 5 s (mattermost.slow) before anything happens"),
        ("server_error", "500, and nothing happened"),
        ("proxy_error", "502 and a page of HTML by a proxy in between; nothing happened"),
        (
            "late_commit",
            "504 and a page of HTML by a proxy in between; what was asked is done 1 s (mattermost.late_commit) later",
        ),
        ("late_server_error", "500, but what was asked is done"),
        ("rate_limited", "429 as text/plain with Retry-After; nothing happened"),
        ("unauthorized", "401, as after the token was revoked"),
        (
            "slow_save",
            "a post takes 1 s (mattermost.save) to be saved; the same pending_post_id gets 500 meanwhile",
        ),
        ("drop_websocket", "the WebSocket is cut instead of delivering this event; it can be resumed"),
        ("silent_websocket", "the WebSocket stays open and brings nothing more, not even a pong"),
        ("skip_event", "the event's number is used up, and the WebSocket never brings it"),
    ):
        faults.declare(PEER, name, description, _BOT)
    for name, description in (
        ("duplicate_posted", "the posted event comes twice"),
        ("reorder_posted", "the posted event comes after the next one, or after 1 s (mattermost.held_back)"),
        (
            "late_posted",
            "the posted event comes 0.2 s (mattermost.late) after the answer to the POST, not before",
        ),
        ("same_millisecond", "the post gets the create_at of the one before it in the channel"),
        ("press_not_delivered", "a press never reaches the integration; the presser gets 400"),
        ("press_delivered_twice", "a press reaches the integration twice, with one trigger_id"),
        (
            "unknown_emoji",
            "404 for an emoji that the server does not know, as newer servers answer (5.37 takes any)",
        ),
        ("too_many_reactions", "400, as newer servers answer to the 51st different emoji on a post"),
        ("null_reactions", "null for a post with no reactions, as newer servers answer"),
    ):
        faults.declare(PEER, name, description)
    for name, description in (
        ("deduplication", "30 s in which a pending_post_id is remembered"),
        ("press", "30 s that an integration has to answer a press"),
        ("slow", "5 s of the fault slow"),
        ("save", "1 s of the fault slow_save"),
        ("late", "0.2 s of the fault late_posted"),
        ("held_back", "1 s of the fault reorder_posted"),
        ("late_commit", "1 s of the fault late_commit"),
        ("resume", "5 min in which a lost WebSocket can be resumed"),
        ("websocket", "5 s to authenticate, 60 s between pings, 100 s until a silent client is cut"),
    ):
        faults.declare_scale(f"{PEER}.{name}", description)


def middleware(store: Store, faults: Faults) -> Middleware:
    """What surrounds every request: its id, its faults, and who asks."""
    late: set[asyncio.Task[None]] = set()

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = new_id()
        try:
            context = await _context(request, store)
            early = await _strike_before(request, faults, context)
            if early is None and faults.hit(PEER, "late_commit", **context):
                early = await _later(
                    request, handler, LATE_COMMIT_S * faults.scale("mattermost.late_commit"), late
                )
            response: web.StreamResponse = early or await handler(request)
        except (ApiError, web.HTTPException) as error:
            return error_response(_as_api_error(error, request), request_id)
        if early is None and not response.prepared:
            if faults.hit(PEER, "lost_reply", **context):
                return hang_up(request)
            if faults.hit(PEER, "late_server_error", **context):
                return error_response(
                    ApiError(500, "api.sandbox.app_error", "Something went wrong."), request_id
                )
        if early is None and not response.prepared:
            response.headers["X-Request-Id"] = request_id
            response.headers["X-Version-Id"] = SERVER_VERSION
        return response

    return around


async def _context(request: web.Request, store: Store) -> Json:
    """What a fault can be matched against: method, path, the user's name, and the message of a post."""
    user = store.user_of(bearer(request))
    context: Json = {
        "method": request.method,
        "path": request.path,
        "user": user.username if user is not None else "",
        "message": "",
    }
    if request.content_type == "application/json" and request.can_read_body:
        context["message"] = as_object(_parsed(await request.text())).get("message", "")
    return context


async def _strike_before(request: web.Request, faults: Faults, context: Json) -> web.Response | None:
    if faults.hit(PEER, "lost_request", **context):
        return hang_up(request)
    if faults.hit(PEER, "slow", **context):
        await asyncio.sleep(SLOW_S * faults.scale("mattermost.slow"))
    if faults.hit(PEER, "rate_limited", **context):
        headers = {
            "Retry-After": "1",
            "X-RateLimit-Limit": "100",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": "1",
        }
        return web.Response(status=429, text="limit exceeded\n", content_type="text/plain", headers=headers)
    if faults.hit(PEER, "proxy_error", **context):
        return proxy_page(502, "Bad Gateway")
    if faults.hit(PEER, "server_error", **context):
        raise ApiError(500, "api.sandbox.app_error", "Something went wrong.")
    if faults.hit(PEER, "unauthorized", **context):
        raise not_logged_in()
    return None


async def _later(
    request: web.Request, handler: Handler, seconds: float, late: set[asyncio.Task[None]]
) -> web.Response:
    """Give the client a proxy's refusal now, and do what it asked afterwards."""
    await request.read()

    async def commit() -> None:
        await asyncio.sleep(seconds)
        with contextlib.suppress(ApiError, web.HTTPException):
            await handler(request)

    task = asyncio.create_task(commit(), name="mattermost late commit")
    late.add(task)
    task.add_done_callback(late.discard)
    return proxy_page(504, "Gateway Time-out")


def proxy_page(status: int, reason: str) -> web.Response:
    """What a proxy in front of the server says in its own words."""
    title = f"{status} {reason}"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return web.Response(text=page, status=status, content_type="text/html", headers={"Server": "nginx"})


def hang_up(request: web.Request) -> web.Response:
    """Cut the connection; the response goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def error_response(error: ApiError, request_id: str) -> web.Response:
    """The error's JSON; a path that the API doesn't know is said as text/plain, and without the request's id."""
    body: Json = {
        "id": error.error_id,
        "message": str(error),
        "detailed_error": error.detailed,
        "request_id": request_id,
        "status_code": error.status,
    }
    if error.error_id == "api.context.404.app_error":
        del body["request_id"]
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        return web.Response(body=go_json(body).encode(), status=error.status, headers=headers)
    headers = {"Content-Type": "application/json", "X-Request-Id": request_id, "X-Version-Id": SERVER_VERSION}
    return web.Response(body=go_json(body).encode(), status=error.status, headers=headers)


def _as_api_error(error: ApiError | web.HTTPException, request: web.Request) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if error.status in (404, 405):
        detailed = (
            f"There doesn't appear to be an api call for the url='{request.path}'.  "
            "Typo? are you missing a team_id or user_id as part of the url?"
        )
        text = "Sorry, we could not find the page."
        return ApiError(404, "api.context.404.app_error", text, detailed)
    return ApiError(error.status, "api.sandbox.app_error", error.reason)


def answer(value: object, status: int = 200) -> web.Response:
    """A JSON answer; the server names no charset."""
    headers = {"Content-Type": "application/json"}
    return web.Response(body=go_json(value).encode(), status=status, headers=headers)


def ok() -> web.Response:
    """`{"status":"OK"}`."""
    return answer({"status": "OK"})


def logged_in(request: web.Request, store: Store) -> User:
    """Who asks. Raises 401."""
    user = store.user_of(bearer(request))
    if user is None:
        raise not_logged_in()
    return user


def user_in_path(request: web.Request, store: Store, asking: User) -> User:
    """The user that `{user_id}` names, `me` being who asks. Raises 400, 404."""
    user_id = path_id(request, "user_id", also="me")
    if user_id == "me":
        return asking
    user = store.users.get(user_id)
    if user is None:
        raise ApiError(404, "app.user.missing_account.const", "Unable to find the user.")
    return user


def readable_post(request: web.Request, store: Store) -> Post:
    """The live post that `{post_id}` names, for a member of its channel. Raises 401, 403, 404."""
    user = logged_in(request, store)
    post = store.live_post(path_id(request, "post_id"))
    if post is None:
        raise ApiError(404, "app.post.get.app_error", "Unable to get the post.")
    if not allowed_in(store, post.channel_id, user):
        raise no_permission()
    return post


def allowed_in(store: Store, channel_id: str, user: User) -> bool:
    """Whether the user may read, write, press and react in the channel: members may, and system administrators."""
    return channel_id in store.channels and (store.is_member(channel_id, user.id) or user.is_admin)


def channel_in_path(request: web.Request, store: Store, asking: User) -> Channel:
    """The channel that `{channel_id}` names, for who may read it. Raises 403, also when there is none."""
    channel_id = path_id(request, "channel_id")
    if not allowed_in(store, channel_id, asking):
        raise no_permission()
    return store.channels[channel_id]


def path_id(request: web.Request, name: str, also: str = "") -> str:
    """An id out of the path. Raises 400 when it doesn't look like one."""
    value = request.match_info[name]
    if value != also and not is_id(value):
        raise invalid_parameter(name)
    return value


def is_id(value: str) -> bool:
    """Whether it looks like one of the server's ids."""
    return len(value) == 26 and value.isascii() and value.isalnum()


async def body_object(request: web.Request, what: str) -> Json:
    """The request's JSON object. Raises 400."""
    value = _parsed(await request.text())
    if not isinstance(value, dict):
        raise invalid_body(what)
    return cast("Json", value)


async def body_list(request: web.Request, what: str) -> list[object]:
    """The request's JSON array. Raises 400."""
    value = _parsed(await request.text())
    if not isinstance(value, list):
        raise invalid_body(what)
    return cast("list[object]", value)


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None
