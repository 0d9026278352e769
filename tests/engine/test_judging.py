"""Whether a name may be asked for: the whole table, and what must hold of any text."""

from __future__ import annotations

import builtins
import socket
from pathlib import Path

import pytest
from attrs import evolve
from domain_table import TABLE, Row
from engine_kit import ALIAS
from hypothesis import given
from hypothesis import strategies as st

from sm.core import domains
from sm.engine import judging
from sm.engine.ingress import Place
from sm.engine.judging import is_public_suffix, judge


def test_the_table_is_large_and_each_name_in_it_once() -> None:
    names = [row.written for row in TABLE]
    assert len(names) == len(set(names)) >= 150
    assert {row.code for row in TABLE} - {""} == set(domains.CODES) - {"too_many", "not_global", "is_peer"}


@pytest.mark.parametrize("row", TABLE, ids=[ascii(row.written)[:40] for row in TABLE])
def test_a_name_is_judged_as_the_table_says(row: Row) -> None:
    verdict = judge(row.written)
    assert verdict.refused == row.code
    if row.code:
        assert (verdict.domain, verdict.hint, verdict.warning) == (row.written[:1000], row.host, "")
    else:
        assert (verdict.domain, verdict.hint) == (row.host or row.written, "")
        assert (verdict.warning, bool(verdict.shown)) == (row.warning, bool(row.warning))


@pytest.mark.parametrize(
    "row", [row for row in TABLE if not row.code], ids=lambda row: ascii(row.written)[:40]
)
def test_an_accepted_host_is_accepted_again_as_itself(row: Row) -> None:
    host = judge(row.written).domain
    assert (judge(host).domain, judge(host).refused) == (host, "")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("xn--bcher-kva.de", "bücher.de"),
        ("BÜCHER.de", "bücher.de"),
        ("xn--80ak6aa92e.com", "аррӏе.com"),
        ("pуpi.org", "pуpi.org"),
        ("ⓔxample.com", "ⓔxample.com"),  # the host is plain; what was written is not
        ("py\u00adpi.org", "py?pi.org"),
    ],
)
def test_a_warned_name_is_shown_in_its_unicode_form(name: str, shown: str) -> None:
    assert judge(name).shown == shown


def test_scripts_that_are_written_together_are_not_called_mixed() -> None:
    for name in ("テスト漢字.jp", "한국漢字.kr", "ひらカタ.jp", "ʻokina.com", "a1-2b.com"):
        assert judge(name).warning != "mixed_script", name
    for name in ("tестing.com", "abcテスト.jp", "αβб.com"):
        assert judge(name).warning == "mixed_script", name


@given(st.text(max_size=60) | st.text(alphabet="aZ09.-:/*!@[]xü。０ⓔ\u00ad\u202eу", max_size=30))
def test_any_text_has_a_verdict_and_what_is_accepted_is_a_plain_host(name: str) -> None:
    verdict = judge(name)
    if verdict.refused:
        assert verdict.domain == name
        assert not verdict.hint or not judge(verdict.hint).refused
        assert domains.advice(verdict.refused) != domains.advice("of tomorrow")
        return
    host = verdict.domain
    assert domains.refusal(host) == ""
    assert not is_public_suffix(host)
    assert name.isascii() or verdict.warning
    again = judge(host)
    assert (again.domain, again.refused) == (host, "")


@given(st.integers(0, 2**32 - 1), st.data())
def test_no_notation_of_an_address_is_a_host(number: int, data: st.DataObject) -> None:
    parts = data.draw(st.integers(1, 4))
    heads = [(number >> 8 * (3 - n)) & 255 for n in range(parts - 1)]
    tail = number & ((1 << 8 * (5 - parts)) - 1)
    forms = st.sampled_from(["{}", "0{:o}", "0x{:x}", "0X{:X}"])
    name = ".".join(data.draw(forms).format(value) for value in (*heads, tail))
    assert judge(name).refused == "an_address"
    assert judge(f"{name}.").refused == "an_address"


def test_the_git_host_is_judged_like_any_other() -> None:
    place = Place("vm1", ALIAS, "podman", "image", "network", "bypassPermissions")
    assert place.git_host == "github.com"
    assert evolve(place, git_url="https://git.example.com:443/x").git_host == "git.example.com"
    for url in (
        "https://git.corp",
        "https://10.0.0.1",
        "https://git.example.com:8443",
        "http://git.example.com",
    ):
        assert evolve(place, git_url=url).git_host == "", url


def test_suffixes_are_judged_by_the_bundled_list_without_network_or_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_socket(*_args: object, **_more: object) -> None:
        raise AssertionError("a socket was opened")

    written: list[object] = []
    true_open = builtins.open

    def watched_open(file, mode="r", *args, **more):
        if set(mode) & set("wax+"):
            written.append(file)
        return true_open(file, mode, *args, **more)

    monkeypatch.setattr(socket, "socket", no_socket)
    monkeypatch.setattr(socket, "getaddrinfo", no_socket)
    monkeypatch.setattr(builtins, "open", watched_open)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TLDEXTRACT_CACHE", str(tmp_path / "cache"))
    # A fresh reader of the list, made as the module makes its own: nothing is in memory yet.
    fresh = type(judging._SUFFIXES)(
        suffix_list_urls=judging._SUFFIXES.suffix_list_urls,
        include_psl_private_domains=judging._SUFFIXES.include_psl_private_domains,
        cache_dir=None,
    )
    monkeypatch.setattr(judging, "_SUFFIXES", fresh)
    assert is_public_suffix("co.uk")
    assert is_public_suffix("github.io")
    assert not is_public_suffix("pypi.org")
    assert written == []
    assert list(tmp_path.iterdir()) == []
    assert judging._SUFFIXES.suffix_list_urls == ()
