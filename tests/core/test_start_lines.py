"""The table of lines, through the grammar and through `sm parse`: the same parse, and the same words of the answer."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sm import cli
from sm.core.grammar import Known
from sm.parse import known, parse

from .start_lines import (
    DEFAULT_ORG,
    GIT_URL,
    LINES,
    PROJECTS,
    WITH_A_DEFAULT_ORG,
    WITH_ANOTHER_SERVER,
    Outcome,
)

ENVIRONMENTS: dict[str, dict[str, str]] = {
    "projects": {"SM_PROJECTS": json.dumps(PROJECTS)},
    "default org": {"SM_PROJECTS": json.dumps(PROJECTS), "SM_DEFAULT_ORG": DEFAULT_ORG},
    "another server": {"SM_GIT_BASE_URL": GIT_URL},
}
TABLE = [
    (environment, line, outcome)
    for environment, lines in zip(ENVIRONMENTS, (LINES, WITH_A_DEFAULT_ORG, WITH_ANOTHER_SERVER), strict=True)
    for line, outcome in lines
]


def test_the_table_has_at_least_a_hundred_lines_that_start_something() -> None:
    begin = [line for _, line, _ in TABLE if "start" in line]
    assert len(begin) == len({(name, line) for name, line, _ in TABLE if "start" in line}) >= 100


@pytest.mark.parametrize(
    ("environment", "line", "outcome"), TABLE, ids=[f"{name}: {line[:60]}" for name, line, _ in TABLE]
)
def test_a_line_is_parsed_or_answered(environment: str, line: str, outcome: Outcome) -> None:
    read = parse(line, bot="claude", known=known(ENVIRONMENTS[environment]))
    assert read == ({"answer": outcome} if isinstance(outcome, str) else outcome)


@pytest.mark.parametrize(
    ("environment", "line", "outcome"), TABLE, ids=[f"{name}: {line[:60]}" for name, line, _ in TABLE]
)
def test_sm_parse_prints_it_as_one_json_object(
    environment: str,
    line: str,
    outcome: Outcome,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("SM_PROJECTS", "SM_DEFAULT_ORG", "SM_GIT_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENTS[environment].items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        cli.app(["parse", line])
    printed = json.loads(capsys.readouterr().out)
    if isinstance(outcome, str):
        assert (printed, ended.value.code) == ({"answer": outcome}, 1)
    else:
        assert (printed, ended.value.code) == (outcome, 0)


def test_a_line_can_be_given_in_words_and_for_a_bot_of_another_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.app(["parse", "--bot", "robot", "@robot", "start", "acme/webapp", "—worktree"])
    assert "`@robot start acme/webapp --worktree`" in json.loads(capsys.readouterr().out)["answer"]


def test_a_line_that_the_bot_is_only_mentioned_in_is_for_the_agent() -> None:
    assert parse("please @claude stop", bot="claude", known=Known())["command"] == "text"
    assert parse("`@claude stop`", bot="claude", known=Known())["command"] == "text"


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        ([], {}, "Which line?"),
        (["start x"], {"SM_PROJECTS": "{"}, "SM_PROJECTS is not JSON"),
        (["start x"], {"SM_DEFAULT_ORG": "a/b"}, "SM_DEFAULT_ORG is not the name of a user"),
    ],
)
def test_without_a_line_or_with_a_wrong_setting_it_says_so_and_exits_with_2(
    arguments: list[str], environment: dict[str, str], said: str
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "sm", "parse", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert said in ran.stderr
    assert not ran.stdout
