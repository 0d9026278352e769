"""A table of names and whether they may be asked for; the public suffix list is ingress's part."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm.core.domains import advice, refusal

LABEL = "a" * 63
NAMES = [
    ("pypi.org", ""),
    ("files.pythonhosted.org", ""),
    ("a.b", ""),
    ("1.pool.ntp.org", ""),
    ("3com.com", ""),
    ("xn--bcher-kva.example", ""),
    ("xn--p1ai.xn--p1ai", ""),
    ("a-b--c.example", ""),
    (f"{LABEL}.example", ""),
    (".".join([LABEL, LABEL, LABEL, "a" * 61]), ""),
    ("dead.beef", ""),
    ("cafe.be", ""),
    ("0x.example", ""),
    ("x.xxx", ""),
    ("", "empty"),
    ("localhost", "no_dot"),
    ("com", "no_dot"),
    ("llm_approved_domains", "not_a_host_name"),
    ("PyPI.org", "not_a_host_name"),
    ("pypi.org.", "not_a_host_name"),
    (".pypi.org", "not_a_host_name"),
    ("pypi..org", "not_a_host_name"),
    ("*.pypi.org", "not_a_host_name"),
    ("!pypi.org", "not_a_host_name"),
    ("-pypi.org", "not_a_host_name"),
    ("pypi-.org", "not_a_host_name"),
    ("_dmarc.pypi.org", "not_a_host_name"),
    ("pypi.org/simple", "not_a_host_name"),
    ("https://pypi.org", "not_a_host_name"),
    ("pypi.org:443", "not_a_host_name"),
    ("pypi.org pypi.com", "not_a_host_name"),
    ("pypi.org\n", "not_a_host_name"),
    ("pypi.org\x00", "not_a_host_name"),
    ("pypi.org,evil.example", "not_a_host_name"),
    ("user@pypi.org", "not_a_host_name"),
    ("bücher.example", "not_a_host_name"),
    ("pуpi.org", "not_a_host_name"),  # a Cyrillic u
    ("pypi。org", "not_a_host_name"),
    ("example.123", "not_a_host_name"),
    ("example.²", "not_a_host_name"),
    ("example.١", "not_a_host_name"),
    ("10.0.0.1", "an_address"),
    ("010.000.000.001", "an_address"),
    ("1.2", "an_address"),
    ("10.0.0.0/8", "an_address"),
    ("10.0.0.1-10.0.0.9", "an_address"),
    ("2130706433", "an_address"),
    ("0x7f000001", "an_address"),
    ("0x7f.0.0.1", "an_address"),
    ("0x7f.0x1", "an_address"),
    ("127.0x", "an_address"),
    ("pypi.0x1", "not_a_host_name"),
    ("::1", "an_address"),
    ("[2001:db8::1]", "an_address"),
    ("2001:db8::/32", "an_address"),
    ("fe80::1", "an_address"),
    (f"{LABEL}a.example", "too_long"),
    (".".join([LABEL, LABEL, LABEL, "a" * 62]), "too_long"),
    ("a." * 500 + "example", "too_long"),
]


@pytest.mark.parametrize(("name", "code"), NAMES, ids=[repr(name)[:40] for name, _ in NAMES])
def test_a_name_may_be_asked_for_or_is_refused(name: str, code: str):
    assert refusal(name) == code


@pytest.mark.parametrize("code", ["public_suffix", "too_many", *sorted({code for _, code in NAMES if code})])
def test_each_refusal_has_its_advice(code: str):
    assert advice(code) != advice("of tomorrow")


def test_an_unknown_refusal_is_a_refusal_all_the_same():
    assert advice("of tomorrow") == "it cannot be opened"


@given(st.text())
def test_what_is_not_refused_is_a_host_name(name: str):
    if refusal(name):
        return
    labels = name.split(".")
    assert name.isascii()
    assert name == name.lower()
    assert len(name) <= 253
    assert len(labels) > 1
    assert all(0 < len(label) <= 63 for label in labels)
    assert not labels[-1].isdigit()


@given(st.text(alphabet="abx019.-:/[]"))
def test_what_could_be_an_address_is_judged(name: str):
    assert refusal(name) in {"", "empty", "no_dot", "not_a_host_name", "an_address", "too_long"}
