"""Posts and cards before the sandbox's Mattermost: nothing twice, nothing lost, in order, and what buttons do."""

from __future__ import annotations

import pytest
from chat_kit import Bench, Town
from engine_kit import ALIAS_STREAM, ManualClock, agent_says, ready_session, until

from sm.core.events import AliasApplied, AliasFailed, AliasSaved
from sm.mattermost.splitting import POST_LIMIT

LONG = "\n\n".join(f"part {n} " + "word " * 3000 for n in range(4))


# --- posts ------------------------------------------------------------------------------------------------------------


async def test_what_is_said_is_posted_with_its_commands_id(bench: Bench, town: Town) -> None:
    await bench.engine.say("@claude help", channel=town.channel)
    [report] = await until(lambda: bench.engine.recorded("post.sent"))
    [post] = town.ours()
    assert post.message.startswith("`@claude start org/repo`")
    assert post.props["sm_command"] == report.event.command_id == bench.engine.issued("chat.say")[0].id
    assert (report.event.post_id, report.event.channel_id) == (post.id, town.channel)


async def test_the_agents_words_are_posted_unchanged(bench: Bench, town: Town) -> None:
    stream = await ready_session(bench.engine, channel=town.channel)
    words = "I'll add **pytest**\n\n```sh\n$ pip install\n```\n@all 🎉"
    await agent_says(bench.engine, stream, words, "and more")
    await until(lambda: len(town.ours()) == 5)
    assert town.messages()[3:] == [words, "and more"]
    assert town.messages()[:2] == ["📦 Preparing **acme/webapp**...", "🚀 Starting session..."]


@pytest.mark.parametrize("later_s", [0, 31], ids=["at once", "when Mattermost no longer de-duplicates"])
async def test_a_post_after_a_lost_reply_is_found_and_not_sent_twice(
    start_bench, town: Town, later_s: float
) -> None:
    clock = ManualClock()
    bench = await start_bench(clock=clock)
    town.arm("lost_reply", method="POST", path="/api/v4/posts")
    await bench.engine.say("@claude help", channel=town.channel)
    await until(lambda: clock.sleepers)
    assert not bench.engine.recorded("post.sent")
    town.ahead_s = later_s
    await clock.pass_s(1)
    [report] = await until(lambda: bench.engine.recorded("post.sent"))
    [post] = town.ours()
    assert report.event.post_id == post.id


async def test_a_post_that_a_kill_left_open_is_found_after_the_restart(start_bench, town: Town, path) -> None:
    bench = await start_bench(path, clock=ManualClock())
    town.arm("lost_reply", method="POST", path="/api/v4/posts")
    await bench.engine.say("@claude help", channel=town.channel)
    await bench.engine.say("@claude stop", channel=town.channel)
    await until(lambda: bench.engine.clock.sleepers)
    await bench.engine.crash()
    town.ahead_s = 31
    again = await start_bench(path)
    await until(lambda: len(again.engine.recorded("post.sent")) == 2)
    assert [text[:20] for text in town.messages()] == ["`@claude start org/r", "No session in this c"]


async def test_a_request_that_was_lost_is_sent_again(bench: Bench, town: Town) -> None:
    town.arm("lost_request", times=2, method="POST", path="/api/v4/posts")
    await bench.engine.say("@claude help", channel=town.channel)
    await until(lambda: bench.engine.recorded("post.sent"))
    assert len(town.ours()) == 1


@pytest.mark.parametrize(
    "fault", ["server_error", "late_server_error", "rate_limited", "slow_save", "unauthorized"]
)
async def test_trouble_of_mattermost_costs_no_post_and_makes_none_twice(
    bench: Bench, town: Town, fault: str
) -> None:
    for wait in ("save", "deduplication"):
        town.faults.set_scale(f"mattermost.{wait}", 0)
    match = {} if fault == "slow_save" else {"method": "POST", "path": "/api/v4/posts"}
    town.arm(fault, **match)
    await bench.engine.say("@claude help", channel=town.channel)
    await bench.engine.say("@claude stop", channel=town.channel)
    await until(lambda: len(bench.engine.recorded("post.sent")) == 2)
    assert town.faults.hits("mattermost", fault) == 1
    assert [text[:20] for text in town.messages()] == ["`@claude start org/r", "No session in this c"]


async def test_a_post_that_mattermost_refuses_for_good_is_reported_and_the_lane_goes_on(
    bench: Bench, town: Town
) -> None:
    elsewhere = "z" * 26
    await bench.engine.say("@claude help", channel=elsewhere)
    [report] = await until(lambda: bench.engine.recorded("post.failed"))
    assert (report.event.code, report.event.channel_id) == ("forbidden", elsewhere)
    assert await bench.engine.journal.outstanding() == []


async def test_a_lookalike_of_another_author_is_not_taken_for_ours(start_bench, town: Town) -> None:
    clock = ManualClock()
    bench = await start_bench(clock=clock)
    town.arm("lost_request", method="POST", path="/api/v4/posts")
    await bench.engine.say("@claude help", channel=town.channel)
    await until(lambda: clock.sleepers)
    command = bench.engine.issued("chat.say")[0].id
    await town.write("sarah", "me", props={"sm_command": command})
    await clock.pass_s(1)
    await until(lambda: bench.engine.recorded("post.sent"))
    assert len(town.ours()) == 1


# --- several posts ----------------------------------------------------------------------------------------------------


async def test_a_long_text_becomes_several_posts_recorded_before_the_first_request(
    bench: Bench, town: Town
) -> None:
    stream = await ready_session(bench.engine, channel=town.channel)
    await until(lambda: len(town.ours()) == 3)
    seen: list[int] = []
    bench.engine.writer.listen(
        lambda committed: seen.extend(
            len(town.ours()) for r in committed.events if r.event.KIND == "post.rendered"
        )
    )
    await agent_says(bench.engine, stream, LONG)
    relay = bench.engine.issued("chat.relay")[0].id
    await until(lambda: not _open(bench, relay))
    parts = town.ours()[3:]
    assert seen == [3]
    assert len(parts) >= 4
    assert all(len(post.message) <= POST_LIMIT for post in parts)
    assert "".join(post.message for post in parts).split() == LONG.split()
    assert [post.props["sm_command"] for post in parts] == [f"{relay}.{n}" for n in range(len(parts))]
    reports = [r.event for r in bench.engine.recorded("post.sent") if r.event.command_id.startswith(relay)]
    assert [report.post_id for report in reports] == [post.id for post in parts]


def _open(bench: Bench, command: str) -> bool:
    reports = [row for row in bench.engine.recorded("post.sent") if row.event.command_id.startswith(command)]
    rendered = [r.event for r in bench.engine.recorded("post.rendered") if r.event.command_id == command]
    return not rendered or len(reports) < len(rendered[0].parts)


@pytest.mark.parametrize("done", [0, 1, 2, 3])
@pytest.mark.parametrize("fault", ["lost_request", "lost_reply"])
async def test_a_crash_between_the_parts_costs_none_and_repeats_none(
    start_bench, town: Town, path, done: int, fault: str
) -> None:
    bench = await start_bench(path, clock=ManualClock())
    stream = await ready_session(bench.engine, channel=town.channel)
    await until(lambda: len(bench.engine.recorded("post.sent")) == 3)
    town.arm(fault, after=done, method="POST", path="/api/v4/posts")
    await agent_says(bench.engine, stream, LONG, "the end")
    await until(lambda: bench.engine.clock.sleepers)
    await bench.engine.crash()
    town.ahead_s = 31
    again = await start_bench(path)
    await until(lambda: town.messages()[-1] == "the end")
    posts = town.ours()[3:-1]
    assert "".join(post.message for post in posts).split() == LONG.split()
    numbers = [post.props["sm_command"].rpartition(".")[2] for post in posts]
    assert numbers == [str(n) for n in range(len(posts))]
    assert (await again.engine.kinds()).count("post.rendered") == 1


async def test_parts_are_read_back_as_recorded_whatever_the_splitting_is_now(
    start_bench, town: Town, path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await start_bench(path, clock=ManualClock())
    stream = await ready_session(bench.engine, channel=town.channel)
    await until(lambda: len(bench.engine.recorded("post.sent")) == 3)
    town.arm("lost_request", after=1, method="POST", path="/api/v4/posts")
    await agent_says(bench.engine, stream, LONG)
    await until(lambda: bench.engine.clock.sleepers)
    await bench.engine.crash()
    monkeypatch.setattr("sm.engine.effectors.chat.split_message", lambda _: ["all", "other"])
    await start_bench(path)
    await until(lambda: "".join(town.messages()[3:]).split() == LONG.split())


async def test_a_text_of_half_characters_is_posted_all_the_same(bench: Bench, town: Town) -> None:
    stream = await ready_session(bench.engine, channel=town.channel)
    await agent_says(bench.engine, stream, "half \ud83c a flag", LONG + "\ud83c")
    await until(lambda: len(town.ours()) >= 8)
    assert town.messages()[3] == "half \ufffd a flag"
    assert not bench.engine.fatal


# --- cards --------------------------------------------------------------------------------------------------------------


async def posted_card(bench: Bench, town: Town, domain: str = "pypi.org") -> tuple[str, str]:
    """A card in the channel; answers its post's id and its request's."""
    before = len(bench.engine.recorded("card.posted"))
    request_id = await bench.engine.ask(domain, channel=town.channel)
    await until(lambda: len(bench.engine.recorded("card.posted")) > before)
    return bench.engine.recorded("card.posted")[-1].event.post_id, request_id


async def test_a_card_shows_two_buttons_that_a_person_can_press(bench: Bench, town: Town) -> None:
    post_id, request_id = await posted_card(bench, town)
    [post] = town.ours()
    assert post.message == "🔒 **Network Request:** `pypi.org`"
    assert [(b["id"], b["name"], b["style"]) for b in town.buttons(post)] == [
        ("approve", "✅ Approve", "primary"),
        ("deny", "❌ Deny", "danger"),
    ]
    assert await town.press("james", post_id) == 200
    [pressed] = bench.engine.recorded("card.pressed")
    assert (pressed.event.request_id, pressed.event.action) == (request_id, "approve")
    assert (pressed.event.user_name, pressed.event.post_id, pressed.event.via) == ("james", post_id, "button")


async def test_nobody_can_read_the_buttons_secret_back(bench: Bench, town: Town) -> None:
    post_id, _ = await posted_card(bench, town)
    for who in ("claude", "james"):
        _, shown = await town.call(who, "GET", f"/posts/{post_id}")
        assert "mac" not in str(shown)
    assert not any("mac" in row.payload for row in await bench.engine.rows())
    assert not any("mac" in row.payload for row in await bench.engine.commands())


async def test_a_card_after_a_lost_reply_is_found_and_its_buttons_work(start_bench, town: Town) -> None:
    clock = ManualClock()
    bench = await start_bench(clock=clock)
    town.arm("lost_reply", method="POST", path="/api/v4/posts")
    await bench.engine.ask("pypi.org", channel=town.channel)
    await until(lambda: clock.sleepers)
    town.ahead_s = 31
    await clock.pass_s(1)
    [posted] = await until(lambda: bench.engine.recorded("card.posted"))
    [post] = town.ours()
    assert posted.event.post_id == post.id
    assert await town.press("sarah", post.id, "deny") == 200


async def test_a_decided_card_says_who_decided_and_has_no_buttons(bench: Bench, town: Town) -> None:
    post_id, _ = await posted_card(bench, town)
    await town.press("sarah", post_id, "deny")
    await until(lambda: bench.engine.recorded("card.updated"))
    [post] = town.ours()
    assert (post.id, post.message) == (post_id, "❌ `pypi.org` denied by @sarah")
    assert town.buttons(post) == []
    assert await town.press("james", post_id) == 404


async def test_a_card_goes_from_applying_to_approved_when_the_firewall_shows_it(
    bench: Bench, town: Town
) -> None:
    post_id, request_id = await posted_card(bench, town)
    await town.press("james", post_id)
    await until(lambda: town.messages()[0].startswith("⏳"))
    assert town.buttons(town.ours()[0]) == []
    await bench.engine.happen(ALIAS_STREAM, AliasSaved(request_id, "pypi.org", True, (), ("pypi.org",), ()))
    await bench.engine.happen(ALIAS_STREAM, AliasApplied(request_id, "pypi.org", "seen", ("192.0.2.1",)))
    await until(lambda: town.messages() == ["✅ `pypi.org` approved by @james"])


async def test_a_failed_card_offers_a_retry_that_works(bench: Bench, town: Town) -> None:
    post_id, request_id = await posted_card(bench, town)
    await town.press("james", post_id)
    failed = AliasFailed(request_id, "pypi.org", "save", "alias_disabled", "disabled")
    await bench.engine.happen(ALIAS_STREAM, failed)
    await until(lambda: town.messages()[0].startswith("⚠️ `pypi.org` was approved by @james"))
    assert [button["name"] for button in town.buttons(town.ours()[0])] == ["🔁 Retry"]
    assert "Enable it" in town.messages()[0]
    assert await town.press("sarah", post_id) == 200
    assert bench.engine.writer.state(ALIAS_STREAM).data.requests[request_id].state == "applying"
    assert len(bench.engine.issued("alias.save")) == 2


async def test_a_change_of_a_card_after_a_lost_reply_is_not_made_again(start_bench, town: Town) -> None:
    clock = ManualClock()
    bench = await start_bench(clock=clock)
    post_id, _ = await posted_card(bench, town)
    # A PUT on a connection that was used before is sent again by aiohttp itself, hence twice.
    town.arm("lost_reply", times=2, method="PUT", path=f"/api/v4/posts/{post_id}/patch")
    await town.press("james", post_id, "deny")
    await until(lambda: clock.sleepers)
    edited = town.ours()[0].edit_at
    await clock.pass_s(1)
    await until(lambda: bench.engine.recorded("card.updated"))
    assert town.ours()[0].edit_at == edited
    assert town.messages() == ["❌ `pypi.org` denied by @james"]


async def test_a_card_that_was_deleted_is_an_event_and_no_crash(bench: Bench, town: Town) -> None:
    post_id, request_id = await posted_card(bench, town)
    bench.engine.dispatcher, dispatcher = None, bench.engine.dispatcher
    await town.press("james", post_id, "deny")
    bench.engine.dispatcher = dispatcher
    await town.call("claude", "DELETE", f"/posts/{post_id}")
    assert dispatcher is not None
    dispatcher.take(bench.engine.issued("card.update"))
    [failed] = await until(lambda: bench.engine.recorded("card.failed"))
    assert failed.event.code in {"not_found", "forbidden"}
    assert not bench.engine.fatal
    assert bench.engine.writer.state(ALIAS_STREAM).data.requests[request_id].state == "denied"


async def test_a_card_that_was_deleted_during_doubt_is_an_event_and_no_crash(start_bench, town: Town) -> None:
    clock = ManualClock()
    bench = await start_bench(clock=clock)
    post_id, _ = await posted_card(bench, town)
    town.arm("lost_request", times=None, method="PUT", path="/api/v4/posts/*")
    await town.press("james", post_id, "deny")
    await until(lambda: clock.sleepers)
    await town.call("claude", "DELETE", f"/posts/{post_id}")
    await clock.pass_s(1)
    await until(lambda: bench.engine.recorded("card.failed"))
    assert not bench.engine.fatal


async def test_a_card_that_cannot_be_posted_is_told_to_the_agent(bench: Bench) -> None:
    stream = await ready_session(bench.engine, channel="z" * 26)
    await bench.engine.ask("pypi.org", channel="z" * 26, session=stream.partition(":")[2])
    await until(lambda: bench.engine.recorded("card.failed"))
    [denied] = await until(lambda: bench.engine.recorded("network.denied"))
    assert denied.stream == stream


async def test_words_and_cards_of_one_channel_stay_in_their_order(bench: Bench, town: Town) -> None:
    stream = await ready_session(bench.engine, channel=town.channel)
    town.arm("server_error", method="POST", path="/api/v4/posts", after=1)
    await agent_says(bench.engine, stream, "before\n[NETWORK_REQUEST: pypi.org]")
    await agent_says(bench.engine, stream, "after")
    await until(lambda: len(town.ours()) == 6)
    assert [text.splitlines()[0] for text in town.messages()[3:]] == [
        "before",
        "🔒 **Network Request:** `pypi.org`",
        "after",
    ]
