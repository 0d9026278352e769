"""Every way to fake a press, each by its name, against the engine behind the listener: nothing is decided, and it is counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from chat_kit import Bench, Town
from engine_kit import ALIAS_STREAM, until

from sm.sandbox.mattermost.rows import User


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

    async def expect_nothing(self, forge: Callable[[], Awaitable[Any]]) -> None:
        """What is forged leaves no event behind, and one press more is counted as refused."""
        engine, counted = self.bench.engine, self.bench.web.refused_presses
        before, refused = await engine.kinds(ALIAS_STREAM), sum(counted.values())
        await forge()
        assert await engine.kinds(ALIAS_STREAM) == before
        assert sum(counted.values()) == refused + 1
        assert engine.issued("alias.save") == []

    async def direct(self, body: dict[str, Any]) -> None:
        """Whoever reaches the port calls the listener, and gets an answer that Mattermost would take."""
        await self.expect_nothing(lambda: self.bench.call_back(body))

    def outsider(self, name: str, *, member: bool = False, **kind: bool) -> User:
        user = self.town.peer.store.add_user(name, **kind)
        if member:
            self.town.peer.store.members[self.town.channel].append(user.id)
        return user


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
    await lured.direct(lured.body(card, context=context))


async def test_a_wrong_mac(lured: Lured, card: str) -> None:
    await lured.direct(lured.body(card, context=lured.context(card) | {"mac": "0" * 64}))


async def test_the_mac_of_another_card(lured: Lured, card: str) -> None:
    other = lured.context(await lured.ask("github.com"))
    mixed = lured.context(card) | {"card_id": other["card_id"]}
    await lured.direct(lured.body(card, context=mixed))


async def test_the_mac_of_another_request(lured: Lured, card: str) -> None:
    other = lured.context(await lured.ask("github.com"))
    mixed = lured.context(card) | {"request_id": other["request_id"]}
    await lured.direct(lured.body(card, context=mixed))


async def test_the_mac_of_another_action(lured: Lured, card: str) -> None:
    deny = lured.context(card, -1)
    assert deny["action"] == "deny"
    await lured.direct(lured.body(card, context=deny | {"action": "approve"}))


async def test_the_mac_of_another_channel(lured: Lured, card: str) -> None:
    await lured.direct(lured.body(card, channel_id="y" * 26))


async def test_another_cards_button_said_to_be_pressed_on_this_post(lured: Lured, card: str) -> None:
    other = await lured.ask("github.com")
    await lured.direct(lured.body(other, context=lured.context(card)))


async def test_a_members_own_button_with_a_context_made_up(lured: Lured, card: str, town: Town) -> None:
    made_up = {"card_id": "c1", "request_id": "r1", "action": "approve", "mac": "0" * 64}
    lure = await lured.lure("sarah", made_up)
    await lured.expect_nothing(lambda: town.press("james", lure))


# --- a context that leaked: it proves the card, and no more ---------------------------------------------------------------


async def test_a_post_made_by_somebody_else_with_our_context_in_it(
    lured: Lured, card: str, town: Town
) -> None:
    lure = await lured.lure("sarah", lured.context(card))
    await lured.expect_nothing(lambda: town.press("james", lure))


async def test_a_post_in_a_channel_of_ones_own_with_our_context_in_it(
    lured: Lured, card: str, town: Town
) -> None:
    made = await town.peer.actions()["mattermost/channel"]({"name": "own", "members": ["sarah", "james"]})
    lure = await lured.lure("sarah", lured.context(card), made["id"])  # type: ignore[index]
    await lured.expect_nothing(lambda: town.press("james", lure))


async def test_a_direct_call_in_the_name_of_a_user_that_does_not_exist(lured: Lured, card: str) -> None:
    await lured.direct(lured.body(card, user_id="q" * 26))


async def test_a_direct_call_in_the_name_of_a_user_that_is_no_member(lured: Lured, card: str) -> None:
    await lured.direct(lured.body(card, user_id=lured.outsider("eve").id))


async def test_a_direct_call_in_the_name_of_a_bot_in_the_channel(lured: Lured, card: str) -> None:
    await lured.direct(lured.body(card, user_id=lured.outsider("helper", member=True, is_bot=True).id))


async def test_a_direct_call_in_our_own_bots_name(lured: Lured, card: str, town: Town) -> None:
    await lured.direct(lured.body(card, user_id=town.peer.user_id("claude")))


async def test_a_direct_call_in_the_name_of_a_deactivated_member(lured: Lured, card: str, town: Town) -> None:
    await town.peer.actions()["mattermost/deactivate"]({"user": "sarah"})
    await lured.direct(lured.body(card, user_id=town.peer.user_id("sarah")))


async def test_a_direct_call_in_the_name_of_a_member_who_left(lured: Lured, card: str, town: Town) -> None:
    await town.peer.actions()["mattermost/leave"]({"channel": town.channel, "user": "sarah"})
    await lured.direct(lured.body(card, user_id=town.peer.user_id("sarah")))


# --- real presses by who may not -------------------------------------------------------------------------------------------


async def test_a_system_administrator_who_is_no_member(lured: Lured, card: str, town: Town) -> None:
    lured.outsider("root", is_admin=True)
    await lured.expect_nothing(lambda: town.press("root", card, lured.buttons(card)[0]["id"]))


async def test_a_bot_that_presses_through_mattermost(lured: Lured, card: str, town: Town) -> None:
    lured.outsider("helper", member=True, is_bot=True)
    await lured.expect_nothing(lambda: town.press("helper", card, lured.buttons(card)[0]["id"]))
