"""The alias's client: each trap of the firewall's API by name."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from firewall import KEY, NAME, SECRET, UUID, Clock, Firewall

from sm.core.outcome import PeerError, Refused, Unreachable
from sm.opnsense.client import AliasContent, Applied, OPNsenseClient, Saved

# ---------------------------------------------------------------------------------------------------- the bench


class Bench:
    """A firewall, a clock, a resolver, and how often a write was asked about."""

    def __init__(self, firewall: Firewall, http: aiohttp.ClientSession) -> None:
        self.firewall, self.http = firewall, http
        self.clock = Clock()
        self.resolved: dict[str, frozenset[str]] = {}
        self.claims = 0
        self.client = self.made()

    def made(self, **changes: Any) -> OPNsenseClient:
        how: dict[str, Any] = {
            "url": self.firewall.url,
            "key": KEY,
            "secret": SECRET,
            "alias": NAME,
            **changes,
        }
        return OPNsenseClient(
            self.http, sleep=self.clock.sleep, monotonic=self.clock.monotonic, resolve=self.resolve, **how
        )

    async def resolve(self, domain: str) -> frozenset[str]:
        return self.resolved.get(domain, frozenset())

    async def claim(self) -> None:
        self.claims += 1

    async def save(self, *domains: str, remove: tuple[str, ...] = ()) -> Saved:
        return await self.client.save(add=domains, remove=remove, before_write=self.claim)

    async def apply(self, *domains: str, table_before: tuple[str, ...] | None = None) -> Applied:
        return await self.client.apply(domains, table_before, before_write=self.claim)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    firewall = Firewall()
    await firewall.start()
    async with aiohttp.ClientSession() as http:
        yield Bench(firewall, http)
    await firewall.stop()


async def refusal(what: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await what
    return caught.value


# ---------------------------------------------------------------------------------------------------- the four traps


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


# ---------------------------------------------------------------------------------------------------- reading


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


# ---------------------------------------------------------------------------------------------------- saving


async def test_a_save_sends_the_content_only_without_a_newline_at_its_end(bench: Bench) -> None:
    await bench.save("pypi.org")
    assert bench.firewall.asked("setItem") == [{"alias": {"content": "api.anthropic.com\npypi.org"}}]


async def test_a_save_tells_before_and_after_and_the_table_before(bench: Bench) -> None:
    assert await bench.save("pypi.org") == Saved(
        changed=True,
        before=("api.anthropic.com",),
        after=("api.anthropic.com", "pypi.org"),
        table_before=("192.0.2.10", "2001:db8::10"),
    )


async def test_a_save_of_what_is_there_writes_nothing_and_asks_nobody(bench: Bench) -> None:
    saved = await bench.save("api.anthropic.com")
    assert saved.changed is False
    assert bench.firewall.asked("setItem") == []
    assert bench.claims == 0


async def test_a_removal_leaves_the_others_as_they_are_doubled_ones_included(bench: Bench) -> None:
    bench.firewall.content = "z.example\npypi.org\nother_alias\nz.example"
    saved = await bench.save(remove=("pypi.org",))
    assert saved.after == ("z.example", "other_alias", "z.example")


async def test_a_claim_that_is_gone_stops_the_write(bench: Bench) -> None:
    async def gone() -> None:
        raise RuntimeError("another copy acts")

    with pytest.raises(RuntimeError):
        await bench.client.save(add=["pypi.org"], before_write=gone)
    with pytest.raises(RuntimeError):
        await bench.client.apply(["pypi.org"], (), before_write=gone)
    assert bench.firewall.asked("setItem") + bench.firewall.asked("reconfigure") == []


@pytest.mark.parametrize(
    "entry",
    [
        "localhost", "API.OpenAI.com", "münchen.example", "a" * 64 + ".com", "10.0.0.1", "10.0.0.1-10.0.0.9", "!10.0.0.1",
        "llm_net", "", "*.openai.com", ".openai.com", "openai.com.", "a_b.openai.com", "https://openai.com/", "openai.com:443",
        "openai.com evil.com", "openai.com\nevil.com", "openai.com\n", "openai.com\r\nevil.com", "10.0.0.0/8", "1.2.3",
        ".".join(["a" * 60] * 5),
    ],
)  # fmt: skip
async def test_what_the_server_would_take_or_misread_is_refused_before_it_is_asked(
    bench: Bench, entry: str
) -> None:
    assert (await refusal(bench.save(entry))).code == "rejected"
    assert bench.firewall.requests == []


async def test_without_the_privilege_the_table_before_is_unknown_and_the_save_goes_on(bench: Bench) -> None:
    bench.firewall.may_see_table = False
    saved = await bench.save("pypi.org")
    assert saved.changed
    assert saved.table_before is None


async def test_a_lost_reply_to_a_write_is_not_repeated_and_the_next_save_finds_it_done(bench: Bench) -> None:
    async def lose(request: web.Request) -> web.StreamResponse:
        bench.firewall.content = "api.anthropic.com\npypi.org"
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    bench.firewall.instead["alias/setItem"] = lose
    with pytest.raises(Unreachable):
        await bench.save("pypi.org")
    assert len(bench.firewall.asked("setItem")) == 1
    assert (await bench.save("pypi.org")).changed is False
    assert len(bench.firewall.asked("setItem")) == 1


async def test_a_timeout_is_an_unknown_outcome(bench: Bench) -> None:
    release = asyncio.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    bench.firewall.instead["alias/setItem"] = hang
    bench.client = bench.made(timeout_s=0.2)
    with pytest.raises(Unreachable, match=r"within 0\.2 s, so it is unknown"):
        await bench.save("pypi.org")
    release.set()


# ---------------------------------------------------------------------------------------------------- applying


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


# ---------------------------------------------------------------------------------------------------- how it fails


async def test_a_wrong_key_is_unauthorized_and_says_which_settings(bench: Bench) -> None:
    bench.client = bench.made(secret="wrong-secret")
    refused = await refusal(bench.client.check())
    assert refused.code == "unauthorized"
    assert "SM_OPNSENSE_KEY" in str(refused)


async def test_a_redirect_to_the_log_in_page_is_not_followed(bench: Bench) -> None:
    bench.firewall.say("alias/getAliasUUID", "", status=302, Location=f"{bench.firewall.url}/elsewhere")
    refused = await refusal(bench.client.check())
    assert refused.code == "unauthorized"
    assert len(bench.firewall.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (403, {"status": 403, "message": "Forbidden"}, "forbidden"),
        (404, {"errorMessage": "Endpoint not found"}, "no_endpoint"),
        (400, {"status": 400, "message": "Invalid JSON syntax"}, "rejected"),
        (500, {"errorMessage": "User x denied for write access (user-config-readonly set)"}, "forbidden"),
    ],
)
async def test_a_definite_no_is_a_refusal(bench: Bench, status: int, body: Any, code: str) -> None:
    bench.firewall.say("alias/setItem", body, status=status)
    assert (await refusal(bench.save("pypi.org"))).code == code


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_trouble_of_the_firewalls_own_is_an_unknown_outcome(bench: Bench, status: int) -> None:
    bench.firewall.say("alias/getAliasUUID", {"errorMessage": "pf"}, status=status, **{"Retry-After": "7"})
    with pytest.raises(Unreachable) as caught:
        await bench.client.read()
    assert caught.value.retry_after_s == 7
    assert str(status) in str(caught.value)


@pytest.mark.parametrize("body", ["", "<html>log in</html>", "{", "[" * 200_000])
async def test_a_200_that_is_no_json_is_an_unknown_outcome(bench: Bench, body: str) -> None:
    bench.firewall.say("alias/setItem", body)
    with pytest.raises(Unreachable, match="not JSON"):
        await bench.save("pypi.org")


async def test_an_answer_without_end_is_cut_off(bench: Bench) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 65536)
        except ConnectionError:
            return response

    bench.firewall.instead["alias/export"] = endless
    with pytest.raises(Unreachable, match="longer than"):
        await bench.client.read()


async def test_nobody_listening_is_unreachable(bench: Bench) -> None:
    await bench.firewall.stop()
    with pytest.raises(Unreachable, match="cannot be reached"):
        await bench.client.read()


async def test_neither_key_nor_secret_is_in_a_repr_or_an_error_or_what_hangs_on_it(bench: Bench) -> None:
    echo = {"result": "failed", "validations": {"x": f"{KEY} {SECRET} dGhlLWFwaS1rZXk6dGhlLWFwaS1zZWNyZXQ="}}
    bench.firewall.say("alias/setItem", echo)
    seen = [repr(bench.client), repr(bench.client._wire)]
    for attempt in (
        bench.save("pypi.org"),
        bench.made(url="http://127.0.0.1:1").read(),
        bench.made(key="x" + KEY).read(),
    ):
        with pytest.raises(PeerError) as caught:
            await attempt
        seen += traceback.format_exception(caught.value)
        seen += [repr(caught.value), repr(caught.value.__cause__), repr(caught.value.__context__)]
    for text in seen:
        assert KEY not in text
        assert SECRET not in text
        assert "dGhlLWFwaS1rZXk" not in text


def test_a_name_that_no_alias_can_have_is_refused_at_once() -> None:
    for name in ("", "a/b", "a-b", "a" * 33, "../x", "a\n"):
        with pytest.raises(ValueError, match="alias"):
            OPNsenseClient(None, "https://x", "k", "s", alias=name)  # type: ignore[arg-type]
