"""The alias's client: what it saves, and what it never sends."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from alias_kit import Bench, refusal

from sm.core.outcome import Unreachable
from sm.opnsense.client import Saved


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
    async def gone(*_entries: object) -> None:
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
