"""The alias's client: what it reads, and what it does not believe."""

from __future__ import annotations

from typing import Any

import pytest
from alias_kit import Bench, refusal
from firewall import NAME, UUID

from sm.core.outcome import Unreachable
from sm.opnsense.client import AliasContent


async def test_the_content_is_read_in_its_order(bench: Bench) -> None:
    bench.firewall.content = "b.example\na.example\n10.0.0.1-10.0.0.9"
    assert await bench.client.read() == AliasContent(UUID, ("b.example", "a.example", "10.0.0.1-10.0.0.9"))


async def test_an_empty_alias_has_no_entries(bench: Bench) -> None:
    bench.firewall.content = ""
    assert (await bench.client.read()).entries == ()


async def test_a_missing_alias_is_a_json_list_and_named(bench: Bench) -> None:
    bench.firewall.name = ""
    refused = await refusal(bench.client.check())
    assert refused.code == "alias_missing"
    assert NAME in str(refused)


async def test_an_alias_of_almost_the_same_name_is_not_ours(bench: Bench) -> None:
    bench.firewall.name = NAME.upper()
    assert (await refusal(bench.client.read())).code == "alias_missing"


async def test_an_alias_that_went_away_in_between_is_missing(bench: Bench) -> None:
    bench.firewall.say("alias/export", {"aliases": {"alias": []}})
    assert (await refusal(bench.client.read())).code == "alias_missing"


async def test_a_disabled_alias_is_refused_and_not_written(bench: Bench) -> None:
    bench.firewall.enabled = "0"
    assert (await refusal(bench.save("pypi.org"))).code == "alias_disabled"
    assert bench.firewall.asked("setItem") == []


async def test_an_alias_of_another_type_is_refused_and_not_written(bench: Bench) -> None:
    bench.firewall.type = "network"
    assert (await refusal(bench.save("pypi.org"))).code == "alias_wrong_type"
    assert bench.firewall.asked("setItem") == []


async def test_an_alias_disabled_after_the_write_is_seen(bench: Bench) -> None:
    def disable() -> None:
        bench.firewall.enabled = "0"

    bench.firewall.after_set = disable
    assert (await refusal(bench.save("pypi.org"))).code == "alias_disabled"


@pytest.mark.parametrize("answer", [{}, {"uuid": 7}, {"uuid": "../setItem/x"}, "null", "7", {"uuid": ""}])
async def test_an_odd_answer_about_the_alias_is_no_answer(bench: Bench, answer: Any) -> None:
    bench.firewall.say("alias/getAliasUUID", answer)
    with pytest.raises(Unreachable):
        await bench.client.read()


@pytest.mark.parametrize("answer", [{}, [], {"aliases": 7}, {"aliases": {"alias": {"other": {}}}}])
async def test_an_odd_export_is_no_answer(bench: Bench, answer: Any) -> None:
    bench.firewall.say("alias/export", answer)
    with pytest.raises(Unreachable):
        await bench.client.read()


async def test_the_literal_paths_are_used_since_privileges_match_them_case_sensitively(bench: Bench) -> None:
    await bench.save("pypi.org")
    assert [(method, path) for method, path, _, _ in bench.firewall.requests] == [
        ("GET", f"alias_util/list/{NAME}"),
        ("GET", f"alias/getAliasUUID/{NAME}"),
        ("POST", "alias/export"),
        ("POST", f"alias/setItem/{UUID}"),
        ("GET", f"alias/getAliasUUID/{NAME}"),
        ("POST", "alias/export"),
    ]
