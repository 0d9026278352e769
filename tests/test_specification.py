"""The table *sentence of the specification → the tests that show it* is whole, and each of its tests is there."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from specification.units import SPECIFICATION, said, units

from sm.settings import VARIABLES, load

ROOT = Path(__file__).parents[1]
TEXT = SPECIFICATION.read_text("utf-8")
UNITS = units(TEXT)
ENTRIES: list[dict[str, Any]] = tomllib.loads(SPECIFICATION.with_name("table.toml").read_text("utf-8"))[
    "shown"
]
SHOWN = [test for entry in ENTRIES for test in entry.get("by", [])]


@cache
def names_of(path: Path) -> frozenset[str]:
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text("utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return frozenset(function.name for function in functions)


# --- the table --------------------------------------------------------------------------------------------------------


def test_no_word_of_the_specification_is_in_no_unit() -> None:
    assert re.sub(r"\W", "", "".join(UNITS)) == said(TEXT)


def test_the_units_are_its_sentences_rows_and_lines() -> None:
    for unit in (
        "Web search works freely, package installs require human approval via OPNsense firewall.",
        "• Detects [NETWORK_REQUEST: ...]",
        "RUN npm install -g @anthropic-ai/claude-code",
        "The `org/repo` syntax takes precedence.",
        "| `SM_AUTO_PULL` | No | `false` | Pull repos before starting sessions |",
        "🌿 Creating worktree for **acme/webapp**...",
        "**Claude retries** → success",
    ):
        assert unit in UNITS
    assert not [unit for unit in UNITS if unit.startswith("## ")]


def test_each_unit_stands_in_the_table_once() -> None:
    said_in_table = [unit for entry in ENTRIES for unit in entry["says"]]
    assert [unit for unit in UNITS if unit not in said_in_table] == []
    assert [unit for unit in said_in_table if unit not in UNITS] == []
    assert len(said_in_table) == len(set(said_in_table))


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry["says"][0][:60] for entry in ENTRIES])
def test_each_entry_names_tests_or_a_reason(entry: dict[str, Any]) -> None:
    assert set(entry) <= {"says", "by", "because", "note"}
    assert bool(entry.get("by")) != bool(entry.get("because"))
    assert entry["says"]


@pytest.mark.parametrize("test", sorted(set(SHOWN)))
def test_each_test_of_the_table_is_there(test: str) -> None:
    path, colons, name = test.partition("::")
    assert colons
    assert name in names_of(ROOT / path)


# --- what the specification writes down, held against the program -----------------------------------------------------


def test_each_variable_of_the_specification_is_one_with_its_default() -> None:
    rows = re.findall(r"^\| `(SM_\w+)` \| (Yes|No) \| (.*?) \| (.*?) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 19
    ours = {variable.name: variable for variable in VARIABLES}
    for name, required, default, description in rows:
        assert ours[name].required is (required == "Yes")
        assert ours[name].default == (None if default == "-" else default.strip("`"))
        assert ours[name].description.startswith(description)


def test_the_environment_of_the_specification_is_taken_as_it_stands() -> None:
    block = re.search(r"^# Required\n.*?^```", TEXT, re.MULTILINE | re.DOTALL)
    assert block
    assigned = [shlex.split(line, comments=True) for line in block.group().splitlines()]
    environment = dict(words[1].split("=", 1) for words in assigned if words[:1] == ["export"])
    assert environment["SM_VM_SSH_KEY"] == "$(cat ~/.ssh/id_ed25519)"
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh").decode()
    settings = load({**environment, "SM_VM_SSH_KEY": key})
    assert settings.projects == {"myproject": "/home/claude/projects/myproject"}
    assert str(settings.vm_host) == "192.168.12.10:22"
