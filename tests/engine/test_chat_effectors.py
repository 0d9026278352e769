"""Posts before the sandbox's Mattermost: nothing twice, nothing lost, in order, and what is for one person alone."""

from __future__ import annotations

import pytest
from chat_kit import Bench, Town
from decisions_kit import configure, make_card
from engine_kit import ALIAS_STREAM, ManualClock, agent_says, ready_session, until

from sm.core.events import NetworkDecided
from sm.engine.identity import user_names
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


# --- for one person alone ---------------------------------------------------------------------------------------------


async def reacts_in_vain(bench: Bench, town: Town, user_id: str, domain: str = "pypi.org") -> None:
    """Somebody who may not decide puts a tick on a card: they alone are told."""
    card = await make_card(bench, town, domain)
    tick = NetworkDecided(
        "approve", town.channel, user_id, "whoever", "reaction", card_id=card.card_id, post_id=card.post_id
    )
    await bench.engine.happen(ALIAS_STREAM, tick)


@pytest.mark.parametrize("fault", ["", "lost_request", "lost_reply", "server_error"])
async def test_what_is_for_one_person_is_told_them_once_and_nobody_else(
    bench: Bench, town: Town, fault: str
) -> None:
    await configure(bench, approvers=("sarah",))
    await bench.identity.get()
    if fault:
        town.arm(fault, method="POST", path="/api/v4/posts", after=1)  # behind the card
    await reacts_in_vain(bench, town, town.peer.user_id("james"))
    [report] = await until(lambda: bench.engine.recorded("post.sent", ALIAS_STREAM))
    assert town.told("james") == ["You can't decide about the network here. Ask @sarah. Nothing was changed."]
    assert report.event.channel_id != town.channel
    assert len(town.ours()) == 1


async def test_a_second_message_goes_into_the_same_direct_channel(bench: Bench, town: Town) -> None:
    await configure(bench, approvers=("sarah",))
    for domain in ("pypi.org", "example.org"):
        await reacts_in_vain(bench, town, town.peer.user_id("james"), domain)
    await until(lambda: bench.engine.recorded("post.sent", ALIAS_STREAM)[1:])
    assert len(town.told("james")) == 2
    assert len({report.event.channel_id for report in bench.engine.recorded("post.sent", ALIAS_STREAM)}) == 1


async def test_who_can_decide_is_named_though_the_settings_have_ids(bench: Bench, town: Town) -> None:
    gone = "q" * 26
    await configure(bench, approvers=(town.peer.user_id("sarah"), gone))
    await reacts_in_vain(bench, town, town.peer.user_id("james"))
    await until(lambda: town.told("james"))
    assert f"Ask @sarah, @{gone}." in town.told("james")[0]


async def test_an_id_is_named_where_mattermost_takes_too_long_to_tell_whose_it_is(
    bench: Bench, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sm.engine.identity.NAMED_WITHIN_S", 0.0)
    sarah = town.peer.user_id("sarah")
    assert await user_names(bench.client, f"james {sarah}") == f"james {sarah}"


async def test_who_cannot_be_told_keeps_nobody_else_waiting(bench: Bench, town: Town) -> None:
    await configure(bench, approvers=("sarah",))
    await reacts_in_vain(bench, town, "q" * 26)
    [failed] = await until(lambda: bench.engine.recorded("post.failed", ALIAS_STREAM))
    assert failed.event.command_id == bench.engine.issued("chat.say_privately")[0].id
    await reacts_in_vain(bench, town, town.peer.user_id("james"), "example.org")
    await until(lambda: town.told("james"))
    assert not bench.engine.fatal
