"""A name by its spelling alone; the whole table is `tests/domain_table.py`, the lists are ingress's part."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm.core.domains import CODES, advice, caution, meant, refusal

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
    ("localhost", "special_use"),
    ("com", "no_dot"),
    ("llm_approved_domains", "not_a_host_name"),
    ("PyPI.org", "not_a_host_name"),
    ("pypi.org.", "not_a_host_name"),
    (".pypi.org", "not_a_host_name"),
    ("pypi..org", "not_a_host_name"),
    ("*.pypi.org", "wildcard"),
    ("!pypi.org", "negated"),
    ("-pypi.org", "not_a_host_name"),
    ("pypi-.org", "not_a_host_name"),
    ("_dmarc.pypi.org", "not_a_host_name"),
    ("pypi.org/simple", "a_url"),
    ("https://pypi.org", "a_url"),
    ("pypi.org:443", "a_port"),
    ("pypi.org pypi.com", "not_a_host_name"),
    ("pypi.org\n", "not_a_host_name"),
    ("pypi.org\x00", "not_a_host_name"),
    ("pypi.org,evil.example", "not_a_host_name"),
    ("user@pypi.org", "a_url"),
    ("bücher.example", "not_a_host_name"),
    ("pуpi.org", "not_a_host_name"),  # a Cyrillic u
    ("pypi。org", "not_a_host_name"),
    ("example.123", "not_a_host_name"),
    ("example.²", "not_a_host_name"),
    ("example.١", "not_a_host_name"),
    ("10.0.0.1", "an_address"),
    ("010.000.000.001", "an_address"),
    ("1.2", "an_address"),
    ("10.0.0.0/8", "a_network"),
    ("10.0.0.1-10.0.0.9", "a_range"),
    ("2130706433", "an_address"),
    ("0x7f000001", "an_address"),
    ("0x7f.0.0.1", "an_address"),
    ("0x7f.0x1", "an_address"),
    ("127.0x", "an_address"),
    ("pypi.0x1", "not_a_host_name"),
    ("::1", "an_address"),
    ("[2001:db8::1]", "an_address"),
    ("2001:db8::/32", "a_network"),
    ("fe80::1", "an_address"),
    ("printer.local", "special_use"),
    ("host.docker.internal", "special_use"),
    ("x.metadata.goog", "metadata"),
    ("metadata.google.internal", "metadata"),
    (f"{LABEL}a.example", "too_long"),
    (".".join([LABEL, LABEL, LABEL, "a" * 62]), "too_long"),
    ("a." * 500 + "example", "too_long"),
]


@pytest.mark.parametrize(("name", "code"), NAMES, ids=[repr(name)[:40] for name, _ in NAMES])
def test_a_name_may_be_asked_for_or_is_refused(name: str, code: str):
    assert refusal(name) == code


@pytest.mark.parametrize("code", CODES)
def test_each_refusal_has_its_advice(code: str):
    said = advice(code)
    assert said != advice("of tomorrow")
    assert not set(said) & set("[]`\n")
    assert advice(code, "pypi.org") == f"{said}; perhaps pypi.org is meant"


def test_each_code_of_the_table_is_known():
    assert {code for _, code in NAMES} - {""} <= set(CODES)


def test_each_warning_has_its_caution():
    assert len({caution(warning) for warning in ("unicode", "mixed_script", "of tomorrow")}) == 3


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("https://pypi.org/simple", "pypi.org"),
        ("https://someone:word@pypi.org:8443/", "pypi.org"),
        ("https://a@b@pypi.org", "pypi.org"),
        ("git@github.com:acme/webapp", "github.com"),
        ("pypi.org:443", "pypi.org"),
        ("*.pypi.org", "pypi.org"),
        ("<https://pypi.org>,", "pypi.org"),
        ("[the index](https://pypi.org/)", "pypi.org"),
        ("http://[::1]:80/", "[::1]:80"),
        ("pypi_org", ""),
        ("", ""),
        ("https://", ""),
    ],
)
def test_the_host_that_was_perhaps_meant(name: str, host: str):
    assert meant(name) == host


@given(st.text())
def test_what_was_perhaps_meant_is_another_name(name: str):
    assert meant(name) != name or not name


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


@given(st.text(alphabet="abx019.-:/[]@*!"))
def test_any_text_has_a_known_code(name: str):
    assert refusal(name) in {"", *CODES}
