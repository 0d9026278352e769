"""The named sets: what ships can be asked for, and the operator's word counts."""

from __future__ import annotations

import pytest

from sm.engine.domain_sets import SHIPPED, merged
from sm.engine.judging import judge
from sm.settings import load_some


@pytest.mark.parametrize("name", SHIPPED)
def test_every_host_of_a_shipped_set_may_be_asked_for(name: str) -> None:
    assert [judge(host).domain for host in SHIPPED[name]] == list(SHIPPED[name])
    assert not any(judge(host).refused or judge(host).warning for host in SHIPPED[name])


def test_a_shipped_set_is_named_as_one_of_the_operator_s_could_be() -> None:
    spelled = "{" + ", ".join(f'"{name}": ["pypi.org"]' for name in SHIPPED) + "}"
    assert set(load_some({"SM_DOMAIN_SETS": spelled}, "SM_DOMAIN_SETS")["SM_DOMAIN_SETS"]) == set(SHIPPED)


def test_the_common_package_managers_are_there() -> None:
    assert set(SHIPPED) >= {"python", "npm", "cargo", "go", "rubygems", "maven", "debian", "alpine"}
    assert SHIPPED["python"] == ("pypi.org", "files.pythonhosted.org")


def test_an_operator_s_set_is_added_or_replaces_ours() -> None:
    sets = merged({"ours": ["a.example.com"], "python": ("mirror.example.com",)})
    assert sets["ours"] == ("a.example.com",)
    assert sets["python"] == ("mirror.example.com",)
    assert sets["npm"] == SHIPPED["npm"]


def test_an_empty_list_takes_a_set_away() -> None:
    assert "npm" not in merged({"npm": (), "none": []})
    assert set(merged({"npm": []})) == set(SHIPPED) - {"npm"}
