"""Main clones and worktrees: on which branch they are, whose they are, and that nothing of a person's work is touched."""

from pathlib import Path

import pytest
from git_kit import git

from sm.core.outcome import Refused
from sm.vm.repositories import PrepareSpec

from .conftest import SESSION

OTHER = "9f8e7d6c-1111-4222-8333-444455556666"


@pytest.fixture
def upstream(github):
    """acme/webapp with main and feature/login, and a tag that is called as the branch."""
    repository = github.repository(files={"README.md": "hello\n"})
    repository.commit({"login.py": "pass\n"}, branch="feature/login")
    repository.tag("feature/login", repository.head("main"))
    return repository


@pytest.fixture
def vm(peer, github):
    return peer.vm(git_base_url=github.url)


async def prepare(vm, epoch=1, session=SESSION, org="acme", repo="webapp", **asked):
    return await vm.repositories.prepare(PrepareSpec(session_id=session, org=org, repo=repo, **asked), epoch)


async def refused(vm, **asked):
    with pytest.raises(Refused) as caught:
        await prepare(vm, **asked)
    return caught.value


def agent(place, *words):
    """Git as the agent or a person has it in the place."""
    return git("-c", "user.name=Agent", "-c", "user.email=agent@example.com", *words, cwd=place.path)


def fetches(github):
    """How many times objects were asked for."""
    return github.asked("git-upload-pack")


# --- worktrees ------------------------------------------------------------------------------------------------------


async def test_a_worktree_stands_beside_the_others_on_a_branch_of_its_own(peer, vm, upstream):
    found = await prepare(vm, worktree="search", create="sm/search")
    assert found.path == str(peer.folder / "worktrees/webapp-search")
    assert (found.branch, found.base, found.default_branch) == ("sm/search", "main", "main")
    assert (found.created, found.head) == (True, upstream.head("main"))
    assert Path(found.path, "README.md").read_text() == "hello\n"
    assert Path(found.path, ".git/objects/info/alternates").read_text().strip() == f"{found.mirror}/objects"
    assert not (peer.repos / "github.com/acme/webapp").exists()


async def test_a_worktree_can_be_on_a_branch_of_upstream_that_a_tag_is_named_after(vm, upstream):
    found = await prepare(vm, worktree="search", branch="feature/login")
    assert (found.branch, found.head, found.base) == (
        "feature/login",
        upstream.head("feature/login"),
        "feature/login",
    )


async def test_a_worktrees_own_branch_can_begin_at_another_than_the_default_one(vm, upstream):
    found = await prepare(vm, worktree="search", branch="feature/login", create="sm/search")
    assert (found.branch, found.head, found.base) == (
        "sm/search",
        upstream.head("feature/login"),
        "feature/login",
    )


async def test_the_agent_can_commit_branch_stash_merge_and_fetch(vm, upstream):
    found = await prepare(vm, worktree="search", create="sm/search")
    Path(found.path, "new.txt").write_text("new\n")
    agent(found, "add", "new.txt")
    agent(found, "stash")
    agent(found, "stash", "pop")
    agent(found, "commit", "-q", "-m", "New")
    agent(found, "switch", "-q", "-c", "sm/other")
    agent(found, "merge", "-q", "-m", "Merge", "origin/feature/login")
    agent(found, "fetch", "-q", "origin")
    assert agent(found, "status", "--porcelain") == ""


async def test_a_worktree_is_taken_up_again_as_it_was_left(vm, upstream):
    first = await prepare(vm, worktree="search", create="sm/search")
    Path(first.path, "work.txt").write_text("mine")
    again = await prepare(vm, worktree="search", create="sm/search", session=OTHER)
    assert (again.created, again.branch, again.base, again.head) == (False, "sm/search", "main", first.head)
    assert Path(again.path, "work.txt").read_text() == "mine"


async def test_a_worktree_taken_up_again_on_the_branch_that_it_was_made_from_is_the_one_meant(vm, upstream):
    await prepare(vm, worktree="search", branch="feature/login", create="sm/search")
    again = await prepare(vm, worktree="search", branch="feature/login", session=OTHER)
    assert (again.created, again.branch) == (False, "sm/search")


async def test_a_worktree_on_another_branch_than_asked_is_refused_and_says_which(vm, upstream):
    await prepare(vm, worktree="search", create="sm/search")
    error = await refused(vm, worktree="search", branch="feature/login")
    assert error.code == "branch_differs"
    assert "sm/search" in str(error)


async def test_the_path_of_another_repositorys_worktree_is_refused_and_names_it(vm, upstream, github):
    github.repository("other/webapp")
    await prepare(vm, worktree="search", create="sm/search")
    error = await refused(vm, org="other", worktree="search", create="sm/search")
    assert error.code == "path_owned"
    assert "acme/webapp" in str(error)


async def test_a_folder_at_a_worktrees_path_that_was_not_made_here_is_left_alone(peer, vm, upstream):
    taken = peer.folder / "worktrees/webapp-search"
    taken.mkdir(parents=True)
    (taken / "thesis.tex").write_text("years of work")
    assert (await refused(vm, worktree="search")).code == "path_taken"
    assert (taken / "thesis.tex").read_text() == "years of work"


async def test_a_worktree_that_a_person_removed_is_made_anew(vm, upstream, peer):
    first = await prepare(vm, worktree="search", create="sm/search")
    Path(first.path).rename(peer.folder / "elsewhere")
    assert (await prepare(vm, worktree="search", create="sm/search")).created


async def test_an_empty_repository_has_worktrees_too(vm, github):
    github.repository("acme/empty", files={})
    found = await prepare(vm, repo="empty", worktree="search", create="sm/search")
    assert (found.branch, found.head, found.created) == ("sm/search", "", True)


async def test_a_hostile_name_reaches_no_shell(peer, vm):
    for asked in ({"worktree": "../x"}, {"branch": "--upload-pack=x"}, {"worktree": "w", "create": "a..b"}):
        assert (await refused(vm, **asked)).code == "bad_name"
    assert (await refused(vm, session="../../etc")).code == "bad_session"
    assert (await refused(vm, create="sm/x")).code == "bad_name"
    assert peer.logins == 0


# --- the main clone on a branch ---------------------------------------------------------------------------------------


async def test_a_main_clone_is_made_on_the_branch_that_was_asked_for(vm, upstream):
    found = await prepare(vm, branch="feature/login")
    assert (found.branch, found.head, found.base, found.default_branch) == (
        "feature/login",
        upstream.head("feature/login"),
        "feature/login",
        "main",
    )


async def test_a_main_clone_is_switched_to_the_branch_of_upstream_and_follows_it(vm, upstream):
    await prepare(vm)
    found = await prepare(vm, branch="feature/login")
    assert (found.created, found.branch, found.head) == (
        False,
        "feature/login",
        upstream.head("feature/login"),
    )
    assert agent(found, "rev-parse", "--abbrev-ref", "@{upstream}") == "origin/feature/login"


async def test_a_main_clone_without_a_branch_asked_for_stays_on_its_own(vm, upstream):
    await prepare(vm, branch="feature/login")
    found = await prepare(vm)
    assert (found.branch, found.base) == ("feature/login", "feature/login")


async def test_a_main_clone_goes_back_to_a_branch_that_only_it_has(vm, upstream):
    found = await prepare(vm)
    agent(found, "switch", "-q", "-c", "private")
    agent(found, "commit", "-q", "--allow-empty", "-m", "Private")
    await prepare(vm, branch="main")
    again = await prepare(vm, branch="private")
    assert (again.branch, again.base) == ("private", "main")


async def test_a_branch_pushed_since_the_last_fetch_is_found(vm, upstream):
    await prepare(vm)
    commit = upstream.commit({"x": "x"}, branch="late")
    found = await prepare(vm, branch="late")
    assert (found.branch, found.head) == ("late", commit)


async def test_a_branch_that_is_nowhere_is_refused_with_near_ones(vm, upstream):
    error = await refused(vm, branch="feature/logn")
    assert error.code == "branch_missing"
    assert "feature/login" in str(error)
    assert (await refused(vm, worktree="w", branch="feature/logn")).code == "branch_missing"
    await prepare(vm)
    assert (await refused(vm, branch="feature/logn")).code == "branch_missing"


async def test_a_main_clone_with_changes_is_not_switched_and_they_are_listed(vm, upstream):
    found = await prepare(vm)
    for number in range(12):
        Path(found.path, f"new{number:02}.txt").write_text("mine")
    Path(found.path, "README.md").write_text("mine")
    error = await refused(vm, branch="feature/login")
    assert error.code == "local_changes"
    assert "13 changes: M README.md, ?? new00.txt" in str(error)
    assert "new08.txt and 3 more" in str(error)
    assert Path(found.path, "README.md").read_text() == "mine"
    assert agent(found, "branch", "--show-current") == "main"


async def test_a_main_clone_with_changes_is_used_on_the_branch_that_it_is_on(vm, upstream):
    found = await prepare(vm)
    Path(found.path, "README.md").write_text("mine")
    assert (await prepare(vm, branch="main")).branch == "main"


async def test_an_ignored_file_that_the_branch_has_is_not_written_over(vm, upstream):
    upstream.commit({".env": "theirs\n"}, branch="env")
    upstream.commit({".gitignore": ".env\n"})
    found = await prepare(vm)
    Path(found.path, ".env").write_text("KEY=mine\n")
    assert (await refused(vm, branch="env")).code == "local_changes"
    assert Path(found.path, ".env").read_text() == "KEY=mine\n"


async def test_a_main_clone_in_the_middle_of_a_merge_is_left_there(vm, upstream):
    upstream.commit({"README.md": "theirs\n"}, branch="conflict")
    found = await prepare(vm)
    Path(found.path, "README.md").write_text("ours\n")
    agent(found, "commit", "-q", "-a", "-m", "Ours")
    with pytest.raises(AssertionError):
        agent(found, "merge", "origin/conflict")
    assert (await refused(vm, branch="feature/login")).code == "local_changes"


async def test_a_branch_of_the_main_clone_that_upstream_began_anew_is_refused(vm, upstream):
    await prepare(vm, branch="feature/login")
    await prepare(vm, branch="main")
    upstream.commit({"other": "other"}, branch="feature/login", parent="")
    await prepare(vm, fetch=True)
    assert (await refused(vm, branch="feature/login")).code == "unrelated_history"


async def test_hooks_and_filters_that_the_agent_left_do_not_run_on_the_host_or_at_a_switch(
    peer, vm, upstream
):
    found = await prepare(vm)
    for hook in ("post-checkout", "post-merge", "reference-transaction"):
        file = Path(found.path, ".git/hooks", hook)
        file.write_text(f"#!/bin/sh\ntouch {peer.folder}/pwned\n")
        file.chmod(0o755)
    agent(found, "config", "core.fsmonitor", f"touch {peer.folder}/pwned")
    agent(found, "config", "core.hooksPath", str(Path(found.path, ".git/hooks")))
    await prepare(vm, branch="feature/login", update=True)
    assert not (peer.folder / "pwned").exists()


# --- kept up to date ----------------------------------------------------------------------------------------------------


async def test_a_clean_main_clone_is_fast_forwarded(vm, upstream):
    old = (await prepare(vm)).head
    new = upstream.commit({"a.txt": "a"})
    found = await prepare(vm, update=True)
    assert found.head == new
    assert Path(found.path, "a.txt").exists()
    assert [(note.code, note.detail) for note in found.notes] == [("updated", f"{old[:12]}..{new[:12]}")]


async def test_what_is_up_to_date_or_ahead_is_not_talked_about(vm, upstream):
    found = await prepare(vm)
    assert (await prepare(vm, update=True)).notes == ()
    agent(found, "commit", "-q", "--allow-empty", "-m", "Ahead")
    assert (await prepare(vm, update=True)).notes == ()


async def test_a_main_clone_with_changes_is_never_pulled_over(vm, upstream):
    first = await prepare(vm)
    Path(first.path, "README.md").write_text("mine")
    upstream.commit({"README.md": "theirs"})
    found = await prepare(vm, update=True)
    assert found.head == first.head
    assert Path(first.path, "README.md").read_text() == "mine"
    assert [(note.code, note.detail) for note in found.notes] == [("dirty", "1 change: M README.md")]


async def test_a_main_clone_with_commits_of_its_own_is_never_reset(vm, upstream):
    first = await prepare(vm)
    agent(first, "commit", "-q", "--allow-empty", "-m", "Mine")
    mine = agent(first, "rev-parse", "HEAD")
    upstream.commit({"a.txt": "a"})
    found = await prepare(vm, update=True)
    assert found.head == mine
    assert [note.code for note in found.notes] == ["diverged"]


async def test_a_main_clone_whose_upstream_began_anew_stays_as_it_is(vm, upstream):
    first = await prepare(vm)
    upstream.commit({"a.txt": "a"}, parent="")
    found = await prepare(vm, update=True)
    assert found.head == first.head
    assert [note.code for note in found.notes] == ["unrelated"]


async def test_a_clone_of_an_empty_repository_takes_the_first_commit(vm, github):
    repository = github.repository("acme/empty", files={})
    await prepare(vm, repo="empty")
    commit = repository.commit({"a.txt": "a"})
    assert (await prepare(vm, repo="empty", update=True)).head == commit


async def test_a_worktree_is_not_changed_by_an_update(vm, upstream):
    first = await prepare(vm, worktree="search", branch="main")
    upstream.commit({"a.txt": "a"})
    found = await prepare(vm, worktree="search", update=True)
    assert (found.head, found.notes) == (first.head, ())


# --- when upstream is asked --------------------------------------------------------------------------------------------


async def test_upstream_is_asked_only_when_there_is_a_reason(vm, upstream, github):
    await prepare(vm)
    asked = fetches(github)
    await prepare(vm)
    await prepare(vm, branch="feature/login")
    assert fetches(github) == asked
    await prepare(vm, fetch=True)
    after = fetches(github)
    assert after > asked
    await prepare(vm, worktree="one", create="sm/one")
    assert fetches(github) > after
    after = fetches(github)
    await prepare(vm, worktree="one", create="sm/one")
    assert fetches(github) == after


async def test_a_fetch_that_fails_is_a_note_and_the_start_goes_on(vm, upstream, github):
    await prepare(vm)
    github.fault("forbidden", times=1)
    found = await prepare(vm, worktree="one", create="sm/one")
    assert found.created
    assert [note.code for note in found.notes] == ["fetch_failed"]
    await github.stop()
    found = await prepare(vm, worktree="two", create="sm/two")
    assert found.created
    assert [note.code for note in found.notes] == ["fetch_network"]


async def test_an_unknown_branch_with_upstream_away_is_a_matter_of_the_network(vm, upstream, github):
    await prepare(vm)
    await github.stop()
    assert (await refused(vm, branch="late")).code == "network_unreachable"
    assert (await refused(vm, worktree="w", branch="late")).code == "network_unreachable"


async def test_each_no_of_the_host_has_a_code_of_its_own(peer, vm, upstream, github):
    github.private("acme/secret")
    github.repository("acme/secret")
    assert (await refused(vm, repo="secret")).code == "no_access"
    github.fault("missing", times=1)
    assert (await refused(vm, repo="nothing")).code == "repository_missing"
    github.server.cut_after = 100
    github.fault("cut", times=1, after=1, what="git-upload-pack")
    assert (await refused(vm)).code == "network_unreachable"
    assert not list(peer.repos.rglob("*.part"))
    await github.stop()
    assert (await refused(vm)).code == "network_unreachable"
    await github.start()
    assert (await prepare(vm)).created


async def test_a_full_disk_is_named_and_nothing_is_left(peer, vm, upstream):
    peer.tool(
        "git",
        'case " $* " in *" fetch "*) echo "fatal: write error: No space left on device" >&2; exit 128;; esac\nexec /usr/bin/git "$@"',
    )
    assert (await refused(vm)).code == "disk_full"
    assert not list(peer.repos.rglob("*.part"))


async def test_an_older_writer_makes_no_worktree(vm, upstream):
    await prepare(vm, epoch=5, worktree="one", create="sm/one")
    assert (await refused(vm, epoch=4, worktree="one", create="sm/one")).code == "fenced"
    assert (await refused(vm, epoch=4, session=OTHER, worktree="two", create="sm/two")).code == "fenced"
