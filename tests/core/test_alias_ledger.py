"""The ledger: grants come and go, one write at a time makes the alias match, and what each outcome means."""

from __future__ import annotations

import pytest

from sm.core import events as e
from sm.core.commands import ApplyAlias, TryDomain, WriteAlias

from .playbook import ALIAS, BEFORE, OTHER, World, address_of, found, nowhere, said, turned

A, D, F = "a.example", "pypi.org", "files.example"


@pytest.fixture
def world() -> World:
    """A ready session that asked for three domains on one card."""
    return World().ready().asked(A, D, F)


def second(world: World) -> World:
    """Another session, ready in another channel; `>>` means it from here on."""
    world.channel, world.session = "ch2", OTHER
    return world.start("acme/other").prepared().started().initialized()


def states(world: World) -> dict[str, str]:
    return {request.domain: request.state for request in world.alias.requests.values()}


def writes(world: World) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return [(command.add, command.remove) for command in world.all(WriteAlias)]


# --- one write at a time --------------------------------------------------------------------------------------------------


def test_one_write_is_under_way_and_the_next_is_what_then_differs(world: World):
    world.press(D).press(A).press(F, "hour")
    assert writes(world) == [((D,), ())]
    world.alias_timer(f"grant:{world.grant(F).grant_id}")
    world.written()
    assert len(writes(world)) == 1
    world.applied()
    assert writes(world)[1:] == [((A,), ())]


def test_what_comes_and_what_goes_is_one_write(world: World):
    world.press(D).opened(D).post(f"@claude revoke {D}").press(A).press(F)
    world.written().applied()
    assert writes(world)[1:] == [((), (D,)), ((A, F), ())]


def test_nothing_is_written_while_all_is_as_it_is_to_be(world: World):
    world.press(D).opened(D)
    count = len(world.issued)
    world.post("@claude net").press(D)
    assert [i.command.KIND for i in world.issued[count:]] == ["chat.say"]


def test_the_firewall_is_told_which_addresses_should_leave_its_table(world: World):
    world.press(D).written(found(D, "203.0.113.1", "203.0.113.2")).applied().tried(D)
    world.press(A).written(found(A, "203.0.113.2", "203.0.113.3")).applied().tried(A)
    world.post(f"@claude revoke {D}").written()
    assert world.last(ApplyAlias) == ApplyAlias(ALIAS, (), (D,), ("203.0.113.1",), ("192.0.2.1",))


def test_a_report_of_nothing_under_way_changes_nothing(world: World):
    before = world.alias
    for event in (
        e.AliasRead((BEFORE,)),
        e.AliasWritten((D,), (), (found(D),), True, (BEFORE, D), None),
        e.AliasApplied((D,), (), "seen", None),
        e.AliasFailed("write", "forbidden", ""),
        e.NetworkTried(D, "reachable", ""),
    ):
        assert (world >> event).commands == []
    assert world.alias == before


# --- whose an entry is ----------------------------------------------------------------------------------------------------


def test_what_a_write_of_ours_brought_in_is_ours(world: World):
    world.press(D).written()
    entry = world.alias.entries[D]
    assert (entry.ours, entry.confirmed, entry.addresses) == (True, True, (address_of(D),))
    assert world.grant(D).state == "held"
    assert world.alias.foreign == (BEFORE,)


def test_what_was_there_before_its_grant_stays_foreign(world: World):
    world.firewall.append(D)
    world.press(D).written(read=False)
    assert world.kinds == ["alias.apply"]
    assert not world.alias.entries[D].ours
    world.applied().tried(D)
    world.post(f"@claude revoke {D}")
    assert world.alias.entries == {}
    assert writes(world) == [((D,), ())]


def test_a_write_that_begins_again_after_a_crash_still_knows_what_was_ours(world: World):
    world.press(D).read()
    world.firewall.append(D)  # our own request, whose answer nobody saw
    world.read().written(read=False)
    assert world.alias.entries[D].ours


def test_what_others_take_out_during_our_write_and_we_put_back_is_ours(world: World):
    world.firewall.append(A)
    world.press(F)
    world.press(A).press(D).written().applied()
    world.read()
    world.firewall.remove(A)
    world.read().written(read=False)
    assert world.alias.entries[A].ours


def test_what_others_add_during_our_write_is_theirs(world: World):
    world.press(D).read()
    world.firewall.append("evil.example")
    world.read().written(read=False)
    assert world.alias.foreign == (BEFORE, "evil.example")


def test_an_entry_of_somebody_elses_with_the_name_of_a_grant_that_ended_is_left_alone(world: World):
    world.firewall.append(D)
    world.press(D).opened(D).post(f"@claude revoke {D}")
    world.press(A).opened(A)
    assert D in world.firewall
    assert all(D not in remove for _, remove in writes(world))


# --- what was read before the write ---------------------------------------------------------------------------------------


def test_what_an_administrator_took_out_is_found_by_the_read_before_a_write_and_not_put_back(world: World):
    world.press(D).opened(D)
    world.firewall.remove(D)
    world.press(A).read()
    assert world.grant(D).state == "withdrawn"
    assert (
        said("withdrawn", repository="", domain=D, reason="taken_out", address="", stays="") in world.commands
    )
    assert states(world)[D] == "closed"
    world.written(read=False).applied().tried(A)
    assert world.firewall == [BEFORE, A]
    assert writes(world) == [((D,), ()), ((A,), ())]


def test_what_vanished_before_it_was_read_back_is_ours_to_write_again(world: World):
    world.press(D).read()
    world.firewall.append(D)
    world.firewall.remove(D)
    world.read().written(read=False).applied()
    assert (states(world)[D], world.grant(D).state) == ("approved", "held")


# --- left out -------------------------------------------------------------------------------------------------------------


def test_a_name_that_turned_since_the_card_is_not_written_and_its_grant_is_withdrawn(world: World):
    world.press(D).press(A)
    world.written(turned(D, "169.254.169.254"))
    assert world.firewall == [BEFORE]
    grant = world.grant(D)
    assert (grant.state, grant.reason) == ("withdrawn", "not_global")
    request = world.request(D)
    assert (request.state, request.detail) == ("closed", "not_global 169.254.169.254")
    assert world.said == ["withdrawn"]
    assert f"[NETWORK_DENIED: {D} — it leads to an address that is not public]" in world.appended
    assert writes(world)[1:] == [((A,), ())]


def test_a_name_that_turned_while_our_write_was_interrupted_comes_out_again(world: World):
    world.press(D).read()
    world.firewall.append(D)  # our own request; then we died, and the name turned
    written = e.AliasWritten((D,), (), (turned(D),), False, tuple(world.firewall), None)
    world >> written
    assert (world.grant(D).state, world.request(D).state) == ("withdrawn", "closed")
    assert writes(world) == [((D,), ()), ((), (D,))]
    assert world.written().applied().firewall == [BEFORE]
    assert world.alias.entries == {}


def test_a_name_that_turned_and_stands_there_by_another_hand_is_not_approved(world: World):
    world.firewall.append(D)
    world.press(D).written(turned(D), read=False)
    assert (world.grant(D).state, world.request(D).state) == ("withdrawn", "closed")
    assert dict(world.commands[0].facts)["stays"] == "yes"
    assert (world.firewall, writes(world)) == ([BEFORE, D], [((D,), ())])


@pytest.mark.parametrize("status", ["none", "unknown"])
def test_a_name_without_an_address_is_held_back_and_its_request_fails(world: World, status: str):
    world.press(D).written(nowhere(D, status))
    assert (world.request(D).state, world.request(D).detail) == ("failed", "unresolved")
    assert (world.grant(D).state, world.alias.held_back) == ("wanted", {D: "unresolved"})
    assert writes(world) == [((D,), ())]
    world.press(A).opened(A)
    assert writes(world) == [((D,), ()), ((A,), ())]


@pytest.mark.parametrize("how", ["retry", "look"])
def test_what_was_held_back_is_written_when_it_is_tried_again(world: World, how: str):
    world.press(D).written(nowhere(D))
    if how == "retry":
        world.press(D, "retry")
    else:
        world.observed()
    assert writes(world) == [((D,), ())] * 2
    assert world.opened(D).request(D).state == "approved"


def test_a_name_that_opnsense_rejects_keeps_out_none_of_the_others(world: World):
    world.press(F)  # under way, so that the next three are one write
    second(world).asked("b.example", "c.example", "d.example")
    for name in ("b.example", "c.example", "d.example"):
        world.press(name)
    world.written().applied()
    assert writes(world)[1:] == [(("b.example", "c.example", "d.example"), ())]
    world.alias_failed(code="rejected")
    assert writes(world)[2:] == [(("b.example",), ())]
    world.alias_failed(code="rejected")
    assert (world.grant("b.example").state, world.grant("b.example").reason) == ("withdrawn", "rejected")
    assert states(world)["b.example"] == "closed"
    world.written().applied()
    assert writes(world)[3:] == [(("c.example",), ()), (("d.example",), ())]
    world.written().applied()
    assert world.firewall == [BEFORE, F, "c.example", "d.example"]


# --- refused by OPNsense --------------------------------------------------------------------------------------------------


def test_what_an_earlier_request_brought_in_is_ours_also_when_a_later_one_is_rejected(world: World):
    world.press(F)  # under way, so that the next two are one write
    world.press(A).press(D).written().applied()
    world.read()
    world.firewall.append(A)  # our own request, when the other name had no address; then we died
    world.read().alias_failed(code="rejected")
    world.alias_failed(code="forbidden")
    world.observed().written().applied()
    assert world.alias.entries[A].ours
    world.written().applied().post(f"@claude revoke {A}").written()
    assert world.firewall == [BEFORE, F, D]


def test_the_names_that_a_refusal_says_are_the_ones(world: World):
    world.press(D)
    second(world).asked("b.example", "c.example", "d.example")
    for name in ("b.example", "c.example", "d.example"):
        world.press(name)
    world.written().applied()
    world >> e.AliasFailed(
        "write", "rejected", 'Entry "c.example" is not a valid hostname, IP address or range.'
    )
    assert world.grant("c.example").state == "withdrawn"
    assert writes(world)[-1] == (("b.example", "d.example"), ())


def test_after_a_refusal_nothing_is_written_before_a_look_or_a_decision(world: World):
    world.press(D).alias_failed()
    assert (world.alias.blocked, writes(world)) == ("forbidden", [((D,), ())])
    world.alias_timer("of tomorrow").card_posted(A).post("@claude net")
    assert len(writes(world)) == 1
    world.press(A)
    assert (world.alias.blocked, writes(world)[1:]) == ("", [((A, D), ())])


def test_all_that_waits_fails_with_the_write_and_is_open_after_the_next(world: World):
    world.press(D).press(A).alias_failed()
    assert states(world) == {A: "failed", D: "failed", F: "pending"}
    world.press(A, "retry").opened(A)
    assert states(world) == {A: "approved", D: "approved", F: "pending"}


def test_a_write_that_was_refused_half_way_leaves_in_doubt_what_it_may_have_brought_in(world: World):
    world.press(D).read().alias_failed(code="network")
    assert (world.alias.entries[D].ours, world.alias.entries[D].confirmed) == (True, False)
    world.firewall.append(D)  # it did
    world.observed()
    world.written(read=False).applied()
    assert (world.alias.entries[D].ours, world.grant(D).state) == (True, "held")
    assert world.post(f"@claude revoke {D}").written().applied().firewall == [BEFORE]


def test_what_was_in_doubt_and_is_not_there_at_the_next_look_never_got_in(world: World):
    world.press(D).read().alias_failed().observed()
    assert world.alias.entries == {}
    world.firewall.append(D)  # by an administrator, before our next write reads
    world.written()
    assert not world.alias.entries[D].ours


def test_what_was_in_doubt_and_is_wanted_no_more_is_taken_out(world: World):
    world.press(D).read().alias_failed()
    world.firewall.append(D)
    world.post(f"@claude revoke {D}")
    assert writes(world)[1:] == [((), (D,))]
    assert world.written().applied().firewall == [BEFORE]
    assert world.said == ["revoked"]


def test_a_removal_that_was_refused_half_way_leaves_it_open_whether_it_is_out(world: World):
    world.press(D).opened(D).post(f"@claude revoke {D}").read().alias_failed()
    world.firewall.remove(D)  # it did
    world.post(f"@claude approve {D}")
    assert states(world)[D] == "applying"
    world.opened(D)
    assert (states(world)[D], world.firewall, world.grant(D).state) == ("approved", [BEFORE, D], "held")


def test_a_domain_on_its_way_out_is_not_called_open(world: World):
    world.press(D).opened(D).post(f"@claude revoke {D}").post(f"@claude approve {D}")
    assert (states(world)[D], world.grant(D).state) == ("applying", "wanted")
    world.written().applied()
    assert states(world)[D] == "applying"
    world.opened(D)
    assert (states(world)[D], world.firewall) == ("approved", [BEFORE, D])


def test_an_apply_that_was_refused_is_done_again_by_a_retry(world: World):
    world.press(D).written().alias_failed("apply", "unauthorized")
    assert (world.request(D).state, world.request(D).detail) == ("failed", "unauthorized")
    assert world.press(D, "retry").kinds == ["alias.apply", "card.update"]
    assert world.applied().request(D).state == "approved"


def test_what_came_into_the_table_and_may_not_be_open_is_taken_out_again(world: World):
    world.press(D).written().applied(refused="not_global", address="10.0.0.5")
    assert (world.grant(D).state, world.request(D).detail) == ("withdrawn", "not_global 10.0.0.5")
    assert writes(world)[1:] == [((), (D,))]
    assert world.all(TryDomain) == []
    assert world.written().applied().firewall == [BEFORE]


# --- ends -----------------------------------------------------------------------------------------------------------------


def test_an_hour_ends_at_the_firewall_too(world: World):
    world.press(D, "hour").opened(D).alias_timer(f"grant:{world.grant(D).grant_id}")
    assert (world.request(D).state, world.request(D).detail) == ("closed", "expired")
    assert world.written().applied().firewall == [BEFORE]
    assert world.alias.grants == {}


def test_an_hour_that_ends_before_it_is_open_is_told_to_the_agent(world: World):
    world.press(D, "hour").alias_timer(f"grant:{world.grant(D).grant_id}")
    assert world.appended == [f"[NETWORK_DENIED: {D} — its time is over]"]


def test_who_has_heard_of_an_approval_does_not_hear_of_its_end(world: World):
    world.press(D, "hour").opened(D).replay().alias_timer(f"grant:{world.grant(D).grant_id}")
    assert world.appended == []


def test_with_its_session_ends_what_was_open_for_it_alone(world: World):
    world.press(D, "session").press(A).opened(D).opened(A).stopped()
    assert list(world.alias.wish()) == [A]
    assert writes(world)[-1] == ((), (D,))
    assert world.written().applied().firewall == [BEFORE, A]


def test_a_domain_stays_while_any_grant_holds_it(world: World):
    world.press(D, "session").opened(D)
    second(world).asked(D).press(D)
    assert world.request(D).state == "approved"
    world.session, world.channel = world.alias.asked(D)[0].session_id, "ch1"
    world.stopped()
    assert (world.alias.wish(), writes(world)) == ([D], [((D,), ())])


def test_what_was_withdrawn_stays_to_be_seen_until_there_is_a_new_decision(world: World):
    world.press(D).opened(D)
    world.observed(turned(D)).opened()
    assert world.grant(D).state == "withdrawn"
    old = world.grant(D).grant_id
    world.post(f"@claude approve {D}")
    assert (world.grant(D).state, world.grant(D).grant_id != old) == ("wanted", True)
    assert world.opened(D).request(D).state == "approved"


@pytest.mark.parametrize("how", ["revoked", "expired", "session_over"])
def test_what_was_withdrawn_and_would_be_over_by_now_is_not_listed_any_more(world: World, how: str):
    world.press(D, "session" if how == "session_over" else "hour").opened(D)
    world.observed(turned(D)).opened()
    grant = world.grant(D)
    assert grant.state == "withdrawn"
    if how == "revoked":
        world.post(f"@claude revoke {D}")
    elif how == "expired":
        world.alias_timer(f"grant:{grant.grant_id}")
    else:
        world.stopped()
    assert world.alias.grants == {}
