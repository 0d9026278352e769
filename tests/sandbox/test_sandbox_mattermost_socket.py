from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from mattermost_kit import Clock, Socket, sandbox


async def test_hello_is_the_first_event_of_a_connection_with_the_token_in_its_handshake():
    async with sandbox() as box:
        hello = await (await box.listen("claude")).frame()
        assert (hello["event"], hello["seq"]) == ("hello", 0)
        assert len(hello["data"]["connection_id"]) == 26


async def test_hello_comes_before_the_answer_to_a_challenge():
    async with sandbox() as box:
        socket = await box.listen("")
        await socket.say(1, "authentication_challenge", token=box.peer.bot_token)
        assert (await socket.frame())["event"] == "hello"
        replies = [frame for frame in [await socket.frame(), await socket.frame()] if "seq_reply" in frame]
        assert replies == [{"status": "OK", "seq_reply": 1}]


async def test_a_bad_token_ends_in_1006_without_a_word():
    async with sandbox() as box:
        socket = await box.listen("")
        await socket.say(1, "authentication_challenge", token="nonsense")
        assert await socket.end() == 1006


async def test_who_says_nothing_at_first_is_cut():
    async with sandbox() as box:
        await box.ask("POST", "/scale", {"mattermost.websocket": 0.01})
        assert await (await box.listen("")).end() == 1006


async def test_a_posted_event_carries_post_and_mentions_as_strings():
    async with sandbox() as box:
        socket = await box.listen("claude")
        post = await box.post("james", "@claude hello")
        data = (await socket.event("posted"))["data"]
        assert json.loads(data["post"]) == post
        assert json.loads(data["mentions"]) == [box.peer.user_id("claude")]
        assert (data["sender_name"], data["channel_type"]) == ("@james", "O")


@pytest.mark.parametrize(
    ("message", "mentioned"),
    [
        ("@claude", True),
        ("hi @CLAUDE, go", True),
        ("@claude.", True),
        ("> @claude", True),
        ("@channel", True),
        ("@here now", True),
        ("claude", False),
        ("`@claude`", False),
        ("```\n@claude\n```", False),
        ("mail@claude", False),
        ("@claudette", False),
    ],
)
async def test_a_mention_is_what_the_server_takes_for_one(message: str, mentioned: bool):
    async with sandbox() as box:
        socket = await box.listen("claude")
        await box.post("james", message)
        assert ("mentions" in (await socket.event("posted"))["data"]) is mentioned


async def test_a_direct_message_always_mentions():
    async with sandbox() as box:
        socket = await box.listen("claude")
        pair = [box.peer.user_id("james"), box.peer.user_id("claude")]
        status, channel = await box.call("james", "POST", "/channels/direct", pair)
        assert status == 201
        await socket.event("direct_added")
        await box.call("james", "POST", "/posts", {"channel_id": channel["id"], "message": "psst"})
        data = (await socket.event("posted"))["data"]
        assert (data["channel_type"], data["team_id"]) == ("D", "")
        assert json.loads(data["mentions"]) == [box.peer.user_id("claude")]


async def test_the_bot_hears_itself():
    async with sandbox() as box:
        socket = await box.listen("claude")
        await box.post("claude", "own")
        assert await socket.posted() == "own"


async def test_posted_comes_before_the_answer_to_the_post():
    async with sandbox() as box:
        socket = await box.listen("claude")
        order: list[str] = []

        async def listen() -> None:
            await socket.posted()
            order.append("event")

        async def write() -> None:
            await box.post("claude", "x")
            order.append("answer")

        for _ in range(5):
            await asyncio.gather(listen(), write())
        assert order == ["event", "answer"] * 5


async def test_posted_can_be_told_to_come_later_than_the_answer():
    async with sandbox() as box:
        socket = await box.listen("claude")
        await socket.event("status_change")
        await box.arm("late_posted")
        await box.post("claude", "late")
        with pytest.raises(asyncio.TimeoutError):
            await socket.ws.receive(timeout=0.05)
        assert await socket.posted() == "late"


async def test_edits_deletions_and_reactions_are_told():
    async with sandbox() as box:
        socket = await box.listen("claude")
        post = await box.post("james", "old")
        body = {"user_id": box.peer.user_id("james"), "post_id": post["id"], "emoji_name": "eyes"}
        await box.call("james", "POST", "/reactions", body)
        await box.call("james", "PUT", f"/posts/{post['id']}/patch", {"message": "new"})
        await box.call("james", "DELETE", f"/posts/{post['id']}")
        reaction = json.loads((await socket.event("reaction_added"))["data"]["reaction"])
        assert reaction["emoji_name"] == "eyes"
        assert json.loads((await socket.event("post_edited"))["data"]["post"])["message"] == "new"
        assert json.loads((await socket.event("post_deleted"))["data"]["post"])["message"] == "new"


async def test_coming_and_going_is_told_with_the_channel_in_the_broadcast():
    async with sandbox() as box:
        _, made = await box.ask("POST", "/mattermost/channel", {"name": "other", "members": ["james"]})
        bot, james = await box.listen("claude"), await box.listen("james")
        member = {"user_id": box.peer.user_id("claude")}
        await box.call("james", "POST", f"/channels/{made['id']}/members", member)
        assert (await bot.event("user_added"))["broadcast"]["channel_id"] == made["id"]
        system = await bot.event("posted")
        assert json.loads(system["data"]["post"])["type"] == "system_add_to_channel"
        assert system["data"]["sender_name"] == "System"
        await box.call("james", "DELETE", f"/channels/{made['id']}/members/{member['user_id']}")
        removed = await bot.event("user_removed")
        assert removed["data"]["channel_id"] == made["id"]
        assert removed["broadcast"]["user_id"] == member["user_id"]
        assert (await james.event("user_removed"))["data"]["user_id"] == member["user_id"]


async def test_typing_is_told_to_the_others():
    async with sandbox() as box:
        bot, james = await box.listen("claude"), await box.listen("james")
        await bot.say(1, "user_typing", channel_id=box.peer.channel_id, parent_id="")
        assert (await james.event("typing"))["data"]["user_id"] == box.peer.user_id("claude")


async def test_who_is_not_in_a_channel_hears_nothing_of_it():
    async with sandbox() as box:
        _, made = await box.ask("POST", "/mattermost/channel", {"name": "other", "members": ["james"]})
        socket = await box.listen("claude")
        await box.call("james", "POST", "/posts", {"channel_id": made["id"], "message": "secret"})
        await box.post("james", "open")
        assert await socket.posted() == "open"


async def test_a_ping_is_answered_and_an_unknown_action_fails():
    async with sandbox() as box:
        socket = await box.listen("claude")
        await socket.event("status_change")
        await socket.say(7, "ping")
        pong = await socket.frame()
        assert (pong["status"], pong["seq_reply"], pong["data"]["text"]) == ("OK", 7, "pong")
        await socket.say(8, "nosuch")
        failed = await socket.frame()
        assert (failed["status"], failed["error"]["status_code"]) == ("FAIL", 500)


@pytest.mark.parametrize(("size", "code"), [(8192, None), (8193, 1009)])
async def test_a_frame_over_8192_bytes_ends_the_connection(size: int, code: int | None):
    async with sandbox() as box:
        socket = await box.listen("claude")
        await socket.event("status_change")
        frame = json.dumps({"seq": 1, "action": "ping", "data": {"x": ""}})
        await socket.ws.send_str(frame[:-3] + "x" * (size - len(frame)) + frame[-3:])
        if code is None:
            assert (await socket.frame())["status"] == "OK"
        else:
            assert await socket.end() == code


async def test_a_client_that_answers_no_ping_is_cut():
    async with sandbox() as box:
        await box.ask("POST", "/scale", {"mattermost.websocket": 0.001})
        headers = {"Authorization": f"Bearer {box.peer.bot_token}"}
        url = f"{box.peer.url}/api/v4/websocket"
        ws = await box.http.ws_connect(url, headers=headers, autoping=False)
        assert await Socket(ws).end() == 1006


async def test_a_revoked_token_is_401_at_once_while_the_websocket_goes_on():
    async with sandbox() as box:
        socket = await box.listen("claude")
        headers = {"Authorization": f"Bearer {box.peer.bot_token}"}
        await box.ask("POST", "/mattermost/revoke", {"user": "claude"})
        async with box.http.get(f"{box.peer.url}/api/v4/users/me", headers=headers) as response:
            assert response.status == 401
        await box.post("james", "still heard")
        assert await socket.posted() == "still heard"


# --- coming back -------------------------------------------------------------------------------------------


async def seen(socket: Socket) -> tuple[str, int]:
    """The connection's id, and the number of the next event."""
    hello = await socket.frame()
    status = await socket.frame()
    return hello["data"]["connection_id"], status["seq"] + 1


async def test_a_connection_is_resumed_with_what_was_missed_and_no_hello():
    async with sandbox() as box:
        socket = await box.listen("claude")
        connection_id, sequence = await seen(socket)
        await box.ask("POST", "/drop", {"user": "claude"})
        assert await socket.end() == 1006
        for i in range(3):
            await box.post("james", f"while down {i}")
        socket = await box.listen("claude", connection_id=connection_id, sequence_number=sequence)
        frames = [await socket.frame() for _ in range(3)]
        assert [frame["event"] for frame in frames] == ["posted"] * 3
        assert [frame["seq"] for frame in frames] == [sequence, sequence + 1, sequence + 2]
        await box.post("james", "up again")
        assert await socket.posted() == "up again"


async def test_resuming_at_the_newest_event_replays_nothing():
    async with sandbox() as box:
        socket = await box.listen("claude")
        connection_id, sequence = await seen(socket)
        await box.ask("POST", "/drop", {})
        socket = await box.listen("claude", connection_id=connection_id, sequence_number=sequence)
        await box.post("james", "next")
        frame = await socket.frame()
        assert (frame["event"], frame["seq"]) == ("posted", sequence)


@pytest.mark.parametrize("why", ["unknown", "too many", "ahead", "too late", "restarted", "challenge"])
async def test_what_cannot_be_resumed_begins_anew_with_another_id(why: str):
    clock = Clock()
    async with sandbox(clock) as box:
        socket = await box.listen("claude")
        connection_id, sequence = await seen(socket)
        await box.ask("POST", "/drop", {"forget": why == "restarted"})
        await socket.end()
        for i in range(129 if why == "too many" else 1):
            await box.post("james", f"while down {i}")
        if why == "too late":
            clock.now += 301
        wanted = {"unknown": "a" * 26}.get(why, connection_id)
        number = sequence + 500 if why == "ahead" else sequence
        socket = await box.listen(
            "" if why == "challenge" else "claude", connection_id=wanted, sequence_number=number
        )
        if why == "challenge":
            await socket.say(1, "authentication_challenge", token=box.peer.bot_token)
        hello = await socket.frame()
        assert hello["event"] == "hello"
        assert hello["seq"] == 0
        assert hello["data"]["connection_id"] != connection_id


async def test_a_connection_that_is_still_alive_is_not_taken_over():
    async with sandbox() as box:
        first = await box.listen("claude")
        connection_id, sequence = await seen(first)
        second = await box.listen("claude", connection_id=connection_id, sequence_number=sequence)
        assert (await second.frame())["data"]["connection_id"] != connection_id
        await box.post("james", "both")
        assert [await first.posted(), await second.posted()] == ["both", "both"]


# --- faults of events --------------------------------------------------------------------------------------


async def test_a_dropped_websocket_loses_the_event_until_it_is_resumed():
    async with sandbox() as box:
        socket = await box.listen("claude")
        connection_id, sequence = await seen(socket)
        await box.arm("drop_websocket", match={"event": "posted"})
        await box.post("james", "lost")
        message = await asyncio.wait_for(socket.ws.receive(), 5)
        assert message.type is not aiohttp.WSMsgType.TEXT
        socket = await box.listen("claude", connection_id=connection_id, sequence_number=sequence)
        assert await socket.posted() == "lost"


async def test_a_silent_websocket_stays_open_and_answers_no_ping():
    async with sandbox() as box:
        await box.arm("silent_websocket")
        socket = await box.listen("claude")
        assert (await socket.frame())["event"] == "hello"
        await socket.event("status_change")
        await socket.say(1, "ping")
        await socket.ws.ping()
        await box.post("james", "unheard")
        with pytest.raises(asyncio.TimeoutError):
            await socket.ws.receive(timeout=0.2)
        assert not socket.ws.closed
        assert await (await box.listen("james")).frame()


async def test_a_posted_event_can_come_twice():
    async with sandbox() as box:
        socket = await box.listen("claude")
        await box.arm("duplicate_posted")
        await box.post("james", "twice")
        first, second = await socket.event("posted"), await socket.event("posted")
        assert first["data"] == second["data"]
        assert second["seq"] == first["seq"] + 1


async def test_posted_events_can_come_out_of_order():
    async with sandbox() as box:
        socket = await box.listen("claude")
        await box.arm("reorder_posted")
        await box.post("james", "one")
        await box.post("james", "two")
        assert [await socket.posted(), await socket.posted()] == ["two", "one"]


async def test_a_held_back_event_comes_by_itself_in_the_end():
    async with sandbox() as box:
        await box.ask("POST", "/scale", {"mattermost.held_back": 0.05})
        socket = await box.listen("claude")
        await box.arm("reorder_posted")
        await box.post("james", "one")
        assert await socket.posted() == "one"
