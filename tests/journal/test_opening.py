"""Opening: reading beside a writer, and what is refused."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys

import pytest

from sm.journal.claim import this_process
from sm.journal.errors import JournalError

from .conftest import all_events, batch, new_event


async def filled(opener, path, count: int = 3) -> None:
    journal = await opener(path)
    epoch = (await journal.claim(this_process())).epoch
    await journal.append(epoch, batch(*(new_event(n) for n in range(1, count + 1))))
    await journal.release(epoch)
    await journal.close()


async def test_a_reader_sees_what_a_running_writer_commits(opener, path, journal):
    await journal.append(1, batch(new_event(1)))
    reader = await opener(path, read_only=True)
    assert await reader.last_seq() == 1
    await journal.append(1, batch(new_event(2)))
    assert await reader.last_seq() == 2


async def test_a_reader_creates_nothing(opener, path):
    await filled(opener, path)
    before = os.listdir(path.parent), path.stat().st_mtime_ns
    reader = await opener(path, read_only=True)
    assert len(await all_events(reader)) == 3
    assert (os.listdir(path.parent), path.stat().st_mtime_ns) == before


async def test_a_reader_finds_the_writer_that_came_after_it(opener, path):
    await filled(opener, path)
    reader = await opener(path, read_only=True)
    assert await reader.last_seq() == 3
    writer = await opener(path)
    epoch = (await writer.claim(this_process())).epoch
    await writer.append(epoch, batch(new_event(4)))
    assert await reader.last_seq() == 4
    await writer.append(epoch, batch(new_event(5)))
    assert await reader.last_seq() == 5


async def test_a_reader_that_paused_between_pages_holds_up_no_checkpoint(opener, path, journal, monkeypatch):
    monkeypatch.setattr("sm.journal.operations.PAGE_ROWS", 1)
    await journal.append(1, batch(new_event(1), new_event(2)))
    reader = await opener(path, read_only=True)
    pages = reader.read()
    assert len(await anext(pages)) == 1
    busy = await journal._run(lambda c: c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
    assert busy[0] == 0
    assert [event.seq async for page in pages for event in page] == [2]


async def test_a_reader_cannot_write(opener, path):
    await filled(opener, path)
    reader = await opener(path, read_only=True)
    with pytest.raises(JournalError, match="readonly"):
        await reader.claim(this_process())


async def test_a_reader_reads_what_a_killed_writer_left(opener, path):
    await filled(opener, path)
    code = (
        "import asyncio, os, sys\n"
        "from sm.journal.claim import this_process\n"
        "from sm.journal.rows import Batch, NewEvent\n"
        "from sm.journal.sqlite import InlineSqliteJournal\n"
        "async def main():\n"
        "    journal = InlineSqliteJournal.open(sys.argv[1])\n"
        "    claim = await journal.claim(this_process())\n"
        "    event = NewEvent(4, 's:a', 'k', 1, 1, None, None, '{}', 'x')\n"
        "    await journal.append(claim.epoch, Batch((event,)))\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(path))
    assert await process.wait() == -9
    reader = await opener(path, read_only=True)
    assert await reader.last_seq() == 4


async def test_a_journal_that_is_not_there_is_named(opener, path):
    with pytest.raises(JournalError, match=r"There is no journal at .*journal\.db"):
        await opener(path, read_only=True)
    assert not path.parent.exists()


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_file_that_is_no_database_is_refused(opener, path, read_only):
    path.parent.mkdir()
    path.write_text("shopping list " * 500)
    with pytest.raises(JournalError, match="not a database; name another file"):
        await opener(path, read_only=read_only)
    assert path.read_text().startswith("shopping list")


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_database_of_something_else_is_refused(opener, path, read_only):
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()
    with pytest.raises(JournalError, match="no journal of Session Manager"):
        await opener(path, read_only=read_only)


async def change(path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_journal_of_a_newer_schema_is_refused(opener, path, read_only):
    await filled(opener, path)
    await change(path, "PRAGMA user_version = 99")
    with pytest.raises(JournalError, match=r"newer version of Session Manager \(schema 99"):
        await opener(path, read_only=read_only)


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_journal_of_unreleased_rules_is_refused(opener, path, read_only):
    await filled(opener, path)
    await change(path, "UPDATE meta SET value = 'draft-3' WHERE name = 'rules_version'")
    with pytest.raises(JournalError, match="'draft-3', which were never released"):
        await opener(path, read_only=read_only)


async def test_a_folder_that_cannot_be_made_is_named(opener, tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(JournalError, match=r"state/journal.db can't be opened"):
        await opener(tmp_path / "state" / "journal.db")


async def test_two_that_create_the_same_journal_agree(opener, path):
    first, second = await opener(path), await opener(path)
    assert await first.last_seq() == await second.last_seq() == 0
