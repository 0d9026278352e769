"""Whom decisions are asked of and told to: reactions on a post, direct messages, users by name."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from sm.core.outcome import Refused, Unreachable
from sm.mattermost.client import MattermostClient, Reaction
from sm.sandbox.mattermost.peer import MattermostPeer

from .kit import BOT, CHANNEL, JAMES, Script, error_json

POST = "p" * 26


async def card(bot: MattermostClient, peer: MattermostPeer) -> str:
    return (await bot.create_post(peer.channel_id, "a card", props={}, pending_post_id="")).id


def reaction_json(emoji: str = "x", **more: Any) -> dict[str, Any]:
    """A reaction as the API lists it."""
    return {"user_id": JAMES, "post_id": POST, "emoji_name": emoji, "create_at": 7, **more}


async def listed(client: MattermostClient, script: Script, body: Any) -> list[Reaction]:
    script.answers = [web.json_response(body)]
    return await client.reactions(POST)


# --- reactions ---------------------------------------------------------------------------------------------------------


async def test_the_reactions_on_a_post_are_listed_with_who_and_what(
    bot: MattermostClient, peer: MattermostPeer
) -> None:
    post_id = await card(bot, peer)
    assert await bot.reactions(post_id) == []
    for name, emoji in (("sarah", "x"), ("james", "white_check_mark")):
        peer.react(name, post_id, emoji)
    found = await bot.reactions(post_id)
    assert [(one.user_id, one.emoji) for one in found] == [
        (peer.user_id("sarah"), "x"),
        (peer.user_id("james"), "white_check_mark"),
    ]
    assert found[0].create_at_ms < found[1].create_at_ms


async def test_the_reactions_on_a_deleted_post_are_listed_still(
    bot: MattermostClient, peer: MattermostPeer
) -> None:
    post_id = await card(bot, peer)
    peer.react("james", post_id, "x")
    peer.store.delete(peer.store.rows[post_id], peer.user_id("claude"))
    assert [one.emoji for one in await bot.reactions(post_id)] == ["x"]


async def test_the_reactions_on_a_post_that_is_not_there_are_refused(bot: MattermostClient) -> None:
    with pytest.raises(Refused) as caught:
        await bot.reactions(POST)
    assert caught.value.code == "forbidden"


async def test_no_post_id_goes_into_a_path_that_is_none(client: MattermostClient, script: Script) -> None:
    with pytest.raises(Refused) as caught:
        await client.reactions("../users/me")
    assert (caught.value.code, script.requests) == ("bad_id", [])


async def test_null_is_no_reactions_as_newer_servers_say_it(client: MattermostClient, script: Script) -> None:
    assert await listed(client, script, None) == []


async def test_reactions_come_the_oldest_first(client: MattermostClient, script: Script) -> None:
    body = [reaction_json("x", create_at=9), reaction_json("eyes", create_at=3)]
    assert [one.emoji for one in await listed(client, script, body)] == ["eyes", "x"]


@pytest.mark.parametrize(
    "odd",
    [
        reaction_json("eyes", delete_at=5),
        reaction_json("eyes", post_id="q" * 26),
        reaction_json("eyes", user_id="me"),
        reaction_json("eyes", create_at="7"),
        reaction_json("eyes\n@channel"),
        reaction_json("e" * 65),
        reaction_json(""),
        {"emoji_name": "eyes"},
        "eyes",
        None,
    ],
    ids=["taken back", "another post's", "no user", "no time", "two lines", "too long", "empty", "bare", "text", "null"],
)  # fmt: skip
async def test_what_is_no_reaction_on_the_post_is_left_out_and_the_rest_stays(
    client: MattermostClient, script: Script, odd: Any
) -> None:
    assert await listed(client, script, [odd, reaction_json("x")]) == [Reaction(JAMES, "x", 7)]


@pytest.mark.parametrize("body", [{}, "x", 5, {"reactions": []}])
async def test_what_is_no_list_of_reactions_leaves_it_unknown(
    client: MattermostClient, script: Script, body: Any
) -> None:
    with pytest.raises(Unreachable):
        await listed(client, script, body)


# --- direct messages -----------------------------------------------------------------------------------------------------


async def test_the_direct_channel_is_made_once_and_is_the_same_each_time(
    bot: MattermostClient, peer: MattermostPeer
) -> None:
    first = await bot.direct_channel(peer.user_id("james"))
    assert await bot.direct_channel(peer.user_id("james")) == first
    assert await bot.direct_channel(peer.user_id("sarah")) != first
    assert await bot.is_member(first, peer.user_id("james"))
    post = await bot.create_post(first, "you alone", props={}, pending_post_id="")
    assert post.channel_id == first


async def test_the_direct_channel_asks_for_the_bot_and_the_user(
    client: MattermostClient, script: Script
) -> None:
    me = web.json_response({"id": BOT, "username": "claude"})
    direct = {"id": CHANNEL, "type": "D", "name": f"{JAMES}__{BOT}", "display_name": ""}
    script.answers = [me, web.json_response(direct, status=201)]
    assert await client.direct_channel(JAMES) == CHANNEL
    assert script.requests[-1][:2] == ("POST", "/api/v4/channels/direct")
    assert script.body() == [BOT, JAMES]


async def test_a_deactivated_user_can_be_written_to_and_does_not_read_it(
    bot: MattermostClient, peer: MattermostPeer
) -> None:
    peer.store.activate(peer.store.users[peer.user_id("sarah")], active=False)
    channel = await bot.direct_channel(peer.user_id("sarah"))
    await bot.create_post(channel, "hello?", props={}, pending_post_id="")
    assert (await bot.user(peer.user_id("sarah"))).deleted


async def test_nobody_has_no_direct_channel(bot: MattermostClient) -> None:
    with pytest.raises(Refused) as caught:
        await bot.direct_channel(JAMES)
    assert caught.value.code == "bad_request"


@pytest.mark.parametrize(
    "other", [{"type": "O"}, {"name": f"{JAMES}__{JAMES}"}, {"name": "ops"}, {"id": "api.error"}]
)
async def test_another_channel_than_the_direct_one_is_not_written_to(
    client: MattermostClient, script: Script, other: dict[str, str]
) -> None:
    me = web.json_response({"id": BOT, "username": "claude"})
    direct = {"id": CHANNEL, "type": "D", "name": f"{JAMES}__{BOT}", "display_name": ""}
    script.answers = [me, web.json_response(direct | other, status=201)]
    with pytest.raises(Unreachable):
        await client.direct_channel(JAMES)


# --- users by name --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["james", "@james", "JAMES", "@James"])
async def test_a_user_is_found_by_name(bot: MattermostClient, peer: MattermostPeer, name: str) -> None:
    user = await bot.user_named(name)
    assert user is not None
    assert (user.id, user.username) == (peer.user_id("james"), "james")


async def test_nobody_of_that_name_is_none(bot: MattermostClient) -> None:
    assert await bot.user_named("nobody") is None


@pytest.mark.parametrize(
    "name", ["", "@", ".", "..", "a/b", "a b", "jämes", "j" * 65, "@@james", "a?b", "a%2fb"]
)
async def test_what_can_be_no_name_is_not_asked_for(
    client: MattermostClient, script: Script, name: str
) -> None:
    assert await client.user_named(name) is None
    assert script.requests == []


async def test_another_user_than_the_one_named_is_not_believed(
    client: MattermostClient, script: Script
) -> None:
    script.answers = [web.json_response({"id": BOT, "username": "eve"})]
    with pytest.raises(Unreachable):
        await client.user_named("james")


async def test_a_refusal_is_not_taken_for_nobody(client: MattermostClient, script: Script) -> None:
    script.answers = [error_json("api.context.session_expired.app_error", 401)]
    with pytest.raises(Refused) as caught:
        await client.user_named("james")
    assert caught.value.code == "unauthorized"
