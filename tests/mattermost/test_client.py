"""The REST client against the sandbox's Mattermost, and against scripted answers where that one is too kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web

from sm.core.outcome import Refused
from sm.mattermost.client import MattermostClient, Post
from sm.mattermost.splitting import POST_LIMIT
from sm.sandbox.mattermost.peer import MattermostPeer

from .kit import BOT, CHANNEL, JAMES, TOKEN, Script, post_json, serving


async def listed(posts: AsyncIterator[Post]) -> list[str]:
    return [post.message async for post in posts]


async def say(client: MattermostClient, peer: MattermostPeer, message: str, **props: Any) -> Post:
    return await client.create_post(peer.channel_id, message, props=props, pending_post_id="")


async def test_the_bot_knows_itself_and_people(bot: MattermostClient, peer: MattermostPeer) -> None:
    me = await bot.me()
    assert (me.id, me.username, me.is_bot, me.deleted) == (peer.user_id("claude"), "claude", True, False)
    james = await bot.user(peer.user_id("james"))
    assert (james.username, james.is_bot) == ("james", False)
    with pytest.raises(Refused) as caught:
        await bot.user(BOT)
    assert caught.value.code == "not_found"


async def test_the_channels_are_those_of_the_bot(bot: MattermostClient, peer: MattermostPeer) -> None:
    assert [(channel.id, channel.type) for channel in await bot.channels()] == [(peer.channel_id, "O")]


async def test_a_direct_channel_in_every_teams_list_is_listed_once(
    client: MattermostClient, script: Script
) -> None:
    direct = {"id": CHANNEL, "type": "D", "name": "a__b", "display_name": "", "delete_at": 0}
    gone = {"id": JAMES, "type": "O", "name": "old", "display_name": "Old", "delete_at": 5}
    teams = [{"id": "t" * 26}, {"id": "u" * 26}]
    script.answers = [
        web.json_response({"id": BOT, "username": "claude"}),
        web.json_response(teams),
        web.json_response([direct, gone]),
        web.json_response([direct]),
    ]
    assert [channel.id for channel in await client.channels()] == [CHANNEL]


async def test_membership_is_yes_no_or_refused(
    bot: MattermostClient, peer: MattermostPeer, script: Script, client: MattermostClient
) -> None:
    assert await bot.is_member(peer.channel_id, peer.user_id("james"))
    assert not await bot.is_member(peer.channel_id, BOT)
    with pytest.raises(Refused) as caught:
        await bot.is_member(CHANNEL, peer.user_id("james"))
    assert caught.value.code in {"forbidden", "not_found"}
    script.answers = [web.json_response({"channel_id": CHANNEL, "user_id": BOT})]
    assert not await client.is_member(CHANNEL, JAMES)


async def test_a_post_carries_message_props_and_pending_id(client: MattermostClient, script: Script) -> None:
    script.answers = [web.json_response(post_json(1, props={"a": 1}), status=201)]
    post = await client.create_post(
        CHANNEL,
        "h\ud83d\u00e9llo\x00",
        props={"sm_command": "c", "x": "\udc00", "y": "\\u0000"},
        pending_post_id="p",
        root_id=JAMES,
    )
    assert post.props == {"a": 1}
    assert script.body() == {
        "channel_id": CHANNEL,
        "message": "h\ufffd\u00e9llo\ufffd",
        "props": {"sm_command": "c", "x": "\ufffd", "y": "\\u0000"},
        "pending_post_id": "p",
        "root_id": JAMES,
    }


async def test_the_same_pending_id_gives_the_same_post(bot: MattermostClient, peer: MattermostPeer) -> None:
    ids = {
        (await bot.create_post(peer.channel_id, "once", props={}, pending_post_id=f"{BOT}:1")).id
        for _ in range(3)
    }
    assert len(ids) == 1


async def test_a_message_over_the_limit_is_refused_as_too_long(
    bot: MattermostClient, peer: MattermostPeer
) -> None:
    post = await say(bot, peer, "\U0001f600" * POST_LIMIT)
    with pytest.raises(Refused) as caught:
        await say(bot, peer, "x" * (POST_LIMIT + 1))
    assert caught.value.code == "too_long"
    with pytest.raises(Refused) as caught:
        await bot.patch_post(post.id, message="x" * (POST_LIMIT + 1), props={})
    assert caught.value.code == "too_long"


async def test_a_patch_replaces_the_message_and_all_props(
    bot: MattermostClient, peer: MattermostPeer
) -> None:
    post = await say(bot, peer, "before", sm_command="1", other=2)
    await bot.patch_post(post.id, message="after", props={"sm_command": "3"})
    now = await bot.get_post(post.id)
    assert now.message == "after"
    assert now.props["sm_command"] == "3"
    assert "other" not in now.props


async def test_another_ones_post_is_not_patched(
    bot: MattermostClient, james: MattermostClient, peer: MattermostPeer
) -> None:
    post = await say(bot, peer, "mine")
    with pytest.raises(Refused) as caught:
        await james.patch_post(post.id, message="x", props={})
    assert caught.value.code == "forbidden"


async def test_paging_gives_450_posts_in_order_without_the_deleted(
    bot: MattermostClient, peer: MattermostPeer, http: aiohttp.ClientSession
) -> None:
    anchor = await say(bot, peer, "anchor")
    posts = [await say(bot, peer, str(number)) for number in range(450)]
    headers = {"Authorization": f"Bearer {peer.bot_token}"}
    for number in (0, 199, 200, 201, 449):
        async with http.delete(f"{peer.url}/api/v4/posts/{posts[number].id}", headers=headers) as response:
            assert response.status == 200
    left = [str(number) for number in range(450) if number not in {0, 199, 200, 201, 449}]
    assert await listed(bot.posts_after(peer.channel_id, anchor.id)) == left
    assert await listed(bot.posts_after(peer.channel_id, posts[200].id)) == left[left.index("202") :]
    assert await listed(bot.posts_after(peer.channel_id, None)) == ["anchor", *left]
    assert await listed(bot.posts_after(peer.channel_id, posts[449].id)) == []
    assert await bot.latest_post_id(peer.channel_id) == posts[448].id


async def test_an_empty_channel_has_no_posts(bot: MattermostClient, peer: MattermostPeer) -> None:
    assert await listed(bot.posts_after(peer.channel_id, None)) == []
    assert await bot.latest_post_id(peer.channel_id) is None


async def test_the_probe_finds_the_bots_own_post_of_a_command(
    bot: MattermostClient, james: MattermostClient, peer: MattermostPeer
) -> None:
    anchor = await say(bot, peer, "anchor", sm_command="0")
    await say(james, peer, "forged", sm_command="2")
    for number in range(1, 4):
        await say(bot, peer, f"own {number}", sm_command=str(number))
    found = await bot.find_post(peer.channel_id, anchor.id, "2")
    assert found is not None
    assert found.message == "own 2"
    assert await bot.find_post(peer.channel_id, anchor.id, "9") is None
    assert await bot.find_post(peer.channel_id, found.id, "1") is None
    assert (await bot.find_post(peer.channel_id, None, "0") or anchor).id == anchor.id


class Listing:
    """A channel's listing with the server's own rules: strictly by `create_at`, unknown anchors are empty pages."""

    def __init__(self, posts: list[dict[str, Any]]) -> None:
        self.posts = posts
        self.queries: list[dict[str, str]] = []
        self.before_page: dict[int, Any] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        query = {key: values[0] for key, values in parse_qs(urlsplit(str(request.url)).query).items()}
        self.queries.append(query)
        self.before_page.get(len(self.queries), lambda: None)()
        times = {post["id"]: post["create_at"] for post in self.posts}
        live = [post for post in self.posts if not post["delete_at"]]
        size, page = int(query["per_page"]), int(query.get("page", 0))
        if (after := query.get("after")) is not None:
            found = [post for post in live if after in times and post["create_at"] > times[after]]
            found = found[page * size : (page + 1) * size][::-1]
        elif (before := query.get("before")) is not None:
            found = [post for post in live if before in times and post["create_at"] < times[before]]
            found = found[::-1][page * size : (page + 1) * size]
        else:
            found = live[::-1][page * size : (page + 1) * size]
        extra = {post["id"]: post for post in self.posts[:1]}  # the roots of replies come along in `posts`
        return web.json_response(
            {"order": [post["id"] for post in found], "posts": {post["id"]: post for post in found} | extra}
        )


async def test_a_post_of_the_anchors_own_millisecond_is_not_missed(http: aiohttp.ClientSession) -> None:
    posts = [post_json(number, create_at=1000 + number // 3) for number in range(9)]
    async with serving(Listing(posts).handle) as url:
        client = MattermostClient(http, url, TOKEN)
        assert await listed(client.posts_after(CHANNEL, posts[3]["id"])) == ["m4", "m5", "m6", "m7", "m8"]
        assert await listed(client.posts_after(CHANNEL, posts[0]["id"])) == [f"m{n}" for n in range(1, 9)]
        assert await listed(client.posts_after(CHANNEL, None)) == [f"m{n}" for n in range(9)]


async def test_posts_of_one_millisecond_across_a_page_are_all_given_once(http: aiohttp.ClientSession) -> None:
    posts = [post_json(number, create_at=1000 + number // 7) for number in range(450)]
    async with serving(Listing(posts).handle) as url:
        client = MattermostClient(http, url, TOKEN)
        assert await listed(client.posts_after(CHANNEL, None)) == [f"m{n}" for n in range(450)]


async def test_a_post_deleted_while_paging_moves_no_other_out_of_sight(http: aiohttp.ClientSession) -> None:
    listing = Listing([post_json(number) for number in range(450)])
    listing.before_page[3] = lambda: listing.posts[50].update(delete_at=1)
    async with serving(listing.handle) as url:
        client = MattermostClient(http, url, TOKEN)
        assert await listed(client.posts_after(CHANNEL, listing.posts[1]["id"])) == [
            f"m{n}" for n in range(2, 450)
        ]


async def test_paging_never_uses_since(http: aiohttp.ClientSession) -> None:
    listing = Listing([post_json(number) for number in range(250)])
    async with serving(listing.handle) as url:
        await listed(MattermostClient(http, url, TOKEN).posts_after(CHANNEL, listing.posts[3]["id"]))
    assert all("since" not in query for query in listing.queries)


async def test_an_anchor_that_the_server_does_not_know_is_refused_not_taken_for_nothing_new(
    http: aiohttp.ClientSession,
) -> None:
    async with serving(Listing([post_json(number) for number in range(3)]).handle) as url:
        client = MattermostClient(http, url, TOKEN)
        with pytest.raises(Refused) as caught:
            await listed(client.posts_after(CHANNEL, BOT))
    assert caught.value.code == "anchor_unknown"
