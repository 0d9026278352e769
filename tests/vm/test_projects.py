"""A project's folder on the VM: found by its real path, and none that is ours or that the host runs by."""

import json

import pytest
from git_kit import git

from sm.core.outcome import Refused

from .conftest import SESSION


@pytest.fixture
def projects(peer):
    folder = peer.folder / "projects"
    folder.mkdir()
    return folder


async def resolve(vm, path):
    return await vm.repositories.resolve_project(SESSION, str(path))


async def code_of(vm, path):
    with pytest.raises(Refused) as caught:
        await resolve(vm, path)
    return caught.value.code


async def test_a_project_need_not_be_a_repository(vm, projects):
    found = await resolve(vm, projects)
    assert (found.path, found.branch, found.head) == (str(projects), "", "")


async def test_a_repositorys_branch_and_commit_are_read_in_a_container(peer, vm, projects):
    git("init", "-q", str(projects))
    git("commit", "-q", "--allow-empty", "-m", "First", cwd=projects)
    found = await resolve(vm, projects)
    assert (found.branch, found.head) == ("main", git("rev-parse", "HEAD", cwd=projects))
    (words,) = [json.loads(line) for line in (peer.state / "runs.jsonl").read_text().splitlines()]
    assert f"{projects}:/workspace:ro" in words
    assert words[words.index("--network") :][:2] == ["--network", "none"]


async def test_a_link_is_followed_to_the_real_folder(vm, projects):
    (projects / "real folder").mkdir()
    (projects / "link").symlink_to("real folder")
    assert (await resolve(vm, projects / "link")).path == str(projects / "real folder")


async def test_a_folder_that_is_not_there_and_a_file_are_each_named(vm, projects):
    (projects / "file").touch()
    assert await code_of(vm, projects / "nothing") == "project_missing"
    assert await code_of(vm, projects / "file") == "project_not_folder"


async def test_our_own_folders_and_what_holds_them_are_no_projects(peer, vm, projects):
    inside = peer.repos / "github.com/acme/webapp"
    inside.mkdir(parents=True)
    (projects / "link").symlink_to(inside)
    for path in (peer.repos, inside, projects / "link", peer.sessions, peer.folder, "/"):
        assert await code_of(vm, path) == "project_inside"


async def test_what_the_vm_users_login_runs_is_no_project(peer, vm):
    (peer.home / ".ssh").mkdir()
    (peer.home / "code").mkdir()
    assert await code_of(vm, peer.home) == "project_inside"
    assert await code_of(vm, peer.home / ".ssh") == "project_inside"
    assert (await resolve(vm, peer.home / "code")).path == str(peer.home / "code")


@pytest.mark.parametrize("path", ["relative", "/a/../b", "/a:b", "/a\nb", "--help"])
async def test_a_path_that_cannot_be_mounted_reaches_no_shell(peer, vm, path):
    assert await code_of(vm, path) == "bad_path"
    assert peer.logins == 0


async def test_a_hostile_path_is_only_a_path(peer, vm, projects):
    odd = projects / f"$(touch {peer.folder.name})'\"; x"
    assert await code_of(vm, odd) == "project_missing"
    odd.mkdir(parents=True)
    assert (await resolve(vm, odd)).path == str(odd)


async def test_a_project_whose_git_cannot_be_read_is_a_folder(vm, projects):
    (projects / ".git").write_text("gitdir: /nowhere\n")
    assert (await resolve(vm, projects)).branch == ""
