"""Cards before the sandbox's Mattermost: once each, with buttons that work, in the state that they are in."""

from __future__ import annotations

import json
import re

import pytest
from chat_kit import Bench, Town
from decisions_kit import Card, configure, data, grants, make_card, quiet
from engine_kit import ManualClock, agent_says, ready_session, until

from sm.core import streams
from sm.core.events import Ask, DomainSet, NetworkDecided

APPROVED = "✅ `pypi.org` approved by @james"


@pytest.fixture
async def card(bench: Bench, town: Town) -> Card:
    return await make_card(bench, town, by="sarah", title="acme/webapp")


def props_of(town: Town, card: Card) -> str:
    """As the server counts them."""
    return json.dumps(card.post(card.post_id).props, ensure_ascii=False, separators=(",", ":"))


# --- what stands on it ------------------------------------------------------------------------------------------------


async def test_a_card_shows_its_text_and_four_buttons(card: Card) -> None:
    assert card.text.splitlines()[0] == "🔒 **Network Request:** `pypi.org`"
    assert "on **acme/webapp**, started by @sarah." in card.text
    assert [(b["id"], b["name"], b["style"]) for b in card.buttons()] == [
        ("approve", "✅ Approve", "primary"),
        ("session", "This session", "default"),
        ("hour", "1 hour", "default"),
        ("deny", "❌ Deny", "danger"),
    ]


async def test_each_choice_has_a_row_of_its_own_and_each_button_an_id_of_its_own(
    bench: Bench, town: Town
) -> None:
    await configure(bench, sets=(DomainSet("python", ("pypi.org", "files.example")),))
    card = await make_card(bench, town, "pypi.org", "example.org")
    shown = card.post(card.post_id).props["attachments"]
    assert [one.get("text", "") for one in shown] == ["`pypi.org`", "`example.org`", ""]
    assert shown[-1]["actions"][0]["name"] == "✅ Approve all of python: pypi.org, files.example"
    ids = [button["id"] for button in card.buttons()]
    assert len(set(ids)) == len(ids) == 9
    assert all(re.fullmatch("[A-Za-z0-9]+", one) for one in ids)


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("action", ["approve", "session", "hour", "deny"])
async def test_each_button_of_each_row_is_bound_to_what_it_says(
    bench: Bench, town: Town, row: int, action: str
) -> None:
    card = await make_card(bench, town, "pypi.org", "example.org")
    assert await card.press("james", action, row) == ""
    assert card.states[row] == ("denied" if action == "deny" else "applying")
    assert card.states[1 - row] == "pending"
    decided: NetworkDecided = bench.engine.recorded("network.decided")[0].event  # type: ignore[assignment]
    assert (decided.request_id, decided.action) == (card.requests[row], action)


async def test_a_set_opens_what_its_button_names(bench: Bench, town: Town) -> None:
    await configure(bench, sets=(DomainSet("python", ("pypi.org", "files.example")),))
    card = await make_card(bench, town)
    assert await card.press("james", "set", request_id="set:python") == ""
    assert [domain for domain, _, _ in grants(bench)] == ["pypi.org", "files.example"]
    await card.shows("`pypi.org`: @james chose Approve", "`files.example`: @james chose Approve")


async def test_nobody_can_read_the_buttons_secret_back(bench: Bench, town: Town, card: Card) -> None:
    for who in ("claude", "james"):
        _, shown = await town.call(who, "GET", f"/posts/{card.post_id}")
        assert "mac" not in str(shown)
    assert not any("mac" in row.payload for row in await bench.engine.rows())
    assert not any("mac" in row.payload for row in await bench.engine.commands())


# --- what an old server has room for ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [5, 11, 20])
@pytest.mark.parametrize("letters", [3, 60])
async def test_a_card_for_many_hosts_is_taken_and_can_be_decided(
    bench: Bench, town: Town, count: int, letters: int
) -> None:
    """Mattermost 5.37 takes 8000 characters of props and 16383 of text."""
    tail = ".".join("x" * letters for _ in range(3))
    asks = [
        Ask(f"many{n}", f"h{n}.{tail}.example", "why " * 40, "mixed_script", "p\u0443pi" * 10)
        for n in range(count)
    ]
    card = await make_card(bench, town, *asks)
    assert len(props_of(town, card)) < 8000
    assert len(card.text) < 16_383
    for ask in asks:
        assert f"🔒 **Network Request:** `{ask.domain}`" in card.text
    if len(card.buttons()) < 4 * count:
        assert "no room for all buttons" in card.text
        assert "`@claude approve HOST for this session`" in card.text
    assert await card.press("james", "deny") == ""
    assert card.states == ["denied"] + ["pending"] * (count - 1)
    await town.react("james", card.post_id)
    await quiet(bench)


async def test_a_button_that_has_room_stands_there_whatever_else_is_too_long(
    bench: Bench, town: Town
) -> None:
    names = tuple(f"{'x' * 60}.{'y' * 60}.{'z' * 60}.{n}.example" for n in range(20))
    sets = tuple(DomainSet(f"set{n}", ("pypi.org", *names)) for n in range(8))
    await configure(bench, sets=sets)
    card = await make_card(bench, town)
    assert card.buttons()[0]["id"] == "approve"
    assert "have none at all" in card.text or "has none at all" in card.text
    assert len(props_of(town, card)) < 8000


async def test_a_server_with_room_gets_all_buttons(
    bench: Bench, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newer ones take 800000 characters of props."""
    monkeypatch.setattr("sm.sandbox.mattermost.posts.MAX_PROPS_CHARACTERS", 800_000)
    card = await make_card(bench, town, *(f"h{n}.example" for n in range(20)))
    assert len(card.buttons()) == 80
    assert "no room" not in card.text
    assert await card.press("james", "hour", 19) == ""
    await card.shows("`h19.example`: @james chose 1 hour")
    assert len(card.buttons()) == 76


# --- once, whatever happens ---------------------------------------------------------------------------------------------


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


async def test_a_change_of_a_card_after_a_lost_reply_is_not_made_again(start_bench, town: Town) -> None:
    clock = ManualClock()
    bench = await start_bench(clock=clock)
    card = await make_card(bench, town)
    # A PUT on a connection that was used before is sent again by aiohttp itself, hence twice.
    town.arm("lost_reply", times=2, method="PUT", path=f"/api/v4/posts/{card.post_id}/patch")
    await card.press("james", "deny")
    await until(lambda: clock.sleepers)
    edited = town.ours()[0].edit_at
    await clock.pass_s(1)
    await until(lambda: bench.engine.recorded("card.updated"))
    assert town.ours()[0].edit_at == edited
    assert town.messages() == ["❌ `pypi.org` denied by @james"]


async def test_a_change_of_a_card_that_was_lost_is_made_again(start_bench, town: Town) -> None:
    clock = ManualClock()
    bench = await start_bench(clock=clock)
    card = await make_card(bench, town)
    town.arm("lost_request", times=2, method="PUT", path=f"/api/v4/posts/{card.post_id}/patch")
    await card.press("james", "deny")
    await until(lambda: clock.sleepers)
    assert card.text.startswith("🔒")
    await clock.pass_s(1)
    await until(lambda: bench.engine.recorded("card.updated"))
    assert card.text == "❌ `pypi.org` denied by @james"


async def test_a_kill_before_a_change_was_reported_leaves_the_card_as_it_is_to_be(
    start_bench, town: Town, path
) -> None:
    bench = await start_bench(path, clock=ManualClock())
    card = await make_card(bench, town)
    town.arm("lost_request", times=None, method="PUT", path=f"/api/v4/posts/{card.post_id}/patch")
    await card.press("james", "deny")
    await until(lambda: bench.engine.clock.sleepers)
    await bench.engine.crash()
    town.faults.clear("mattermost", "lost_request")
    again = await start_bench(path)
    await until(lambda: again.engine.recorded("card.updated"))
    assert town.messages() == ["❌ `pypi.org` denied by @james"]
    assert card.buttons() == []


# --- the state that it is in --------------------------------------------------------------------------------------------


async def test_a_decided_card_says_who_decided_and_has_no_buttons(
    bench: Bench, town: Town, card: Card
) -> None:
    await card.press("sarah", "deny")
    await until(lambda: bench.engine.recorded("card.updated"))
    assert card.text == "❌ `pypi.org` denied by @sarah"
    assert card.buttons() == []
    assert await town.press("james", card.post_id) == 404


async def test_a_card_goes_from_applying_to_approved_when_the_firewall_shows_it(
    bench: Bench, town: Town, card: Card
) -> None:
    await card.press("james")
    await card.shows("⏳ **Network Request:** `pypi.org`: @james chose Approve, changing the firewall...")
    assert card.buttons() == []
    bench.firewall.answers.set()
    await until(lambda: card.text == APPROVED)


async def test_a_failed_card_offers_a_retry_that_works(bench: Bench, card: Card) -> None:
    bench.firewall.refuses = "alias_disabled"
    bench.firewall.answers.set()
    await card.press("james")
    await card.shows("⚠️ `pypi.org` was approved by @james", "Enable it")
    assert [button["name"] for button in card.buttons()] == ["🔁 Retry", "❌ Deny"]
    bench.firewall.refuses = ""
    assert await card.press("sarah", "retry") == ""
    await until(lambda: card.text == APPROVED)


async def test_what_is_denied_after_it_failed_has_no_buttons_left(bench: Bench, card: Card) -> None:
    bench.firewall.refuses = "alias_disabled"
    bench.firewall.answers.set()
    await card.press("james")
    await card.shows("⚠️")
    assert await card.press("sarah", "deny") == ""
    await card.shows("❌ `pypi.org` denied by @sarah")
    assert card.buttons() == []


async def test_a_row_that_is_decided_loses_its_buttons_and_the_others_keep_theirs(
    bench: Bench, town: Town
) -> None:
    card = await make_card(bench, town, "pypi.org", "example.org")
    await card.press("james", "deny")
    await card.shows("❌ `pypi.org` denied by @james", "🔒 **Network Request:** `example.org`")
    assert {button["integration"]["context"]["request_id"] for button in card.buttons()} == {card.requests[1]}
    assert await card.press("sarah", "approve", 1) == ""


async def test_a_button_that_somebody_still_sees_never_stands_for_another_choice(
    bench: Bench, town: Town
) -> None:
    """Mattermost looks a pressed button's id up in the post as it is by then, whatever the presser's screen shows."""

    def meant() -> dict[str, tuple[str, str]]:
        contexts = {button["id"]: button["integration"]["context"] for button in card.buttons()}
        return {name: (one["request_id"], one["action"]) for name, one in contexts.items()}

    sets = (DomainSet("a-b", ("pypi.org", "a.example")), DomainSet("ab", ("example.org", "b.example")))
    await configure(bench, sets=sets)
    card = await make_card(bench, town, "pypi.org", "example.org", "cafe.de")
    before = meant()
    await card.press("james", "deny")
    await card.shows("❌ `pypi.org` denied by @james")
    await card.press("james", "deny", 1)
    await card.shows("❌ `example.org` denied by @james")
    after = meant()
    assert len(after) < len(before)
    assert after == {name: before[name] for name in after}


# --- the copy -----------------------------------------------------------------------------------------------------------


async def test_a_copy_shows_the_same_with_buttons_for_its_own_channel(bench: Bench, town: Town) -> None:
    room = await town.make_channel("approvals", "sarah")
    await configure(bench, approval_channel=room)
    card = await make_card(bench, town)
    assert card.copy_text == card.text
    [mine, theirs] = [
        {b["integration"]["context"]["mac"] for b in card.buttons(post)}
        for post in (card.post_id, card.copy_post)
    ]
    assert len(mine) == len(theirs) == 4
    assert not mine & theirs
    assert await card.press("sarah", "deny", post_id=card.copy_post) == ""
    await card.shows("❌ `pypi.org` denied by @sarah")
    await card.shows("❌ `pypi.org` denied by @sarah", copy=True)
    reports = await until(
        lambda: bench.engine.recorded("card.updated")[1:] and bench.engine.recorded("card.updated")
    )
    assert sorted(report.event.copy for report in reports) == [False, True]


async def test_a_copy_that_cannot_be_posted_takes_nothing_from_the_card(bench: Bench, town: Town) -> None:
    await configure(bench, approval_channel="z" * 26)
    await bench.engine.ask("pypi.org", channel=town.channel)
    [failed] = await until(lambda: bench.engine.recorded("card.failed"))
    assert failed.event.copy
    [posted] = await until(lambda: bench.engine.recorded("card.posted"))
    assert not posted.event.copy
    card = Card(bench, town, posted.event.card_id)
    assert await card.press("james") == ""
    assert card.state == "applying"


# --- what cannot be shown -----------------------------------------------------------------------------------------------


async def test_a_card_that_was_deleted_is_an_event_and_no_crash(bench: Bench, town: Town, card: Card) -> None:
    bench.engine.dispatcher, dispatcher = None, bench.engine.dispatcher
    await card.press("james", "deny")
    bench.engine.dispatcher = dispatcher
    await town.call("claude", "DELETE", f"/posts/{card.post_id}")
    assert dispatcher is not None
    dispatcher.take(bench.engine.issued("card.update"))
    [failed] = await until(lambda: bench.engine.recorded("card.failed"))
    assert failed.event.code in {"not_found", "forbidden"}
    assert not bench.engine.fatal
    assert card.state == "denied"


async def test_a_card_that_was_deleted_during_doubt_is_an_event_and_no_crash(start_bench, town: Town) -> None:
    clock = ManualClock()
    bench = await start_bench(clock=clock)
    card = await make_card(bench, town)
    town.arm("lost_request", times=None, method="PUT", path="/api/v4/posts/*")
    await card.press("james", "deny")
    await until(lambda: clock.sleepers)
    await town.call("claude", "DELETE", f"/posts/{card.post_id}")
    await clock.pass_s(1)
    await until(lambda: bench.engine.recorded("card.failed"))
    assert not bench.engine.fatal


async def test_a_card_that_cannot_be_posted_is_told_to_the_agent(bench: Bench) -> None:
    stream = await ready_session(bench.engine, channel="z" * 26)
    await bench.engine.ask("pypi.org", channel="z" * 26, session=streams.id_of(stream))
    await until(lambda: bench.engine.recorded("card.failed"))
    [denied] = await until(lambda: bench.engine.recorded("network.denied"))
    assert denied.stream == stream


async def test_a_card_comes_behind_the_words_that_ask_for_it(bench: Bench, town: Town) -> None:
    stream = await ready_session(bench.engine, channel=town.channel)
    town.arm("server_error", method="POST", path="/api/v4/posts", after=1)
    await agent_says(bench.engine, stream, "before\n[NETWORK_REQUEST: pypi.org]")
    await until(lambda: data(bench).cards and len(town.ours()) == 5)
    assert [text.splitlines()[0] for text in town.messages()[3:]] == [
        "before",
        "🔒 **Network Request:** `pypi.org`",
    ]
