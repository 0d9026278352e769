"""The alias's client: from saved to seen in the table."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from alias_kit import Bench
from firewall import KEY, NAME, SECRET

from sm.core.outcome import Unreachable
from sm.opnsense.client import Applied, OPNsenseClient


async def test_addresses_that_appear_are_seen_at_once(bench: Bench) -> None:
    saved = await bench.save("pypi.org")
    applied = await bench.apply("pypi.org", table_before=saved.table_before)
    assert applied == Applied("seen", ("192.0.2.10", "2001:db8::10", "198.51.100.7"))
    assert bench.clock.now == 1000


async def test_after_a_restart_addresses_that_were_there_already_are_seen_by_our_own_resolver(
    bench: Bench,
) -> None:
    bench.firewall.content, bench.firewall.table = "pypi.org", ["2001:db8::7", "198.51.100.7"]
    bench.firewall.addresses["pypi.org"] = bench.firewall.table
    bench.resolved["pypi.org"] = frozenset({"2001:0DB8:0::7%eth0"})
    applied = await bench.apply("pypi.org", table_before=("198.51.100.7", "2001:db8::7"))
    assert applied.resolved == "seen"


async def test_another_order_of_the_table_is_no_change(bench: Bench) -> None:
    applied = await bench.apply("pypi.org", table_before=("2001:db8::10", "192.0.2.10"))
    assert applied.resolved == "unseen"


async def test_each_name_that_resolves_must_be_in_the_table(bench: Bench) -> None:
    bench.resolved = {"pypi.org": frozenset({"192.0.2.10"}), "files.example": frozenset({"203.0.113.1"})}
    assert (await bench.apply("pypi.org", "files.example", table_before=None)).resolved == "unseen"


async def test_without_the_privilege_nothing_can_be_seen(bench: Bench) -> None:
    bench.firewall.may_see_table = False
    assert await bench.apply("pypi.org") == Applied("unknown", None)
    assert len(bench.firewall.asked("reconfigure")) == 1


async def test_a_firewall_that_is_away_while_it_is_watched_is_asked_again(bench: Bench) -> None:
    bench.firewall.say("alias_util/list", {"errorMessage": "x"}, status=500)
    bench.clock.at.append((10, bench.firewall.instead.clear))
    assert (await bench.apply("pypi.org", table_before=())).resolved == "seen"


async def test_a_resolver_that_hangs_does_not_hold_the_watch_up_for_ever(bench: Bench) -> None:
    asked = 0

    async def hang(_domain: str) -> frozenset[str]:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()
        return frozenset()

    client = OPNsenseClient(
        bench.http, bench.firewall.url, KEY, SECRET, alias=NAME, resolve=hang,
        sleep=bench.clock.sleep, monotonic=iter([0.0, 1.0, 80.0]).__next__,
    )  # fmt: skip
    client._resolver_wait_s = 0.01
    applied = await client.apply(["pypi.org"], None, before_write=bench.claim)
    assert applied.resolved == "unseen"
    assert asked == 1


async def test_a_reconfigure_that_is_not_confirmed_is_an_unknown_outcome(bench: Bench) -> None:
    bench.firewall.say("alias/reconfigure", {"status": "failed"})
    with pytest.raises(Unreachable, match="did not confirm"):
        await bench.apply("pypi.org", table_before=())


async def test_a_reconfigure_has_more_time_than_other_requests(bench: Bench) -> None:
    async def slow(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.json_response({"status": "ok"})

    bench.firewall.instead["alias/reconfigure"] = slow
    bench.client = bench.made(timeout_s=0.2, reconfigure_timeout_s=30)
    assert (await bench.apply("pypi.org", table_before=())).resolved == "seen"
