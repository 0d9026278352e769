"""The alias's client against the sandbox's firewall: its own traps, and certificates as a real one has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from sm.core.outcome import Refused, Unreachable
from sm.opnsense.client import OPNsenseClient
from sm.sandbox.faults import Faults
from sm.sandbox.network.names import Names
from sm.sandbox.opnsense.peer import OPNsensePeer


class Bench:
    def __init__(self, folder: Path) -> None:
        self.faults, self.names = Faults(), Names()
        self.names.set("pypi.org", ["198.51.100.7"])
        self.peer = OPNsensePeer(self.faults, self.names, key="k" * 20, secret="s" * 20, tls_folder=folder)

    def client(self, http: aiohttp.ClientSession, alias: str = "llm_approved_domains") -> OPNsenseClient:
        pinned = aiohttp.Fingerprint(bytes.fromhex(self.peer.fingerprint.replace(":", "")))
        return OPNsenseClient(http, self.peer.url, "k" * 20, "s" * 20, alias=alias, ssl=pinned)

    @property
    def content(self) -> object:
        return self.peer.state()["aliases"]["llm_approved_domains"]["content"]  # type: ignore[index]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.peer.start()
    yield bench
    await bench.peer.stop()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as http:
        yield http


async def nothing(*_entries: object) -> None:
    """The claim is ours."""


async def test_a_name_is_saved_applied_and_seen(bench: Bench, http: aiohttp.ClientSession) -> None:
    client = bench.client(http)
    await client.check()
    saved = await client.save(add=["pypi.org"], before_write=nothing)
    assert "198.51.100.7" not in bench.peer.applied
    applied = await client.apply(["pypi.org"], saved.table_before, before_write=nothing)
    assert applied.resolved == "seen"
    assert "198.51.100.7" in bench.peer.applied
    assert bench.content == ["api.anthropic.com", "pypi.org"]


@pytest.mark.parametrize(
    ("alias", "code"),
    [("none_such", "alias_missing"), ("llm_disabled", "alias_disabled"), ("llm_net", "alias_wrong_type")],
)
async def test_an_alias_that_cannot_hold_names_is_told_apart(
    bench: Bench, http: aiohttp.ClientSession, alias: str, code: str
) -> None:
    with pytest.raises(Refused) as caught:
        await bench.client(http, alias).check()
    assert caught.value.code == code


async def test_an_administrators_edit_right_before_and_right_after_ours_does_not_cost_our_entry(
    bench: Bench, http: aiohttp.ClientSession
) -> None:
    bench.faults.arm("opnsense", "foreign_edit_after")
    saved = await bench.client(http).save(add=["pypi.org"], before_write=nothing)
    assert "pypi.org" in saved.after
    assert list(saved.after) == bench.content


async def test_a_lost_reply_is_unknown_and_found_done_by_the_next_save(
    bench: Bench, http: aiohttp.ClientSession
) -> None:
    bench.faults.arm("opnsense", "lost_reply", match={"endpoint": "alias/setItem/*"})
    client = bench.client(http)
    with pytest.raises(Unreachable):
        await client.save(add=["pypi.org"], before_write=nothing)
    assert (await client.save(add=["pypi.org"], before_write=nothing)).changed is False
    assert bench.peer.state()["set_item"] == 1


async def test_a_user_that_may_only_read_is_told(bench: Bench, http: aiohttp.ClientSession) -> None:
    bench.faults.arm("opnsense", "readonly_user", times=None)
    with pytest.raises(Refused) as caught:
        await bench.client(http).save(add=["pypi.org"], before_write=nothing)
    assert caught.value.code == "forbidden"


async def test_without_the_second_privilege_what_is_open_is_unknown(
    bench: Bench, http: aiohttp.ClientSession
) -> None:
    bench.faults.arm("opnsense", "forbidden", times=None, match={"group": "alias_util"})
    saved = await bench.client(http).save(add=["pypi.org"], before_write=nothing)
    assert saved.table_before is None
    applied = await bench.client(http).apply(["pypi.org"], None, before_write=nothing)
    assert applied.resolved == "unknown"


async def test_what_reconfigure_left_out_is_seen_after_the_next_cron_minute(
    bench: Bench, http: aiohttp.ClientSession
) -> None:
    bench.faults.arm("opnsense", "reconfigure_ignored")
    client = bench.client(http)

    async def cron(_seconds: float) -> None:
        await bench.peer.actions["opnsense/cron"]({})

    client._sleep = cron
    saved = await client.save(add=["pypi.org"], before_write=nothing)
    applied = await client.apply(["pypi.org"], saved.table_before, before_write=nothing)
    assert applied.resolved == "seen"


@pytest.mark.parametrize("fault", ["server_error", "unavailable", "lost_request"])
async def test_trouble_of_the_firewall_is_an_unknown_outcome(
    bench: Bench, http: aiohttp.ClientSession, fault: str
) -> None:
    # A lost request on a connection that was used before is sent again by aiohttp, hence every time.
    bench.faults.arm("opnsense", fault, times=None)
    with pytest.raises(Unreachable):
        await bench.client(http).read()
