"""What stands in a generation's folder, row by row: first the table itself, then each row with real processes."""

import itertools
import json
import os
import signal

import pytest

from sm.core.outcome import Unreachable
from sm.vm import Ended
from sm.vm.table import TABLE, meaning_of

from .conftest import SESSION, spec, until


def test_every_combination_has_a_meaning():
    for lock, exit_text, cid, box in itertools.product(
        ("held", "free", "absent"),
        ("", "0 0"),
        ("", "c1"),
        ("running", "created", "exited", "none", "failed", "odd"),
    ):
        meaning = meaning_of(lock, exit_text, cid, box)
        assert (meaning == "unknown") == (box in {"failed", "odd"})


def test_the_table_has_each_lock_exit_and_container_once():
    assert len(TABLE) == 2 * 2 * 4


async def meaning(vm):
    return (await vm.status(SESSION, 1)).meaning


async def followed(vm, offset=0):
    items = [item async for item in vm.follow(SESSION, 1, offset)]
    assert isinstance(items[-1], Ended)
    return items[-1].status.meaning


def edit_container(peer, **changes):
    (file,) = (peer.state / "c").glob("*.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


async def freed(vm):
    await until(lambda: _over(vm), "the pump's end")


async def _over(vm):
    return (await meaning(vm)) not in {"running", "starting", "finishing"}


async def test_held_and_running_lives(started):
    assert await meaning(started) == "running"


async def test_held_and_created_is_starting(peer, vm):
    (peer.state / "hold-run").touch()
    await vm.start_generation(spec(peer), 1)
    assert await meaning(vm) == "starting"
    (peer.state / "hold-run").unlink()
    await until(lambda: _is(vm, "running"), "running")


async def _is(vm, wanted):
    return await meaning(vm) == wanted


async def test_held_and_exited_is_finishing(peer, started):
    edit_container(peer, status="exited")
    assert await meaning(started) == "finishing"
    edit_container(peer, status="running")


async def test_free_with_an_exit_has_ended(peer, started):
    edit_line(peer, '{"do":"leave 3"}')
    await freed(started)
    status = await started.status(SESSION, 1)
    assert (status.meaning, status.exit) == ("ended", "3 0 exited 3 false")
    assert await followed(started) == "ended"


def edit_line(peer, text):
    with (peer.generation() / "in").open("a") as file:
        file.write(text + "\n")


async def test_a_container_that_never_started_has_ended_with_the_runtimes_reason(peer):
    vm = peer.vm(image="other:1")
    await vm.start_generation(spec(peer), 1)
    await freed(vm)
    items = [item async for item in vm.follow(SESSION, 1, 0)]
    assert items[-1].status.meaning == "ended"
    assert items[-1].status.exit.startswith("125 0")
    assert "image not known" in items[-1].err_tail


async def test_free_with_an_exit_and_running_means_the_runtime_was_away(peer, started):
    agent = frozen_agent(peer)
    os.kill(peer.pump(), signal.SIGKILL)
    (peer.generation() / "exit").write_text("137 0 running 0 false\n")
    await until(lambda: _is(started, "runtime_away"), "runtime_away")
    assert await followed(started) == "runtime_away"
    os.kill(agent, signal.SIGCONT)
    assert (await started.stop_generation(SESSION, 1, 1)).meaning == "ended"


def frozen_agent(peer):
    """The agent stands still, so that it does not notice the end of its input just now."""
    (file,) = (peer.state / "c").glob("*.json")
    agent = json.loads(file.read_text())["pid"]
    os.kill(agent, signal.SIGSTOP)
    return agent


async def test_free_without_an_exit_and_running_means_the_pump_was_killed(peer, started):
    agent = frozen_agent(peer)
    os.kill(peer.pump(), signal.SIGKILL)
    await until(lambda: _is(started, "pump_killed"), "pump_killed")
    assert await followed(started) == "pump_killed"
    os.kill(agent, signal.SIGCONT)
    assert (await started.stop_generation(SESSION, 1, 1)).meaning == "cut_off"
    assert await followed(started) == "cut_off"


@pytest.mark.parametrize("state", ["created", "exited"])
async def test_free_without_an_exit_and_not_running_is_cut_off(peer, vm, state):
    folder = peer.generation()
    folder.mkdir(parents=True)
    peer.shell("podman run --name claude-0a1b2c3d claude-code:latest true")
    edit_container(peer, status=state)
    (file,) = (peer.state / "c").glob("*.json")
    (folder / "cid").write_text(file.stem)
    (folder / "alive").touch()
    (folder / "exit").touch()
    assert await meaning(vm) == "cut_off"


async def test_a_container_removed_behind_our_back_is_cut_off(peer, vm):
    peer.generation().mkdir(parents=True)
    (peer.generation() / "cid").write_text("f" * 64)
    assert await meaning(vm) == "cut_off"


async def test_an_empty_folder_and_none_at_all_were_never_started(peer, vm):
    assert await meaning(vm) == "never_started"
    peer.generation().mkdir(parents=True)
    assert await meaning(vm) == "never_started"
    assert await followed(vm) == "never_started"


async def test_a_failed_query_is_unknown_whatever_stands_there(peer, started):
    (peer.state / "away").touch()
    assert await meaning(started) == "unknown"
    os.kill(peer.pump(), signal.SIGKILL)
    with pytest.raises(Unreachable):
        await followed(started)


async def test_a_sessions_folder_that_is_not_mounted_says_nothing_about_sessions(peer, vm):
    peer.sessions.rename(peer.folder / "unmounted")
    with pytest.raises(Unreachable):
        await vm.status(SESSION, 1)
    with pytest.raises(Unreachable):
        await followed(vm)
