"""The approvals' channel: a copy of each card, equal in force; and what a card may name of other channels: nothing."""

from __future__ import annotations

import asyncio
import json
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
    hears,
    make_card,
    quiet,
)
from engine_kit import until

from sm.core.events import Ask, DomainSet


@pytest.fixture
async def office(bench: Bench, town: Town) -> str:
    """The approvals' channel, with kim in it, who is in no other; answers its id."""
    town.make_user("kim", member=False)
    channel = await town.make_channel("approvals", "kim")
    await configure(bench, approval_channel=channel)
    await bench.listen()
    return channel


@pytest.fixture
async def card(office: str, bench: Bench, town: Town) -> Card:
    ask = Ask("r-pip", "pypi.org", reason="install pytest")
    return await make_card(bench, town, ask, by="james", title="acme/webapp", doing="pip install pytest")


# --- the copy -------------------------------------------------------------------------------------------------------------


async def test_the_copy_shows_what_the_card_shows(card: Card, office: str) -> None:
    assert (card.copy_channel, card.copy_post != card.post_id) == (office, True)
    for word in ("`pypi.org`", "acme/webapp", "@james", "pip install pytest", "install pytest"):
        assert word in card.copy_text
    assert [one["name"] for one in card.buttons(card.copy_post)] == [one["name"] for one in card.buttons()]


@pytest.mark.parametrize("action", ["approve", "session", "hour", "deny"])
async def test_a_press_on_the_copy_by_a_member_there_decides_and_both_show_it(
    card: Card, bench: Bench, town: Town, action: str
) -> None:
    assert await card.press("kim", action, post_id=card.copy_post) == ""
    assert card.state == ("denied" if action == "deny" else "applying")
    await card.shows("@kim")
    await card.shows("@kim", copy=True)
    assert (card.buttons(), card.buttons(card.copy_post)) == ([], [])
    assert [event.channel_id for event in decisions(bench)] == [card.copy_channel]


@pytest.mark.parametrize(("emoji", "state"), [(YES, "applying"), (NO, "denied")])
async def test_a_reaction_on_the_copy_decides(card: Card, town: Town, emoji: str, state: str) -> None:
    await town.react("kim", card.copy_post, emoji)
    await until(lambda: card.state == state)


@pytest.mark.parametrize(
    ("text", "state"), [("approve pypi.org 1h", "applying"), ("deny pypi.org use the mirror", "denied")]
)
async def test_a_command_in_the_approvals_channel_decides(
    card: Card, town: Town, text: str, state: str
) -> None:
    await town.write("kim", f"@claude {text}", channel=card.copy_channel)
    await until(lambda: card.state == state)
    await card.shows("@kim")


async def test_pending_in_the_approvals_channel_lists_all_cards_with_links_to_their_copies(
    card: Card, bench: Bench, town: Town
) -> None:
    aside = await town.make_channel("aside", "sarah")
    other = await make_card(bench, town, "example.com", channel=aside, session="s2", title="acme/other")
    await town.write("kim", "@claude pending", channel=card.copy_channel)
    await until(lambda: "Waiting for" in town.messages(card.copy_channel)[-1])
    said = town.messages(card.copy_channel)[-1]
    assert f"_redirect/pl/{card.copy_post})" in said
    assert f"_redirect/pl/{other.copy_post})" in said
    assert card.post_id not in said


@pytest.mark.parametrize("way", ["button", "reaction"])
async def test_on_the_copy_membership_of_the_approvals_channel_is_what_counts(
    card: Card, bench: Bench, town: Town, way: str
) -> None:
    """sarah is a member where the card stands, and not there; an administrator can react there all the same."""
    if way == "button":
        said = await card.send("sarah", channel_id=card.copy_channel, post_id=card.copy_post)
        assert "members of this channel" in said
    else:
        town.make_user("root", is_admin=True)
        await town.react("root", card.copy_post, YES)
        await hears(town, "root", "members of this channel")
    assert (card.state, grants(bench)) == ("pending", [])


async def test_who_started_the_session_does_not_decide_on_the_copy_either(
    card: Card, bench: Bench, town: Town, office: str
) -> None:
    await town.peer.actions()["mattermost/join"]({"channel": office, "user": "james"})
    await configure(bench, approval_channel=office, approve_own=False)
    assert "Another person" in await card.press("james", post_id=card.copy_post)
    assert card.state == "pending"


async def test_a_press_here_and_one_on_the_copy_are_one_decision_and_the_loser_hears_which(
    card: Card, bench: Bench
) -> None:
    here, there = await asyncio.gather(
        card.send("james", "approve"),
        card.send("kim", "deny", channel_id=card.copy_channel, post_id=card.copy_post),
    )
    if card.state == "applying":
        assert (here, there) == (
            "",
            "`pypi.org` is already approved by @james; the firewall is being changed.",
        )
    else:
        assert (here, there) == ("`pypi.org` is already denied by @kim.", "")


async def test_who_comes_too_late_here_hears_by_whom_it_was_decided_on_the_copy(card: Card) -> None:
    await card.press("kim", "deny", post_id=card.copy_post)
    assert await card.send("james", "approve") == "`pypi.org` is already denied by @kim."


async def test_the_copy_follows_the_card_to_its_end(card: Card, bench: Bench) -> None:
    bench.firewall.answers.set()
    await card.press("james")
    await card.shows("✅ `pypi.org` approved by @james", copy=True)


async def test_the_copy_shows_that_nobody_answered(card: Card, bench: Bench) -> None:
    await expire(bench, card)
    await card.shows("nobody answered in time", copy=True)


async def test_a_reaction_on_the_copy_in_a_gap_of_the_websocket_counts(card: Card, town: Town) -> None:
    town.arm("server_error", times=None, path="/api/v4/websocket")
    await town.peer.actions()["drop"]({"user": "claude", "forget": True})
    await town.react("kim", card.copy_post, YES)
    town.faults.clear("mattermost")
    await until(lambda: card.state == "applying")


async def test_in_the_approvals_channel_itself_there_is_no_copy(
    office: str, bench: Bench, town: Town
) -> None:
    card = await make_card(bench, town, channel=office)
    cards = [post for post in town.ours(office) if "sm_card" in post.props]
    assert (card.copy_channel, len(cards)) == ("", 1)


async def test_a_copy_that_mattermost_refuses_leaves_the_card_as_it_is(start_bench, town: Town) -> None:
    bench = await start_bench()
    await configure(bench, approval_channel="z" * 26)
    request_id = await bench.engine.ask("pypi.org", channel=town.channel)
    card = await card_of(bench, town, request_id)
    assert card.copy_channel == ""
    assert await card.press("james") == ""
    assert card.state == "applying"


async def test_after_a_restart_without_the_approvals_channel_its_old_copies_decide_nothing(
    start_bench, town: Town, path: Path
) -> None:
    town.make_user("kim", member=False)
    office = await town.make_channel("approvals", "kim")
    bench = await start_bench(path)
    await configure(bench, approval_channel=office)
    card = await make_card(bench, town)
    await bench.engine.crash()
    again = await start_bench(path)
    await configure(again)
    await again.listen()
    body = card.body("kim", channel_id=office, post_id=card.copy_post)
    _, answer = await again.call_back(body)
    assert "not the card" in answer["ephemeral_text"]
    await town.react("kim", card.copy_post, YES)
    await town.write("kim", "@claude deny pypi.org", channel=office)
    await until(lambda: any("Nobody asks for" in text for text in town.messages(office)))
    await quiet(again)
    assert data(again).requests[card.request_id].state == "pending"
    assert await again.call_back(card.body("sarah")) == (200, {})


# --- nothing of another channel -------------------------------------------------------------------------------------------


def posted(town: Town, channel: str) -> str:
    """All that ever stood in a channel by our hand, with the props that a client gets, edits and deletions included."""
    bot = town.peer.user_id("claude")
    rows = [row for row in town.peer.store.rows.values() if row.channel_id == channel and row.user_id == bot]
    return "\n".join(row.message + json.dumps(row.props) for row in rows)


@pytest.mark.parametrize(
    "action", ["approve", "session", "hour", "deny", "command", "reaction", "failed", "revoked"]
)
async def test_a_card_names_nothing_from_another_channel(bench: Bench, town: Town, action: str) -> None:
    """The same domain is asked for in two channels: who, what for and by which session stays where it is."""
    town.make_user("kimberley", member=False)
    town.make_user("leonora", member=False)
    aside = await town.make_channel("aside", "kimberley", "leonora")
    await configure(bench, sets=(DomainSet("python", ("pypi.org", "files.pythonhosted.org")),))
    await bench.listen()
    card = await make_card(bench, town, by="james", session="s1111111", title="acme/webapp")
    theirs = await make_card(
        bench,
        town,
        Ask("r-theirs", "pypi.org", reason="the merger"),
        channel=aside,
        by="leonora",
        session="s2222222",
        title="acme/secret",
        doing="curl merger",
    )
    if action == "reaction":
        await town.react("kimberley", theirs.post_id, YES)
        await until(lambda: theirs.state == "applying")
    elif action == "command":
        await town.write("kimberley", "@claude approve pypi.org 1h", channel=aside)
        await until(lambda: theirs.state == "applying")
    else:
        bench.firewall.refuses = "forbidden" if action == "failed" else ""
        await theirs.press("kimberley", action if action in {"session", "hour", "deny"} else "approve")
    late = await card.send("sarah", "deny") if card.state != "pending" else ""
    bench.firewall.answers.set()
    await until(lambda: theirs.state in {"approved", "failed", "denied"})
    if action == "revoked":
        await town.write("kimberley", "@claude revoke pypi.org", channel=aside)
        await until(lambda: theirs.state == "closed")
    for text in ("@claude net", "@claude pending"):
        await town.write("james", text)
    await until(lambda: bench.engine.issued("chat.say")[-1].command.message == "pending")
    await quiet(bench)
    settles = action not in {"session", "deny"}
    assert card.state == (
        {"failed": "failed", "revoked": "closed"}.get(action, "approved") if settles else "pending"
    )
    here = posted(town, town.channel) + late + "\n".join(town.told("sarah"))
    for secret in (
        "kimberley",
        "leonora",
        "merger",
        "secret",
        "s2222222",
        theirs.post_id,
        f'"{theirs.card_id}"',
        theirs.request_id,
        aside,
    ):
        assert secret not in here, secret
    assert "james" not in posted(town, aside)
    if settles and action != "failed":
        assert "in another channel" in card.text


async def test_what_a_set_opens_with_it_names_nothing_of_the_other_channel(bench: Bench, town: Town) -> None:
    town.make_user("kimberley", member=False)
    aside = await town.make_channel("aside", "kimberley")
    await configure(bench, sets=(DomainSet("python", ("pypi.org", "files.pythonhosted.org")),))
    card = await make_card(bench, town, "files.pythonhosted.org")
    theirs = await make_card(bench, town, channel=aside, session="s2")
    await theirs.press("kimberley", "set", request_id="set:python")
    bench.firewall.answers.set()
    await card.shows("✅ `files.pythonhosted.org` approved in another channel")
    await quiet(bench)
    assert "kimberley" not in posted(town, town.channel)


async def test_this_session_and_deny_settle_only_the_card_that_was_pressed(bench: Bench, town: Town) -> None:
    cards = [await make_card(bench, town, session=session) for session in ("s1", "s2", "s3")]
    await cards[0].press("james", "session")
    await cards[1].press("james", "deny")
    assert [card.state for card in cards] == ["applying", "denied", "pending"]
    await cards[2].press("sarah", "approve")
    assert [card.state for card in cards] == ["applying", "denied", "applying"]


@pytest.mark.parametrize("action", ["approve", "hour"])
async def test_approve_and_1_hour_settle_every_card_for_the_domain(
    bench: Bench, town: Town, action: str
) -> None:
    cards = [await make_card(bench, town, session=session) for session in ("s1", "s2", "s3")]
    await cards[1].press("james", action)
    assert [card.state for card in cards] == ["applying"] * 3
    assert len(grants(bench)) == 1
    said = await cards[2].send("sarah", "deny")
    assert said == "`pypi.org` is already approved by @james; the firewall is being changed."
