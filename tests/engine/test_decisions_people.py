"""Who may decide, by button, reaction and command alike; and the answer that whoever may not gets, alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from attrs import evolve
from chat_kit import Bench, Town
from decisions_kit import NO, YES, Card, configure, data, decisions, grants, hears, make_card, quiet
from engine_kit import until

from sm.core.events import DomainSet

WAYS = ["button", "reaction", "command"]


class Way:
    """One of the ways to decide; each has the same checks."""

    def __init__(self, way: str, bench: Bench, town: Town) -> None:
        self.way, self.bench, self.town = way, bench, town

    async def decide(self, who: str, card: Card, *, yes: bool = True) -> None:
        match self.way:
            case "button":
                await card.press(who, "approve" if yes else "deny")
            case "reaction":
                await self.town.react(who, card.post_id, YES if yes else NO)
            case _:
                verb = "approve" if yes else "deny"
                await self.town.write(who, f"@claude {verb} {card.request().domain}", channel=card.channel)

    async def answers(self, who: str, *words: str) -> None:
        """Wait until this person alone is told so: in the callback's answer, or in a direct message."""
        if self.way != "button":
            await hears(self.town, who, *words)
            return
        press, answer = self.bench.answers[-1]
        assert press.user_id == self.town.peer.user_id(who)
        assert all(word in (answer.ephemeral_text or "") for word in words), answer
        await quiet(self.bench)
        assert self.town.told(who) == []


@pytest.fixture(params=WAYS)
async def way(request: pytest.FixtureRequest, bench: Bench, town: Town) -> Way:
    await bench.listen()
    return Way(request.param, bench, town)


@pytest.fixture
async def card(way: Way, bench: Bench, town: Town) -> Card:
    return await make_card(bench, town, by="james")


async def test_by_default_any_member_decides_who_started_the_session_too(
    way: Way, card: Card, bench: Bench
) -> None:
    await way.decide("james", card)
    await until(lambda: card.state == "applying")
    assert grants(bench) == [("pypi.org", "", "james")]
    assert decisions(bench)[-1].via == way.way


@pytest.mark.parametrize("named", ["by name", "by id", "by both"])
async def test_approvers_are_named_or_given_by_id_and_nobody_else_decides(
    way: Way, card: Card, bench: Bench, town: Town, named: str
) -> None:
    name, user_id = "sarah", town.peer.user_id("sarah")
    who = {"by name": (name,), "by id": (user_id,), "by both": ("kim", user_id)}[named]
    await configure(bench, approvers=who)
    await way.decide("james", card)
    await way.answers("james", "You can't decide", "@sarah")
    assert (card.state, grants(bench)) == ("pending", [])
    await way.decide("sarah", card)
    await until(lambda: card.state == "applying")


async def test_an_approver_who_is_no_member_does_not_decide(
    way: Way, card: Card, bench: Bench, town: Town
) -> None:
    """An administrator can write and react in a channel that he is no member of."""
    town.make_user("root", member=False, is_admin=True)
    await configure(bench, approvers=("root",))
    await way.decide("root", card)
    await way.answers("root", "members of this channel can decide")
    assert (card.state, grants(bench)) == ("pending", [])


async def test_an_administrator_who_is_no_member_is_told_who_can(
    way: Way, card: Card, town: Town, bench: Bench
) -> None:
    town.make_user("root", member=False, is_admin=True)
    await way.decide("root", card, yes=False)
    await way.answers("root", "members of this channel can decide")
    assert card.state == "pending"


async def test_with_own_forbidden_it_wants_another_person_than_the_one_who_started_the_session(
    way: Way, card: Card, bench: Bench
) -> None:
    await configure(bench, approve_own=False)
    await way.decide("james", card)
    await way.answers("james", "Another person has to decide")
    assert (card.state, grants(bench)) == ("pending", [])
    await way.decide("sarah", card)
    await until(lambda: card.state == "applying")


async def test_with_own_forbidden_denying_wants_another_person_too(
    way: Way, card: Card, bench: Bench
) -> None:
    await configure(bench, approve_own=False)
    await way.decide("james", card, yes=False)
    await way.answers("james", "Another person has to decide")
    assert card.state == "pending"


async def test_a_bot_decides_nothing_and_is_told_nothing(
    way: Way, card: Card, bench: Bench, town: Town
) -> None:
    town.make_user("helper", is_bot=True)
    await way.decide("helper", card)
    await way.decide("sarah", card, yes=False)
    await until(lambda: card.state == "denied")
    assert [event.user_name for event in decisions(bench)] == ["sarah"]
    assert town.told("helper") == []


async def test_a_member_who_left_decides_nothing(way: Way, card: Card, bench: Bench, town: Town) -> None:
    """A command was written before, and is read after that."""
    if way.way == "command":
        await bench.deafen()
        await way.decide("sarah", card)
        await town.peer.actions()["mattermost/leave"]({"channel": town.channel, "user": "sarah"})
        await bench.listen()
    else:
        body = card.body("sarah")
        await town.peer.actions()["mattermost/leave"]({"channel": town.channel, "user": "sarah"})
        if way.way == "button":
            await bench.call_back(body)
        else:
            town.peer.react("sarah", card.post_id, YES)
    await way.answers("sarah", "members of this channel can decide")
    assert (card.state, grants(bench)) == ("pending", [])


async def test_who_was_deactivated_decides_nothing(way: Way, card: Card, bench: Bench, town: Town) -> None:
    """Also what was decided before that, and is read after it."""
    await bench.deafen()
    body = card.body("sarah")
    if way.way != "button":
        await way.decide("sarah", card)
    await town.peer.actions()["mattermost/deactivate"]({"user": "sarah"})
    if way.way == "button":
        await bench.call_back(body)
    await bench.listen()
    await town.write("james", "@claude help")
    await until(lambda: any("approve" in text for text in town.messages()[1:]))
    await quiet(bench)
    assert (card.state, grants(bench)) == ("pending", [])


async def test_a_name_that_is_another_persons_now_is_looked_up_anew(
    way: Way, card: Card, bench: Bench, town: Town
) -> None:
    """Who was known by a name that the settings allow has another one by now."""
    await configure(bench, approvers=("sarah",))
    await town.write("sarah", "good morning")
    sarah = town.peer.store.user_named("sarah")
    assert sarah is not None
    town.peer.store.users[sarah.id] = evolve(sarah, username="sally")
    await way.decide("sally", card)
    await way.answers("sally", "You can't decide", "@sarah")
    assert (card.state, grants(bench)) == ("pending", [])


async def test_who_takes_an_approvers_id_for_a_name_is_no_approver(
    way: Way, card: Card, bench: Bench, town: Town
) -> None:
    """Newer servers take names of that length, and anybody can change their own."""
    james, sarah = town.peer.store.user_named("james"), town.peer.store.user_named("sarah")
    assert james is not None
    assert sarah is not None
    await configure(bench, approvers=(sarah.id,))
    town.peer.store.users[james.id] = evolve(james, username=sarah.id)
    await way.decide(sarah.id, card)
    await way.answers(sarah.id, "You can't decide", "@sarah")
    assert (card.state, grants(bench)) == ("pending", [])


async def test_changed_settings_count_for_cards_that_are_there(way: Way, card: Card, bench: Bench) -> None:
    await configure(bench, approvers=("sarah",))
    await way.decide("james", card)
    await way.answers("james", "You can't decide")
    await configure(bench)
    await way.decide("james", card, yes=False) if way.way == "reaction" else await way.decide("james", card)
    await until(lambda: card.state != "pending")


# --- late answers ---------------------------------------------------------------------------------------------------------


async def late(bench: Bench, town: Town, press: Callable[[], object], *, by_s: float) -> str:
    """Somebody presses while Mattermost takes its time to say who it is; answers what the callback says."""
    town.faults.set_scale("mattermost.slow", 0.02)
    town.arm("slow", path="/api/v4/users/*")
    hits = town.faults.hits("mattermost", "slow")
    pressed = asyncio.ensure_future(press())  # type: ignore[call-overload]
    await until(lambda: town.faults.hits("mattermost", "slow") > hits)
    bench.engine.clock.ms += round(by_s * 1000)
    return await pressed


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("not_approver", "You can't decide"),
        ("own", "Another person has to decide"),
        ("not_member", "members of this channel can decide"),
        ("strong", "A button alone does not decide"),
        ("too_late", "already denied by @sarah"),
    ],
)
@pytest.mark.parametrize("by_s", [1.0, 6.0], ids=["in time", "too late for the callback"])
async def test_an_answer_that_is_too_late_for_the_callback_comes_as_a_direct_message(
    bench: Bench, town: Town, case: str, words: str, by_s: float
) -> None:
    policy = {
        "not_approver": {"approvers": ("sarah",)},
        "own": {"approve_own": False},
        "strong": {"strong": True},
    }
    await configure(bench, **policy.get(case, {}))
    card = await make_card(bench, town, by="james")
    if case == "too_late":
        await card.press("sarah", "deny")
    who = "james"
    if case == "not_member":
        who = "eve"
        town.make_user("eve", member=False)
    said = await late(bench, town, lambda: card.send(who), by_s=by_s)
    await quiet(bench)
    assert words in said
    assert len(town.told(who)) == (1 if by_s > 5 else 0)
    assert all(words in text for text in town.told(who))
    assert grants(bench) == []


async def test_a_late_press_that_decides_has_no_answer_but_the_card(bench: Bench, town: Town) -> None:
    card = await make_card(bench, town)
    assert await late(bench, town, lambda: card.send("james"), by_s=6) == ""
    await quiet(bench)
    assert (card.state, town.told("james")) == ("applying", [])


async def test_who_can_not_be_reached_directly_holds_nothing_up(bench: Bench, town: Town) -> None:
    """Somebody whose account is closed, between the reaction and the answer."""
    await bench.listen()
    await configure(bench, approvers=("james",))
    card = await make_card(bench, town)
    town.arm("server_error", times=1, path="/api/v4/channels/direct")
    await town.react("sarah", card.post_id, YES)
    await town.react("james", card.post_id, YES)
    await until(lambda: card.state == "applying")
    await hears(town, "sarah", "You can't decide")


# --- strong mode ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["approve", "session", "hour", "deny"])
async def test_in_strong_mode_a_button_only_asks_for_what_decides(
    bench: Bench, town: Town, action: str
) -> None:
    await configure(bench, strong=True)
    card = await make_card(bench, town)
    said = await card.press("james", action)
    for word in ("✅", "❌", "`@claude approve HOST`", "`@claude deny HOST`"):
        assert word in said
    assert (card.state, grants(bench)) == ("pending", [])
    [event] = decisions(bench)
    assert (event.via, event.user_name) == ("button", "james")


@pytest.mark.parametrize("kind", ["reaction", "command"])
async def test_in_strong_mode_reaction_and_command_decide(bench: Bench, town: Town, kind: str) -> None:
    await bench.listen()
    await configure(bench, strong=True)
    card = await make_card(bench, town)
    await Way(kind, bench, town).decide("sarah", card)
    await until(lambda: card.state == "applying")
    assert data(bench).live()[0].via == kind


async def test_in_strong_mode_who_may_not_decide_is_told_who_can_and_not_how(
    bench: Bench, town: Town
) -> None:
    await configure(bench, strong=True, approvers=("sarah",))
    card = await make_card(bench, town)
    said = await card.press("james")
    assert "@sarah" in said
    assert "✅" not in said


async def test_in_strong_mode_a_sets_button_and_retry_do_not_decide_either(bench: Bench, town: Town) -> None:
    python = DomainSet("python", ("pypi.org", "files.pythonhosted.org"))
    await configure(bench, sets=(python,))
    card = await make_card(bench, town)
    bench.firewall.refuses = "forbidden"
    bench.firewall.answers.set()
    other = await make_card(bench, town, "example.com")
    await other.press("james")
    await until(lambda: other.state == "failed")
    await configure(bench, sets=(python,), strong=True)
    assert "A button alone" in await card.send("james", "set", request_id="set:python")
    assert "A button alone" in await other.send("sarah", "retry")
    assert (card.state, other.state) == ("pending", "failed")
