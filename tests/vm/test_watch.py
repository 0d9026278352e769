"""Idle generations: one channel for many, nothing lost and nothing twice between watching and following."""

import asyncio
import contextlib
import fcntl
import os
import random
import signal
from pathlib import Path

import pytest

from sm.core.outcome import Unreachable
from sm.vm import Ended, OutputBroken, follow, remote, watch

from .conftest import SESSION, until
from .test_follow import START, agent, cut_into_lines, readers, say


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(follow, "QUIET_S", 0.1)


class Resting:
    """A generation without a container: its files, and the lock that a pump would hold."""

    def __init__(self, peer, number=0):
        self.session = f"{number:08d}-idle"
        self.folder = Path(peer.sessions) / self.session / "1"
        self.folder.mkdir(parents=True)
        self.out = self.folder / "out"
        self.out.write_bytes(b"first\n")
        (self.folder / "inode").write_text(f"{self.out.stat().st_ino}\n")
        self.pump = (self.folder / "alive").open("w")
        fcntl.flock(self.pump, fcntl.LOCK_EX)
        peer.kept.append(self)

    def write(self, data: bytes) -> None:
        with self.out.open("ab") as file:
            file.write(data)


class Reading:
    """Somebody who follows one generation, again after each break, and keeps all that came."""

    def __init__(self, vm, session=SESSION, *, again=False, offset=0):
        self.vm, self.session, self.again, self.offset = vm, session, again, offset
        self.items, self.asked, self.breaks, self.idle = [], 0, 0, True
        self.task = asyncio.create_task(self.read())

    async def read(self):
        while True:
            try:
                async for item in self.vm.follow(self.session, 1, self.offset, idle=self.is_idle):
                    self.items.append(item)
                    self.offset = getattr(item, "end", self.offset)
                return self.items[-1]
            except Unreachable:
                self.breaks += 1
                if not self.again:
                    raise

    def is_idle(self):
        self.asked += 1
        return self.idle

    async def close(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def watched(vm, number=1):
    await until(lambda: vm._watches.watched == number, f"{number} watched generations")


@pytest.fixture
async def read(vm):
    """Makes readers, and ends them with the test."""
    made = []

    def make(*args, on=vm, **options):
        made.append(Reading(on, *args, **options))
        return made[-1]

    yield make
    for reading in made:
        await reading.close()


async def test_thirty_idle_generations_use_one_channel_and_the_output_of_one_arrives(peer, vm, read):
    resting = [Resting(peer, number) for number in range(30)]
    readings = [read(each.session) for each in resting]
    await watched(vm, 30)
    await until(lambda: peer.open_channels == 1, "one channel for all")
    resting[17].write(b"second\n")
    await until(lambda: len(readings[17].items) == 2, "the line", seconds=5)
    assert readings[17].items == cut_into_lines(b"first\nsecond\n")
    assert [len(each.items) for each in readings].count(1) == 29
    await watched(vm, 30)
    await until(lambda: peer.open_channels == 1, "one channel for all again")


async def test_output_written_while_the_channel_is_given_up_is_found(peer, vm, read):
    resting = Resting(peer)

    class Late(Reading):
        def is_idle(self):
            if len(self.items) < 8:
                resting.write(b"late %d\n" % len(self.items))
            return True

    reading = Late(vm, resting.session)
    await until(lambda: len(reading.items) == 8, "each late line")
    assert reading.items == cut_into_lines(resting.out.read_bytes())
    await reading.close()


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_or_twice_between_watching_and_following(peer, vm, read, seed):
    chance = random.Random(seed)
    resting = Resting(peer)
    reading = read(resting.session, again=True)
    for _ in range(40):
        match chance.choice(["write", "write", "half", "busy", "watched", "arrived", "cut"]):
            case "write":
                resting.write(
                    b"%x\n" % chance.getrandbits(chance.choice([8, 100, 90_000])) * chance.randint(1, 9)
                )
            case "half":
                resting.write(b"half of a line ")
            case "busy":
                reading.idle = not reading.idle
            case "watched":
                resting.write(b"\n")
                reading.idle = True
                await watched(vm)
            case "arrived":
                whole = resting.out.read_bytes().rfind(b"\n") + 1
                await until(lambda: reading.offset == whole, "all whole lines")  # noqa: B023
            case "cut":
                peer.cut()
    resting.write(b"\n")
    await until(lambda: reading.offset == resting.out.stat().st_size, "all lines")
    assert reading.items == cut_into_lines(resting.out.read_bytes())


async def test_a_half_line_keeps_its_channel(peer, vm, read):
    resting = Resting(peer)
    resting.write(b"half")
    reading = read(resting.session)
    await until(lambda: reading.asked > 3, "some chances to become idle")
    assert (vm._watches.watched, peer.open_channels) == (0, 1)
    resting.write(b" and half\n")
    await until(lambda: len(reading.items) == 2, "the whole line")
    assert reading.items[1].text == "half and half"


async def test_who_is_busy_keeps_its_channel(peer, vm, read):
    reading = read(Resting(peer).session)
    reading.idle = False
    await until(lambda: reading.asked > 3, "some chances to become idle")
    assert (vm._watches.watched, peer.open_channels) == (0, 1)


async def test_a_killed_pump_of_an_idle_generation_is_noticed(peer, started, read):
    reading = read()
    await watched(started)
    os.kill(agent(peer), signal.SIGSTOP)
    os.kill(peer.pump(), signal.SIGKILL)
    end = await reading.task
    assert isinstance(end, Ended)
    assert end.status.meaning == "pump_killed"


async def test_an_idle_agent_answers_and_ends(peer, started, read):
    reading = read()
    await watched(started)
    at = await say(started, '{"one":1}', START)
    await until(lambda: len(reading.items) == 2, "the answer")
    await watched(started)
    await say(started, '{"do":"half and leave"}', at)
    end = await reading.task
    assert reading.items[:-1] == cut_into_lines((peer.generation() / "out").read_bytes())
    assert (end.status.meaning, end.status.exit) == ("ended", "0 0 exited 0 false")


@pytest.mark.parametrize("spoil", ["shrunk", "replaced", "gone"])
async def test_an_output_that_is_spoilt_while_idle_is_told(peer, vm, read, spoil):
    resting = Resting(peer)
    reading = read(resting.session)
    await watched(vm)
    if spoil == "shrunk":
        os.truncate(resting.out, 2)
    elif spoil == "replaced":
        other = resting.folder / "other"
        other.write_bytes(b"first\n")
        other.rename(resting.out)
    else:
        resting.out.unlink()
    assert isinstance(await reading.task, OutputBroken)


async def test_a_broken_watch_is_unreachable_for_each_and_leaves_nothing_behind(peer, vm, read):
    resting = [Resting(peer, number) for number in range(3)]
    readings = [read(each.session) for each in resting]
    await watched(vm, 3)
    peer.cut()
    for reading in readings:
        with pytest.raises(Unreachable):
            await reading.task
    await until(lambda: not waiters(peer), "the end of what waited for the locks")


def parent(process):
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def waiters(peer):
    """The processes of the watch's script that wait for a lock."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().split(b"\0")
            if words[0] == b"flock" and words[2].startswith(bytes(peer.sessions)):
                script = Path(f"/proc/{parent(path.name)}/cmdline").read_bytes()
                found += [int(path.name)] * (b"changed NUMBER" in script)
    return found


async def test_a_watch_that_falls_silent_is_unreachable(peer, vm, read, monkeypatch):
    monkeypatch.setattr(watch, "BEAT_S", 1)
    monkeypatch.setattr(watch, "SILENCE_S", 4)
    reading = read(Resting(peer).session)
    await watched(vm)
    (script,) = await until(lambda: {parent(process) for process in waiters(peer)}, "the script")
    os.kill(script, signal.SIGSTOP)
    try:
        with pytest.raises(Unreachable):
            await reading.task
    finally:
        os.kill(script, signal.SIGKILL)


async def test_who_stops_following_is_watched_no_more(peer, vm, read):
    gone, stays = read(Resting(peer, 1).session), read(Resting(peer, 2).session)
    await watched(vm, 2)
    await until(lambda: len(waiters(peer)) == 2, "two that wait for the locks")
    await gone.close()
    await until(lambda: len(waiters(peer)) == 1, "one that waits for a lock")
    assert not stays.task.done()


async def test_a_lock_waiter_that_is_killed_is_noticed_and_made_again(peer, vm, read):
    read(Resting(peer).session)
    (first,) = await until(lambda: waiters(peer), "the lock's waiter")
    os.kill(first, signal.SIGKILL)
    await until(lambda: waiters(peer) not in ([], [first]), "another")


async def test_the_pump_gets_its_lock_although_it_is_watched(peer, vm, read):
    resting = Resting(peer)
    read(resting.session, again=True)
    await until(lambda: waiters(peer), "the lock's waiter")
    fcntl.flock(resting.pump, fcntl.LOCK_UN)
    taking = await asyncio.create_subprocess_exec("flock", "-w", "5", str(resting.folder / "alive"), "true")
    assert await taking.wait() == 0


async def test_a_watch_over_nobody_gives_up_its_channel(peer, vm, read, monkeypatch):
    monkeypatch.setattr(watch, "BEAT_S", 1)
    monkeypatch.setattr(watch, "LONELY_BEATS", 1)
    resting = Resting(peer)
    reading = read(resting.session)
    await watched(vm)
    await reading.close()
    await until(lambda: peer.open_channels == 0, "no channel")
    read(resting.session)
    await watched(vm)


async def test_who_finds_no_room_keeps_a_channel_of_its_own(peer, vm, read, monkeypatch):
    monkeypatch.setattr(watch, "MAX_WATCHED", 2)
    monkeypatch.setattr(watch, "MAX_CHANNELS", 2)
    readings = [read(Resting(peer, number).session) for number in range(5)]
    await watched(vm, 4)
    await until(lambda: peer.open_channels == 3, "two channels that watch, one that follows")
    await until(lambda: all(reading.items for reading in readings), "a line of each")


async def test_what_a_profile_prints_is_no_word_of_the_watch(peer, vm, read):
    peer.write_profile(more="echo changed 1; printf 'no newline'; echo noise >&2; read -r -t .1 taken")
    resting = Resting(peer)
    reading = read(resting.session)
    await watched(vm)
    await until(lambda: waiters(peer), "the lock's waiter")
    resting.write(b"second\n")
    await until(lambda: len(reading.items) == 2, "the line")


async def test_a_folder_with_any_name_is_watched(peer, read):
    peer.sessions = peer.folder / 'it\'s [a] $(touch x) "*"  & more'
    peer.sessions.mkdir()
    vm = peer.vm(sessions=str(peer.sessions))
    resting = Resting(peer)
    reading = read(resting.session, on=vm)
    await watched(vm)
    await until(lambda: waiters(peer), "the lock's waiter")
    resting.write(b"second\n")
    await until(lambda: len(reading.items) == 2, "the line")


async def test_a_request_that_comes_in_pieces_is_understood(peer):
    resting = Resting(peer)
    script = await asyncio.create_subprocess_exec(
        "bash", "-c", remote.script("prelude") + remote.script("watch"), "sm", "0.05", "0",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    for piece in (b"add 7", b" ", b"6 ", bytes(resting.folder), b"\n"):
        script.stdin.write(piece)
        await script.stdout.readuntil(b"here\n")  # it went on in the middle of the request
    resting.write(b"second\n")
    await script.stdout.readuntil(b"changed 7\n")
    script.stdin.close()
    assert await script.wait() == 0


async def test_closing_tells_each_who_is_watched(peer, vm, read):
    reading = read(Resting(peer).session)
    await watched(vm)
    await vm.close()
    with pytest.raises(Unreachable):
        await reading.task
    await until(lambda: not readers(peer), "nothing left on the VM")
