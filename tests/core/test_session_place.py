"""A session's place: what is asked of the VM, what the chat hears, and a git host behind the same firewall."""

from __future__ import annotations

import pytest
from attrs import evolve

from sm.core import events as e
from sm.core import streams
from sm.core.commands import (
    CancelPrepare,
    DiffWorkspace,
    FetchMirror,
    PrepareRepository,
    ResolveProject,
    SetTimer,
    ShowDiff,
    StartAgent,
)

from .playbook import OTHER, PLACE, PREPARED, SESSION, World, said

OFFLINE = e.RepositoryPrepareFailed("network_unreachable", "no route")
HOST = "github.com"


def offline() -> World:
    """The preparation failed for lack of network, and the card is in the channel."""
    world = World().start() >> OFFLINE
    return world.resolved().card_posted(HOST)


# --- forms ------------------------------------------------------------------------------------------------------------


def test_a_repository_is_prepared_in_its_main_clone():
    world = World().start()
    assert world.commands == [said("preparing"), PrepareRepository(SESSION, "acme", "webapp")]


def test_a_branch_is_asked_for_in_the_main_clone():
    world = World().start("acme/webapp@feature/x")
    assert world.last(PrepareRepository) == PrepareRepository(SESSION, "acme", "webapp", branch="feature/x")


def test_a_worktree_has_the_beginning_of_the_sessions_id_as_its_name():
    world = World().start("acme/webapp --worktree")
    prepare = PrepareRepository(SESSION, "acme", "webapp", worktree="abc12345", create="sm/abc12345")
    assert world.commands == [said("worktree_new"), prepare]


def test_a_worktree_with_a_name_and_a_branch():
    world = World().start("acme/webapp@next --worktree=feature")
    prepare = PrepareRepository(SESSION, "acme", "webapp", worktree="feature", branch="next")
    assert world.commands == [said("worktree_new"), prepare]


def test_a_branch_that_another_session_has_is_said_with_the_new_one_from_it():
    world = World().start("acme/webapp@next")
    world.session = OTHER
    world.start("acme/webapp@next --worktree", post_id="second")
    assert world.said == ["worktree_new", "branch_taken"]
    prepare = world.last(PrepareRepository)
    assert (prepare.branch, prepare.create) == ("next", "sm/def67890")


def test_a_worktree_that_is_there_is_gone_on_in_and_says_so():
    world = World().start("acme/webapp --worktree=feature").prepared(branch="sm/feature").started()
    world.initialized().stopped()
    world.session = OTHER
    world.start("acme/webapp --worktree=feature")
    assert world.commands == [
        said("worktree_again", worktree="feature"),
        PrepareRepository(OTHER, "acme", "webapp", worktree="feature"),
    ]


def test_a_worktree_in_use_is_answered_with_its_session():
    world = World().start("acme/webapp --worktree=feature")
    world.session = OTHER
    world.start("acme/webapp --worktree=feature", post_id="second")
    assert world.commands == [said("worktree_in_use", worktree="feature", holder="abc12345", root="second")]


def test_a_main_clone_on_a_branch_in_use_is_answered_with_its_session():
    world = World().start("acme/webapp@next --worktree=feature")
    world.session = OTHER
    world.start("acme/webapp@next", post_id="second")
    assert world.commands == [said("branch_in_use", branch="next", holder="abc12345", root="second")]


def test_pulling_before_the_start_is_a_setting():
    assert World().start(auto_pull=True).last(PrepareRepository).update


def test_what_a_person_should_know_of_the_place_is_said_before_the_start():
    notes = (e.Note("dirty", "M a.py"), e.Note("lfs", "2 files"))
    world = World().start().prepared(notes=notes)
    assert world.said == ["place_note", "place_note", "starting"]


def test_a_long_clone_says_how_far_it_is():
    world = World().start() >> e.RepositoryProgressed("Receiving objects", 45)
    assert world.commands == [said("progress", phase="Receiving objects", percent="45")]


def test_a_clone_can_be_stopped():
    world = World().start().stop()
    assert world.commands == [CancelPrepare(SESSION)]
    world >> e.RepositoryPrepareCancelled()
    assert (world >> e.RepositoryPrepareFailed("cancelled", "")).said == ["stopped"]
    assert (world.state(), world.channel_state(), world.repository()) == ("stopped", "open", "free")


# --- projects -----------------------------------------------------------------------------------------------------------


def test_a_project_is_found_claimed_and_used_as_it_is():
    world = World().start("myproject")
    assert world.commands == [ResolveProject(SESSION, PLACE.project_path)]
    world >> e.ProjectResolved("/srv/my", "main", "f" * 40)
    assert world.said == ["preparing", "starting"]
    start = world.last(StartAgent)
    assert (start.workspace, start.mirror) == ("/srv/my", "")


def test_a_project_whose_folder_cannot_be_used_is_answered():
    world = World().start("myproject") >> e.ProjectRefused("project_missing", "no such folder")
    answer = said(
        "project_refused",
        repository="myproject",
        code="project_missing",
        detail="no such folder",
        waiting="0",
    )
    assert world.commands == [answer]
    assert (world.state(), world.channel_state()) == ("failed", "open")


def test_a_stop_while_the_folder_is_looked_for():
    world = World().start("myproject").stop()
    assert (world.state(), world.commands) == ("stopping", [])
    assert (world >> e.ProjectResolved("/srv/my", "", "")).said == ["stopped"]


@pytest.mark.parametrize("command", ["push", "fetch"])
def test_a_project_is_not_pushed_or_fetched(command: str):
    world = World().start("myproject") >> e.ProjectResolved("/srv/my", "main", "")
    world.started().initialized().post(f"@claude {command}")
    assert world.commands == [said("project_is_yours", repository="myproject", what=command, path="/srv/my")]


# --- the git host behind the same firewall --------------------------------------------------------------------------------


def test_a_clone_without_network_asks_for_the_git_host_with_the_same_card():
    world = World().start() >> OFFLINE
    assert world.kinds == ["chat.say", "card.resolve"]
    assert world.said == ["git_host_needed"]
    assert (world.state(), world.request(HOST).state) == ("waiting", "pending")


def test_it_goes_on_after_the_approval_and_the_agent_hears_nothing_of_it():
    world = offline().press(HOST).opened(HOST)
    assert world.last(PrepareRepository) == world.all(PrepareRepository)[0]
    assert "repository.prepare" in world.kinds
    world.prepared().started().initialized()
    assert (world.state(), world.appended) == ("ready", [])


def test_a_host_that_was_allowed_for_the_clone_can_be_asked_for_again():
    world = offline().press(HOST).opened(HOST)
    world.prepared().started().initialized()
    assert world.data.git_waits == ""
    world.post("@claude fetch") >> e.MirrorFetchFailed("network_unreachable", "no route")
    assert world.said == ["git_host_needed"]


def test_an_answer_to_the_agent_is_not_taken_for_one_that_the_clone_waited_for():
    world = offline().press(HOST).opened(HOST)
    world.prepared().started().initialized()
    world >> e.NetworkApproved("r99", HOST, "sarah")
    assert "mirror.fetch" not in world.kinds


def test_a_denial_ends_the_start():
    world = offline().press(HOST, "deny")
    assert (world.state(), world.said) == ("failed", ["git_denied"])
    assert (world.channel_state(), world.repository()) == ("open", "free")


def test_a_failed_write_of_the_firewall_waits_for_the_retry():
    world = offline().press(HOST).alias_failed()
    assert world.state() == "waiting"
    world.press(HOST).opened(HOST)
    assert world.state() == "preparing"


def test_the_firewall_is_given_a_moment_and_then_it_is_said():
    world = offline().press(HOST).opened(HOST)
    for _ in range(2):
        world >> OFFLINE
        assert (world.state(), world.kinds) == ("waiting", ["timer.set"])
        assert world.last(SetTimer).name == "git"
        assert world.timer("git").kinds == ["repository.prepare"]
    assert (world >> OFFLINE).said == ["prepare_failed"]
    assert world.state() == "failed"


def test_a_stop_while_it_waits_is_over_at_once():
    world = offline().stop()
    assert (world.state(), world.said) == ("stopped", ["stopped"])


def test_a_host_for_which_no_card_can_ask_is_a_failure():
    world = World().start(git_host="") >> OFFLINE
    assert (world.state(), world.said) == ("failed", ["prepare_failed"])


def test_a_mirror_that_could_not_be_fetched_starts_all_the_same_and_is_fetched_later():
    world = World().start().prepared(notes=(e.Note("fetch_network", "no route"),))
    assert world.kinds == ["chat.say", "chat.say", "agent.start", "card.resolve"]
    world.resolved().card_posted(HOST).press(HOST).opened(HOST)
    assert world.last(FetchMirror) == FetchMirror(SESSION, "acme", "webapp")
    assert (world >> e.MirrorFetched(2)).said == ["fetched"]


def test_an_agent_that_asked_for_the_same_host_hears_the_answer_too():
    world = World().working().asked(HOST).post("@claude fetch")
    world >> e.MirrorFetchFailed("network_unreachable", "no route")
    world.press(HOST).opened(HOST)
    assert "mirror.fetch" in world.kinds
    assert world.appended == ["[NETWORK_APPROVED: github.com]"]


# --- fetch and diff -------------------------------------------------------------------------------------------------------


def test_fetch_brings_the_mirror_up_to_date():
    world = World().ready().post("@claude fetch")
    assert world.commands == [FetchMirror(SESSION, "acme", "webapp")]
    assert (world >> e.MirrorFetched(3)).commands == [said("fetched", changed="3")]


def test_a_fetch_without_network_asks_goes_on_and_can_be_denied():
    world = World().ready().post("@claude fetch") >> e.MirrorFetchFailed("network_unreachable", "no route")
    assert world.said == ["git_host_needed"]
    world.resolved().card_posted(HOST).press(HOST, "deny")
    assert said("git_denied", host=HOST, waited="fetch", waiting="0") in world.commands
    assert (world.state(), world.appended) == ("ready", [])
    world.post("@claude fetch") >> e.MirrorFetchFailed("network_unreachable", "no route")
    assert world.said == ["git_host_needed", "asked_again", "git_denied"]


def test_another_failure_of_a_fetch_is_said():
    world = World().ready().post("@claude fetch") >> e.MirrorFetchFailed("no_access", "403")
    assert world.commands == [said("fetch_failed", code="no_access", detail="403")]


def test_a_diff_is_read_and_shown_from_its_event():
    world = World().working().post("@claude diff")
    assert world.commands == [DiffWorkspace(SESSION, PREPARED.path, PREPARED.mirror, "main")]
    world >> e.WorkspaceDiffed("a diff", False, 1, 1, 0)
    assert world.commands == [ShowDiff("ch1", SESSION)]


def test_no_change_and_no_diff_are_said():
    world = World().ready().post("@claude diff") >> e.WorkspaceDiffed("", False, 0, 0, 0)
    assert world.commands == [said("no_changes", path=PREPARED.path, base="main")]
    world >> e.WorkspaceDiffFailed("not_git", "")
    assert world.commands == [said("diff_failed", code="not_git", detail="")]


@pytest.mark.parametrize("command", ["diff", "push", "fetch"])
def test_before_there_is_a_place_it_is_said(command: str):
    assert World().start().post(f"@claude {command}").commands == [said("no_place", state="preparing")]


def test_a_place_that_settles_tells_its_repository_the_branch():
    world = World().start() >> evolve(PREPARED, branch="develop")
    settled = [r for r in world.recorded if isinstance(r.event, e.RepositorySettled)]
    assert [(r.stream, r.event) for r in settled] == [
        (streams.repository("vm1", "acme", "webapp"), e.RepositorySettled(SESSION, "develop"))
    ]
