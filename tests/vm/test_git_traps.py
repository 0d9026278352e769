"""What upstream does that hurts: names that mean two things, histories that change, contents that need more than git.

Each goes the whole way against a real git host: prepared, worked in, fetched again, pushed.
"""

from pathlib import Path

import attrs
import pytest
from git_kit import TOKEN, git

from sm.core.outcome import Refused
from sm.vm.repositories import PrepareSpec

from .conftest import SESSION, until

OTHER = "9f8e7d6c-1111-4222-8333-444455556666"
MINE = "sm/0a1b2c3d"


@pytest.fixture
def upstream(github):
    return github.repository(files={"README.md": "hello\n"})


@attrs.define
class Work:
    """A session's place and what is done in it and with it."""

    vm: object
    session: str
    made: object
    repo: str = "webapp"

    @property
    def path(self):
        return Path(self.made.path)

    def git(self, *words):
        return git("-c", "user.name=Agent", "-c", "user.email=agent@example.com", *words, cwd=self.path)

    def commit(self, name="work.txt", text="work\n"):
        (self.path / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", f"Write {name}")
        return self.git("rev-parse", "HEAD")

    async def diff(self, base="main"):
        return await self.vm.workspaces.diff(
            session_id=self.session, workspace=self.made.path, mirror=self.made.mirror, base=base
        )

    async def inspect(self):
        return await self.vm.workspaces.inspect(
            session_id=self.session, workspace=self.made.path, mirror=self.made.mirror
        )

    async def fetch(self):
        return await self.vm.upstream.fetch(session_id=self.session, org="acme", repo=self.repo, epoch=1)

    async def candidate(self, branch, target=None):
        return await self.vm.upstream.candidate(
            session_id=self.session, org="acme", repo=self.repo, workspace=self.made.path, branch=branch,
            target=target or branch, default_branch=self.made.default_branch, epoch=1,
        )  # fmt: skip

    async def push(self, branch, target=None):
        found = await self.candidate(branch, target)
        await self.vm.upstream.push(
            session_id=self.session,
            org="acme",
            repo=self.repo,
            commit=found.commit,
            target=found.target,
            epoch=1,
        )
        return found


@pytest.fixture
def vm(peer, github):
    peer.write_profile(more=f"export GH_TOKEN={TOKEN}")
    return peer.vm(git_base_url=github.url)


@pytest.fixture
def begin(vm):
    async def start(session=SESSION, repo="webapp", **asked):
        spec = PrepareSpec(session_id=session, org="acme", repo=repo, **asked)
        return Work(vm, session, await vm.repositories.prepare(spec, 1), repo)

    return start


def notes(work):
    return {note.code: note.detail for note in work.made.notes}


def mirror_git(work, *words):
    return git(f"--git-dir={work.made.mirror}", *words)


async def test_a_branch_with_a_slash_goes_all_the_way(begin, upstream):
    upstream.commit({"login.py": "pass\n"}, branch="feature/login")
    work = await begin(branch="feature/login")
    commit = work.commit()
    assert (await work.inspect()).branch == "feature/login"
    assert "+work\n" in (await work.diff("feature/login")).text
    found = await work.push("feature/login")
    assert (found.commits, found.new_branch) == (1, False)
    assert upstream.head("feature/login") == commit


async def test_a_tag_of_the_same_name_is_never_meant(begin, upstream):
    """The tag stands on another commit than the branch; git alone would take the tag."""
    branch = upstream.commit({"next.txt": "next\n"}, branch="next")
    upstream.tag("next")
    upstream.tag("main", branch)
    tagged = upstream.refs()["refs/tags/next"]
    work = await begin(branch="next")
    assert (work.made.branch, work.made.head) == ("next", branch)
    commit = work.commit()
    assert (await work.inspect()).branch == "next"
    assert (await work.diff("next")).files == 1
    assert (await work.diff("main")).files == 2
    assert (await work.push("next")).commits == 1
    assert upstream.head("next") == commit
    assert upstream.refs()["refs/tags/next"] == tagged


async def test_a_worktree_on_a_tagged_default_branch_begins_at_the_branch(begin, upstream):
    upstream.tag("main")
    head = upstream.commit({"a": "a"})
    work = await begin(worktree="x", create="sm/x")
    assert work.made.head == head
    work.commit()
    assert (await work.push("sm/x")).commits == 1


async def test_a_moved_default_branch_is_followed_by_what_begins_now(begin, upstream):
    old = await begin()
    upstream.commit({"a": "a"}, branch="trunk")
    upstream.move_default("trunk")
    assert (await old.fetch()).changed == 1
    assert mirror_git(old, "symbolic-ref", "HEAD") == "refs/heads/trunk"
    new = await begin(session=OTHER, worktree="new", create="sm/new")
    assert (new.made.default_branch, new.made.base, new.made.head) == ("trunk", "trunk", upstream.head())
    again = await begin()
    assert (again.made.branch, again.made.default_branch) == ("main", "trunk")


async def test_nothing_is_pushed_to_what_became_the_default_branch_meanwhile(begin, upstream):
    upstream.commit({"a": "a"}, branch="trunk")
    work = await begin(branch="trunk")
    before = upstream.head("trunk")
    work.commit()
    upstream.move_default("trunk")
    await work.fetch()
    with pytest.raises(Refused) as caught:
        await work.push("trunk")
    assert caught.value.code == "default_branch"
    assert upstream.head("trunk") == before


async def test_an_open_session_goes_on_after_a_force_push_and_a_compaction(peer, begin, upstream):
    """An ordinary gc of the mirror would drop the commits that upstream gave up, and the session stands on them."""
    given_up = upstream.commit({"given-up.txt": "x\n"})
    work = await begin(worktree="0a1b2c3d", create=MINE)
    first = work.commit("first.txt")
    upstream.rewrite({"instead.txt": "y\n"})
    packs = Path(work.made.mirror) / "objects/pack"
    fill(work.made.mirror, packs)
    assert (await work.fetch()).changed == 1
    await until(lambda: len(list(packs.glob("*.pack"))) == 1, "the compaction")
    assert given_up not in mirror_git(work, "rev-list", "--all").split()
    assert work.git("cat-file", "-t", given_up) == "commit"
    work.git("fsck", "--connectivity-only")
    second = work.commit("second.txt")
    assert (await work.inspect()).unpushed == 3
    assert "+x\n" in (await work.diff()).text
    found = await work.push(MINE)
    assert (found.commit, found.new_branch) == (second, True)
    assert work.git("merge-base", "--is-ancestor", first, second) == ""
    assert upstream.head(MINE) == second


def fill(mirror, packs):
    """As many small packs as a year of fetches leaves."""
    for number in range(51):
        name = git(f"--git-dir={mirror}", "hash-object", "-w", "--stdin", stdin=f"{number}".encode())
        git(f"--git-dir={mirror}", "pack-objects", "-q", str(packs / "pack"), stdin=f"{name}\n".encode())


async def test_a_branch_that_gives_way_to_one_below_it_is_no_obstacle(begin, upstream):
    upstream.commit({"a": "a"}, branch="topic")
    work = await begin(branch="topic")
    upstream.delete("refs/heads/topic")
    upstream.commit({"b": "b"}, branch="topic/one")
    await work.fetch()
    assert mirror_git(work, "rev-parse", "refs/heads/topic/one") == upstream.head("topic/one")
    work.commit()
    assert work.git("log", "--format=%s", "-n", "1") == "Write work.txt"


async def test_a_branch_deleted_upstream_stays_where_a_session_works_on_it(begin, upstream):
    upstream.commit({"a": "a"}, branch="topic")
    work = await begin(branch="topic")
    upstream.delete("refs/heads/topic")
    await work.fetch()
    commit = work.commit()
    assert (await work.push("topic")).new_branch
    assert upstream.head("topic") == commit


async def test_a_submodule_stays_empty_and_is_told(begin, upstream, github):
    library = github.repository("acme/lib")
    upstream.submodule("vendor/lib", f"{github.url}/acme/lib", library.head())
    work = await begin()
    assert notes(work).get("submodules") == "vendor/lib"
    assert list((work.path / "vendor/lib").iterdir()) == []
    assert not [request for request in github.requests if request["repository"] == "acme/lib"]
    assert (await work.inspect()).changed_count == 0
    commit = work.commit()
    assert (await work.diff()).files == 1
    assert (await work.push("main", MINE)).commits == 1
    assert f"160000 commit {library.head()}\tvendor/lib" in upstream.git("ls-tree", "-r", commit)


async def test_files_of_lfs_stay_pointers_and_are_told(begin, upstream):
    upstream.lfs("logo.psd", "video.mp4")
    work = await begin()
    assert notes(work).get("lfs", "").startswith("2")
    assert (work.path / "logo.psd").read_text().startswith("version https://git-lfs.github.com/spec/v1\n")
    assert (await work.inspect()).changed_count == 0
    work.commit()
    assert (await work.diff()).files == 1
    await work.push("main", MINE)
    assert "git-lfs" in upstream.git("show", f"{MINE}:logo.psd")


async def test_a_clone_that_is_cut_leaves_nothing_and_the_next_try_makes_it_whole(
    peer, begin, upstream, github
):
    upstream.big(2_000_000)
    github.server.cut_after = 200_000
    github.fault("cut", times=None)
    with pytest.raises(Refused) as caught:
        await begin()
    assert caught.value.code == "network_unreachable"
    assert not list(peer.repos.rglob("HEAD"))
    assert not list(peer.repos.rglob("*pack*.pack"))
    github.faults.clear()
    work = await begin()
    assert (work.path / "big.bin").stat().st_size == 2_000_000


async def test_a_private_repository_is_read_with_the_token(begin, upstream, github):
    github.private("acme/webapp")
    work = await begin()
    work.commit()
    await work.push("main", MINE)
    assert {request["user"] for request in github.requests if request["status"] == 200} == {"x-access-token"}


async def test_a_branch_with_an_unusual_name_is_only_a_name(begin, upstream):
    names = ["ünïcode", "a+b=x%", "it's,#1", "a;$(id)&b"]
    for name in names:
        upstream.commit({"a": name}, branch=name)
    work = await begin()
    for name in names:
        work.git("switch", "-q", "-c", name, f"origin/{name}")
        commit = work.commit()
        await work.push(name)
        assert upstream.head(name) == commit
