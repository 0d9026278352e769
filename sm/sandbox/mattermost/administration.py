"""What administrators of the sandbox's Mattermost do: tokens, deactivated users and bots, archived channels.

Tokens and bots as observed with Mattermost 5.37: a disabled bot's token is worth nothing until it is enabled again,
and its open WebSockets stay open and bring nothing more. Archiving is told from the server's source.
"""

from __future__ import annotations

from aiohttp import web

from sm.sandbox.mattermost.posts import Posts
from sm.sandbox.mattermost.rest import (
    answer,
    body_object,
    logged_in,
    no_permission,
    ok,
    path_id,
    user_in_path,
)
from sm.sandbox.mattermost.rows import Channel, User, new_id
from sm.sandbox.mattermost.shapes import Json
from sm.sandbox.mattermost.store import Store
from sm.sandbox.mattermost.websocket import Hub, to_all, to_channel


class Administration:
    """The REST calls of administrators, and the same for the control server."""

    def __init__(self, store: Store, hub: Hub, posts: Posts) -> None:
        self.store = store
        self.hub = hub
        self.posts = posts

    def routes(self) -> list[web.RouteDef]:
        """To be added under the API's prefix."""
        return [
            web.post("/users/{user_id}/tokens", self._make_token),
            web.post("/users/tokens/revoke", self._revoke_token),
            web.post("/bots/{user_id}/disable", self._disable),
            web.post("/bots/{user_id}/enable", self._enable),
            web.put("/users/{user_id}/active", self._set_active),
            web.delete("/channels/{channel_id}", self._archive),
        ]

    def activate(self, user: User, *, active: bool) -> User:
        """Deactivate a user or take that back, and tell everybody but the user."""
        if not active:
            self.hub.end_sessions(user.id)
        changed = self.store.activate(user, active=active)
        self.hub.publish("user_updated", {"user": changed.to_json()}, to_all())
        return changed

    def archive(self, channel: Channel, by: User, *, archived: bool = True) -> None:
        """Archive a channel, with a remark in it; or take that back."""
        word = "archived" if archived else "unarchived"
        kind = "system_channel_deleted" if archived else "system_channel_restored"
        text, props = f"{by.username} {word} the channel.", {"username": by.username}
        if archived:
            self.posts.system_post(by, channel.id, kind, text, dict[str, object](props))
        changed = self.store.archive(channel, archived=archived)
        data: Json = {"channel_id": channel.id}
        if archived:
            data["delete_at"] = changed.delete_at
        self.hub.publish(f"channel_{'deleted' if archived else 'restored'}", data, to_channel(channel.id))
        if not archived:
            self.posts.system_post(by, channel.id, kind, text, dict[str, object](props))

    def _administrator(self, request: web.Request) -> User:
        user = logged_in(request, self.store)
        if not user.is_admin:
            raise no_permission()
        return user

    async def _make_token(self, request: web.Request) -> web.Response:
        user = user_in_path(request, self.store, self._administrator(request))
        body = await body_object(request, "access_token")
        token_id = new_id()
        token = self.store.add_token(user.id, token_id)
        return answer(
            {
                "id": token_id,
                "token": token,
                "user_id": user.id,
                "description": str(body.get("description") or ""),
                "is_active": True,
            }
        )

    async def _revoke_token(self, request: web.Request) -> web.Response:
        """The token is worth nothing from now on; a WebSocket that was opened with it goes on."""
        self._administrator(request)
        body = await body_object(request, "token_id")
        self.store.tokens.pop(self.store.token_ids.pop(str(body.get("token_id")), ""), None)
        return ok()

    async def _disable(self, request: web.Request) -> web.Response:
        return self._bot(request, active=False)

    async def _enable(self, request: web.Request) -> web.Response:
        return self._bot(request, active=True)

    def _bot(self, request: web.Request, *, active: bool) -> web.Response:
        admin = self._administrator(request)
        bot = user_in_path(request, self.store, admin)
        if not bot.is_bot:
            raise no_permission()
        return answer(self.activate(bot, active=active).bot_json(admin.id))

    async def _set_active(self, request: web.Request) -> web.Response:
        user = user_in_path(request, self.store, self._administrator(request))
        body = await body_object(request, "active")
        self.activate(user, active=body.get("active") is True)
        return ok()

    async def _archive(self, request: web.Request) -> web.Response:
        user = logged_in(request, self.store)
        channel = self.store.channels.get(path_id(request, "channel_id"))
        if channel is None or not self.store.is_member(channel.id, user.id) or user.is_bot:
            raise no_permission()
        self.archive(channel, user)
        return ok()
