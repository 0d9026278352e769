"""Every way to fake a press, each by its name, against the engine behind the listener: nothing is decided, and it is counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from chat_kit import Bench, Town
from decisions_kit import Card, configure, data, expire, grants, make_card
from engine_kit import ALIAS_STREAM, ManualClock, until


class Lured:
    """A card of ours in the channel, and a forger who (unlike anybody real) can read what its buttons are bound to."""

    def __init__(self, bench: Bench, town: Town) -> None:
        self.bench, self.town = bench, town
        self.before: list[str] = []

    async def ask(self, domain: str) -> str:
        """An agent asks for a domain; answers the id of the card's post."""
        posted = len(self.bench.engine.recorded("card.posted"))
        await self.bench.engine.ask(domain, channel=self.town.channel)
        await until(lambda: len(self.bench.engine.recorded("card.posted")) > posted)
        return self.town.ours()[-1].id

    def buttons(self, post_id: str) -> list[dict[str, Any]]:
        return self.town.buttons(self.town.peer.store.rows[post_id])

    def context(self, post_id: str, number: int = 0) -> dict[str, Any]:
        """What a button of the card sends: the first one approves, the last one denies."""
        return dict(self.buttons(post_id)[number]["integration"]["context"])

    def body(self, post_id: str, **changes: Any) -> dict[str, Any]:
        """A press of the card by james, as Mattermost would post it."""
        return {
            "user_id": self.town.peer.user_id("james"),
            "user_name": "james",
            "channel_id": self.town.channel,
            "post_id": post_id,
            "trigger_id": "t1",
            "context": self.context(post_id),
            **changes,
        }

    async def lure(self, who: str, context: dict[str, Any], channel: str = "") -> str:
        """A member posts a button of their own that calls our listener."""
        integration = {"url": self.bench.callback_url, "context": context}
        button = {"id": "approve", "name": "Free beer", "type": "button", "integration": integration}
        props = {"attachments": [{"text": "press me", "actions": [button]}]}
        return await self.town.write(who, "look", channel=channel, props=props)

    async def expect_nothing(self, reason: str, forge: Callable[[], Awaitable[Any]]) -> None:
        """What is forged leaves no event behind, and one press more is counted by its reason."""
        engine, counted = self.bench.engine, self.bench.web.refused_presses
        before = await engine.kinds(ALIAS_STREAM)
        await forge()
        assert await engine.kinds(ALIAS_STREAM) == before
        assert counted == {reason: 1}
        assert engine.issued("alias.write") == []
        assert grants(self.bench) == []

    async def direct(self, reason: str, body: dict[str, Any]) -> None:
        """Whoever reaches the port calls the listener, and gets an answer that Mattermost would take."""
        await self.expect_nothing(reason, lambda: self.bench.call_back(body))

    def outsider(self, name: str, *, member: bool = False, **kind: bool) -> str:
        return self.town.make_user(name, member=member, **kind)


@pytest.fixture
def lured(bench: Bench, town: Town) -> Lured:
    return Lured(bench, town)


@pytest.fixture
async def card(lured: Lured) -> str:
    return await lured.ask("pypi.org")


# --- the card is not proved ----------------------------------------------------------------------------------------------


async def test_no_mac(lured: Lured, card: str) -> None:
    context = lured.context(card)
    del context["mac"]
    await lured.direct("no_mac", lured.body(card, context=context))


async def test_a_wrong_mac(lured: Lured, card: str) -> None:
    await lured.direct("bad_mac", lured.body(card, context=lured.context(card) | {"mac": "0" * 64}))


async def test_the_mac_of_another_card(lured: Lured, card: str) -> None:
    other = lured.context(await lured.ask("github.com"))
    mixed = lured.context(card) | {"card_id": other["card_id"]}
    await lured.direct("bad_mac", lured.body(card, context=mixed))


async def test_the_mac_of_another_request(lured: Lured, card: str) -> None:
    other = lured.context(await lured.ask("github.com"))
    mixed = lured.context(card) | {"request_id": other["request_id"]}
    await lured.direct("bad_mac", lured.body(card, context=mixed))


async def test_the_mac_of_another_action(lured: Lured, card: str) -> None:
    deny = lured.context(card, -1)
    assert deny["action"] == "deny"
    await lured.direct("bad_mac", lured.body(card, context=deny | {"action": "approve"}))


async def test_the_mac_of_another_channel(lured: Lured, card: str) -> None:
    await lured.direct("bad_mac", lured.body(card, channel_id="y" * 26))


async def test_another_cards_button_said_to_be_pressed_on_this_post(lured: Lured, card: str) -> None:
    other = await lured.ask("github.com")
    await lured.direct("another_post", lured.body(other, context=lured.context(card)))


async def test_a_members_own_button_with_a_context_made_up(lured: Lured, card: str, town: Town) -> None:
    made_up = {"card_id": "c1", "request_id": "r1", "action": "approve", "mac": "0" * 64}
    lure = await lured.lure("sarah", made_up)
    await lured.expect_nothing("bad_mac", lambda: town.press("james", lure))


# --- a context that leaked: it proves the card, and no more ---------------------------------------------------------------


async def test_a_post_made_by_somebody_else_with_our_context_in_it(
    lured: Lured, card: str, town: Town
) -> None:
    lure = await lured.lure("sarah", lured.context(card))
    await lured.expect_nothing("another_post", lambda: town.press("james", lure))


async def test_a_post_in_a_channel_of_ones_own_with_our_context_in_it(
    lured: Lured, card: str, town: Town
) -> None:
    made = await town.peer.actions()["mattermost/channel"]({"name": "own", "members": ["sarah", "james"]})
    lure = await lured.lure("sarah", lured.context(card), made["id"])  # type: ignore[index]
    await lured.expect_nothing("bad_mac", lambda: town.press("james", lure))


async def test_a_direct_call_in_the_name_of_a_user_that_does_not_exist(lured: Lured, card: str) -> None:
    await lured.direct("unknown_user", lured.body(card, user_id="q" * 26))


async def test_a_direct_call_in_the_name_of_a_user_that_is_no_member(lured: Lured, card: str) -> None:
    await lured.direct("not_a_member", lured.body(card, user_id=lured.outsider("eve")))


async def test_a_direct_call_in_the_name_of_a_bot_in_the_channel(lured: Lured, card: str) -> None:
    await lured.direct("bot", lured.body(card, user_id=lured.outsider("helper", member=True, is_bot=True)))


async def test_a_direct_call_in_our_own_bots_name(lured: Lured, card: str, town: Town) -> None:
    await lured.direct("bot", lured.body(card, user_id=town.peer.user_id("claude")))


async def test_a_direct_call_in_the_name_of_a_deactivated_member(lured: Lured, card: str, town: Town) -> None:
    await town.peer.actions()["mattermost/deactivate"]({"user": "sarah"})
    await lured.direct("deactivated", lured.body(card, user_id=town.peer.user_id("sarah")))


async def test_a_direct_call_in_the_name_of_a_member_who_left(lured: Lured, card: str, town: Town) -> None:
    await town.peer.actions()["mattermost/leave"]({"channel": town.channel, "user": "sarah"})
    await lured.direct("not_a_member", lured.body(card, user_id=town.peer.user_id("sarah")))


async def test_a_post_made_by_somebody_else_before_the_cards_own_is_confirmed(
    start_bench, town: Town
) -> None:
    """The reply to our request was lost: we don't know yet which post is the card."""
    bench = await start_bench(clock=ManualClock())
    lured = Lured(bench, town)
    town.arm("lost_reply", method="POST", path="/api/v4/posts")
    await bench.engine.ask("pypi.org", channel=town.channel)
    await until(lambda: bench.engine.clock.sleepers)
    [card] = town.ours()
    context = lured.context(card.id)
    lure = await lured.lure("sarah", context)
    await lured.expect_nothing("another_post", lambda: town.press("james", lure))


@pytest.mark.parametrize("who", ["sarah", "claude"])
async def test_a_post_that_says_it_is_the_card_before_the_cards_own_is_confirmed(
    start_bench, town: Town, who: str
) -> None:
    """By somebody else with the card's id in its props, or by us about something else."""
    bench = await start_bench(clock=ManualClock())
    lured = Lured(bench, town)
    town.arm("lost_reply", method="POST", path="/api/v4/posts")
    await bench.engine.ask("pypi.org", channel=town.channel)
    await until(lambda: bench.engine.clock.sleepers)
    [card] = town.ours()
    claims = {"sm_card": card.props["sm_card"] if who == "sarah" else "c0", "sm_command": "x"}
    other = await town.write(who, "not the card", props=claims)
    body = lured.body(card.id) | {"post_id": other}
    await lured.direct("another_post", body)


async def test_a_post_that_does_not_exist_before_the_cards_own_is_confirmed(start_bench, town: Town) -> None:
    bench = await start_bench(clock=ManualClock())
    lured = Lured(bench, town)
    town.arm("lost_reply", method="POST", path="/api/v4/posts")
    await bench.engine.ask("pypi.org", channel=town.channel)
    await until(lambda: bench.engine.clock.sleepers)
    body = lured.body(town.ours()[0].id) | {"post_id": "w" * 26}
    await lured.direct("another_post", body)


# --- after a decision: recorded, and nothing comes of it -------------------------------------------------------------------


@pytest.mark.parametrize("trigger", ["t1", "a-new-trigger"])
@pytest.mark.parametrize("end", ["denied", "expired"])
async def test_a_press_replayed_after_a_decision(
    lured: Lured, card: str, town: Town, trigger: str, end: str
) -> None:
    bench = lured.bench
    [known] = data(bench).cards.values()
    body = lured.body(card, trigger_id=trigger, user_id=town.peer.user_id("sarah"))
    if end == "denied":
        await bench.call_back(lured.body(card, context=lured.context(card, -1)))
    if end == "expired":
        await expire(bench, known)  # type: ignore[arg-type]
    _, answer = await bench.call_back(body)
    assert "pypi.org" in answer["ephemeral_text"]
    assert bench.web.refused_presses == {"too_late": 1}
    assert (grants(bench), bench.engine.issued("alias.write")) == ([], [])
    assert data(bench).requests[known.requests[0]].state == end


# --- real presses by who may not -------------------------------------------------------------------------------------------


async def test_a_system_administrator_who_is_no_member(lured: Lured, card: str, town: Town) -> None:
    lured.outsider("root", is_admin=True)
    await lured.expect_nothing("not_a_member", lambda: town.press("root", card, lured.buttons(card)[0]["id"]))


async def test_a_bot_that_presses_through_mattermost(lured: Lured, card: str, town: Town) -> None:
    lured.outsider("helper", member=True, is_bot=True)
    await lured.expect_nothing("bot", lambda: town.press("helper", card, lured.buttons(card)[0]["id"]))


# --- on the copy in the approvals' channel -------------------------------------------------------------------------------


@pytest.fixture
async def copied(lured: Lured, town: Town) -> Card:
    town.make_user("kim")
    approvals = await town.make_channel("approvals", "kim")
    await configure(lured.bench, approval_channel=approvals)
    return await make_card(lured.bench, town)


async def test_the_copys_button_said_to_be_pressed_in_the_cards_channel(lured: Lured, copied: Card) -> None:
    context = copied.buttons(copied.copy_post)[0]["integration"]["context"]
    await lured.direct("bad_mac", lured.body(copied.post_id, context=context))


async def test_the_copys_button_on_the_cards_post(lured: Lured, copied: Card) -> None:
    context = copied.buttons(copied.copy_post)[0]["integration"]["context"]
    body = lured.body(copied.post_id, context=context, channel_id=copied.copy_channel)
    await lured.direct("another_post", body)


async def test_the_cards_button_on_the_copys_post(lured: Lured, copied: Card) -> None:
    body = lured.body(copied.post_id) | {"post_id": copied.copy_post}
    await lured.direct("another_post", body)


async def test_the_copys_button_by_a_member_of_the_cards_channel_alone(lured: Lured, copied: Card) -> None:
    await lured.direct(
        "not_a_member", copied.body("sarah", channel_id=copied.copy_channel, post_id=copied.copy_post)
    )


async def test_the_cards_button_by_a_member_of_the_approvals_channel_alone(
    lured: Lured, copied: Card, town: Town
) -> None:
    await town.peer.actions()["mattermost/leave"]({"channel": town.channel, "user": "kim"})
    await lured.direct("not_a_member", copied.body("kim"))


async def test_the_copys_button_when_its_channel_is_not_the_approvals_any_more(
    lured: Lured, copied: Card
) -> None:
    await configure(lured.bench)
    body = copied.body("kim", channel_id=copied.copy_channel, post_id=copied.copy_post)
    await lured.direct("another_post", body)
