"""Files and threads: the REST client against the sandbox's Mattermost, and against scripted answers."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sm.core.outcome import Refused, Unreachable
from sm.mattermost.client import MAX_FILE_BYTES, MattermostClient, Post
from sm.sandbox.mattermost.peer import MattermostPeer

from .kit import CHANNEL, Script, Waits, error_json

FILE = "f" * 26


async def say(client: MattermostClient, peer: MattermostPeer, message: str, **more: Any) -> Post:
    props = {"sm_command": message}
    return await client.create_post(peer.channel_id, message, props=props, pending_post_id="", **more)


async def delete(peer: MattermostPeer, post: Post) -> None:
    headers = {"Authorization": f"Bearer {peer.james_token}"}
    url = f"{peer.url}/api/v4/posts/{post.id}"
    async with aiohttp.ClientSession(headers=headers) as http, http.delete(url) as answer:
        assert answer.status == 200


async def test_a_post_in_a_thread_names_its_root(
    bot: MattermostClient, james: MattermostClient, peer: MattermostPeer
) -> None:
    root = await say(james, peer, "root")
    reply = await say(bot, peer, "reply", root_id=root.id)
    assert (reply.root_id, (await james.get_post(reply.id)).root_id) == (root.id, root.id)


async def test_the_probe_finds_a_reply_in_a_thread(
    bot: MattermostClient, james: MattermostClient, peer: MattermostPeer
) -> None:
    root = await say(james, peer, "root")
    anchor = await say(bot, peer, "anchor")
    reply = await say(bot, peer, "reply", root_id=root.id)
    for after in (anchor.id, root.id, None):
        found = await bot.find_post(peer.channel_id, after, "reply")
        assert found is not None
        assert (found.id, found.root_id) == (reply.id, root.id)


async def test_replies_and_posts_of_the_channel_come_in_one_order(
    bot: MattermostClient, james: MattermostClient, peer: MattermostPeer
) -> None:
    root = await say(james, peer, "root")
    await say(bot, peer, "one")
    await say(james, peer, "two", root_id=root.id)
    await say(bot, peer, "three")
    posts = [post.message async for post in bot.posts_after(peer.channel_id, root.id)]
    assert [text for text in posts if text != "root"] == ["one", "two", "three"]


async def test_a_reply_to_a_deleted_root_is_refused_as_root_missing(
    bot: MattermostClient, james: MattermostClient, peer: MattermostPeer
) -> None:
    root = await say(james, peer, "root")
    await say(bot, peer, "reply", root_id=root.id)
    await delete(peer, root)
    with pytest.raises(Refused) as caught:
        await say(bot, peer, "late", root_id=root.id)
    assert caught.value.code == "root_missing"
    assert await bot.find_post(peer.channel_id, None, "reply") is None


async def test_a_reply_to_a_reply_is_refused_as_root_missing(
    bot: MattermostClient, james: MattermostClient, peer: MattermostPeer
) -> None:
    root = await say(james, peer, "root")
    reply = await say(bot, peer, "reply", root_id=root.id)
    with pytest.raises(Refused) as caught:
        await say(bot, peer, "deeper", root_id=reply.id)
    assert caught.value.code == "root_missing"


async def test_a_file_is_handed_in_and_attached(bot: MattermostClient, peer: MattermostPeer) -> None:
    content = bytes(range(256)) * 10
    file_id = await bot.upload_file(peer.channel_id, "change.diff", content)
    post = await say(bot, peer, "the change", file_ids=(file_id,))
    assert post.file_ids == (file_id,)
    headers = {"Authorization": f"Bearer {peer.james_token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.get(f"{peer.url}/api/v4/files/{file_id}") as answer,
    ):
        assert await answer.read() == content


async def test_a_file_nobody_knows_is_missing_from_the_answer(
    bot: MattermostClient, peer: MattermostPeer
) -> None:
    assert (await say(bot, peer, "the change", file_ids=(FILE,))).file_ids == ()


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("acme-webapp.diff", "acme-webapp.diff"),
        ('a"\r\nb/../ü x.diff', "a-b-..-x.diff"),
        ("..", "file"),
        ("", "file"),
        ("x" * 300 + ".diff", "x" * 95 + ".diff"),
    ],
)
async def test_a_name_becomes_one_that_a_form_holds_as_it_is(
    client: MattermostClient, script: Script, given: str, sent: str
) -> None:
    script.answers = [web.json_response({"file_infos": [{"id": FILE}], "client_ids": []}, status=201)]
    assert await client.upload_file(CHANNEL, given, b"diff") == FILE
    method, path, headers, body = script.requests[0]
    assert (method, path) == ("POST", "/api/v4/files")
    assert headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert re.findall(rb'filename="([^"]*)"', body) == [sent.encode()]
    assert body.index(b'name="channel_id"') < body.index(b'name="files"')


async def test_a_429_on_an_upload_is_waited_for_and_the_whole_form_sent_again(
    client: MattermostClient, script: Script, waits: Waits
) -> None:
    limited = web.Response(status=429, text="limit exceeded\n", headers={"Retry-After": "2"})
    script.answers = [limited, web.json_response({"file_infos": [{"id": FILE}]}, status=201)]
    assert await client.upload_file(CHANNEL, "a.diff", b"content") == FILE
    assert waits.seconds == [2]
    assert all(b"content" in body and CHANNEL.encode() in body for *_, body in script.requests)


@pytest.mark.parametrize(
    ("error_id", "status", "code"),
    [
        ("api.file.upload_file.too_large_detailed.app_error", 413, "too_long"),
        ("api.file.attachments.disabled.app_error", 501, "files_disabled"),
        ("api.file.attachments.disabled.app_error", 403, "files_disabled"),
        ("api.context.permissions.app_error", 403, "forbidden"),
    ],
)
async def test_a_server_that_takes_no_such_file_is_refused_with_a_code(
    client: MattermostClient, script: Script, error_id: str, status: int, code: str
) -> None:
    script.answers = [error_json(error_id, status)]
    with pytest.raises(Refused) as caught:
        await client.upload_file(CHANNEL, "a.diff", b"content")
    assert caught.value.code == code


@pytest.mark.parametrize("body", [{}, {"file_infos": []}, {"file_infos": [{"id": "x"}]}, []])
async def test_an_upload_answered_with_something_else_is_unreachable(
    client: MattermostClient, script: Script, body: Any
) -> None:
    script.answers = [web.json_response(body, status=201)]
    with pytest.raises(Unreachable):
        await client.upload_file(CHANNEL, "a.diff", b"content")


async def test_a_file_over_the_bound_is_refused_before_it_is_sent(
    client: MattermostClient, script: Script
) -> None:
    with pytest.raises(Refused) as caught:
        await client.upload_file(CHANNEL, "a.diff", b"x" * (MAX_FILE_BYTES + 1))
    assert caught.value.code == "too_long"
    assert script.requests == []
