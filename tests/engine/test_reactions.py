"""Reactions on a card: ✅ and ❌ decide as buttons do, with the same checks; none is lost over a gap."""

from __future__ import annotations

from pathlib import Path

import pytest
from chat_kit import Bench, Town
from decisions_kit import (
    NO,
    YES,
    Card,
    card_of,
    configure,
    data,
    decisions,
    expire,
    grants,
    heard,
    hears,
    make_card,
    quiet,
)
from engine_kit import ALIAS_STREAM, ManualClock, until

from sm.core.events import StreamQuarantined


@pytest.fixture
async def listening(bench: Bench) -> Bench:
    await bench.listen()
    return bench


@pytest.fixture
async def card(listening: Bench, town: Town) -> Card:
    return await make_card(listening, town, by="james")


async def decided(bench: Bench, count: int = 1) -> None:
    await until(lambda: len(decisions(bench)) >= count, f"{count} decisions")
    assert len(decisions(bench)) == count


# --- what they do ---------------------------------------------------------------------------------------------------------


async def test_a_tick_opens_for_good_and_says_nothing_more(bench: Bench, town: Town, card: Card) -> None:
    await town.react("sarah", card.post_id, YES)
    await until(lambda: card.state == "applying")
    assert grants(bench) == [("pypi.org", "", "sarah")]
    [event] = decisions(bench)
    assert (event.via, event.user_id, event.channel_id, event.post_id) == (
        "reaction", town.peer.user_id("sarah"), town.channel, card.post_id,
    )  # fmt: skip
    await quiet(bench)
    assert town.told("sarah") == []


async def test_a_cross_denies(bench: Bench, town: Town, card: Card) -> None:
    await town.react("sarah", card.post_id, NO)
    await until(lambda: card.state == "denied")
    await card.shows("❌ `pypi.org` denied by @sarah")
    assert heard(bench) == ["network.denied"]


async def test_a_reaction_decides_about_all_that_the_card_still_asks_for(bench: Bench, town: Town) -> None:
    await bench.listen()
    card = await make_card(bench, town, "pypi.org", "example.com", "example.org")
    await card.press("james", "deny", 1)
    await town.react("sarah", card.post_id, YES)
    await until(lambda: card.states == ["applying", "denied", "applying"])
    assert [(domain, who) for domain, _, who in grants(bench)] == [
        ("pypi.org", "sarah"),
        ("example.org", "sarah"),
    ]


@pytest.mark.parametrize("emoji", ["+1", "heavy_check_mark", "thumbsdown", "eyes"])
async def test_any_other_emoji_is_only_an_emoji(bench: Bench, town: Town, card: Card, emoji: str) -> None:
    await town.react("sarah", card.post_id, emoji)
    await town.react("sarah", card.post_id, NO)
    await until(lambda: card.state == "denied")
    assert len(decisions(bench)) == 1


async def test_a_reaction_to_another_post_is_none_of_our_business(
    bench: Bench, town: Town, card: Card
) -> None:
    await town.react("sarah", await town.write("sarah", "who likes this?"), YES)
    await town.react("james", card.post_id, NO)
    await until(lambda: card.state == "denied")
    assert len(decisions(bench)) == 1


async def test_a_reaction_that_is_taken_back_stays_a_decision(bench: Bench, town: Town, card: Card) -> None:
    await town.react("sarah", card.post_id, NO)
    await until(lambda: card.state == "denied")
    await town.peer.actions()["mattermost/react"](
        {"user": "sarah", "post": card.post_id, "emoji": NO, "back": True}
    )
    await town.react("sarah", card.post_id, YES)
    await hears(town, "sarah", "`pypi.org` is already denied by @sarah.")
    assert grants(bench) == []


async def test_a_tick_on_what_failed_tries_again(bench: Bench, town: Town, card: Card) -> None:
    bench.firewall.refuses = "forbidden"
    bench.firewall.answers.set()
    await card.press("james", "hour")
    await until(lambda: card.state == "failed")
    bench.firewall.answers.clear()
    await town.react("sarah", card.post_id, YES)
    await until(lambda: card.state == "applying")
    assert grants(bench) == [("pypi.org", "hour", "james")]


# --- who may --------------------------------------------------------------------------------------------------------------


async def test_a_member_who_may_not_decide_is_told_alone_who_can(
    bench: Bench, town: Town, card: Card
) -> None:
    await configure(bench, approvers=("james",))
    await town.react("sarah", card.post_id, YES)
    await hears(town, "sarah", "You can't decide", "@james")
    assert (card.state, grants(bench)) == ("pending", [])
    assert len(town.ours()) == 1


async def test_whoever_started_the_session_is_told_alone_that_another_decides(
    bench: Bench, town: Town, card: Card
) -> None:
    await configure(bench, approve_own=False)
    await town.react("james", card.post_id, YES)
    await hears(town, "james", "Another person has to decide")
    assert card.state == "pending"
    await town.react("sarah", card.post_id, YES)
    await until(lambda: card.state == "applying")


async def test_an_administrator_who_is_no_member_is_told_alone_who_can(
    bench: Bench, town: Town, card: Card
) -> None:
    """Mattermost lets a system administrator react from outside."""
    town.make_user("root", member=False, is_admin=True)
    await town.react("root", card.post_id, YES)
    await hears(town, "root", "members of this channel can decide")
    assert (card.state, grants(bench)) == ("pending", [])
    assert bench.approvals.refused == {"not_a_member": 1}


@pytest.mark.parametrize("kind", ["bot", "deactivated"])
async def test_what_is_no_person_any_more_or_never_was_decides_nothing(
    bench: Bench, town: Town, card: Card, kind: str
) -> None:
    user_id = town.make_user("helper", is_bot=kind == "bot")
    if kind == "deactivated":
        await town.peer.actions()["mattermost/deactivate"]({"user": "helper"})
    town.peer.react("helper", card.post_id, YES)
    await until(lambda: bench.approvals.refused[kind])
    assert (card.state, decisions(bench)) == ("pending", [])
    assert not [one for one in town.peer.store.channels.values() if user_id in town.peer.store.members[one.id] and one.type == "D"]  # fmt: skip


async def test_our_own_reaction_decides_nothing(bench: Bench, town: Town, card: Card) -> None:
    town.peer.react("claude", card.post_id, YES)
    await town.react("james", card.post_id, NO)
    await until(lambda: card.state == "denied")
    assert (len(decisions(bench)), bench.approvals.refused) == (1, {})


async def test_a_reaction_that_did_not_count_does_not_when_its_author_joins(
    bench: Bench, town: Town, card: Card
) -> None:
    town.make_user("root", member=False, is_admin=True)
    await town.react("root", card.post_id, YES)
    await hears(town, "root", "members of this channel")
    await town.peer.actions()["mattermost/join"]({"channel": town.channel, "user": "root"})
    await town.peer.actions()["drop"]({"user": "claude", "forget": True})
    await town.write("james", "@claude help")
    await until(lambda: len(town.ours()) == 2)
    await quiet(bench)
    assert (card.state, len(decisions(bench)), len(town.told("root"))) == ("pending", 1, 1)


async def test_a_reaction_while_approvals_are_closed_is_answered_alone(
    bench: Bench, town: Town, card: Card
) -> None:
    await bench.engine.happen(ALIAS_STREAM, StreamQuarantined("a test", 1))
    await town.react("sarah", card.post_id, YES)
    await hears(town, "sarah", "Approvals are closed", "Nothing was changed")
    assert bench.engine.issued("alias.write") == []


async def test_while_mattermost_cannot_say_who_it_is_the_reaction_waits(
    bench: Bench, town: Town, card: Card
) -> None:
    town.arm("server_error", times=2, path=f"/api/v4/users/{town.peer.user_id('sarah')}")
    await town.react("sarah", card.post_id, YES)
    await until(lambda: card.state == "applying")


# --- too late -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("emoji", "first"), [(YES, "deny"), (NO, "approve"), (YES, "hour"), (YES, "approve")]
)
async def test_a_reaction_that_comes_too_late_hears_alone_who_was_first(
    bench: Bench, town: Town, card: Card, emoji: str, first: str
) -> None:
    await card.press("james", first)
    await town.react("sarah", card.post_id, emoji)
    await hears(town, "sarah", "`pypi.org` is already", "by @james")
    assert len(grants(bench)) == (0 if first == "deny" else 1)
    assert town.told("james") == []


async def test_a_tick_behind_ones_own_approve_is_no_news(bench: Bench, town: Town, card: Card) -> None:
    await card.press("sarah", "approve")
    await town.react("sarah", card.post_id, YES)
    await decided(bench, 2)
    await quiet(bench)
    assert town.told("sarah") == []


async def test_a_tick_behind_ones_own_hour_hears_that_it_is_no_more_than_that(
    bench: Bench, town: Town, card: Card
) -> None:
    await card.press("sarah", "hour")
    await town.react("sarah", card.post_id, YES)
    await hears(town, "sarah", "already approved by @sarah")
    assert grants(bench) == [("pypi.org", "hour", "sarah")]


async def test_a_reaction_to_an_expired_card_hears_that_it_is_over(
    bench: Bench, town: Town, card: Card
) -> None:
    await expire(bench, card)
    await town.react("sarah", card.post_id, YES)
    await hears(town, "sarah", "Too late for `pypi.org`")
    assert grants(bench) == []


# --- gaps -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forget", [False, True], ids=["resumed", "a new stream"])
async def test_a_reaction_in_a_gap_of_the_websocket_counts(
    bench: Bench, town: Town, card: Card, forget: bool
) -> None:
    town.arm("server_error", times=None, path="/api/v4/websocket")
    await town.peer.actions()["drop"]({"user": "claude", "forget": forget})
    await town.react("sarah", card.post_id, YES)
    assert card.state == "pending"
    town.faults.clear("mattermost")
    await until(lambda: card.state == "applying")
    assert grants(bench) == [("pypi.org", "", "sarah")]
    await quiet(bench)
    assert (len(decisions(bench)), town.told("sarah")) == (1, [])


async def test_of_two_reactions_in_a_gap_the_first_counts_and_the_other_is_told(
    bench: Bench, town: Town, card: Card
) -> None:
    town.arm("server_error", times=None, path="/api/v4/websocket")
    await town.peer.actions()["drop"]({"user": "claude", "forget": True})
    await town.react("sarah", card.post_id, NO)
    town.ahead_s += 5
    await town.react("james", card.post_id, YES)
    town.faults.clear("mattermost")
    await until(lambda: card.state == "denied")
    await hears(town, "james", "`pypi.org` is already denied by @sarah.")


async def test_an_event_that_never_comes_is_made_up_for_at_the_next_gap(
    bench: Bench, town: Town, card: Card
) -> None:
    town.arm("skip_event")
    await town.react("sarah", card.post_id, YES)
    await town.write("james", "the number that is missing shows now")
    await until(lambda: card.state == "applying")


async def test_a_reaction_while_the_service_was_stopped_counts(start_bench, town: Town, path: Path) -> None:
    bench = await start_bench(path)
    await bench.listen()
    card = await make_card(bench, town)
    await bench.stop()
    await bench.engine.crash()
    await town.react("sarah", card.post_id, YES)
    again = await start_bench(path)
    await again.listen()
    await until(lambda: data(again).requests[card.request_id].state == "applying")


async def test_a_reaction_that_was_taken_counts_once_over_a_restart(
    start_bench, town: Town, path: Path
) -> None:
    bench = await start_bench(path)
    await bench.listen()
    card = await make_card(bench, town, "pypi.org", "example.com")
    await configure(bench, approvers=("james",))
    await town.react("sarah", card.post_id, YES)
    await hears(town, "sarah", "You can't decide")
    await bench.stop()
    await bench.engine.crash()
    again = await start_bench(path)
    await configure(again)
    await again.listen()
    await town.react("james", card.post_id, NO)
    await until(lambda: data(again).requests[card.request_id].state == "denied")
    assert [event.user_name for event in decisions(again)] == ["james"]
    assert len(town.told("sarah")) == 1


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "over a restart"])
async def test_a_reaction_before_the_cards_post_is_confirmed_counts(
    start_bench, town: Town, path: Path, stopped: bool
) -> None:
    """The reply to our request was lost, and a person reacts before we know which post the card is."""
    clock = ManualClock()
    bench = await start_bench(path, clock=clock)
    await bench.listen()
    town.arm("lost_reply", method="POST", path="/api/v4/posts")
    request_id = await bench.engine.ask("pypi.org", channel=town.channel)
    await until(lambda: clock.sleepers)
    [post] = town.ours()
    await town.react("sarah", post.id, NO)
    await town.write("james", "@claude help")
    await until(lambda: bench.engine.recorded("chat.message_received"))
    assert data(bench).requests[request_id].state == "pending"
    if stopped:
        await bench.stop()
        await bench.engine.crash()
        bench = await start_bench(path)
        await bench.listen()
    else:
        await clock.pass_s(1)
    await until(lambda: data(bench).requests[request_id].state == "denied", "the reaction counts")
    assert (await card_of(bench, town, request_id)).request().user_name == "sarah"
    await quiet(bench)


async def test_the_cards_of_one_channel_are_read_though_another_refuses(
    start_bench, town: Town, path: Path
) -> None:
    bench = await start_bench(path)
    await bench.listen()
    aside = await town.make_channel("aside", "james")
    lost = await make_card(bench, town, "example.com", channel=aside)
    card = await make_card(bench, town)
    await bench.stop()
    await bench.engine.crash()
    await town.react("sarah", card.post_id, YES)
    await town.peer.actions()["mattermost/leave"]({"channel": aside, "user": "claude"})
    again = await start_bench(path)
    await again.listen()
    await until(lambda: data(again).requests[card.request_id].state == "applying")
    assert data(again).requests[lost.request_id].state == "pending"
