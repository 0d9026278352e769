"""Posts of the sandbox's Mattermost: writing, changing, deleting, and reading them back.

As observed with Mattermost 5.37: a `pending_post_id` is remembered for 30 s and no longer, the `posted` event goes
out before the POST is answered, an edit can kill a card's buttons, `since` misses the newest of many posts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import cast

from aiohttp import web

from sm.sandbox.faults import Faults
from sm.sandbox.mattermost.rest import (
    LATE_S,
    SAVE_S,
    ApiError,
    allowed_in,
    answer,
    body_object,
    channel_in_path,
    invalid_body,
    invalid_parameter,
    is_id,
    logged_in,
    no_permission,
    ok,
    path_id,
    readable_post,
)
from sm.sandbox.mattermost.rows import Post, User, new_id
from sm.sandbox.mattermost.shapes import Json, as_object, go_json, normalized_props
from sm.sandbox.mattermost.store import Store
from sm.sandbox.mattermost.websocket import PEER, Hub, to_channel, to_user

DEDUPLICATION_S = 30.0
MAX_MESSAGE_CHARACTERS = 16383
MAX_PROPS_CHARACTERS = 8000
MAX_FILE_IDS_CHARACTERS = 300
MAX_PAGE = 200
DEFAULT_PAGE = 60


class Posts:
    """The REST calls about posts."""

    def __init__(self, store: Store, hub: Hub, faults: Faults) -> None:
        self.store = store
        self.hub = hub
        self.faults = faults
        self._pending: dict[str, tuple[str, float]] = {}

    def routes(self) -> list[web.RouteDef]:
        """To be added under the API's prefix."""
        return [
            web.post("/posts", self._create),
            web.post("/posts/ephemeral", self._ephemeral),
            web.get("/posts/{post_id}", self._get),
            web.put("/posts/{post_id}", self._update),
            web.put("/posts/{post_id}/patch", self._patch),
            web.delete("/posts/{post_id}", self._delete),
            web.get("/posts/{post_id}/thread", self._thread),
            web.get("/channels/{channel_id}/posts", self._page),
        ]

    # --- writing -------------------------------------------------------------------------------------------

    async def _create(self, request: web.Request) -> web.Response:
        user = logged_in(request, self.store)
        body = await body_object(request, "post")
        channel_id = str(body.get("channel_id"))
        if not allowed_in(self.store, channel_id, user):
            raise no_permission()
        if self.store.channels[channel_id].delete_at:
            text = "Can not post to deleted channel."
            raise ApiError(400, "api.post.create_post.can_not_post_to_deleted.error", text)
        pending = str(body.get("pending_post_id") or "")
        known = self._seen(pending)
        if known is not None:
            self._viewed(user, channel_id)
            return answer(self.store.post_json(known), 201)
        try:
            if self.faults.hit(PEER, "slow_save", user=user.username, message=body.get("message")):
                await asyncio.sleep(SAVE_S * self.faults.scale("mattermost.save"))
            post = self._saved(user, channel_id, body)
        except BaseException:
            self._pending.pop(pending, None)
            raise
        if pending:
            self._pending[pending] = (post.id, self.store.clock())
        shown = self.store.post_json(post) | {"pending_post_id": pending}
        context: Json = {"author": user.username, "message": post.message, "channel": channel_id}
        if self.faults.hit(PEER, "late_posted", **context):
            late_s = LATE_S * self.faults.scale("mattermost.late")
            asyncio.get_running_loop().call_later(late_s, self.announce, post, shown, context)
        else:
            self.announce(post, shown, context)
            if not {"from_bot", "from_webhook"} & set(post.props):
                self._viewed(user, channel_id)
            await self.hub.flush()
        return answer(shown, 201)

    def _viewed(self, user: User, channel_id: str) -> None:
        """Who posts has seen the channel, and all of the user's clients are told.

        Not so for bots, except that a request answered with its earlier post doesn't know of one.
        """
        self.hub.publish("channel_viewed", {"channel_id": channel_id}, to_user(user.id))

    def _seen(self, pending: str) -> Post | None:
        """The post that this pending id already made; remembers the id when it is new.

        The key is global across users, and gone after 30 s. Raises 500 while the first request is still at it.
        """
        if not pending:
            return None
        kept_s = DEDUPLICATION_S * self.faults.scale("mattermost.deduplication")
        post_id, seen_at = self._pending.get(pending, ("", float("-inf")))
        if self.store.clock() - seen_at > kept_s:
            self._pending[pending] = ("", self.store.clock())
            return None
        if not post_id:
            raise ApiError(
                500,
                "api.post.deduplicate_create_post.pending",
                "Rejected post since another client is making the same request.",
            )
        post = self.store.live_post(post_id)
        if post is None:
            text = "Failed to fetch original post after deduplicating a client repeating the same request."
            raise ApiError(500, "api.post.deduplicate_create_post.failed_to_get", text)
        return post

    def _saved(self, user: User, channel_id: str, body: Json) -> Post:
        root_id = str(body.get("root_id") or "")
        self._check_root(root_id, channel_id)
        props = normalized_props(as_object(body.get("props")))
        if user.is_bot:
            props["from_bot"] = "true"
        message = _text(body.get("message"))
        _check_sizes(message, props)
        file_ids = _file_ids(body.get("file_ids"))
        now = self.store.now_ms()
        before = self.store.live(channel_id)
        if before and self.faults.hit(PEER, "same_millisecond", author=user.username, message=message):
            now = before[-1].create_at
        post = Post(new_id(), now, now, user.id, channel_id, message, root_id, props=props)
        return self.store.attach(post, file_ids)

    def _check_root(self, root_id: str, channel_id: str) -> None:
        if not root_id:
            return
        root = self.store.live_post(root_id)
        if root is None or root.root_id:
            raise ApiError(400, "api.post.create_post.root_id.app_error", "Invalid RootId parameter.")
        if root.channel_id != channel_id:
            text = "Invalid ChannelId for RootId parameter."
            raise ApiError(400, "api.post.create_post.channel_root_id.app_error", text)

    def announce(self, post: Post, shown: Json, context: Json | None = None) -> None:
        """Tell the channel of a new post."""
        channel = self.store.channels[post.channel_id]
        author = self._sender(post)
        data: Json = {
            "channel_display_name": channel.display_name or author,
            "channel_name": channel.name,
            "channel_type": channel.type,
            **self._kinds_of_files(post),
            "post": go_json(shown),
            "sender_name": author,
            "set_online": True,
            "team_id": channel.team_id,
        }
        mentions = self.store.mentions(post)
        if mentions:
            data["mentions"] = go_json(mentions)
        self.hub.posted(data, channel.id, **(context or {}))

    def _sender(self, post: Post) -> str:
        """Whom the event names as the sender: anybody may write the props that put another name there."""
        if post.type.startswith("system_"):
            return "System"
        claimed = post.props.get("override_username")
        if claimed and post.props.get("from_webhook") == "true":
            return str(claimed)
        return f"@{self.store.users[post.user_id].username}"

    def _kinds_of_files(self, post: Post) -> Json:
        """What a `posted` event says of the post's files beside the post itself."""
        kinds: Json = {"otherFile": "true"} if post.file_ids else {}
        if any(self.store.files[file_id].mime_type.startswith("image/") for file_id in post.file_ids):
            kinds["image"] = "true"
        return kinds

    def system_post(self, user: User, channel_id: str, kind: str, message: str, props: Json) -> None:
        """Post one of the server's own remarks, such as who joined."""
        now = self.store.now_ms()
        post = Post(new_id(), now, now, user.id, channel_id, message, type=kind, props=props)
        self.announce(self.store.insert(post), self.store.post_json(post))

    async def _ephemeral(self, request: web.Request) -> web.Response:
        logged_in(request, self.store)
        raise no_permission()

    async def _patch(self, request: web.Request) -> web.Response:
        """Change what the body names. Given props replace all there were, bound buttons included."""
        post = self._own_post(request)
        body = await body_object(request, "post")
        message = _text(body["message"]) if body.get("message") is not None else post.message
        props = normalized_props(as_object(body["props"])) if body.get("props") is not None else post.props
        return answer(await self.revise(post, message, props))

    async def _update(self, request: web.Request) -> web.Response:
        """Replace message and props with the body's, be they missing."""
        post = self._own_post(request)
        body = await body_object(request, "post")
        if body.get("id") != post.id:
            raise invalid_body("id")
        props = normalized_props(as_object(body.get("props")))
        return answer(await self.revise(post, _text(body.get("message")), props))

    async def revise(self, post: Post, message: str, props: Json) -> Json:
        """Change a post and tell the channel; answers what it shows then. Raises 400."""
        _check_sizes(message, props)
        revised = self.store.revise(post, message, props)
        shown = self.store.post_json(revised)
        self.hub.publish("post_edited", {"post": go_json(shown)}, to_channel(post.channel_id))
        await self.hub.flush()
        return shown

    async def _delete(self, request: web.Request) -> web.Response:
        post = self._own_post(request)
        shown = self.store.post_json(post)
        self.store.delete(post, post.user_id)
        self.hub.publish("post_deleted", {"post": go_json(shown)}, to_channel(post.channel_id))
        await self.hub.flush()
        return ok()

    def _own_post(self, request: web.Request) -> Post:
        user = logged_in(request, self.store)
        post = self.store.live_post(path_id(request, "post_id"))
        if post is None or post.user_id != user.id or not self.store.is_member(post.channel_id, user.id):
            raise no_permission()
        if self.store.channels[post.channel_id].delete_at:
            text = "Can not update a post in a deleted channel."
            raise ApiError(400, "api.post.patch_post.can_not_update_post_in_deleted.error", text)
        return post

    # --- reading -------------------------------------------------------------------------------------------

    async def _get(self, request: web.Request) -> web.Response:
        return answer(self.store.post_json(readable_post(request, self.store)))

    async def _thread(self, request: web.Request) -> web.Response:
        """The post asked for, and then every post of its thread, itself once more: twice in `order`, once in `posts`."""
        post = readable_post(request, self.store)
        root_id = post.root_id or post.id
        found = [p for p in self.store.live(post.channel_id) if root_id in (p.id, p.root_id)]
        return answer(self._listed([post, *found]))

    async def _page(self, request: web.Request) -> web.Response:
        user = logged_in(request, self.store)
        channel = channel_in_path(request, self.store, user)
        query = request.query
        since = _number(request, "since", 0)
        if since:
            return answer(self._listed(self.store.since(channel.id, since)))
        size = min(_number(request, "per_page", DEFAULT_PAGE) or DEFAULT_PAGE, MAX_PAGE)
        number = _number(request, "page", 0)
        shown = slice(number * size, (number + 1) * size)
        live = self.store.live(channel.id)
        if query.get("after"):
            anchor_at = self._anchor(request, "after")
            page = [post for post in live if anchor_at is not None and post.create_at > anchor_at][shown][
                ::-1
            ]
        elif query.get("before"):
            anchor_at = self._anchor(request, "before")
            older = [post for post in live if anchor_at is not None and post.create_at < anchor_at]
            page = older[::-1][shown]
        else:
            page = live[::-1][shown]
        return answer(self._listed(page) | _neighbours(page, live, query, number, size))

    def _anchor(self, request: web.Request, name: str) -> int | None:
        """When the anchor was written, deleted or not; None when there is no such post, which pages to nothing."""
        post_id = request.query[name]
        if not is_id(post_id):
            raise invalid_parameter(name)
        post = self.store.rows.get(post_id)
        return post.create_at if post is not None else None

    def _listed(self, page: list[Post]) -> Json:
        """A list of posts, newest first; roots of its replies come along in `posts`, but not in `order`."""
        shown = {post.id: self.store.post_json(post) for post in page}
        for post in page:
            root = self.store.live_post(post.root_id)
            if root is not None:
                shown.setdefault(root.id, self.store.post_json(root))
        order = [post.id for post in page]
        return {"order": order, "posts": shown, "next_post_id": "", "prev_post_id": ""}


def _neighbours(page: list[Post], live: list[Post], query: Mapping[str, str], number: int, size: int) -> Json:
    """Which posts come next and before, as the server's own clients use it to page on.

    On the first page that is the anchor itself, be it deleted; a page that is not full has nothing behind it.
    """
    after, before = query.get("after", ""), query.get("before", "")
    newer = [post.id for post in live if page and post.create_at > page[0].create_at]
    older = [post.id for post in live if page and post.create_at < page[-1].create_at]
    following = newer[0] if newer else ""
    previous = older[-1] if older else ""
    full = len(page) >= size
    if after:
        return {
            "next_post_id": following if full else "",
            "prev_post_id": previous if number else after,
        }
    first = before or ""
    return {"next_post_id": following if number else first, "prev_post_id": previous if full else ""}


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid_body("post")
    return value


def _file_ids(value: object) -> list[str]:
    """Raises 400 for more files than the post's row can name (ten)."""
    ids = [str(item) for item in cast("list[object]", value)] if isinstance(value, list) else []
    if len(json.dumps(ids, separators=(",", ":"))) > MAX_FILE_IDS_CHARACTERS:
        raise ApiError(400, "model.post.is_valid.file_ids.app_error", "Invalid file ids.")
    return ids


def _check_sizes(message: str, props: Json) -> None:
    """Raises 400 for more than 16383 code points, or 8000 characters of props."""
    if len(message) > MAX_MESSAGE_CHARACTERS:
        raise ApiError(400, "model.post.is_valid.msg.app_error", "Invalid message.")
    if len(json.dumps(props, ensure_ascii=False, separators=(",", ":"))) > MAX_PROPS_CHARACTERS:
        raise ApiError(400, "model.post.is_valid.props.app_error", "Invalid props.")


def _number(request: web.Request, name: str, default: int) -> int:
    value = request.query.get(name, "")
    if not value:
        return default
    if not value.isascii() or not value.isdecimal():
        raise invalid_parameter(name)
    return int(value)
