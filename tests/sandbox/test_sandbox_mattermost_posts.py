from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from mattermost_kit import CUT, Clock, card, sandbox


async def test_the_bot_and_people_are_who_their_tokens_say():
    async with sandbox() as box:
        _, me = await box.call("claude", "GET", "/users/me")
        assert me["username"] == "claude"
        assert me["is_bot"] is True
        assert len(me["id"]) == 26
        _, james = await box.call("claude", "GET", "/users/username/james")
        assert "is_bot" not in james
        assert (await box.call("claude", "GET", f"/users/{james['id']}"))[1] == james
        status, error = await box.call("claude", "GET", f"/users/{'a' * 26}")
        assert (status, error["id"]) == (404, "app.user.missing_account.const")


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer nonsense"}])
async def test_no_token_and_a_bad_token_get_the_same_401(header: dict[str, str]):
    async with sandbox() as box, box.http.get(f"{box.peer.url}/api/v4/users/me", headers=header) as response:
        error = await response.json()
        assert response.status == 401
        assert error["id"] == "api.context.session_expired.app_error"
        assert error["request_id"] == response.headers["X-Request-Id"]


async def test_the_bot_finds_its_channels():
    async with sandbox() as box:
        _, teams = await box.call("claude", "GET", "/users/me/teams")
        for path in ("/users/me/channels", f"/users/me/teams/{box.peer.team_id}/channels"):
            _, channels = await box.call("claude", "GET", path)
            assert [c["id"] for c in channels] == [box.peer.channel_id]
        assert [t["id"] for t in teams] == [box.peer.team_id]


async def test_membership_is_404_for_who_is_not_in_the_channel():
    async with sandbox() as box:
        await box.ask("POST", "/mattermost/leave", {"channel": "claude-project", "user": "sarah"})
        path = f"/channels/{box.peer.channel_id}/members"
        assert (await box.call("claude", "GET", f"{path}/{box.peer.user_id('james')}"))[0] == 200
        status, error = await box.call("claude", "GET", f"{path}/{box.peer.user_id('sarah')}")
        assert (status, error["id"]) == (404, "app.channel.get_member.missing.app_error")


async def test_an_unknown_path_is_404_as_text():
    async with sandbox() as box:
        headers = {"Authorization": f"Bearer {box.peer.bot_token}"}
        async with box.http.get(f"{box.peer.url}/api/v4/nothing", headers=headers) as response:
            assert response.status == 404
            assert response.content_type == "text/plain"
            assert json.loads(await response.text())["id"] == "api.context.404.app_error"


async def test_a_bot_is_marked_in_its_posts_and_people_are_not():
    async with sandbox() as box:
        assert (await box.post("claude", "x"))["props"] == {"from_bot": "true"}
        assert (await box.post("james", "x"))["props"] == {}


async def test_a_second_post_with_the_same_pending_id_is_the_first_one():
    async with sandbox() as box:
        socket = await box.listen("claude")
        first = await box.post("claude", "once", pending_post_id="p1")
        second = await box.post("claude", "once", pending_post_id="p1")
        assert second["id"] == first["id"]
        await box.post("james", "after")
        assert [await socket.posted(), await socket.posted()] == ["once", "after"]


async def test_a_pending_id_is_forgotten_after_thirty_seconds():
    clock = Clock()
    async with sandbox(clock) as box:
        first = await box.post("claude", "once", pending_post_id="p1")
        clock.now += 29
        assert (await box.post("claude", "once", pending_post_id="p1"))["id"] == first["id"]
        clock.now += 2
        assert (await box.post("claude", "once", pending_post_id="p1"))["id"] != first["id"]


async def test_the_thirty_seconds_can_be_scaled():
    clock = Clock()
    async with sandbox(clock) as box:
        await box.ask("POST", "/scale", {"mattermost.deduplication": 0.1})
        first = await box.post("claude", "once", pending_post_id="p1")
        clock.now += 4
        assert (await box.post("claude", "once", pending_post_id="p1"))["id"] != first["id"]


async def test_a_pending_id_counts_across_users():
    async with sandbox() as box:
        first = await box.post("claude", "mine", pending_post_id="p1")
        assert (await box.post("james", "other", pending_post_id="p1"))["id"] == first["id"]


async def test_a_concurrent_duplicate_is_500_while_the_first_is_being_saved():
    async with sandbox() as box:
        await box.ask("POST", "/scale", {"mattermost.save": 0.3})
        await box.arm("slow_save")
        body = {"channel_id": box.peer.channel_id, "message": "once", "pending_post_id": "p1"}
        answers = await asyncio.gather(*(box.call("claude", "POST", "/posts", body) for _ in range(3)))
        assert sorted(status for status, _ in answers) == [201, 500, 500]
        errors = {body["id"] for status, body in answers if status == 500}
        assert errors == {"api.post.deduplicate_create_post.pending"}
        assert await box.messages() == ["once"]


async def test_a_refused_post_does_not_use_up_its_pending_id():
    async with sandbox() as box:
        body = {"channel_id": box.peer.channel_id, "message": "x" * 16384, "pending_post_id": "p1"}
        assert (await box.call("claude", "POST", "/posts", body))[0] == 400
        await box.post("claude", "short", pending_post_id="p1")


async def test_a_message_may_have_16383_code_points():
    async with sandbox() as box:
        post = await box.post("claude", "😀" * 16383)
        body = {"channel_id": box.peer.channel_id, "message": "😀" * 16384}
        assert (await box.call("claude", "POST", "/posts", body))[0] == 400
        path = f"/posts/{post['id']}/patch"
        assert (await box.call("claude", "PUT", path, {"message": "x" * 16384}))[0] == 400


async def test_more_than_8000_characters_of_props_are_refused():
    async with sandbox() as box:
        body = {"channel_id": box.peer.channel_id, "message": "m", "props": {"k": "x" * 8000}}
        status, error = await box.call("claude", "POST", "/posts", body)
        assert (status, error["id"]) == (400, "model.post.is_valid.props.app_error")


async def test_a_reply_needs_the_root_of_a_thread():
    async with sandbox() as box:
        root = await box.post("james", "root")
        reply = await box.post("claude", "reply", root_id=root["id"])
        for wrong in ("a" * 26, reply["id"]):
            body = {"channel_id": box.peer.channel_id, "message": "x", "root_id": wrong}
            assert (await box.call("claude", "POST", "/posts", body))[0] == 400


async def test_a_post_into_a_channel_of_others_is_403():
    async with sandbox() as box:
        _, made = await box.ask("POST", "/mattermost/channel", {"name": "other", "members": ["james"]})
        status, error = await box.call("claude", "POST", "/posts", {"channel_id": made["id"], "message": "x"})
        assert (status, error["id"]) == (403, "api.context.permissions.app_error")
        assert (await box.call("claude", "GET", f"/channels/{made['id']}/posts"))[0] == 403


async def test_an_ephemeral_post_by_a_bot_is_403():
    async with sandbox() as box:
        assert (await box.call("claude", "POST", "/posts/ephemeral", {}))[0] == 403


async def test_nobody_edits_what_another_wrote():
    async with sandbox() as box:
        post = await box.post("james", "mine")
        assert (await box.call("claude", "PUT", f"/posts/{post['id']}/patch", {"message": "x"}))[0] == 403
        assert (await box.call("claude", "DELETE", f"/posts/{post['id']}"))[0] == 403


async def test_a_patch_of_the_message_keeps_the_props():
    async with sandbox() as box:
        post = await box.post("claude", "old", props={"k": 1})
        _, changed = await box.call("claude", "PUT", f"/posts/{post['id']}/patch", {"message": "new"})
        assert (changed["message"], changed["props"]) == ("new", {"k": 1, "from_bot": "true"})
        assert changed["edit_at"] > post["create_at"]


async def test_a_patch_of_props_replaces_them_all():
    async with sandbox() as box:
        post = await box.post("claude", "old", props={"k": 1})
        _, changed = await box.call("claude", "PUT", f"/posts/{post['id']}/patch", {"props": {"j": 2}})
        assert (changed["message"], changed["props"]) == ("old", {"j": 2})


async def test_what_a_button_is_bound_to_is_never_shown():
    async with sandbox() as box:
        post = await box.post("claude", "m", props=card("http://127.0.0.1:1/x", mac="s3cr3t"))
        _, read = await box.call("claude", "GET", f"/posts/{post['id']}")
        _, page = await box.call("james", "GET", f"/channels/{box.peer.channel_id}/posts")
        assert "s3cr3t" not in json.dumps([post, read, page])
        assert read["props"]["attachments"][0]["actions"] == [
            {"id": "approve", "type": "button", "name": "Approve", "style": "primary"}
        ]


async def test_after_pages_forward_from_its_anchor_with_the_newest_first_in_each_page():
    async with sandbox() as box:
        anchor = await box.post("james", "anchor")
        for i in range(5):
            await box.post("james", f"b{i}")
        after = anchor["id"]
        assert await box.messages(after=after, per_page=2) == ["b1", "b0"]
        assert await box.messages(after=after, per_page=2, page=1) == ["b3", "b2"]
        assert await box.messages(after=after, per_page=2, page=2) == ["b4"]
        assert await box.messages(after=after, per_page=2, page=3) == []


async def test_after_names_its_neighbours():
    async with sandbox() as box:
        ids = [(await box.post("james", f"b{i}"))["id"] for i in range(4)]
        path = f"/channels/{box.peer.channel_id}/posts"
        _, page = await box.call("claude", "GET", path, None, after=ids[0], per_page=2)
        assert (page["prev_post_id"], page["next_post_id"]) == (ids[0], ids[3])


async def test_after_works_from_a_deleted_anchor_and_leaves_out_deleted_posts():
    async with sandbox() as box:
        posts = [await box.post("james", f"b{i}") for i in range(4)]
        for i in (0, 2):
            await box.call("james", "DELETE", f"/posts/{posts[i]['id']}")
        assert await box.messages(after=posts[0]["id"]) == ["b3", "b1"]


async def test_after_misses_edits():
    async with sandbox() as box:
        first = await box.post("james", "first")
        last = await box.post("james", "last")
        await box.call("james", "PUT", f"/posts/{first['id']}/patch", {"message": "edited"})
        assert await box.messages(after=last["id"]) == []


async def test_a_post_of_the_same_millisecond_as_the_anchor_is_not_after_it():
    async with sandbox() as box:
        anchor = await box.post("james", "anchor")
        await box.arm("same_millisecond")
        twin = await box.post("james", "twin")
        assert twin["create_at"] == anchor["create_at"]
        assert await box.messages(after=anchor["id"]) == []


async def test_before_and_plain_pages_go_back_from_the_newest():
    async with sandbox() as box:
        posts = [await box.post("james", f"b{i}") for i in range(5)]
        assert await box.messages(before=posts[4]["id"], per_page=2) == ["b3", "b2"]
        assert await box.messages(before=posts[4]["id"], per_page=2, page=1) == ["b1", "b0"]
        assert await box.messages(per_page=2, page=1) == ["b2", "b1"]


async def test_a_page_holds_200_posts_at_most():
    async with sandbox() as box:
        for i in range(201):
            await box.post("james", f"b{i}")
        assert len(await box.messages(per_page=500)) == 200


async def test_since_brings_edits_deleted_posts_and_old_revisions():
    async with sandbox() as box:
        anchor = await box.post("james", "anchor")
        edited = await box.post("james", "edited")
        deleted = await box.post("james", "deleted")
        await box.call("james", "PUT", f"/posts/{edited['id']}/patch", {"message": "edited again"})
        await box.call("james", "DELETE", f"/posts/{deleted['id']}")
        path = f"/channels/{box.peer.channel_id}/posts"
        _, page = await box.call("claude", "GET", path, None, since=anchor["create_at"])
        rows = [page["posts"][post_id] for post_id in page["order"]]
        assert [bool(row["delete_at"]) for row in rows].count(True) == 2
        assert {row["original_id"] for row in rows} == {"", edited["id"]}
        assert {row["message"] for row in rows} == {"", "edited again"}


async def test_since_misses_the_newest_of_more_than_a_thousand():
    async with sandbox() as box:
        first = await box.post("james", "first")
        for i in range(1005):
            await box.post("james", f"b{i}")
        found = await box.messages(since=first["create_at"])
        assert len(found) == 1000
        assert found[0] == "b999"


async def test_a_deleted_post_is_404_and_takes_its_replies_along():
    async with sandbox() as box:
        root = await box.post("james", "root")
        reply = await box.post("claude", "reply", root_id=root["id"])
        await box.call("james", "DELETE", f"/posts/{root['id']}")
        for post in (root, reply):
            assert (await box.call("claude", "GET", f"/posts/{post['id']}"))[0] == 404


async def test_the_root_of_a_reply_comes_along_but_is_not_in_the_order():
    async with sandbox() as box:
        root = await box.post("james", "root")
        reply = await box.post("claude", "reply", root_id=root["id"])
        path = f"/channels/{box.peer.channel_id}/posts"
        _, page = await box.call("claude", "GET", path, None, after=root["id"])
        assert page["order"] == [reply["id"]]
        assert set(page["posts"]) == {root["id"], reply["id"]}
        assert page["posts"][root["id"]]["reply_count"] == 1


# --- faults of a request -----------------------------------------------------------------------------------


async def test_a_lost_request_leaves_nothing():
    async with sandbox() as box:
        await box.arm("lost_request")
        with pytest.raises(CUT):
            await box.post("claude", "x")
        assert await box.messages() == []


async def test_a_lost_reply_leaves_the_post():
    async with sandbox() as box:
        await box.arm("lost_reply", match={"method": "POST"})
        with pytest.raises(CUT):
            await box.post("claude", "x")
        assert await box.messages() == ["x"]


async def test_a_server_error_leaves_nothing_and_a_late_one_leaves_the_post():
    async with sandbox() as box:
        await box.arm("server_error", match={"message": "early*"})
        await box.arm("late_server_error", match={"message": "late*"})
        for message in ("early one", "late one"):
            body = {"channel_id": box.peer.channel_id, "message": message}
            assert (await box.call("claude", "POST", "/posts", body))[0] == 500
        assert await box.messages() == ["late one"]


async def test_too_many_requests_are_answered_as_plain_text():
    async with sandbox() as box:
        await box.arm("rate_limited")
        headers = {"Authorization": f"Bearer {box.peer.bot_token}"}
        async with box.http.get(f"{box.peer.url}/api/v4/users/me", headers=headers) as response:
            assert response.status == 429
            assert response.content_type == "text/plain"
            assert await response.text() == "limit exceeded\n"
            assert int(response.headers["Retry-After"]) >= 1
            assert "X-RateLimit-Reset" in response.headers


async def test_too_many_requests_can_meet_the_websocket_too():
    async with sandbox() as box:
        await box.arm("rate_limited", match={"path": "*/websocket"})
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await box.listen("claude")
        assert caught.value.status == 429


async def test_a_slow_request_waits_as_long_as_it_is_scaled():
    async with sandbox() as box:
        await box.ask("POST", "/scale", {"mattermost.slow": 0.02})
        await box.arm("slow")
        before = asyncio.get_running_loop().time()
        await box.call("claude", "GET", "/users/me")
        assert asyncio.get_running_loop().time() - before >= 0.1


async def test_faults_of_a_request_strike_the_bot_unless_they_name_somebody():
    async with sandbox() as box:
        await box.arm("unauthorized")
        assert (await box.call("james", "GET", "/users/me"))[0] == 200
        assert (await box.call("claude", "GET", "/users/me"))[0] == 401
        await box.arm("unauthorized", match={"user": "james"})
        assert (await box.call("james", "GET", "/users/me"))[0] == 401


# --- across restarts ---------------------------------------------------------------------------------------


async def test_posts_tokens_and_ids_are_there_after_a_restart(tmp_path: Path):
    async with sandbox(state_dir=tmp_path) as box:
        post = await box.post("claude", "kept", props=card("http://127.0.0.1:1/x"))
        before = (box.peer.bot_token, box.peer.channel_id, (await box.ask("GET", "/state/posts"))[1])
    assert (tmp_path / "mattermost.json").stat().st_mode & 0o077 == 0
    async with sandbox(state_dir=tmp_path) as box:
        assert (box.peer.bot_token, box.peer.channel_id) == before[:2]
        assert (await box.ask("GET", "/state/posts"))[1] == before[2]
        later = await box.post("james", "later")
        assert later["create_at"] > post["create_at"]
