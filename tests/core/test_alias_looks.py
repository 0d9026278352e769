"""What a look at the alias finds: others' edits, names that turned, an alias that can't work; each is said once."""

from __future__ import annotations

from typing import Any

import pytest

from sm.core import events as e
from sm.core.alias import AliasData, Entry, Grant, is_news
from sm.core.commands import ApplyAlias, Say, WriteAlias

from .playbook import ALIAS, BEFORE, CHANNEL, OTHER, World, address_of, found, nowhere, said, turned

D, F = "pypi.org", "files.example"


@pytest.fixture
def world() -> World:
    """A session for which one domain is open."""
    return World().ready().granted(D)


def second(world: World) -> World:
    """Another session, ready in another channel; `>>` means it from here on."""
    world.channel, world.session = "ch2", OTHER
    return world.start("acme/other").prepared().started().initialized()


def where(world: World, message: str) -> list[str]:
    """The channels in which the last event says this."""
    return [k.channel_id for k in world.commands if isinstance(k, Say) and k.message == message]


# --- edits of others ------------------------------------------------------------------------------------------------------


def test_what_an_administrator_took_out_is_withdrawn_said_once_and_not_put_back(world: World):
    world.firewall.remove(D)
    world.observed()
    assert world.commands[0] == said(
        "withdrawn", repository="", domain=D, reason="taken_out", address="", stays=""
    )
    assert world.shown == [("closed",)]
    assert (world.grant(D).state, world.grant(D).reason) == ("withdrawn", "taken_out")
    assert world.observed().commands == []
    assert [command.add for command in world.all(WriteAlias)] == [(D,)]


def test_it_is_said_in_the_audit_channel_where_there_is_one_else_where_it_was_decided(world: World):
    second(world).post(f"@claude approve {D} for this session")
    world.firewall.remove(D)
    world.observed()
    assert where(world, "withdrawn") == [CHANNEL, "ch2"]
    world.configured(audit_channel="audit").post(f"@claude approve {D}").opened(D)
    world.firewall.remove(D)
    assert where(world.observed(), "withdrawn") == ["audit"]


def test_what_was_taken_out_and_put_back_is_the_administrators(world: World):
    world.firewall.remove(D)
    world.observed()
    world.firewall.append(D)
    world.observed().post(f"@claude approve {D}").written()
    assert not world.alias.entries[D].ours
    world.applied().post(f"@claude revoke {D}")
    assert world.said == ["revoked_but_foreign"]
    assert world.firewall == [BEFORE, D]


def test_what_was_taken_out_and_put_back_between_two_looks_stays_ours(world: World):
    world.firewall.remove(D)
    world.firewall.append(D)
    assert world.observed().commands == []
    assert world.grant(D).state == "held"


def test_an_entry_that_nobody_granted_is_said_once_in_the_audit_channel(world: World):
    world.configured(audit_channel="audit").observed()
    world.firewall.append("evil.example")
    world.observed()
    facts = {"alias": ALIAS, "entries": "evil.example", "more": ""}
    assert world.commands == [said("alias_foreign", channel="audit", repository="", **facts)]
    assert world.observed().commands == []
    assert world.alias.foreign == (BEFORE, "evil.example")


def test_many_of_them_are_named_up_to_a_bound(world: World):
    world.configured(audit_channel="audit")
    world.firewall.extend(f"h{n}.example" for n in range(23))
    facts = dict(world.observed().commands[0].facts)
    assert (len(facts["entries"].splitlines()), facts["more"]) == (20, "3")


def test_without_an_audit_channel_an_entry_of_others_is_for_the_log_alone(world: World):
    world.firewall.append("evil.example")
    assert world.observed().commands == []
    assert world.alias.foreign == (BEFORE, "evil.example")


def test_what_the_alias_held_at_the_first_look_is_nothing_new():
    world = World().configured(audit_channel="audit").observed()
    assert world.commands == []
    assert world.alias.foreign == (BEFORE,)


def test_what_is_granted_and_another_put_there_meanwhile_is_not_called_foreign():
    world = World().ready().configured(audit_channel="audit").observed().asked(D).press(D).alias_failed()
    world.firewall.append(D)
    assert "alias_foreign" not in world.observed().said
    assert world.written().applied().request(D).state == "approved"
    assert not world.alias.entries[D].ours


def test_a_look_that_a_write_came_into_says_nothing(world: World):
    world.asked(F).press(F)
    before = world.alias
    assert world.observed(turned(D)).commands == []
    assert (world >> e.AliasTroubled("disabled", "")).commands == []
    assert world.alias == before


# --- names that turn ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "code"),
    [("10.0.0.5", "not_global"), ("169.254.169.254", "not_global"), ("198.51.100.7", "is_peer")],
)
def test_a_name_that_turns_is_taken_out_and_needs_a_new_decision(world: World, address: str, code: str):
    world.replay().observed(turned(D, address, code))
    assert world.commands[:2] == [
        said("withdrawn", repository="", domain=D, reason=code, address=address, stays=""),
        WriteAlias(ALIAS, (), (D,)),
    ]
    assert (world.grant(D).state, world.request(D).detail) == ("withdrawn", f"{code} {address}")
    assert world.written().applied().firewall == [BEFORE]
    assert "card.resolve" in world.says(f"[NETWORK_REQUEST: {D}]").kinds


def test_a_name_of_somebody_elses_that_turns_stays_and_is_said_to(world: World):
    world.firewall.append(F)
    world.asked(F).press(F).opened(F).observed(turned(F))
    assert dict(world.commands[0].facts)["stays"] == "yes"
    assert world.firewall == [BEFORE, D, F]


def test_a_look_remembers_the_addresses_of_now(world: World):
    world.observed(found(D, "203.0.113.77"))
    assert world.alias.entries[D].addresses == ("203.0.113.77",)
    world.observed(nowhere(D, "unknown"))
    assert world.alias.entries[D].addresses == ("203.0.113.77",)


def test_an_odd_address_in_the_table_that_no_name_explains_is_said_once(world: World):
    odd = {"refused": "not_global", "address": "10.0.0.5"}
    world.observed(**odd)
    facts = {"reason": "not_global", "address": "10.0.0.5"}
    assert world.commands == [said("table_odd", repository="", **facts)]
    assert world.observed(**odd).commands == []
    assert world.observed().commands == []
    assert world.observed(**odd).said == ["table_odd"]


# --- what did not show before ---------------------------------------------------------------------------------------------


def unseen() -> World:
    """Approved and saved, but the firewall's table did not show it."""
    return World().ready().asked(D).press(D).written().applied("unseen")


def test_what_shows_by_now_is_open(world: World):
    world = unseen().observed(table=(address_of(D),))
    assert (world.request(D).state, world.kinds) == ("approved", ["network.try", "card.update"])
    assert world.tried(D).appended == [f"[NETWORK_APPROVED: {D}]"]


@pytest.mark.parametrize("table", [(), ("203.0.113.250",), None])
def test_what_still_does_not_show_is_applied_once_more(table: tuple[str, ...] | None):
    world = unseen().observed(table=table)
    assert world.commands == [ApplyAlias(ALIAS, (D,), (), (), None)]
    assert world.applied().request(D).state == "approved"


def test_what_was_not_seen_to_leave_is_loaded_once_more_at_the_next_look(world: World):
    world.asked(F).press(F, "hour").opened(F)
    world.alias_timer(f"grant:{world.grant(F).grant_id}").written().applied("unseen")
    assert world.all(ApplyAlias)[-1].removed == (F,)
    world.observed()
    assert world.commands == [ApplyAlias(ALIAS, (), (F,), (address_of(F),), None)]
    assert world.applied("unseen").observed().commands == []


# --- an alias that can't work ---------------------------------------------------------------------------------------------


def test_trouble_is_said_once_and_nothing_is_written_until_it_is_over(world: World):
    world >> e.AliasTroubled("disabled", "")
    assert world.commands == [said("alias_troubled", repository="", alias=ALIAS, code="disabled")]
    assert (world >> e.AliasTroubled("disabled", "")).commands == []
    assert (world >> e.AliasTroubled("gone", "")).said == ["alias_troubled"]
    world.alias_timer("of tomorrow").stopped()
    assert [command.add for command in world.all(WriteAlias)] == [(D,)]
    world.observed()
    assert world.commands == [said("alias_well", repository="", alias=ALIAS)]
    assert (world.alias.trouble, world.alias.blocked) == ("", "")


def test_a_decision_tries_all_the_same_and_its_failure_is_on_the_card(world: World):
    world.asked(F) >> e.AliasTroubled("disabled", "")
    assert world.press(F).kinds == ["alias.write", "card.update"]
    world.alias_failed(code="disabled")
    assert (world.request(F).state, world.request(F).detail) == ("failed", "disabled")
    world.observed()
    assert world.last(WriteAlias).add == (F,)
    assert world.opened(F).request(F).state == "approved"


def test_what_ended_during_the_trouble_is_taken_out_after_it(world: World):
    world.asked(F).press(F, "hour").opened(F)
    grant = world.grant(F).grant_id
    world >> e.AliasTroubled("disabled", "")
    world.alias_timer(f"grant:{grant}")
    assert world.last(WriteAlias).remove == ()
    assert world.observed().last(WriteAlias) == WriteAlias(ALIAS, (), (F,))


# --- what is worth recording ----------------------------------------------------------------------------------------------


def known(**other: Any) -> AliasData:
    """One domain is open by us beside an entry of others'."""
    entry = Entry(D, ours=True, confirmed=True, applied="seen", addresses=(address_of(D),))
    grant = Grant("g1x0", D, "r1", CHANNEL, "u", "james", "button", 0, state="held")
    data = {"entries": {D: entry}, "grants": {"g1x0": grant}, "foreign": (BEFORE,), **other}
    return AliasData(ALIAS, **data)


@pytest.mark.parametrize(
    ("look", "data", "news"),
    [
        ({}, {}, False),
        ({"names": (nowhere(D, "unknown"),)}, {}, False),
        ({"entries": (BEFORE,)}, {}, True),
        ({"entries": (BEFORE, D, F)}, {}, True),
        ({"entries": (D,)}, {}, True),
        ({"names": (turned(D),)}, {}, True),
        ({"names": (turned(F),)}, {}, False),
        ({"refused": "not_global", "address": "10.0.0.5"}, {}, True),
        ({"refused": "not_global", "address": "10.0.0.5"}, {"table_trouble": "10.0.0.5"}, False),
        ({}, {"table_trouble": "10.0.0.5"}, True),
        ({}, {"trouble": "disabled"}, True),
        ({}, {"blocked": "forbidden"}, True),
        ({}, {"foreign": None}, True),
        ({}, {"entries": {D: Entry(D, ours=True, confirmed=True, applied="unseen")}}, True),
        ({}, {"entries": {}, "foreign": (BEFORE, D)}, True),
    ],
)
def test_only_a_look_that_found_something_or_has_something_to_do_is_recorded(
    look: dict[str, Any], data: dict[str, Any], news: bool
):
    seen = {"entries": (BEFORE, D), "names": (found(D),), "table": (address_of(D),), **look}
    assert is_news(known(**data), e.AliasObserved(**seen)) is news


def test_trouble_is_recorded_when_it_is_another():
    assert is_news(known(), e.AliasTroubled("disabled", ""))
    assert not is_news(known(trouble="disabled"), e.AliasTroubled("disabled", "again"))
    assert is_news(known(trouble="disabled"), e.AliasTroubled("gone", ""))
