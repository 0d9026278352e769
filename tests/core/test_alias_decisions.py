"""Decisions on a card: one wins whatever the presses, Approved only when the firewall showed it, and who may decide."""

from __future__ import annotations

from typing import Any

import pytest

from sm.core import events as e
from sm.core import streams
from sm.core.alias import AliasData, Card, may_not_decide, stands_here
from sm.core.commands import ApplyAlias, SayPrivately, SetTimer, TryDomain, UpdateCard, WriteAlias

from .playbook import ALIAS, CHANNEL, NOON_MS, OTHER, PYTHON, World

D, F = "pypi.org", "files.example"


@pytest.fixture
def world() -> World:
    """A ready session that asked for one domain; the card is in the channel."""
    return World().ready().asked(D)


def second(world: World) -> World:
    """Another session, ready in another channel; `>>` means it from here on."""
    world.channel, world.session = "ch2", OTHER
    return world.start("acme/other").prepared().started().initialized()


def told(world: World) -> list[str]:
    """What the last event told sessions."""
    return [r.event.KIND for r in world.recorded if r.stream.startswith("session:")]


def privately(world: World) -> list[tuple[str, str, dict[str, str]]]:
    """Whom the last event has told something alone."""
    said = [command for command in world.commands if isinstance(command, SayPrivately)]
    return [(command.user_id, command.message, dict(command.facts)) for command in said]


# --- one decision ---------------------------------------------------------------------------------------------------------


def test_a_request_is_pending_until_a_person_decides(world: World):
    assert world.request(D).state == "pending"
    assert world.card(D).post_id
    assert world.all(WriteAlias) == []


def test_an_approval_is_written_then_applied_then_tried_then_told(world: World):
    assert world.press(D).kinds == ["alias.write", "card.update"]
    assert (world.request(D).state, world.shown, told(world)) == ("applying", [("applying",)], [])
    assert world.written().kinds == ["alias.apply"]
    assert (world.request(D).state, told(world)) == ("applying", [])
    assert world.applied().kinds == ["network.try", "card.update"]
    assert (world.request(D).state, world.shown, told(world)) == ("approved", [("approved",)], [])
    assert world.tried(D).kinds == ["card.update", "agent.append"]
    assert told(world) == ["network.approved"]
    assert world.appended == [f"[NETWORK_APPROVED: {D}]"]


@pytest.mark.parametrize("state", ["unreachable", "unknown"])
def test_what_is_open_and_was_not_reached_is_told_and_shown_so(world: World, state: str):
    world.press(D).written().applied().tried(D, state)
    assert world.appended == [f"[NETWORK_APPROVED: {D} — not reachable yet, try again in a minute]"]
    assert world.views[0].rows[0].reach == state


@pytest.mark.parametrize("resolved", ["seen", "unknown"])
def test_what_the_table_shows_or_cannot_show_is_an_approval(world: World, resolved: str):
    world.press(D).written().applied(resolved)
    assert world.request(D).state == "approved"
    assert world.views[0].rows[0].detail == ("unknown" if resolved == "unknown" else "")


def test_what_the_table_does_not_show_is_a_failure(world: World):
    world.press(D).written().applied("unseen")
    assert (world.request(D).state, world.views[0].rows[0].detail) == ("failed", "unseen")
    assert told(world) == ["network.failed"]
    assert (world.appended, world.all(TryDomain)) == ([], [])


def test_card_and_record_say_who_decided_and_how(world: World):
    world.press(D, user="sarah")
    request, row, grant = world.request(D), world.views[0].rows[0], world.grant(D)
    assert (request.user_id, request.user_name, request.via) == ("u-sarah", "sarah", "button")
    assert (row.user_name, row.via) == ("sarah", "button")
    assert (grant.user_id, grant.user_name, grant.via, grant.at_ms) == ("u-sarah", "sarah", "button", NOON_MS)


def test_a_denial_changes_nothing_at_the_firewall(world: World):
    world.press(D, "deny", user="sarah")
    assert world.kinds == ["card.update", "agent.append"]
    assert (world.request(D).state, world.views[0].rows[0].user_name) == ("denied", "sarah")
    assert world.appended == [f"[NETWORK_DENIED: {D}]"]
    assert world.alias.grants == {}


def test_twenty_presses_are_one_decision(world: World):
    for _ in range(20):
        world.press(D)
    assert len(world.all(WriteAlias)) == 1
    world.written()
    for _ in range(20):
        world.press(D)
    world.applied()
    for _ in range(20):
        world.press(D)
    world.tried(D)
    assert (len(world.all(WriteAlias)), len(world.all(ApplyAlias)), len(world.all(TryDomain))) == (1, 1, 1)
    assert len(world.alias.grants) == 1
    assert [r.event.KIND for r in world.history].count("network.approved") == 1


@pytest.mark.parametrize(("first", "second"), [("approve", "deny"), ("deny", "approve"), ("session", "hour")])
def test_of_two_presses_the_first_counts(world: World, first: e.Action, second: e.Action):
    world.press(D, first, user="james")
    request, grants = world.request(D), world.alias.grants
    assert world.press(D, second, user="sarah").commands == []
    assert (world.request(D), world.alias.grants) == (request, grants)


def test_a_deny_after_the_approval_is_through_takes_nothing_back(world: World):
    world.press(D).opened(D)
    assert world.press(D, "deny").commands == []
    assert world.grant(D).live


@pytest.mark.parametrize(
    "other",
    [
        {"card_id": "c999"},
        {"channel_id": "ch2"},
        {"post_id": "another"},
        {"request_id": "r999x0"},
        {"action": "revoke"},
        {"action": "set", "request_id": "set:of tomorrow"},
    ],
    ids=" ".join,
)
def test_a_press_that_names_something_else_changes_nothing(world: World, other: dict[str, Any]):
    before = world.alias
    assert world.press(D, **other).commands == []
    assert world.alias == before


def test_a_press_before_the_card_is_confirmed_counts_and_the_card_is_updated_after():
    world = World().ready().says(f"[NETWORK_REQUEST: {D}]").resolved()
    assert world.press(D).kinds == ["alias.write"]
    assert world.card_posted(D).shown == [("applying",)]


# --- how long -------------------------------------------------------------------------------------------------------------


def test_approve_stays_until_it_is_revoked(world: World):
    world.press(D)
    grant = world.grant(D)
    assert (grant.scope, grant.session_id, grant.until_ms) == ("", "", 0)
    assert world.all(SetTimer)[-1].name.startswith("expire:")


def test_one_hour_ends_by_its_timer_and_the_card_says_when(world: World):
    world.press(D, "hour")
    grant, row = world.grant(D), world.views[0].rows[0]
    assert (grant.scope, grant.until_ms) == ("hour", NOON_MS + 3_600_000)
    assert (row.scope, row.until_ms) == ("hour", NOON_MS + 3_600_000)
    assert world.last(SetTimer) == SetTimer("", f"grant:{grant.grant_id}", 0, NOON_MS + 3_600_000)


def test_this_session_is_that_sessions_and_ends_with_it(world: World):
    world.press(D, "session")
    grant = world.grant(D)
    assert (grant.scope, grant.session_id, grant.until_ms) == ("session", world.session, 0)
    assert world.views[0].rows[0].scope == "session"


@pytest.mark.parametrize(
    ("action", "others"),
    [("approve", "applying"), ("hour", "applying"), ("session", "pending"), ("deny", "pending")],
)
def test_approve_and_one_hour_settle_every_card_for_the_domain(world: World, action: e.Action, others: str):
    second(world).asked(D)
    world.press(D, action)
    assert world.request(D).state == ("denied" if action == "deny" else "applying")
    assert world.alias.asked(D)[0].state == others


def test_all_who_waited_hear_when_it_is_open(world: World):
    second(world).asked(D)
    world.press(D).written().applied().tried(D)
    assert told(world) == ["network.approved"] * 2
    assert {r.stream for r in world.recorded if r.event.KIND == "network.approved"} == {
        streams.session(r.session_id) for r in world.alias.asked(D)
    }


def test_a_card_names_nobody_of_another_channel_but_its_copy_does(world: World):
    world.configured(approval_channel="approvals")
    second(world).asked(D)
    world.card_posted(D, copy=True).press(D, user="sarah")
    rows = {(k.channel_id, k.copy): k.view.rows[0].user_name for k in world.all(UpdateCard)[-3:]}
    assert rows == {(CHANNEL, False): "", ("ch2", False): "sarah", ("approvals", True): "sarah"}


# --- several domains, sets ------------------------------------------------------------------------------------------------


def test_each_domain_of_a_card_is_a_choice_of_its_own():
    world = World().ready().asked(D, F)
    world.press(D)
    assert world.shown == [("applying", "pending")]
    world.press(F, "deny")
    assert world.shown == [("applying", "denied")]
    assert world.opened(D).shown[-1] == ("approved", "denied")


def test_a_reaction_decides_all_that_is_pending_on_the_card():
    world = World().ready().asked(D, F, "a.example")
    world.press(F, "deny").react(D)
    assert world.shown == [("applying", "denied", "applying")]
    assert {grant.via for grant in world.alias.grants.values()} == {"reaction"}
    assert world.last(WriteAlias).add == ("a.example", D)


def test_a_set_opens_what_was_asked_for_and_the_rest_and_the_card_shows_it():
    world = World().ready().configured(sets=(PYTHON,)).asked(F, D)
    world.press(D, "set", request_id="set:python")
    assert world.last(WriteAlias).add == PYTHON.domains[::-1]
    assert world.shown == [("pending", "applying", "applying")]
    assert [row.domain for row in world.views[0].rows] == [F, *PYTHON.domains]
    world.opened(*PYTHON.domains)
    assert [r.domain for r in world.alias.requests.values() if r.state == "approved"] == list(PYTHON.domains)


def test_a_set_of_which_nothing_can_be_decided_any_more_is_told_to_whoever_waits_for_an_answer():
    world = World().ready().configured(sets=(PYTHON,)).asked(D).press(D, "deny", user="sarah")
    world.press(D, "set", request_id="set:python")
    assert world.commands == []
    world.press(D, "set", request_id="set:python", privately=True)
    assert privately(world) == [("u-james", "too_late", {"domain": D, "state": "denied", "user": "sarah"})]
    assert world.alias.grants == {}


# --- too late -------------------------------------------------------------------------------------------------------------


def test_who_presses_too_late_has_the_answer_in_the_callback_and_only_else_alone(world: World):
    world.press(D, "deny", user="sarah")
    assert privately(world.press(D)) == []
    assert privately(world.press(D, privately=True)) == [
        ("u-james", "too_late", {"domain": D, "state": "denied", "user": "sarah"})
    ]


def test_who_reacts_too_late_is_told_alone(world: World):
    world.press(D, user="sarah")
    assert privately(world.react(D, "deny")) == [
        ("u-james", "too_late", {"domain": D, "state": "applying", "user": "sarah"})
    ]


@pytest.mark.parametrize(("action", "opened"), [("approve", False), ("approve", True), ("deny", False)])
def test_who_reacts_twice_the_same_is_told_nothing(world: World, action: e.Action, opened: bool):
    world.react(D, action)
    if opened:
        world.opened(D)
    assert world.react(D, action).commands == []


def test_who_was_too_late_for_a_decision_of_another_channel_hears_no_name(world: World):
    second(world).asked(D)
    world.press(D, user="sarah")
    world.session, world.channel = world.alias.asked(D)[0].session_id, CHANNEL
    assert privately(world.react(D, "deny"))[0][2]["user"] == ""


# --- who may --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "user", "code"),
    [
        ({}, "james", ""),
        ({}, "sarah", ""),
        ({"approvers": ("sarah",)}, "sarah", ""),
        ({"approvers": ("u-sarah",)}, "sarah", ""),
        ({"approvers": ("sarah",)}, "james", "not_approver"),
        ({"approve_own": False}, "sarah", ""),
        ({"approve_own": False}, "james", "own"),
        ({"approve_own": False, "approvers": ("james",)}, "james", "own"),
    ],
)
def test_who_may_decide_about_a_session_that_james_started(policy: dict[str, Any], user: str, code: str):
    found = may_not_decide(e.Policy(**policy), user_id=f"u-{user}", user_name=user, starter_id="u-james")
    assert found == code


@pytest.mark.parametrize("policy", [{"approvers": ("sarah", "u-max")}, {"approve_own": False}])
@pytest.mark.parametrize("via", ["button", "reaction"])
def test_who_may_not_changes_nothing_and_is_answered_alone(world: World, policy: dict[str, Any], via: str):
    world.configured(**policy)
    before = world.alias
    (world.press if via == "button" else world.react)(D)
    code = "own" if "approve_own" in policy else "not_approver"
    who = "" if "approve_own" in policy else "sarah u-max"
    answer = ("u-james", "may_not_decide", {"code": code, "who": who})
    assert privately(world) == ([] if via == "button" else [answer])
    assert world.alias == before
    world.press(D, privately=True)
    assert privately(world) == [answer]


def test_who_is_no_member_of_the_channel_decides_nothing(world: World):
    world.press(D, is_member=False, privately=True)
    assert privately(world)[0][2]["code"] == "not_member"
    assert world.request(D).state == "pending"


def test_where_buttons_are_too_weak_they_only_ask_for_the_reaction_that_decides(world: World):
    world.configured(strong=True)
    assert world.press(D).commands == []
    assert privately(world.press(D, privately=True)) == [("u-james", "use_strong", {"who": ""})]
    assert world.request(D).state == "pending"
    assert world.react(D).request(D).state == "applying"


def test_on_the_copy_the_same_can_be_decided(world: World):
    world = World().ready().configured(approval_channel="approvals").asked(D)
    world.card_posted(D, copy=True)
    copy = world.card(D).copy_post
    assert world.press(D, channel_id="approvals", post_id="another").request(D).state == "pending"
    world.press(D, channel_id="approvals", post_id=copy, user="sarah")
    assert world.request(D).state == "applying"
    assert [(k.copy, k.view.rows[0].user_name) for k in world.all(UpdateCard)] == [
        (False, "sarah"),
        (True, "sarah"),
    ]


@pytest.mark.parametrize(
    ("channel", "post", "stands"),
    [
        ("ch1", "p", True),
        ("ch1", "another", False),
        ("ch1", "copy", False),
        ("approvals", "copy", True),
        ("approvals", "p", False),
        ("ch2", "p", False),
        ("", "", False),
    ],
)
def test_a_card_stands_in_its_channel_and_its_copy_in_the_other(channel: str, post: str, stands: bool):
    card = Card(
        "c1", "s", "ch1", "", "", "", "", "", (), post_id="p", copy_channel="approvals", copy_post="copy"
    )
    assert stands_here(card, channel, post, "approvals") is stands
    assert not (stands and channel == "approvals" and stands_here(card, channel, post, "another"))


def test_a_post_is_known_as_its_cards_or_its_copys():
    card = Card("c1", "s", "ch1", "", "", "", "", "", (), post_id="p", copy_post="copy")
    data = AliasData().with_card(card)
    assert (data.card_of_post("p"), data.card_of_post("copy")) == (card, card)
    assert (data.card_of_post(""), data.card_of_post("another")) == (None, None)


# --- what fails -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["write", "apply"])
def test_a_refusal_of_opnsense_fails_the_request_and_says_why(world: World, step: str):
    world.press(D)
    if step == "apply":
        world.written()
    world.alias_failed(step, "forbidden")
    assert (world.request(D).state, world.views[0].rows[0].detail) == ("failed", "forbidden")
    failed = world.recorded[-1].event
    assert isinstance(failed, e.NetworkFailed)
    assert (failed.code, failed.detail, failed.user_name) == ("forbidden", "no", "james")
    assert world.appended == []


@pytest.mark.parametrize("action", ["approve", "hour"])
def test_of_a_failed_request_it_may_be_decided_anew_for_how_long(world: World, action: e.Action):
    world.press(D, "session", user="james").alias_failed()
    before = world.grant(D)
    world.press(D, action, user="sarah")
    assert "alias.write" in world.kinds
    assert world.appended == []
    (grant,) = world.alias.live(D)
    assert grant != before
    assert (grant.scope, grant.user_name) == ("" if action == "approve" else action, "sarah")
    assert (world.request(D).state, world.request(D).grant_id) == ("applying", grant.grant_id)
    assert world.opened(D).appended == [f"[NETWORK_APPROVED: {D}]"]


@pytest.mark.parametrize("action", ["retry", "session"])
def test_a_failed_request_is_tried_again_under_the_same_decision(world: World, action: e.Action):
    world.press(D, "session", user="james").alias_failed()
    grant = world.grant(D)
    world.press(D, action, user="sarah")
    assert world.kinds == ["alias.write", "card.update"]
    assert (world.request(D).state, world.request(D).user_name) == ("applying", "james")
    assert world.grant(D) == grant
    assert world.opened(D).appended == [f"[NETWORK_APPROVED: {D}]"]


def test_what_was_saved_and_not_seen_is_applied_once_more_by_a_retry(world: World):
    world.press(D).written().applied("unseen")
    assert world.press(D, "retry").kinds == ["alias.apply", "card.update"]
    assert world.applied().request(D).state == "approved"
    assert len(world.all(WriteAlias)) == 1


def test_a_failed_request_can_be_denied_and_its_grant_ends(world: World):
    world.press(D).written().applied("unseen")
    assert world.press(D, "deny", user="sarah").kinds == ["alias.write", "card.update", "agent.append"]
    assert (world.request(D).state, world.alias.grants) == ("denied", {})
    assert world.last(WriteAlias).remove == (D,)
    assert world.written().applied().alias.entries == {}


def test_a_deny_of_what_only_joined_a_grant_leaves_the_grant(world: World):
    world.press(D)
    second(world).says(f"[NETWORK_REQUEST: {D}]").resolved()
    world.card_posted(D).alias_failed()
    world.press(D, "deny")
    assert [r.state for r in world.alias.asked(D)] == ["failed", "denied"]
    assert world.grant(D).live


# --- quarantined ----------------------------------------------------------------------------------------------------------


def test_a_quarantined_alias_decides_nothing(world: World):
    world.record(streams.alias(ALIAS), e.StreamQuarantined("why", 1))
    before = world.alias
    assert world.press(D).commands == []
    assert privately(world.react(D)) == [("u-james", "approvals_closed", {})]
    assert world.alias == before
    assert world.all(WriteAlias) == []
