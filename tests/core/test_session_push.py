"""A push: shown to a person first, one commit, one branch, and the card says what came of it."""

from __future__ import annotations

import pytest
from attrs import evolve

from sm.core import events as e
from sm.core.commands import PostPushCard, PreparePush, PushBranch, UpdatePushCard

from .playbook import PREPARED, PUSH_PREPARED, SESSION, World, said

COMMIT = PUSH_PREPARED.commit


def statuses(world: World) -> list[str]:
    """The states that the card was made to show by the last `>>`."""
    return [command.status for command in world.commands if isinstance(command, UpdatePushCard)]


def test_commits_on_the_default_branch_go_as_a_branch_of_the_session():
    world = World().ready().post("@claude push")
    prepare = PreparePush(SESSION, "acme", "webapp", PREPARED.path, "main", "sm/abc12345", "main")
    assert world.commands == [prepare]


def test_another_branch_goes_under_its_name():
    world = World().start("acme/webapp --worktree").prepared(branch="sm/abc12345").started().initialized()
    world.post("@claude push")
    assert world.last(PreparePush).branch == world.last(PreparePush).target == "sm/abc12345"


def test_the_branch_is_that_of_the_start_whatever_the_agent_says_later():
    world = World().ready()
    world.says("I am on branch release now").post("@claude push")
    assert world.last(PreparePush).branch == "main"


def test_nothing_goes_out_before_a_person_has_seen_it():
    world = World().ready().post("@claude push") >> PUSH_PREPARED
    card = world.last(PostPushCard)
    assert (card.commit, card.target, card.stat, card.commits) == (
        COMMIT,
        "sm/abc12345",
        PUSH_PREPARED.stat,
        2,
    )
    assert world.all(PushBranch) == []


def test_a_yes_pushes_exactly_the_commit_that_was_shown():
    world = World().ready().push_shown().push_decided()
    assert world.commands[-1] == PushBranch(SESSION, "acme", "webapp", COMMIT, "sm/abc12345")
    assert statuses(world) == ["pushing"]
    world >> e.PushDone(COMMIT, "sm/abc12345")
    assert statuses(world) == ["done"]
    card = world.last(UpdatePushCard)
    assert card.user_name == "james"
    assert card.compare_url == "https://github.com/acme/webapp/compare/main...sm/abc12345"


def test_a_no_pushes_nothing_and_one_decision_wins():
    world = World().ready().push_shown().push_decided("deny")
    assert statuses(world) == ["cancelled"]
    assert world.push_decided("approve", user="sarah").commands == []
    assert world.all(PushBranch) == []


def test_two_presses_push_once():
    world = World().ready().push_shown().push_decided()
    assert world.push_decided(user="sarah").commands == []
    assert len(world.all(PushBranch)) == 1


def test_a_press_on_an_old_card_does_nothing():
    world = World().ready().push_shown()
    assert (world >> e.PushDecided("p1", "approve", "u", "james")).commands == []


def test_nothing_to_push_is_said_and_the_next_is_another():
    world = World().ready().post("@claude push") >> e.PushRefused("nothing_to_push", "")
    assert world.commands == [said("push_refused", code="nothing_to_push", detail="", branch="main")]
    assert world.post("@claude push").kinds == ["push.prepare"]


def test_a_second_push_while_one_is_under_way_is_told_what_it_waits_for():
    world = World().ready().push_shown()
    assert world.post("@claude push").commands == [said("push_under_way", status="asked")]


def test_a_folder_that_was_on_no_branch_is_not_pushed():
    world = World().start().prepared(branch="").started().initialized()
    assert world.post("@claude push").commands == [
        said("push_refused", code="no_branch", detail="", branch="")
    ]


def test_what_upstream_does_not_take_is_on_the_card():
    world = World().ready().push_shown().push_decided() >> e.PushFailed("push_rejected", "non-fast-forward")
    card = world.last(UpdatePushCard)
    assert (card.status, card.code, card.detail) == ("failed", "push_rejected", "non-fast-forward")
    assert world.post("@claude push").kinds == ["push.prepare"]


def test_a_push_without_network_asks_for_the_host_and_goes_on():
    world = World().ready().push_shown().push_decided() >> e.PushFailed("network_unreachable", "no route")
    assert world.said == ["git_host_needed"]
    world.resolved().card_posted("github.com").press("github.com").opened("github.com")
    assert len(world.all(PushBranch)) == 2
    world >> e.PushDone(COMMIT, "sm/abc12345")
    assert statuses(world) == ["done"]


def test_a_card_that_cannot_be_posted_is_a_push_that_did_not_happen():
    world = World().ready().post("@claude push") >> PUSH_PREPARED
    world.record(f"session:{SESSION}", e.CardFailed(world.data.push.card_id, "forbidden", "no"))
    assert world.said == ["push_refused"]


@pytest.mark.parametrize("decided", [False, True])
def test_a_stop_closes_a_card_that_asks_and_leaves_a_push_that_goes_out(decided: bool):
    world = World().ready().push_shown()
    if decided:
        world.push_decided()
    world.stopped()
    assert statuses(world) == ([] if decided else ["over"])
    world >> e.PushDone(COMMIT, "sm/abc12345")
    assert statuses(world) == (["done"] if decided else [])
    assert world.state() == "stopped"


def test_a_decision_made_before_the_card_was_confirmed_is_shown_when_it_is():
    world = World().ready().post("@claude push") >> evolve(PUSH_PREPARED, new_branch=False)
    card_id = world.data.push.card_id
    assert statuses(world.push_decided()) == []
    world.record(f"session:{SESSION}", e.CardPosted(card_id, "late", "ch1"))
    assert statuses(world) == ["pushing"]
