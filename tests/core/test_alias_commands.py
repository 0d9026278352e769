"""Decisions by command: approve, deny and revoke by name, and what people ask about: net and pending."""

from __future__ import annotations

import pytest

from sm.core import events as e
from sm.core import streams
from sm.core.commands import ApplyAlias, PostCard, ResolveCard, SayPrivately, SetTimer, WriteAlias

from .playbook import ALIAS, BEFORE, CHANNEL, NOON_MS, OTHER, PYTHON, SESSION, World, said, turned

D, F = "pypi.org", "files.example"


@pytest.fixture
def world() -> World:
    """A ready session."""
    return World().ready()


def second(world: World, channel: str = "ch2") -> World:
    """Another session, ready in another channel; `>>` means it from here on."""
    world.channel, world.session = channel, OTHER
    return world.start("acme/other").prepared().started().initialized()


def answer(message: str, **facts: str) -> object:
    return said(message, repository="", **facts)


# --- approve --------------------------------------------------------------------------------------------------------------


def test_approve_by_name_decides_the_channels_request(world: World):
    world.asked(D).post(f"@claude approve {D}", user="sarah")
    assert world.shown == [("applying",)]
    grant = world.grant(D)
    assert (grant.user_name, grant.via, grant.request_id) == ("sarah", "command", world.request(D).request_id)


@pytest.mark.parametrize(("words", "scope"), [("", ""), (" 1h", "hour"), (" for this session", "session")])
def test_approve_may_say_how_long(world: World, words: str, scope: str):
    world.asked(D).post(f"@claude approve {D}{words}")
    assert world.grant(D).scope == scope


def test_a_failed_request_is_tried_again_by_name(world: World):
    world.asked(D).press(D).alias_failed()
    world.post(f"@claude approve {D}")
    assert (world.request(D).state, len(world.alias.grants)) == ("applying", 1)


def test_approve_of_what_nobody_asked_for_is_request_and_decision_of_one_person(world: World):
    world.post(f"@claude approve {D} {F}", user="sarah")
    assert world.kinds == ["card.resolve", "alias.write"]
    assert (world.last(ResolveCard).domains, world.last(WriteAlias).add) == ((D, F), (F, D))
    assert world.resolved().shown == [("applying", "applying")]
    view = world.views[0]
    assert (view.user_name, view.doing, view.title) == ("sarah", "", "")
    assert [(row.user_name, row.via) for row in view.rows] == [("sarah", "command")] * 2
    assert [command for command in world.commands if isinstance(command, SetTimer)] == []


def test_the_session_that_is_meant_hears_of_what_was_approved_unasked(world: World):
    world.post(f"@claude approve {D}").resolved()
    assert world.opened(D).appended == [f"[NETWORK_APPROVED: {D}]"]


def test_where_no_session_is_it_is_opened_all_the_same():
    world = World().post(f"@claude approve {D}").resolved()
    assert [command.copy for command in world.commands if isinstance(command, PostCard)] == [False]
    world.written().applied()
    assert [request.state for request in world.alias.asked(D)] == ["approved"]
    assert [r.event.KIND for r in world.tried(D).recorded] == ["network.tried"]


def test_for_this_session_is_asked_back_where_no_session_is_meant():
    world = World().post(f"@claude approve {D} for this session")
    assert world.commands == [answer("which_session_scope")]
    assert world.alias.grants == {}


def test_a_set_is_approved_by_its_name(world: World):
    world.configured(sets=(PYTHON,)).post("@claude approve python")
    assert world.last(WriteAlias).add == tuple(sorted(PYTHON.domains))


def test_a_name_of_a_set_decides_what_was_asked_for_of_it(world: World):
    world.configured(sets=(PYTHON,)).asked(D).post("@claude approve python")
    assert world.request(D).state == "applying"
    assert [request.state for request in world.alias.asked(PYTHON.domains[1])] == ["applying"]


def test_what_cannot_be_opened_is_said_and_the_rest_is_done(world: World):
    world.post(f"@claude approve co.uk {D}")
    assert world.commands[0] == answer(
        "domain_refused", domain="co.uk", code="public_suffix", hint="", by="person"
    )
    assert world.last(WriteAlias).add == (D,)


def test_what_is_open_already_is_said(world: World):
    world.granted(D).post(f"@claude approve {D}")
    assert world.commands == [answer("already_open", domain=D)]
    second(world).post(f"@claude approve {D}")
    assert (world.said, len(world.alias.grants)) == (["already_open"], 1)


def test_what_is_granted_elsewhere_and_not_open_is_not_called_open(world: World):
    world.asked(D).press(D).alias_failed()
    second(world).post(f"@claude approve {D}")
    assert "already_open" not in world.said
    assert world.last(WriteAlias).add == (D,)
    assert [request.state for request in world.alias.asked(D)] == ["failed", "applying"]


def test_what_is_open_for_an_hour_can_be_opened_for_good(world: World):
    world.asked(D).press(D, "hour").opened(D)
    world.post(f"@claude approve {D}")
    assert sorted(grant.scope for grant in world.alias.grants.values()) == ["", "hour"]
    world.alias_timer(f"grant:{min(world.alias.grants)}")
    assert (world.alias.wish(), len(world.all(WriteAlias))) == ([D], 1)


@pytest.mark.parametrize("how", ["denied", "expired", "closed"])
def test_what_is_over_can_be_approved_after_all_and_its_card_shows_it(world: World, how: str):
    world.asked(D)
    if how == "denied":
        world.press(D, "deny").replay()
    elif how == "expired":
        world.alias_timer(f"expire:{world.card(D).card_id}").replay()
    else:
        world.press(D).opened(D).replay()
        world.post(f"@claude revoke {D}").opened()
    assert world.request(D).state == how
    world.post(f"@claude approve {D}")
    assert world.shown == [("applying",)]
    assert world.opened(D).appended == [f"[NETWORK_APPROVED: {D}]"]


def test_what_was_denied_in_a_session_that_is_over_is_asked_anew(world: World):
    world.asked(D).press(D, "deny").stopped()
    world.post(f"@claude approve {D}")
    assert "card.resolve" in world.kinds


def test_another_channels_request_is_not_decided_by_name_but_settled_by_what_is_opened(world: World):
    world.asked(D)
    second(world).post(f"@claude approve {D}")
    assert [request.state for request in world.alias.asked(D)] == ["applying", "applying"]
    assert world.alias.asked(D)[0].grant_id == world.grant(D).grant_id


def test_in_the_approvals_channel_all_requests_are_within_reach(world: World):
    world.configured(approval_channel="approvals").asked(D)
    world.channel = "approvals"
    world.post(f"@claude deny {D}")
    assert world.request(D).state == "denied"


def test_of_two_sessions_requests_the_one_of_the_thread_is_meant(world: World):
    world.asked(D)
    world.session = OTHER
    world.post("@claude start acme/other", user="sarah", post_id="sarahs").prepared().started().initialized()
    world.asked(D)
    world.post(f"@claude deny {D}", root_id="sarahs")
    assert [request.state for request in world.alias.asked(D)] == ["pending", "denied"]


# --- deny -----------------------------------------------------------------------------------------------------------------


def test_deny_with_a_reason_reaches_the_agent_and_the_card(world: World):
    world.asked(D).post(f"@claude deny {D} use the mirror")
    assert world.appended == [f"[NETWORK_DENIED: {D} — use the mirror]"]
    assert world.views[0].rows[0].detail == "use the mirror"


@pytest.mark.parametrize(("minutes", "late"), [(5, False), (6, True)])
def test_a_reason_may_follow_within_five_minutes(world: World, minutes: int, late: bool):
    world.asked(D).press(D, "deny").replay()
    world.at_ms += minutes * 60_000
    world.post(f"@claude deny {D} use the mirror", user="sarah")
    if late:
        assert world.said == ["nothing_to_deny"]
        assert privately(world) == [("too_late", "")]
    else:
        assert world.appended == [f"[NETWORK_DENIED: {D} — use the mirror]"]
        assert world.views[0].rows[0].detail == "use the mirror (@sarah)"


def test_a_reason_is_given_once(world: World):
    world.asked(D).post(f"@claude deny {D} one").post(f"@claude deny {D} two")
    assert world.commands == [answer("nothing_to_deny", domain=D)]
    assert world.request(D).detail == "one"


def test_a_second_deny_without_a_reason_has_nothing_to_deny(world: World):
    world.asked(D).press(D, "deny").post(f"@claude deny {D}")
    assert world.commands == [answer("nothing_to_deny", domain=D)]


def test_whoever_denies_what_another_has_approved_hears_alone_who(world: World):
    world.asked(D).press(D).post(f"@claude deny {D} no", user="sarah")
    assert world.said == ["nothing_to_deny"]
    assert [
        (c.user_id, c.message, dict(c.facts)["user"]) for c in world.commands if isinstance(c, SayPrivately)
    ] == [("u-sarah", "too_late", "james")]
    assert world.request(D).state == "applying"


def test_what_is_being_opened_is_not_decided_once_more(world: World):
    world.asked(D).press(D).post(f"@claude approve {D}", user="sarah")
    assert privately(world) == [("too_late", "")]
    assert [grant.user_name for grant in world.alias.grants.values()] == ["james"]
    world.post(f"@claude approve {D} 1h", user="sarah")
    assert sorted(grant.scope for grant in world.alias.grants.values()) == ["", "hour"]


def test_of_a_set_only_what_there_is_to_decide_is_decided_and_the_rest_is_not_spoken_of(world: World):
    world.configured(sets=(PYTHON,)).asked(D)
    world.post("@claude deny python")
    assert (world.said, world.request(D).state) == ([], "denied")
    world.post("@claude deny python").post("@claude revoke python")
    assert world.commands == [answer("not_granted", domain="python")]
    world.post("@claude approve python").opened()
    world.post("@claude approve python")
    assert world.commands == [answer("already_open", domain="python")]


def test_a_reason_is_for_those_to_give_who_may_decide(world: World):
    world.configured(approve_own=False).asked(D).press(D, "deny", user="sarah")
    world.post(f"@claude deny {D} so that it looks like mine", user="james")
    assert world.request(D).detail == ""
    assert privately(world) == [("too_late", "")]


def test_what_never_had_a_card_is_approved_on_a_new_one_and_counts_as_ones_own(world: World):
    """A session that found the domain open has a request without a card, which would tell nobody."""
    world.granted(D)
    world.session = OTHER
    world.post("@claude start acme/other", user="james", post_id="second").prepared().started().initialized()
    world.says(f"[NETWORK_REQUEST: {D}]")
    assert [bool(request.card_id) for request in world.alias.asked(D)] == [True, False]
    world.post(f"@claude revoke {D}", user="sarah").written().applied()
    world.configured(approve_own=False).post(f"@claude approve {D}", user="james", root_id="second")
    assert privately(world) == [("may_not_decide", "own_unasked")]
    assert world.alias.grants == {}
    world.configured().post(f"@claude approve {D}", user="james", root_id="second")
    assert "card.resolve" in world.kinds


def test_the_same_is_said_alone_but_once(world: World):
    world.configured(approve_own=False).asked(D).asked(F)
    world.post(f"@claude approve {D} {F}", user="james")
    assert privately(world) == [("may_not_decide", "own")]


# --- who may --------------------------------------------------------------------------------------------------------------


def privately(world: World) -> list[tuple[str, str]]:
    said = [command for command in world.commands if isinstance(command, SayPrivately)]
    return [(command.message, dict(command.facts).get("code", "")) for command in said]


@pytest.mark.parametrize("command", ["approve", "deny", "revoke"])
def test_who_is_no_approver_decides_nothing_and_is_answered_alone(world: World, command: str):
    world.granted(D).configured(approvers=("sarah",)).asked(F)
    before = world.alias
    world.post(f"@claude {command} {D if command == 'revoke' else F}")
    assert privately(world) == [("may_not_decide", "not_approver")]
    assert world.alias == before


@pytest.mark.parametrize("command", ["approve", "deny"])
def test_ones_own_request_may_be_anothers_to_decide(world: World, command: str):
    world.configured(approve_own=False).asked(D).post(f"@claude {command} {D}", user="james")
    assert privately(world) == [("may_not_decide", "own")]
    assert world.request(D).state == "pending"
    world.post(f"@claude {command} {D}", user="sarah")
    assert world.request(D).state == ("applying" if command == "approve" else "denied")


def test_what_nobody_asked_for_is_ones_own_too(world: World):
    world.configured(approve_own=False).post(f"@claude approve {D}", user="sarah")
    assert privately(world) == [("may_not_decide", "own_unasked")]
    assert world.alias.grants == {}


def test_an_administrator_who_is_no_member_decides_nothing(world: World):
    world.asked(D).press(D, via="command", is_member=False, names=(e.Verdict(D),))
    assert privately(world) == [("may_not_decide", "not_member")]


# --- revoke ---------------------------------------------------------------------------------------------------------------


def test_revoke_takes_the_domain_out_and_says_so_when_it_is_out(world: World):
    world.granted(D).post(f"@claude revoke {D}", user="sarah")
    assert world.kinds == ["alias.write", "card.update"]
    assert (world.shown, world.views[0].rows[0].detail) == ([("closed",)], "revoked")
    world.written()
    assert (world.firewall, world.said) == ([BEFORE], [])
    assert world.applied().commands == [answer("revoked", domain=D, user="sarah", resolved="seen")]
    assert (world.alias.grants, world.alias.entries, world.alias.revocations) == ({}, {}, ())


def test_revoke_of_what_was_not_written_yet_is_said_at_once(world: World):
    world.asked(D).press(D).alias_failed()
    world.post(f"@claude revoke {D}")
    assert answer("revoked", domain=D, user="james", resolved="seen") in world.commands
    assert world.request(D).state == "closed"
    assert world.appended == [f"[NETWORK_DENIED: {D} — it was taken back]"]


def test_revoke_of_what_is_being_written_takes_it_out_afterwards(world: World):
    world.asked(D).press(D).post(f"@claude revoke {D}")
    assert "revoked" not in world.said
    world.written()
    assert world.firewall == [BEFORE, D]
    assert world.applied().last(WriteAlias).remove == (D,)
    assert world.written().applied().said == ["revoked"]
    assert world.firewall == [BEFORE]


def test_revoke_of_what_then_never_got_in_is_answered_too(world: World):
    world.asked(D).press(D).post(f"@claude revoke {D}")
    world.written(turned(D))
    assert world.said == ["revoked"]
    assert world.alias.revocations == ()


def test_revoke_of_what_is_approved_again_before_it_is_out_waits_for_nothing(world: World):
    world.granted(D).granted(F)
    world.post(f"@claude revoke {F}").post(f"@claude revoke {D}").post(f"@claude approve {D}")
    world.written().applied()
    assert world.said == ["revoked"]
    assert (world.alias.revocations, world.firewall) == ((), [BEFORE, D])


def test_a_removal_that_opnsense_refuses_is_said_and_done_later(world: World):
    world.granted(D).post(f"@claude revoke {D}").alias_failed()
    assert world.commands == [answer("revoke_failed", domain=D, code="forbidden")]
    assert world.observed().last(WriteAlias).remove == (D,)
    assert world.written().applied().said == ["revoked"]


def test_a_removal_that_is_saved_and_not_applied_is_applied_later(world: World):
    world.granted(D).post(f"@claude revoke {D}").written().alias_failed("apply")
    assert world.commands == [answer("revoke_failed", domain=D, code="forbidden")]
    assert world.observed().kinds == ["alias.apply"]
    assert world.last(ApplyAlias).removed == (D,)
    assert world.applied().said == ["revoked"]


def test_revoke_again_while_the_first_one_is_stuck_tries_again(world: World):
    world.granted(D).post(f"@claude revoke {D}").alias_failed()
    world.post(f"@claude revoke {D}", user="sarah")
    assert (world.said, world.kinds) == ([], ["alias.write"])
    assert world.written().applied().said == ["revoked", "revoked"]


def test_revoke_of_what_was_there_before_says_that_it_remains(world: World):
    world.firewall.append(D)
    world.granted(D).post(f"@claude revoke {D}")
    assert world.commands[0] == answer("revoked_but_foreign", domain=D, granted="yes")
    assert (world.firewall, world.alias.grants) == ([BEFORE, D], {})
    world.post(f"@claude revoke {D}")
    assert world.commands == [answer("revoked_but_foreign", domain=D, granted="")]


def test_revoke_of_what_nobody_granted_says_so(world: World):
    assert world.post(f"@claude revoke {D}").commands == [answer("not_granted", domain=D)]


def test_revoke_ends_all_grants_of_the_domain_and_each_card_shows_it(world: World):
    world.asked(D).press(D, "session").opened(D)
    second(world).asked(D).press(D)
    world.tried(D).post(f"@claude revoke {D}")
    assert sorted(world.shown) == [("closed",), ("closed",)]
    assert world.alias.grants == {}


# --- what people ask about ------------------------------------------------------------------------------------------------


def test_net_lists_what_is_open_why_and_until_when(world: World):
    world.asked(D).press(D, "hour", user="sarah").opened(D)
    world.observed().post("@claude net")
    line = f"{D}\theld\thour\t{NOON_MS + 3_600_000}\tsarah\t\t"
    assert world.commands == [answer("net", grants=line, foreign=BEFORE, alias=ALIAS, trouble="", more="0")]


def test_net_shows_sessions_what_was_withdrawn_and_what_is_wrong(world: World):
    world.asked(D).press(D, "session").opened(D)
    world.observed(turned(D)).opened()
    (world >> e.AliasTroubled("disabled", "")).post("@claude net")
    facts = dict(world.commands[0].facts)
    assert facts["grants"] == f"{D}\twithdrawn\tsession\t0\tjames\t{SESSION[:8]}\tnot_global"
    assert facts["trouble"] == "disabled"


def test_net_names_no_decider_of_another_channel_but_in_the_approvals_one(world: World):
    world.configured(approval_channel="approvals").granted(D)
    names: dict[str, str] = {}
    for channel in (CHANNEL, "ch2", "approvals"):
        world >> e.NetworkListRequested("net", channel, "max")
        names[channel] = dict(world.commands[0].facts)["grants"].split("\t")[4]
    assert names == {CHANNEL: "james", "ch2": "", "approvals": "james"}


def test_net_is_bounded_and_says_how_many_more_there_are(world: World):
    world.firewall.extend(f"h{n}.example" for n in range(60))
    world.observed() >> e.NetworkListRequested("net", CHANNEL, "max")
    facts = dict(world.commands[0].facts)
    assert (len(facts["foreign"].splitlines()), facts["more"]) == (50, "11")


def test_pending_lists_the_channels_open_cards_with_their_posts(world: World):
    world.asked(D, F).press(F, "deny").asked("a.example").press("a.example")
    world.post("@claude pending")
    card = world.card(D)
    line = f"{card.post_id}\t{D}\tacme/webapp\t{SESSION[:8]}\t{NOON_MS + 86_400_000}"
    assert world.commands == [answer("pending", cards=line, more="0")]


def test_pending_lists_another_channels_only_in_the_approvals_one_and_leads_to_the_copy_there(world: World):
    world.configured(approval_channel="approvals").asked(D).card_posted(D, copy=True)
    lists: dict[str, str] = {}
    for channel in (CHANNEL, "ch2", "approvals"):
        world >> e.NetworkListRequested("pending", channel, "max")
        lists[channel] = dict(world.commands[0].facts)["cards"].split("\t")[0]
    card = world.card(D)
    assert lists == {CHANNEL: card.post_id, "ch2": "", "approvals": card.copy_post}


@pytest.mark.parametrize("command", [f"approve {D}", f"deny {D}", f"revoke {D}", "net", "pending"])
def test_a_quarantined_alias_answers_each_command_and_does_nothing(world: World, command: str):
    world.record(streams.alias(ALIAS), e.StreamQuarantined("why", 1))
    assert world.post(f"@claude {command}").commands == [answer("approvals_closed")]
