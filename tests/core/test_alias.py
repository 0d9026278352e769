"""Requests, decisions, grants: one decision whatever the presses, and Approved only when the firewall showed it."""

from __future__ import annotations

import pytest

from sm.core import events as e
from sm.core.alias import MAX_PENDING
from sm.core.commands import ApplyAlias, PostCard, SaveAlias, UpdateCard

from .playbook import ALIAS, CHANNEL, OTHER, SESSION, World

D = "pypi.org"


@pytest.fixture
def world() -> World:
    """A ready session that asked for one domain; the card is in the channel."""
    return World().ready().asked(D)


def second_session(world: World) -> World:
    """Another session, ready in another channel; `>>` means it from here on."""
    world.channel, world.session = "ch2", OTHER
    return world.start("acme/other").prepared().started().initialized()


def statuses(world: World) -> list[str]:
    return [command.status for command in world.commands if isinstance(command, UpdateCard)]


def told(world: World) -> list[str]:
    """What the last event told sessions."""
    return [kind for kind in world.events if kind.startswith("network.")]


def test_a_request_is_pending_until_a_person_decides(world: World):
    request = world.request(D)
    assert (request.state, request.card_id, request.post_id) == (
        "pending",
        request.card_id,
        f"post-of-{request.card_id}",
    )
    assert world.all(SaveAlias) == []


def test_an_approval_is_saved_then_applied_then_said(world: World):
    assert world.press(D).kinds == ["alias.save", "card.update"]
    assert (world.request(D).state, statuses(world), told(world)) == ("applying", ["applying"], [])
    assert world.saved(D).kinds == ["alias.apply"]
    assert (world.request(D).state, told(world)) == ("applying", [])
    world.applied(D)
    assert (world.request(D).state, statuses(world), told(world)) == (
        "approved",
        ["approved"],
        ["network.approved"],
    )


def test_the_card_and_the_record_say_who_decided_and_how(world: World):
    world.press(D, user="sarah")
    request = world.request(D)
    assert (request.user_id, request.user_name, request.via) == ("u-sarah", "sarah", "button")
    assert world.last(UpdateCard).user_name == "sarah"
    assert world.alias.grants[D].user_name == "sarah"


def test_a_denial_changes_nothing_at_the_firewall(world: World):
    world.press(D, "deny", user="sarah")
    assert world.kinds == ["card.update", "agent.append"]
    assert (world.request(D).state, statuses(world)) == ("denied", ["denied"])
    assert world.appended == [f"[NETWORK_DENIED: {D}]"]
    assert world.alias.grants == {}


def test_twenty_presses_are_one_decision(world: World):
    for _ in range(20):
        world.press(D)
    assert len(world.all(SaveAlias)) == 1
    world.saved(D)
    for _ in range(20):
        world.press(D)
    world.applied(D)
    for _ in range(20):
        world.press(D)
    assert (len(world.all(SaveAlias)), len(world.all(ApplyAlias))) == (1, 1)
    assert [r.event.KIND for r in world.history].count("network.approved") == 1


@pytest.mark.parametrize(("first", "second"), [("approve", "deny"), ("deny", "approve")])
def test_of_approve_beside_deny_the_first_counts(world: World, first: str, second: str):
    world.press(D, first, user="james")
    state = world.request(D)
    assert world.press(D, second, user="sarah").commands == []
    assert world.request(D) == state
    assert state.user_name == "james"


def test_a_deny_after_the_approval_is_through_takes_nothing_back(world: World):
    world.press(D).saved(D).applied(D)
    assert world.press(D, "deny").commands == []
    assert world.alias.grants[D].confirmed


@pytest.mark.parametrize(
    "other",
    [{"card_id": "c999"}, {"channel_id": "ch2"}, {"request_id": "r999x0"}, {"action": "explode"}],
    ids=lambda other: next(iter(other)),
)
def test_a_press_that_names_another_card_channel_request_or_action_is_ignored(
    world: World, other: dict[str, str]
):
    before = world.alias
    assert world.press(D, **other).commands == []
    assert world.alias == before


def test_an_address_that_does_not_show_is_a_failure(world: World):
    world.press(D).saved(D).applied(D, "unseen")
    assert (world.request(D).state, statuses(world), told(world)) == (
        "failed",
        ["failed"],
        ["network.failed"],
    )
    assert not world.alias.grants[D].confirmed
    assert world.appended == []


@pytest.mark.parametrize("resolved", ["seen", "unknown"])
def test_what_was_seen_or_cannot_be_known_is_an_approval(world: World, resolved: str):
    world.press(D).saved(D).applied(D, resolved)
    assert world.request(D).state == "approved"
    assert world.last(UpdateCard).detail == resolved


@pytest.mark.parametrize("step", ["save", "apply"])
def test_a_refusal_of_opnsense_fails_the_request_and_says_why(world: World, step: str):
    world.press(D)
    if step == "apply":
        world.saved(D)
    world.alias_failed(D, step, "forbidden")
    assert (world.request(D).state, world.last(UpdateCard).detail) == ("failed", "forbidden")
    failed = world.recorded[-1].event
    assert isinstance(failed, e.NetworkFailed)
    assert (failed.code, failed.detail, failed.user_name) == ("forbidden", "no", "james")


def test_a_failure_is_not_told_to_the_agent_which_waits_for_the_next_decision(world: World):
    world.press(D)
    assert world.alias_failed(D).appended == []


def test_a_failed_request_is_tried_again_by_a_press(world: World):
    world.press(D, user="james").saved(D).applied(D, "unseen")
    world.press(D, user="sarah")
    assert world.kinds == ["alias.save", "card.update"]
    assert (world.request(D).state, world.request(D).user_name) == ("applying", "sarah")
    assert world.last(UpdateCard).detail == ""
    world.saved(D, changed=False)
    assert world.kinds == ["alias.apply"]
    assert world.applied(D).appended == [f"[NETWORK_APPROVED: {D}]"]


def test_a_failed_request_cannot_be_denied(world: World):
    world.press(D)
    world.alias_failed(D)
    assert world.press(D, "deny").commands == []
    assert world.request(D).state == "failed"


def test_an_alias_that_holds_the_domain_already_is_applied_all_the_same(world: World):
    world.press(D)
    assert world.saved(D, changed=False).kinds == ["alias.apply"]


def test_a_press_before_the_card_is_confirmed_counts_and_the_card_is_updated_after():
    world = World().ready().says(f"[NETWORK_REQUEST: {D}]")
    assert world.press(D).kinds == ["alias.save"]
    world.card_posted(D)
    assert statuses(world) == ["applying"]


def test_a_card_that_is_confirmed_after_all_is_over_shows_the_end():
    world = World().ready().says(f"[NETWORK_REQUEST: {D}]")
    world.press(D).saved(D)
    assert statuses(world.applied(D)) == []
    assert statuses(world.card_posted(D)) == ["approved"]


def test_a_card_that_is_confirmed_twice_is_not_updated_twice(world: World):
    world.press(D)
    assert world.card_posted(D).commands == []


def test_a_card_of_nobody_is_ignored(world: World):
    before = world.alias
    assert (world >> e.CardPosted("c999", "p", CHANNEL)).commands == []
    assert (world >> e.CardFailed("c999", "gone", "")).commands == []
    assert (world >> e.CardUpdated(world.request(D).card_id, "pending")).commands == []
    assert world.alias == before


def test_a_request_is_asked_once_while_it_is_open(world: World):
    assert world.says(f"[NETWORK_REQUEST: {D}]").kinds == ["chat.relay"]
    world.press(D)
    assert world.says(f"[NETWORK_REQUEST: {D}]").kinds == ["chat.relay"]


@pytest.mark.parametrize("how", ["denied", "failed"])
def test_a_request_that_is_over_may_be_asked_again(world: World, how: str):
    world.press(D, "deny" if how == "denied" else "approve")
    if how == "failed":
        world.alias_failed(D)
    world.says(f"[NETWORK_REQUEST: {D}]")
    assert world.kinds == ["chat.relay", "card.post"]
    assert world.request(D).state == "pending"


def test_two_sessions_ask_for_one_domain_each_with_its_own_card(world: World):
    first = world.request(D)
    second_session(world).asked(D)
    second = world.request(D)
    assert first.card_id != second.card_id
    assert (first.session_id, second.session_id) == (SESSION, OTHER)


def test_one_sessions_decision_is_not_the_others(world: World):
    second_session(world).asked(D)
    world.press(D, "deny")
    assert (world.request(D, SESSION).state, world.request(D, OTHER).state) == ("pending", "denied")


def test_the_second_of_two_pending_requests_is_through_when_the_firewall_has_it(world: World):
    second_session(world).asked(D)
    world.press(D, session=SESSION)
    world.press(D, session=OTHER)
    world.saved(D, session=SESSION).applied(D, session=SESSION)
    world.saved(D, changed=False, session=OTHER)
    assert told(world) == ["network.approved"]
    assert world.appended == [f"[NETWORK_APPROVED: {D}]"]
    assert len(world.all(ApplyAlias)) == 1


def test_a_domain_that_is_granted_already_needs_no_card(world: World):
    world.press(D).saved(D).applied(D)
    second_session(world).says(f"[NETWORK_REQUEST: {D}]")
    assert world.kinds == ["chat.relay", "alias.save"]
    world.saved(D, changed=False)
    assert world.kinds == ["agent.append"]
    assert world.appended == [f"[NETWORK_APPROVED: {D}]"]
    approved = world.recorded[-1].event
    assert isinstance(approved, e.NetworkApproved)
    assert (approved.already, approved.user_name) == (True, "james")


def test_a_granted_domain_that_somebody_took_out_is_applied_again(world: World):
    world.press(D).saved(D).applied(D)
    second_session(world).says(f"[NETWORK_REQUEST: {D}]")
    assert world.saved(D).kinds == ["alias.apply"]
    assert world.applied(D).appended == [f"[NETWORK_APPROVED: {D}]"]


def test_a_granted_domain_that_cannot_be_opened_again_gets_a_card_with_the_failure(world: World):
    world.press(D).saved(D).applied(D)
    second_session(world).says(f"[NETWORK_REQUEST: {D}]")
    world.saved(D).applied(D, "unseen")
    assert world.kinds == ["card.post"]
    assert world.last(PostCard).channel_id == "ch2"
    assert statuses(world.card_posted(D)) == ["failed"]
    assert world.press(D, user="sarah").kinds == ["alias.save", "card.update"]
    assert world.saved(D, changed=False).appended == [f"[NETWORK_APPROVED: {D}]"]


def test_a_grant_that_was_never_confirmed_is_no_answer(world: World):
    world.press(D).saved(D).applied(D, "unseen")
    second_session(world).says(f"[NETWORK_REQUEST: {D}]")
    assert world.kinds == ["chat.relay", "card.post"]


def test_a_card_that_mattermost_refuses_is_answered_to_the_agent():
    world = World().ready().says(f"[NETWORK_REQUEST: {D}]")
    world >> e.CardFailed(world.request(D).card_id, "no_permission", "archived")
    assert world.appended == [
        f"[NETWORK_DENIED: {D} — nobody could be asked, Mattermost refuses the card (no_permission)]"
    ]
    assert world.request(D).state == "denied"


def test_a_change_of_a_card_that_mattermost_refuses_takes_no_decision_back(world: World):
    world.press(D)
    before = world.alias
    assert (world >> e.CardFailed(world.request(D).card_id, "gone", "")).commands == []
    assert world.alias == before


def test_too_many_open_requests_of_a_session_are_refused(world: World):
    for number in range(MAX_PENDING - 1):
        world.asked(f"h{number}.example")
    world.says("[NETWORK_REQUEST: one.more.example]")
    assert world.kinds == ["chat.relay", "agent.append"]
    assert world.appended == [
        "[NETWORK_DENIED: one.more.example — too many open requests; wait for an answer to the others]"
    ]
    world.press(D, "deny")
    world.replay().says("[NETWORK_REQUEST: one.more.example]")
    assert "card.post" in world.kinds


def test_another_sessions_open_requests_do_not_count(world: World):
    for number in range(MAX_PENDING - 1):
        world.asked(f"h{number}.example")
    assert "card.post" in second_session(world).says(f"[NETWORK_REQUEST: {D}]").kinds


@pytest.mark.parametrize(
    "event",
    [
        e.AliasSaved("r999x0", D, True, (), (D,), None),
        e.AliasApplied("r999x0", D, "seen", None),
        e.AliasFailed("r999x0", D, "save", "forbidden", ""),
    ],
    ids=lambda event: event.KIND,
)
def test_reports_about_no_request_change_nothing(world: World, event: e.Event):
    before = world.alias
    assert (world >> event).commands == []
    assert world.alias == before


def test_a_quarantined_alias_writes_nothing_and_tells_the_agent_so(world: World):
    world.record(f"alias:{ALIAS}", e.StreamQuarantined("why", 1))
    assert world.press(D).commands == []
    world.says("[NETWORK_REQUEST: files.example]")
    assert world.kinds == ["chat.relay", "agent.append"]
    assert world.appended == [
        "[NETWORK_DENIED: files.example — approvals are closed until an operator has looked]"
    ]
    assert world.all(SaveAlias) == []
