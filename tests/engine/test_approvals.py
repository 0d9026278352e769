"""Presses: who is believed, doubled, at once, late; one decision, and an answer for everybody who pressed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from chat_kit import Bench, Town
from decisions_kit import NO, YES, Card, card_of, configure, data, decisions, expire, grants, make_card, quiet
from engine_kit import ALIAS_STREAM, ManualClock, until

from sm.core import fold as rules
from sm.core.events import DomainSet, NetworkDecided, NetworkSessionEnded, StreamQuarantined, Verdict


@pytest.fixture
async def card(bench: Bench, town: Town) -> Card:
    return await make_card(bench, town)


# --- what is no press of a member on our card ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [{"card_id": "c999"}, {"request_id": "r999"}, {"request_id": "set:nothing"}],
    ids=["a card", "a request", "a set"],
)
async def test_a_well_signed_press_for_what_is_not_there_does_nothing(
    bench: Bench, card: Card, other: dict[str, Any]
) -> None:
    said = await card.send(**other)
    assert said == "I don't know this card any more. Nothing was changed."
    assert (decisions(bench), card.state) == ([], "pending")
    assert bench.web.refused_presses == {"unknown_card": 1}


async def test_a_press_on_another_post_than_the_card_does_nothing(bench: Bench, card: Card) -> None:
    assert await card.send(post_id="w" * 26) == "This is not the card that I posted. Nothing was changed."
    assert (decisions(bench), card.state) == ([], "pending")


async def test_who_decided_is_looked_up_and_not_believed(bench: Bench, town: Town, card: Card) -> None:
    assert await card.send("sarah", user_name="james") == ""
    [decided] = decisions(bench)
    assert (decided.user_id, decided.user_name, decided.via) == (
        town.peer.user_id("sarah"), "sarah", "button",
    )  # fmt: skip


async def test_while_mattermost_cannot_say_who_it_is_nothing_is_decided(
    bench: Bench, town: Town, card: Card
) -> None:
    town.arm("server_error", path=f"/api/v4/users/{town.peer.user_id('james')}")
    assert "Press again" in await card.send()
    assert (decisions(bench), card.state) == ([], "pending")
    assert await card.send() == ""
    assert card.state == "applying"


async def test_a_bot_whose_token_was_revoked_does_not_call_a_member_a_stranger(
    bench: Bench, town: Town, card: Card
) -> None:
    town.arm("unauthorized")
    assert "Press again" in await card.send()
    assert decisions(bench) == []


@pytest.mark.parametrize("action", ["dance", "revoke", "opened", "rule_out", "grant_ended"])
async def test_a_well_signed_action_that_no_button_has_changes_nothing(
    bench: Bench, card: Card, action: str
) -> None:
    assert await card.send(action=action) == "I don't know this card any more. Nothing was changed."
    assert (card.state, decisions(bench)) == ("pending", [])


# --- one decision -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("action", "scope"), [("approve", ""), ("session", "session"), ("hour", "hour")])
async def test_each_button_opens_for_as_long_as_it_says(
    bench: Bench, card: Card, action: str, scope: str
) -> None:
    assert await card.press("james", action) == ""
    assert (card.state, grants(bench)) == ("applying", [("pypi.org", scope, "james")])
    [grant] = data(bench).live()
    assert (grant.session_id, bool(grant.until_ms)) == (
        "s1" if scope == "session" else "",
        scope == "hour",
    )


async def test_deny_opens_nothing_and_the_agent_hears_at_once(bench: Bench, card: Card) -> None:
    assert await card.press("sarah", "deny") == ""
    assert (card.state, grants(bench)) == ("denied", [])
    [denied] = bench.engine.recorded("network.denied", "session:s1")
    assert (denied.event.domain, denied.event.user_name, denied.event.reason) == ("pypi.org", "sarah", "")  # type: ignore[attr-defined]
    await card.shows("❌ `pypi.org` denied by @sarah")


async def test_a_press_decides_the_row_that_it_stands_in(bench: Bench, town: Town) -> None:
    card = await make_card(bench, town, "pypi.org", "example.com")
    await card.press("james", "deny", 1)
    await card.press("sarah", "approve", 0)
    assert card.states == ["applying", "denied"]
    assert grants(bench) == [("pypi.org", "", "sarah")]


async def test_the_same_press_delivered_twice_is_one(bench: Bench, town: Town, card: Card) -> None:
    town.arm("press_delivered_twice")
    assert await card.press("james") == ""
    assert len(bench.answers) == 2
    assert len(decisions(bench)) == 1
    assert [answer.ephemeral_text for _, answer in bench.answers] == [None, None]
    assert len(bench.engine.issued("alias.write")) == 1


async def test_a_double_click_is_one_decision_and_no_trouble(bench: Bench, card: Card) -> None:
    said = await asyncio.gather(*[card.send("james", "approve") for _ in range(2)])
    assert said == ["", ""]
    assert (len(grants(bench)), card.state) == (1, "applying")


async def test_a_replayed_press_decides_nothing_later(bench: Bench, card: Card) -> None:
    """The firewall failed, Retry would be a new press: the old one, sent again, is not."""
    bench.firewall.refuses = "forbidden"
    bench.firewall.answers.set()
    body = card.body()
    await bench.call_back(body)
    await until(lambda: card.state == "failed")
    said = (await bench.call_back(body))[1]
    assert said == {
        "ephemeral_text": "`pypi.org` was approved by @james, but is not open. Press Retry on the card."
    }
    assert (len(decisions(bench)), card.state) == (1, "failed")


@pytest.mark.parametrize("first", ["approve", "deny"])
async def test_a_press_replayed_with_a_new_trigger_id_after_a_decision_changes_nothing(
    bench: Bench, card: Card, first: str
) -> None:
    await card.send("sarah", first)
    decided, state = grants(bench), card.state
    said = await card.send("james", "deny" if first == "approve" else "approve", "a-new-trigger")
    assert "already" in said
    assert "by @sarah" in said
    assert (grants(bench), card.state) == (decided, state)
    assert bench.web.refused_presses == {"too_late": 1}


async def test_twenty_presses_at_once_are_one_decision_and_each_other_is_told_which(
    bench: Bench, town: Town, card: Card
) -> None:
    """Mattermost keeps no two presses apart. Four people, four buttons, all at once."""
    for name in ("kim", "lee"):
        town.make_user(name)
    pressed = [
        (who, action)
        for who in ("james", "sarah", "kim", "lee")
        for action in ("approve", "session", "hour", "deny")
    ]
    pressed += [("kim", "approve"), ("lee", "deny"), ("james", "hour"), ("sarah", "session")]
    said = await asyncio.gather(*[card.send(who, action) for who, action in pressed])
    request = card.request()
    denied = request.state == "denied"
    won = (request.user_name, "deny" if denied else data(bench).live()[0].scope or "approve")
    assert won in pressed
    assert len(decisions(bench)) == len(pressed)
    assert len(grants(bench)) == (0 if denied else 1)
    assert len(bench.engine.issued("alias.write")) == (0 if denied else 1)
    assert len(bench.engine.recorded("network.denied")) == (1 if denied else 0)
    told = (
        f"`pypi.org` is already denied by @{request.user_name}."
        if denied
        else f"`pypi.org` is already approved by @{request.user_name}; the firewall is being changed."
    )
    assert said == ["" if press == won else told for press in pressed]
    await until(lambda: bench.engine.recorded("card.updated"))
    assert len(bench.engine.issued("card.update")) == 1
    assert town.told("james") == town.told("kim") == []


async def test_buttons_reactions_and_commands_at_once_are_one_decision_and_each_other_is_told(
    bench: Bench, town: Town
) -> None:
    """Through Mattermost, everybody decides once: ten people, four buttons, two emoji, one command."""
    people = [f"user{n}" for n in range(10)]
    for name in people:
        town.make_user(name)
    await bench.listen()
    card = await make_card(bench, town)
    buttons = {one["integration"]["context"]["action"]: one["id"] for one in card.buttons()}
    await asyncio.gather(
        *[
            town.press(who, card.post_id, buttons[action])
            for who, action in zip(people, buttons, strict=False)
        ],
        *[
            town.react(who, card.post_id, emoji)
            for who, emoji in zip(people[4:7], (YES, NO, YES), strict=True)
        ],
        *[town.write(who, "@claude deny pypi.org no") for who in people[7:]],
    )
    await until(lambda: len(decisions(bench)) == len(people))
    await quiet(bench)
    request = card.request()
    assert len(grants(bench)) == (0 if request.state == "denied" else 1)
    assert len(bench.engine.recorded("network.denied")) == (1 if request.state == "denied" else 0)
    told = {who: town.told(who) for who in people}
    for press, answer in bench.answers:
        told[press.user_name] += [answer.ephemeral_text] if answer.ephemeral_text else []
    assert told.pop(request.user_name) == []
    verb = "denied" if request.state == "denied" else "approved"
    for who, texts in told.items():
        assert [text.split(";")[0].rstrip(".") for text in texts] == [
            f"`pypi.org` is already {verb} by @{request.user_name}"
        ], who


async def test_approve_beside_deny_is_one_decision_and_the_loser_hears_which(
    bench: Bench, card: Card
) -> None:
    approve, deny = await asyncio.gather(card.send("james", "approve"), card.send("sarah", "deny"))
    if grants(bench):
        assert (approve, deny) == (
            "",
            "`pypi.org` is already approved by @james; the firewall is being changed.",
        )
        assert bench.engine.recorded("network.denied") == []
    else:
        assert (approve, deny) == ("`pypi.org` is already denied by @sarah.", "")


async def test_the_same_person_pressing_the_other_button_hears_that_it_is_decided(card: Card) -> None:
    assert await card.press("james", "deny") == ""
    assert await card.send("james", "approve") == "`pypi.org` is already denied by @james."
    assert card.state == "denied"


async def test_the_same_person_choosing_another_time_hears_that_it_is_decided(
    bench: Bench, card: Card
) -> None:
    """Whoever presses 1 hour behind Approve must not believe that it closes after an hour."""
    await card.press("james", "approve")
    said = await card.send("james", "hour")
    assert said == "`pypi.org` is already approved by @james; the firewall is being changed."
    assert grants(bench) == [("pypi.org", "", "james")]


async def test_a_click_while_the_firewall_is_slow_hears_that_it_is_under_way(
    bench: Bench, card: Card
) -> None:
    await card.press("james", "session")
    await card.shows("@james chose This session, changing the firewall...")
    assert card.buttons() == []
    for action in ("approve", "hour", "deny", "retry"):
        said = await card.send("sarah", action)
        assert said == "`pypi.org` is already approved by @james; the firewall is being changed."
    assert (card.state, grants(bench)) == ("applying", [("pypi.org", "session", "james")])


async def test_a_click_on_an_old_card_hears_who_approved(bench: Bench, card: Card) -> None:
    bench.firewall.answers.set()
    await card.press("james")
    await until(lambda: card.state == "approved")
    assert await card.send("sarah", "deny") == "`pypi.org` is already approved by @james."
    assert await card.send("sarah", "hour") == "`pypi.org` is already approved by @james."
    assert (card.state, grants(bench)) == ("approved", [("pypi.org", "", "james")])


async def test_a_click_on_a_card_that_nobody_answered_hears_that_it_is_over(bench: Bench, card: Card) -> None:
    await expire(bench, card)
    assert card.state == "expired"
    said = await card.send("james", "approve")
    assert said == "Too late for `pypi.org`: nobody answered in time. The agent can ask again."
    assert (card.state, grants(bench)) == ("expired", [])


async def test_a_click_of_the_approver_on_a_card_that_was_revoked_is_not_taken_for_a_double_click(
    bench: Bench, card: Card
) -> None:
    bench.firewall.answers.set()
    await card.press("james")
    await until(lambda: card.state == "approved")
    revoked = NetworkDecided("revoke", card.channel, "u" * 26, "kim", "command", names=(Verdict("pypi.org"),))
    await bench.engine.happen(ALIAS_STREAM, revoked)
    assert card.state == "closed"
    said = await card.send("james", "approve")
    assert said == "`pypi.org` was approved by @james, but is not any more. Nothing was changed."
    assert (card.state, grants(bench)) == ("closed", [])


async def test_a_click_on_the_card_of_a_session_that_is_over_changes_nothing_and_says_so(
    bench: Bench, card: Card
) -> None:
    await bench.engine.happen(ALIAS_STREAM, NetworkSessionEnded("s1"))
    assert "Nothing was changed" in await card.send("james")
    assert (grants(bench), bench.engine.issued("alias.write")) == ([], [])
    await card.shows("the session is over. Nothing was opened.")


async def test_a_failed_card_offers_retry_and_deny_and_either_counts(bench: Bench, card: Card) -> None:
    bench.firewall.refuses = "forbidden"
    bench.firewall.answers.set()
    await card.press("james", "hour")
    await card.shows("⚠️ `pypi.org` was approved by @james, but is not open")
    assert [one["name"] for one in card.buttons()] == ["🔁 Retry", "❌ Deny"]
    bench.firewall.answers.clear()
    assert await card.press("sarah", "retry") == ""
    assert (card.state, grants(bench)) == ("applying", [("pypi.org", "hour", "james")])
    bench.firewall.answers.set()
    await until(lambda: card.state == "failed")
    await until(card.buttons)
    assert await card.press("sarah", "deny") == ""
    assert (card.state, grants(bench)) == ("denied", [])


async def test_a_set_that_is_pressed_too_late_hears_who_was_first(bench: Bench, town: Town) -> None:
    await configure(bench, sets=(DomainSet("python", ("pypi.org", "files.pythonhosted.org")),))
    card = await make_card(bench, town)
    await card.send("sarah", "deny")
    said = await card.send("james", "set", request_id="set:python")
    assert said == "`pypi.org` is already denied by @sarah."
    assert grants(bench) == []


# --- before the card's post is confirmed, and after a restart ------------------------------------------------------------


async def test_a_press_before_the_cards_post_is_confirmed_counts(start_bench, town: Town) -> None:
    """The reply to our request was lost, a person is quicker than our probe."""
    clock = ManualClock()
    bench = await start_bench(clock=clock)
    town.arm("lost_reply", method="POST", path="/api/v4/posts")
    request_id = await bench.engine.ask("pypi.org", channel=town.channel)
    await until(lambda: clock.sleepers)
    [post] = town.ours()
    assert await town.press("james", post.id) == 200
    assert data(bench).requests[request_id].state == "applying"
    await clock.pass_s(1)
    card = await card_of(bench, town, request_id)
    assert card.post_id == post.id
    await card.shows("⏳")


async def test_a_press_is_committed_before_it_is_answered(start_bench, town: Town, path) -> None:
    bench = await start_bench(path)
    card = await make_card(bench, town)
    await card.press("james")
    await bench.engine.crash()
    again = await start_bench(path)
    assert data(again).requests[card.request_id].state == "applying"
    assert [i.command.KIND for i in again.engine.recovered.outstanding].count("alias.write") == 1


async def test_buttons_of_before_a_restart_still_work(start_bench, town: Town, path) -> None:
    bench = await start_bench(path)
    body = (await make_card(bench, town)).body()
    await bench.engine.crash()
    again = await start_bench(path)
    assert await again.call_back(body) == (200, {})
    assert data(again).requests[body["context"]["request_id"]].state == "applying"


async def test_the_state_is_the_same_after_a_restart(start_bench, town: Town, path) -> None:
    bench = await start_bench(path)
    cards = [await make_card(bench, town, f"{name}.example.com") for name in ("a", "b", "c", "d")]
    await cards[0].press("james", "session")
    await cards[1].press("sarah", "deny")
    await cards[2].press("sarah", "hour")
    await quiet(bench)
    before = data(bench)
    texts = town.messages()
    await bench.engine.crash()
    again = await start_bench(path)
    assert data(again) == before
    assert await again.call_back(cards[3].body("james", "deny")) == (200, {})
    await quiet(again)
    assert town.messages() == [*texts[:3], "❌ `d.example.com` denied by @james"]
    assert [data(again).requests[card.request_id].state for card in cards] == ["applying", "denied", "applying", "denied"]  # fmt: skip


# --- quarantined --------------------------------------------------------------------------------------------------------


async def test_a_quarantined_alias_answers_each_press_and_decides_nothing(
    bench: Bench, town: Town, card: Card
) -> None:
    await bench.engine.happen(ALIAS_STREAM, StreamQuarantined("a test", 1))
    for who in ("james", "sarah", "james"):
        assert "Approvals are closed" in await card.send(who, "approve")
    assert (decisions(bench), card.state) == ([], "pending")
    assert bench.engine.issued("alias.write") == []
    assert bench.web.refused_presses == {"closed": 3}


async def test_an_alias_that_is_quarantined_by_the_press_itself_says_so(
    bench: Bench, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_fold = rules.fold

    def fold(state, recorded):
        if recorded.event.KIND == "network.decided":
            raise ZeroDivisionError
        return true_fold(state, recorded)

    monkeypatch.setattr(rules, "fold", fold)
    assert "Approvals are closed" in await card.send()
    assert card.state == "pending"
