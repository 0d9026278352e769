"""Looking at the alias: what others changed is said once, what they took out is not put back, silence is the rule."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from engine_kit import ALIAS, ALIAS_STREAM, CHANNEL, until
from wall_kit import AUDIT, HELD, INTERVAL_S, PYPI, Killed, Wall, die

from sm.core.events import Policy, StreamQuarantined
from sm.engine.blame import find_odd
from sm.engine.names import Names
from sm.resolver import Resolver
from sm.sandbox.network.dns import NameServer
from sm.sandbox.network.names import Names as Zone

ODD = (
    f"{'x' * 64}.example",
    f"{'.'.join(['abcdefgh'] * 31)}.example",
    "münchen.example",
    "10.0.0.1-10.0.0.9",
    "!10.7.0.1",
    "single",
    "llm_net",
    "1.2.3.4.example",
    "UPPER.example",
)


@pytest.fixture
async def watched(http: aiohttp.ClientSession) -> AsyncIterator[Wall]:
    """A wall with an audit channel, looked at once."""
    wall = Wall(http)
    await wall.peer.start()
    await wall.start(policy=Policy(audit_channel=AUDIT))
    await wall.look()
    yield wall
    await wall.crash()
    await wall.peer.stop()


def looks(wall: Wall) -> int:
    return len(wall.engine.recorded("alias.observed"))


def messages(wall: Wall) -> list[str]:
    """What was said anywhere."""
    return [issued.command.message for issued in wall.engine.issued("chat.say")]  # type: ignore[attr-defined]


# --- silence --------------------------------------------------------------------------------------------------------------


async def test_the_first_look_learns_what_is_there_and_says_nothing(wall: Wall) -> None:
    await wall.edit("somebody.example", "10.1.2.3")
    await wall.look()
    assert wall.data.foreign == (HELD, "somebody.example", "10.1.2.3")
    assert messages(wall) == []


async def test_nothing_is_recorded_when_nothing_differs(watched: Wall) -> None:
    await watched.approve("pypi.org")
    await watched.look()
    before = len(await watched.engine.rows())
    for _ in range(3):
        await watched.look()
    assert len(await watched.engine.rows()) == before
    assert watched.watch.slept[-1] == INTERVAL_S


async def test_a_look_only_reads(watched: Wall) -> None:
    watched.line.wire.clear()
    await watched.look()
    assert watched.line.wire == ["alias_util/list", "alias/getAliasUUID", "alias/export"]


async def test_after_a_change_that_took_effect_one_looks_at_once(watched: Wall) -> None:
    await watched.approve("pypi.org")
    await watched.resting()
    after = watched.line.wire[watched.line.wire.index("alias/reconfigure") :]
    assert "alias/export" in after
    assert watched.watch.ms == watched.clock.ms  # no interval passed


async def test_a_firewall_that_is_away_changes_nothing_and_is_asked_again_at_the_next_interval(
    watched: Wall,
) -> None:
    await watched.approve("pypi.org")
    await watched.resting()
    before = len(await watched.engine.rows())
    watched.arm("unavailable", times=None)
    await watched.look()
    assert (len(await watched.engine.rows()), watched.data.trouble) == (before, "")
    watched.faults.clear()
    await watched.edit(remove=["pypi.org"])
    await watched.look()
    assert watched.grant("pypi.org").state == "withdrawn"


async def test_a_quarantined_alias_is_not_looked_at(watched: Wall) -> None:
    await watched.engine.happen(ALIAS_STREAM, StreamQuarantined("a test", 1))
    watched.line.wire.clear()
    await watched.look()
    assert watched.line.wire == []


# --- an entry of ours that vanished ------------------------------------------------------------------------------------


async def test_what_an_administrator_took_out_is_withdrawn_said_once_and_not_written_again(
    watched: Wall,
) -> None:
    (request,) = await watched.approve("pypi.org")
    await watched.edit(remove=["pypi.org"])
    for _ in range(3):
        await watched.look()
    assert watched.grant("pypi.org").state == "withdrawn"
    assert (watched.state(request), watched.detail(request)) == ("closed", "taken_out")
    (said,) = watched.said("withdrawn")
    assert (said["domain"], said["reason"], said["channel"]) == ("pypi.org", "taken_out", AUDIT)
    assert "pypi.org" not in watched.content
    assert len(watched.ours) == 1
    watched.is_whole()


async def test_without_an_audit_channel_it_is_said_where_it_was_decided(wall: Wall) -> None:
    await wall.look()
    await wall.approve("pypi.org")
    await wall.edit(remove=["pypi.org"])
    await wall.look()
    (said,) = wall.said("withdrawn")
    assert said["channel"] == CHANNEL


async def test_what_was_taken_out_needs_a_new_decision_and_has_it(watched: Wall) -> None:
    await watched.approve("pypi.org")
    await watched.edit(remove=["pypi.org"])
    await watched.look()
    (again,) = await watched.approve("pypi.org")
    assert watched.state(again) == "approved"
    assert watched.grant("pypi.org").state == "held"
    assert "pypi.org" in watched.content
    watched.is_whole()


async def test_what_was_taken_out_while_we_were_away_is_found_by_the_first_look(bare_wall: Wall) -> None:
    await bare_wall.start()
    await bare_wall.approve("pypi.org")
    await bare_wall.crash()
    await bare_wall.edit(remove=["pypi.org"])
    await bare_wall.start()
    await bare_wall.look()
    assert bare_wall.grant("pypi.org").state == "withdrawn"
    assert len(bare_wall.said("withdrawn")) == 1
    assert "pypi.org" not in bare_wall.content


async def test_what_was_taken_out_is_found_by_the_reading_before_the_next_write_too(wall: Wall) -> None:
    await wall.approve("pypi.org")
    await wall.edit(remove=["pypi.org"])
    await wall.approve("example.com")
    assert wall.grant("pypi.org").state == "withdrawn"
    assert wall.content == [HELD, "example.com"]
    wall.is_whole()


async def test_what_vanished_before_it_was_read_back_is_ours_to_write_again(bare_wall: Wall) -> None:
    await bare_wall.start()
    bare_wall.line.at("after", "alias/setItem", die)
    (request,) = await bare_wall.ask("pypi.org")
    await bare_wall.press(request, wait=False)
    await bare_wall.killed()
    assert "pypi.org" in bare_wall.content
    await bare_wall.edit(remove=["pypi.org"])
    await bare_wall.start()
    await bare_wall.quiet()
    await bare_wall.look()
    assert bare_wall.state(request) == "approved"
    assert "pypi.org" in bare_wall.content
    assert bare_wall.said("withdrawn") == []
    bare_wall.is_whole()


# --- an entry that nobody granted ----------------------------------------------------------------------------------------


async def test_an_entry_that_nobody_granted_is_said_once_in_the_audit_channel(watched: Wall) -> None:
    await watched.edit("somebody.example")
    for _ in range(3):
        await watched.look()
    (said,) = watched.said("alias_foreign")
    assert (said["entries"], said["channel"]) == ("somebody.example", AUDIT)
    assert "somebody.example" in watched.content


async def test_it_is_said_once_too_when_a_write_of_ours_finds_it(watched: Wall) -> None:
    await watched.edit("somebody.example")
    await watched.approve("pypi.org")
    await watched.resting()
    await watched.look()
    assert [said["entries"] for said in watched.said("alias_foreign")] == ["somebody.example"]


async def test_it_is_said_once_over_a_restart(bare_wall: Wall) -> None:
    await bare_wall.start(policy=Policy(audit_channel=AUDIT))
    await bare_wall.look()
    await bare_wall.edit("somebody.example")
    await bare_wall.look()
    assert len(bare_wall.said("alias_foreign")) == 1
    await bare_wall.crash()
    await bare_wall.start()
    await bare_wall.look()
    assert bare_wall.said("alias_foreign") == []


async def test_what_was_there_before_its_grant_stays_after_it_is_taken_back_and_that_is_said(
    watched: Wall,
) -> None:
    await watched.edit("pypi.org")
    await watched.approve("pypi.org")
    assert watched.entry("pypi.org") is not None
    assert not watched.is_ours("pypi.org")
    await watched.command("revoke", "pypi.org")
    await watched.look()
    assert "pypi.org" in watched.content
    assert [said["domain"] for said in watched.said("revoked_but_foreign")] == ["pypi.org"]
    assert watched.said("revoked") == []
    assert watched.ours == []
    watched.is_whole()


async def test_what_was_taken_out_and_put_back_by_an_administrator_is_theirs(watched: Wall) -> None:
    await watched.approve("pypi.org")
    await watched.edit(remove=["pypi.org"])
    await watched.look()
    await watched.edit("pypi.org")
    await watched.look()
    assert [said["entries"] for said in watched.said("alias_foreign")] == ["pypi.org"]
    await watched.approve("pypi.org", session="s2")
    await watched.command("revoke", "pypi.org")
    assert "pypi.org" in watched.content


# --- trouble with the alias itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "mended", "code"),
    [
        ({"enabled": False}, {"enabled": True}, "alias_disabled"),
        ({"type": "network"}, {"type": "host"}, "alias_wrong_type"),
        ({"name": "renamed"}, {"alias": "renamed", "name": ALIAS}, "alias_missing"),
    ],
)
async def test_an_alias_that_cannot_work_is_said_once_and_once_when_it_is_well(
    watched: Wall, broken: dict[str, Any], mended: dict[str, Any], code: str
) -> None:
    await watched.approve("pypi.org")
    await watched.resting()
    await watched.change(**broken)
    for _ in range(3):
        await watched.look()
    (said,) = watched.said("alias_troubled")
    assert (said["code"], said["alias"], said["channel"]) == (code, ALIAS, AUDIT)
    assert watched.grant("pypi.org").state == "held"  # nobody took it out
    await watched.change(**mended)
    for _ in range(3):
        await watched.look()
    assert len(watched.said("alias_well")) == len(watched.said("alias_troubled")) == 1
    assert PYPI in watched.open
    assert len(watched.ours) == 1
    watched.is_whole()


@pytest.mark.parametrize("fault", ["forbidden", "unauthorized"])
async def test_a_firewall_that_lets_us_not_look_is_said_once(watched: Wall, fault: str) -> None:
    watched.arm(fault, times=None)
    for _ in range(2):
        await watched.look()
    assert [said["code"] for said in watched.said("alias_troubled")] == [fault]


async def test_an_alias_that_is_removed_is_said_and_nothing_makes_another(watched: Wall) -> None:
    await watched.approve("pypi.org")
    await watched.change(missing=True)
    for _ in range(2):
        await watched.look()
    assert [said["code"] for said in watched.said("alias_troubled")] == ["alias_missing"]
    aliases: Any = watched.peer.state()["aliases"]
    assert ALIAS not in aliases


async def test_trouble_is_said_anew_when_it_is_another(watched: Wall) -> None:
    await watched.change(enabled=False)
    await watched.look()
    await watched.change(type="network")
    await watched.look()
    assert [said["code"] for said in watched.said("alias_troubled")] == ["alias_disabled", "alias_wrong_type"]


async def test_what_was_to_leave_during_the_trouble_leaves_after_it(watched: Wall) -> None:
    await watched.approve("pypi.org", action="hour")
    await watched.resting()
    await watched.change(enabled=False)
    await watched.look()
    await watched.pass_s(3601)
    assert "pypi.org" in watched.content
    await watched.change(enabled=True)
    await watched.look()
    assert watched.content == [HELD]
    assert PYPI not in watched.open
    watched.is_whole()


# --- a look and a write at the same time ---------------------------------------------------------------------------------


async def test_a_look_that_a_write_came_into_says_nothing_and_is_done_again(watched: Wall) -> None:
    (request,) = await watched.ask("pypi.org")
    await watched.approve("example.com")
    await watched.resting()
    before = looks(watched)
    watched.dns.hold = hold = asyncio.Event()
    await watched.watch.pass_s(INTERVAL_S)
    await until(lambda: watched.dns.hold is None, "the look's question")
    await watched.press(request)  # written and applied while the look waits
    assert watched.state(request) == "approved"
    assert looks(watched) == before
    hold.set()
    await watched.resting()
    assert watched.grant("pypi.org").state == "held"
    assert watched.said("withdrawn") == []
    assert watched.said("alias_foreign") == []
    watched.is_whole()


async def test_a_look_does_not_begin_while_a_write_is_under_way(watched: Wall) -> None:
    (request,) = await watched.ask("pypi.org")
    go_on = asyncio.Event()
    watched.line.at("before", "alias/setItem", lambda: asyncio.wait_for(go_on.wait(), 10))  # type: ignore[arg-type]
    await watched.press(request, wait=False)
    await until(lambda: "alias/setItem" in watched.line.wire, "the write")
    asked = len(watched.line.wire)
    await watched.watch.pass_s(INTERVAL_S)
    await until(lambda: watched.watch.slept[-1] == 1.0, "the look that waits")
    assert len(watched.line.wire) == asked
    go_on.set()
    await watched.resting()
    assert watched.state(request) == "approved"


# --- what shows by now -----------------------------------------------------------------------------------------------------


async def test_what_was_unseen_is_open_as_soon_as_a_look_sees_it(watched: Wall) -> None:
    watched.arm("reconfigure_ignored")
    watched.cron = False
    (request,) = await watched.approve("pypi.org")
    assert (watched.state(request), watched.detail(request)) == ("failed", "unseen")
    await watched.peer.actions["opnsense/cron"]({})
    await watched.look()
    assert watched.state(request) == "approved"
    assert watched.heard() == [("failed", "pypi.org"), ("approved", "pypi.org")]
    assert len(watched.ours) == 1


async def test_what_is_still_unseen_is_applied_once_more(watched: Wall) -> None:
    watched.arm("reconfigure_lost")
    (request,) = await watched.approve("pypi.org")
    assert watched.detail(request) == "unseen"
    await watched.look()
    assert watched.state(request) == "approved"
    assert PYPI in watched.open
    assert (len(watched.ours), watched.reconfigures) == (1, 2)


# --- what others have in the alias may be anything -----------------------------------------------------------------------


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    """The real one, before the sandbox's DNS server."""
    server = NameServer(Zone())
    await server.start()
    yield Resolver(server.address, timeout_s=1)
    await server.stop()


async def test_whatever_others_entered_a_look_comes_to_its_end(watched: Wall, resolver: Resolver) -> None:
    watched.dns.resolve = resolver.resolve  # type: ignore[method-assign]
    await watched.edit(*ODD)
    await watched.approve("pypi.org")
    await watched.look()
    assert watched.data.foreign == (HELD, *ODD)
    assert watched.grant("pypi.org").state == "held"
    await watched.command("revoke", "pypi.org")
    assert watched.content == [HELD, *ODD]


async def test_an_address_of_somebody_elses_range_or_network_blames_nobody(watched: Wall) -> None:
    await watched.approve("pypi.org")
    await watched.edit("10.0.0.1-10.0.0.9", "10.1.2.3", "!10.7.0.1", "fd00::1")
    await watched.look()
    assert (watched.data.table_trouble, watched.said("table_odd")) == ("", [])
    assert watched.grant("pypi.org").state == "held"


async def test_what_others_enter_during_a_look_is_laid_at_nobodys_door(watched: Wall) -> None:
    await watched.approve("pypi.org")
    await watched.resting()
    for when in ("before", "after"):
        for endpoint in ("alias_util/list", "alias/export"):
            address = f"10.{when == 'after':d}.{endpoint == 'alias/export':d}.9"
            watched.line.at(when, endpoint, lambda address=address: watched.edit(address))
            await watched.look()
            watched.line.at(when, endpoint, lambda address=address: watched.edit(remove=[address]))
            await watched.look()
            await watched.look()
    assert watched.grant("pypi.org").state == "held"
    assert watched.said("table_odd") == []


@pytest.mark.parametrize("entry", ["intranet.example", "llm_net"])
async def test_an_address_that_an_entry_of_somebody_else_may_explain_is_said_once_and_blames_nobody(
    watched: Wall, entry: str
) -> None:
    """Their name is known to the firewall's resolver alone, or it is another alias; ours has moved elsewhere."""
    await watched.approve("pypi.org")
    watched.zone.set("intranet.example", ["10.9.0.7"])
    watched.dns.says("intranet.example")
    watched.zone.set("pypi.org", ["192.52.193.99"])
    await watched.edit(entry)
    for _ in range(3):
        await watched.look()
    assert watched.grant("pypi.org").state == "held"
    (said,) = watched.said("table_odd")
    assert (said["reason"], said["channel"]) == ("not_global", AUDIT)
    assert said["address"] in ("10.9.0.7", "10.9.0.0/24")


async def test_a_resolver_that_is_away_blames_nobody(watched: Wall) -> None:
    await watched.edit("intranet.example")
    watched.zone.set("intranet.example", ["10.9.0.7"])
    await watched.approve("pypi.org", "example.com")
    await watched.refresh()
    for name in ("pypi.org", "example.com", "intranet.example", HELD):
        watched.dns.says(name, unknown=True)
    await watched.look()
    assert {grant.state for grant in watched.data.grants.values()} == {"held"}
    assert watched.said("withdrawn") == []


async def test_an_odd_address_costs_a_bounded_number_of_questions(watched: Wall) -> None:
    watched.dns.asked.clear()
    names = Names(watched.dns, (), watched.clock)  # type: ignore[arg-type]
    entries = [f"n{number}.example" for number in range(5000)]
    odd = await find_odd(names, ["10.0.0.5"], table=["10.0.0.5"], entries=entries, data=watched.data)
    assert (odd.code, odd.address, odd.suspects) == ("not_global", "10.0.0.5", ())
    assert len(watched.dns.asked) <= 200


def test_a_kill_is_no_error_that_a_rule_could_catch() -> None:
    assert not issubclass(Killed, Exception)
