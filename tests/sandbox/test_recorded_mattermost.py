"""The sandbox's Mattermost does what a real one was recorded doing, request by request and event by event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
from mattermost_replay import CLAUDE, OPS, TEAM, differences, replaying
from recorded_kit import Rule, exchanges

ETAG = Rule("*: headers.Etag", "absent", "no client of this project asks conditionally")
NUMBERS = Rule(
    "*.seq", "value", "events that other recordings caused are left out, so that numbers are skipped"
)
BOT_WORDS = "what the bot is described as is each installation's own"
BOT = Rule("*.bot_description", "value", BOT_WORDS)


async def test_a_websocket_opens_speaks_and_ends_as_recorded(tmp_path: Path) -> None:
    assert await differences("connect", tmp_path, (NUMBERS,), online=("claude",)) == []


async def test_a_lost_websocket_is_resumed_as_recorded(tmp_path: Path) -> None:
    assert await differences("resume", tmp_path, (), online=("claude",)) == []


async def test_posts_users_channels_and_refusals_are_as_recorded(tmp_path: Path) -> None:
    world = "the server held more posts than those of this recording"
    rules = (
        ETAG,
        BOT,
        Rule("*GET: answer.*msg_count", "value", world),
        Rule("*GET: answer.*msg_count_root", "value", world),
        Rule("*GET: answer.*.last_post_at", "value", world),
        Rule(
            "*GET: answer.last_viewed_at",
            "value",
            "how far somebody has read is not kept; no client here asks",
        ),
    )
    assert await differences("reading", tmp_path, rules, direct=True) == []


async def test_cards_and_presses_are_as_recorded(tmp_path: Path) -> None:
    rules = (
        ETAG,
        NUMBERS,
        Rule("*: call.trigger_id", "value", "signed with the server's own key; base64 on both sides"),
    )
    assert await differences("buttons", tmp_path, rules) == []


async def test_membership_and_a_disabled_bot_are_as_recorded(tmp_path: Path) -> None:
    rules = (ETAG, BOT, Rule("*able bot: answer.description", "value", BOT_WORDS))
    assert await differences("membership", tmp_path, rules, online=("james",)) == []


async def test_revoked_tokens_big_frames_and_silent_clients_are_as_recorded(tmp_path: Path) -> None:
    build = "recorded from a second build of the same version"
    rules = (
        Rule("*: headers.X-Version-Id", "value", build),
        Rule("*hello.data.server_version", "value", build),
    )
    assert await differences("lifetime", tmp_path, rules, second=True) == []


async def test_a_post_with_a_file_is_told_as_recorded(tmp_path: Path) -> None:
    async with replaying(tmp_path, (NUMBERS,)) as replay:
        headers = {"Authorization": f"Bearer {replay.peer.bot_token}"}
        url = f"{replay.peer.url}/api/v4"
        form = aiohttp.FormData({"channel_id": OPS})
        form.add_field("files", b"hello world", filename="réport.txt", content_type="text/plain")
        listening = await replay.http.ws_connect(f"{url}/websocket", headers=headers)

        async def posted(body: dict[str, Any]) -> dict[str, Any]:
            async with replay.http.post(f"{url}/posts", json=body, headers=headers) as answer:
                assert answer.status == 201
            while (frame := await listening.receive_json(timeout=5))["event"] != "posted":
                pass
            return frame

        async with replay.http.post(f"{url}/files", data=form, headers=headers) as answer:
            assert answer.status == 201
            file_id = (await answer.json())["file_infos"][0]["id"]
        for step, message in zip(
            exchanges("mattermost/files.jsonl"), ("with file", "reuse file"), strict=True
        ):
            frame = await posted({"channel_id": OPS, "message": message, "file_ids": [file_id]})
            replay.comparison.compare(message, step["frame"], frame)
        assert replay.comparison.result() == []


def test_the_recordings_are_of_the_server_that_is_rebuilt() -> None:
    """The ids that the replayed world starts with are those of the recordings."""
    text = "".join(str(step) for step in exchanges("mattermost/reading.jsonl"))
    assert all(known in text for known in (CLAUDE, OPS, TEAM))
