"""Files in the sandbox's Mattermost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
from mattermost_kit import Box, sandbox

INFO = {
    "id", "user_id", "post_id", "channel_id", "create_at", "update_at", "delete_at", "name", "extension", "size",
    "mime_type", "mini_preview", "remote_id",
}  # fmt: skip


async def upload(box: Box, who: str, name: str = "a.txt", content: bytes = b"hello") -> dict[str, Any]:
    form = aiohttp.FormData()
    form.add_field("channel_id", box.peer.channel_id)
    form.add_field("files", content, filename=name)
    headers = {"Authorization": f"Bearer {box.peer.token(who)}"}
    async with box.http.post(f"{box.peer.url}/api/v4/files", data=form, headers=headers) as answer:
        body = await answer.json()
        assert answer.status == 201, body
        return body["file_infos"][0]


async def read(box: Box, who: str, file_id: str) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {box.peer.token(who)}"}
    async with box.http.get(f"{box.peer.url}/api/v4/files/{file_id}", headers=headers) as answer:
        return answer.status, await answer.read()


async def test_a_file_is_named_in_the_posts_metadata_and_in_the_event():
    async with sandbox() as box:
        socket = await box.listen("james")
        file = await upload(box, "claude")
        assert set(file) == INFO - {"post_id"}
        post = await box.post("claude", "look", file_ids=[file["id"]])
        assert post["file_ids"] == [file["id"]]
        (info,) = post["metadata"]["files"]
        assert set(info) == INFO
        assert (info["name"], info["size"], info["post_id"]) == ("a.txt", 5, post["id"])
        event = await socket.event("posted")
        assert event["data"]["otherFile"] == "true"
        assert json.loads(event["data"]["post"])["file_ids"] == [file["id"]]


async def test_only_who_handed_a_file_in_reads_it_until_a_post_has_it():
    async with sandbox() as box:
        file = await upload(box, "claude")
        assert await read(box, "claude", file["id"]) == (200, b"hello")
        assert (await read(box, "james", file["id"]))[0] == 403
        await box.post("claude", "look", file_ids=[file["id"]])
        assert await read(box, "james", file["id"]) == (200, b"hello")
        assert (await read(box, "james", "a" * 26))[0] == 404


async def test_ids_of_no_file_of_anothers_and_of_an_attached_one_are_dropped_without_a_word():
    async with sandbox() as box:
        mine, taken = await upload(box, "claude"), await upload(box, "claude")
        foreign = await upload(box, "james")
        await box.post("claude", "first", file_ids=[taken["id"]])
        ids = ["a" * 26, "nonsense", foreign["id"], taken["id"], mine["id"], mine["id"]]
        assert (await box.post("claude", "second", file_ids=ids))["file_ids"] == [mine["id"]]
        assert "file_ids" not in await box.post("claude", "third", file_ids=ids[:2])


async def test_who_is_not_in_the_channel_hands_no_file_in():
    async with sandbox() as box:
        await box.ask("POST", "/mattermost/leave", {"channel": "claude-project", "user": "sarah"})
        form = aiohttp.FormData({"channel_id": box.peer.channel_id})
        form.add_field("files", b"x", filename="a.txt")
        headers = {"Authorization": f"Bearer {box.peer.sarah_token}"}
        async with box.http.post(f"{box.peer.url}/api/v4/files", data=form, headers=headers) as answer:
            assert answer.status == 403


async def test_files_survive_a_restart(tmp_path: Path):
    async with sandbox(state_dir=tmp_path) as box:
        file = await upload(box, "claude", content=b"\x00\xff")
        await box.post("claude", "look", file_ids=[file["id"]])
    async with sandbox(state_dir=tmp_path) as box:
        assert await read(box, "james", file["id"]) == (200, b"\x00\xff")
        _, page = await box.call("james", "GET", f"/channels/{box.peer.channel_id}/posts")
        assert page["posts"][page["order"][0]]["file_ids"] == [file["id"]]
