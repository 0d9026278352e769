"""The firewall's commands before the sandbox's OPNsense: saved, applied and seen are three things, each written once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from chat_kit import forever
from engine_kit import ALIAS, ALIAS_STREAM, CHANNEL, Engine, ManualClock, until

from sm.core.commands import COMMANDS, ApplyAlias, SaveAlias
from sm.core.events import AliasApplied, AliasFailed, AliasSaved, CardPressed, StreamQuarantined
from sm.engine.dispatch import Job
from sm.engine.effectors.alias import AliasEffectors
from sm.engine.writer import Issued
from sm.opnsense.client import OPNsenseClient
from sm.sandbox.faults import Faults
from sm.sandbox.network.names import Names
from sm.sandbox.opnsense.peer import OPNsensePeer

KEY, SECRET = "k" * 20, "s" * 20
ADDRESS = "192.52.193.107"


class Wall:
    """The firewall, and the effectors before it. The client's time passes with its waits."""

    def __init__(self, http: aiohttp.ClientSession, engine: Engine) -> None:
        self.faults, self.names = Faults(), Names()
        self.names.set("pypi.org", [ADDRESS])
        self.peer = OPNsensePeer(self.faults, self.names, key=KEY, secret=SECRET)
        self.http, self.engine = http, engine
        self.now_s = 0.0
        self.claims_asked = 0

    def effectors(self, alias: str = ALIAS) -> AliasEffectors:
        client = OPNsenseClient(
            self.http,
            self.peer.url,
            KEY,
            SECRET,
            alias=alias,
            sleep=self._sleep,
            resolve=self._resolve,
            monotonic=lambda: self.now_s,
        )
        return AliasEffectors(client, still_ours=self._still_ours, writer=self.engine.writer)

    async def _sleep(self, seconds: float) -> None:
        self.now_s += seconds
        await asyncio.sleep(0.01)

    async def _resolve(self, _domain: str) -> frozenset[str]:
        return frozenset()

    async def _still_ours(self) -> None:
        self.claims_asked += 1

    @property
    def content(self) -> list[str]:
        return self.peer.state()["aliases"][ALIAS]["content"]  # type: ignore[index,return-value]

    @property
    def writes(self) -> int:
        return self.peer.state()["set_item"]  # type: ignore[return-value]

    def arm(self, fault: str, times: int | None = 1, **match: object) -> None:
        self.faults.arm("opnsense", fault, times=times, match=match or None)


@pytest.fixture
async def wall(http: aiohttp.ClientSession, start_engine) -> AsyncIterator[Wall]:
    wall = Wall(http, await start_engine(clock=ManualClock(flows=True)))
    await wall.peer.start()
    yield wall
    await wall.peer.stop()


def save(domain: str = "pypi.org") -> Job:
    return Job(Issued("alias/1/0", ALIAS_STREAM, 1, SaveAlias(ALIAS, "r1", domain)), doubtful=False)


def apply(domain: str = "pypi.org", before: tuple[str, ...] | None = ()) -> Job:
    return Job(Issued("alias/2/0", ALIAS_STREAM, 2, ApplyAlias(ALIAS, "r1", domain, before)), doubtful=False)


# --- one by one -----------------------------------------------------------------------------------------------------------


async def test_save_writes_the_domain_and_reads_it_back_and_opens_nothing_yet(wall: Wall) -> None:
    saved = await wall.effectors().save(save())
    assert isinstance(saved, AliasSaved)
    assert (saved.request_id, saved.domain, saved.changed) == ("r1", "pypi.org", True)
    assert (saved.before, saved.after) == (("api.anthropic.com",), ("api.anthropic.com", "pypi.org"))
    assert wall.content == list(saved.after)
    assert ADDRESS not in wall.peer.applied


async def test_apply_opens_it_and_sees_that_it_did(wall: Wall) -> None:
    effectors = wall.effectors()
    saved = await effectors.save(save())
    assert isinstance(saved, AliasSaved)
    applied = await effectors.apply(apply(before=saved.table_before))
    assert isinstance(applied, AliasApplied)
    assert applied.resolved == "seen"
    assert ADDRESS in (applied.table or ())
    assert ADDRESS in wall.peer.applied


async def test_saving_what_is_there_writes_nothing(wall: Wall) -> None:
    await wall.effectors().save(save())
    again = await wall.effectors().save(save())
    assert isinstance(again, AliasSaved)
    assert not again.changed
    assert wall.writes == 1


async def test_entries_of_others_are_kept_in_their_order(wall: Wall) -> None:
    await wall.peer.actions["opnsense/edit"]({"add": ["zzz.example", "aaa.example", "10.1.2.3"]})
    saved = await wall.effectors().save(save())
    assert isinstance(saved, AliasSaved)
    assert wall.content == ["api.anthropic.com", "zzz.example", "aaa.example", "10.1.2.3", "pypi.org"]


async def test_the_claim_is_asked_right_before_each_write_and_each_reconfigure(wall: Wall) -> None:
    effectors = wall.effectors()
    await effectors.save(save())
    assert wall.claims_asked == 1
    await effectors.save(save())  # nothing to write
    assert wall.claims_asked == 1
    await effectors.apply(apply())
    assert wall.claims_asked == 2


@pytest.mark.parametrize(
    ("alias", "code"),
    [
        ("none_such", "alias_missing"),
        ("llm_disabled", "alias_disabled"),
        ("llm_net", "alias_wrong_type"),
        ("llm_ports", "alias_wrong_type"),
    ],
)
async def test_an_alias_that_cannot_hold_the_domain_is_a_failure_with_its_reason(
    wall: Wall, alias: str, code: str
) -> None:
    failed = await wall.effectors(alias).save(save())
    assert isinstance(failed, AliasFailed)
    assert (failed.step, failed.code, failed.domain) == ("save", code, "pypi.org")
    assert failed.detail
    assert wall.writes == 0


async def test_an_alias_that_was_disabled_meanwhile_is_not_written(wall: Wall) -> None:
    effectors = wall.effectors()
    await effectors.save(save())
    await wall.peer.actions["opnsense/alias"]({"enabled": False})
    failed = await effectors.save(save("example.com"))
    assert isinstance(failed, AliasFailed)
    assert failed.code == "alias_disabled"
    assert wall.writes == 1


@pytest.mark.parametrize("fault", ["unauthorized", "forbidden"])
async def test_a_key_that_may_not_is_a_failure_that_names_what_to_do(wall: Wall, fault: str) -> None:
    wall.faults.set_scale("opnsense.authentication", 0)
    wall.arm(fault, times=None)
    failed = await wall.effectors().save(save())
    assert isinstance(failed, AliasFailed)
    assert failed.code == fault
    assert KEY not in repr(failed)
    assert SECRET not in repr(failed)


async def test_a_name_that_the_firewall_would_take_and_we_do_not_is_never_written(wall: Wall) -> None:
    for name in ("llm_net", "10.0.0.0-10.0.0.9", "!10.0.0.1", "a.com\nb.com", "localhost"):
        failed = await wall.effectors().save(save(name))
        assert isinstance(failed, AliasFailed)
        assert failed.code == "rejected"
    assert wall.writes == 0


async def test_a_quarantined_alias_is_neither_written_nor_applied(wall: Wall) -> None:
    await wall.engine.happen(ALIAS_STREAM, StreamQuarantined("a test", 1))
    for report in (await wall.effectors().save(save()), await wall.effectors().apply(apply())):
        assert isinstance(report, AliasFailed)
        assert report.code == "quarantined"
    assert wall.writes == 0
    assert not any("reconfigure" in str(r["path"]) for r in wall.peer.state()["requests"])  # type: ignore[union-attr]


# --- ok that was none ---------------------------------------------------------------------------------------------------


async def test_a_reconfigure_that_says_ok_and_does_nothing_is_seen_after_the_cron_minute(wall: Wall) -> None:
    effectors = wall.effectors()
    saved = await effectors.save(save())
    assert isinstance(saved, AliasSaved)
    wall.arm("reconfigure_ignored")
    wall.faults.set_scale("opnsense.cron", 0.002)
    applied = await effectors.apply(apply(before=saved.table_before))
    assert isinstance(applied, AliasApplied)
    assert applied.resolved == "seen"
    assert ADDRESS in wall.peer.applied


async def test_what_is_never_seen_is_said_to_be_unseen_after_more_than_a_cron_minute(wall: Wall) -> None:
    effectors = wall.effectors()
    saved = await effectors.save(save())
    assert isinstance(saved, AliasSaved)
    wall.arm("reconfigure_ignored", times=None)
    wall.faults.set_scale("opnsense.cron", 1000)
    applied = await effectors.apply(apply(before=saved.table_before))
    assert isinstance(applied, AliasApplied)
    assert applied.resolved == "unseen"
    assert wall.now_s > 60


async def test_a_name_without_an_address_is_unseen(wall: Wall) -> None:
    effectors = wall.effectors()
    saved = await effectors.save(save("nowhere.example"))
    assert isinstance(saved, AliasSaved)
    applied = await effectors.apply(apply("nowhere.example", saved.table_before))
    assert isinstance(applied, AliasApplied)
    assert applied.resolved == "unseen"


async def test_without_the_privilege_to_look_it_is_unknown(wall: Wall) -> None:
    wall.arm("forbidden", times=None, group="alias_util")
    effectors = wall.effectors()
    saved = await effectors.save(save())
    assert isinstance(saved, AliasSaved)
    assert saved.table_before is None
    applied = await effectors.apply(apply(before=None))
    assert isinstance(applied, AliasApplied)
    assert (applied.resolved, applied.table) == ("unknown", None)


# --- from the press to the agent, through the outbox -----------------------------------------------------------------------


async def approve(wall: Wall, domain: str = "pypi.org") -> str:
    """A request with a card, approved by james; its commands are carried out."""
    engine = wall.engine
    if engine.dispatcher is None:
        effectors: dict[Any, Any] = dict.fromkeys(COMMANDS.values(), forever)
        alias = wall.effectors()
        engine.dispatch(effectors | {SaveAlias: alias.save, ApplyAlias: alias.apply})
    request_id = await engine.ask(domain)
    request = engine.writer.state(ALIAS_STREAM).data.requests[request_id]
    press = CardPressed(request.card_id, request_id, "approve", CHANNEL, "p" * 26, "j" * 26, "james")
    await engine.happen(ALIAS_STREAM, press)
    return request_id


def state(wall: Wall, request_id: str) -> str:
    return wall.engine.writer.state(ALIAS_STREAM).data.requests[request_id].state


async def test_a_press_opens_the_domain_and_only_then_is_it_approved(wall: Wall) -> None:
    open_when_told: list[bool] = []
    wall.engine.writer.listen(
        lambda committed: open_when_told.extend(
            ADDRESS in wall.peer.applied for r in committed.events if r.event.KIND == "network.approved"
        )
    )
    request_id = await approve(wall)
    await until(lambda: state(wall, request_id) == "approved")
    assert open_when_told == [True]
    assert wall.writes == 1


@pytest.mark.parametrize(
    "endpoint", ["alias/setItem/*", "alias/reconfigure", "alias/export", "alias_util/list/*"]
)
@pytest.mark.parametrize("fault", ["lost_reply", "lost_request", "server_error", "unavailable"])
async def test_trouble_on_the_way_still_writes_once(wall: Wall, fault: str, endpoint: str) -> None:
    wall.arm(
        fault, times=2, endpoint=endpoint
    )  # twice: aiohttp itself sends a GET again on a used connection
    request_id = await approve(wall)
    await until(lambda: state(wall, request_id) == "approved")
    assert wall.writes == 1
    assert wall.content == ["api.anthropic.com", "pypi.org"]
    assert not wall.engine.fatal


async def test_two_approvals_at_once_are_both_in_the_alias(wall: Wall) -> None:
    wall.names.set("example.com", ["192.52.193.108"])
    first, second = await approve(wall), await approve(wall, "example.com")
    await until(lambda: (state(wall, first), state(wall, second)) == ("approved", "approved"))
    assert wall.content == ["api.anthropic.com", "pypi.org", "example.com"]


async def test_an_administrators_edit_between_read_and_read_back_costs_nobodys_entry(wall: Wall) -> None:
    wall.arm("foreign_edit_after")
    request_id = await approve(wall)
    await until(lambda: state(wall, request_id) == "approved")
    assert "pypi.org" in wall.content


async def test_a_failure_is_told_and_a_retry_after_mending_it_works(wall: Wall) -> None:
    await wall.peer.actions["opnsense/alias"]({"enabled": False})
    request_id = await approve(wall)
    await until(lambda: state(wall, request_id) == "failed")
    request = wall.engine.writer.state(ALIAS_STREAM).data.requests[request_id]
    assert request.detail == "alias_disabled"
    await wall.peer.actions["opnsense/alias"]({"enabled": True})
    press = CardPressed(request.card_id, request_id, "approve", CHANNEL, "p" * 26, "j" * 26, "james")
    await wall.engine.happen(ALIAS_STREAM, press)
    await until(lambda: state(wall, request_id) == "approved")
    assert wall.writes == 1


async def test_unseen_is_no_approval_and_a_retry_is_not_satisfied_with_what_is_saved(wall: Wall) -> None:
    """A retry of a half-done approval must not report success because the alias holds the name already."""
    wall.arm("reconfigure_ignored")
    wall.faults.set_scale("opnsense.cron", 1000)
    request_id = await approve(wall)
    await until(lambda: state(wall, request_id) == "failed")
    assert "pypi.org" in wall.content
    assert ADDRESS not in wall.peer.applied
    assert wall.engine.recorded("network.approved") == []
    request = wall.engine.writer.state(ALIAS_STREAM).data.requests[request_id]
    press = CardPressed(request.card_id, request_id, "approve", CHANNEL, "p" * 26, "j" * 26, "james")
    await wall.engine.happen(ALIAS_STREAM, press)
    await until(lambda: state(wall, request_id) == "approved")
    assert ADDRESS in wall.peer.applied
    assert wall.writes == 1
