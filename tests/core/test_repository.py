"""The repository: who works in its main clone and worktrees, on which branches; and a project's one folder."""

from __future__ import annotations

from typing import Any

import pytest

from sm.core import events as e
from sm.core import streams

from .playbook import PLACE, VM, World

STREAM = streams.repository(VM, "acme", "webapp")
A, B, C = (f"{letter}bc12345-0000-4000-8000-000000000001" for letter in "abc")


def claim(world: World, session: str, worktree: str = "", branch: str = "") -> e.Event:
    """What the session hears of its claim."""
    world.record(STREAM, e.RepositoryClaimRequested(session, "ch1", worktree, branch))
    return [r.event for r in world.recorded if r.stream == streams.session(session)][-1]


def settle(world: World, session: str, branch: str) -> None:
    world.record(STREAM, e.RepositorySettled(session, branch))


def release(world: World, session: str) -> None:
    world.record(STREAM, e.RepositoryReleased(session))


def test_the_main_clone_is_one_sessions_at_a_time():
    world = World()
    assert claim(world, A) == e.RepositoryGranted()
    assert claim(world, B) == e.RepositoryRefused(A)
    release(world, A)
    assert claim(world, B) == e.RepositoryGranted()


def test_a_worktree_is_given_beside_a_main_clone_in_use_on_a_new_branch():
    world = World()
    claim(world, A)
    assert claim(world, B, "bbc12345") == e.RepositoryGranted(create="sm/bbc12345")
    assert claim(world, C, "feature") == e.RepositoryGranted(create="sm/feature")


def test_a_worktree_gets_the_branch_asked_for_if_no_session_has_it():
    assert claim(World(), A, "feature", "next") == e.RepositoryGranted(branch="next")


@pytest.mark.parametrize("first", ["main clone", "worktree"])
def test_a_worktree_gets_a_new_branch_from_one_that_another_session_has(first: str):
    world = World()
    claim(world, A, "" if first == "main clone" else "one", "next")
    assert claim(world, B, "two", "next") == e.RepositoryGranted("next", "sm/two", taken_by=A)


def test_a_main_clone_that_is_being_made_may_turn_out_to_be_on_any_branch():
    world = World()
    claim(world, A)
    assert claim(world, B, "one", "next").taken_by == A  # type: ignore[attr-defined]
    settle(world, A, "main")
    assert claim(world, C, "two", "next") == e.RepositoryGranted("next")


def test_the_main_clone_is_not_put_on_a_branch_that_another_session_has():
    world = World()
    claim(world, A, "one", "next")
    assert claim(world, B, branch="next") == e.RepositoryRefused(A, "branch")
    assert claim(world, B, branch="main") == e.RepositoryGranted("main")


def test_the_same_worktree_is_refused_while_it_is_in_use_and_its_session_named():
    world = World()
    claim(world, A, "feature")
    assert claim(world, B, "feature") == e.RepositoryRefused(A, "worktree")


def test_a_worktree_outlives_its_session_and_is_taken_up_again():
    world = World()
    claim(world, A, "feature")
    settle(world, A, "sm/feature")
    release(world, A)
    assert claim(world, B, "feature") == e.RepositoryGranted(again=True)


@pytest.mark.parametrize("branch", ["next", "sm/feature"])
def test_the_line_that_made_a_worktree_takes_it_up_again(branch: str):
    world = World()
    claim(world, A, branch="next")
    claim(world, B, "feature", "next")
    settle(world, B, "sm/feature")
    release(world, B)
    assert claim(world, B, "feature", branch) == e.RepositoryGranted(again=True)
    release(world, B)
    assert claim(world, B, "feature", "other") == e.RepositoryGranted("other", again=True)


def test_a_worktree_that_was_never_made_is_new_the_next_time():
    world = World()
    claim(world, A, "feature")
    release(world, A)
    assert claim(world, B, "feature") == e.RepositoryGranted(create="sm/feature")


def test_only_who_holds_a_place_gives_it_back():
    world = World()
    claim(world, A)
    claim(world, B, "feature")
    release(world, C)
    assert claim(world, C) == e.RepositoryRefused(A)
    release(world, B)
    assert claim(world, C, "feature") == e.RepositoryGranted(create="sm/feature")


def test_a_projects_folder_is_one_sessions_at_a_time_whatever_its_name():
    world = World()
    other: dict[str, Any] = {"project_path": "/home/claude/projects/link"}
    world.start("myproject") >> e.ProjectResolved("/srv/my", "main", "")
    assert (world.state(), world.of(streams.project(VM, "/srv/my")).name) == ("starting", "held")
    world.channel, world.session = "ch2", B
    world.start("myproject", **other) >> e.ProjectResolved("/srv/my", "main", "")
    assert (world.state(), world.said) == ("refused", ["project_in_use"])
    assert PLACE.project_path != other["project_path"]
