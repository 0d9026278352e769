"""Killed in the middle of appends, nothing that was acknowledged is missing."""

from __future__ import annotations

import asyncio
import sys

import pytest

from sm.journal.claim import this_process
from sm.journal.hashing import verify_chain
from sm.journal.sqlite import AioSqliteJournal

from .conftest import all_commands, all_events, batch, new_event

WRITER = """
import asyncio, os, sys
from sm.journal.claim import this_process
from sm.journal.rows import Batch, NewCommand, NewEvent
from sm.journal.sqlite import AioSqliteJournal

async def main(path, point, at):
    passed = 0

    def faults(name):
        nonlocal passed
        passed += name == point
        if passed == at:
            os.kill(os.getpid(), 9)

    journal = await AioSqliteJournal.open(path, faults=faults)
    epoch = (await journal.claim(this_process())).epoch
    seq = await journal.last_seq()
    while True:
        events = tuple(NewEvent(seq + n, "s:a", "k", 1, seq, None, f"k{seq + n}", "{}", "x") for n in (1, 2, 3))
        command = NewCommand(f"s:a/{seq + 1}/0", "s:a", seq + 1, 0, "c", 1, "{}", "lane")
        await journal.append(epoch, Batch(events, (command,)))
        seq += 3
        print(seq, flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def killed_writer(path, point: str, at: int) -> int:
    """Run the writer until it kills itself (or, without a point, is killed after `at` batches)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), point or "-", str(at), stdout=asyncio.subprocess.PIPE
    )
    acknowledged = 0
    batches = 0
    async for line in process.stdout:
        acknowledged = int(line)
        batches += 1
        if not point and batches == at:
            process.kill()
    assert await process.wait() == -9
    return acknowledged


@pytest.mark.parametrize(
    ("point", "at", "more"),
    [("journal.before_commit", 5, 0), ("journal.after_commit", 5, 3), ("", 20, None), ("", 1, None)],
    ids=["before a commit", "after a commit", "anywhere", "early"],
)
async def test_what_was_acknowledged_is_there_and_whole(path, point, at, more):
    acknowledged = 0
    for _round in range(2):
        acknowledged = await killed_writer(path, point, at)
        assert acknowledged > 0
        journal = await AioSqliteJournal.open(path)
        events = await all_events(journal)
        last = len(events)
        assert last >= acknowledged
        assert last % 3 == 0
        if more is not None:
            assert last == acknowledged + more
        assert verify_chain(events) == []
        assert len(await all_commands(journal)) == len(await journal.outstanding()) == last // 3
        await journal.close()


async def test_after_a_kill_the_next_start_goes_on_at_once(path):
    await killed_writer(path, "journal.after_commit", 4)
    journal = await AioSqliteJournal.open(path)
    claim = await journal.claim(this_process())
    last = await journal.last_seq()
    assert claim.epoch == 2
    await journal.append(claim.epoch, batch(new_event(last + 1)))
    await journal.close()
