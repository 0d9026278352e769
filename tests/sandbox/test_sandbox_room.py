"""The demo's room: what a person can do in a channel, and sees there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from mattermost_kit import Box, sandbox

from sm.sandbox.demo.room import Access, Room, RoomError


@asynccontextmanager
async def room(box: Box) -> AsyncIterator[tuple[Room, list[str]]]:
    said: list[str] = []
    tokens = {"james": box.peer.james_token, "sarah": box.peer.sarah_token}
    access = Access(box.peer.url, box.peer.channel_id, box.control.url, tokens)
    async with Room(access, lambda who, line: said.append(f"{who}: {line}")) as it:
        yield it, said


async def test_a_person_replies_in_a_thread_and_sees_who_else_did():
    async with sandbox() as box, room(box) as (it, said):
        root_id = await it.say("james", "root")
        await it.say("sarah", "reply", root_id=root_id)
        seen = await it.until(lambda post: post.text == "reply")
        assert (seen.who, seen.root_id) == ("sarah", root_id)
        assert it.post(root_id).root_id == ""
        assert it.thread(root_id) == [seen]
        assert it.newest_thread() == root_id
        assert said == ["james: root", "sarah: ↳ reply"]


async def test_a_person_reads_an_attached_file():
    async with sandbox() as box, room(box) as (it, said):
        form = aiohttp.FormData({"channel_id": box.peer.channel_id})
        form.add_field("files", b"+ line\n", filename="change.diff")
        headers = {"Authorization": f"Bearer {box.peer.bot_token}"}
        async with box.http.post(f"{box.peer.url}/api/v4/files", data=form, headers=headers) as answer:
            file_id = (await answer.json())["file_infos"][0]["id"]
        await box.post("claude", "the change", file_ids=[file_id])
        seen = await it.until(lambda post: bool(post.files))
        assert (seen.files[0].name, seen.files[0].size) == ("change.diff", 7)
        assert await it.file("sarah", seen.files[0]) == b"+ line\n"
        assert "claude: 📎 change.diff (7 bytes)" in said


async def test_each_row_of_buttons_is_a_line_with_what_it_is_about():
    def row(text: str, *names: str) -> dict[str, object]:
        actions = [{"id": name, "name": name, "integration": {"url": "http://127.0.0.1:9"}} for name in names]
        return {"text": text, "actions": actions}

    async with sandbox() as box, room(box) as (it, said):
        rows = [{"text": "of no button"}, row("`a.example`", "yes", "no"), row("", "all")]
        await box.post("claude", "which?", props={"attachments": rows})
        seen = await it.until(lambda post: bool(post.buttons))
        assert seen.lines() == ["which?", "of no button", "`a.example` [yes] [no]", "[all]"]
        assert seen.lines() == [line.removeprefix("claude: ") for line in said]
        assert [(one.name, one.about) for one in seen.buttons[:2]] == [
            ("yes", "`a.example`"),
            ("no", "`a.example`"),
        ]


async def test_a_person_puts_an_emoji_on_a_post():
    async with sandbox() as box, room(box) as (it, said):
        await box.post("claude", "well?")
        seen = await it.until(lambda post: post.text == "well?")
        await it.react("sarah", seen, "white_check_mark")
        _, reactions = await box.call("claude", "GET", f"/posts/{seen.id}/reactions")
        assert [one["emoji_name"] for one in reactions] == ["white_check_mark"]
        assert "sarah: (reacts with :white_check_mark:)" in said


async def test_what_the_bot_writes_to_one_person_alone_is_told_as_such():
    async with sandbox() as box, room(box) as (_, said):
        _, bot = await box.call("claude", "GET", "/users/me")
        _, james = await box.call("james", "GET", "/users/me")
        async with asyncio.timeout(5):
            while not (await box.ask("GET", "/state/websockets"))[1].get("james"):
                await asyncio.sleep(0.01)
        _, direct = await box.call("claude", "POST", "/channels/direct", [bot["id"], james["id"]])
        body = {"channel_id": direct["id"], "message": "not here"}
        assert (await box.call("claude", "POST", "/posts", body))[0] == 201
        async with asyncio.timeout(5):
            while not said:
                await asyncio.sleep(0.01)
        assert said == ["claude: (to @james alone) not here"]


async def test_without_a_thread_there_is_no_newest_one():
    async with sandbox() as box, room(box) as (it, _):
        await it.say("james", "root")
        with pytest.raises(RoomError, match="thread"):
            it.newest_thread()
