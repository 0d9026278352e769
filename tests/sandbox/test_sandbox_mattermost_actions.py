from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from mattermost_kit import Box, card, integration, sandbox


async def press(
    box: Box, who: str, post: dict[str, Any], action: str = "approve"
) -> tuple[int, dict[str, Any]]:
    return await box.call(who, "POST", f"/posts/{post['id']}/actions/{action}", {})


async def test_a_press_reaches_the_integration_with_all_it_needs():
    async with sandbox() as box, integration() as it:
        post = await box.post("claude", "m", props=card(it.url, mac="s3cr3t", n=1))
        status, answer = await press(box, "james", post)
        assert (status, answer["status"]) == (200, "OK")
        (call,) = it.calls
        trigger_id = call.pop("trigger_id")
        assert base64.b64decode(trigger_id).decode().split(":")[:2] == [
            answer["trigger_id"],
            box.peer.user_id("james"),
        ]
        assert call == {
            "user_id": box.peer.user_id("james"),
            "user_name": "james",
            "channel_id": box.peer.channel_id,
            "channel_name": "claude-project",
            "team_id": box.peer.team_id,
            "team_domain": "sandbox",
            "post_id": post["id"],
            "type": "button",
            "data_source": "",
            "context": {"mac": "s3cr3t", "n": 1},
        }
        assert it.headers[0]["User-Agent"] == "Mattermost-Bot/1.1"
        assert it.headers[0]["Content-Type"] == "application/json"


async def test_every_concurrent_press_is_delivered():
    async with sandbox() as box, integration() as it:
        it.hold = asyncio.Event()
        post = await box.post("claude", "m", props=card(it.url))
        presses = [asyncio.create_task(press(box, "james", post)) for _ in range(5)]
        async with asyncio.timeout(5):
            for _ in range(5):
                await it.called.acquire()
        it.hold.set()
        assert [status for status, _ in await asyncio.gather(*presses)] == [200] * 5
        assert len({call["trigger_id"] for call in it.calls}) == 5


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ({"json": {}}, 200),
        ({"json": {"error": "no"}}, 200),
        ({"json": {}, "status": 201}, 400),
        ({"json": {}, "status": 500}, 400),
        ({"text": "OK"}, 400),
        ({"text": ""}, 400),
        ({"status": 302, "headers": {"Location": "/callback"}}, 400),
    ],
)
async def test_only_200_with_json_counts_as_success(reply: dict[str, Any], status: int):
    async with sandbox() as box, integration() as it:
        it.answer = reply
        post = await box.post("claude", "m", props=card(it.url))
        got, answer = await press(box, "james", post)
        assert got == status
        if status == 400:
            assert answer["id"] == "api.post.do_action.action_integration.app_error"


async def test_the_server_waits_thirty_seconds_scaled():
    async with sandbox() as box, integration() as it:
        await box.ask("POST", "/scale", {"mattermost.press": 0.005})
        it.hold = asyncio.Event()
        post = await box.post("claude", "m", props=card(it.url))
        assert (await press(box, "james", post))[0] == 400
        assert len(it.calls) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://192.168.12.10/x", "http://example.com/x"])
async def test_what_cannot_or_must_not_be_reached_is_an_error_for_the_presser(url: str):
    async with sandbox() as box:
        post = await box.post("claude", "m", props=card(url))
        assert (await press(box, "james", post))[0] == 400


@pytest.mark.parametrize("action_id", ["with-dash", "with_under", "with.dot"])
async def test_an_action_id_of_other_characters_is_no_known_path(action_id: str):
    async with sandbox() as box, integration() as it:
        post = await box.post("claude", "m", props=card(it.url, action_id))
        status, answer = await press(box, "james", post, action_id)
        assert (status, answer["id"]) == (404, "api.context.404.app_error")
        assert it.calls == []


async def test_an_unknown_action_is_404():
    async with sandbox() as box, integration() as it:
        post = await box.post("claude", "m", props=card(it.url))
        status, answer = await press(box, "james", post, "nosuch")
        assert (status, answer["id"]) == (404, "api.post.do_action.action_id.app_error")


async def test_who_is_not_in_the_channel_cannot_press():
    async with sandbox() as box, integration() as it:
        post = await box.post("claude", "m", props=card(it.url))
        await box.ask("POST", "/mattermost/leave", {"channel": "claude-project", "user": "sarah"})
        assert (await press(box, "sarah", post))[0] == 403
        assert it.calls == []


async def test_anybody_can_forge_a_button_with_any_context():
    async with sandbox() as box, integration() as it:
        post = await box.post("james", "m", props={"from_bot": "true"} | card(it.url, mac="guess"))
        assert post["props"]["from_bot"] == "true"
        assert (await press(box, "sarah", post))[0] == 200
        assert it.calls[0]["context"] == {"mac": "guess"}


async def test_an_update_replaces_message_and_props():
    async with sandbox() as box, integration() as it:
        it.answer = {"json": {"update": {"message": "decided", "props": {"k": 1}}}}
        socket = await box.listen("claude")
        post = await box.post("claude", "m", props=card(it.url))
        await press(box, "james", post)
        _, read = await box.call("claude", "GET", f"/posts/{post['id']}")
        assert (read["message"], read["props"]) == ("decided", {"k": 1})
        await socket.event("post_edited")
        assert (await press(box, "james", post))[0] == 404


async def test_an_update_without_props_keeps_the_buttons_and_with_none_clears_them():
    async with sandbox() as box, integration() as it:
        it.answer = {"json": {"update": {"message": "kept"}}}
        post = await box.post("claude", "m", props=card(it.url))
        await press(box, "james", post)
        it.answer = {"json": {"update": {"message": "cleared", "props": {}}}}
        assert (await press(box, "james", post))[0] == 200
        _, read = await box.call("claude", "GET", f"/posts/{post['id']}")
        assert (read["message"], read["props"]) == ("cleared", {})


async def test_an_ephemeral_text_is_shown_to_the_presser_alone():
    async with sandbox() as box, integration() as it:
        it.answer = {"json": {"ephemeral_text": "only you"}}
        james, sarah = await box.listen("james"), await box.listen("sarah")
        post = await box.post("claude", "m", props=card(it.url))
        await press(box, "james", post)
        assert "only you" in (await james.event("ephemeral_message"))["data"]["post"]
        await box.post("james", "next")
        assert [await sarah.posted(), await sarah.posted()] == ["m", "next"]
        assert await box.messages() == ["next", "m"]


async def test_a_patch_of_the_message_leaves_the_buttons_alive():
    async with sandbox() as box, integration() as it:
        post = await box.post("claude", "m", props=card(it.url))
        await box.call("claude", "PUT", f"/posts/{post['id']}/patch", {"message": "new"})
        assert (await press(box, "james", post))[0] == 200


@pytest.mark.parametrize("how", ["patch", "put with props", "put without props"])
async def test_props_read_back_or_left_out_kill_the_buttons(how: str):
    async with sandbox() as box, integration() as it:
        post = await box.post("claude", "m", props=card(it.url))
        _, read = await box.call("claude", "GET", f"/posts/{post['id']}")
        body = {"id": post["id"], "message": "new"} | (
            {} if how.endswith("out props") else {"props": read["props"]}
        )
        path = f"/posts/{post['id']}/patch" if how == "patch" else f"/posts/{post['id']}"
        assert (await box.call("claude", "PUT", path, body))[0] == 200
        assert (await press(box, "james", post))[0] == 404
        assert it.calls == []


async def test_a_press_can_fail_to_arrive_or_arrive_twice():
    async with sandbox() as box, integration() as it:
        post = await box.post("claude", "m", props=card(it.url))
        await box.arm("press_not_delivered")
        assert (await press(box, "james", post))[0] == 400
        assert it.calls == []
        await box.arm("press_delivered_twice")
        assert (await press(box, "james", post))[0] == 200
        assert len({call["trigger_id"] for call in it.calls}) == 1
        assert len(it.calls) == 2
        _, presses = await box.ask("GET", "/state/presses")
        assert [(p["user_name"], p["deliveries"], p["ok"]) for p in presses] == [
            ("james", 0, False),
            ("james", 2, True),
        ]
