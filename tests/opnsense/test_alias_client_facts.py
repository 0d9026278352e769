"""Every trap and fact of OPNsense's alias API, by its words: switched on at the sandbox's firewall, and what we make of it.

The facts were observed against the real controllers (27.1); `FACTS` is the whole list, and a test holds it complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from loopback_kit import NAME, PYPI, Wall

from sm.core.outcome import Refused, Unreachable
from sm.sandbox.opnsense.api import ADMIN_ENTRY
from sm.sandbox.opnsense.peer import ALIAS_UUID

FACTS = (
    # the four traps
    "alias_util/add cannot add a domain name",
    "alias_util/add lets a name of hex letters slip through",
    "a refusal is 200 with the failure inside",
    "reconfigure answers ok and the next cron minute applies",
    "reconfigure answers ok and nothing was applied",
    "setItem replaces the whole content without a version check",
    "a content type of JSON with an empty body is 400",
    # transport and who may
    "a wrong key is 401",
    "a lacking privilege is 403",
    "no Authorization header is a 302 to the log-in page",
    "an unknown action is 404",
    "an exception is 500 with a message",
    "a proxy before it answers 503 in HTML",
    "the literal path is what privileges match",
    "Alias: Edit alone is enough to write, not to see the table",
    "Aliases alone is not enough",
    "user-config-readonly blocks a write with 500",
    # what is asked
    "a missing alias is an empty JSON list",
    "an empty alias has no entries",
    "setItem is partial",
    "setItem of an unknown id makes a ghost",
    "repeating a set is saved and backed up each time",
    "a disabled alias saves and applies nothing",
    "an alias of another type takes no names",
    "content that the server refuses",
    "content that the server takes and should not",
    "a trailing newline is an empty bad entry",
    "duplicates are taken",
    # locking, concurrency, time
    "a writer waits for the configuration's lock",
    "parallel writers are all told saved and the last one wins",
    "with the daemon down a call takes minutes",
    "a request is lost",
    "a reply is lost",
    "a reconfigure takes minutes",
    "a reconfigure that fails is 500",
    "a reconfigure during another one does nothing",
    # from saved to open
    "nothing applies without reconfigure",
    "a resolver that does not answer makes reconfigure slow",
    "names are resolved again after their interval only",
    "a name that fails at a refresh loses its addresses",
    "removal needs reconfigure too",
    "a shared address opens other names",
    "ranges, negations and other aliases are rows of the table",
)
shown: dict[str, str] = {}

Test = Callable[..., Awaitable[None]]


def fact(words: str) -> Callable[[Test], Test]:
    def mark(test: Test) -> Test:
        assert words in FACTS, words
        shown[words] = test.__name__
        return test

    return mark


def test_every_fact_has_its_test() -> None:
    assert list(shown) == list(FACTS)


@pytest.fixture
async def wall(request: pytest.FixtureRequest) -> AsyncIterator[Wall]:
    async with aiohttp.ClientSession() as http:
        wall = Wall(http, **getattr(request, "param", {}))
        await wall.peer.start()
        yield wall
        await wall.peer.stop()


async def refusal(what: Awaitable[Any]) -> Refused:
    with pytest.raises(Refused) as caught:
        await what
    return caught.value


def may(*privileges: str) -> Any:
    return pytest.mark.parametrize("wall", [{"privileges": frozenset(privileges)}], indirect=True)


# --- the four traps -----------------------------------------------------------------------------------------------------


@fact("alias_util/add cannot add a domain name")
async def test_a_name_is_added_with_set_item_only(wall: Wall) -> None:
    saved = await wall.save("pypi.org")
    await wall.apply("pypi.org", before=saved.table_before)
    assert set(wall.wire) == {
        "alias_util/list", "alias/getAliasUUID", "alias/export", "alias/setItem", "alias/reconfigure",
    }  # fmt: skip
    assert wall.content == ["api.anthropic.com", "pypi.org"]


@fact("alias_util/add lets a name of hex letters slip through")
async def test_a_name_of_hex_letters_is_added_as_any_other(wall: Wall) -> None:
    saved = await wall.save("cafe.de")
    applied = await wall.apply("cafe.de", before=saved.table_before)
    assert applied.resolved == "seen"
    assert wall.content == ["api.anthropic.com", "cafe.de"]
    assert (wall.peer.state()["add"], wall.peer.state()["set_item"]) == (0, 1)


@fact("a refusal is 200 with the failure inside")
async def test_a_failure_inside_a_200_is_a_refusal(wall: Wall) -> None:
    wall.arm("save_refused")
    refused = await refusal(wall.save("pypi.org"))
    assert (refused.code, "no reason given" in str(refused)) == ("rejected", True)
    assert wall.content == ["api.anthropic.com"]


@fact("reconfigure answers ok and the next cron minute applies")
async def test_an_ok_that_only_the_cron_minute_makes_true_is_seen_then(wall: Wall) -> None:
    saved = await wall.save("pypi.org")
    wall.arm("reconfigure_ignored")
    wall.cron = True
    applied = await wall.apply("pypi.org", before=saved.table_before)
    assert applied.resolved == "seen"
    assert wall.now_s > 0


@fact("reconfigure answers ok and nothing was applied")
async def test_an_ok_that_nothing_comes_of_is_unseen(wall: Wall) -> None:
    saved = await wall.save("pypi.org")
    wall.arm("reconfigure_lost")
    wall.cron = True
    applied = await wall.apply("pypi.org", before=saved.table_before)
    assert applied.resolved == "unseen"
    assert PYPI not in (applied.table or ())
    assert wall.now_s >= 75


@fact("setItem replaces the whole content without a version check")
async def test_an_edit_that_takes_ours_away_is_written_again_with_what_it_brought(wall: Wall) -> None:
    wall.arm("foreign_edit_after")
    saved = await wall.save("pypi.org")
    assert saved.after == ("api.anthropic.com", ADMIN_ENTRY, "pypi.org")
    assert wall.shown == [("api.anthropic.com",), ("api.anthropic.com", ADMIN_ENTRY)]


@fact("a content type of JSON with an empty body is 400")
async def test_a_get_has_no_content_type_and_a_post_always_has_a_body(wall: Wall) -> None:
    saved = await wall.save("pypi.org")
    await wall.apply("pypi.org", before=saved.table_before)
    await wall.client().look()
    requests: Any = wall.peer.state()["requests"]
    assert {request["status"] for request in requests} == {200}


# --- transport and who may ----------------------------------------------------------------------------------------------


@fact("a wrong key is 401")
async def test_a_wrong_key_is_unauthorized(wall: Wall) -> None:
    for wrong in ({"key": "wrong"}, {"secret": "wrong"}):
        assert (await refusal(wall.client(**wrong).check())).code == "unauthorized"
    wall.arm("unauthorized")
    assert (await refusal(wall.client().check())).code == "unauthorized"


@fact("a lacking privilege is 403")
async def test_a_lacking_privilege_is_forbidden(wall: Wall) -> None:
    wall.arm("forbidden", group="alias")
    refused = await refusal(wall.client().check())
    assert refused.code == "forbidden"
    assert "Firewall: Alias: Edit" in str(refused)


@fact("no Authorization header is a 302 to the log-in page")
async def test_the_log_in_page_is_not_followed(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    async def without_header(self: aiohttp.ClientSession, *args: Any, **options: Any) -> Any:
        options["headers"] = {k: v for k, v in (options.get("headers") or {}).items() if k != "Authorization"}
        return await real(self, *args, **options)

    real = aiohttp.ClientSession._request
    monkeypatch.setattr(aiohttp.ClientSession, "_request", without_header)
    refused = await refusal(wall.client().check())
    assert refused.code == "unauthorized"
    assert "302" in str(refused)
    assert wall.wire == ["alias/getAliasUUID"]


@fact("an unknown action is 404")
async def test_an_address_that_is_not_there_is_said(wall: Wall) -> None:
    wall.peer.url += "/some/path"
    assert (await refusal(wall.client().check())).code == "no_endpoint"


@fact("an exception is 500 with a message")
async def test_an_exception_of_the_firewall_is_an_unknown_outcome(wall: Wall) -> None:
    wall.arm("server_error", endpoint="alias/setItem/*")
    with pytest.raises(Unreachable, match="Unexpected error"):
        await wall.save("pypi.org")
    assert wall.content == ["api.anthropic.com"]
    assert (await wall.save("pypi.org")).changed


@fact("a proxy before it answers 503 in HTML")
async def test_a_page_of_a_proxy_is_an_unknown_outcome(wall: Wall) -> None:
    wall.arm("unavailable")
    with pytest.raises(Unreachable, match="503"):
        await wall.client().read()


@fact("the literal path is what privileges match")
async def test_no_path_is_spelled_another_way(wall: Wall) -> None:
    saved = await wall.save("pypi.org")
    await wall.apply("pypi.org", before=saved.table_before)
    known = {"alias/getAliasUUID", "alias/export", "alias/setItem", "alias/reconfigure", "alias_util/list"}
    assert set(wall.wire) <= known


@fact("Alias: Edit alone is enough to write, not to see the table")
@may("alias")
async def test_with_the_one_privilege_all_is_written_and_what_is_open_is_unknown(wall: Wall) -> None:
    saved = await wall.save("pypi.org")
    assert (saved.changed, saved.table_before) == (True, None)
    applied = await wall.apply("pypi.org", before=None)
    assert (applied.resolved, applied.table) == ("unknown", None)
    assert PYPI in wall.peer.applied
    look = await wall.client().look()
    assert (look.entries, look.table) == (("api.anthropic.com", "pypi.org"), None)


@fact("Aliases alone is not enough")
@may("alias_view", "alias_util")
async def test_a_user_who_may_only_read_aliases_is_told_so_by_the_probe(wall: Wall) -> None:
    assert (await refusal(wall.client().check())).code == "forbidden"


@fact("user-config-readonly blocks a write with 500")
async def test_a_readonly_user_is_told_what_to_take_away(wall: Wall) -> None:
    wall.arm("readonly_user")
    refused = await refusal(wall.save("pypi.org"))
    assert refused.code == "forbidden"
    assert "user-config-readonly" in str(refused)
    assert wall.content == ["api.anthropic.com"]


# --- what is asked ------------------------------------------------------------------------------------------------------


@fact("a missing alias is an empty JSON list")
async def test_a_missing_alias_is_named_with_what_to_do(wall: Wall) -> None:
    await wall.change(missing=True)
    for attempt in (wall.client().look(), wall.save("pypi.org")):
        refused = await refusal(attempt)
        assert refused.code == "alias_missing"
        assert NAME in str(refused)
    assert wall.writes == []


@fact("an empty alias has no entries")
async def test_an_alias_can_be_emptied_and_filled_again(wall: Wall) -> None:
    saved = await wall.save(remove=("api.anthropic.com",))
    assert (saved.after, wall.content) == ((), [])
    assert (await wall.save("pypi.org")).after == ("pypi.org",)


@fact("setItem is partial")
async def test_only_the_content_is_sent_so_that_nothing_else_is_put_back(wall: Wall) -> None:
    async def meanwhile(_entries: tuple[str, ...]) -> None:
        await wall.change(name="renamed", apply=False)

    refused = await refusal(wall.client().save(add=["pypi.org"], before_write=meanwhile))
    assert refused.code == "alias_missing"
    aliases: Any = wall.peer.state()["aliases"]
    assert "renamed" in aliases
    assert NAME not in aliases


@fact("setItem of an unknown id makes a ghost")
async def test_an_alias_that_goes_between_read_and_write_does_not_come_back_as_a_ghost(wall: Wall) -> None:
    async def meanwhile(_entries: tuple[str, ...]) -> None:
        await wall.change(missing=True, apply=False)

    refused = await refusal(wall.client().save(add=["pypi.org"], before_write=meanwhile))
    assert refused.code == "rejected"
    aliases: Any = wall.peer.state()["aliases"]
    assert ALIAS_UUID not in {alias["uuid"] for alias in aliases.values()}


@fact("repeating a set is saved and backed up each time")
async def test_what_is_there_is_not_written_again(wall: Wall) -> None:
    for _ in range(3):
        await wall.save("pypi.org")
    await wall.save(remove=("not-there.example.com",))
    assert wall.peer.state()["set_item"] == 1
    assert len(wall.shown) == 1


@fact("a disabled alias saves and applies nothing")
async def test_a_disabled_alias_is_refused_before_it_is_written(wall: Wall) -> None:
    await wall.change(enabled=False)
    for attempt in (wall.client().check(), wall.client().look(), wall.save("pypi.org")):
        assert (await refusal(attempt)).code == "alias_disabled"
    assert wall.writes == []


@fact("an alias of another type takes no names")
async def test_an_alias_of_another_type_is_refused_before_it_is_written(wall: Wall) -> None:
    for kind in ("network", "port", "urltable", "external", "geoip"):
        await wall.change(type=kind)
        for attempt in (wall.client().check(), wall.client().look(), wall.save("pypi.org")):
            assert (await refusal(attempt)).code == "alias_wrong_type"
    assert wall.writes == []


@fact("content that the server refuses")
@pytest.mark.parametrize(
    "entry",
    [
        "*.x.com", ".x.com", "x.com.", "a_b.com", "https://x.com/", "x.com:443", "x.com y.com", "x.com,y.com", "x.com\r\ny.com",
        "10.0.0.0/8", "1.2.3",
    ],
)  # fmt: skip
async def test_what_the_server_would_refuse_is_not_even_asked(wall: Wall, entry: str) -> None:
    assert (await refusal(wall.save(entry))).code == "rejected"
    assert wall.wire == []


@fact("content that the server takes and should not")
@pytest.mark.parametrize(
    "entry",
    [
        "localhost", "API.OpenAI.com", "münchen.example", "a" * 64 + ".com", "10.0.0.1-10.0.0.9", "!192.0.2.1", "10.0.0.1",
        "::1", "llm_net", "bogons", "", "127.1", "0x7f.1", "1.1.1.1.1", "a..com",
    ],
)  # fmt: skip
async def test_what_the_server_would_take_and_misread_is_not_asked_either(wall: Wall, entry: str) -> None:
    assert (await refusal(wall.save(entry))).code == "rejected"
    assert wall.wire == []


@fact("a trailing newline is an empty bad entry")
async def test_the_content_has_no_newline_at_its_end(wall: Wall) -> None:
    saved = await wall.save("pypi.org")
    assert saved.changed
    assert (await refusal(wall.save("pypi.org\n"))).code == "rejected"


@fact("duplicates are taken")
async def test_ours_is_there_once_and_foreign_doubles_stay(wall: Wall) -> None:
    await wall.client().save(add=["pypi.org", "pypi.org"], before_write=wall.show)
    assert wall.content == ["api.anthropic.com", "pypi.org"]
    wall.peer._store.aliases[ALIAS_UUID].fields["content"] = "a.example\npypi.org\na.example\npypi.org"
    assert (await wall.save(remove=("pypi.org",))).after == ("a.example", "a.example")


# --- locking, concurrency, time -----------------------------------------------------------------------------------------


@fact("a writer waits for the configuration's lock")
async def test_a_lock_makes_a_write_wait_and_no_more(wall: Wall) -> None:
    wall.faults.set_scale("opnsense.lock", 0.02)
    wall.arm("locked")
    assert (await wall.save("pypi.org")).changed
    wall.faults.set_scale("opnsense.lock", 1)
    wall.arm("locked")
    with pytest.raises(Unreachable, match="unknown what it did"):
        await wall.save("example.com", timeout_s=0.1)


@fact("parallel writers are all told saved and the last one wins")
async def test_sixteen_writers_of_ours_take_turns_and_lose_nothing(wall: Wall) -> None:
    client = wall.client()
    names = [f"n{number}.example.com" for number in range(16)]
    saved = await asyncio.gather(*(client.save(add=[name], before_write=wall.show) for name in names))
    assert all(one.changed and name in one.after for one, name in zip(saved, names, strict=True))
    assert sorted(wall.content) == sorted(["api.anthropic.com", *names])
    assert len(wall.writes) == 16
    for before, after in zip(wall.writes, wall.writes[1:], strict=False):
        assert after["before"] == before["after"]
    assert [list(entries) for entries in wall.shown] == [write["before"] for write in wall.writes]


@fact("with the daemon down a call takes minutes")
async def test_a_firewall_without_its_daemon_is_an_unknown_outcome_and_read_again_later(wall: Wall) -> None:
    wall.arm("daemon_down", endpoint="alias/setItem/*")
    with pytest.raises(Unreachable, match="unknown what it did"):
        await wall.save("pypi.org", timeout_s=0.1)
    assert (await wall.save("pypi.org")).after == ("api.anthropic.com", "pypi.org")


@fact("a request is lost")
async def test_a_lost_request_is_unknown_and_found_undone(wall: Wall) -> None:
    wall.arm("lost_request", endpoint="alias/setItem/*")
    with pytest.raises(Unreachable):
        await wall.save("pypi.org")
    assert (await wall.save("pypi.org")).changed
    assert wall.peer.state()["set_item"] == 1


@fact("a reply is lost")
async def test_a_lost_reply_is_unknown_and_found_done(wall: Wall) -> None:
    wall.arm("lost_reply", endpoint="alias/setItem/*")
    with pytest.raises(Unreachable):
        await wall.save("pypi.org")
    assert not (await wall.save("pypi.org")).changed
    assert wall.peer.state()["set_item"] == 1


@fact("a reconfigure takes minutes")
async def test_a_slow_reconfigure_is_waited_for_and_a_slower_one_is_unknown(wall: Wall) -> None:
    saved = await wall.save("pypi.org")
    wall.faults.set_scale("opnsense.reconfigure", 0.002)
    wall.arm("reconfigure_slow")
    applied = await wall.apply("pypi.org", before=saved.table_before, timeout_s=0.1)
    assert applied.resolved == "seen"
    wall.faults.set_scale("opnsense.reconfigure", 1)
    wall.arm("reconfigure_slow")
    with pytest.raises(Unreachable, match="unknown what it did"):
        await wall.apply("pypi.org", before=saved.table_before, reconfigure_timeout_s=0.1)


@fact("a reconfigure that fails is 500")
async def test_a_table_that_could_not_be_loaded_is_an_unknown_outcome(wall: Wall) -> None:
    saved = await wall.save("pypi.org")
    wall.arm("reconfigure_error")
    with pytest.raises(Unreachable, match="Cannot allocate memory"):
        await wall.apply("pypi.org", before=saved.table_before)
    assert (await wall.apply("pypi.org", before=saved.table_before)).resolved == "seen"


@fact("a reconfigure during another one does nothing")
async def test_two_applies_of_ours_never_reconfigure_at_once(wall: Wall) -> None:
    client = wall.client()
    saved = await client.save(add=["pypi.org", "example.com"], before_write=wall.show)
    wall.faults.set_scale("opnsense.reconfigure", 0.001)
    wall.arm("reconfigure_slow", times=2)
    under_way: list[int] = []
    load = wall.peer._loader.load

    async def counted() -> bool:
        under_way.append(1)
        done = await load()
        assert done, "turned away: another one was under way"
        return done

    wall.peer._loader.load = counted  # type: ignore[method-assign]
    both = await asyncio.gather(
        *(client.apply([name], saved.table_before, before_write=wall.claim) for name in ("pypi.org", "example.com"))
    )  # fmt: skip
    assert [applied.resolved for applied in both] == ["seen", "seen"]
    assert len(under_way) == 2


# --- from saved to open -------------------------------------------------------------------------------------------------


@fact("nothing applies without reconfigure")
async def test_what_is_saved_is_not_open_and_not_said_to_be(wall: Wall) -> None:
    saved = await wall.save("pypi.org")
    await wall.peer.actions["opnsense/cron"]({})
    assert PYPI not in wall.peer.applied
    assert saved.table_before is not None
    assert PYPI not in saved.table_before
    assert (await wall.apply("pypi.org", before=saved.table_before)).resolved == "seen"
    assert PYPI in wall.peer.applied


@fact("a resolver that does not answer makes reconfigure slow")
async def test_a_name_that_hangs_at_the_firewall_is_waited_for_and_unseen(wall: Wall) -> None:
    wall.names.set("pypi.org", [PYPI], "hang")
    wall.faults.set_scale("opnsense.resolver", 0.05)
    saved = await wall.save("pypi.org")
    assert (await wall.apply("pypi.org", before=saved.table_before, timeout_s=0.1)).resolved == "unseen"


@fact("names are resolved again after their interval only")
async def test_a_name_that_moved_is_seen_in_the_table_only_after_the_interval(wall: Wall) -> None:
    saved = await wall.save("pypi.org")
    await wall.apply("pypi.org", before=saved.table_before)
    wall.names.set("pypi.org", ["10.0.0.5"])
    await wall.peer.actions["opnsense/cron"]({})
    assert PYPI in ((await wall.client().look()).table or ())
    wall.faults.set_scale("opnsense.refresh", 0)
    await wall.peer.actions["opnsense/cron"]({})
    table = (await wall.client().look()).table or ()
    assert "10.0.0.5" in table
    assert PYPI not in table


@fact("a name that fails at a refresh loses its addresses")
async def test_a_look_shows_a_name_that_is_in_the_alias_and_not_in_the_table(wall: Wall) -> None:
    saved = await wall.save("pypi.org")
    await wall.apply("pypi.org", before=saved.table_before)
    wall.names.set("pypi.org", [PYPI], "servfail")
    wall.faults.set_scale("opnsense.refresh", 0)
    await wall.peer.actions["opnsense/cron"]({})
    look = await wall.client().look()
    assert "pypi.org" in look.entries
    assert PYPI not in (look.table or ())


@fact("removal needs reconfigure too")
async def test_what_is_taken_out_stays_open_until_it_is_applied_and_seen_to_leave(wall: Wall) -> None:
    await wall.apply("pypi.org", before=(await wall.save("pypi.org")).table_before)
    saved = await wall.save(remove=("pypi.org",))
    assert saved.after == ("api.anthropic.com",)
    assert PYPI in (saved.table_before or ())
    wall.arm("reconfigure_ignored")
    unseen = await wall.apply(before=saved.table_before, gone=(PYPI,))
    assert unseen.resolved == "unseen"
    assert (await wall.apply(before=saved.table_before, gone=(PYPI,))).resolved == "seen"
    assert PYPI not in wall.peer.applied


@fact("a shared address opens other names")
async def test_an_address_that_another_entry_keeps_is_not_seen_to_leave(wall: Wall) -> None:
    shared, own = "192.52.193.50", "192.52.193.51"
    wall.names.set("cdn.example.com", [shared, own])
    saved = await wall.save("cdn.example.com", "registry.npmjs.org")
    await wall.apply("cdn.example.com", "registry.npmjs.org", before=saved.table_before)
    saved = await wall.save(remove=("registry.npmjs.org",))
    assert (await wall.apply(before=saved.table_before, gone=(shared,))).resolved == "unseen"
    await wall.save("registry.npmjs.org")
    saved = await wall.save(remove=("cdn.example.com",))
    assert (await wall.apply(before=saved.table_before, gone=(shared, own))).resolved == "seen"
    assert wall.peer.applied >= {shared}


@fact("ranges, negations and other aliases are rows of the table")
async def test_what_others_put_there_is_kept_and_its_rows_do_no_harm(wall: Wall) -> None:
    await wall.edit("10.0.0.1-10.0.0.9", "!10.0.0.5", "llm_net")
    saved = await wall.save("pypi.org")
    applied = await wall.apply("pypi.org", before=saved.table_before)
    assert applied.resolved == "seen"
    assert wall.content == ["api.anthropic.com", "10.0.0.1-10.0.0.9", "!10.0.0.5", "llm_net", "pypi.org"]
    assert (await wall.client().look()).table == applied.table
