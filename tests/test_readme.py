"""README and code say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

from sm.core.grammar import COMMANDS, Known
from sm.engine.domain_sets import SHIPPED
from sm.parse import parse
from sm.settings import VARIABLES, load_some

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def test_the_readme_has_each_setting_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(SM_[A-Z_]+)` \| (.*) \|$", README, re.MULTILINE))
    expected = {
        variable.name: " | ".join(
            (
                "Yes" if variable.required else "No",
                "-" if variable.default is None else f"`{variable.default}`",
                variable.description,
            )
        )
        for variable in VARIABLES
    }
    assert rows == expected


def test_the_readme_names_every_command_of_the_chat() -> None:
    for command in COMMANDS:
        assert f"`@claude {command}" in README


def test_the_readme_names_every_form_of_start() -> None:
    for form in (
        "org/repo",
        "org/repo@branch",
        "org/repo --worktree",
        "org/repo --worktree=feature",
        "myproject",
    ):
        assert f"`@claude start {form}`" in README


def test_the_readme_shows_what_sm_parse_prints() -> None:
    line, printed = re.findall(r"^sm parse '(.*)'\n# (\{.*\})$", README, re.MULTILINE)[0]
    assert json.loads(printed) == parse(line, bot="claude", known=Known())


def test_each_line_that_the_readme_shows_is_read_as_a_command() -> None:
    known = Known(projects=("myproject",), sets=("python",))
    lines = re.findall(r"^\| `(@claude [^`]+)`|`(?=@claude [^\s`]+ )(@claude [^`]+)`", README, re.MULTILINE)
    assert len(lines) > 20
    for line in map("".join, lines):
        read = parse(line.replace("HOST", "pypi.org"), bot="claude", known=known)
        assert read.get("command") in COMMANDS, (line, read)


def test_the_sets_that_the_readme_shows_can_be_set() -> None:
    (shown,) = re.findall(r"`SM_DOMAIN_SETS='(.*)'`", README)
    assert set(load_some({"SM_DOMAIN_SETS": shown}, "SM_DOMAIN_SETS")["SM_DOMAIN_SETS"]) == {"ours", "npm"}


def test_the_readme_names_each_shipped_set() -> None:
    (listed,) = re.findall(r"one of the shipped ones away: ([^.]*)\.", README.replace("\n", " "))
    assert re.findall(r"`([^`]+)`", listed) == list(SHIPPED)
