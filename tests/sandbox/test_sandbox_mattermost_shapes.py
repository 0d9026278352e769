"""The shapes of answers and events, held against those recorded from a real Mattermost 5.37."""

from __future__ import annotations

import json

from mattermost_kit import card, sandbox

POST = {
    "id", "create_at", "update_at", "edit_at", "delete_at", "is_pinned", "user_id", "channel_id", "root_id",
    "parent_id", "original_id", "message", "type", "props", "hashtags", "pending_post_id", "reply_count",
    "last_reply_at", "participants", "metadata",
}  # fmt: skip
ATTACHMENT = {
    "id", "fallback", "color", "pretext", "author_name", "author_link", "author_icon", "title", "title_link", "text",
    "fields", "image_url", "thumb_url", "footer", "footer_icon", "ts", "actions",
}  # fmt: skip
CHANNEL = {
    "id", "create_at", "update_at", "delete_at", "team_id", "type", "display_name", "name", "header", "purpose",
    "last_post_at", "total_msg_count", "extra_update_at", "creator_id", "scheme_id", "props", "group_constrained",
    "shared", "total_msg_count_root", "policy_id",
}  # fmt: skip
ERROR = {"id", "message", "detailed_error", "request_id", "status_code"}
POSTED = {
    "channel_display_name",
    "channel_name",
    "channel_type",
    "post",
    "sender_name",
    "set_online",
    "team_id",
}


async def test_a_post_has_the_recorded_fields():
    async with sandbox() as box:
        post = await box.post("claude", "m", props=card("http://127.0.0.1:1/x"))
        assert set(post) == POST
        assert set(post["props"]["attachments"][0]) == ATTACHMENT
        assert post["metadata"] == {"embeds": [{"type": "message_attachment"}]}


async def test_a_channel_an_error_and_a_page_have_the_recorded_fields():
    async with sandbox() as box:
        path = f"/channels/{box.peer.channel_id}"
        assert set((await box.call("claude", "GET", path))[1]) == CHANNEL
        assert set((await box.call("", "GET", path))[1]) == ERROR
        assert set((await box.call("claude", "GET", f"{path}/posts"))[1]) == {
            "order",
            "posts",
            "next_post_id",
            "prev_post_id",
        }


async def test_events_have_the_recorded_fields():
    async with sandbox() as box:
        socket = await box.listen("claude")
        hello = await socket.frame()
        assert set(hello) == {"event", "data", "broadcast", "seq"}
        assert set(hello["data"]) == {"connection_id", "server_version"}
        assert set(hello["broadcast"]) == {"omit_users", "user_id", "channel_id", "team_id"}
        assert (await socket.frame())["event"] == "status_change"
        await box.post("james", "<b> & @claude")
        event = await socket.event("posted")
        assert set(event["data"]) == POSTED | {"mentions"}
        assert set(json.loads(event["data"]["post"])) == POST
        assert r"\u003cb\u003e \u0026" in event["data"]["post"]
