"""What is in a workspace is read in a container: branch, changes, what is nowhere else, the change so far."""

import json
import os
import shutil

import pytest
from git_kit import git

from sm.core.outcome import Refused, Unreachable
from sm.vm.workspaces import MAX_DIFF_BYTES, read_diff

from .conftest import SESSION
from .place_kit import Place


@pytest.fixture
def upstream(github):
    return github.repository(files={"README.md": "hello\n", "src/app.py": "one\ntwo\n"})


@pytest.fixture
def place(peer, upstream):
    return Place(peer, upstream)


async def inspect(vm, place, mirror=None):
    mirror = str(place.mirror) if mirror is None else mirror
    return await vm.workspaces.inspect(session_id=SESSION, workspace=str(place.path), mirror=mirror)


async def diff(vm, place, base="main", mirror=None):
    mirror = str(place.mirror) if mirror is None else mirror
    return await vm.workspaces.diff(session_id=SESSION, workspace=str(place.path), mirror=mirror, base=base)


async def refused(answer):
    with pytest.raises(Refused) as caught:
        await answer
    return caught.value.code


async def test_an_untouched_workspace_holds_nothing_of_its_own(vm, place, upstream):
    seen = await inspect(vm, place)
    assert (seen.branch, seen.head) == ("main", upstream.head())
    assert (seen.changed, seen.changed_count, seen.unpushed) == ((), 0, 0)


async def test_changes_and_commits_that_are_nowhere_else_are_counted(vm, place):
    place.git("switch", "-q", "-c", "sm/0a1b2c3d")
    place.commit("a.txt")
    head = place.commit("b.txt")
    place.write("README.md", "other\n")
    place.write("new folder/x", "x")
    os.unlink(place.path / "src/app.py")
    seen = await inspect(vm, place)
    assert (seen.branch, seen.head, seen.unpushed) == ("sm/0a1b2c3d", head, 2)
    assert seen.changed == (" M README.md", " D src/app.py", "?? new folder/")
    assert seen.changed_count == 3


async def test_commits_of_other_branches_of_the_workspace_count_as_well(vm, place):
    place.git("switch", "-q", "-c", "side")
    place.commit()
    place.git("switch", "-q", "main")
    assert (await inspect(vm, place)).unpushed == 1


async def test_twenty_paths_are_named_and_all_are_counted(vm, place):
    for number in range(57):
        place.write(f"file{number:02}", "x")
    seen = await inspect(vm, place)
    assert len(seen.changed) == 20
    assert seen.changed[0] == "?? file00"
    assert seen.changed_count == 57


async def test_a_path_with_control_characters_is_shown_harmless(vm, place):
    place.write("a\nb\x1b[31m", "x")
    assert (await inspect(vm, place)).changed == ("?? a?b?[31m",)


async def test_a_detached_head_has_no_branch(vm, place, upstream):
    place.git("checkout", "-q", "--detach")
    seen = await inspect(vm, place)
    assert (seen.branch, seen.head) == ("", upstream.head())


async def test_a_tag_of_the_same_name_changes_nothing_of_the_branchs_name(vm, place):
    place.git("tag", "main")
    assert (await inspect(vm, place)).branch == "main"


async def test_an_empty_repository_is_inspected(peer, vm, github):
    place = Place(peer, github.repository("acme/empty", files={}))
    place.write("a", "a")
    seen = await inspect(vm, place)
    assert (seen.branch, seen.head, seen.changed, seen.unpushed) == ("main", "", ("?? a",), 0)
    assert (await diff(vm, place)).files == 1


async def test_a_project_folder_counts_against_its_own_remotes(vm, place):
    place.commit()
    assert (await inspect(vm, place, mirror="")).unpushed == 1
    place.git("remote", "remove", "origin")
    assert (await inspect(vm, place, mirror="")).unpushed == 0


async def test_a_project_folder_may_be_no_repository(peer, vm):
    place = type("Folder", (), {"path": peer.workspace, "mirror": None})
    assert await refused(inspect(vm, place, mirror="")) == "not_git"
    assert await refused(diff(vm, place, mirror="")) == "not_git"


async def test_a_workspace_that_is_gone_is_named(vm, place):
    shutil.rmtree(place.path)
    assert await refused(inspect(vm, place)) == "workspace_missing"


async def test_a_workspace_without_its_objects_cannot_be_read(vm, place):
    place.commit()
    (place.path / ".git/objects/info/alternates").write_text("/nowhere\n")
    shutil.rmtree(place.path / ".git/refs/remotes")
    assert await refused(inspect(vm, place)) == "clone_unreadable"


async def test_an_image_that_is_missing_is_named(peer, place):
    assert await refused(inspect(peer.vm(image="other:2"), place)) == "image_missing"


async def test_a_container_that_does_not_start_is_named(peer, vm, place):
    (peer.state / "run-fails").touch()
    assert await refused(inspect(vm, place)) == "container_failed"


async def test_a_workspace_is_read_only_without_network_and_without_privileges(peer, vm, place):
    await inspect(vm, place)
    await diff(vm, place)
    for line in (peer.state / "runs.jsonl").read_text().splitlines():
        words = json.loads(line)
        for option in ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--pull=never"):
            assert option in words
        assert words[words.index("--network") + 1] == "none"
        assert f"{place.path}:/workspace:ro" in words
        assert f"{place.mirror}:{place.mirror}:ro" in words


async def test_the_change_holds_commits_edits_and_new_files(vm, place):
    place.git("switch", "-q", "-c", "sm/0a1b2c3d")
    place.commit("a.txt", "committed\n")
    place.write("src/app.py", "one\nTWO\n")
    place.write("new.txt", "ünew\n")
    seen = await diff(vm, place)
    assert (seen.files, seen.insertions, seen.deletions, seen.cut) == (3, 3, 1, False)
    assert "+committed\n" in seen.text
    assert "-two\n+TWO\n" in seen.text
    assert "diff --git a/new.txt b/new.txt\nnew file mode 100644\n" in seen.text
    assert "+ünew\n" in seen.text


async def test_reading_the_change_leaves_the_index_as_it_was(vm, place):
    place.write("new.txt", "new\n")
    before = (place.path / ".git/index").read_bytes()
    await diff(vm, place)
    assert (place.path / ".git/index").read_bytes() == before
    assert place.git("status", "--porcelain") == "?? new.txt"


async def test_the_change_begins_where_the_branch_left_upstream(vm, place, upstream):
    place.git("switch", "-q", "-c", "mine")
    place.commit("a.txt", "mine\n")
    upstream.commit({"theirs.txt": "theirs\n"})
    git(f"--git-dir={place.mirror}", "fetch", "-q", str(upstream.path), "+refs/heads/*:refs/heads/*")
    seen = await diff(vm, place)
    assert "+mine\n" in seen.text
    assert "theirs" not in seen.text


async def test_without_a_branch_upstream_the_change_begins_at_the_last_commit(vm, place):
    place.commit("a.txt", "committed\n")
    place.write("b.txt", "not yet\n")
    for base in ("", "no/such/branch"):
        seen = await diff(vm, place, base=base)
        assert "+not yet\n" in seen.text
        assert "committed" not in seen.text


async def test_the_change_of_a_project_begins_where_it_left_its_own_remote(vm, place):
    place.commit("a.txt", "committed\n")
    assert "+committed\n" in (await diff(vm, place, mirror="")).text


async def test_no_change_is_an_empty_one(vm, place):
    seen = await diff(vm, place)
    assert (seen.text, seen.files, seen.cut) == ("", 0, False)


async def test_a_long_change_is_cut_at_a_whole_line_and_counted_whole(vm, place):
    line = "x" * 79 + "\n"
    place.write("long.txt", line * 20_000)
    seen = await diff(vm, place)
    assert seen.cut
    assert (seen.files, seen.insertions) == (1, 20_000)
    assert MAX_DIFF_BYTES - 200 < len(seen.text) <= MAX_DIFF_BYTES
    assert seen.text.endswith("x\n")


async def test_what_the_repository_sets_up_for_diffs_is_not_run(peer, vm, place):
    touch = f"touch {peer.folder}/ran"
    for key in ("diff.external", "diff.evil.textconv", "diff.evil.command", "core.fsmonitor", "core.pager"):
        place.git("config", key, touch)
    place.write(".gitattributes", "* diff=evil\n")
    place.write("README.md", "other\n")
    assert "+other" in (await diff(vm, place)).text
    await inspect(vm, place)
    assert not (peer.folder / "ran").exists()


async def test_a_nested_repository_without_a_commit_does_not_hide_the_rest(vm, place):
    git("init", "-q", str(place.path / "inner"))
    place.write("z.txt", "after\n")
    assert "+after\n" in (await diff(vm, place)).text


@pytest.mark.parametrize("base", ["-x", "a..b", "a b", "--output=/etc/passwd", "a@{1}", "x.lock", "a//b"])
async def test_a_branch_that_is_none_is_refused_at_once(peer, vm, place, base):
    assert await refused(diff(vm, place, base=base)) == "bad_branch"
    assert peer.logins == 0


def test_bytes_that_are_no_text_are_replaced():
    seen = read_diff(b" 1 file changed, 2 insertions(+)\n\n+\xff\n")
    assert (seen.text, seen.files, seen.insertions, seen.deletions) == ("+�\n", 1, 2, 0)


@pytest.mark.parametrize("raw", [b"diff --git a b\n", b"\n", b" 1 file changed, many\n"])
def test_what_git_would_not_say_is_not_believed(raw):
    with pytest.raises(Unreachable):
        read_diff(raw)
