"""Several decide about one card: what each is about, whom it was too late for, and what they hear of it."""

from __future__ import annotations

from typing import Any

import pytest

from sm.core import events as e
from sm.core.alias import Request, about, lost_to, told_of
from sm.core.commands import SayPrivately

from .playbook import CHANNEL, OTHER, PYTHON, World

D, F, G = "pypi.org", "files.example", PYTHON.domains[1]


@pytest.fixture
def world() -> World:
    """A session asked for two hosts, one of a set; the card has a copy in the approvals' channel."""
    world = World().ready().configured(approval_channel="approvals", sets=(PYTHON,))
    return world.asked(D, F).card_posted(D, copy=True)


def decision(world: World, action: Any = "approve", **other: Any) -> e.NetworkDecided:
    named = {"card_id": world.card(D).card_id, "user_id": "u-james", "user_name": "james", **other}
    return e.NetworkDecided(action, CHANNEL, via="button", **named)


def privately(world: World) -> list[tuple[str, dict[str, str]]]:
    said = [command for command in world.commands if isinstance(command, SayPrivately)]
    return [(command.message, dict(command.facts)) for command in said]


# --- what it is about -----------------------------------------------------------------------------------------------------


def test_a_button_is_about_its_row_and_a_reaction_about_the_card(world: World):
    row = world.request(D).request_id
    assert [r.domain for r in about(world.alias, decision(world, request_id=row))] == [D]
    assert [r.domain for r in about(world.alias, decision(world))] == [D, F]
    assert about(world.alias, decision(world, request_id="r999x0")) == []


def test_a_set_is_about_what_was_asked_for_of_it(world: World):
    assert [r.domain for r in about(world.alias, decision(world, "set", request_id="set:python"))] == [D]
    assert about(world.alias, decision(world, "set", request_id="set:npm")) == []


@pytest.mark.parametrize("action", ["revoke", "of tomorrow"])
def test_what_no_card_offers_is_about_nothing(world: World, action: str):
    assert about(world.alias, decision(world, action)) == []


# --- who was first --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "user", "lost"),
    [
        ("approve", "approve", "james", False),
        ("approve", "retry", "james", False),
        ("approve", "hour", "james", True),
        ("approve", "deny", "james", True),
        ("approve", "approve", "sarah", True),
        ("session", "session", "james", False),
        ("session", "approve", "james", True),
        ("deny", "deny", "james", False),
        ("deny", "approve", "james", True),
        ("deny", "deny", "sarah", True),
    ],
)
def test_only_who_chose_the_same_before_lost_to_nobody(
    world: World, first: e.Action, second: str, user: str, lost: bool
):
    world.press(D, first, user="james")
    event = decision(world, second, user_id=f"u-{user}", user_name=user)
    found = lost_to(world.alias, event, [world.request(D)])
    assert (found is not None) is lost


def test_what_was_taken_back_is_not_what_was_chosen(world: World):
    world.press(D).opened(D).post(f"@claude revoke {D}")
    assert lost_to(world.alias, decision(world), [world.request(D)]) == world.request(D)


def test_of_several_the_last_that_is_not_as_wanted_is_named(world: World):
    world.press(D, user="sarah").press(F, user="max")
    requests = [world.request(D), world.request(F)]
    assert lost_to(world.alias, decision(world), requests) == world.request(F)
    assert lost_to(world.alias, decision(world), []) is None


# --- what they hear -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decided_in", "heard_in", "named"),
    [
        (CHANNEL, CHANNEL, True),
        (CHANNEL, "approvals", True),
        (CHANNEL, "ch2", False),
        ("approvals", CHANNEL, True),
        ("approvals", "ch2", False),
        ("ch2", CHANNEL, False),
    ],
)
def test_who_decided_is_named_where_the_cards_say_it(
    world: World, decided_in: str, heard_in: str, named: bool
):
    request = Request(
        "r1", world.card(D).card_id, "s", CHANNEL, D, state="denied", user_name="sarah", decided_in=decided_in
    )
    heard = {"domain": D, "state": "denied", "user": "sarah" if named else ""}
    assert told_of(world.alias, request, heard_in) == heard


def test_a_request_without_a_card_is_named_where_it_was_decided(world: World):
    request = Request("r1", "", "s", CHANNEL, D, state="approved", user_name="sarah", decided_in=CHANNEL)
    assert told_of(world.alias, request, CHANNEL)["user"] == "sarah"
    assert told_of(world.alias, request, "ch2")["user"] == ""


# --- by command -----------------------------------------------------------------------------------------------------------


def test_who_approves_what_another_is_just_opening_hears_alone_who_was_first(world: World):
    world.press(D, user="sarah").post(f"@claude approve {D}", user="james")
    assert world.said == []
    assert privately(world) == [("too_late", {"domain": D, "state": "applying", "user": "sarah"})]
    assert len(world.alias.grants) == 1


@pytest.mark.parametrize("words", [" 1h", " for this session"])
def test_who_chooses_another_time_for_what_is_being_opened_decides(world: World, words: str):
    world.press(D, user="sarah").post(f"@claude approve {D}{words}", user="james")
    assert privately(world) == []
    assert len(world.alias.grants) == 2


def test_who_denies_what_another_approved_hears_alone_who_was_first(world: World):
    world.press(D, user="sarah").post(f"@claude deny {D}", user="james")
    assert world.said == ["nothing_to_deny"]
    assert privately(world) == [("too_late", {"domain": D, "state": "applying", "user": "sarah"})]


def test_who_denies_what_they_denied_hears_only_that_there_is_nothing(world: World):
    world.press(D, "deny").post(f"@claude deny {D}", user="james")
    assert (world.said, privately(world)) == (["nothing_to_deny"], [])


def test_a_reason_of_another_person_is_shown_as_theirs(world: World):
    world.press(D, "deny", user="sarah").replay()
    world.post(f"@claude deny {D} use the mirror", user="james")
    assert world.request(D).detail == "use the mirror (@james)"
    assert world.appended == [f"[NETWORK_DENIED: {D} — use the mirror]"]


def test_a_set_is_spoken_of_as_one(world: World):
    world.post("@claude revoke python")
    assert [(k.message, dict(k.facts)) for k in world.commands] == [("not_granted", {"domain": "python"})]
    world.post("@claude deny python")
    assert (world.said, world.request(D).state) == ([], "denied")


# --- decided anew ---------------------------------------------------------------------------------------------------------


def joined(world: World) -> World:
    """What was approved for all failed, and another session had joined that."""
    world.press(D)
    world.channel, world.session = "ch2", OTHER
    world.start("acme/other").prepared().started().initialized().says(f"[NETWORK_REQUEST: {D}]").resolved()
    return world.card_posted(D).alias_failed()


def test_of_what_failed_an_hour_is_for_all_who_had_joined(world: World):
    joined(world)
    first = world.alias.asked(D)[0].session_id
    world.press(D, "hour", session=first, user="sarah")
    assert (world.grant(D).scope, world.grant(D).user_name) == ("hour", "sarah")
    assert {request.grant_id for request in world.alias.asked(D)} == {world.grant(D).grant_id}
    assert {request.state for request in world.opened(D).alias.asked(D)} == {"approved"}


def test_of_what_failed_this_session_leaves_out_who_had_joined(world: World):
    joined(world)
    first = world.alias.asked(D)[0].session_id
    world.press(D, "session", session=first)
    assert [request.state for request in world.alias.asked(D)] == ["applying", "closed"]
    assert world.grant(D).session_id == first


def test_who_only_joined_decides_for_itself_and_leaves_the_others(world: World):
    joined(world)
    world.press(D, "session")
    assert sorted(grant.scope for grant in world.alias.grants.values()) == ["", "session"]
