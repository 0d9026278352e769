"""Presses of buttons: the sandbox's Mattermost calls the integration, as observed with Mattermost 5.37.

The call bears no signature; only status 200 with JSON counts as success; nothing keeps two presses apart.
"""

from __future__ import annotations

import base64
import json
import secrets
from typing import cast
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from attrs import frozen

from sm.sandbox.faults import Faults
from sm.sandbox.mattermost.posts import Posts
from sm.sandbox.mattermost.rest import (
    ApiError,
    allowed_in,
    answer,
    body_object,
    logged_in,
    no_permission,
    path_id,
)
from sm.sandbox.mattermost.rows import Post, User, new_id
from sm.sandbox.mattermost.shapes import Json, as_object, find_action, go_json, normalized_props
from sm.sandbox.mattermost.store import Store
from sm.sandbox.mattermost.websocket import PEER, Hub

PRESS_S = 30.0
MAX_ANSWER_BYTES = 1 << 20
MAX_RECORDED = 10_000
ALLOWED_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


@frozen
class Press:
    """What came of one press, for `GET /state`: `status` is the integration's, 0 when it gave none."""

    post_id: str
    action_id: str
    user_name: str
    trigger_id: str
    deliveries: int
    status: int
    ok: bool


class Actions:
    """`POST /posts/{id}/actions/{action}`: a person presses a button."""

    def __init__(self, store: Store, hub: Hub, posts: Posts, faults: Faults) -> None:
        self.store = store
        self.hub = hub
        self.posts = posts
        self.faults = faults
        self.presses: list[Press] = []
        self._client: aiohttp.ClientSession | None = None

    def routes(self) -> list[web.RouteDef]:
        """To be added under the API's prefix. An action id with any other character is no known path."""
        return [web.post("/posts/{post_id}/actions/{action_id:[A-Za-z0-9]+}", self._press)]

    async def close(self) -> None:
        """Close the connections to the integrations."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _press(self, request: web.Request) -> web.Response:
        user = logged_in(request, self.store)
        row = self.store.rows.get(path_id(request, "post_id"))
        if row is None or not allowed_in(self.store, row.channel_id, user):
            raise no_permission()
        post = self.store.live_post(row.id)
        if post is None:
            raise ApiError(404, "app.post.get.app_error", "Unable to get the post.")
        action_id = request.match_info["action_id"]
        action = find_action(post.props, action_id)
        if action is None:
            raise ApiError(404, "api.post.do_action.action_id.app_error", "Invalid action id.")
        integration = as_object(action["integration"])
        client_trigger_id, trigger_id = self._trigger(user)
        chosen = await body_object(request, "selected_option") if request.body_exists else {}
        body = self._body(user, post, action, trigger_id, _context(action, integration, chosen))
        context: Json = {"user": user.username, "action": action_id, "post_id": post.id}
        deliveries = 0 if self.faults.hit(PEER, "press_not_delivered", **context) else 1
        deliveries += bool(deliveries) and self.faults.hit(PEER, "press_delivered_twice", **context)
        status, reply = 0, None
        for _ in range(deliveries):
            status, reply = await self._call(str(integration["url"]), body)
        press = Press(post.id, action_id, user.username, trigger_id, deliveries, status, reply is not None)
        self.presses = [*self.presses[-MAX_RECORDED:], press]
        if reply is None:
            text = "Action integration error."
            raise ApiError(400, "api.post.do_action.action_integration.app_error", text)
        await self._apply(reply, post, user)
        return answer({"status": "OK", "trigger_id": client_trigger_id})

    def _trigger(self, user: User) -> tuple[str, str]:
        """The trigger id as the presser's client sees it, and as the integration gets it."""
        client_trigger_id = new_id()
        signature = base64.b64encode(secrets.token_bytes(70)).decode()
        parts = f"{client_trigger_id}:{user.id}:{int(self.store.clock() * 1000)}:{signature}"
        return client_trigger_id, base64.b64encode(parts.encode()).decode()

    def _body(self, user: User, post: Post, action: Json, trigger_id: str, context: Json) -> Json:
        channel = self.store.channels[post.channel_id]
        team = self.store.teams.get(channel.team_id)
        return {
            "user_id": user.id,
            "user_name": user.username,
            "channel_id": channel.id,
            "channel_name": channel.name,
            "team_id": channel.team_id,
            "team_domain": team.name if team is not None else "",
            "post_id": post.id,
            "trigger_id": trigger_id,
            "type": action.get("type", "button"),
            "data_source": action.get("data_source", ""),
            "context": context,
        }

    async def _call(self, url: str, body: Json) -> tuple[int, Json | None]:
        """Call the integration; answers its status (0 for none) and its JSON, None when that is no success.

        Only loopback is allowed, as if it stood alone in AllowedUntrustedInternalConnections.
        """
        if urlsplit(url).hostname not in ALLOWED_HOSTS:
            return 0, None
        if self._client is None:
            self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        timeout = aiohttp.ClientTimeout(total=max(0.05, PRESS_S * self.faults.scale("mattermost.press")))
        headers = {
            "User-Agent": "Mattermost-Bot/1.1",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Content-Type": "application/json",
        }
        try:
            async with self._client.post(
                url, data=go_json(body), headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                text = await response.content.read(MAX_ANSWER_BYTES)
                return response.status, _success(response.status, text)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return 0, None

    async def _apply(self, reply: Json, pressed: Post, user: User) -> None:
        """Do what the integration wants with the post, and show the presser what is for them alone."""
        post = self.store.live_post(pressed.id)
        update = as_object(reply.get("update"))
        if update and post is not None:
            props = update.get("props")
            new_props = post.props if props is None else normalized_props(as_object(props))
            await self.posts.revise(post, str(update.get("message") or ""), new_props)
        text = reply.get("ephemeral_text")
        if isinstance(text, str) and text:
            self._show(user, pressed, text)

    def _show(self, user: User, post: Post, text: str) -> None:
        now = self.store.now_ms()
        remark = Post(
            new_id(), now, 0, user.id, post.channel_id, text, post.root_id or post.id, type="system_ephemeral"
        )
        broadcast: Json = {
            "omit_users": None,
            "user_id": user.id,
            "channel_id": post.channel_id,
            "team_id": "",
        }
        shown = self.store.post_json(remark) | {"parent_id": ""}
        self.hub.publish("ephemeral_message", {"post": go_json(shown)}, broadcast)


def _context(action: Json, integration: Json, chosen: Json) -> Json:
    """What the integration gets beside who and where: as bound, and what was chosen from a menu."""
    context = dict(as_object(integration.get("context")))
    if action.get("type") == "select":
        context["selected_option"] = str(chosen.get("selected_option") or "")
    return context


def _success(status: int, text: bytes) -> Json | None:
    if status != 200:
        return None
    try:
        reply: object = json.loads(text)
    except ValueError:
        return None
    return cast("Json", reply) if isinstance(reply, dict) else None
