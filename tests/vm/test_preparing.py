"""A preparation while it is under way: it tells how far it is, can be ended, and leaves nothing that looks whole."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest
from git_kit import TOKEN

from sm.core.outcome import Refused, Unreachable
from sm.vm import remote, repositories
from sm.vm.repositories import PrepareSpec, Progress

from .conftest import SESSION, until

OTHER = "9f8e7d6c-1111-4222-8333-444455556666"


@pytest.fixture
def upstream(github):
    return github.repository(files={"README.md": "hello\n"})


@pytest.fixture
def vm(peer, github):
    return peer.vm(git_base_url=github.url)


async def prepare(vm, epoch=1, session=SESSION, progress=lambda _: None, **asked):
    spec = PrepareSpec(session_id=session, org="acme", repo="webapp", **asked)
    return await vm.repositories.prepare(spec, epoch, progress=progress)


def held(peer, progress="Receiving objects:  45% (9/20), 1.00 MiB | 1.00 MiB/s", *, afterwards=False):
    """Git's fetch says this and goes on only when the file `hold-fetch` is removed; or it does so when it has fetched."""
    hold = peer.state / "hold-fetch"
    hold.touch()
    before, after = ('/usr/bin/git "$@"', "exit") if afterwards else (":", ":")
    peer.tool(
        "git",
        f'case " $* " in *" fetch "*) printf "%s\\r" "{progress}" >&2; {before}; touch {peer.state}/fetching\n'
        f"while [ -e {hold} ]; do sleep 0.02; done; {after};; esac\n"
        'exec /usr/bin/git "$@"',
    )
    return hold


async def fetching(peer):
    await until((peer.state / "fetching").exists, "the fetch")


def at_work(peer, what=""):
    """The command lines of all that works for a preparation on the VM."""
    return [line for line in command_lines() if str(peer.repos).encode() in line and what.encode() in line]


def command_lines():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            if int(path.parts[2]) != os.getpid():
                yield path.read_bytes()


def looks_whole(peer):
    """What a person or a later start could take for a mirror, a clone or a worktree, or its remains."""
    folders = [
        *peer.repos.glob("github.com/*/*"),
        *peer.repos.glob(".mirrors/github.com/*/*.git"),
        *peer.repos.glob(".mirrors/github.com/*/*.part"),
        *peer.repos.glob(".parts/github.com/*/*"),
        *(peer.folder / "worktrees").glob("[!.]*"),
        *(peer.folder / "worktrees/.parts").glob("*"),
    ]
    return [str(folder) for folder in folders]


async def code_of(answer):
    with pytest.raises(Refused) as caught:
        await answer
    return caught.value.code


# --- progress -----------------------------------------------------------------------------------------------------------


async def test_a_long_clone_tells_how_far_it_is_while_it_runs(peer, vm, upstream):
    hold, seen = held(peer), []
    task = asyncio.create_task(prepare(vm, progress=seen.append))
    await until(lambda: seen, "progress")
    assert seen == [Progress("Receiving objects", 45)]
    assert not task.done()
    hold.unlink()
    assert (await task).created


async def test_a_real_transfer_is_told_in_percent(vm, upstream):
    upstream.big(3_000_000)
    seen: list[Progress] = []
    await prepare(vm, progress=seen.append)
    assert seen
    assert all(0 <= one.percent <= 100 for one in seen)
    assert {one.phase for one in seen} <= {
        "Counting objects", "Compressing objects", "Receiving objects", "Resolving deltas", "Updating files",
    }  # fmt: skip


async def test_the_latest_is_told_although_git_says_no_more_for_a_while(peer, vm, upstream):
    hold, seen = held(peer, "remote: Counting objects:  10% (1/10)\rReceiving objects:  99% (99/100)"), []
    task = asyncio.create_task(prepare(vm, progress=seen.append))
    await until(lambda: Progress("Receiving objects", 99) in seen, "the latest")
    hold.unlink()
    await task


async def test_the_same_percent_is_not_told_twice(peer, vm, upstream):
    hold, seen = held(peer, "Receiving objects:  45% (9/20)\rReceiving objects:  45% (9/20)"), []
    hold.unlink()
    await prepare(vm, progress=seen.append)
    assert seen.count(Progress("Receiving objects", 45)) == 1


def test_what_a_script_tells_of_its_progress_is_bounded_too():
    incoming = remote.Incoming("prepare")
    incoming.take(b"profile\n" + remote.SENTINEL)
    for _ in range(remote.MAX_PROGRESS_BYTES // 1000):
        incoming.take(b"progress " + b"x" * 990 + b"\n")
    with pytest.raises(Unreachable, match="printed too much"):
        incoming.take(b"progress " + b"x" * 990 + b"\n")
    assert len(incoming.output) < 1000


def test_progress_that_comes_in_pieces_is_handed_on_once_and_not_kept():
    seen: list[str] = []
    incoming = remote.Incoming("prepare", progress=seen.append)
    whole = (
        b"progress Profile 1\n" + remote.SENTINEL + b"progress Receiving objects 4\npath /w\nprogress X 5\n"
    )
    for at in range(len(whole)):
        incoming.take(whole[at : at + 1])
    assert seen == ["Receiving objects 4", "X 5"]
    assert bytes(incoming.output) == b"progress Profile 1\n" + remote.SENTINEL + b"path /w\n"


async def test_a_preparation_that_takes_too_long_is_said(peer, upstream, vm, monkeypatch):
    hold = held(peer)
    monkeypatch.setattr(repositories, "PREPARE_S", 0.5)
    with pytest.raises(Unreachable, match="did not finish prepare"):
        await prepare(vm)
    hold.unlink()


async def test_a_fetch_over_its_time_is_ended_and_named(peer, upstream, vm, monkeypatch):
    held(peer)
    monkeypatch.setattr(repositories, "BUDGET_S", 2)
    assert await code_of(prepare(vm)) == "too_slow"
    assert looks_whole(peer) == []
    await until(lambda: not at_work(peer), "the end of all that was at work")


# --- ended by a person ---------------------------------------------------------------------------------------------------


async def test_a_transfer_under_way_is_ended_and_leaves_nothing(peer, vm, upstream, github):
    await prepare(
        vm, session=OTHER, worktree="other", branch="main"
    )  # the file of its fetch is not in the way
    github.repository("acme/second")
    github.fault("hang", what="git-upload-pack", repository="acme/second")
    spec = PrepareSpec(session_id=SESSION, org="acme", repo="second")
    task = asyncio.create_task(vm.repositories.prepare(spec, 1))
    await until(lambda: github.requests[-1]["repository"] == "acme/second" and at_work(peer, "second"), "git")
    await vm.repositories.cancel(SESSION, 1)
    assert await code_of(task) == "cancelled"
    assert at_work(peer, "second") == []
    assert not [path for path in looks_whole(peer) if "second" in path]


async def test_a_clone_in_its_container_is_ended_and_leaves_nothing(peer, vm, upstream):
    (peer.state / "hold-run").touch()
    task = asyncio.create_task(prepare(vm, worktree="one", create="sm/one"))
    await until(lambda: list(peer.state.glob("c/*.json")), "the clone's container")
    await vm.repositories.cancel(SESSION, 1)
    assert await code_of(task) == "cancelled"
    assert list(peer.state.glob("c/*.json")) == []
    assert [path for path in looks_whole(peer) if "worktrees" in path] == []
    (peer.state / "hold-run").unlink()
    assert (await prepare(vm, session=OTHER, worktree="one", create="sm/one")).created


async def test_a_preparation_that_comes_after_its_end_does_nothing(peer, vm, upstream, github):
    await vm.repositories.cancel(SESSION, 1)
    await vm.repositories.cancel(SESSION, 1)
    assert await code_of(prepare(vm)) == "cancelled"
    assert github.requests == []
    assert looks_whole(peer) == []
    assert (await prepare(vm, session=OTHER)).created


async def test_a_preparation_of_a_later_writer_is_not_ended_by_an_older_one(peer, vm, upstream):
    hold = held(peer)
    task = asyncio.create_task(prepare(vm, epoch=5))
    await fetching(peer)
    assert await code_of(vm.repositories.cancel(SESSION, 4)) == "fenced"
    hold.unlink()
    assert (await task).created


async def test_a_process_that_got_a_number_again_is_not_ended(peer, vm, upstream):
    stranger = await asyncio.create_subprocess_exec("sleep", "60")
    folder = peer.sessions / SESSION
    folder.mkdir()
    (folder / "preparing").write_text(f"{stranger.pid} 1\n$(touch {peer.folder}/pwned) x\n-1 2\n")
    (folder / "job").write_text(f"{stranger.pid} 1 \n")
    await vm.repositories.cancel(SESSION, 1)
    assert stranger.returncode is None
    assert not (peer.folder / "pwned").exists()
    stranger.kill()
    await stranger.wait()


async def test_one_that_waits_is_ended_and_the_other_goes_on(peer, vm, upstream):
    hold = held(peer)
    first = asyncio.create_task(prepare(vm))
    await fetching(peer)
    second = asyncio.create_task(prepare(vm, session=OTHER, worktree="two", create="sm/two"))
    await until((peer.sessions / OTHER / "preparing").exists, "the second one")
    await vm.repositories.cancel(OTHER, 1)
    assert await code_of(second) == "cancelled"
    hold.unlink()
    assert (await first).created


# --- two at once, breaks, kills ------------------------------------------------------------------------------------------


async def test_two_starts_of_a_repository_at_once_do_one_fetch(peer, vm, upstream, github):
    hold, seen = held(peer), []
    first = asyncio.create_task(prepare(vm))
    await fetching(peer)
    second = asyncio.create_task(
        prepare(vm, session=OTHER, worktree="two", create="sm/two", progress=seen.append)
    )
    await until(lambda: seen, "the first one's progress, told to the second")
    assert seen == [Progress("Receiving objects", 45)]
    hold.unlink()
    assert ((await first).created, (await second).created) == (True, True)
    assert github.asked("git-upload-pack") == 3  # HEAD, the refs, the objects: once


async def test_when_the_one_that_fetches_is_ended_the_other_fetches(peer, vm, upstream):
    hold = held(peer)
    first = asyncio.create_task(prepare(vm))
    await fetching(peer)
    second = asyncio.create_task(prepare(vm, session=OTHER))
    await until((peer.sessions / OTHER / "preparing").exists, "the second one")
    await vm.repositories.cancel(SESSION, 1)
    assert await code_of(first) == "cancelled"
    hold.unlink()
    assert (await second).created


async def test_a_branch_that_the_others_fetch_came_too_early_for_is_found_all_the_same(peer, vm, upstream):
    await prepare(vm)
    hold = held(peer, afterwards=True)
    first = asyncio.create_task(prepare(vm, fetch=True))
    await fetching(peer)
    upstream.branch("late")
    second = asyncio.create_task(prepare(vm, session=OTHER, worktree="two", branch="late"))
    await until((peer.sessions / OTHER / "preparing").exists, "the second one")
    hold.unlink()
    await first
    assert (await second).branch == "late"


async def test_a_connection_that_breaks_ends_nothing_and_the_next_try_finds_it_made(
    peer, vm, upstream, github
):
    hold = held(peer)
    task = asyncio.create_task(prepare(vm))
    await fetching(peer)
    peer.cut()
    with pytest.raises(Unreachable):
        await task
    again = asyncio.create_task(prepare(vm))
    await until(lambda: (peer.sessions / SESSION / "preparing").read_text().count("\n") == 2, "the next try")
    hold.unlink()
    found = await again
    assert Path(found.path, "README.md").read_text() == "hello\n"
    assert github.asked("git-upload-pack") == 3


async def test_what_a_killed_script_left_at_work_is_ended_by_the_next(peer, vm, upstream):
    hold = held(peer)
    task = asyncio.create_task(prepare(vm))
    await fetching(peer)
    script = int((peer.sessions / SESSION / "preparing").read_text().split()[0])
    os.kill(script, signal.SIGKILL)
    with pytest.raises(Unreachable):
        await task
    assert at_work(peer, "fetch")
    peer.tool("git", 'exec /usr/bin/git "$@"')
    assert (await prepare(vm)).created
    assert at_work(peer) == []
    hold.unlink()


async def test_a_clone_that_is_interrupted_leaves_nothing_whole_and_the_next_try_makes_it(
    peer, vm, upstream, github
):
    upstream.big(8_000_000)
    github.server.cut_after = 5_000_000
    github.fault("cut", times=1, after=2, what="git-upload-pack")
    assert await code_of(prepare(vm)) == "network_unreachable"
    assert looks_whole(peer) == []
    found = await prepare(vm)
    assert Path(found.path, "big.bin").stat().st_size == 8_000_000


async def test_a_fetch_that_is_interrupted_keeps_the_mirror_and_leaves_no_remains(peer, vm, upstream, github):
    first = await prepare(vm)
    upstream.big(8_000_000)
    github.server.cut_after = 5_000_000
    github.fault("cut", times=1, after=2, what="git-upload-pack")
    found = await prepare(vm, update=True)
    assert [note.code for note in found.notes] == ["fetch_network"]
    assert found.head == first.head
    found = await prepare(vm, update=True)
    assert found.head == upstream.head()
    assert not list(Path(found.mirror, "objects").rglob("tmp_*"))


async def test_locks_that_a_killed_git_left_in_the_mirror_are_not_in_the_way(vm, upstream):
    mirror = Path((await prepare(vm)).mirror)
    for name in ("packed-refs.lock", "refs/heads/main.lock", "HEAD.lock", "config.lock"):
        (mirror / name).touch()
    (mirror / "objects/pack/tmp_pack_x").write_text("rest")
    commit = upstream.commit({"a": "a"})
    found = await prepare(vm, update=True)
    assert (found.head, [note.code for note in found.notes]) == (commit, ["updated"])
    assert not list(mirror.rglob("*.lock"))
    assert not (mirror / "objects/pack/tmp_pack_x").exists()


# --- the token ---------------------------------------------------------------------------------------------------------


async def test_the_token_is_used_at_the_mirror_and_stands_nowhere_else(peer, vm, upstream, github):
    github.private("acme/webapp")
    peer.write_profile(more=f"export GH_TOKEN={TOKEN}")
    github.fault("hang", times=1, after=1, what="git-upload-pack")
    task = asyncio.create_task(prepare(vm))
    await until(lambda: github.asked("git-upload-pack") == 2, "git")
    assert not [line for line in command_lines() if TOKEN.encode() in line]
    await vm.repositories.cancel(SESSION, 1)
    assert await code_of(task) == "cancelled"
    found = await prepare(vm, session=OTHER, worktree="one", create="sm/one")
    assert {request["user"] for request in github.requests} - {""} == {"x-access-token"}
    assert TOKEN not in repr(found)
    stored = [
        file
        for folder in (peer.repos, peer.sessions, peer.folder / "worktrees", peer.state)
        for file in folder.rglob("*")
        if file.is_file() and TOKEN.encode() in file.read_bytes()
    ]
    assert stored == []
