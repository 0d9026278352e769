"""Settings that are names, paths and projects."""

from __future__ import annotations

import pytest
from settings_kit import GOOD, only_problem, problems

from sm.settings import load


@pytest.mark.parametrize("text", ["9lives", "with-dash", "a" * 33, "ünicode", "a b", "../x"])
def test_an_alias_is_named_as_the_firewall_names_aliases(text: str) -> None:
    assert only_problem(SM_OPNSENSE_ALIAS=text).startswith("SM_OPNSENSE_ALIAS ")


@pytest.mark.parametrize("name", ["SM_VM_USER", "SM_CONTAINER_IMAGE", "SM_CONTAINER_NETWORK"])
def test_no_name_can_look_like_an_option(name: str) -> None:
    assert only_problem(**{name: "--privileged"}).startswith(f"{name} is not ")


@pytest.mark.parametrize("mode", ["host", "none", "pasta"])
def test_a_network_mode_that_goes_round_the_firewall_is_refused(mode: str) -> None:
    assert "without the firewall's rules" in only_problem(SM_CONTAINER_NETWORK=mode)


@pytest.mark.parametrize(
    "text", ["repos", "/", "/a/", "/a//b", "/a/../b", "/a/./b", "/a:b", "/a\nb", "//a", "/" + "a" * 2000]
)
@pytest.mark.parametrize(
    "name", ["SM_REPOS_BASE_PATH", "SM_WORKTREES_PATH", "SM_SESSIONS_PATH", "SM_JOURNAL"]
)
def test_a_path_is_absolute_and_clean(name: str, text: str) -> None:
    assert only_problem(**{name: text}).startswith(f"{name} ")


def test_the_folders_on_the_vm_lie_apart() -> None:
    assert only_problem(SM_SESSIONS_PATH="/home/claude/repos/sessions") == (
        "SM_REPOS_BASE_PATH and SM_SESSIONS_PATH lie in each other: set them to folders that lie apart."
    )


def test_projects_are_names_with_their_folders_on_the_vm() -> None:
    settings = load(
        {**GOOD, "SM_PROJECTS": '{"myproject":"/home/claude/projects/myproject", "My.other_1":"/srv/x y"}'}
    )
    assert settings.projects == {"myproject": "/home/claude/projects/myproject", "My.other_1": "/srv/x y"}
    assert (
        '{"myproject": "/home/claude/projects/myproject", "My.other_1": "/srv/x y"}'
    ) in settings.printed()


@pytest.mark.parametrize("text", ["{", "[]", "true", '"x"', "[" * 60_000, '[["a","/srv/a"]]'])
def test_projects_that_are_no_json_object_are_a_problem(text: str) -> None:
    assert only_problem(SM_PROJECTS=text).startswith("SM_PROJECTS is not ")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("acme/webapp", "is not one word"),
        ("two words", "is not one word"),
        ("--worktree", "is not one word"),
        ("-x", "is not one word"),
        ("..", "is not one word"),
        ("a@b", "is not one word"),
        ("", "is not one word"),
        ("a" * 65, "is not one word"),
        ("start", "is a command of the chat"),
        ("Stop", "is a command of the chat"),
        ("MINE", 'names the project "MINE" twice'),
        ("mine", 'names the project "mine" twice'),
    ],
)
def test_a_projects_name_is_one_word_and_nothing_else_of_the_chat(name: str, reason: str) -> None:
    text = f'{{"mine": "/srv/mine", "{name}": "/srv/other"}}'
    assert reason in only_problem(SM_PROJECTS=text)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ('"projects/x"', 'has a path for the project "x" that is not a clean absolute path'),
        ('"/srv/../x"', 'has a path for the project "x" that holds ..'),
        ('"/srv/a:b"', 'has a path for the project "x" that holds a colon'),
        ("7", 'has no path as a text for the project "x"'),
        ('{"path": "/srv"}', 'has no path as a text for the project "x"'),
    ],
)
def test_a_projects_path_is_absolute_and_clean(path: str, reason: str) -> None:
    assert reason in only_problem(SM_PROJECTS=f'{{"x": {path}}}')


def test_there_are_not_more_projects_than_a_person_could_name() -> None:
    many = ", ".join(f'"p{number}": "/srv/p{number}"' for number in range(201))
    assert "names more than 200 projects" in only_problem(SM_PROJECTS=f"{{{many}}}")
    assert "is longer than" in only_problem(SM_PROJECTS="{" + " " * 70_000 + "}")


@pytest.mark.parametrize("path", ["/home/claude/repos", "/home/claude/sessions/x", "/home/claude", "/home"])
def test_a_project_lies_apart_from_the_services_own_folders(path: str) -> None:
    for problem in problems(SM_PROJECTS=f'{{"x": "{path}"}}'):
        assert problem.startswith('SM_PROJECTS has the project "x" in, around or at the folder of SM_')


def test_the_default_owner_is_a_name_of_an_owner() -> None:
    assert load(GOOD).default_org is None
    assert load({**GOOD, "SM_DEFAULT_ORG": "acme-corp"}).default_org == "acme-corp"


@pytest.mark.parametrize(
    "text", ["-acme", "acme/x", "a--b", "acme-", "a" * 40, "a-" * 19 + "aa", "a b", "@acme"]
)
def test_a_default_owner_of_another_shape_is_a_problem(text: str) -> None:
    assert only_problem(SM_DEFAULT_ORG=text).startswith("SM_DEFAULT_ORG is not the name of a user")
