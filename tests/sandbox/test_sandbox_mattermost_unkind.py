"""What a Mattermost in use does beside answering: proxies, lost events, archived channels, deactivated users, more teams."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mattermost_kit import Box, sandbox


async def raw(box: Box, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
    """Status, content type and text of one call of the bot."""
    headers = {"Authorization": f"Bearer {box.peer.bot_token}"}
    url = f"{box.peer.url}/api/v4{path}"
    async with box.http.request(method, url, json=body, headers=headers) as answer:
        return answer.status, answer.content_type, await answer.text()


async def test_a_proxys_error_is_a_page_of_its_own_and_nothing_happened():
    async with sandbox() as box:
        await box.arm("proxy_error")
        body = {"channel_id": box.peer.channel_id, "message": "lost"}
        status, kind, text = await raw(box, "POST", "/posts", body)
        assert (status, kind) == (502, "text/html")
        assert "<h1>502 Bad Gateway</h1>" in text
        assert await box.messages() == []


async def test_a_proxy_may_give_up_on_what_the_server_does_later():
    async with sandbox() as box:
        await box.ask("POST", "/scale", {"mattermost.late_commit": 0.05})
        socket = await box.listen("james")
        await box.arm("late_commit")
        body = {"channel_id": box.peer.channel_id, "message": "late", "pending_post_id": "p"}
        status, kind, _ = await raw(box, "POST", "/posts", body)
        assert (status, kind) == (504, "text/html")
        assert await box.messages() == []
        assert await socket.posted() == "late"
        again = await box.post("claude", "late", pending_post_id="p")
        assert await box.messages() == ["late"]
        assert again["message"] == "late"


async def test_a_late_request_after_its_repetition_is_not_posted_twice():
    async with sandbox() as box:
        await box.ask("POST", "/scale", {"mattermost.late_commit": 0.1})
        await box.arm("late_commit")
        body = {"channel_id": box.peer.channel_id, "message": "once", "pending_post_id": "p"}
        await raw(box, "POST", "/posts", body)
        await box.post("claude", "once", pending_post_id="p")
        late = [task for task in asyncio.all_tasks() if task.get_name() == "mattermost late commit"]
        await asyncio.gather(*late)
        assert await box.messages() == ["once"]


async def test_a_number_may_be_skipped_on_a_live_socket():
    async with sandbox() as box:
        socket = await box.listen("claude")
        hello = await socket.event("hello")
        await box.arm("skip_event", match={"event": "posted"})
        await box.post("james", "skipped")
        await box.post("james", "seen")
        frame = await socket.event("posted")
        assert "seen" in frame["data"]["post"]
        assert frame["seq"] == 3
        await socket.close()
        back = await box.listen(
            "claude", connection_id=hello["data"]["connection_id"], sequence_number=2
        )  # what was skipped is not kept either
        assert (await back.frame())["data"]["connection_id"] != hello["data"]["connection_id"]


async def test_an_archived_channel_is_read_and_not_written_to():
    async with sandbox() as box:
        socket = await box.listen("claude")
        post = await box.post("claude", "before")
        assert (await box.call("james", "DELETE", f"/channels/{box.peer.channel_id}"))[0] == 200
        assert (await socket.event("channel_deleted"))["data"]["channel_id"] == box.peer.channel_id
        body = {"channel_id": box.peer.channel_id, "message": "after"}
        status, error = await box.call("claude", "POST", "/posts", body)
        assert (status, error["id"]) == (400, "api.post.create_post.can_not_post_to_deleted.error")
        status, error = await box.call("claude", "PUT", f"/posts/{post['id']}/patch", {"message": "x"})
        assert (status, error["id"]) == (400, "api.post.patch_post.can_not_update_post_in_deleted.error")
        assert await box.messages() == ["james archived the channel.", "before"]
        assert (await box.call("claude", "GET", "/users/me/channels"))[1] == []
        assert (await box.call("claude", "GET", f"/channels/{box.peer.channel_id}"))[1]["delete_at"]
        await box.ask("POST", "/mattermost/archive", {"channel": box.peer.channel_id, "archived": False})
        await box.post("claude", "after")


async def test_a_deactivated_users_token_is_worth_nothing_until_they_are_activated():
    async with sandbox() as box:
        token = box.peer.sarah_token
        socket = await box.listen("sarah")
        watching = await box.listen("claude")
        await box.ask("POST", "/mattermost/deactivate", {"user": "sarah"})
        assert (await box.call("sarah", "GET", "/users/me"))[0] == 401
        assert (await watching.event("user_updated"))["data"]["user"]["delete_at"]
        assert (await box.call("claude", "GET", f"/users/{box.peer.user_id('sarah')}"))[1]["delete_at"]
        assert (await socket.event("status_change"))["data"]["status"] in ("online", "offline")
        await box.ask("POST", "/mattermost/activate", {"user": "sarah"})
        assert (await box.call("sarah", "GET", "/users/me"))[0] == 200
        assert box.peer.sarah_token == token


@pytest.mark.parametrize("path", ["/bots/{}/disable", "/users/{}/tokens"])
async def test_only_administrators_administrate(path: str):
    async with sandbox() as box:
        status, error = await box.call("james", "POST", path.format(box.peer.user_id("claude")), {})
        assert (status, error["id"]) == (403, "api.context.permissions.app_error")


async def test_a_second_team_has_channels_of_its_own_and_the_direct_ones_are_in_both():
    async with sandbox() as box:
        _, made = await box.ask("POST", "/mattermost/team", {"name": "second"})
        body = {"name": "claude-project", "team": "second"}
        _, channel = await box.ask("POST", "/mattermost/channel", body)
        pair = [box.peer.user_id("james"), box.peer.user_id("claude")]
        _, direct = await box.call("james", "POST", "/channels/direct", pair)
        _, teams = await box.call("claude", "GET", "/users/me/teams")
        assert [team["id"] for team in teams] == [box.peer.team_id, made["id"]]
        for team_id, own in ((box.peer.team_id, box.peer.channel_id), (made["id"], channel["id"])):
            _, listed = await box.call("claude", "GET", f"/users/me/teams/{team_id}/channels")
            assert {one["id"] for one in listed} == {own, direct["id"]}
        path = f"/teams/{made['id']}/channels/name/claude-project"
        assert (await box.call("claude", "GET", path))[1]["id"] == channel["id"]


async def test_a_channel_of_nobodys_team_is_refused():
    async with sandbox() as box:
        await box.ask("POST", "/mattermost/team", {"name": "second", "members": ["james"]})
        _, teams = await box.call("james", "GET", "/users/me/teams")
        assert (await box.call("claude", "GET", f"/users/me/teams/{teams[1]['id']}/channels"))[0] == 403
