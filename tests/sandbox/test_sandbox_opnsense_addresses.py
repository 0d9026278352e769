"""The OPNsense stand-in: alias_util, which is made for addresses."""

from __future__ import annotations

from opnsense_kit import ANTHROPIC, Client


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
