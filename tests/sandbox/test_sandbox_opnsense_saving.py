"""The OPNsense stand-in: what it saves, refuses and loses, with a 200 for most of it."""

from __future__ import annotations

import aiohttp
import pytest
from opnsense_kit import AUTH, JSON, Client

from sm.sandbox.opnsense.peer import ALIAS_UUID


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
