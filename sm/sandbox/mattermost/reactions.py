"""Reactions in the sandbox's Mattermost: one emoji by one user on one post.

As the server's source has it (5.37, and 11 where a fault says so): a reaction given again is told again, one taken back
keeps its row and its first time, the client may choose that time, and who administers the system reacts from outside
of a channel.
"""

from __future__ import annotations

import re

import attrs
from aiohttp import web

from sm.sandbox.faults import Faults
from sm.sandbox.mattermost.rest import (
    ApiError,
    allowed_in,
    answer,
    body_object,
    is_id,
    logged_in,
    no_permission,
    ok,
    path_id,
    user_in_path,
)
from sm.sandbox.mattermost.rows import Post, Reaction, User
from sm.sandbox.mattermost.shapes import go_json
from sm.sandbox.mattermost.store import Store
from sm.sandbox.mattermost.websocket import PEER, Hub, to_channel

MAX_NAME = 64
SYSTEM_EMOJI = frozenset(
    {
        "+1", "-1", "ballot_box_with_check", "eyes", "heavy_check_mark", "heavy_multiplication_x", "hourglass", "lock",
        "negative_squared_cross_mark", "no_entry", "no_entry_sign", "octagonal_sign", "tada", "thumbsdown", "thumbsup",
        "unlock", "white_check_mark", "x",
    }
)  # fmt: skip


class Reactions:
    """The REST calls about reactions, and the same for the control server."""

    def __init__(self, store: Store, hub: Hub, faults: Faults) -> None:
        self.store = store
        self.hub = hub
        self.faults = faults

    def routes(self) -> list[web.RouteDef]:
        """To be added under the API's prefix."""
        return [
            web.get("/posts/{post_id}/reactions", self._list),
            web.post("/reactions", self._react),
            web.delete("/users/{user_id}/posts/{post_id}/reactions/{emoji}", self._unreact),
        ]

    def add(self, user: User, post: Post, emoji: str, create_at: int = 0) -> Reaction:
        """Put an emoji on a post and tell the channel, also when it is there already."""
        now = self.store.now_ms()
        told = Reaction(user.id, post.id, emoji, create_at or now, update_at=now)
        kept = self._row(told)
        row = told if kept is None else attrs.evolve(kept, update_at=now, delete_at=0)
        self._put(row, post)
        self._tell("reaction_added", told, post)
        return told

    def remove(self, user: User, post: Post, emoji: str) -> None:
        """Take an emoji back and tell the channel, also when there was none."""
        now = self.store.now_ms()
        gone = Reaction(user.id, post.id, emoji, 0, update_at=now)
        kept = self._row(gone)
        if kept is not None:
            self._put(attrs.evolve(kept, update_at=now, delete_at=now), post)
        self._tell("reaction_removed", gone, post)

    async def _react(self, request: web.Request) -> web.Response:
        user = logged_in(request, self.store)
        body = await body_object(request, "reaction")
        emoji, post_id, user_id = (str(body.get(key) or "") for key in ("emoji_name", "post_id", "user_id"))
        if not (is_id(user_id) and is_id(post_id)) or not 0 < len(emoji) <= MAX_NAME:
            raise ApiError(400, "api.reaction.save_reaction.invalid.app_error", "Reaction is not valid.")
        if user_id != user.id:
            text = "You cannot save reaction for the other user."
            raise ApiError(403, "api.reaction.save_reaction.user_id.app_error", text)
        post = self._live(self._reachable(user, post_id))
        self._check(post, user, emoji)
        create_at = body.get("create_at")
        return answer(self.add(user, post, emoji, create_at if isinstance(create_at, int) else 0).to_json())

    def _check(self, post: Post, user: User, emoji: str) -> None:
        """Raises 400, 403, 404."""
        context = {"user": user.username, "emoji": emoji, "post": post.id}
        if emoji not in SYSTEM_EMOJI and self.faults.hit(PEER, "unknown_emoji", **context):
            raise ApiError(404, "app.emoji.get_by_name.no_result", "We couldn’t find the emoji.")
        if self.faults.hit(PEER, "too_many_reactions", **context):
            text = "Reaction limit has been reached for this post."
            raise ApiError(400, "app.reaction.save.save.too_many_reactions", text)
        if self.store.channels[post.channel_id].delete_at:
            text = "You cannot react in an archived channel."
            raise ApiError(403, "api.reaction.save.archived_channel.app_error", text)
        if not re.fullmatch(r"[a-zA-Z0-9_+-]+", emoji):
            raise ApiError(400, "model.reaction.is_valid.emoji_name.app_error", "Invalid emoji name.")

    async def _unreact(self, request: web.Request) -> web.Response:
        asking = logged_in(request, self.store)
        user = user_in_path(request, self.store, asking)
        post = self._reachable(asking, path_id(request, "post_id"))
        if user != asking and not asking.is_admin:
            raise no_permission()
        self.remove(user, self._live(post), request.match_info["emoji"])
        return ok()

    async def _list(self, request: web.Request) -> web.Response:
        user = logged_in(request, self.store)
        post = self._reachable(user, path_id(request, "post_id"))
        rows = [row for row in self.store.reactions if row.post_id == post.id and not row.delete_at]
        found = [row.to_json() for row in sorted(rows, key=lambda row: row.create_at)]
        if not found and self.faults.hit(PEER, "null_reactions", user=user.username, post=post.id):
            return answer(None)
        return answer(found)

    def _reachable(self, user: User, post_id: str) -> Post:
        """The post, deleted or not, if the user may see its channel. Raises 403, also when there is none."""
        post = self.store.rows.get(post_id)
        if post is None or not allowed_in(self.store, post.channel_id, user):
            raise no_permission()
        return post

    def _live(self, post: Post) -> Post:
        if post.delete_at:
            raise ApiError(404, "app.post.get.app_error", "Unable to get the post.")
        return post

    def _row(self, wanted: Reaction) -> Reaction | None:
        return next((row for row in self.store.reactions if row.same_as(wanted)), None)

    def _put(self, row: Reaction, post: Post) -> None:
        """Insert or replace the row; the post counts as changed, so that `since` has it again."""
        others = [other for other in self.store.reactions if not other.same_as(row)]
        self.store.reactions = [*others, row]
        self.store.insert(attrs.evolve(self.store.rows[post.id], update_at=row.update_at))

    def _tell(self, event: str, reaction: Reaction, post: Post) -> None:
        context = {"emoji": reaction.emoji_name, "author": self.store.users[reaction.user_id].username}
        data: dict[str, object] = {"reaction": go_json(reaction.to_json())}
        self.hub.publish(event, data, to_channel(post.channel_id), **context)
