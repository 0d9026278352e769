"""The firewall's commands one by one: what is recorded before a write, what is left out, how often one writes."""

from __future__ import annotations

from typing import Any

import pytest
from engine_kit import ALIAS, ALIAS_STREAM, until
from wall_kit import HELD, KEY, PYPI, SECRET, VM, Wall

from sm.core.commands import ApplyAlias, Command, ResolveCard, TryDomain, WriteAlias
from sm.core.events import (
    AliasApplied,
    AliasFailed,
    AliasWritten,
    CardResolved,
    NetworkTried,
    Resolved,
    StreamQuarantined,
)
from sm.core.outcome import Refused, Unreachable
from sm.engine.dispatch import Job
from sm.engine.writer import Issued

EXAMPLE = "192.175.48.10"


def job(command: Command, number: int = 1) -> Job:
    return Job(Issued(f"alias/{number}/0", ALIAS_STREAM, number, command), doubtful=False)


def write(*add: str, remove: tuple[str, ...] = (), alias: str = ALIAS, number: int = 1) -> Job:
    return job(WriteAlias(alias, add, remove), number)


def apply(
    *added: str,
    removed: tuple[str, ...] = (),
    gone: tuple[str, ...] = (),
    before: tuple[str, ...] | None = (),
) -> Job:
    return job(ApplyAlias(ALIAS, added, removed, gone, before), 2)


async def written(wall: Wall, *add: str, **how: Any) -> AliasWritten:
    event = await wall.effectors.write(write(*add, **how))
    assert isinstance(event, AliasWritten)
    return event


async def applied(wall: Wall, *added: str, **how: Any) -> AliasApplied:
    event = await wall.effectors.apply(apply(*added, **how))
    assert isinstance(event, AliasApplied)
    return event


def reads(wall: Wall) -> list[tuple[str, ...]]:
    return [recorded.event.entries for recorded in wall.engine.recorded("alias.read")]  # type: ignore[attr-defined]


# --- resolve --------------------------------------------------------------------------------------------------------------


async def test_each_name_of_a_card_is_said_what_it_leads_to_and_judged(wall: Wall) -> None:
    wall.dns.says("inside.example", "192.52.193.9", "10.0.0.5")
    wall.dns.says("vm.example", VM)
    wall.dns.says("slow.example", unknown=True)
    names = ("pypi.org", "inside.example", "vm.example", "slow.example", "nowhere.example")
    event = await wall.effectors.resolve_card(job(ResolveCard("c1", names)))
    assert event == CardResolved(
        "c1",
        (
            Resolved("pypi.org", "found", (PYPI, "192.52.193.21")),
            Resolved("inside.example", "found", ("192.52.193.9", "10.0.0.5"), "not_global", "10.0.0.5"),
            Resolved("vm.example", "found", (VM,), "is_peer", VM),
            Resolved("slow.example", "unknown"),
            Resolved("nowhere.example", "none"),
        ),
    )


# --- write ----------------------------------------------------------------------------------------------------------------


async def test_a_write_brings_names_in_and_out_at_once_and_opens_nothing_yet(wall: Wall) -> None:
    await written(wall, "example.com")
    event = await written(wall, "pypi.org", remove=("example.com",), number=2)
    assert event.changed
    assert event.entries == (HELD, "pypi.org")
    assert wall.content == [HELD, "pypi.org"]
    assert event.table_before == tuple(sorted(wall.open))
    assert PYPI not in wall.open


async def test_what_stands_there_is_recorded_before_it_is_changed(wall: Wall) -> None:
    before: list[list[tuple[str, ...]]] = []

    async def note() -> None:
        before.append(reads(wall))

    wall.line.at("before", "alias/setItem", note)
    await written(wall, "pypi.org")
    assert before == [[(HELD,)]]


async def test_a_write_that_finds_all_as_it_is_to_be_records_no_reading_and_writes_nothing(
    wall: Wall,
) -> None:
    await wall.edit("pypi.org")
    event = await written(wall, "pypi.org")
    assert not event.changed
    assert (reads(wall), wall.ours, wall.claims) == ([], [], [])


async def test_the_same_reading_is_recorded_once_however_often_the_write_is_tried(wall: Wall) -> None:
    wall.arm("lost_request", times=1, endpoint="alias/setItem/*")
    with pytest.raises(Unreachable):
        await wall.effectors.write(write("pypi.org"))
    await written(wall, "pypi.org")
    assert reads(wall) == [(HELD,)]


async def test_what_another_brought_in_before_a_second_try_is_recorded_too(wall: Wall) -> None:
    wall.arm("foreign_edit_after")
    event = await written(wall, "pypi.org")
    assert event.entries == (HELD, "added-by-admin.example", "pypi.org")
    assert reads(wall) == [(HELD,), (HELD, "added-by-admin.example")]


async def test_entries_of_others_are_kept_in_their_order(wall: Wall) -> None:
    await wall.edit("zzz.example", "aaa.example", "10.1.2.3")
    await written(wall, "pypi.org")
    assert wall.content == [HELD, "zzz.example", "aaa.example", "10.1.2.3", "pypi.org"]


@pytest.mark.parametrize(
    ("name", "answer", "code", "address"),
    [
        ("inside.example", ("10.0.0.5",), "not_global", "10.0.0.5"),
        ("half.example", ("192.52.193.9", "169.254.169.254"), "not_global", "169.254.169.254"),
        ("vm.example", (VM,), "is_peer", VM),
        ("six.example", ("::ffff:10.0.0.5",), "not_global", "::ffff:a00:5"),
        ("nowhere.example", (), "", ""),
    ],
)
async def test_a_name_that_leads_where_nothing_may_be_opened_stays_out_and_the_others_go_in(
    wall: Wall, name: str, answer: tuple[str, ...], code: str, address: str
) -> None:
    wall.dns.says(name, *answer)
    event = await written(wall, name, "pypi.org")
    assert event.entries == (HELD, "pypi.org")
    assert {one.domain: (one.refused, one.address) for one in event.names} == {
        name: (code, address),
        "pypi.org": ("", ""),
    }


async def test_a_name_that_our_resolver_does_not_answer_stays_out(wall: Wall) -> None:
    wall.dns.says("pypi.org", unknown=True)
    event = await written(wall, "pypi.org")
    assert (event.names[0].status, event.entries, event.changed) == ("unknown", (HELD,), False)


async def test_names_are_judged_anew_at_each_try(wall: Wall) -> None:
    wall.arm("lost_request", times=1, endpoint="alias/setItem/*")
    with pytest.raises(Unreachable):
        await wall.effectors.write(write("pypi.org"))
    wall.dns.says("pypi.org", "10.0.0.5")
    event = await written(wall, "pypi.org")
    assert (event.names[0].refused, event.entries) == ("not_global", (HELD,))


async def test_the_claim_is_asked_directly_before_each_request_that_changes_something(wall: Wall) -> None:
    wall.arm("foreign_edit_after")
    await written(wall, "pypi.org")
    await applied(wall, "pypi.org")
    changing = [n for n, path in enumerate(wall.line.wire) if path in ("alias/setItem", "alias/reconfigure")]
    assert len(changing) == 3
    assert wall.claims == changing


async def test_a_copy_that_is_not_the_one_any_more_writes_nothing(wall: Wall, monkeypatch: Any) -> None:
    class Replaced(BaseException):
        pass

    async def replaced() -> None:
        raise Replaced

    monkeypatch.setattr(wall.effectors, "_still_ours", replaced)
    with pytest.raises(Replaced):
        await wall.effectors.write(write("pypi.org"))
    with pytest.raises(Replaced):
        await wall.effectors.apply(apply("pypi.org"))
    assert (wall.ours, wall.reconfigures) == ([], 0)


async def test_a_quarantined_alias_is_neither_written_nor_applied(wall: Wall) -> None:
    await wall.engine.happen(ALIAS_STREAM, StreamQuarantined("a test", 1))
    for report in (await wall.effectors.write(write("pypi.org")), await wall.effectors.apply(apply())):
        assert isinstance(report, AliasFailed)
        assert report.code == "quarantined"
    assert (wall.ours, wall.reconfigures) == ([], 0)


# --- a definite no --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alias", "code"),
    [
        ("none_such", "alias_missing"),
        ("llm_disabled", "alias_disabled"),
        ("llm_net", "alias_wrong_type"),
        ("llm_ports", "alias_wrong_type"),
        ("llm_ext", "alias_wrong_type"),
    ],
)
async def test_an_alias_that_cannot_hold_the_name_is_a_failure_with_its_reason(
    bare_wall: Wall, alias: str, code: str
) -> None:
    await bare_wall.start(alias=alias)
    failed = await bare_wall.effectors.write(write("pypi.org", alias=alias))
    assert isinstance(failed, AliasFailed)
    assert (failed.step, failed.code) == ("write", code)
    assert failed.detail
    assert bare_wall.ours == []


@pytest.mark.parametrize("fault", ["unauthorized", "forbidden"])
async def test_a_key_that_may_not_is_a_failure_that_holds_no_secret(wall: Wall, fault: str) -> None:
    wall.arm(fault, times=None)
    for step, report in (
        ("write", await wall.effectors.write(write("pypi.org"))),
        ("apply", await wall.effectors.apply(apply())),
    ):
        assert isinstance(report, AliasFailed)
        assert (report.step, report.code) == (step, fault)
        assert KEY not in repr(report)
        assert SECRET not in repr(report)


async def test_a_user_who_may_only_read_is_a_failure_after_the_reading_was_recorded(wall: Wall) -> None:
    wall.arm("readonly_user", times=None)
    failed = await wall.effectors.write(write("pypi.org"))
    assert isinstance(failed, AliasFailed)
    assert failed.code == "forbidden"
    assert reads(wall) == [(HELD,)]


@pytest.mark.parametrize(
    "name", ["llm_net", "10.0.0.0-10.0.0.9", "!10.0.0.1", "a.com\nb.com", "localhost", "*.a.com"]
)
async def test_a_name_that_the_firewall_would_misread_is_never_sent(wall: Wall, name: str) -> None:
    wall.dns.says(name, "192.52.193.9")
    failed = await wall.effectors.write(write(name))
    assert isinstance(failed, AliasFailed)
    assert failed.code == "rejected"
    assert wall.line.wire == []


async def test_the_detail_of_a_failure_is_bounded(wall: Wall, monkeypatch: Any) -> None:
    async def refuse(**_: Any) -> None:
        raise Refused("rejected", "x" * 10_000)

    monkeypatch.setattr(wall.client, "save", refuse)
    failed = await wall.effectors.write(write("pypi.org"))
    assert isinstance(failed, AliasFailed)
    assert len(failed.detail) <= 500


# --- apply ----------------------------------------------------------------------------------------------------------------


async def test_apply_opens_what_is_saved_and_sees_that_it_did(wall: Wall) -> None:
    saved = await written(wall, "pypi.org")
    event = await applied(wall, "pypi.org", before=saved.table_before)
    assert (event.resolved, event.refused) == ("seen", "")
    assert PYPI in (event.table or ())
    assert PYPI in wall.open


async def test_an_ok_that_did_nothing_is_seen_after_the_cron_minute(wall: Wall) -> None:
    saved = await written(wall, "pypi.org")
    wall.arm("reconfigure_ignored")
    event = await applied(wall, "pypi.org", before=saved.table_before)
    assert event.resolved == "seen"
    assert 60 <= wall.now_s <= 75


async def test_an_ok_that_nothing_comes_of_is_unseen_after_more_than_a_cron_minute(wall: Wall) -> None:
    saved = await written(wall, "pypi.org")
    wall.arm("reconfigure_lost")
    event = await applied(wall, "pypi.org", before=saved.table_before)
    assert event.resolved == "unseen"
    assert wall.now_s > 60


async def test_without_the_privilege_to_look_it_is_unknown(wall: Wall) -> None:
    wall.arm("forbidden", times=None, group="alias_util")
    saved = await written(wall, "pypi.org")
    assert saved.table_before is None
    event = await applied(wall, "pypi.org", before=None)
    assert (event.resolved, event.table, event.refused) == ("unknown", None, "")


async def test_an_address_that_came_with_the_write_and_may_not_be_open_is_named(wall: Wall) -> None:
    """The firewall's resolver has another answer than ours."""
    wall.dns.says("pypi.org", PYPI)
    wall.zone.set("pypi.org", [PYPI, "10.0.0.5"])
    saved = await written(wall, "pypi.org")
    event = await applied(wall, "pypi.org", before=saved.table_before)
    assert (event.refused, event.address) == ("not_global", "10.0.0.5")


async def test_an_address_of_ours_that_came_with_the_write_is_named(wall: Wall) -> None:
    wall.dns.says("pypi.org", PYPI)
    wall.zone.set("pypi.org", [VM])
    saved = await written(wall, "pypi.org")
    event = await applied(wall, "pypi.org", before=saved.table_before)
    assert (event.refused, event.address) == ("is_peer", VM)


async def test_an_address_that_an_administrator_entered_is_no_fault_of_the_name(wall: Wall) -> None:
    saved = await written(wall, "pypi.org")
    await wall.edit("10.1.2.3", apply=False)
    event = await applied(wall, "pypi.org", before=saved.table_before)
    assert "10.1.2.3" in (event.table or ())
    assert event.refused == ""


async def test_an_entry_whose_text_merely_holds_the_address_excuses_nothing(wall: Wall) -> None:
    wall.dns.says("pypi.org", PYPI)
    wall.zone.set("pypi.org", ["10.0.0.5"])
    await wall.edit("10.0.0.50")
    saved = await written(wall, "pypi.org")
    event = await applied(wall, "pypi.org", before=saved.table_before)
    assert (event.refused, event.address) == ("not_global", "10.0.0.5")


# --- try ------------------------------------------------------------------------------------------------------------------


def attempt(wall: Wall, within_s: float = 90) -> Job:
    return job(TryDomain("pypi.org", wall.clock.now_ms() + round(within_s * 1000)), 3)


@pytest.mark.parametrize("state", ["reachable", "unreachable", "unknown"])
async def test_what_a_container_finds_is_reported_as_it_is(wall: Wall, state: str) -> None:
    wall.reaches["pypi.org"] = state
    event = await wall.effectors.try_domain(attempt(wall))
    assert event == NetworkTried("pypi.org", state, "")
    assert wall.tried == [("pypi.org", 90.0)]


async def test_a_try_whose_time_is_over_asks_nobody(wall: Wall) -> None:
    event = await wall.effectors.try_domain(attempt(wall, 0))
    assert isinstance(event, NetworkTried)
    assert event.state == "unknown"
    assert wall.tried == []


async def test_a_vm_that_is_away_is_tried_again_until_the_time_is_over(wall: Wall, monkeypatch: Any) -> None:
    async def away(_domain: str, _within_s: float) -> None:
        raise Unreachable("The VM does not answer.")

    monkeypatch.setattr(wall.effectors, "_reach", away)
    due = attempt(wall)
    with pytest.raises(Unreachable):
        await wall.effectors.try_domain(due)
    await wall.clock.pass_s(91)
    event = await wall.effectors.try_domain(due)
    assert isinstance(event, NetworkTried)
    assert event.state == "unknown"


async def test_a_vm_that_cannot_try_leaves_it_unknown(wall: Wall, monkeypatch: Any) -> None:
    async def refuses(_domain: str, _within_s: float) -> None:
        raise Refused("no_curl", "The image has no curl.")

    monkeypatch.setattr(wall.effectors, "_reach", refuses)
    event = await wall.effectors.try_domain(attempt(wall))
    assert event == NetworkTried("pypi.org", "unknown", "The image has no curl.")


# --- trouble on the way ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint",
    ["alias/getAliasUUID/*", "alias/setItem/*", "alias/reconfigure", "alias/export", "alias_util/list/*"],
)
@pytest.mark.parametrize("fault", ["lost_reply", "lost_request", "server_error", "unavailable"])
async def test_trouble_on_the_way_still_writes_once(wall: Wall, fault: str, endpoint: str) -> None:
    wall.arm(
        fault, times=2, endpoint=endpoint
    )  # twice: aiohttp itself sends a GET again on a used connection
    (request,) = await wall.approve("pypi.org")
    await until(lambda: wall.state(request) == "approved")
    assert len(wall.ours) == 1
    assert wall.content == [HELD, "pypi.org"]
    assert wall.is_ours("pypi.org")
    assert wall.hasty.slept
    wall.is_whole()
