"""Presses: forged, doubled, at once, late; one decision, and an answer for everybody who pressed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from chat_kit import SECRET, Bench, Town
from engine_kit import ALIAS_STREAM, ManualClock, until

from sm.core import fold as rules
from sm.core.events import AliasApplied, AliasFailed, AliasSaved, StreamQuarantined
from sm.web.mac import card_context


class Card:
    """A card in the channel, and what its buttons would send."""

    def __init__(self, bench: Bench, town: Town, request_id: str, card_id: str, post_id: str) -> None:
        self.bench, self.town = bench, town
        self.request_id, self.card_id, self.post_id = request_id, card_id, post_id

    def body(
        self, who: str = "james", action: str = "approve", trigger: str = "t1", **other: Any
    ) -> dict[str, Any]:
        """What Mattermost would post; `other` replaces fields, also those of the context."""
        given = {
            "card_id": self.card_id,
            "request_id": self.request_id,
            "action": action,
            "channel_id": self.town.channel,
        }
        signed = given | {key: other[key] for key in other if key in given and not other.get("stale_mac")}
        context = card_context(SECRET, **signed)
        context |= {key: other[key] for key in ("card_id", "request_id", "action", "mac") if key in other}
        return {
            "user_id": other.get("user_id", self.town.peer.user_id(who)),
            "user_name": other.get("user_name", who),
            "channel_id": other.get("channel_id", self.town.channel),
            "post_id": other.get("post_id", self.post_id),
            "trigger_id": trigger,
            "context": context,
        }

    @property
    def state(self) -> str:
        return self.bench.engine.writer.state(ALIAS_STREAM).data.requests[self.request_id].state

    async def send(self, *args: Any, **other: Any) -> str:
        """Call the listener as Mattermost would; answers what the presser alone is shown."""
        status, answer = await self.bench.call_back(self.body(*args, **other))
        assert status == 200
        assert set(answer) <= {"ephemeral_text"}
        return answer.get("ephemeral_text", "")


@pytest.fixture
async def a_card(bench: Bench, town: Town) -> Card:
    return await make_card(bench, town)


async def make_card(bench: Bench, town: Town, domain: str = "pypi.org") -> Card:
    before = len(bench.engine.recorded("card.posted"))
    request_id = await bench.engine.ask(domain, channel=town.channel)
    await until(lambda: len(bench.engine.recorded("card.posted")) > before)
    posted = bench.engine.recorded("card.posted")[-1].event
    return Card(bench, town, request_id, posted.card_id, posted.post_id)


def presses(bench: Bench) -> int:
    return len(bench.engine.recorded("card.pressed"))


# --- what is no press of a member on our card -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forged",
    [
        {"mac": "0" * 64},
        {"stale_mac": True, "action": "deny"},
        {"stale_mac": True, "card_id": "c999"},
        {"stale_mac": True, "request_id": "r999"},
        {"stale_mac": True, "channel_id": "y" * 26},
    ],
    ids=["another MAC", "another action", "another card", "another request", "another channel"],
)
async def test_a_button_that_is_not_ours_does_nothing_and_is_told_so(
    bench: Bench, town: Town, forged: dict[str, Any]
) -> None:
    card = await make_card(bench, town)
    body = card.body()
    for key in ("mac", "card_id", "request_id", "action"):
        if key in forged:
            body["context"][key] = forged[key]
    body["channel_id"] = forged.get("channel_id", body["channel_id"])
    status, answer = await bench.call_back(body)
    assert status == 200
    assert "does not belong to a card of mine" in answer["ephemeral_text"]
    assert (presses(bench), card.state) == (0, "pending")
    assert bench.web.refused_presses["bad_mac"] == 1


@pytest.mark.parametrize(
    "other",
    [
        {"card_id": "c999"},
        {"request_id": "r999"},
        {"channel_id": "y" * 26},
    ],
    ids=["a card", "a request", "a channel"],
)
async def test_a_well_signed_press_for_what_is_not_there_does_nothing(
    bench: Bench, a_card: Card, other: dict[str, Any]
) -> None:
    said = await a_card.send(**other)
    assert said == "I don't know this card any more. Nothing was changed."
    assert (presses(bench), a_card.state) == (0, "pending")
    assert bench.web.refused_presses["refused"] == 1


async def test_a_press_on_another_post_than_the_card_does_nothing(bench: Bench, a_card: Card) -> None:
    assert await a_card.send(post_id="w" * 26) == "This is not the card that I posted. Nothing was changed."
    assert (presses(bench), a_card.state) == (0, "pending")


async def test_a_button_copied_into_a_post_of_ones_own_does_nothing(
    bench: Bench, town: Town, a_card: Card
) -> None:
    """Whoever learned the context on the wire can aim a button of their own at us; its post isn't the card."""
    context = a_card.body()["context"]
    action = {
        "id": "approve",
        "name": "Free beer",
        "type": "button",
        "integration": {"url": bench.callback_url, "context": context},
    }
    props = {"attachments": [{"text": "press me", "actions": [action]}]}
    lure = await town.write("sarah", "look", props=props)
    assert await town.press("james", lure) == 200
    assert (presses(bench), a_card.state) == (0, "pending")
    assert "not the card that I posted" in str(bench.answers[-1][1].ephemeral_text)


async def test_a_press_in_the_name_of_a_user_that_is_no_member_does_nothing(
    bench: Bench, town: Town, a_card: Card
) -> None:
    eve = town.peer.store.add_user("eve")
    said = await a_card.send(user_id=eve.id, user_name="james")
    assert said == "Only people who are members of this channel can decide."
    assert (presses(bench), a_card.state) == (0, "pending")


async def test_a_press_in_the_name_of_a_user_that_does_not_exist_does_nothing(
    bench: Bench, a_card: Card
) -> None:
    said = await a_card.send(user_id="q" * 26)
    assert said == "Only people who are members of this channel can decide."
    assert presses(bench) == 0


async def test_a_member_who_left_can_decide_no_more(bench: Bench, town: Town, a_card: Card) -> None:
    await town.peer.actions()["mattermost/leave"]({"channel": town.channel, "user": "james"})
    assert "Only people who are members" in await a_card.send()
    assert presses(bench) == 0


async def test_a_bot_cannot_decide_not_even_ours(bench: Bench, town: Town, a_card: Card) -> None:
    other = town.peer.store.add_user("helper", is_bot=True)
    town.peer.store.members[town.channel].append(other.id)
    for user_id in (other.id, town.peer.user_id("claude")):
        assert "Only people" in await a_card.send(user_id=user_id)
    assert presses(bench) == 0


async def test_who_decided_is_looked_up_and_not_believed(bench: Bench, town: Town, a_card: Card) -> None:
    assert await a_card.send("sarah", user_name="james") == ""
    [pressed] = bench.engine.recorded("card.pressed")
    assert (pressed.event.user_id, pressed.event.user_name) == (town.peer.user_id("sarah"), "sarah")


async def test_while_mattermost_cannot_say_who_it_is_nothing_is_decided(
    bench: Bench, town: Town, a_card: Card
) -> None:
    town.arm("server_error", path=f"/api/v4/users/{town.peer.user_id('james')}")
    assert "Press again" in await a_card.send()
    assert (presses(bench), a_card.state) == (0, "pending")
    assert await a_card.send(trigger="t2") == ""
    assert a_card.state == "applying"


async def test_a_bot_whose_token_was_revoked_does_not_call_a_member_a_stranger(
    bench: Bench, town: Town, a_card: Card
) -> None:
    town.arm("unauthorized")
    said = await a_card.send()
    assert "Press again" in said
    assert presses(bench) == 0


@pytest.mark.parametrize("action", ["dance", "confirmed", "already_granted", "refused"])
async def test_a_well_signed_action_that_no_button_has_changes_nothing(
    bench: Bench, a_card: Card, action: str
) -> None:
    assert await a_card.send(action=action) == "Nothing was changed."
    assert a_card.state == "pending"
    assert bench.engine.issued("alias.save") == []


# --- one decision -------------------------------------------------------------------------------------------------------


async def test_the_same_press_delivered_twice_is_one(bench: Bench, town: Town, a_card: Card) -> None:
    town.arm("press_delivered_twice")
    assert await town.press("james", a_card.post_id) == 200
    assert len(bench.answers) == 2
    assert presses(bench) == 1
    assert [answer.ephemeral_text for _, answer in bench.answers] == [None, None]
    assert len(bench.engine.issued("alias.save")) == 1


async def test_a_replayed_trigger_id_decides_nothing_later(bench: Bench, a_card: Card) -> None:
    """The firewall failed, Retry would be a new press: the old one, sent again, is not."""
    body = a_card.body()
    await bench.call_back(body)
    failed = AliasFailed(a_card.request_id, "pypi.org", "save", "forbidden", "no")
    await bench.engine.happen(ALIAS_STREAM, failed)
    assert a_card.state == "failed"
    await bench.call_back(body)
    assert (presses(bench), a_card.state) == (1, "failed")


async def test_twenty_presses_at_once_are_one_decision(bench: Bench, town: Town, a_card: Card) -> None:
    """Mattermost keeps no two presses apart."""
    pressed = [a_card.send(who, "approve", f"t{n}") for n in range(10) for who in ("james", "sarah")]
    said = await asyncio.gather(*pressed)
    assert a_card.state == "applying"
    assert len(bench.engine.issued("alias.save")) == 1
    request = bench.engine.writer.state(ALIAS_STREAM).data.requests[a_card.request_id]
    winner = request.user_name
    assert (
        sorted(said) == [""] * 10 + [f"@{winner} already chose Approve; the firewall is being changed."] * 10
    )
    await until(lambda: bench.engine.recorded("card.updated"))
    assert len(bench.engine.issued("card.update")) == 1


async def test_approve_beside_deny_is_one_decision_and_the_loser_hears_which(
    bench: Bench, a_card: Card
) -> None:
    approve, deny = await asyncio.gather(
        a_card.send("james", "approve", "t1"), a_card.send("sarah", "deny", "t2")
    )
    saves, denials = bench.engine.issued("alias.save"), bench.engine.recorded("network.denied")
    assert (len(saves), len(denials)) in {(1, 0), (0, 1)}
    if saves:
        assert (approve, deny) == ("", "@james already chose Approve; the firewall is being changed.")
    else:
        assert (approve, deny) == ("Already denied by @sarah.", "")


async def test_the_same_person_pressing_the_other_button_hears_that_it_is_decided(a_card: Card) -> None:
    assert await a_card.send("james", "deny", "t1") == ""
    assert await a_card.send("james", "approve", "t2") == "Already denied by @james."
    assert a_card.state == "denied"


async def test_a_press_after_the_end_hears_who_approved(bench: Bench, a_card: Card) -> None:
    await a_card.send("james")
    await bench.engine.happen(
        ALIAS_STREAM, AliasSaved(a_card.request_id, "pypi.org", True, (), ("pypi.org",), None)
    )
    await bench.engine.happen(ALIAS_STREAM, AliasApplied(a_card.request_id, "pypi.org", "seen", None))
    assert await a_card.send("sarah", "deny", "t2") == "Already approved by @james."
    assert a_card.state == "approved"


async def test_deny_on_a_failed_card_says_that_retry_is_what_there_is(bench: Bench, a_card: Card) -> None:
    await a_card.send("james")
    await bench.engine.happen(
        ALIAS_STREAM, AliasFailed(a_card.request_id, "pypi.org", "save", "forbidden", "no")
    )
    assert "Press Retry" in await a_card.send("sarah", "deny", "t2")


async def test_a_press_before_the_cards_post_is_confirmed_counts(start_bench, town: Town) -> None:
    """The reply to our request was lost, a person is quicker than our probe."""
    clock = ManualClock()
    bench = await start_bench(clock=clock)
    town.arm("lost_reply", method="POST", path="/api/v4/posts")
    request_id = await bench.engine.ask("pypi.org", channel=town.channel)
    await until(lambda: clock.sleepers)
    [post] = town.ours()
    assert await town.press("james", post.id) == 200
    assert bench.engine.writer.state(ALIAS_STREAM).data.requests[request_id].state == "applying"
    await clock.pass_s(1)
    await until(lambda: town.messages()[0].startswith("⏳"))


async def test_a_press_is_committed_before_it_is_answered(start_bench, town: Town, path) -> None:
    bench = await start_bench(path)
    card = await make_card(bench, town)
    await town.press("james", card.post_id)
    await bench.engine.crash()
    again = await start_bench(path)
    assert again.engine.writer.state(ALIAS_STREAM).data.requests[card.request_id].state == "applying"
    assert [i.command.KIND for i in again.engine.recovered.outstanding].count("alias.save") == 1


async def test_buttons_of_before_a_restart_still_work(start_bench, town: Town, path) -> None:
    bench = await start_bench(path)
    card = await make_card(bench, town)
    await bench.engine.crash()
    again = await start_bench(path)
    status, answer = await again.call_back(card.body())
    assert (status, answer) == (200, {})
    assert again.engine.writer.state(ALIAS_STREAM).data.requests[card.request_id].state == "applying"


# --- quarantined --------------------------------------------------------------------------------------------------------


async def test_a_quarantined_alias_answers_each_press_and_decides_nothing(
    bench: Bench, town: Town, a_card: Card
) -> None:
    await bench.engine.happen(ALIAS_STREAM, StreamQuarantined("a test", 1))
    for n, who in enumerate(("james", "sarah", "james")):
        assert "Approvals are closed" in await a_card.send(who, "approve", f"t{n}")
    assert (presses(bench), a_card.state) == (0, "pending")
    assert bench.engine.issued("alias.save") == []


async def test_an_alias_that_is_quarantined_by_the_press_itself_says_so(
    bench: Bench, a_card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_fold = rules.fold

    def fold(state, recorded):
        if recorded.event.KIND == "card.pressed":
            raise ZeroDivisionError
        return true_fold(state, recorded)

    monkeypatch.setattr(rules, "fold", fold)
    assert "Approvals are closed" in await a_card.send()
    assert a_card.state == "pending"
