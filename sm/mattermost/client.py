"""Mattermost over REST: who is who, which channels, posting, and reading a channel on from a known post.

Facts as observed on Mattermost 5.37, the ordering rules of a channel's listing also from the server's source (5.37 to 11):
`?after=P` answers live posts whose `create_at` is *greater* than P's, nearest first, so what shares P's
millisecond is not among them; P may be deleted; an id that nobody knows gives 200 and an empty page.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import ssl as ssl_module
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import aiohttp

from sm.core.outcome import Refused, Unreachable
from sm.mattermost.models import (
    Channel,
    MalformedError,
    Post,
    Reaction,
    User,
    as_list,
    as_object,
    is_username,
    parse_channel,
    parse_post,
    parse_reaction,
    parse_user,
    read_id,
)
from sm.mattermost.transport import Transport, Upload, checked_id

PAGE = 200
COMMAND_PROP = "sm_command"
MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_FILE_NAME = 100

_T = TypeVar("_T")

__all__ = ["COMMAND_PROP", "MAX_FILE_BYTES", "Channel", "MattermostClient", "Post", "Reaction", "User"]


class MattermostClient:
    """One bot's view of one server. Every method raises Refused or Unreachable, nothing else of the network's.

    `sleep` waits out a 429; `timeout_s` bounds each request from connecting to the last byte.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        token: str,
        *,
        ssl: ssl_module.SSLContext | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        timeout_s: float = 30.0,
    ) -> None:
        self._transport = Transport(http, url, token, ssl=ssl, sleep=sleep, timeout_s=timeout_s)
        self._bot_id: str | None = None

    async def me(self) -> User:
        """The bot itself; Refused `unauthorized` when the token is bad or revoked."""
        user = await self._read(parse_user, "users", "me")
        self._bot_id = user.id
        return user

    async def user(self, user_id: str) -> User:
        """A user by id; Refused `not_found` when there is none."""
        user = await self._read(parse_user, "users", checked_id(user_id, "user"))
        _same("user", user.id, user_id)
        return user

    async def user_named(self, username: str) -> User | None:
        """A user by name, an `@` before it or not, whatever its case; None when there is none, or can't be."""
        name = username.removeprefix("@").lower()
        if not is_username(name):
            return None
        try:
            user = await self._read(parse_user, "users", "username", name)
        except Refused as error:
            if error.code == "not_found":
                return None
            raise
        _same("user", user.username.lower(), name)
        return user

    async def direct_channel(self, user_id: str) -> str:
        """The id of the channel of direct messages with this user, which is made when there is none yet.

        The same id each time; also for a deactivated user, whom nothing written there reaches. Refused `bad_request`
        when there is no such user.
        """
        pair = [await self._own_id(), checked_id(user_id, "user")]
        path = ("channels", "direct")
        channel = _parsed(
            parse_channel, await self._transport.request("POST", *path, body=pair), "/".join(path)
        )
        if channel.type != "D" or sorted(channel.name.split("__")) != sorted(pair):
            raise Unreachable("Mattermost answered with another channel than the direct one asked for.")
        return channel.id

    async def channels(self) -> list[Channel]:
        """Every live channel that the bot is a member of, over all its teams, direct messages included."""
        bot_id = await self._own_id()
        found: dict[str, Channel] = {}
        teams = await self._read(
            lambda body: [read_id(as_object(t), "id") for t in as_list(body)], "users", bot_id, "teams"
        )
        for team_id in teams:
            for channel in await self._read(_live_channels, "users", bot_id, "teams", team_id, "channels"):
                found.setdefault(channel.id, channel)
        return list(found.values())

    async def is_member(self, channel_id: str, user_id: str) -> bool:
        """Whether this user is a member of a channel that the bot is in; Refused `forbidden` when the bot is not."""
        path = ("channels", checked_id(channel_id, "channel"), "members", checked_id(user_id, "user"))
        try:
            member = await self._read(as_object, *path)
        except Refused as error:
            if error.code == "not_found":
                return False
            raise
        return member.get("channel_id") == channel_id and member.get("user_id") == user_id

    async def create_post(
        self,
        channel_id: str,
        message: str,
        *,
        props: Mapping[str, Any],
        pending_post_id: str,
        root_id: str = "",
        file_ids: Sequence[str] = (),
    ) -> Post:
        """Post a message, with `root_id` in the thread of that post.

        The server remembers `pending_post_id` for 30 s, in memory and across all users (so it starts with the
        bot's id): after that a second request is a second post. Unreachable leaves open whether it was posted.
        Refused `root_missing` when the thread's root is deleted (its replies are then deleted, too) or no root.
        A file that the server does not know, or that hangs on a post already, is left out without a word:
        the answer's `file_ids` says which were taken.
        """
        body: dict[str, Any] = {
            "channel_id": checked_id(channel_id, "channel"),
            "message": message,
            "props": props,
            "pending_post_id": pending_post_id,
        }
        if root_id:
            body["root_id"] = checked_id(root_id, "post")
        if file_ids:
            body["file_ids"] = [checked_id(file_id, "file") for file_id in file_ids]
        post = await self._write("POST", body, "posts")
        _same("channel", post.channel_id, channel_id)
        return post

    async def upload_file(self, channel_id: str, name: str, content: bytes) -> str:
        """Hand in a file for a post yet to be made in this channel; answers the file's id.

        In `name` whatever is not a plain ASCII file name becomes `-`. Refused `too_long` over 16 MiB or over the
        server's own limit, `files_disabled` when it takes none. Unreachable leaves a file that nobody sees, at most.
        """
        if len(content) > MAX_FILE_BYTES:
            raise Refused("too_long", f"The file has {len(content)} bytes, more than {MAX_FILE_BYTES}.")
        upload = Upload(checked_id(channel_id, "channel"), _file_name(name), content)
        return _parsed(_uploaded, await self._transport.request("POST", "files", body=upload), "files")

    async def patch_post(self, post_id: str, *, message: str, props: Mapping[str, Any]) -> Post:
        """Replace a post's message and all of its props.

        Buttons live in the props: give them whole, never as read back (the server strips what makes them work).
        """
        body = {"message": message, "props": props}
        post = await self._write("PUT", body, "posts", checked_id(post_id, "post"), "patch")
        _same("post", post.id, post_id)
        return post

    async def get_post(self, post_id: str) -> Post:
        """A post by id; Refused `not_found` for a deleted one."""
        post = await self._read(parse_post, "posts", checked_id(post_id, "post"))
        _same("post", post.id, post_id)
        return post

    async def reactions(self, post_id: str) -> list[Reaction]:
        """The reactions on a post, also on a deleted one, the oldest first.

        Who reacted need not be a member of the channel (any more). Refused `forbidden` when there is no such post, or
        the bot may not read it.
        """
        path = ("posts", checked_id(post_id, "post"), "reactions")
        found = await self._read(lambda body: _reactions(body, post_id), *path)
        return sorted(found, key=lambda reaction: reaction.create_at_ms)

    async def latest_post_id(self, channel_id: str) -> str | None:
        """The newest live post of a channel."""
        newest = await self._page(channel_id, per_page="1")
        return newest[-1].id if newest else None

    async def find_post(self, channel_id: str, after: str | None, command_id: str) -> Post | None:
        """The bot's own post that carries this command's id in its props, looked for from `after` on.

        A listing holds the replies in threads, too, unless asked to collapse them (the server's source, 5.37 to 11).
        """
        bot_id = await self._own_id()
        async for post in self.posts_after(channel_id, after):
            if post.user_id == bot_id and post.props.get(COMMAND_PROP) == command_id:
                return post
        return None

    async def posts_after(self, channel_id: str, after: str | None) -> AsyncIterator[Post]:
        """Live posts newer than `after`, oldest first, each once; with None the whole channel from its beginning.

        A post of the same millisecond as `after` is among them (it may have been seen: the caller knows it by
        its id). Refused `anchor_unknown` when the channel has posts and the server knows no post `after`.
        """
        anchor = await self._anchor_before(channel_id, after) if after is not None else None
        page = await (
            self._oldest_page(channel_id) if anchor is None else self._page(channel_id, after=anchor)
        )
        given = {after}
        while page:
            fresh = [post for post in page if post.id not in given]
            for post in fresh:
                yield post
            given = {after, *(post.id for post in page)}
            if fresh:
                page = await self._page(channel_id, after=_overlap(page))
            else:  # the end; or a whole page of one millisecond, which only its last post leads out of
                page = await self._page(channel_id, after=page[-1].id) if len(page) >= PAGE else []

    async def _anchor_before(self, channel_id: str, after: str) -> str | None:
        """The newest post that is older than `after`, None when there is none: paging from there misses no tie."""
        older = await self._page(channel_id, before=checked_id(after, "post"), per_page="1")
        if older:
            return older[-1].id
        if await self._page(channel_id, after=after, per_page="1"):
            return None
        newest = await self._page(channel_id)
        if not newest or after in {post.id for post in newest}:
            return None
        raise Refused(
            "anchor_unknown", f"Mattermost no longer knows post {after}, so what came after it can't be told."
        )

    async def _oldest_page(self, channel_id: str) -> list[Post]:
        """The page that holds the channel's first post. Listings without an anchor start at the newest."""
        oldest: list[Post] = []
        for number in itertools.count():
            page = await self._page(channel_id, page=str(number))
            if not page:
                break
            oldest = page
        return oldest

    async def _page(self, channel_id: str, *, per_page: str = str(PAGE), **query: str) -> list[Post]:
        """One page of a channel's live posts, oldest first."""
        path = ("channels", checked_id(channel_id, "channel"), "posts")
        posts = await self._read(_listing, *path, query={"per_page": per_page, **query})
        return [post for post in posts if post.channel_id == channel_id and not post.delete_at_ms]

    async def _own_id(self) -> str:
        return self._bot_id if self._bot_id is not None else (await self.me()).id

    async def _read(
        self, parse: Callable[[Any], _T], *path: str, query: Mapping[str, str] | None = None
    ) -> _T:
        return _parsed(parse, await self._transport.request("GET", *path, query=query), "/".join(path))

    async def _write(self, method: str, body: Mapping[str, Any], *path: str) -> Post:
        return _parsed(parse_post, await self._transport.request(method, *path, body=body), "/".join(path))


def _parsed(parse: Callable[[Any], _T], body: Any, what: str) -> _T:
    try:
        return parse(body)
    except MalformedError as error:
        problem = str(error)
    raise Unreachable(f"Mattermost answered {what} with something unexpected: {problem}.")


def _same(what: str, got: str, asked: str) -> None:
    if got != asked:
        raise Unreachable(f"Mattermost answered with another {what} than the one asked for.")


def _live_channels(body: Any) -> list[Channel]:
    return [parse_channel(channel) for channel in as_list(body) if not as_object(channel).get("delete_at")]


def _listing(body: Any) -> list[Post]:
    """The posts of a listing, oldest first: `order` is newest first, `posts` may hold more (the roots of replies)."""
    listing = as_object(body)
    posts = as_object(listing.get("posts") or {})
    order = [post_id for post_id in as_list(listing.get("order") or []) if isinstance(post_id, str)]
    return [parse_post(posts.get(post_id)) for post_id in reversed(order)]


def _reactions(body: Any, post_id: str) -> list[Reaction]:
    """The list of a post's reactions; newer servers answer `null` for none. One that can't be read is left out."""
    found: list[Reaction] = []
    for item in as_list(body if body is not None else []):
        with suppress(MalformedError):
            of_post, reaction = parse_reaction(item)
            if of_post == post_id and not as_object(item).get("delete_at"):
                found.append(reaction)
    return found


def _file_name(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")
    return plain[-MAX_FILE_NAME:] or "file"


def _uploaded(body: Any) -> str:
    """The one file's id out of `{"file_infos": [{"id", "name", "size", …}], "client_ids": []}`."""
    infos = as_list(as_object(body).get("file_infos"))
    if len(infos) != 1:
        raise MalformedError("`file_infos` is not one file")
    return read_id(as_object(infos[0]), "id")


def _overlap(page: list[Post]) -> str:
    """The post to page on from: the last one older than the page's newest, so that a tie is read again, not lost."""
    newest_ms = page[-1].create_at_ms
    return next((post.id for post in reversed(page) if post.create_at_ms < newest_ms), page[-1].id)
