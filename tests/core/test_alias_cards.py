"""A card's life after it was made: confirmed or refused, shown as it is, reminded of, expired, forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from sm.core import events as e
from sm.core.commands import Say, SetTimer, UpdateCard

from .playbook import CHANNEL, NOON_MS, OTHER, SESSION, World, said

D, F = "pypi.org", "files.example"


@pytest.fixture
def world() -> World:
    """A ready session that asked for one domain; the card is in the channel."""
    return World().ready().asked(D)


def with_copy(*domains: str, posted: bool = True) -> World:
    """The same where the approvals' channel has a copy."""
    world = World().ready().configured(approval_channel="approvals").asked(*domains or (D,))
    return world.card_posted(D, copy=True) if posted else world


def updated(world: World) -> list[tuple[bool, tuple[str, ...]]]:
    """Which of card and copy the last event brings up to date, and to what."""
    made = [command for command in world.commands if isinstance(command, UpdateCard)]
    return [(command.copy, tuple(row.state for row in command.view.rows)) for command in made]


# --- in the channel -------------------------------------------------------------------------------------------------------


def test_a_card_that_is_confirmed_after_all_is_over_shows_the_end():
    world = World().ready().says(f"[NETWORK_REQUEST: {D}]").resolved()
    world.press(D).opened(D)
    assert world.all(UpdateCard) == []
    assert updated(world.card_posted(D)) == [(False, ("approved",))]


def test_a_card_that_is_confirmed_twice_is_not_updated_twice(world: World):
    world.press(D)
    assert world.card_posted(D).commands == []


def test_card_and_copy_show_the_same(world: World):
    world = with_copy()
    assert updated(world.press(D)) == [(False, ("applying",)), (True, ("applying",))]


def test_a_copy_that_comes_late_shows_the_end():
    world = with_copy(posted=False)
    assert updated(world.press(D, "deny")) == [(False, ("denied",))]
    assert updated(world.card_posted(D, copy=True)) == [(True, ("denied",))]


def test_a_copy_that_comes_after_its_session_is_over_shows_the_end():
    world = with_copy(posted=False)
    card = world.card(D)
    world.stopped()
    world >> e.CardPosted(card.card_id, "late", "approvals", copy=True)
    assert updated(world) == [(True, ("superseded",))]
    assert world.alias.cards == {}


def test_a_copy_that_mattermost_refuses_keeps_nothing_and_decides_nothing():
    world = with_copy(posted=False)
    card = world.card(D)
    assert (world >> e.CardFailed(card.card_id, "forbidden", "", copy=True)).commands == []
    assert world.press(D, channel_id="approvals", post_id="a post").request(D).state == "pending"
    assert world.stopped().alias.cards == {}


@pytest.mark.parametrize("refused", [False, True])
def test_a_card_that_mattermost_refuses_is_answered_to_the_agent(refused: bool):
    world = World().ready().says(f"[NETWORK_REQUEST: {D}]").resolved()
    if refused:
        world.configured()
    world >> e.CardFailed(world.card(D).card_id, "no_permission", "archived")
    assert world.appended == [
        f"[NETWORK_DENIED: {D} — nobody could be asked, Mattermost refuses the card (no_permission)]"
    ]
    assert (world.request(D).state, world.request(D).detail) == ("denied", "cardless")
    world.replay().says(f"[NETWORK_REQUEST: {D}]")
    assert "card.resolve" in world.kinds


def test_a_card_whose_copy_is_there_can_be_decided_on_that():
    world = (
        World().ready().configured(approval_channel="approvals").says(f"[NETWORK_REQUEST: {D}]").resolved()
    )
    world.card_posted(D, copy=True)
    card = world.card(D)
    assert (world >> e.CardFailed(card.card_id, "no_permission", "")).commands == []
    world.press(D, channel_id="approvals", post_id=card.copy_post)
    assert world.request(D).state == "applying"


def test_a_card_that_is_refused_together_with_its_copy_is_answered_to_the_agent():
    world = (
        World().ready().configured(approval_channel="approvals").says(f"[NETWORK_REQUEST: {D}]").resolved()
    )
    card = world.card(D).card_id
    assert (world >> e.CardFailed(card, "no_permission", "")).appended == []
    world >> e.CardFailed(card, "forbidden", "", copy=True)
    assert world.appended[0].endswith("Mattermost refuses the card (forbidden)]")
    assert world.stopped().alias.cards == {}


def test_a_change_of_a_card_that_mattermost_refuses_takes_no_decision_back(world: World):
    world.press(D)
    before = world.alias
    assert (world >> e.CardFailed(world.card(D).card_id, "gone", "")).commands == []
    assert world.alias == before


def test_what_is_said_of_no_card_changes_nothing(world: World):
    before = world.alias
    for event in (
        e.CardPosted("c999", "p", CHANNEL),
        e.CardFailed("c999", "gone", ""),
        e.CardUpdated(world.card(D).card_id),
    ):
        assert (world >> event).commands == []
    assert world.alias == before


# --- nobody answers -------------------------------------------------------------------------------------------------------


def test_a_reminder_and_an_end_are_set_when_the_card_is_posted(world: World):
    card = world.card(D).card_id
    assert world.all(SetTimer)[-2:] == [
        SetTimer("", f"remind:{card}", 0, NOON_MS + 3_600_000),
        SetTimer("", f"expire:{card}", 0, NOON_MS + 86_400_000),
    ]


def test_a_card_that_waits_is_said_once_where_it_stands_and_where_its_copy_does():
    world = with_copy(D, F).press(F, "deny")
    card = world.card(D)
    world.alias_timer(f"remind:{card.card_id}")
    facts = {"domains": D, "expires_ms": str(card.expires_ms)}
    assert world.commands == [
        said("card_waits", repository="", post=card.post_id, **facts),
        said("card_waits", channel="approvals", repository="", post=card.copy_post, **facts),
    ]


def test_without_a_copy_it_is_said_where_the_card_stands_alone(world: World):
    world.alias_timer(f"remind:{world.card(D).card_id}")
    assert [k.channel_id for k in world.commands if isinstance(k, Say)] == [CHANNEL]


def test_a_card_on_which_all_is_decided_reminds_of_nothing(world: World):
    world.press(D, "deny").alias_timer(f"remind:{world.card(D).card_id}")
    assert world.commands == []


def test_an_unanswered_card_ends_as_a_denial_that_nothing_remembers():
    world = World().ready().asked(D, F).press(F)
    world.alias_timer(f"expire:{world.card(D).card_id}")
    assert updated(world) == [(False, ("expired", "applying"))]
    assert world.appended == [f"[NETWORK_DENIED: {D} — nobody answered in time]"]
    assert "card.resolve" in world.replay().says(f"[NETWORK_REQUEST: {D}]").kinds


def test_a_press_after_the_end_is_too_late(world: World):
    world.alias_timer(f"expire:{world.card(D).card_id}")
    assert world.press(D).commands == []
    assert world.alias.grants == {}


@pytest.mark.parametrize("name", ["remind:c999", "expire:c999", "grant:g9x9", "of tomorrow", ""])
def test_a_timer_of_nothing_that_is_known_changes_nothing(world: World, name: str):
    before = world.alias
    assert world.alias_timer(name).commands == []
    assert world.alias == before


# --- the session's end ----------------------------------------------------------------------------------------------------


def test_with_its_session_a_pending_card_is_over(world: World):
    world.stopped()
    assert updated(world) == [(False, ("superseded",))]
    assert [k.message for k in world.commands if isinstance(k, Say)] == ["stopped", "left_behind"]
    assert world.alias.requests == {}


def test_a_card_that_was_not_posted_yet_is_not_posted_any_more():
    world = World().ready().says(f"[NETWORK_REQUEST: {D}]").stopped()
    assert world.alias.cards == {}
    assert world.resolved().commands == []


def test_a_card_that_was_not_posted_yet_and_is_approved_shows_what_comes_of_that():
    world = World().ready().post(f"@claude approve {D}").stopped()
    assert world.resolved().shown == [("applying",)]
    world >> e.CardPosted(world.alias.asked(D)[0].card_id, "late", CHANNEL)
    assert updated(world.alias_failed()) == [(False, ("failed",))]


def test_what_failed_is_over_with_its_session(world: World):
    world.press(D, "session").alias_failed().stopped()
    assert updated(world) == [(False, ("superseded",))]
    assert (world.alias.grants, world.alias.requests, world.alias.over) == ({}, {}, ())


def test_what_failed_and_is_allowed_for_all_stays_on_its_card_beyond_the_session(world: World):
    world.press(D).alias_failed().stopped()
    assert updated(world) == []
    world.observed().opened()
    assert [states for _, states in updated(world)] == [("approved",)]


def test_a_card_is_remembered_until_its_post_shows_the_end():
    world = World().ready().says(f"[NETWORK_REQUEST: {D}]").resolved()
    card = world.card(D).card_id
    world.stopped()
    assert list(world.alias.cards) == [card]
    world >> e.CardPosted(card, "late", CHANNEL)
    assert updated(world) == [(False, ("superseded",))]
    assert (world.alias.cards, world.alias.over) == ({}, ())


def test_what_is_still_open_is_remembered_beyond_its_session(world: World):
    world.press(D).opened(D).stopped()
    assert updated(world) == []
    assert (world.alias.requests != {}, world.alias.over) == (True, (SESSION,))
    world.post(f"@claude revoke {D}")
    assert updated(world) == [(False, ("closed",))]
    assert (world.alias.requests, world.alias.cards, world.alias.over) == ({}, {}, ())


def test_a_request_that_needed_no_card_is_forgotten_with_its_session(world: World):
    world.press(D).opened(D)
    world.channel, world.session = "ch2", OTHER
    world.start("acme/other").prepared().started().initialized().says(f"[NETWORK_REQUEST: {D}]")
    world.tried(D).stopped()
    assert [request.session_id for request in world.alias.asked(D)] == [SESSION, OTHER]
    world.post(f"@claude revoke {D}")
    assert [request.session_id for request in world.alias.asked(D)] == [SESSION]


def test_what_was_approved_unasked_and_taken_back_before_its_card_is_posted_has_none():
    world = World().post(f"@claude approve {D}").post(f"@claude revoke {D}")
    assert (world.alias.requests, world.alias.cards) == ({}, {})
    assert world.resolved().commands == []


def test_a_card_with_one_request_left_keeps_the_others_to_show_them():
    world = World().ready().asked(D, F).press(D).press(F, "deny")
    world.opened(D).stopped()
    assert sorted(r.domain for r in world.alias.requests.values()) == [F, D]
    assert updated(world.post(f"@claude revoke {D}")) == [(False, ("closed", "denied"))]
    assert world.alias.requests == {}


def test_nobody_tells_a_session_that_is_over(world: World):
    world.press(D).stopped()
    world.opened(D)
    assert not any(r.stream.startswith("session:") for r in world.recorded)


@pytest.mark.parametrize("scope", [{}, {"approval_channel": "approvals"}])
def test_no_card_is_forgotten_while_something_may_come_of_it(scope: dict[str, Any]):
    world = World().ready().configured(**scope).asked(D).press(D)
    assert world.request(D).state == "applying"
    assert world.stopped().alias.asked(D)[0].state == "applying"
