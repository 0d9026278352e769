"""Reactions in the sandbox's Mattermost: one emoji by one user on one post (5.37, observed)."""

from __future__ import annotations

import re

import attrs
from aiohttp import web

from sm.sandbox.mattermost.rest import (
    answer,
    body_object,
    invalid_body,
    logged_in,
    no_permission,
    ok,
    readable_post,
    user_in_path,
)
from sm.sandbox.mattermost.rows import Post, Reaction
from sm.sandbox.mattermost.shapes import go_json
from sm.sandbox.mattermost.store import Store
from sm.sandbox.mattermost.websocket import Hub, to_channel


class Reactions:
    """The REST calls about reactions."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self.store = store
        self.hub = hub

    def routes(self) -> list[web.RouteDef]:
        """To be added under the API's prefix."""
        return [
            web.get("/posts/{post_id}/reactions", self._list),
            web.post("/reactions", self._react),
            web.delete("/users/{user_id}/posts/{post_id}/reactions/{emoji}", self._unreact),
        ]

    async def _react(self, request: web.Request) -> web.Response:
        user = logged_in(request, self.store)
        body = await body_object(request, "reaction")
        emoji = str(body.get("emoji_name"))
        if body.get("user_id") != user.id or not re.fullmatch(r"[a-z0-9_+-]{1,64}", emoji):
            raise invalid_body("reaction")
        post = self.store.live_post(str(body.get("post_id")))
        if post is None or not self.store.is_member(post.channel_id, user.id):
            raise no_permission()
        reaction = Reaction(user.id, post.id, emoji, self.store.now_ms())
        if not any(
            attrs.evolve(r, create_at=0) == attrs.evolve(reaction, create_at=0) for r in self._on(post)
        ):
            self.store.reactions.append(reaction)
            self._tell("reaction_added", reaction, post)
        return answer(reaction.to_json())

    async def _unreact(self, request: web.Request) -> web.Response:
        asking = logged_in(request, self.store)
        user = user_in_path(request, self.store, asking)
        post = readable_post(request, self.store)
        if user != asking:
            raise no_permission()
        for reaction in self._on(post):
            if (reaction.user_id, reaction.emoji_name) == (user.id, request.match_info["emoji"]):
                self.store.reactions.remove(reaction)
                self._tell("reaction_removed", reaction, post)
        return ok()

    async def _list(self, request: web.Request) -> web.Response:
        return answer([reaction.to_json() for reaction in self._on(readable_post(request, self.store))])

    def _on(self, post: Post) -> list[Reaction]:
        return [reaction for reaction in self.store.reactions if reaction.post_id == post.id]

    def _tell(self, event: str, reaction: Reaction, post: Post) -> None:
        self.hub.publish(event, {"reaction": go_json(reaction.to_json())}, to_channel(post.channel_id))
