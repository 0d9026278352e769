"""Asking for domains: what becomes a card, what is answered without one, and what the card shows."""

from __future__ import annotations

import pytest

from sm.core import events as e
from sm.core import streams
from sm.core.commands import PostCard, ResolveCard, SetTimer, TryDomain, WriteAlias

from .playbook import (
    ALIAS,
    CHANNEL,
    NOON_MS,
    OTHER,
    PYTHON,
    SESSION,
    World,
    address_of,
    assistant,
    nowhere,
    said,
    tool_use,
    turned,
)

D, F = "pypi.org", "files.example"


@pytest.fixture
def world() -> World:
    """A ready session."""
    return World().ready()


def second(world: World) -> World:
    """Another session, ready in another channel; `>>` means it from here on."""
    world.channel, world.session = "ch2", OTHER
    return world.start("acme/other").prepared().started().initialized()


def asks(world: World, *domains: str) -> World:
    return world.says(f"[NETWORK_REQUEST: {' '.join(domains)}]")


# --- the card -------------------------------------------------------------------------------------------------------------


def test_names_are_resolved_before_the_card_is_posted(world: World):
    assert asks(world, D, F).kinds == ["chat.relay", "card.resolve"]
    assert world.last(ResolveCard).domains == (D, F)
    assert world.resolved().kinds == ["card.post", "timer.set", "timer.set"]


def test_a_card_shows_session_repository_starter_doing_and_each_choice_with_its_addresses(world: World):
    world.agent(tool_use(command="pip install x"))
    asks(world, D, F).resolved(nowhere(F, "unknown"))
    (view,) = world.views
    assert (view.session_id, view.title, view.user_name, view.doing) == (
        SESSION,
        "acme/webapp",
        "james",
        "pip install x",
    )
    assert [(row.domain, row.state, row.status, row.addresses) for row in view.rows] == [
        (D, "pending", "found", (address_of(D),)),
        (F, "pending", "unknown", ()),
    ]
    assert view.expires_ms == NOON_MS + 86_400_000


def test_the_agents_reason_and_the_verdicts_warning_are_on_the_card(world: World):
    verdict = e.Verdict("xn--n3h.example", reason="why", warning="unicode", shown="☃.example")
    world.agent(assistant("I need it."), verdicts=(verdict,)).resolved()
    (row,) = world.views[0].rows
    assert (row.domain, row.reason, row.warning, row.shown) == (
        "xn--n3h.example",
        "why",
        "unicode",
        "☃.example",
    )


def test_a_card_shows_which_open_names_share_an_address(world: World):
    world.granted(D)
    asks(world, F).resolved(e.Resolved(F, "found", ("203.0.113.1", address_of(D))))
    (view,) = world.views
    assert view.rows[0].shares == (D,)
    world.card_posted(F).press(F)
    assert world.views[0].rows[0].shares == ()


def test_the_sets_that_hold_a_domain_and_more_are_offered_while_something_is_pending(world: World):
    world.configured(sets=(PYTHON, e.DomainSet("just", (D,)), e.DomainSet("npm", ("registry.npmjs.org",))))
    world.asked(D)
    assert world.alias.offers([D]) == (PYTHON,)
    assert world.all(PostCard)[-1].view.offers == (PYTHON,)
    world.press(D, "deny")
    assert (world.views[0].offers, world.views[0].expires_ms) == ((), 0)


def test_a_set_that_is_asked_for_whole_is_not_offered(world: World):
    world.configured(sets=(PYTHON,))
    asks(world, *PYTHON.domains).resolved()
    assert world.views[0].offers == ()


def test_a_card_stands_in_its_sessions_thread(world: World):
    world.session = OTHER
    world.post("@claude start acme/other", user="sarah", post_id="sarahs").prepared().started().initialized()
    asks(world, D).resolved()
    assert world.last(PostCard).root_id == "sarahs"


def test_the_copy_for_the_approvals_channel_stands_there_top_level(world: World):
    world.configured(approval_channel="approvals")
    asks(world, D).resolved()
    original, copy = [command for command in world.commands if isinstance(command, PostCard)]
    assert (original.channel_id, original.copy) == (CHANNEL, False)
    assert (copy.channel_id, copy.root_id, copy.copy) == ("approvals", "", True)


def test_a_session_in_the_approvals_channel_needs_no_copy(world: World):
    world.configured(approval_channel=CHANNEL)
    asks(world, D).resolved()
    assert [command.copy for command in world.commands if isinstance(command, PostCard)] == [False]


def test_a_resolution_of_no_card_or_of_one_that_is_posted_changes_nothing(world: World):
    world.asked(D)
    before = world.alias
    assert (world >> e.CardResolved("c999", ())).commands == []
    assert world.resolved().commands == []
    assert world.alias == before


# --- what leads where nothing may be opened -------------------------------------------------------------------------------


def test_a_name_that_leads_where_nothing_may_be_opened_is_answered_without_a_card(world: World):
    asks(world, D).resolved(turned(D))
    assert world.kinds == ["chat.say", "agent.append"]
    assert world.commands[0] == said(
        "domain_refused", repository="", domain=D, code="not_global", hint="10.0.0.5"
    )
    assert world.appended == [f"[NETWORK_DENIED: {D} — it leads to an address that is not public]"]
    assert (world.alias.cards, world.alias.requests) == ({}, {})


def test_of_several_names_only_the_good_ones_can_be_chosen(world: World):
    asks(world, D, F).resolved(turned(D, "192.0.2.9", "is_peer"))
    assert world.shown == [("denied", "pending")]
    assert world.views[0].rows[0].detail == "is_peer 192.0.2.9"
    assert world.appended == [f"[NETWORK_DENIED: {D} — it leads to an address of this system]"]


def test_what_was_ruled_out_is_not_remembered_and_can_be_asked_for_again(world: World):
    asks(world, D, F).resolved(turned(D))
    world.card_posted(F).replay()
    assert asks(world, D).kinds == ["chat.relay", "card.resolve"]
    assert world.resolved().shown == [("pending",)]


def test_a_refusal_whose_code_is_of_tomorrow_is_answered_all_the_same(world: World):
    asks(world, D).resolved(e.Resolved(D, "found", (), "of_tomorrow", ""))
    assert world.appended == [f"[NETWORK_DENIED: {D} — it cannot be opened]"]


@pytest.mark.parametrize("status", ["none", "unknown"])
def test_a_name_without_an_address_or_an_answer_can_be_approved(world: World, status: str):
    asks(world, D).resolved(nowhere(D, status))
    assert [(row.state, row.status) for row in world.views[0].rows] == [("pending", status)]


# --- asked again, asked by others -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pressed", [False, True])
def test_a_domain_is_asked_for_once_while_it_is_open(world: World, pressed: bool):
    world.asked(D)
    if pressed:
        world.press(D)
    assert asks(world, D).kinds == ["chat.relay"]


def test_of_several_only_what_is_new_is_asked_for(world: World):
    world.asked(D)
    asks(world, D, F)
    assert world.last(ResolveCard).domains == (F,)


def test_a_domain_denied_in_the_session_needs_a_persons_word(world: World):
    world.asked(D).press(D, "deny", user="sarah").replay()
    asks(world, D)
    assert world.kinds == ["chat.relay", "chat.say", "agent.append"]
    assert world.commands[1] == said("asked_again", repository="", domain=D, user="sarah")
    assert world.appended == [
        f"[NETWORK_DENIED: {D} — it was denied in this session; ask only when a person tells you to]"
    ]


def test_a_domain_denied_with_a_reason_is_denied_with_it_again(world: World):
    world.asked(D).press(D, "deny", reason="use the mirror").replay()
    assert asks(world, D).appended == [f"[NETWORK_DENIED: {D} — use the mirror]"]


def test_a_domain_denied_before_its_card_was_posted_is_remembered_too(world: World):
    asks(world, D).post(f"@claude deny {D}").resolved()
    assert world.shown == [("denied",)]
    world.replay()
    asks(world, D)
    assert world.said == ["asked_again"]


def test_another_session_may_ask_for_what_was_denied_in_one(world: World):
    world.asked(D).press(D, "deny")
    assert "card.resolve" in asks(second(world), D).kinds


@pytest.mark.parametrize("how", ["expired", "closed"])
def test_what_expired_or_was_closed_may_be_asked_for_again(world: World, how: str):
    world.asked(D)
    if how == "expired":
        world.alias_timer(f"expire:{world.card(D).card_id}")
    else:
        world.press(D).opened(D).post(f"@claude revoke {D}").opened()
    assert world.request(D).state == how
    assert "card.resolve" in asks(world, D).kinds


def test_two_sessions_ask_for_one_domain_each_with_its_own_card(world: World):
    world.asked(D)
    first = world.card(D)
    second(world).asked(D)
    assert (first.session_id, world.card(D).session_id) == (SESSION, OTHER)
    assert first.card_id != world.card(D).card_id


def test_what_is_open_by_a_grant_for_all_needs_no_card_and_is_tried_before_it_is_told(world: World):
    world.granted(D)
    asks(second(world), D)
    assert world.kinds == ["chat.relay", "network.try"]
    assert world.tried(D).appended == [f"[NETWORK_APPROVED: {D}]"]
    told = world.recorded[-1].event
    assert isinstance(told, e.NetworkApproved)
    assert (told.already, told.user_name) == (True, "james")


def test_who_is_told_twice_is_told_of_a_decision_of_before_once_only_as_new(world: World):
    world.granted(D).replay()
    asks(world, D)
    assert world.kinds == ["chat.relay", "network.try"]
    assert world.tried(D).appended == [f"[NETWORK_APPROVED: {D}]"]
    assert world.grant(D).request_id == world.request(D).request_id


def test_a_try_under_way_answers_all_who_wait(world: World):
    world.asked(D).press(D).written().applied()
    asks(second(world), D)
    assert world.kinds == ["chat.relay"]
    world.tried(D)
    assert [r.stream for r in world.recorded[1:]] == [streams.session(SESSION), streams.session(OTHER)]


def test_what_is_open_for_another_session_alone_needs_a_decision(world: World):
    world.asked(D).press(D, "session").opened(D)
    assert "card.resolve" in asks(second(world), D).kinds


def test_what_was_decided_and_is_not_open_yet_gets_a_card_that_shows_what_comes_of_it(world: World):
    world.asked(D).press(D)
    asks(second(world), D).resolved()
    assert world.shown == [("applying",)]
    assert [command for command in world.commands if isinstance(command, SetTimer)] == []
    world.card_posted(D).alias_failed()
    assert world.shown == [("failed",), ("failed",)]
    assert [r.state for r in world.alias.asked(D)] == ["failed", "failed"]


def test_a_name_of_another_channels_decider_is_not_on_the_card(world: World):
    world.asked(D).press(D, user="sarah")
    asks(second(world), D).resolved()
    assert [(row.user_name, row.via) for row in world.views[0].rows] == [("", "grant")]


def test_what_failed_is_tried_again_when_the_agent_asks_again(world: World):
    world.asked(D).press(D).alias_failed()
    assert world.alias.blocked == "forbidden"
    asks(world, D)
    assert world.kinds == ["chat.relay", "alias.write", "card.update"]
    assert world.shown == [("applying",)]
    assert len(world.alias.grants) == 1


# --- limits ---------------------------------------------------------------------------------------------------------------


def test_a_session_has_at_most_so_many_open_cards(world: World):
    world.configured(max_pending=2)
    world.asked("a.example").asked("b.example", "c.example")
    asks(world, D, F)
    assert world.kinds == ["chat.relay", "chat.say", "agent.append"]
    assert world.said == ["domain_refused"]
    assert world.appended == [
        f"[NETWORK_DENIED: {D} — too many open requests; wait for an answer to the others]"
    ]
    world.press("a.example", "deny").replay()
    assert "card.resolve" in asks(world, D).kinds


def test_another_sessions_cards_do_not_count(world: World):
    world.configured(max_pending=1).asked("a.example")
    assert "card.resolve" in asks(second(world), D).kinds


def test_a_quarantined_alias_answers_the_agent_and_asks_nobody(world: World):
    world.record(streams.alias(ALIAS), e.StreamQuarantined("why", 1))
    asks(world, D)
    assert world.kinds == ["chat.relay", "agent.append"]
    assert world.appended == [f"[NETWORK_DENIED: {D} — approvals are closed until an operator has looked]"]


def test_settings_of_a_later_start_hold_from_then_on(world: World):
    policy = e.Policy(ttl_ms=1000, remind_ms=10)
    world >> e.AliasConfigured(policy)
    assert world.alias.policy == policy
    asks(world, D).resolved()
    assert [(timer.name.partition(":")[0], timer.due_ms - NOON_MS) for timer in timers(world)] == [
        ("remind", 10),
        ("expire", 1000),
    ]


@pytest.mark.parametrize("remind_ms", [0, 2000])
def test_no_reminder_is_set_when_it_is_off_or_later_than_the_end(world: World, remind_ms: int):
    world.configured(ttl_ms=1000, remind_ms=remind_ms)
    asks(world, D).resolved()
    assert [timer.name.partition(":")[0] for timer in timers(world)] == ["expire"]


def timers(world: World) -> list[SetTimer]:
    return [command for command in world.commands if isinstance(command, SetTimer)]


def test_a_try_has_ninety_seconds_from_saving_and_a_late_one_from_now(world: World):
    world.asked(D).press(D).written()
    world.at_ms += 30_000
    assert world.applied().last(TryDomain).due_ms == NOON_MS + 90_000
    world.tried(D)
    world.at_ms += 3_600_000
    world.replay()
    assert asks(world, D).last(TryDomain).due_ms == world.at_ms + 90_000
    assert len(world.all(WriteAlias)) == 1
