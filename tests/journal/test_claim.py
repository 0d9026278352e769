"""One copy acts: who may take the claim, and when."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest
from attrs import evolve

from sm.journal.claim import is_known_dead, this_process
from sm.journal.errors import Fenced, Held
from sm.journal.rows import Holder

from .conftest import batch, new_event

ELSEWHERE = Holder(host="other-host/boot", pid_namespace="pid:[1]", pid=7, started=70)
HERE = Holder(host="this-host/boot", pid_namespace="pid:[2]", pid=8, started=80)


class Watch:
    """A clock that stands still but for sleeps, during which something may happen."""

    def __init__(self, journal) -> None:
        self.now = 1_700_000_000_000
        self.slept_ms = 0
        self.journal = journal
        self.at: dict[int, object] = {}

    async def sleep(self, seconds: float) -> None:
        self.slept_ms += round(seconds * 1000)
        self.now += round(seconds * 1000)
        for due in sorted(due for due in self.at if due <= self.slept_ms):
            await self.at.pop(due)()

    async def claim(self, holder: Holder):
        return await self.journal.claim(holder, now_ms=lambda: self.now, sleep=self.sleep)


@pytest.fixture
async def empty(opener, path):
    return await opener(path)


@pytest.fixture
def watch(empty) -> Watch:
    return Watch(empty)


async def test_the_first_claim_has_epoch_one(empty, watch):
    claim = await watch.claim(HERE)
    assert (claim.epoch, claim.holder, claim.since_ms, claim.released) == (1, HERE, watch.now, False)
    assert await empty.current_claim() == claim
    assert await empty.current_epoch() == 1
    assert watch.slept_ms == 0


async def test_a_released_claim_is_taken_at_once(empty, watch):
    await watch.claim(ELSEWHERE)
    await empty.release(1)
    assert (await watch.claim(HERE)).epoch == 2
    assert watch.slept_ms == 0


async def test_a_silent_holder_elsewhere_is_watched_for_twenty_seconds(watch):
    await watch.claim(ELSEWHERE)
    assert (await watch.claim(HERE)).epoch == 2
    assert watch.slept_ms == 20_000


async def test_a_holder_that_renews_meanwhile_keeps_the_claim_and_is_named(empty, watch):
    await watch.claim(ELSEWHERE)
    watch.at[5_000] = lambda: empty.renew(1, watch.now)
    with pytest.raises(Held, match=r"process 7 on other-host, since 2023-11-14 22:13:20 UTC \(epoch 1\)"):
        await watch.claim(HERE)
    assert watch.slept_ms <= 6_000
    assert await empty.current_epoch() == 1


async def test_a_renewal_by_a_clock_that_stands_still_counts(empty, watch):
    first = await watch.claim(ELSEWHERE)
    watch.at[19_000] = lambda: empty.renew(1, first.renewed_at_ms)
    with pytest.raises(Held):
        await watch.claim(HERE)


async def test_a_claim_released_while_it_is_watched_is_taken(empty, watch):
    await watch.claim(ELSEWHERE)
    watch.at[3_000] = lambda: empty.release(1)
    assert (await watch.claim(HERE)).epoch == 2
    assert watch.slept_ms == 3_000


async def test_of_two_that_watch_one_wins(empty, watch):
    await watch.claim(ELSEWHERE)
    second = evolve(HERE, pid=9)
    watch.at[20_000] = lambda: Watch(empty).claim(second)
    with pytest.raises(Held, match="process 9"):
        await watch.claim(HERE)
    assert await empty.current_epoch() == 2


async def test_a_paused_holder_that_comes_back_is_fenced(empty, watch):
    await watch.claim(ELSEWHERE)
    await watch.claim(HERE)
    with pytest.raises(Fenced, match="under epoch 2, this process has epoch 1"):
        await empty.renew(1, watch.now)
    with pytest.raises(Fenced):
        await empty.append(1, batch(new_event(1)))
    with pytest.raises(Fenced):
        await empty.release(1)
    with pytest.raises(Fenced):
        await empty.set_meta(1, "a", "b")
    await empty.append(2, batch(new_event(1)))


async def test_after_the_release_nothing_is_written(empty, watch):
    await watch.claim(HERE)
    await empty.release(1)
    with pytest.raises(Fenced, match="was released"):
        await empty.append(1, batch(new_event(1)))
    with pytest.raises(Fenced):
        await empty.renew(1, watch.now)


async def test_renewals_are_counted(empty, watch):
    await watch.claim(HERE)
    await empty.renew(1, 5)
    await empty.renew(1, 6)
    claim = await empty.current_claim()
    assert (claim.renewals, claim.renewed_at_ms) == (2, 6)


# --- real processes -----------------------------------------------------------------------------------------------


async def sleeping_process() -> tuple[asyncio.subprocess.Process, Holder]:
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=pipe, stdout=pipe)
    await process.stdout.readline()
    from sm.journal import claim

    return process, evolve(this_process(), pid=process.pid, started=claim._start_time(process.pid))


async def test_a_dead_process_of_this_host_is_replaced_at_once(watch):
    process, holder = await sleeping_process()
    await watch.claim(holder)
    process.kill()
    await process.wait()
    assert (await watch.claim(this_process())).epoch == 2
    assert watch.slept_ms == 0


async def test_a_living_process_of_this_host_is_watched(watch):
    process, holder = await sleeping_process()
    await watch.claim(holder)
    assert (await watch.claim(this_process())).epoch == 2
    assert watch.slept_ms == 20_000
    process.kill()
    await process.wait()


def test_a_process_knows_itself():
    here = this_process()
    assert here.pid == os.getpid()
    assert here.started > 0
    assert here.pid_namespace.startswith("pid:[")
    assert not is_known_dead(here, here)


def test_a_pid_that_was_given_out_again_is_another_process():
    here = this_process()
    assert is_known_dead(evolve(here, started=here.started - 1), here)


def test_nothing_is_known_of_another_host_or_namespace():
    here = this_process()
    gone = evolve(here, started=here.started - 1)
    assert not is_known_dead(evolve(gone, host="elsewhere/boot"), here)
    assert not is_known_dead(evolve(gone, pid_namespace="pid:[1]"), here)
