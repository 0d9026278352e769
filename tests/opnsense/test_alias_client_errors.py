"""The alias's client: what each refusal, silence and odd answer comes out as."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from aiohttp import web
from alias_kit import Bench, refusal
from firewall import KEY, SECRET

from sm.core.outcome import PeerError, Unreachable
from sm.opnsense.client import OPNsenseClient


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
