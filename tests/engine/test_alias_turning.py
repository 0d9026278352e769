"""A name that turns to an address that may not be open: before its card, before its approval, an hour later."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from engine_kit import CHANNEL
from wall_kit import AUDIT, HELD, PYPI, VM, Wall

from sm.core.alias import Request
from sm.core.events import Policy

EXAMPLE = "192.175.48.10"
BAD = [
    ("10.0.0.5", "not_global"),
    ("169.254.169.254", "not_global"),
    (VM, "is_peer"),
    ("fd00::5", "not_global"),
]
bad = pytest.mark.parametrize(("address", "code"), BAD)


@pytest.fixture
async def wall(http: aiohttp.ClientSession) -> AsyncIterator[Wall]:
    """A wall with an audit channel, looked at once."""
    wall = Wall(http)
    await wall.peer.start()
    await wall.start(policy=Policy(audit_channel=AUDIT))
    await wall.look()
    yield wall
    await wall.crash()
    await wall.peer.stop()


def turn(wall: Wall, *addresses: str, name: str = "pypi.org") -> None:
    """For our resolver and the firewall's."""
    wall.zone.set(name, addresses, "ok" if addresses else "nxdomain")


def turn_at_the_firewall(wall: Wall, *addresses: str, name: str = "pypi.org") -> None:
    """For the firewall's resolver alone: ours has the answer of before."""
    wall.dns.says(name, *wall.zone.lookup(name))
    turn(wall, *addresses, name=name)


async def an_hour_passes(wall: Wall) -> None:
    """Both have resolved anew, and the reconciler has looked."""
    await wall.pass_s(3600)
    await wall.refresh()
    await wall.look()


def is_closed(wall: Wall, request: Request, code: str, address: str) -> None:
    """The request says why, the grant is withdrawn, and neither alias nor table has anything of it."""
    assert (wall.state(request), wall.detail(request)) == ("closed", f"{code} {address}")
    grant = wall.grant("pypi.org")
    assert (grant.state, grant.reason) == ("withdrawn", code)
    assert "pypi.org" not in wall.content
    assert wall.open.isdisjoint({address, PYPI})
    (said,) = wall.said("withdrawn")
    assert (said["domain"], said["reason"], said["address"]) == ("pypi.org", code, address)
    assert (said["stays"], said["channel"]) == ("", AUDIT)
    wall.is_whole()


# --- before the card ------------------------------------------------------------------------------------------------------


@bad
async def test_before_its_card_it_is_refused_and_nobody_is_asked(wall: Wall, address: str, code: str) -> None:
    turn(wall, PYPI, address)
    assert await wall.ask("pypi.org") == []
    assert wall.engine.issued("card.post") == []
    assert wall.heard() == [("denied", "pypi.org")]
    (said,) = wall.said("domain_refused")
    assert (said["domain"], said["code"], said["hint"], said["channel"]) == (
        "pypi.org",
        code,
        address,
        CHANNEL,
    )


async def test_what_leads_nowhere_is_asked_about_all_the_same(wall: Wall) -> None:
    turn(wall)
    (request,) = await wall.ask("pypi.org")
    assert wall.state(request) == "pending"
    (posted,) = wall.engine.issued("card.post")
    assert posted.command.view.rows[0].status == "none"  # type: ignore[attr-defined]


@bad
async def test_by_a_command_it_is_refused_too(wall: Wall, address: str, code: str) -> None:
    turn(wall, address)
    await wall.command("approve", "pypi.org")
    assert wall.content == [HELD]
    assert wall.ours == []
    assert wall.data.live() == []


# --- between card and approval ---------------------------------------------------------------------------------------------


@bad
async def test_between_card_and_approval_nothing_is_written(wall: Wall, address: str, code: str) -> None:
    (request,) = await wall.ask("pypi.org")
    turn(wall, address)
    await wall.press(request)
    is_closed(wall, request, code, address)
    assert wall.ours == []
    assert wall.heard() == [("denied", "pypi.org")]


async def test_to_nothing_between_card_and_approval_it_fails_and_opens_when_it_is_back(wall: Wall) -> None:
    (request,) = await wall.ask("pypi.org")
    turn(wall)
    await wall.press(request)
    assert (wall.state(request), wall.detail(request)) == ("failed", "unresolved")
    assert wall.ours == []
    turn(wall, PYPI)
    await wall.press(request, "retry")
    assert wall.state(request) == "approved"
    assert wall.heard() == [("failed", "pypi.org"), ("approved", "pypi.org")]


@bad
async def test_turned_between_two_names_the_other_is_opened(wall: Wall, address: str, code: str) -> None:
    turned, good = await wall.ask("pypi.org", "example.com")
    turn(wall, address)
    await wall.press(turned, wait=False)
    await wall.press(good)
    is_closed(wall, turned, code, address)
    assert wall.state(good) == "approved"
    assert EXAMPLE in wall.open


# --- at approval, where the firewall alone is told so ---------------------------------------------------------------------


@bad
async def test_what_the_firewalls_table_shows_is_taken_out_before_anybody_is_told_approved(
    wall: Wall, address: str, code: str
) -> None:
    (request,) = await wall.ask("pypi.org")
    turn_at_the_firewall(wall, address)
    await wall.press(request)
    is_closed(wall, request, code, address)
    assert wall.heard() == [("denied", "pypi.org")]
    assert len(wall.ours) == 2


@bad
async def test_beside_a_good_address_it_is_taken_out_too(wall: Wall, address: str, code: str) -> None:
    (request,) = await wall.ask("pypi.org")
    turn_at_the_firewall(wall, PYPI, address)
    await wall.press(request)
    is_closed(wall, request, code, address)
    assert wall.heard() == [("denied", "pypi.org")]


async def test_of_many_approved_at_once_only_the_one_that_the_table_shows_is_closed(wall: Wall) -> None:
    names = [f"n{number}.example" for number in range(12)]
    for number, name in enumerate(names):
        wall.zone.set(name, [f"192.52.193.{100 + number}"])
    requests = await wall.ask(*names)
    turn_at_the_firewall(wall, "10.0.0.5", name="n7.example")
    for request in requests:
        await wall.press(request, wait=False)
    await wall.quiet()
    states = {request.domain: wall.state(request) for request in requests}
    assert states.pop("n7.example") == "closed"
    assert set(states.values()) == {"approved"}
    assert "10.0.0.5" not in wall.open
    await wall.look()
    wall.is_whole()


async def test_seen_by_a_retry_it_is_taken_out_too(wall: Wall) -> None:
    """The table of before that write is long gone."""
    wall.arm("reconfigure_lost")
    (request,) = await wall.approve("pypi.org")
    assert wall.detail(request) == "unseen"
    turn_at_the_firewall(wall, "10.0.0.5")
    await wall.press(request, "retry")
    is_closed(wall, request, "not_global", "10.0.0.5")
    assert ("approved", "pypi.org") not in wall.heard()


async def test_another_name_of_ours_that_turned_meanwhile_is_not_laid_at_the_door_of_the_new_one(
    wall: Wall,
) -> None:
    (old,) = await wall.approve("pypi.org")
    turn_at_the_firewall(wall, "10.0.0.5")
    wall.faults.set_scale("opnsense.refresh", 0)  # the reload for the new one resolves the old one, too
    (new,) = await wall.approve("example.com")
    await wall.resting()
    is_closed(wall, old, "not_global", "10.0.0.5")
    assert wall.state(new) == "approved"
    assert EXAMPLE in wall.open


# --- an hour later ----------------------------------------------------------------------------------------------------------


@bad
@pytest.mark.parametrize("action", ["approve", "session"])
async def test_an_hour_later_it_is_taken_out_and_needs_a_new_decision(
    wall: Wall, action: str, address: str, code: str
) -> None:
    (request,) = await wall.approve("pypi.org", action=action)
    turn(wall, address)
    await an_hour_passes(wall)
    is_closed(wall, request, code, address)
    turn(wall, PYPI)  # and back
    for _ in range(2):
        await an_hour_passes(wall)
    assert wall.content == [HELD]
    (again,) = await wall.approve("pypi.org")
    assert wall.state(again) == "approved"
    assert PYPI in wall.open
    assert len(wall.said("withdrawn")) == 1
    wall.is_whole()


@bad
async def test_an_hour_later_where_the_firewall_alone_is_told_so(wall: Wall, address: str, code: str) -> None:
    await wall.approve("example.com")
    (request,) = await wall.approve("pypi.org")
    turn_at_the_firewall(wall, address)
    await an_hour_passes(wall)
    is_closed(wall, request, code, address)
    assert wall.grant("example.com").state == "held"
    assert EXAMPLE in wall.open
    assert wall.said("table_odd") == []


@bad
async def test_an_hour_later_where_our_resolver_alone_is_told_so(wall: Wall, address: str, code: str) -> None:
    (request,) = await wall.approve("pypi.org")
    wall.dns.says("pypi.org", PYPI, address)
    await an_hour_passes(wall)
    is_closed(wall, request, code, address)


async def test_beside_its_good_address_in_the_table_the_only_name_of_ours_is_the_one(wall: Wall) -> None:
    (request,) = await wall.approve("pypi.org")
    turn_at_the_firewall(wall, PYPI, "10.0.0.5")
    await an_hour_passes(wall)
    is_closed(wall, request, "not_global", "10.0.0.5")


async def test_beside_good_addresses_of_several_it_is_said_that_one_of_them_is(wall: Wall) -> None:
    """The table does not tell whose an address is."""
    await wall.approve("pypi.org", "example.com")
    turn_at_the_firewall(wall, PYPI, "10.0.0.5")
    for _ in range(2):
        await an_hour_passes(wall)
    (said,) = wall.said("table_odd")
    assert (said["reason"], said["address"], said["channel"]) == ("not_global", "10.0.0.5", AUDIT)


async def test_of_several_that_turned_each_is_withdrawn_for_its_own_address(wall: Wall) -> None:
    await wall.approve("pypi.org", "example.com", "crates.io")
    turn(wall, "10.0.0.5")
    turn(wall, VM, name="crates.io")
    await an_hour_passes(wall)
    assert {(said["domain"], said["address"]) for said in wall.said("withdrawn")} == {
        ("pypi.org", "10.0.0.5"),
        ("crates.io", VM),
    }
    assert wall.content == [HELD, "example.com"]
    wall.is_whole()


async def test_an_entry_of_somebody_elses_that_turned_stays_and_that_is_said(wall: Wall) -> None:
    await wall.edit("pypi.org")
    (request,) = await wall.approve("pypi.org")
    turn(wall, "10.0.0.5")
    await an_hour_passes(wall)
    assert wall.state(request) == "closed"
    assert wall.grant("pypi.org").state == "withdrawn"
    (said,) = wall.said("withdrawn")
    assert said["stays"] == "yes"
    assert wall.content == [HELD, "pypi.org"]
    assert wall.ours == []


async def test_to_nothing_an_hour_later_the_decision_stands_and_it_opens_again_by_itself(wall: Wall) -> None:
    (request,) = await wall.approve("pypi.org")
    turn(wall)
    await an_hour_passes(wall)
    assert PYPI not in wall.open  # the firewall drops the addresses of a name without an answer
    assert (wall.state(request), wall.grant("pypi.org").state) == ("approved", "held")
    turn(wall, PYPI)
    await an_hour_passes(wall)
    assert PYPI in wall.open
    assert wall.said("withdrawn") == []
    assert len(wall.ours) == 1


async def test_a_resolver_that_does_not_answer_closes_nothing(wall: Wall) -> None:
    await wall.approve("pypi.org")
    wall.dns.says("pypi.org", unknown=True)
    await an_hour_passes(wall)
    assert wall.grant("pypi.org").state == "held"
    assert PYPI in wall.open


async def test_turned_while_the_firewall_is_away_it_is_taken_out_when_it_is_back(wall: Wall) -> None:
    (request,) = await wall.approve("pypi.org")
    turn(wall, "10.0.0.5")
    wall.arm("unavailable", times=None)
    await wall.look()
    assert wall.state(request) == "approved"
    wall.faults.clear()
    await an_hour_passes(wall)
    is_closed(wall, request, "not_global", "10.0.0.5")


async def test_turned_where_the_table_can_not_be_seen_our_resolver_is_what_counts(wall: Wall) -> None:
    wall.arm("forbidden", times=None, group="alias_util")
    (request,) = await wall.approve("pypi.org")
    turn(wall, "10.0.0.5")
    await an_hour_passes(wall)
    is_closed(wall, request, "not_global", "10.0.0.5")


async def test_a_removal_that_fails_is_made_again_after_the_next_look(wall: Wall) -> None:
    await wall.approve("pypi.org")
    turn(wall, "10.0.0.5")
    wall.arm("readonly_user", times=1)
    await an_hour_passes(wall)
    await wall.look()
    assert wall.content == [HELD]
    assert len(wall.said("withdrawn")) == 1
    wall.is_whole()


async def test_what_turned_while_we_were_away_is_found_by_the_first_look(bare_wall: Wall) -> None:
    await bare_wall.start()
    (request,) = await bare_wall.approve("pypi.org")
    await bare_wall.crash()
    turn(bare_wall, "10.0.0.5")
    await bare_wall.refresh()
    await bare_wall.start()
    await bare_wall.look()
    assert (bare_wall.state(request), bare_wall.content) == ("closed", [HELD])
    assert "10.0.0.5" not in bare_wall.open


async def test_a_removal_that_the_firewall_did_not_load_is_loaded_at_the_next_look_and_costs_no_other_name(
    wall: Wall,
) -> None:
    await wall.approve("example.com")
    (request,) = await wall.approve("pypi.org")
    turn(wall, "10.0.0.5")
    await wall.refresh()
    wall.arm("reconfigure_lost")
    await wall.look()  # takes it out, and looks at once again
    await wall.look()
    is_closed(wall, request, "not_global", "10.0.0.5")
    assert wall.grant("example.com").state == "held"
    assert EXAMPLE in wall.open
