"""Work goes out through the mirror: a bundle made in a container, checked, shown, and pushed as exactly one commit."""

import shutil

import pytest
from git_kit import TOKEN, git

from sm.core.outcome import Refused, Unreachable

from .conftest import SESSION
from .place_kit import Place

BRANCH = "sm/0a1b2c3d"


@pytest.fixture
def upstream(github):
    return github.repository(files={"README.md": "hello\n"})


@pytest.fixture
def vm(peer, github):
    peer.write_profile(more=f"export GH_TOKEN={TOKEN}")
    return peer.vm(git_base_url=github.url)


@pytest.fixture
def place(peer, upstream):
    place = Place(peer, upstream)
    place.git("switch", "-q", "-c", BRANCH)
    return place


async def candidate(vm, place, branch=BRANCH, target=None, epoch=1, default="main"):
    return await vm.upstream.candidate(
        session_id=SESSION, org="acme", repo="webapp", workspace=str(place.path), branch=branch,
        target=target or branch, default_branch=default, epoch=epoch,
    )  # fmt: skip


async def push(vm, commit, target=BRANCH, epoch=1):
    return await vm.upstream.push(
        session_id=SESSION, org="acme", repo="webapp", commit=commit, target=target, epoch=epoch
    )


async def fetch(vm, epoch=1):
    return await vm.upstream.fetch(session_id=SESSION, org="acme", repo="webapp", epoch=epoch)


async def refused(answer):
    with pytest.raises(Refused) as caught:
        await answer
    return caught.value.code


async def test_a_branch_goes_upstream_as_exactly_the_commit_that_was_shown(vm, place, upstream):
    place.commit("a.txt", "one\n")
    shown = place.commit("b.txt", "two\n")
    found = await candidate(vm, place)
    assert (found.commit, found.commits, found.target) == (shown, 2, BRANCH)
    assert (found.new_branch, found.workflows) == (True, False)
    assert " a.txt | 1 +\n" in found.stat
    assert "2 files changed, 2 insertions(+)" in found.stat
    place.commit("later.txt")
    assert upstream.head(BRANCH) == ""
    assert await push(vm, found.commit) is True
    assert upstream.head(BRANCH) == shown


async def test_a_push_again_finds_it_there_and_sends_nothing(vm, place, upstream, github):
    commit = place.commit()
    await candidate(vm, place)
    await push(vm, commit)
    sent = github.asked("git-receive-pack")
    assert await push(vm, commit) is True
    assert github.asked("git-receive-pack") == sent


async def test_after_the_push_nothing_counts_as_unpushed(vm, place):
    commit = place.commit()
    await candidate(vm, place)
    await push(vm, commit)
    seen = await vm.workspaces.inspect(
        session_id=SESSION, workspace=str(place.path), mirror=str(place.mirror)
    )
    assert seen.unpushed == 0
    assert await refused(candidate(vm, place)) == "nothing_to_push"


async def test_the_next_push_brings_what_came_since(vm, place, upstream):
    await push(vm, (await candidate_of(vm, place)).commit)
    again = await candidate_of(vm, place, "more.txt")
    assert (again.commits, again.new_branch) == (1, False)
    assert "README" not in again.stat
    await push(vm, again.commit)
    assert upstream.head(BRANCH) == again.commit


async def candidate_of(vm, place, name="work.txt", **changes):
    place.commit(name)
    return await candidate(vm, place, **changes)


async def test_the_named_branch_counts_wherever_head_is(vm, place):
    commit = place.commit()
    place.git("switch", "-q", "--detach", "main")
    place.commit("elsewhere.txt")
    assert (await candidate(vm, place)).commit == commit


async def test_commits_on_the_default_branch_go_under_another_name(vm, place, upstream):
    place.git("switch", "-q", "main")
    commit = place.commit()
    assert (await candidate(vm, place, branch="main", target=BRANCH)).commit == commit
    before = upstream.head()
    assert await refused(push(vm, commit, "main")) == "default_branch"
    assert upstream.head() == before


async def test_a_branch_that_is_upstream_by_another_name_goes_without_new_objects(vm, place, upstream):
    theirs = upstream.commit({"x": "x"}, branch="theirs")
    git(f"--git-dir={place.mirror}", "fetch", "-q", str(upstream.path), "+refs/heads/*:refs/heads/*")
    place.git("fetch", "-q", "origin")
    place.git("reset", "-q", "--hard", "origin/theirs")
    found = await candidate(vm, place)
    assert (found.commit, found.commits) == (theirs, 1)
    await push(vm, theirs)
    assert upstream.head(BRANCH) == theirs


async def test_nothing_new_is_nothing_to_push(vm, place):
    assert await refused(candidate(vm, place)) == "nothing_to_push"


async def test_a_branch_that_is_not_there_is_named(vm, place):
    assert await refused(candidate(vm, place, branch="no/such")) == "branch_missing"


async def test_a_history_without_anything_in_common_is_no_push(vm, place):
    place.git("switch", "-q", "--orphan", "other")
    place.commit()
    assert await refused(candidate(vm, place, branch="other", target=BRANCH)) == "unrelated_history"


async def test_a_branch_that_went_on_upstream_is_not_pushed_over(vm, place, upstream):
    await push(vm, (await candidate_of(vm, place)).commit)
    approved = await candidate_of(vm, place, "more.txt")
    theirs = upstream.commit({"theirs.txt": "x"}, branch=BRANCH)
    assert await refused(push(vm, approved.commit)) == "push_rejected"
    assert upstream.head(BRANCH) == theirs
    assert await refused(candidate(vm, place)) == "push_rejected"


async def test_a_branch_that_upstream_replaced_is_not_pushed_over(vm, place, upstream):
    await push(vm, (await candidate_of(vm, place)).commit)
    theirs = upstream.rewrite({"theirs.txt": "x"}, branch=BRANCH)
    approved = await refused(candidate_of(vm, place, "more.txt"))
    assert approved == "push_rejected"
    assert upstream.head(BRANCH) == theirs


async def test_a_change_of_a_workflow_is_told(vm, place):
    found = await candidate_of(vm, place, ".github/workflows/ci.yml")
    assert found.workflows


async def test_a_workflow_that_the_token_may_not_change_has_its_own_answer(vm, place, upstream):
    upstream.hook(
        "update",
        "echo 'refusing to allow a Personal Access Token to create or update workflow `.github/workflows/ci.yml` "
        "without `workflow` scope' >&2; exit 1",
    )
    found = await candidate_of(vm, place, ".github/workflows/ci.yml")
    assert await refused(push(vm, found.commit)) == "workflow_scope"


async def test_a_rule_of_the_host_is_told_in_its_words(vm, place, upstream):
    upstream.hook("update", "echo 'GH006: Protected branch update failed' >&2; exit 1")
    commit = (await candidate_of(vm, place)).commit
    with pytest.raises(Refused, match="GH006") as caught:
        await push(vm, commit)
    assert caught.value.code == "push_declined"


async def test_a_branch_with_a_slash_below_a_branch_upstream_is_declined(vm, place, upstream):
    upstream.branch("sm")
    found = await candidate_of(vm, place)
    assert await refused(push(vm, found.commit)) == "push_declined"


async def test_a_tag_of_the_same_name_is_neither_taken_nor_moved(vm, place, upstream):
    upstream.tag(BRANCH)
    git(f"--git-dir={place.mirror}", "fetch", "-q", str(upstream.path), "+refs/tags/*:refs/tags/*")
    place.git("tag", BRANCH, "main")
    commit = place.commit()
    found = await candidate(vm, place)
    assert found.commit == commit
    await push(vm, commit)
    assert upstream.head(BRANCH) == commit
    assert upstream.refs()[f"refs/tags/{BRANCH}"] == upstream.head()


async def test_a_branch_whose_name_ends_as_ours_is_not_taken_for_it(vm, place, upstream):
    upstream.branch(f"x/refs/heads/{BRANCH}", upstream.commit({"x": "x"}, branch="x2"))
    assert (await candidate_of(vm, place)).new_branch


async def test_a_token_that_may_not_write_is_no_access(vm, place, github):
    found = await candidate_of(vm, place)
    github.server.read_only = True
    assert await refused(push(vm, found.commit)) == "no_access"


async def test_without_a_token_nothing_is_pushed(peer, github, place):
    peer.write_profile()
    vm = peer.vm(git_base_url=github.url)
    found = await candidate_of(vm, place)
    assert await refused(push(vm, found.commit)) == "no_access"


async def test_a_host_out_of_reach_is_named_and_the_candidate_is_taken_all_the_same(vm, place, github):
    await github.stop()
    found = await candidate_of(vm, place)
    assert found.new_branch
    assert await refused(push(vm, found.commit)) == "network_unreachable"


async def test_a_push_whose_answer_was_lost_is_found_to_have_arrived(vm, place, upstream, github):
    found = await candidate_of(vm, place)
    github.server.cut_after = 10
    github.fault("cut", what="git-receive-pack", service="git-receive-pack")
    assert await push(vm, found.commit) is True
    assert upstream.head(BRANCH) == found.commit


async def test_a_push_of_which_nothing_is_known_stays_open(vm, place, upstream, github):
    found = await candidate_of(vm, place)
    github.fault("cut", what="git-receive-pack", service="git-receive-pack")
    github.server.cut_after = 10
    github.fault("missing", times=None, after=1, what="info/refs", service="git-upload-pack")
    with pytest.raises(Unreachable):
        await push(vm, found.commit)
    github.faults.clear()
    assert await push(vm, found.commit) is True


async def test_the_token_stands_in_no_argument_file_or_answer(peer, vm, place, github):
    log = peer.folder / "git.log"
    peer.tool("git", f'printf "%s\\n" "$*" >>{log}\nexec {shutil.which("git")} "$@"')
    found = await candidate_of(vm, place)
    await push(vm, found.commit)
    assert "push" in log.read_text()
    assert TOKEN not in log.read_text()
    stored = [file.read_bytes() for file in peer.repos.rglob("*") if file.is_file() and not file.is_symlink()]
    assert not any(TOKEN.encode() in raw for raw in stored)
    assert "x-access-token" in {request["user"] for request in github.requests}


async def test_the_hosts_git_never_works_in_a_workspace(peer, vm, place):
    log = peer.folder / "git.log"
    peer.tool(
        "git",
        f'[ "$HOME" = /tmp ] || printf "%s in %s\\n" "$*" "$PWD" >>{log}\nexec {shutil.which("git")} "$@"',
    )
    found = await candidate_of(vm, place)
    await push(vm, found.commit)
    assert str(place.path) not in log.read_text().replace(f"{place.mirror}", "")


async def test_an_older_writer_takes_and_pushes_nothing(vm, place, upstream):
    found = await candidate_of(vm, place, epoch=5)
    place.commit("more.txt")
    assert await refused(candidate(vm, place, epoch=4)) == "fenced"
    assert await refused(push(vm, found.commit, epoch=4)) == "fenced"
    assert upstream.head(BRANCH) == ""


async def test_without_a_mirror_there_is_nothing_to_go_through(vm, place):
    commit = place.commit()
    shutil.rmtree(place.mirror)
    assert await refused(candidate(vm, place)) == "mirror_missing"
    assert await refused(push(vm, commit)) == "mirror_missing"


async def test_a_commit_that_the_mirror_has_not_is_not_pushed(vm, place):
    assert await refused(push(vm, "1" * 40)) == "commit_missing"


@pytest.mark.parametrize("name", ["--force", "-d", "a..b", "a:b", "a b", "x.lock", "", "@", "a@{u}"])
async def test_a_name_that_is_no_branch_reaches_nobody(peer, vm, place, name):
    assert await refused(candidate(vm, place, branch=name, target=BRANCH)) == "bad_branch"
    assert await refused(push(vm, "1" * 40, target=name)) == "bad_branch"
    assert peer.logins == 0


@pytest.mark.parametrize("commit", ["main", "HEAD", "1" * 39, "--all", ""])
async def test_only_a_whole_id_can_be_pushed(peer, vm, place, commit):
    assert await refused(push(vm, commit)) == "bad_commit"
    assert peer.logins == 0


async def test_a_fetch_brings_the_mirror_up_to_date_and_counts_what_moved(vm, place, upstream):
    moved = upstream.commit({"a": "a"})
    upstream.branch("feature/login")
    upstream.tag("v1")
    found = await fetch(vm)
    assert found.changed == 3
    assert found.detail == "feature/login, main, tag v1"
    assert git(f"--git-dir={place.mirror}", "rev-parse", "refs/heads/main") == moved
    assert (await fetch(vm)).changed == 0


async def test_after_a_fetch_the_workspace_finds_it_at_its_origin(vm, place, upstream):
    upstream.commit({"a": "a"}, branch="feature/login")
    await fetch(vm)
    place.git("fetch", "-q", "origin")
    assert place.git("rev-parse", "origin/feature/login") == upstream.head("feature/login")


async def test_a_fetch_is_refused_for_what_went_wrong(vm, place, github):
    github.fault("missing", what="info/refs")
    assert await refused(fetch(vm)) == "repository_missing"
    github.private("acme/webapp")
    github.server.token = "ghp_another"
    assert await refused(fetch(vm)) == "no_access"
    await github.stop()
    assert await refused(fetch(vm)) == "network_unreachable"
    shutil.rmtree(place.mirror)
    assert await refused(fetch(vm)) == "mirror_missing"


async def test_a_fetch_that_is_cut_leaves_the_mirror_as_it_was_and_goes_on_later(vm, place, upstream, github):
    before = git(f"--git-dir={place.mirror}", "rev-parse", "refs/heads/main")
    upstream.big(300_000)
    github.server.cut_after = 50_000
    github.fault("cut", times=None)
    assert await refused(fetch(vm)) == "network_unreachable"
    github.faults.clear()
    assert git(f"--git-dir={place.mirror}", "rev-parse", "refs/heads/main") == before
    assert (await fetch(vm)).changed == 1


async def test_an_older_writer_fetches_nothing(vm, place):
    await fetch(vm, epoch=5)
    assert await refused(fetch(vm, epoch=4)) == "fenced"
