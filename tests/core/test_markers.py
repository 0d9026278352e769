"""Markers: alone on a line, in fences or not; reading them takes linear time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm.core import markers
from sm.core.markers import MAX_MARKERS, MAX_NAME, approved, denied, refused, requested_domains, shown

TEXTS = [
    ("[NETWORK_REQUEST: pypi.org]", ["pypi.org"]),
    ("before\n[NETWORK_REQUEST: pypi.org]\nafter", ["pypi.org"]),
    ("before\r\n[NETWORK_REQUEST: pypi.org]\r\nafter\r\n", ["pypi.org"]),
    ("```\n[NETWORK_REQUEST: pypi.org]\n```", ["pypi.org"]),
    ("  \t[NETWORK_REQUEST:\t pypi.org \t]  ", ["pypi.org"]),
    ("[NETWORK_REQUEST:pypi.org]", ["pypi.org"]),
    ("[NETWORK_REQUEST: ]", [""]),
    ("[NETWORK_REQUEST:]", [""]),
    ("[NETWORK_REQUEST: PyPI.org]", ["PyPI.org"]),
    ("[NETWORK_REQUEST: a b]", ["a b"]),
    ("[NETWORK_REQUEST: b]\n[NETWORK_REQUEST: a]\n[NETWORK_REQUEST: b]", ["b", "a"]),
    ("[NETWORK_REQUEST: [a]", ["[a"]),
    ("see [NETWORK_REQUEST: pypi.org]", []),
    ("[NETWORK_REQUEST: pypi.org] please", []),
    ("`[NETWORK_REQUEST: pypi.org]`", []),
    ("> [NETWORK_REQUEST: pypi.org]", []),
    ("- [NETWORK_REQUEST: pypi.org]", []),
    ("[NETWORK_REQUEST: a] [NETWORK_REQUEST: b]", []),
    ("[NETWORK_REQUEST: pypi.org", []),
    ("[NETWORK_REQUEST: pypi\n.org]", []),
    ("[NETWORK_REQUEST pypi.org]", []),
    ("[network_request: pypi.org]", []),
    ("[NETWORK_REQUESTS: pypi.org]", []),
    ("[NETWORK_APPROVED: pypi.org]", []),
    ("[NETWORK_REQUEST: a]]", []),
    ("", []),
]


@pytest.mark.parametrize(("text", "names"), TEXTS, ids=[repr(text)[:50] for text, _ in TEXTS])
def test_a_text_asks_for(text: str, names: list[str]):
    assert list(requested_domains(text)) == names


def test_of_a_thousand_markers_twenty_are_taken_and_one_stands_for_the_rest():
    text = "\n".join(f"[NETWORK_REQUEST: h{n}.example]" for n in range(1000))
    assert list(requested_domains(text)) == [f"h{n}.example" for n in range(MAX_MARKERS + 1)]


def test_a_name_is_cut_where_no_name_is_so_long():
    assert requested_domains(f"[NETWORK_REQUEST: {'a' * 5000}]") == ("a" * MAX_NAME,)


@pytest.mark.parametrize(
    "unit",
    [" ", "\t", "[", "[NETWORK_REQUEST:", "[NETWORK_REQUEST: ", " [NETWORK_REQUEST: a]", "[NETWORK_REQUEST: a]\n", "\r", "\n"],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("end", ["", "]", " ]x"])
def test_a_megabyte_is_read(unit: str, end: str):
    requested_domains("[NETWORK_REQUEST:" + unit * (1_000_000 // len(unit)) + end)


def test_no_repetition_in_the_pattern_can_go_back():
    repeated = re.findall(r"\][*+]\+?|\}", markers._REQUEST.pattern)
    assert repeated == ["]*+"] * 3


@given(st.lists(st.sampled_from(["[NETWORK_REQUEST:", " a.b ", "]", "\n", "\r\n", "```", "x", " "])))
def test_what_is_asked_for_stands_on_lines_of_its_own(parts: list[str]):
    text = "".join(parts)
    stand_alone = [
        line.strip(" \t\r")[len("[NETWORK_REQUEST:") : -1].strip(" \t")
        for line in text.split("\n")
        if re.fullmatch(r"[ \t]*\[NETWORK_REQUEST:[^\]\r]*\][ \t]*\r?", line)
    ]
    assert list(requested_domains(text)) == list(dict.fromkeys(stand_alone))[: MAX_MARKERS + 1]


def test_the_answers_to_the_agent():
    assert approved("pypi.org") == "[NETWORK_APPROVED: pypi.org]"
    assert denied("pypi.org") == "[NETWORK_DENIED: pypi.org]"
    assert denied("pypi.org", "not today") == "[NETWORK_DENIED: pypi.org — not today]"
    assert refused("localhost", "no_dot") == (
        "[NETWORK_DENIED: localhost — a single label is no public host name; write the full name]"
    )


@pytest.mark.parametrize(
    ("name", "repeated"),
    [
        ("pypi.org", "pypi.org"),
        ("bücher.example", "bücher.example"),
        ("例え.テスト", "例え.テスト"),
        ("a b", "a?b"),
        ("a]b[c`d", "a?b?c?d"),
        ("a\nb\r\u2028\u2029\x85", "a?b????"),
        ("\u202eevil\u2066\u200b\ufeff\u00ad\u061c", "?evil?????"),
        ("\ud800", "?"),
        ("x" * 101, "x" * 99 + "…"),
        ("x" * 100, "x" * 100),
    ],
)
def test_a_name_is_repeated_bounded_on_one_line_and_as_it_reads(name: str, repeated: str):
    assert shown(name) == repeated


@given(st.text(alphabet=st.characters()))
def test_what_is_repeated_ends_no_marker_no_line_and_no_code_span(name: str):
    repeated = shown(name)
    assert len(repeated) <= 100
    assert len(repeated.splitlines()) <= 1
    assert not set(repeated) & set("[]` ")
    repeated.encode()
