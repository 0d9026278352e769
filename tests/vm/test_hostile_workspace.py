"""A workspace whose agent wants the host: what it gives out is checked before the mirror takes it, and nothing of it runs.

The containers of these tests isolate nothing; that the workspace reaches nothing from a real one is shown in tests/real.
"""

import os
import shutil
import subprocess

import pytest
from git_kit import ENVIRONMENT, TOKEN, git

from sm.core.outcome import Refused

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


async def candidate(vm, place, branch=BRANCH):
    return await vm.upstream.candidate(
        session_id=SESSION, org="acme", repo="webapp", workspace=str(place.path), branch=branch,
        target=BRANCH, default_branch="main", epoch=1,
    )  # fmt: skip


async def refused(vm, place, **changes):
    with pytest.raises(Refused) as caught:
        await candidate(vm, place, **changes)
    return caught.value.code


def raw_object(place, kind, data):
    """An object as only a program of its own would write it."""
    done = subprocess.run(
        ["git", "hash-object", "-w", "-t", kind, "--literally", "--stdin"], cwd=place.path, env=ENVIRONMENT,
        input=data, capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.decode().strip()


def has_object(place, name):
    return subprocess.run(["git", f"--git-dir={place.mirror}", "cat-file", "-e", name]).returncode == 0


def gives_out(peer, shell):
    """Have the container's git give out what this prints for a bundle."""
    real = shutil.which("git")
    peer.tool("git", f'case " $* " in *" bundle create "*) {shell}; exit;; esac\nexec {real} "$@"')


async def test_an_object_that_git_would_not_make_is_not_let_in(vm, place):
    blob = raw_object(place, "blob", b"x")
    tree = raw_object(place, "tree", b"100644 .git\0" + bytes.fromhex(blob))
    commit = place.git("commit-tree", tree, "-p", "HEAD", "-m", "evil")
    place.git("update-ref", f"refs/heads/{BRANCH}", commit)
    assert await refused(vm, place) == "bundle_unreadable"
    assert not has_object(place, commit)
    assert not list(place.mirror.parent.rglob("*tmp_*"))


async def test_a_submodule_that_is_an_option_is_not_let_in(vm, place):
    place.write(".gitmodules", '[submodule "a"]\n\tpath = a\n\turl = --upload-pack=touch /tmp/x\n')
    place.git("add", "-A")
    place.git("commit", "-q", "-m", "evil")
    assert await refused(vm, place) == "bundle_unreadable"


@pytest.mark.parametrize("what", ["HEAD:README.md", "HEAD^{tree}"])
async def test_a_branch_that_is_no_commit_is_no_branch(vm, place, what):
    ref = place.path / f".git/refs/heads/{BRANCH}"
    ref.write_text(place.git("rev-parse", what) + "\n")
    assert await refused(vm, place) == "branch_missing"


async def test_a_branch_that_is_a_link_to_a_file_of_the_host_shows_nothing_of_it(peer, vm, place):
    (peer.folder / "secret").write_text("of the host\n")
    ref = place.path / f".git/refs/heads/{BRANCH}"
    ref.unlink()
    ref.symlink_to(peer.folder / "secret")
    assert await refused(vm, place) == "branch_missing"


async def test_a_branch_that_leads_to_another_is_taken_as_its_commit(vm, place):
    commit = place.commit()
    place.git("symbolic-ref", "refs/heads/other", f"refs/heads/{BRANCH}")
    assert (await candidate(vm, place, branch="other")).commit == commit


async def test_forged_remotes_leave_nothing_out(vm, place):
    commit = place.commit()
    place.git("update-ref", "refs/remotes/origin/main", commit)
    place.git("update-ref", "refs/remotes/origin/forged", commit)
    assert (await candidate(vm, place)).commits == 1
    assert has_object(place, commit)


async def test_replaced_objects_are_given_out_as_they_are(vm, place):
    commit = place.commit("a.txt", "good\n")
    other = place.commit("a.txt", "bad\n")
    place.git("update-ref", f"refs/heads/{BRANCH}", commit)
    place.git("replace", commit, other)
    found = await candidate(vm, place)
    assert found.commit == commit
    assert git(f"--git-dir={place.mirror}", "show", f"{commit}:a.txt") == "good"


@pytest.mark.parametrize(
    "shell",
    [
        "true",
        "echo nonsense",
        "printf '# v2 git bundle\\n'",
        "printf '# v2 git bundle\\n%s refs/heads/x\\n\\n' 1111111111111111111111111111111111111111",
        "printf '# v3 git bundle\\n@object-format=sha1\\n@filter=blob:none\\n\\n'",
        "printf 'tip --all\\n'",
        "printf 'tip 1111111111111111111111111111111111111111\\n'",
        "printf 'tip %s\\n' $(printf x; cat /etc/hostname)",
    ],
)
async def test_what_is_no_bundle_is_not_taken(peer, vm, place, shell):
    place.commit()
    gives_out(peer, shell)
    assert await refused(vm, place) == "bundle_unreadable"


async def test_a_bundle_of_another_branch_is_not_taken(peer, vm, place):
    place.commit()
    place.git("branch", "other")
    gives_out(peer, f"{shutil.which('git')} bundle create -q - refs/heads/other --not --remotes=origin")
    assert await refused(vm, place) == "bundle_unreadable"


async def test_a_bundle_that_lacks_what_it_stands_on_is_not_taken(peer, vm, place):
    place.commit("a.txt")
    place.commit("b.txt")
    gives_out(peer, f"{shutil.which('git')} bundle create -q - refs/heads/{BRANCH} ^refs/heads/{BRANCH}~1")
    assert await refused(vm, place) == "bundle_unreadable"


async def test_a_bundle_without_end_is_cut(peer, vm, place):
    place.commit()
    gives_out(peer, "cat /dev/zero")
    assert await refused(vm, place) == "too_large"
    assert not list((peer.repos / ".parts").glob("bundle*"))


async def test_complaints_without_end_fill_no_disk(peer, vm, place):
    place.commit()
    gives_out(peer, "yes complaint | head -c 50000000 >&2; exit 1")
    assert await refused(vm, place) == "clone_unreadable"


async def test_nothing_that_the_workspace_sets_up_runs(peer, vm, place, upstream):
    ran = peer.folder / "ran"
    script = peer.folder / "evil.sh"
    script.write_text(f"#!/bin/sh\necho $0 >>{ran}\n")
    script.chmod(0o755)
    place.write(".gitattributes", "* filter=evil diff=evil\n")
    commit = place.commit()
    for key in (
        "core.fsmonitor", "core.sshCommand", "core.editor", "core.pager", "core.askPass", "core.gitProxy",
        "core.alternateRefsCommand", "uploadpack.packObjectsHook", "diff.external", "diff.evil.command",
        "diff.evil.textconv", "credential.helper", "remote.origin.uploadpack", "remote.origin.receivepack",
        "gpg.program",
    ):  # fmt: skip
        place.git("config", key, str(script))
    place.git("config", "core.hooksPath", str(peer.folder))
    place.git("config", f"url.ext::{script}.insteadOf", "http://")
    place.git("config", "protocol.ext.allow", "always")
    for hook in (
        "pre-push",
        "reference-transaction",
        "post-index-change",
        "pre-auto-gc",
        "fsmonitor-watchman",
    ):
        shutil.copy(script, place.path / ".git/hooks" / hook)
        shutil.copy(script, peer.folder / hook)
    found = await candidate(vm, place)
    await vm.upstream.push(
        session_id=SESSION, org="acme", repo="webapp", commit=found.commit, target=BRANCH, epoch=1
    )
    await vm.workspaces.inspect(session_id=SESSION, workspace=str(place.path), mirror=str(place.mirror))
    assert upstream.head(BRANCH) == commit
    assert not ran.exists()


async def test_a_workspace_that_calls_itself_the_mirror_has_no_branch_of_its_own(peer, vm, place):
    place.commit()
    moved = place.path.with_name("moved")
    os.rename(place.path, moved)
    place.path.mkdir()
    (place.path / ".git").write_text(f"gitdir: {place.mirror}\n")
    assert await refused(vm, place) == "branch_missing"


async def test_a_file_that_never_ends_ends_the_look(peer, vm, place, monkeypatch):
    monkeypatch.setattr("sm.vm.workspaces.LOOK_LIMIT_S", 1)
    os.mkfifo(place.path / ".gitignore")
    for look in (vm.workspaces.inspect, lambda **of: vm.workspaces.diff(**of, base="main")):
        with pytest.raises(Refused) as caught:
            await look(session_id=SESSION, workspace=str(place.path), mirror=str(place.mirror))
        assert caught.value.code == "too_slow"
    assert not list((peer.state / "c").iterdir())
