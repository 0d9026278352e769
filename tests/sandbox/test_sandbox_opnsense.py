"""The OPNsense stand-in against what was observed of the real one."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from sm.sandbox.control import ActionError
from sm.sandbox.faults import Faults
from sm.sandbox.network.names import Names
from sm.sandbox.opnsense.peer import ALIAS_UUID, OPNsensePeer

AUTH = {"Authorization": aiohttp.encode_basic_auth("key", "secret")}
JSON = AUTH | {"Content-Type": "application/json"}
ANTHROPIC = ["198.51.100.10", "2001:db8::10"]
PYPI = ["198.51.100.20", "198.51.100.21"]


class Client:
    """Speaks to the peer and follows no redirect; answers (status, body)."""

    def __init__(self, peer: OPNsensePeer, faults: Faults, session: aiohttp.ClientSession) -> None:
        self.peer, self.faults, self.session = peer, faults, session
        self.opened: list[frozenset[str]] = []

    async def call(
        self, method: str, path: str, body: object = None, **options: object
    ) -> tuple[int, object]:
        options = {"headers": AUTH, "allow_redirects": False} | options
        if body is not None:
            options["json"] = body
        url = f"{self.peer.url}/api/firewall/{path}"
        async with self.session.request(method, url, **options) as response:  # type: ignore[arg-type]
            kind = response.content_type
            return response.status, await (response.json() if kind == "application/json" else response.text())

    async def get(self, path: str, **options: object) -> object:
        status, body = await self.call("GET", path, **options)
        assert status == 200, body
        return body

    async def post(self, path: str, body: object) -> object:
        status, answer = await self.call("POST", path, body)
        assert status == 200, answer
        return answer

    async def set(self, *entries: str) -> object:
        return await self.post(f"alias/setItem/{ALIAS_UUID}", {"alias": {"content": "\n".join(entries)}})

    async def reconfigure(self) -> object:
        return await self.post("alias/reconfigure", {})

    async def table(self) -> list[str]:
        answer = await self.get("alias_util/list/llm_approved_domains")
        return [row["ip"] for row in answer["rows"]]  # type: ignore[index]

    def content(self) -> list[str]:
        return self.peer.state()["aliases"]["llm_approved_domains"]["content"]  # type: ignore[index, return-value]


@pytest.fixture
async def firewall() -> AsyncIterator[Client]:
    faults, names = Faults(), Names()
    opened: list[frozenset[str]] = []

    async def on_table(addresses: frozenset[str]) -> None:
        opened.append(addresses)

    peer = OPNsensePeer(faults, names, key="key", secret="secret", on_table=on_table)
    await peer.start()
    async with aiohttp.ClientSession() as session:
        client = Client(peer, faults, session)
        client.opened = opened
        yield client
    await peer.stop()


async def until(condition: Callable[[], Awaitable[bool]], limit_s: float = 5) -> None:
    async with asyncio.timeout(limit_s):
        while not await condition():
            await asyncio.sleep(0.01)


# Transport and who may


async def test_without_an_authorization_header_it_redirects_with_an_empty_body(firewall: Client) -> None:
    path = "/api/firewall/alias/getAliasUUID/x"
    async with firewall.session.get(firewall.peer.url + path, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, f"/?url={path}")
        assert await response.read() == b""


async def test_a_wrong_secret_is_401_after_two_seconds_scaled(firewall: Client) -> None:
    firewall.faults.set_scale("opnsense.authentication", 0.1)
    began = time.monotonic()
    status, body = await firewall.call(
        "GET", "alias/getAliasUUID/x", headers={"Authorization": aiohttp.encode_basic_auth("key", "secrets")}
    )
    assert (status, body) == (401, {"status": 401, "message": "Authentication Failed"})
    assert time.monotonic() - began >= 0.2


async def test_an_unknown_action_is_404_before_any_key_is_asked_for(firewall: Client) -> None:
    for path in ("alias/nosuchAction", "alias/setItem", "nosuch/thing/x", "alias_util/list"):
        status, body = await firewall.call("GET", path, headers={})
        assert (status, body) == (404, {"errorMessage": "Endpoint not found"})


async def test_a_lacking_privilege_is_403_for_its_group_alone(firewall: Client) -> None:
    firewall.faults.arm("opnsense", "forbidden", times=None, match={"group": "alias_util"})
    forbidden = (403, {"status": 403, "message": "Forbidden"})
    assert await firewall.call("GET", "alias_util/list/llm_approved_domains") == forbidden
    assert await firewall.get("alias/getAliasUUID/llm_approved_domains") == {"uuid": ALIAS_UUID}


async def test_paths_route_in_both_styles_but_the_privileges_know_the_literal_one(firewall: Client) -> None:
    uuid = {"uuid": ALIAS_UUID}
    assert await firewall.get("alias/get_alias_u_u_i_d/llm_approved_domains") == uuid
    assert await firewall.get("alias/get_alias_uuid/llm_approved_domains") == uuid
    assert (await firewall.call("GET", "aliasUtil/list/llm_approved_domains"))[0] == 403
    assert (await firewall.call("GET", "/alias/getAliasUUID/llm_approved_domains"))[0] == 403


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_json_content_type_with_an_empty_body_is_400(firewall: Client, method: str) -> None:
    answer = await firewall.call(method, "alias/getAliasUUID/x", headers=JSON)
    assert answer == (400, {"status": 400, "message": "Invalid JSON syntax"})


async def test_a_post_without_body_and_content_type_is_taken(firewall: Client) -> None:
    async with firewall.session.post(
        f"{firewall.peer.url}/api/firewall/alias/reconfigure",
        headers=AUTH,
        skip_auto_headers=["Content-Type"],
    ) as response:
        assert await response.json() == {"status": "ok"}


async def test_https_has_a_self_signed_certificate_whose_fingerprint_is_told(tmp_path: Path) -> None:
    peer = OPNsensePeer(Faults(), Names(), key="key", secret="secret", tls_folder=tmp_path)
    await peer.start()
    pinned = aiohttp.Fingerprint(bytes.fromhex(peer.fingerprint))
    async with aiohttp.ClientSession(headers=AUTH) as session:
        url = f"{peer.url}/api/firewall/alias/getAliasUUID/llm_approved_domains"
        async with session.get(url, ssl=pinned) as response:
            assert await response.json() == {"uuid": ALIAS_UUID}
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(url)
        trusting = ssl.create_default_context(cafile=str(tmp_path / "self-signed.pem"))
        async with session.get(url, ssl=trusting) as response:
            assert response.status == 200
    await peer.stop()


# Reading


async def test_a_missing_alias_is_an_empty_list(firewall: Client) -> None:
    assert await firewall.get("alias/getAliasUUID/nosuch") == []


async def test_get_item_holds_the_content_among_every_other_alias(firewall: Client) -> None:
    alias = (await firewall.get(f"alias/getItem/{ALIAS_UUID}"))["alias"]  # type: ignore[index]
    assert alias["name"] == "llm_approved_domains"
    assert alias["enabled"] == "1"
    assert [kind for kind, option in alias["type"].items() if option["selected"] == 1] == ["host"]
    assert alias["content"]["api.anthropic.com"] == {"value": "api.anthropic.com", "selected": 1}
    assert alias["content"]["llm_net"]["selected"] == 0
    assert alias["content"]["bogons"]["selected"] == 0
    assert alias["current_items"] == "2"


async def test_get_item_of_an_unknown_id_is_200_without_a_name(firewall: Client) -> None:
    alias = (await firewall.get("alias/getItem/99999999-9999-4999-8999-999999999999"))["alias"]  # type: ignore[index]
    assert list(alias) == ["content"]


async def test_an_empty_alias_holds_one_empty_key(firewall: Client) -> None:
    await firewall.set()
    alias = (await firewall.get(f"alias/getItem/{ALIAS_UUID}"))["alias"]  # type: ignore[index]
    assert [key for key, entry in alias["content"].items() if entry["selected"]] == [""]


async def test_export_is_plain_text_by_id_and_a_list_where_nothing_is_found(firewall: Client) -> None:
    found = await firewall.post("alias/export", {"ids": [ALIAS_UUID]})
    alias = found["aliases"]["alias"][ALIAS_UUID]  # type: ignore[index]
    assert (alias["enabled"], alias["name"], alias["type"]) == ("1", "llm_approved_domains", "host")
    assert alias["content"] == "api.anthropic.com"
    assert await firewall.post("alias/export", {"ids": ["none"]}) == {"aliases": {"alias": []}}


async def test_search_matches_a_part_of_the_name(firewall: Client) -> None:
    found = await firewall.post(
        "alias/searchItem", {"searchPhrase": "llm_appr", "rowCount": -1, "current": 1}
    )
    assert [row["name"] for row in found["rows"]] == ["llm_approved_domains"]  # type: ignore[index]
    assert found["rows"][0]["%type"] == "Host(s)"  # type: ignore[index]
    every = await firewall.get("alias/searchItem", params={"searchPhrase": "llm_", "rowCount": "2"})
    assert (every["total"], every["rowCount"]) == (5, 2)  # type: ignore[index]


async def test_the_table_size_counts_by_table(firewall: Client) -> None:
    size = await firewall.get("alias/getTableSize")
    assert size["details"]["llm_approved_domains"]["count"] == 2  # type: ignore[index]
    assert size["details"]["llm_disabled"]["count"] == 0  # type: ignore[index]


async def test_a_missing_table_is_an_empty_one(firewall: Client) -> None:
    assert await firewall.get("alias_util/list/nosuch") == {
        "total": 0,
        "rowCount": 0,
        "current": 1,
        "rows": [],
    }


# Saving


@pytest.mark.parametrize(
    "entry",
    [
        "*.openai.com",
        ".openai.com",
        "openai.com.",
        "a_b.openai.com",
        "https://openai.com/",
        "openai.com:443",
        "openai.com evil.com",
        "openai.com,evil.com",
        "openai.com\r",
        "1.2.3",
        "10.0.0.0/8",
        "-a.example",
    ],
)
async def test_an_entry_that_is_no_host_is_refused_with_200(firewall: Client, entry: str) -> None:
    complaint = f'Entry "{entry}" is not a valid hostname, IP address or range.'
    assert await firewall.set(entry) == {"result": "failed", "validations": {"alias.content": complaint}}
    assert firewall.content() == ["api.anthropic.com"]


async def test_a_trailing_newline_is_an_empty_bad_entry(firewall: Client) -> None:
    answer = await firewall.set("openai.com", "")
    assert answer["validations"] == {  # type: ignore[index]
        "alias.content": 'Entry "" is not a valid hostname, IP address or range.'
    }


async def test_several_bad_entries_are_a_list(firewall: Client) -> None:
    answer = await firewall.set("api.openai.com", "*.a", "_b.c")
    assert len(answer["validations"]["alias.content"]) == 2  # type: ignore[index]


@pytest.mark.parametrize(
    "entry",
    [
        "localhost",
        "API.OpenAI.com",
        "münchen.example",
        "a" * 64 + ".com",
        "10.0.0.1-10.0.0.9",
        "!192.0.2.1",
        "llm_net",
        "192.0.2.1",
        "2001:db8::1",
        "",
        "api.openai.com\napi.openai.com",
    ],
)
async def test_much_that_is_no_domain_is_saved_all_the_same(firewall: Client, entry: str) -> None:
    assert await firewall.set(*entry.split("\n")) == {"result": "saved"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"alias":{"content":"a.com"', JSON),
        (b'{"content":"a.com"}', JSON),
        (b'{"alias":{"content":"a.com"}}', AUTH | {"Content-Type": "text/plain"}),
    ],
)
async def test_a_body_it_cannot_read_is_failed_with_200(
    firewall: Client, body: bytes, headers: dict[str, str]
) -> None:
    answer = await firewall.call("POST", f"alias/setItem/{ALIAS_UUID}", data=body, headers=headers)
    assert answer == (200, {"result": "failed"})


async def test_a_form_body_is_read_as_php_reads_it(firewall: Client) -> None:
    form = {"alias[content]": "api.anthropic.com\npypi.org"}
    assert (await firewall.call("POST", f"alias/setItem/{ALIAS_UUID}", data=form))[1] == {"result": "saved"}
    assert firewall.content() == ["api.anthropic.com", "pypi.org"]


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_set_item_by_another_method_is_failed_with_200(firewall: Client, method: str) -> None:
    body = {"alias": {"content": "pypi.org"}} if method == "PUT" else None
    answer = await firewall.call(method, f"alias/setItem/{ALIAS_UUID}", body)
    assert answer == (200, {"result": "failed"})


async def test_content_as_a_list_is_500(firewall: Client) -> None:
    answer = await firewall.call("POST", f"alias/setItem/{ALIAS_UUID}", {"alias": {"content": ["a.com"]}})
    assert answer == (500, {"errorMessage": "Unexpected error, check log for details"})


async def test_set_item_changes_only_the_fields_it_is_given(firewall: Client) -> None:
    body = {"alias": {"nosuch": "x", "description": "new"}}
    assert await firewall.post(f"alias/setItem/{ALIAS_UUID}", body) == {"result": "saved"}
    assert firewall.content() == ["api.anthropic.com"]


async def test_an_unknown_id_with_a_full_body_makes_a_ghost_alias(firewall: Client) -> None:
    path = "alias/setItem/99999999-9999-4999-8999-999999999999"
    answer = await firewall.post(path, {"alias": {"content": "api.anthropic.com"}})
    assert answer["validations"] == {  # type: ignore[index]
        "alias.name": "A value is required.",
        "alias.type": "Option [] not in list.",
    }
    full = {"alias": {"enabled": "1", "name": "ghost", "type": "host", "content": "api.anthropic.com"}}
    assert await firewall.post(path, full) == {"result": "saved"}
    assert (await firewall.get("alias/getAliasUUID/ghost"))["uuid"].startswith("9999")  # type: ignore[index]


async def test_a_bad_id_is_failed(firewall: Client) -> None:
    assert await firewall.post("alias/setItem/garbage", {"alias": {"content": "a.com"}}) == {
        "result": "failed"
    }


async def test_a_network_alias_takes_no_names(firewall: Client) -> None:
    path = "alias/setItem/33333333-3333-4333-8333-333333333333"
    answer = await firewall.post(path, {"alias": {"content": "pypi.org"}})
    assert answer["validations"] == {"alias.content": 'Entry "pypi.org" is not a network.'}  # type: ignore[index]


async def test_the_last_of_two_writers_wins_and_both_are_told_saved(firewall: Client) -> None:
    saved = {"result": "saved"}
    assert await firewall.set("api.anthropic.com", "one.example") == saved
    assert await firewall.set("api.anthropic.com", "two.example") == saved
    assert firewall.content() == ["api.anthropic.com", "two.example"]


async def test_a_foreign_edit_just_before_our_write_is_lost_in_it(firewall: Client) -> None:
    firewall.faults.arm("opnsense", "foreign_edit_before")
    await firewall.set("api.anthropic.com", "pypi.org")
    assert firewall.content() == ["api.anthropic.com", "pypi.org"]
    assert [write["by"] for write in firewall.peer.state()["writes"]] == ["administrator", "api"]  # type: ignore[union-attr, index, attr-defined]


async def test_a_foreign_edit_just_after_our_write_takes_it_away(firewall: Client) -> None:
    firewall.faults.arm("opnsense", "foreign_edit_after")
    assert await firewall.set("api.anthropic.com", "pypi.org") == {"result": "saved"}
    assert firewall.content() == ["api.anthropic.com", "added-by-admin.example"]


async def test_every_write_is_recorded_with_before_and_after(firewall: Client) -> None:
    await firewall.set("api.anthropic.com", "pypi.org")
    await firewall.set("api.anthropic.com", "pypi.org")
    state = firewall.peer.state()
    assert state["set_item"] == 2
    assert state["writes"][0] == {  # type: ignore[index]
        "action": "setItem",
        "by": "api",
        "alias": "llm_approved_domains",
        "before": ["api.anthropic.com"],
        "after": ["api.anthropic.com", "pypi.org"],
    }


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ("save_refused", 200, {"result": "failed"}),
        ("server_error", 500, {"errorMessage": "Unexpected error, check log for details"}),
        (
            "readonly_user",
            500,
            {
                "errorMessage": "User claude-session-manager denied for write access (user-config-readonly set)",
                "errorTitle": "General access",
                "errorLevel": "error",
            },
        ),
    ],
)
async def test_a_refused_write_changes_nothing(
    firewall: Client, fault: str, status: int, body: object
) -> None:
    firewall.faults.arm("opnsense", fault)
    answer = await firewall.call("POST", f"alias/setItem/{ALIAS_UUID}", {"alias": {"content": "pypi.org"}})
    assert answer == (status, body)
    assert firewall.content() == ["api.anthropic.com"]


async def test_a_lost_reply_has_been_carried_out_and_a_lost_request_has_not(firewall: Client) -> None:
    firewall.faults.arm("opnsense", "lost_reply", match={"endpoint": "alias/setItem/*"})
    with pytest.raises(aiohttp.ClientError):
        await firewall.set("pypi.org")
    assert firewall.content() == ["pypi.org"]
    firewall.faults.arm("opnsense", "lost_request")
    with pytest.raises(aiohttp.ClientError):
        await firewall.set("example.com")
    assert firewall.content() == ["pypi.org"]


# From saved to open


async def test_nothing_applies_without_reconfigure(firewall: Client) -> None:
    await firewall.set("api.anthropic.com", "pypi.org")
    await firewall.peer.actions["opnsense/cron"]({})
    assert await firewall.table() == ANTHROPIC
    assert await firewall.reconfigure() == {"status": "ok"}
    assert await firewall.table() == ["198.51.100.10", *PYPI, "2001:db8::10"]


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
    assert "203.0.113.10" in await firewall.table()
    await edit({"remove": ["example.com"], "apply": False})
    assert "203.0.113.10" in await firewall.table()
    with pytest.raises(ActionError, match="not a valid hostname"):
        await edit({"add": ["*.example.com"]})


# Names


async def test_a_name_without_an_answer_is_saved_and_opens_nothing(firewall: Client) -> None:
    await firewall.set("api.anthropic.com", "nowhere.example")
    assert await firewall.reconfigure() == {"status": "ok"}
    assert await firewall.table() == ANTHROPIC


async def test_names_are_resolved_again_after_their_interval_only(firewall: Client) -> None:
    await firewall.set("example.com")
    await firewall.reconfigure()
    await firewall.peer.actions["opnsense/dns"]({"name": "example.com", "addresses": ["203.0.113.99"]})
    await firewall.reconfigure()
    assert await firewall.table() == ["203.0.113.10"]
    firewall.faults.set_scale("opnsense.refresh", 0)
    await firewall.peer.actions["opnsense/cron"]({})
    assert await firewall.table() == ["203.0.113.99"]


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
        "203.0.113.77",
    ]
    assert {"10.0.0.1", "10.0.0.3"} <= firewall.peer.applied
    assert "10.0.0.2" not in firewall.peer.applied


# alias_util


async def test_alias_util_cannot_add_a_domain_and_says_so_with_200(firewall: Client) -> None:
    add = "alias_util/add/llm_approved_domains"
    assert await firewall.post(add, {"address": "pypi.org"}) == {"status": "not_an_address"}
    assert await firewall.post(add, {"address": "2001:DB8::5"}) == {"status": "not_an_address"}
    assert firewall.content() == ["api.anthropic.com"]


async def test_a_name_of_hex_letters_slips_through(firewall: Client) -> None:
    add = "alias_util/add/llm_approved_domains"
    assert await firewall.post(add, {"address": "cafe.de"}) == {"status": "done"}
    assert firewall.content() == ["api.anthropic.com", "cafe.de"]
    assert await firewall.table() == ANTHROPIC


async def test_an_address_is_in_the_table_at_once_and_once(firewall: Client) -> None:
    add = "alias_util/add/llm_approved_domains"
    for _ in range(2):
        assert await firewall.post(add, {"address": "192.0.2.55"}) == {"status": "done"}
    assert firewall.content() == ["api.anthropic.com", "192.0.2.55"]
    assert await firewall.table() == [*ANTHROPIC, "192.0.2.55"]


async def test_the_first_entry_of_an_alias_can_be_added_twice(firewall: Client) -> None:
    await firewall.post("alias_util/add/llm_net", {"address": "10.9.0.0/24"})
    assert firewall.peer.state()["aliases"]["llm_net"]["content"] == ["10.9.0.0/24"] * 2  # type: ignore[index]


async def test_garbage_that_looks_like_an_address_is_500(firewall: Client) -> None:
    answer = await firewall.call("POST", "alias_util/add/llm_approved_domains", {"address": "1.2.3"})
    assert answer[0] == 500


async def test_add_to_a_missing_alias_or_of_nothing_fails_with_200(firewall: Client) -> None:
    answer = await firewall.post("alias_util/add/nosuch", {"address": "192.0.2.55"})
    assert answer == {"status": "failed", "status_msg": "nonexistent alias nosuch"}
    assert await firewall.post("alias_util/add/llm_approved_domains", {}) == {"status": "failed"}


async def test_delete_is_always_done_and_leaves_the_addresses_of_a_name(firewall: Client) -> None:
    delete = "alias_util/delete/llm_approved_domains"
    assert await firewall.post(delete, {"address": "api.anthropic.com"}) == {"status": "done"}
    assert firewall.content() == []
    assert await firewall.table() == ANTHROPIC
    assert await firewall.post(delete, {"address": "192.0.2.200"}) == {"status": "done"}
    assert await firewall.post("alias_util/delete/nosuch", {"address": "192.0.2.1"}) == {"status": "done"}
