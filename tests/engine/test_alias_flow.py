"""Decisions before a real firewall: what is approved is open, what ends is closed, and what is said is true."""

from __future__ import annotations

import asyncio

import pytest
from engine_kit import CHANNEL, JAMES, SARAH, until
from wall_kit import HELD, PYPI, Wall

from sm.core.events import DomainSet, NetworkListRequested, NetworkSessionEnded, Policy
from sm.core.streams import alias as stream_of

EXAMPLE = "192.175.48.10"
OTHER = "d" * 26


# --- for how long -------------------------------------------------------------------------------------------------------


async def test_an_approval_is_told_only_when_the_firewall_has_it(wall: Wall) -> None:
    open_when_told: list[bool] = []
    wall.engine.writer.listen(
        lambda committed: open_when_told.extend(
            PYPI in wall.open for r in committed.events if r.event.KIND == "network.approved"
        )
    )
    (request,) = await wall.approve("pypi.org")
    assert (wall.state(request), open_when_told) == ("approved", [True])
    assert len(wall.ours) == wall.reconfigures == 1
    assert [domain for domain, _ in wall.tried] == ["pypi.org"]
    assert wall.heard() == [("approved", "pypi.org")]
    assert wall.last("network.approved").reachable


@pytest.mark.parametrize("state", ["unreachable", "unknown"])
async def test_what_no_container_reaches_is_approved_and_said_to_be_not_reachable_yet(
    wall: Wall, state: str
) -> None:
    wall.reaches["pypi.org"] = state
    (request,) = await wall.approve("pypi.org")
    assert wall.state(request) == "approved"
    assert not wall.last("network.approved").reachable
    assert wall.data.requests[request.request_id].reach == state


async def test_a_container_tries_for_ninety_seconds_from_when_it_was_saved(wall: Wall) -> None:
    await wall.approve("pypi.org")
    assert wall.tried == [("pypi.org", 90.0)]


async def test_approved_for_good_it_stays_when_time_passes_and_sessions_end(wall: Wall) -> None:
    await wall.approve("pypi.org")
    await wall.pass_s(100 * 3600)
    await wall.end()
    await wall.look()
    assert PYPI in wall.open
    wall.is_whole()


async def test_an_hour_ends_after_an_hour(wall: Wall) -> None:
    (request,) = await wall.approve("pypi.org", action="hour")
    await wall.pass_s(3599)
    assert PYPI in wall.open
    await wall.pass_s(2)
    assert (wall.state(request), wall.detail(request)) == ("closed", "expired")
    assert (wall.content, PYPI in wall.open) == ([HELD], False)
    wall.is_whole()


async def test_an_hour_that_ends_while_we_are_away_ends_at_the_next_start(bare_wall: Wall) -> None:
    await bare_wall.start()
    await bare_wall.approve("pypi.org", action="hour")
    await bare_wall.crash()
    bare_wall.clock.ms += 7_200_000
    await bare_wall.start()
    await until(lambda: not bare_wall.data.grants)
    await bare_wall.quiet()
    assert bare_wall.content == [HELD]
    assert PYPI not in bare_wall.open


async def test_with_its_session_ends_what_was_open_for_it(wall: Wall) -> None:
    (request,) = await wall.approve("pypi.org", action="session")
    assert PYPI in wall.open
    await wall.end()
    assert "pypi.org" not in wall.content
    assert PYPI not in wall.open
    assert request.request_id not in wall.data.requests  # nobody asks about it any more
    wall.is_whole()


async def test_a_domain_stays_while_any_grant_holds_it(wall: Wall) -> None:
    await wall.approve("pypi.org", action="session", session="s1")
    await wall.approve("pypi.org", action="session", session="s2")
    await wall.end("s1")
    assert PYPI in wall.open
    await wall.end("s2")
    assert PYPI not in wall.open
    assert len(wall.ours) == 2
    wall.is_whole()


async def test_a_longer_approval_outlives_the_hour_before_it(wall: Wall) -> None:
    await wall.approve("pypi.org", action="hour")
    await wall.command("approve", "pypi.org")
    await wall.pass_s(3700)
    assert PYPI in wall.open
    assert wall.grant("pypi.org").scope == ""
    assert len(wall.ours) == 1


async def test_revoked_it_is_out_of_the_alias_and_the_table_before_that_is_said(wall: Wall) -> None:
    await wall.approve("pypi.org")
    open_when_said: list[bool] = []
    wall.engine.writer.listen(
        lambda committed: open_when_said.extend(
            PYPI in wall.open
            for issued in committed.commands
            if getattr(issued.command, "message", "") == "revoked"
        )
    )
    await wall.command("revoke", "pypi.org")
    assert (wall.content, open_when_said) == ([HELD], [False])
    (said,) = wall.said("revoked")
    assert (said["domain"], said["user"], said["resolved"], said["channel"]) == (
        "pypi.org",
        "sarah",
        "seen",
        CHANNEL,
    )
    wall.is_whole()


async def test_revoked_while_the_firewall_is_away_it_is_answered_when_it_is_out(wall: Wall) -> None:
    await wall.approve("pypi.org")
    wall.arm("unavailable", times=None)
    await wall.command("revoke", "pypi.org", wait=False)
    await until(lambda: len(wall.hasty.slept) > 2, "some tries")
    assert wall.said("revoked") == []
    wall.faults.clear()
    await wall.quiet()
    assert len(wall.said("revoked")) == 1
    assert wall.content == [HELD]


async def test_a_revocation_whose_reload_did_nothing_is_not_said_to_be_seen(wall: Wall) -> None:
    await wall.approve("pypi.org")
    wall.arm("reconfigure_lost")
    await wall.command("revoke", "pypi.org")
    (said,) = wall.said("revoked")
    assert (said["resolved"], PYPI in wall.open) == ("unseen", True)


async def test_and_is_loaded_at_the_next_look(wall: Wall) -> None:
    await wall.look()
    await wall.approve("pypi.org")
    await wall.resting()
    wall.arm("reconfigure_lost")
    await wall.command("revoke", "pypi.org")
    await wall.look()
    assert PYPI not in wall.open
    assert len(wall.said("revoked")) == 1


async def test_an_address_that_somebody_elses_entry_keeps_open_is_waited_for_twice_and_no_more(
    wall: Wall,
) -> None:
    await wall.edit("mirror.example")
    wall.zone.set("mirror.example", wall.zone.lookup("pypi.org"))
    await wall.refresh()
    await wall.look()
    await wall.approve("pypi.org")
    await wall.command("revoke", "pypi.org")
    for _ in range(4):
        await wall.look()
    (said,) = wall.said("revoked")
    assert (said["resolved"], PYPI in wall.open) == ("unseen", True)
    assert wall.reconfigures == 3


async def test_nor_when_the_name_has_moved_since_it_was_approved(wall: Wall) -> None:
    """The table's addresses are others than those we knew when it was approved: their leaving must be seen, too."""
    await wall.approve("pypi.org")
    wall.zone.set("pypi.org", ["192.52.193.99"])
    await wall.refresh()
    wall.arm("reconfigure_lost")
    await wall.command("revoke", "pypi.org")
    (said,) = wall.said("revoked")
    assert "192.52.193.99" in wall.open
    assert said["resolved"] == "unseen"


async def test_nor_when_only_the_firewall_knows_where_it_has_moved(wall: Wall) -> None:
    wall.dns.says("pypi.org", PYPI)
    await wall.approve("pypi.org")
    wall.zone.set("pypi.org", ["192.52.193.99"])
    await wall.refresh()
    wall.arm("reconfigure_lost")
    await wall.command("revoke", "pypi.org")
    (said,) = wall.said("revoked")
    assert "192.52.193.99" in wall.open
    assert said["resolved"] == "unseen"


# --- no, and again ------------------------------------------------------------------------------------------------------


async def test_denied_nothing_is_written(wall: Wall) -> None:
    (request,) = await wall.ask("pypi.org")
    wall.line.wire.clear()
    await wall.press(request, "deny")
    assert (wall.state(request), wall.line.wire) == ("denied", [])
    assert wall.heard() == [("denied", "pypi.org")]


async def test_a_failure_is_told_and_a_retry_after_mending_it_opens_the_domain(wall: Wall) -> None:
    await wall.change(enabled=False)
    (request,) = await wall.approve("pypi.org")
    assert (wall.state(request), wall.detail(request)) == ("failed", "alias_disabled")
    assert wall.ours == []
    await wall.change(enabled=True)
    await wall.press(request, "retry")
    assert wall.state(request) == "approved"
    assert PYPI in wall.open
    assert (len(wall.ours), len(wall.engine.recorded("network.decided"))) == (1, 2)
    assert wall.grant("pypi.org").at_ms == wall.clock.ms
    wall.is_whole()


async def test_denied_after_a_failure_it_is_not_opened_when_the_firewall_is_well(wall: Wall) -> None:
    await wall.change(enabled=False)
    (request,) = await wall.approve("pypi.org")
    await wall.press(request, "deny")
    assert (wall.state(request), wall.data.grants) == ("denied", {})
    await wall.change(enabled=True)
    await wall.look()
    assert wall.content == [HELD]


async def test_denied_after_it_was_saved_and_not_seen_it_is_taken_out_again(wall: Wall) -> None:
    wall.arm("reconfigure_lost")
    (request,) = await wall.approve("pypi.org")
    assert (wall.state(request), wall.content) == ("failed", [HELD, "pypi.org"])
    await wall.press(request, "deny")
    assert (wall.state(request), wall.content) == ("denied", [HELD])
    assert PYPI not in wall.open
    wall.is_whole()


async def test_a_retry_of_what_was_saved_is_not_satisfied_with_that(wall: Wall) -> None:
    wall.arm("reconfigure_lost", times=2)
    (request,) = await wall.approve("pypi.org")
    await wall.press(request, "retry")
    assert (wall.state(request), wall.detail(request)) == ("failed", "unseen")
    await wall.press(request, "retry")
    assert wall.state(request) == "approved"
    assert (len(wall.ours), wall.reconfigures) == (1, 3)


async def test_after_a_failure_the_next_look_opens_it_without_a_press(wall: Wall) -> None:
    """The decision stands."""
    await wall.change(enabled=False)
    (request,) = await wall.approve("pypi.org")
    await wall.change(enabled=True)
    await wall.look()
    assert wall.state(request) == "approved"
    assert wall.heard() == [("failed", "pypi.org"), ("approved", "pypi.org")]


# --- several ------------------------------------------------------------------------------------------------------------


async def test_the_same_domain_of_several_sessions_is_approved_and_written_once(wall: Wall) -> None:
    asked = [(await wall.ask("pypi.org", session=session))[0] for session in ("s1", "s2", "s3")]
    await wall.press(asked[1])
    assert [wall.state(request) for request in asked] == ["approved"] * 3
    assert [wall.heard(session) for session in ("s1", "s2", "s3")] == [[("approved", "pypi.org")]] * 3
    assert (len(wall.ours), len(wall.data.grants), len(wall.tried)) == (1, 1, 1)


async def test_this_session_settles_only_the_card_that_was_pressed(wall: Wall) -> None:
    (mine,), (theirs,) = await wall.ask("pypi.org"), await wall.ask("pypi.org", session="s2", channel=OTHER)
    await wall.press(mine, "session")
    assert (wall.state(mine), wall.state(theirs)) == ("approved", "pending")
    await wall.press(theirs, "deny")
    assert (wall.state(mine), wall.state(theirs)) == ("approved", "denied")
    assert PYPI in wall.open


async def test_twenty_approvals_at_once_are_few_writes(wall: Wall) -> None:
    names = [f"n{number}.example" for number in range(20)]
    for number, name in enumerate(names):
        wall.zone.set(name, [f"192.52.193.{100 + number}"])
    requests = await wall.approve(*names)
    assert {wall.state(request) for request in requests} == {"approved"}
    assert set(wall.content) == {HELD, *names}
    assert len(wall.ours) <= 2
    assert wall.reconfigures <= 2
    await wall.look()
    wall.is_whole()


async def test_what_is_decided_during_a_write_goes_with_the_next_one(wall: Wall) -> None:
    names = [f"n{number}.example" for number in range(6)]
    for number, name in enumerate(names):
        wall.zone.set(name, [f"192.52.193.{100 + number}"])
    requests = await wall.ask(*names)
    go_on = asyncio.Event()
    wall.line.at("before", "alias/setItem", lambda: asyncio.wait_for(go_on.wait(), 10))  # type: ignore[arg-type]
    await wall.press(requests[0], wait=False)
    await until(lambda: "alias/setItem" in wall.line.wire, "the first write")
    for request in requests[1:5]:
        await wall.press(request, wait=False)
    await wall.press(requests[5], "deny", wait=False)
    go_on.set()
    await wall.quiet()
    assert [wall.state(request) for request in requests] == ["approved"] * 5 + ["denied"]
    assert len(wall.ours) == 2


async def test_a_name_that_the_firewall_rejects_keeps_out_none_of_the_others(wall: Wall) -> None:
    """Its validation says which one it is."""
    names = [f"n{number}.example" for number in range(8)]
    for number, name in enumerate(names):
        wall.zone.set(name, [f"192.52.193.{100 + number}"])
    refuse_in_content(wall, "n3.example")
    requests = await wall.approve(*names)
    assert [wall.state(request) for request in requests] == ["approved"] * 3 + ["closed"] + ["approved"] * 4
    assert wall.detail(requests[3]) == "rejected"
    assert set(wall.content) == {HELD, *names} - {"n3.example"}
    assert wall.grant("n3.example").state == "withdrawn"
    assert len(wall.ours) == wall.reconfigures == 2  # the first press went ahead
    wall.is_whole()


async def test_two_of_them_are_found_by_one_refusal(wall: Wall) -> None:
    refuse_in_content(wall, "pypi.org")
    refuse_in_content(wall, "crates.io")
    requests = await wall.ask("crates.io", "example.com", "pypi.org")
    await wall.command("approve", *(request.domain for request in requests))
    assert [wall.state(request) for request in requests] == ["closed", "approved", "closed"]
    assert len(wall.engine.recorded("alias.failed")) == 1


def refuse_in_content(wall: Wall, name: str) -> None:
    """The firewall's validation takes this name for none."""
    store = wall.peer._store
    plain = store._complaint

    def complaint(kind: str, entry: str) -> str | None:
        return (
            f'Entry "{entry}" is not a valid hostname, IP address or range.'
            if entry == name
            else plain(kind, entry)
        )

    store._complaint = complaint  # type: ignore[method-assign]


# --- one thing during another ------------------------------------------------------------------------------------------


class Held:
    """A request to the firewall that waits until the test lets it go on."""

    def __init__(self, wall: Wall, endpoint: str) -> None:
        self._wall, self._go_on = wall, asyncio.Event()
        self._is_there = asyncio.Event()
        wall.line.at("before", endpoint, self._wait)

    async def _wait(self) -> None:
        self._is_there.set()
        await self._go_on.wait()

    async def is_there(self) -> None:
        await asyncio.wait_for(self._is_there.wait(), 10)

    async def go_on(self) -> None:
        self._go_on.set()
        await self._wall.quiet()


@pytest.mark.parametrize("endpoint", ["alias/setItem", "alias/reconfigure"])
async def test_revoked_while_it_is_being_opened_it_is_closed_and_answered(wall: Wall, endpoint: str) -> None:
    held = Held(wall, endpoint)
    (request,) = await wall.ask("pypi.org")
    await wall.press(request, wait=False)
    await held.is_there()
    await wall.command("revoke", "pypi.org", wait=False)
    assert wall.said("revoked") == []
    await held.go_on()
    assert (wall.state(request), wall.content) == ("closed", [HELD])
    assert wall.heard() == [("denied", "pypi.org")]
    assert len(wall.said("revoked")) == 1
    assert PYPI not in wall.open
    wall.is_whole()


@pytest.mark.parametrize("endpoint", ["alias/setItem", "alias/reconfigure"])
async def test_approved_again_while_it_is_being_closed_it_is_opened_and_nobody_hears_that_it_is_closed(
    wall: Wall, endpoint: str
) -> None:
    await wall.approve("pypi.org")
    held = Held(wall, endpoint)
    await wall.command("revoke", "pypi.org", wait=False)
    await held.is_there()
    await wall.command("approve", "pypi.org", wait=False)
    await held.go_on()
    assert wall.grant("pypi.org").state == "held"
    assert PYPI in wall.open
    assert wall.is_ours("pypi.org")
    told = [recorded.seq for recorded in wall.engine.recorded("alias.applied")]
    assert len(told) == 3
    wall.is_whole()


@pytest.mark.parametrize("endpoint", ["alias/setItem", "alias/reconfigure"])
async def test_a_session_that_ends_while_its_domain_is_being_opened_leaves_nothing_open(
    wall: Wall, endpoint: str
) -> None:
    held = Held(wall, endpoint)
    (request,) = await wall.ask("pypi.org")
    await wall.press(request, "session", wait=False)
    await held.is_there()
    await wall.engine.happen(stream_of("llm_approved_domains"), NetworkSessionEnded("s1"))
    await held.go_on()
    assert wall.content == [HELD]
    assert PYPI not in wall.open
    assert wall.heard() == []
    wall.is_whole()


async def test_two_revocations_of_one_domain_are_both_answered(wall: Wall) -> None:
    await wall.approve("pypi.org")
    held = Held(wall, "alias/setItem")
    await wall.command("revoke", "pypi.org", wait=False)
    await held.is_there()
    await wall.command("revoke", "pypi.org", user=JAMES, wait=False)
    await held.go_on()
    assert [said["user"] for said in wall.said("revoked")] == ["sarah", "james"]
    assert len(wall.ours) == 2


async def test_an_entry_of_somebody_elses_in_capitals_keeps_it_open_and_revoke_says_so(wall: Wall) -> None:
    """OPNsense takes both spellings for two entries, and DNS for one name."""
    await wall.edit("PyPI.org")
    await wall.approve("pypi.org")
    await wall.command("revoke", "pypi.org")
    assert wall.content == [HELD, "PyPI.org"]
    assert PYPI in wall.open
    assert wall.said("revoked") == []
    assert [said["domain"] for said in wall.said("revoked_but_foreign")] == ["pypi.org"]


async def test_an_administrator_who_enters_it_while_it_is_being_closed_keeps_it_open_and_that_is_said(
    wall: Wall,
) -> None:
    await wall.approve("pypi.org")
    wall.line.at("before", "alias/reconfigure", lambda: wall.edit("pypi.org"))
    await wall.look()
    await wall.command("revoke", "pypi.org")
    await wall.resting()
    assert wall.content == [HELD, "pypi.org"]
    assert not wall.is_ours("pypi.org")
    (said,) = wall.said("revoked")
    assert said["resolved"] == "unseen"


# --- the traps ------------------------------------------------------------------------------------------------------------


async def test_a_refusal_without_a_reason_blames_no_name(wall: Wall) -> None:
    wall.arm("save_refused")
    (request,) = await wall.approve("pypi.org")
    assert wall.state(request) == "failed"
    assert wall.grant("pypi.org").live
    await wall.press(request, "retry")
    assert wall.state(request) == "approved"


async def test_an_entry_of_somebody_else_that_is_not_valid_any_more_blames_no_name_of_ours(
    wall: Wall,
) -> None:
    """The server validates the whole content: an alias whose name stood in ours was renamed."""
    await wall.edit("llm_net")
    await wall.change(alias="llm_net", name="llm_other")
    first, second = await wall.approve("pypi.org", "example.com")
    assert (wall.state(first), wall.state(second)) == ("failed", "failed")
    assert {grant.state for grant in wall.data.grants.values()} == {"wanted"}
    assert "llm_net" in wall.last("alias.failed").detail
    await wall.edit(remove=["llm_net"])
    await wall.press(first, "retry")
    assert (wall.state(first), wall.state(second)) == ("approved", "approved")
    wall.is_whole()


async def test_nested_alias_names_are_kept(wall: Wall) -> None:
    await wall.edit("llm_net", "llm_disabled")
    await wall.approve("pypi.org")
    await wall.command("revoke", "pypi.org")
    assert wall.content == [HELD, "llm_net", "llm_disabled"]


async def test_ok_that_was_none_is_no_approval_before_the_cron_minute(wall: Wall) -> None:
    wall.arm("reconfigure_ignored")
    (request,) = await wall.approve("pypi.org")
    assert wall.state(request) == "approved"
    assert wall.now_s >= 60
    assert wall.reconfigures == 1


async def test_what_another_saved_before_our_read_is_kept(wall: Wall) -> None:
    wall.line.at("before", "alias/export", lambda: wall.edit("early.example", apply=False))
    await wall.approve("pypi.org")
    assert wall.content == [HELD, "early.example", "pypi.org"]
    assert not wall.is_ours("early.example")


async def test_what_another_saves_after_our_write_is_kept_and_ours_is_merged_into_it(wall: Wall) -> None:
    wall.arm("foreign_edit_after")
    (request,) = await wall.approve("pypi.org")
    assert wall.state(request) == "approved"
    assert wall.content == [HELD, "added-by-admin.example", "pypi.org"]
    assert wall.is_ours("pypi.org")
    assert not wall.is_ours("added-by-admin.example")
    await wall.look()
    wall.is_whole()


async def test_between_our_read_and_our_write_there_is_no_request_of_ours(wall: Wall) -> None:
    await wall.look()
    await wall.approve("pypi.org")
    await wall.command("revoke", "pypi.org")
    wire = wall.line.wire
    for number in [number for number, path in enumerate(wire) if path == "alias/setItem"]:
        assert wire[number - 1] == "alias/export"


async def test_a_timeout_with_the_write_done_is_found_done(wall: Wall) -> None:
    await wall.crash()
    wall.timeout_s = 0.1
    await wall.start()
    wall.arm("locked", times=1)
    wall.faults.set_scale("opnsense.lock", 0.05)  # 0.2 s: our time is over, the write comes all the same
    (request,) = await wall.approve("pypi.org")
    assert wall.state(request) == "approved"
    assert wall.content == [HELD, "pypi.org"]
    assert wall.is_ours("pypi.org")


async def test_a_timeout_with_the_write_not_done_is_written_again(wall: Wall) -> None:
    wall.arm("lost_request", endpoint="alias/setItem/*")
    (request,) = await wall.approve("pypi.org")
    assert wall.state(request) == "approved"
    assert len(wall.ours) == 1
    assert wall.is_ours("pypi.org")


async def test_without_the_privilege_to_see_the_table_it_is_approved_and_said_to_be_unknown(
    wall: Wall,
) -> None:
    wall.arm("forbidden", times=None, group="alias_util")
    (request,) = await wall.approve("pypi.org")
    assert (wall.state(request), wall.detail(request)) == ("approved", "unknown")
    await wall.look()
    await wall.look()
    assert wall.reconfigures == 1
    await wall.command("revoke", "pypi.org")
    (said,) = wall.said("revoked")
    assert said["resolved"] == "unknown"
    assert wall.content == [HELD]


@pytest.mark.parametrize(
    ("fault", "code"),
    [("forbidden", "forbidden"), ("unauthorized", "unauthorized"), ("readonly_user", "forbidden")],
)
async def test_a_key_that_may_not_is_a_failure_with_a_retry(wall: Wall, fault: str, code: str) -> None:
    wall.arm(fault, times=None)
    (request,) = await wall.approve("pypi.org")
    assert (wall.state(request), wall.detail(request)) == ("failed", code)
    assert wall.heard() == [("failed", "pypi.org")]
    wall.faults.clear()
    await wall.press(request, "retry")
    assert wall.state(request) == "approved"
    assert wall.is_ours("pypi.org")


async def test_a_reload_that_is_forbidden_fails_and_the_retry_reloads(wall: Wall) -> None:
    wall.arm("forbidden", endpoint="alias/reconfigure")
    (request,) = await wall.approve("pypi.org")
    assert (wall.state(request), wall.content) == ("failed", [HELD, "pypi.org"])
    await wall.press(request, "retry")
    assert wall.state(request) == "approved"
    assert (len(wall.ours), wall.is_ours("pypi.org")) == (1, True)


async def test_an_alias_that_was_renamed_fails_and_no_other_is_made(wall: Wall) -> None:
    await wall.change(name="renamed")
    (request,) = await wall.approve("pypi.org")
    assert (wall.state(request), wall.detail(request)) == ("failed", "alias_missing")
    aliases = wall.peer.state()["aliases"]
    assert len(aliases) == 5  # type: ignore[arg-type]
    await wall.change(alias="renamed", name="llm_approved_domains")
    await wall.press(request, "retry")
    assert wall.state(request) == "approved"


async def test_a_packet_filter_that_cannot_load_is_tried_again(wall: Wall) -> None:
    wall.arm("reconfigure_error", times=2)
    (request,) = await wall.approve("pypi.org")
    assert wall.state(request) == "approved"
    assert (len(wall.ours), wall.reconfigures) == (1, 3)


async def test_a_double_entry_of_an_administrators_is_left_as_it_is(wall: Wall) -> None:
    await wall.edit("dup.example")
    wall.peer._store.by_name("llm_approved_domains").fields["content"] += "\ndup.example"  # type: ignore[union-attr]
    await wall.approve("pypi.org")
    await wall.command("revoke", "pypi.org")
    assert wall.content == [HELD, "dup.example", "dup.example"]


async def test_an_empty_alias_can_be_filled_and_emptied(wall: Wall) -> None:
    await wall.edit(remove=[HELD])
    await wall.approve("pypi.org")
    assert wall.content == ["pypi.org"]
    await wall.command("revoke", "pypi.org")
    assert wall.content == []


# --- by a command -------------------------------------------------------------------------------------------------------


async def test_what_nobody_asked_for_is_asked_and_approved_by_one_person(wall: Wall) -> None:
    await wall.command("approve", "pypi.org")
    assert PYPI in wall.open
    (request,) = wall.data.requests.values()
    card = wall.data.cards[request.card_id]
    assert (card.user_name, request.user_name, request.via) == ("sarah", "sarah", "command")
    assert wall.heard() == []


async def test_a_set_opens_all_that_belongs_together_with_one_write(wall: Wall) -> None:
    await wall.crash()
    python = DomainSet("python", ("files.pythonhosted.org", "pypi.org"))
    await wall.start(policy=Policy(sets=(python,)))
    await wall.command("approve", sets=("python",))
    assert wall.content == [HELD, "files.pythonhosted.org", "pypi.org"]
    assert len(wall.ours) == 1


async def test_the_list_says_what_is_open_and_what_others_hold(wall: Wall) -> None:
    await wall.look()
    await wall.approve("pypi.org", action="hour")
    await wall.engine.happen(stream_of("llm_approved_domains"), NetworkListRequested("net", CHANNEL, "james"))
    (said,) = wall.said("net")
    domain, state, scope, until_ms, name, session, reason = said["grants"].split("\t")
    assert (domain, state, scope, name, session, reason) == ("pypi.org", "held", "hour", "sarah", "", "")
    assert int(until_ms) == wall.grant("pypi.org").until_ms
    assert said["foreign"] == HELD


async def test_a_person_and_another_at_once_are_one_decision(wall: Wall) -> None:
    (request,) = await wall.ask("pypi.org")
    for number in range(20):
        action, user = ("deny", SARAH) if number % 2 else ("approve", JAMES)
        await wall.press(request, action, user=user, wait=False)
    await wall.quiet()
    assert wall.state(request) == "approved"
    assert len(wall.data.grants) == len(wall.ours) == 1
