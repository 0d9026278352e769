"""The mirror: it follows upstream and never loses what a workspace borrows."""

from pathlib import Path

import pytest
from git_kit import git

from sm.vm.repositories import PrepareSpec

from .conftest import SESSION, until


@pytest.fixture
def upstream(github):
    return github.repository(files={"README.md": "hello\n"})


@pytest.fixture
def vm(peer, github):
    return peer.vm(git_base_url=github.url)


async def prepare(vm, **asked):
    return await vm.repositories.prepare(
        PrepareSpec(session_id=SESSION, org="acme", repo="webapp", **asked), 1
    )


def at(place, *words):
    return git("-c", "user.name=Agent", "-c", "user.email=agent@example.com", *words, cwd=place.path)


def refs(found):
    return git(f"--git-dir={found.mirror}", "for-each-ref", "--format=%(refname)").split()


def packs(found):
    return list(Path(found.mirror, "objects/pack").glob("*.pack"))


async def test_a_moved_default_branch_is_followed_at_the_next_fetch(vm, upstream):
    await prepare(vm)
    upstream.branch("trunk")
    upstream.commit({"a": "a"}, branch="trunk")
    upstream.move_default("trunk")
    found = await prepare(vm, worktree="one", create="sm/one")
    assert (found.default_branch, found.base, found.head) == ("trunk", "trunk", upstream.head("trunk"))
    main = await prepare(vm)
    assert (main.branch, main.base, main.default_branch) == ("main", "main", "trunk")


async def test_a_default_branch_with_a_slash_and_a_tag_of_its_name_is_cloned(vm, github):
    repository = github.repository("acme/webapp", default="release/next")
    repository.tag("release/next", repository.commit({"old": "old"}, branch="other"))
    found = await prepare(vm)
    assert (found.branch, found.head) == ("release/next", repository.head("release/next"))


async def test_upstreams_rewritten_history_and_a_compaction_leave_a_session_alive(vm, upstream):
    lost = upstream.commit({"lost.txt": "precious\n"})
    place = await prepare(vm, worktree="one", create="sm/one")
    at(place, "commit", "-q", "--allow-empty", "-m", "Mine")
    upstream.rewrite({"other.txt": "other\n"})
    mirror = f"--git-dir={place.mirror}"
    for number in range(51):
        blob = git(mirror, "hash-object", "-w", "--stdin", stdin=str(number).encode())
        git(mirror, "pack-objects", "-q", f"{place.mirror}/objects/pack/pack", stdin=f"{blob}\n".encode())
    await prepare(vm, fetch=True)
    await until(lambda: len(packs(place)) == 1, "the compaction")
    assert git(mirror, "for-each-ref", "--contains", lost) == ""
    assert git(mirror, "cat-file", "-t", git(mirror, "hash-object", "--stdin", stdin=b"7")) == "blob"
    assert at(place, "show", "HEAD~1:lost.txt") == "precious"
    at(place, "fsck", "--strict")
    at(place, "fetch", "-q", "origin")
    at(place, "switch", "-q", "-c", "again", "HEAD~1")


async def test_a_few_packs_are_left_as_they_are(vm, upstream):
    found = await prepare(vm)
    mirror = f"--git-dir={found.mirror}"
    blob = git(mirror, "hash-object", "-w", "--stdin", stdin=b"x")
    git(mirror, "pack-objects", "-q", f"{found.mirror}/objects/pack/pack", stdin=f"{blob}\n".encode())
    before = packs(found)
    await prepare(vm, fetch=True)
    assert set(before) <= set(packs(found))
    assert not Path(f"{found.mirror}.compact").exists()


async def test_a_branch_that_is_gone_upstream_stays_in_the_mirror(vm, upstream):
    upstream.branch("old")
    found = await prepare(vm)
    upstream.delete("refs/heads/old")
    await prepare(vm, fetch=True)
    assert "refs/heads/old" in refs(found)


@pytest.mark.parametrize(("old", "new"), [("topic", "topic/a"), ("topic/a/b", "topic")])
async def test_a_branch_can_come_where_another_was_in_the_way(vm, upstream, old, new):
    commit = upstream.commit({"old": "old"}, branch=old)
    found = await prepare(vm)
    upstream.delete(f"refs/heads/{old}")
    upstream.branch(new)
    found = await prepare(vm, update=True)
    assert found.notes == ()
    assert f"refs/heads/{new}" in refs(found)
    assert f"refs/sm/gone/{commit}" in refs(found)


async def test_submodules_stay_empty_and_are_named(vm, upstream, github):
    library = github.repository("acme/library")
    upstream.submodule("vendor/library", f"{github.url}/acme/library", library.head())
    found = await prepare(vm)
    assert [(note.code, note.detail) for note in found.notes] == [("submodules", "vendor/library")]
    assert list(Path(found.path, "vendor/library").iterdir()) == []
    again = await prepare(vm, worktree="one", create="sm/one")
    assert [note.code for note in again.notes] == ["submodules"]


async def test_files_in_lfs_stay_pointers_and_are_counted(peer, vm, upstream):
    upstream.lfs("a.bin", "art/b c.bin")
    found = await prepare(vm)
    assert [(note.code, note.detail) for note in found.notes] == [("lfs", "2 files: a.bin, art/b c.bin")]
    assert Path(found.path, "a.bin").read_text().startswith("version https://git-lfs")
    assert '"GIT_LFS_SKIP_SMUDGE=1"' in (peer.state / "runs.jsonl").read_text()


async def test_a_file_that_only_speaks_of_lfs_is_none(vm, upstream):
    upstream.commit({"doc.md": "version https://git-lfs.github.com/spec/v1\n"})
    assert (await prepare(vm)).notes == ()


async def test_a_commit_that_is_not_in_order_is_not_taken(vm, upstream):
    tree = upstream.git("rev-parse", "refs/heads/main^{tree}")
    broken = f"tree {tree}\nauthor x <x@example.com 1 +0000\ncommitter x <x@example.com> 1 +0000\n\nx\n"
    commit = upstream.git(
        "hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=broken.encode()
    )
    await prepare(vm)
    upstream.git("update-ref", "refs/heads/broken", commit)
    found = await prepare(vm, fetch=True)
    assert [note.code for note in found.notes] == ["fetch_failed"]


async def test_the_mirror_is_only_read_in_containers_and_nothing_of_ours_is_seen_there(peer, vm, upstream):
    found = await prepare(vm)
    await prepare(vm, update=True)
    for line in (peer.state / "runs.jsonl").read_text().splitlines():
        assert f'"{found.mirror}:{found.mirror}:ro"' in line
        assert '"--network", "none"' in line
        assert line.count('"-v"') == 2
        assert "GH_TOKEN" not in line


async def test_a_fetch_on_request_says_what_moved(vm, upstream):
    await prepare(vm)
    upstream.commit({"a": "a"})
    upstream.tag("v1")
    fetched = await vm.upstream.fetch(session_id=SESSION, org="acme", repo="webapp", epoch=1)
    assert (fetched.changed, fetched.detail) == (2, "main, tag v1")
    fetched = await vm.upstream.fetch(session_id=SESSION, org="acme", repo="webapp", epoch=1)
    assert (fetched.changed, fetched.detail) == (0, "")
