"""The OPNsense stand-in: how it is asked, who may, and what it shows."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import aiohttp
import pytest
from opnsense_kit import AUTH, JSON, Client

from sm.sandbox.faults import Faults
from sm.sandbox.network.names import Names
from sm.sandbox.opnsense.peer import ALIAS_UUID, OPNsensePeer


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
