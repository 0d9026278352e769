"""The OPNsense stand-in: from a saved alias to open addresses, and how that fails."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from opnsense_kit import ANTHROPIC, PYPI, Client, until

from sm.sandbox.control import ActionError
from sm.sandbox.opnsense.peer import ALIAS_UUID


async def test_nothing_applies_without_reconfigure(firewall: Client) -> None:
    await firewall.set("api.anthropic.com", "pypi.org")
    await firewall.peer.actions["opnsense/cron"]({})
    assert await firewall.table() == ANTHROPIC
    assert await firewall.reconfigure() == {"status": "ok"}
    assert await firewall.table() == ["192.52.193.10", *PYPI, "2620:4f:8000::10"]


async def test_the_gate_is_told_before_reconfigure_answers(firewall: Client) -> None:
    await firewall.set("api.anthropic.com", "pypi.org")
    await firewall.reconfigure()
    assert firewall.opened == [frozenset(ANTHROPIC), frozenset([*ANTHROPIC, *PYPI])]


async def test_removal_needs_reconfigure_as_well(firewall: Client) -> None:
    await firewall.set()
    assert await firewall.table() == ANTHROPIC
    await firewall.reconfigure()
    assert await firewall.table() == []
    assert firewall.opened[-1] == frozenset()


async def test_reconfigure_by_get_is_failed_with_200(firewall: Client) -> None:
    assert await firewall.get("alias/reconfigure") == {"status": "failed"}


async def test_reconfigure_may_say_ok_and_leave_it_to_the_next_cron_minute(firewall: Client) -> None:
    firewall.faults.arm("opnsense", "reconfigure_ignored")
    await firewall.set("pypi.org")
    assert await firewall.reconfigure() == {"status": "ok"}
    assert await firewall.table() == ANTHROPIC
    firewall.faults.set_scale("opnsense.cron", 0.001)

    async def followed() -> bool:
        return await firewall.table() == PYPI

    await until(followed)


async def test_reconfigure_may_say_ok_and_nothing_ever_comes_of_it(firewall: Client) -> None:
    firewall.faults.arm("opnsense", "reconfigure_lost")
    await firewall.set("pypi.org")
    assert await firewall.reconfigure() == {"status": "ok"}
    await firewall.peer.actions["opnsense/cron"]({})
    assert await firewall.table() == ANTHROPIC


async def test_a_reconfigure_during_another_says_ok_and_does_nothing(firewall: Client) -> None:
    names = firewall.peer._names
    names.set("hang.example", [], "hang")
    firewall.faults.set_scale("opnsense.resolver", 0.1)
    await firewall.set("hang.example")
    first = asyncio.create_task(firewall.reconfigure())
    await asyncio.sleep(0)

    async def running() -> bool:
        return firewall.peer._loader._running

    await until(running)
    await firewall.set("pypi.org")
    assert await firewall.reconfigure() == {"status": "ok"}
    assert await firewall.table() == ANTHROPIC
    await first


async def test_a_load_error_is_500_and_nothing_is_applied(firewall: Client) -> None:
    firewall.faults.arm("opnsense", "reconfigure_error")
    await firewall.set("pypi.org")
    status, body = await firewall.call("POST", "alias/reconfigure", {})
    assert status == 500
    assert body["errorTitle"] == "Alias"  # type: ignore[index]
    assert await firewall.table() == ANTHROPIC


async def test_a_slow_reconfigure_takes_minutes_scaled_and_goes_on_without_its_client(
    firewall: Client,
) -> None:
    firewall.faults.arm("opnsense", "reconfigure_slow")
    firewall.faults.set_scale("opnsense.reconfigure", 0.5 / 120)
    await firewall.set("pypi.org")
    with pytest.raises(TimeoutError):
        await firewall.call("POST", "alias/reconfigure", {}, timeout=aiohttp.ClientTimeout(total=0.1))
    assert await firewall.table() == ANTHROPIC

    async def followed() -> bool:
        return await firewall.table() == PYPI

    await until(followed)


async def test_a_disabled_alias_saves_and_applies_nothing(firewall: Client) -> None:
    await firewall.peer.actions["opnsense/alias"]({"enabled": False})
    assert await firewall.set("pypi.org") == {"result": "saved"}
    assert await firewall.reconfigure() == {"status": "ok"}
    assert await firewall.table() == []
    exported = await firewall.post("alias/export", {"ids": [ALIAS_UUID]})
    assert exported["aliases"]["alias"][ALIAS_UUID]["enabled"] == "0"  # type: ignore[index]


async def test_an_alias_can_be_of_another_type_or_missing(firewall: Client) -> None:
    await firewall.peer.actions["opnsense/alias"]({"type": "network"})
    exported = await firewall.post("alias/export", {"ids": [ALIAS_UUID]})
    assert exported["aliases"]["alias"][ALIAS_UUID]["type"] == "network"  # type: ignore[index]
    await firewall.peer.actions["opnsense/alias"]({"missing": True})
    assert await firewall.get("alias/getAliasUUID/llm_approved_domains") == []
    with pytest.raises(ActionError, match="There is no alias"):
        await firewall.peer.actions["opnsense/edit"]({"add": ["pypi.org"]})


async def test_an_administrator_can_edit_beside_us(firewall: Client) -> None:
    edit = firewall.peer.actions["opnsense/edit"]
    await edit({"add": ["example.com"]})
    assert firewall.content() == ["api.anthropic.com", "example.com"]
    assert "192.175.48.10" in await firewall.table()
    await edit({"remove": ["example.com"], "apply": False})
    assert "192.175.48.10" in await firewall.table()
    with pytest.raises(ActionError, match="not a valid hostname"):
        await edit({"add": ["*.example.com"]})


async def test_a_name_without_an_answer_is_saved_and_opens_nothing(firewall: Client) -> None:
    await firewall.set("api.anthropic.com", "nowhere.example")
    assert await firewall.reconfigure() == {"status": "ok"}
    assert await firewall.table() == ANTHROPIC


async def test_names_are_resolved_again_after_their_interval_only(firewall: Client) -> None:
    await firewall.set("example.com")
    await firewall.reconfigure()
    await firewall.peer.actions["opnsense/dns"]({"name": "example.com", "addresses": ["192.175.48.99"]})
    await firewall.reconfigure()
    assert await firewall.table() == ["192.175.48.10"]
    firewall.faults.set_scale("opnsense.refresh", 0)
    await firewall.peer.actions["opnsense/cron"]({})
    assert await firewall.table() == ["192.175.48.99"]


async def test_a_name_that_fails_at_a_refresh_loses_its_addresses(firewall: Client) -> None:
    firewall.faults.set_scale("opnsense.refresh", 0)
    await firewall.peer.actions["opnsense/dns"]({"outage": True})
    await firewall.peer.actions["opnsense/cron"]({})
    assert await firewall.table() == []


async def test_ranges_negations_and_other_aliases_end_up_as_rows(firewall: Client) -> None:
    await firewall.set("10.0.0.1-10.0.0.3", "!10.0.0.2", "llm_net", "münchen.example")
    await firewall.reconfigure()
    assert await firewall.table() == [
        "10.0.0.1",
        "!10.0.0.2",
        "10.0.0.2/31",
        "10.9.0.0/24",
        "192.175.48.77",
    ]
    assert {"10.0.0.1", "10.0.0.3"} <= firewall.peer.applied
    assert "10.0.0.2" not in firewall.peer.applied
