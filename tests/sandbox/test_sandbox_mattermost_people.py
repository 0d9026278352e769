"""Reactions, direct messages, and who may do what from outside of a channel: as the server's source has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mattermost_kit import Box, Socket, sandbox

CHECK = "white_check_mark"


async def react(
    box: Box, who: str, post_id: str, emoji: str = CHECK, **more: Any
) -> tuple[int, dict[str, Any]]:
    body = {"user_id": box.peer.user_id(who), "post_id": post_id, "emoji_name": emoji, **more}
    return await box.call(who, "POST", "/reactions", body)


async def listed(box: Box, post_id: str) -> Any:
    status, found = await box.call("claude", "GET", f"/posts/{post_id}/reactions")
    assert status == 200
    return found


async def reaction(socket: Socket, event: str = "reaction_added") -> dict[str, Any]:
    return json.loads((await socket.event(event))["data"]["reaction"])


# --- reactions -------------------------------------------------------------------------------------------------------


async def test_reactions_are_listed_once_and_gone_when_taken_back():
    async with sandbox() as box:
        post = await box.post("james", "m")
        for _ in range(2):
            assert (await react(box, "sarah", post["id"]))[0] == 200
        assert [(one["user_id"], one["emoji_name"]) for one in await listed(box, post["id"])] == [
            (box.peer.user_id("sarah"), CHECK)
        ]
        _, read = await box.call("james", "GET", f"/posts/{post['id']}")
        assert (read["has_reactions"], read["update_at"] > post["update_at"]) == (True, True)
        await box.call("sarah", "DELETE", f"/users/me/posts/{post['id']}/reactions/{CHECK}")
        assert await listed(box, post["id"]) == []
        _, read = await box.call("james", "GET", f"/posts/{post['id']}")
        assert "has_reactions" not in read


async def test_a_reaction_given_again_is_told_again():
    async with sandbox() as box:
        socket = await box.listen("claude")
        post = await box.post("james", "m")
        for _ in range(2):
            await react(box, "sarah", post["id"])
        told = [await reaction(socket), await reaction(socket)]
        assert [one["emoji_name"] for one in told] == [CHECK, CHECK]
        assert told[0]["create_at"] < told[1]["create_at"]


async def test_a_reaction_taken_back_and_given_again_is_listed_with_its_first_time():
    async with sandbox() as box:
        socket = await box.listen("claude")
        post = await box.post("james", "m")
        _, first = await react(box, "sarah", post["id"])
        await box.call("sarah", "DELETE", f"/users/me/posts/{post['id']}/reactions/{CHECK}")
        _, second = await react(box, "sarah", post["id"])
        assert (await reaction(socket, "reaction_removed"))["emoji_name"] == CHECK
        assert (await reaction(socket))["create_at"] == second["create_at"]
        [row] = await listed(box, post["id"])
        assert row["create_at"] == first["create_at"] < second["create_at"]


async def test_the_time_of_a_reaction_is_the_clients_when_it_gives_one():
    async with sandbox() as box:
        post = await box.post("james", "m")
        await react(box, "sarah", post["id"], create_at=1)
        assert [one["create_at"] for one in await listed(box, post["id"])] == [1]


@pytest.mark.parametrize(
    ("change", "status", "error_id"),
    [
        ({"emoji_name": ""}, 400, "api.reaction.save_reaction.invalid.app_error"),
        ({"emoji_name": "x" * 65}, 400, "api.reaction.save_reaction.invalid.app_error"),
        ({"post_id": "no-id"}, 400, "api.reaction.save_reaction.invalid.app_error"),
        ({"emoji_name": "x y"}, 400, "model.reaction.is_valid.emoji_name.app_error"),
        ({"emoji_name": "✅"}, 400, "model.reaction.is_valid.emoji_name.app_error"),
        ({"user_id": "q" * 26}, 403, "api.reaction.save_reaction.user_id.app_error"),
        ({"post_id": "q" * 26}, 403, "api.context.permissions.app_error"),
    ],
)
async def test_what_is_no_reaction_of_ones_own_is_refused(change: dict[str, str], status: int, error_id: str):
    async with sandbox() as box:
        post = await box.post("james", "m")
        body = {"user_id": box.peer.user_id("sarah"), "post_id": post["id"], "emoji_name": CHECK}
        got, error = await box.call("sarah", "POST", "/reactions", body | change)
        assert (got, error["id"]) == (status, error_id)
        assert await listed(box, post["id"]) == []


async def test_the_reactions_of_who_left_or_was_deactivated_stay():
    async with sandbox() as box:
        post = await box.post("claude", "m")
        for who in ("james", "sarah"):
            await react(box, who, post["id"])
        await box.ask("POST", "/mattermost/leave", {"channel": "claude-project", "user": "james"})
        await box.ask("POST", "/mattermost/deactivate", {"user": "sarah"})
        assert len(await listed(box, post["id"])) == 2
        assert (await react(box, "james", post["id"], "x"))[0] == 403


async def test_a_system_administrator_reacts_presses_and_writes_from_outside_of_a_channel():
    async with sandbox() as box:
        await box.ask("POST", "/mattermost/user", {"name": "root", "admin": True})
        await box.ask("POST", "/mattermost/user", {"name": "eve"})
        socket = await box.listen("claude")
        post = await box.post("claude", "m")
        path = f"/channels/{box.peer.channel_id}/members/{box.peer.user_id('root')}"
        assert (await box.call("claude", "GET", path))[0] == 404
        assert (await react(box, "root", post["id"]))[0] == 200
        assert (await reaction(socket))["user_id"] == box.peer.user_id("root")
        await box.post("root", "from outside")
        assert await socket.posted() == "from outside"
        assert (await react(box, "eve", post["id"]))[0] == 403
        body = {"channel_id": box.peer.channel_id, "message": "m"}
        assert (await box.call("eve", "POST", "/posts", body))[0] == 403


async def test_a_deleted_post_has_its_reactions_and_takes_no_more():
    async with sandbox() as box:
        post = await box.post("claude", "m")
        await react(box, "james", post["id"])
        await box.call("claude", "DELETE", f"/posts/{post['id']}")
        assert len(await listed(box, post["id"])) == 1
        status, error = await react(box, "sarah", post["id"])
        assert (status, error["id"]) == (404, "app.post.get.app_error")


async def test_an_archived_channel_takes_no_reactions():
    async with sandbox() as box:
        post = await box.post("claude", "m")
        await box.ask("POST", "/mattermost/archive", {"channel": box.peer.channel_id})
        status, error = await react(box, "sarah", post["id"])
        assert (status, error["id"]) == (403, "api.reaction.save.archived_channel.app_error")


async def test_newer_servers_know_their_emoji_limit_them_and_list_null():
    async with sandbox() as box:
        post = await box.post("claude", "m")
        assert (await react(box, "sarah", post["id"], "no_such_emoji"))[0] == 200
        await box.call("sarah", "DELETE", f"/users/me/posts/{post['id']}/reactions/no_such_emoji")
        for fault in ("unknown_emoji", "null_reactions"):
            await box.arm(fault, times=None)
        assert await listed(box, post["id"]) is None
        status, error = await react(box, "sarah", post["id"], "no_such_emoji")
        assert (status, error["id"]) == (404, "app.emoji.get_by_name.no_result")
        assert (await react(box, "sarah", post["id"]))[0] == 200
        await box.arm("too_many_reactions")
        status, error = await react(box, "sarah", post["id"], "x")
        assert (status, error["id"]) == (400, "app.reaction.save.save.too_many_reactions")
        assert [one["emoji_name"] for one in await listed(box, post["id"])] == [CHECK]


async def test_the_event_of_a_reaction_can_be_lost_on_the_way():
    async with sandbox() as box:
        socket = await box.listen("claude")
        post = await box.post("claude", "m")
        await box.arm("skip_event", match={"event": "reaction_added", "emoji": CHECK})
        await react(box, "sarah", post["id"])
        await react(box, "sarah", post["id"], "x")
        assert (await reaction(socket))["emoji_name"] == "x"
        assert len(await listed(box, post["id"])) == 2


async def test_the_control_server_reacts_in_a_users_name_and_takes_it_back():
    async with sandbox() as box:
        post = await box.post("claude", "m")
        body = {"user": "james", "post": post["id"], "emoji": "x"}
        assert (await box.ask("POST", "/mattermost/react", body))[0] == 200
        _, state = await box.ask("GET", "/state/posts")
        assert [one["reactions"] for one in state] == [["x"]]
        await box.ask("POST", "/mattermost/react", body | {"back": True})
        assert await listed(box, post["id"]) == []
        assert (await box.ask("POST", "/mattermost/react", body | {"post": "none"}))[0] == 400


async def test_reactions_outlive_the_server(tmp_path: Path):
    async with sandbox(state_dir=tmp_path) as box:
        post = await box.post("claude", "m")
        for emoji in ("x", CHECK):
            await react(box, "sarah", post["id"], emoji)
        await box.call("sarah", "DELETE", f"/users/me/posts/{post['id']}/reactions/x")
    async with sandbox(state_dir=tmp_path) as box:
        assert [one["emoji_name"] for one in await listed(box, post["id"])] == [CHECK]


# --- direct messages ---------------------------------------------------------------------------------------------------


async def direct(box: Box, *ids: str) -> tuple[int, dict[str, Any]]:
    return await box.call("claude", "POST", "/channels/direct", list(ids))


async def test_a_direct_channel_is_one_for_both_whoever_asks():
    async with sandbox() as box:
        bot, james = box.peer.user_id("claude"), box.peer.user_id("james")
        _, first = await direct(box, bot, james)
        _, again = await direct(box, james, bot)
        _, theirs = await box.call("james", "POST", "/channels/direct", [james, bot])
        assert first["id"] == again["id"] == theirs["id"]
        assert first["type"] == "D"


async def test_a_deactivated_users_direct_channel_takes_posts():
    async with sandbox() as box:
        await box.ask("POST", "/mattermost/deactivate", {"user": "sarah"})
        status, channel = await direct(box, box.peer.user_id("claude"), box.peer.user_id("sarah"))
        assert status == 201
        await box.post("claude", "hello?", channel_id=channel["id"])


async def test_a_direct_channel_of_others_of_nobody_or_of_three_is_refused():
    async with sandbox() as box:
        bot, james, sarah = (box.peer.user_id(name) for name in ("claude", "james", "sarah"))
        for ids, status, error_id in (
            ([james, sarah], 403, "api.context.permissions.app_error"),
            ([bot, "q" * 26], 400, "api.channel.create_direct_channel.invalid_user.app_error"),
            ([bot, james, sarah], 400, "api.context.invalid_body_param.app_error"),
            ([bot, "sarah"], 400, "api.context.invalid_body_param.app_error"),
        ):
            got, error = await direct(box, *ids)
            assert (got, error["id"]) == (status, error_id)


# --- users by name --------------------------------------------------------------------------------------------------------


async def test_a_user_is_read_by_a_name_in_small_letters_alone():
    async with sandbox() as box:
        _, user = await box.call("claude", "GET", "/users/username/james")
        assert user["id"] == box.peer.user_id("james")
        status, error = await box.call("claude", "GET", "/users/username/nobody")
        assert (status, error["id"]) == (404, "app.user.get_by_username.app_error")
        status, error = await box.call("claude", "GET", "/users/username/James")
        assert (status, error["id"]) == (400, "api.context.invalid_url_param.app_error")


async def test_an_account_made_by_the_control_server_is_of_the_team_and_in_no_channel():
    async with sandbox() as box:
        _, made = await box.ask("POST", "/mattermost/user", {"name": "eve", "bot": True})
        assert (await box.call("eve", "GET", "/users/me"))[1]["id"] == made["id"]
        assert (await box.call("eve", "GET", "/users/me/channels"))[1] == []
        assert len((await box.call("eve", "GET", "/users/me/teams"))[1]) == 1
        assert (await box.ask("POST", "/mattermost/user", {"name": "eve"}))[0] == 400
