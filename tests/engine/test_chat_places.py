"""Threads, diffs and pushes before the sandbox's Mattermost: where a session talks, and what its buttons do."""

from __future__ import annotations

from typing import Any

import pytest
from chat_kit import SECRET, Bench, Town
from engine_kit import SARAH, ManualClock, agent_says, become_ready, ready_session, until

from sm.core import streams
from sm.core.events import PushDone, PushFailed, PushPrepared, WorkspaceDiffed
from sm.engine.wording.places import MAX_DIFF_SHOWN
from sm.sandbox.mattermost.store import Post
from sm.web.mac import card_context

PREPARED = PushPrepared("c" * 40, 2, " a.py | 2 +-\n", workflows=True, new_branch=True)
DIFF = WorkspaceDiffed("--- a/a.py\n+++ b/a.py\n+new", False, 1, 1, 0)


async def second_session(bench: Bench, town: Town) -> tuple[str, str]:
    """Sarah's session beside James's; answers its start message and its stream."""
    await ready_session(bench.engine, channel=town.channel)
    start = await town.write("sarah", "@claude start acme/other")
    await bench.engine.say("@claude start acme/other", user=SARAH, channel=town.channel, id=start)
    return start, bench.engine.recorded("session.requested")[-1].stream


def in_thread(town: Town, root_id: str) -> list[Post]:
    return [post for post in town.ours() if post.root_id == root_id]


# --- threads ------------------------------------------------------------------------------------------------------------


async def test_a_further_session_talks_in_the_thread_of_its_start_message(bench: Bench, town: Town) -> None:
    start, _ = await second_session(bench, town)
    [post] = await until(lambda: in_thread(town, start))
    assert post.message == "📦 Preparing **acme/other**..."


async def test_a_long_text_of_it_stands_in_its_thread_in_all_its_parts(bench: Bench, town: Town) -> None:
    start, stream = await second_session(bench, town)
    await become_ready(bench.engine, stream)
    await agent_says(bench.engine, stream, "\n\n".join("word " * 3000 for _ in range(3)))
    parts = await until(lambda: [post for post in town.ours() if post.message.startswith("word ")][2:])
    assert {post.root_id for post in parts} == {start}


async def test_a_thread_whose_root_was_deleted_is_left_for_the_channel(bench: Bench, town: Town) -> None:
    start, _ = await second_session(bench, town)
    await until(lambda: in_thread(town, start))
    status, _ = await town.call("sarah", "DELETE", f"/posts/{start}")
    assert status == 200
    await bench.engine.say("@claude help", user=SARAH, channel=town.channel, root_id=start)
    await until(lambda: any(text.startswith("`@claude start org/repo`") for text in town.messages()))


async def test_a_hint_links_to_the_sessions(bench: Bench, town: Town) -> None:
    start, _ = await second_session(bench, town)
    await bench.engine.say("@claude stop ffff", channel=town.channel)
    text = await until(lambda: next((t for t in town.messages() if t.startswith("No session `ffff`")), None))
    assert f"({town.peer.url}/_redirect/pl/{start})" in text


# --- diffs --------------------------------------------------------------------------------------------------------------


async def test_a_short_diff_stands_in_the_message(bench: Bench, town: Town) -> None:
    stream = await ready_session(bench.engine, channel=town.channel)
    await bench.engine.happen(stream, DIFF)
    text = await until(lambda: next((t for t in town.messages() if t.startswith("📄")), None))
    assert text == f"📄 The change so far: 1 file, +1 −0.\n```diff\n{DIFF.text}\n```"


@pytest.mark.parametrize("fault", ["", "lost_reply"])
async def test_a_long_diff_is_a_file_once(start_bench: Any, town: Town, fault: str) -> None:
    clock = ManualClock(flows=True)
    bench = await start_bench(clock=clock)
    stream = await ready_session(bench.engine, channel=town.channel)
    await until(lambda: len(town.ours()) == 3)
    if fault:
        town.arm(fault, method="POST", path="/api/v4/posts")
    long = WorkspaceDiffed("+line é\n" * MAX_DIFF_SHOWN, True, 3, MAX_DIFF_SHOWN, 0)
    await bench.engine.happen(stream, long)
    await until(lambda: len(bench.engine.recorded("post.sent", stream)) == 4)
    [post] = [post for post in town.ours() if post.message.startswith("📄")]
    assert post.message.endswith("It is long: the file holds its beginning.")
    [file_id] = post.file_ids
    headers = {"Authorization": f"Bearer {town.peer.token('james')}"}
    async with town.http.get(f"{town.peer.url}/api/v4/files/{file_id}", headers=headers) as answer:
        assert await answer.text() == long.text
        assert streams.short(streams.id_of(stream)) in answer.headers["Content-Disposition"]


# --- pushes -------------------------------------------------------------------------------------------------------------


class Asked:
    """A push that waits for a decision."""

    def __init__(self, bench: Bench, town: Town, stream: str) -> None:
        self.bench, self.town, self.stream = bench, town, stream

    @property
    def push(self) -> Any:
        return self.bench.engine.writer.state(self.stream).data.push

    @property
    def post(self) -> Post:
        return next(post for post in self.town.ours() if post.id == self.push.post_id)

    async def send(self, who: str = "james", action: str = "approve", **other: str) -> str:
        """Call the listener as Mattermost would; answers what the presser alone is shown."""
        given = {
            "card_id": other.get("card_id", self.push.card_id),
            "request_id": other.get("request_id", streams.id_of(self.stream)),
            "action": action,
        }
        context = card_context(SECRET, **given, channel_id=self.town.channel)
        body = {
            "user_id": self.town.peer.user_id(who),
            "user_name": who,
            "channel_id": self.town.channel,
            "post_id": other.get("post_id", self.push.post_id),
            "trigger_id": other.get("trigger", f"t-{who}-{action}"),
            "context": context,
        }
        status, answer = await self.bench.call_back(body)
        assert status == 200
        return answer.get("ephemeral_text", "")

    async def shows(self, beginning: str) -> str:
        return await until(lambda: self.post.message if self.post.message.startswith(beginning) else "")


@pytest.fixture
async def asked(bench: Bench, town: Town) -> Asked:
    stream = await ready_session(bench.engine, channel=town.channel)
    await bench.engine.say("@claude push", channel=town.channel)
    await bench.engine.happen(stream, PREPARED)
    made = Asked(bench, town, stream)
    await until(lambda: made.push.post_id)
    return made


async def test_a_push_is_shown_with_its_buttons_before_it_goes(asked: Asked) -> None:
    assert "up to `cccccccccccc`" in asked.post.message
    assert "⚠️ It changes `.github/workflows`" in asked.post.message
    assert [button["name"] for button in asked.town.buttons(asked.post)] == ["✅ Push", "❌ Don't push"]
    assert asked.bench.engine.issued("push.push") == []


async def test_a_press_in_mattermost_pushes_and_the_card_says_what_came_of_it(asked: Asked) -> None:
    assert await asked.town.press("james", asked.post.id) == 200
    await asked.shows("⏳ Pushing `cccccccccccc` to **acme/webapp** `sm/")
    [push] = asked.bench.engine.issued("push.push")
    await asked.bench.engine.happen(asked.stream, PushDone(push.command.commit, push.command.target))
    text = await asked.shows("✅ Pushed")
    assert "allowed by @james" in text
    assert f"/acme/webapp/compare/main...{push.command.target})" in text
    assert asked.town.buttons(asked.post) == []


async def test_what_upstream_refuses_is_on_the_card(asked: Asked) -> None:
    assert await asked.send() == ""
    await asked.bench.engine.happen(asked.stream, PushFailed("push_rejected", "! [rejected]"))
    assert "I never force" in await asked.shows("❌ Not pushed")


async def test_one_decision_wins_and_the_others_are_told_which(asked: Asked) -> None:
    assert await asked.send("james") == ""
    assert await asked.send("sarah") == "@james already allowed it; the push is under way."
    assert await asked.send("sarah", "deny") == "@james already allowed it; the push is under way."
    assert len(asked.bench.engine.issued("push.push")) == 1


async def test_a_no_is_on_the_card_and_answered_to_who_comes_later(asked: Asked) -> None:
    assert await asked.send("sarah", "deny") == ""
    await asked.shows("❌ Not pushed: `cccccccccccc` to")
    assert await asked.send("james") == "Already declined by @sarah."


@pytest.mark.parametrize(
    "other",
    [
        {"card_id": "p1"},
        {"request_id": "another-session"},
        {"post_id": "x" * 26},
    ],
)
async def test_a_press_on_another_card_pushes_nothing(asked: Asked, other: dict[str, str]) -> None:
    assert "Nothing was pushed." in await asked.send(**other)
    assert asked.push.status == "asked"


async def test_a_bots_press_pushes_nothing(asked: Asked) -> None:
    assert "Only people who are members" in await asked.send("claude")
    assert asked.push.status == "asked"
