"""The alias's client: each trap of the firewall's API by name."""

from __future__ import annotations

import asyncio

import pytest
from alias_kit import Bench, refusal

from sm.core.outcome import Unreachable
from sm.opnsense.client import Applied


async def test_trap_1_a_name_is_never_added_with_alias_util_add(bench: Bench) -> None:
    await bench.save("pypi.org")
    await bench.apply("pypi.org", table_before=())
    asked = {path.split("/")[0] + "/" + path.split("/")[1] for _, path, _, _ in bench.firewall.requests}
    assert asked == {
        "alias_util/list",
        "alias/getAliasUUID",
        "alias/export",
        "alias/setItem",
        "alias/reconfigure",
    }
    assert bench.firewall.content == "api.anthropic.com\npypi.org"


async def test_trap_2_a_200_with_a_failure_inside_is_a_refusal_with_the_firewalls_reason(
    bench: Bench,
) -> None:
    reason = 'Entry "x" is not a valid hostname, IP address or range.'
    bench.firewall.say("alias/setItem", {"result": "failed", "validations": {"alias.content": reason}})
    refused = await refusal(bench.save("pypi.org"))
    assert refused.code == "rejected"
    assert reason in str(refused)


async def test_trap_2_several_validations_come_as_a_list(bench: Bench) -> None:
    bench.firewall.say(
        "alias/setItem", {"result": "failed", "validations": {"alias.content": ["one", "two"]}}
    )
    assert "one; two" in str(await refusal(bench.save("pypi.org")))


async def test_trap_2_a_bare_failed_is_a_refusal_too(bench: Bench) -> None:
    bench.firewall.say("alias/setItem", {"result": "failed"})
    assert "no reason given" in str(await refusal(bench.save("pypi.org")))


async def test_trap_2_reconfigure_says_ok_and_applies_nothing(bench: Bench) -> None:
    bench.firewall.lies = True
    bench.resolved["pypi.org"] = frozenset({"198.51.100.7"})
    saved = await bench.save("pypi.org")
    applied = await bench.apply("pypi.org", table_before=saved.table_before)
    assert applied == Applied("unseen", ("192.0.2.10", "2001:db8::10"))
    assert bench.clock.now >= 1075


async def test_trap_2_the_next_cron_minute_applies_what_reconfigure_left_out(bench: Bench) -> None:
    bench.firewall.lies = True
    saved = await bench.save("pypi.org")
    bench.clock.at.append((60, bench.firewall.refresh))
    applied = await bench.apply("pypi.org", table_before=saved.table_before)
    assert applied.resolved == "seen"
    assert applied.table is not None
    assert "198.51.100.7" in applied.table


async def test_trap_3_a_lost_update_is_seen_and_written_again(bench: Bench) -> None:
    def another_writer() -> None:
        bench.firewall.content = "api.anthropic.com\nfiles.example"
        bench.firewall.after_set = None

    bench.firewall.after_set = another_writer
    saved = await bench.save("pypi.org")
    assert bench.firewall.content == "api.anthropic.com\nfiles.example\npypi.org"
    assert saved.after == ("api.anthropic.com", "files.example", "pypi.org")
    assert len(bench.firewall.asked("setItem")) == 2
    assert bench.claims == 2


async def test_trap_3_writers_that_undo_each_other_for_ever_end_after_a_few_rounds(bench: Bench) -> None:
    def another_writer() -> None:
        bench.firewall.content = "api.anthropic.com"

    bench.firewall.after_set = another_writer
    with pytest.raises(Unreachable, match="changed by someone else"):
        await bench.save("pypi.org")
    assert len(bench.firewall.asked("setItem")) == 4


async def test_trap_3_saves_at_the_same_time_keep_each_others_entries(bench: Bench) -> None:
    await asyncio.gather(*(bench.save(f"n{number}.example.org") for number in range(8)))
    assert len(bench.firewall.content.split("\n")) == 9
    assert len(bench.firewall.asked("setItem")) == 8


async def test_trap_4_a_get_has_no_content_type_and_a_post_has_json_even_when_empty(bench: Bench) -> None:
    await bench.save("pypi.org")
    await bench.apply("pypi.org", table_before=())
    for method, path, content_type, body in bench.firewall.requests:
        if method == "GET":
            assert (content_type, body) == (None, b""), path
        else:
            assert content_type == "application/json"
            assert body
    assert bench.firewall.asked("alias/reconfigure") == [{}]
