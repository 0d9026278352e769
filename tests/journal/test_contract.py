"""What every journal promises, held against both adapters."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat

import pytest
from attrs import evolve

from sm.journal import operations
from sm.journal.claim import this_process
from sm.journal.errors import DuplicateKey, Fenced, JournalError
from sm.journal.hashing import verify_chain
from sm.journal.sqlite import InlineSqliteJournal, open_journal

from .conftest import all_commands, all_events, batch, new_command, new_event


async def test_an_empty_journal_answers_nothing(journal):
    assert await journal.last_seq() == 0
    assert await journal.event(1) is None
    assert await journal.event_by_key("k") is None
    assert await journal.seen(["k"]) == {}
    assert await journal.seen([]) == {}
    assert await all_events(journal) == []
    assert await journal.outstanding() == []
    assert await journal.streams() == []


async def test_what_was_appended_is_read_back_in_order(journal):
    first, second = new_event(1, key="k1", payload='{"a":"\\u00fc"}'), new_event(2, stream="channel:c")
    await journal.append(1, batch(first, second))
    stored = await all_events(journal)
    assert [(e.seq, e.stream, e.key, e.payload) for e in stored] == [
        (1, "session:a", "k1", '{"a":"\\u00fc"}'),
        (2, "channel:c", None, "{}"),
    ]
    assert await journal.last_seq() == 2
    assert await journal.event(2) == stored[1]
    assert await journal.event_by_key("k1") == stored[0]
    assert await all_events(journal, after=1) == stored[1:]
    assert await all_events(journal, stream="session:a") == stored[:1]


async def test_keys_that_were_used_are_answered_with_their_seq(journal):
    await journal.append(1, batch(*(new_event(n, key=f"k{n}") for n in range(1, 1202))))
    asked = [f"k{n}" for n in range(1300)]
    found = await journal.seen(asked)
    assert found["k1"] == 1
    assert found["k1201"] == 1201
    assert len(found) == 1201


async def test_many_events_come_in_pages(journal):
    await journal.append(1, batch(*(new_event(n) for n in range(1, 2502))))
    sizes = [len(page) async for page in journal.read()]
    assert sizes == [1000, 1000, 501]


async def test_a_page_of_large_events_ends_at_its_bytes(journal, monkeypatch):
    monkeypatch.setattr(operations, "PAGE_BYTES", 1000)
    await journal.append(1, batch(*(new_event(n, payload=f'"{"x" * 600}"') for n in range(1, 6))))
    sizes = [len(page) async for page in journal.read()]
    assert sizes == [2, 2, 1]


async def test_a_duplicate_key_refuses_the_whole_batch_and_is_named(journal):
    await journal.append(1, batch(new_event(1, key="press-1")))
    with pytest.raises(DuplicateKey, match="press-1") as caught:
        await journal.append(
            1, batch(new_event(2, key="fresh"), new_event(3, key="press-1"), commands=(new_command(2),))
        )
    assert caught.value.keys == ("press-1",)
    assert await journal.last_seq() == 1
    assert await journal.outstanding() == []
    assert await journal.event_by_key("fresh") is None


async def test_a_key_twice_in_one_batch_is_a_duplicate(journal):
    with pytest.raises(DuplicateKey) as caught:
        await journal.append(1, batch(new_event(1, key="k"), new_event(2, key="k")))
    assert caught.value.keys == ("k",)
    assert await journal.last_seq() == 0


async def test_a_gap_in_the_seqs_is_refused(journal):
    with pytest.raises(JournalError, match="seq 2 where 1 follows"):
        await journal.append(1, batch(new_event(2)))
    assert await journal.last_seq() == 0


async def test_a_payload_that_is_not_canonical_is_refused(journal):
    with pytest.raises(JournalError, match="canonical"):
        await journal.append(1, batch(new_event(1, payload='{"b":1, "a":2}')))


async def test_the_outbox_holds_commands_in_order_until_they_are_settled(journal):
    commands = (new_command(1, 1), new_command(1, 0), new_command(2, 0, stream="alias:x"))
    await journal.append(1, batch(new_event(1), new_event(2, stream="alias:x"), commands=commands))
    waiting = await journal.outstanding()
    assert [c.id for c in waiting] == ["session:a/1/0", "session:a/1/1", "alias:x/2/0"]
    await journal.append(1, batch(new_event(3), settled=(("session:a/1/1", 3),)))
    assert [c.id for c in await journal.outstanding()] == ["session:a/1/0", "alias:x/2/0"]
    recorded = await all_commands(journal)
    assert [(c.id, c.settled_by) for c in recorded] == [
        ("session:a/1/0", None),
        ("session:a/1/1", 3),
        ("alias:x/2/0", None),
    ]
    assert [c.id for c in await all_commands(journal, stream="alias:x")] == ["alias:x/2/0"]
    assert [c.id for c in await all_commands(journal, after_seq=1)] == ["alias:x/2/0"]


async def test_commands_come_in_pages_that_may_cut_an_event_in_two(journal, monkeypatch):
    monkeypatch.setattr(operations, "PAGE_ROWS", 2)
    commands = tuple(new_command(1, n) for n in range(5))
    await journal.append(1, batch(new_event(1), commands=commands))
    pages = [[c.index for c in page] async for page in journal.commands()]
    assert pages == [[0, 1], [2, 3], [4]]


async def test_the_first_report_of_a_command_stays(journal):
    await journal.append(1, batch(new_event(1), commands=(new_command(1),)))
    await journal.append(1, batch(new_event(2), settled=(("session:a/1/0", 2),)))
    await journal.append(1, batch(new_event(3), settled=(("session:a/1/0", 3),)))
    assert (await all_commands(journal))[0].settled_by == 2


async def test_a_report_for_a_command_that_was_never_recorded_is_refused(journal):
    with pytest.raises(JournalError, match="not recorded"):
        await journal.append(1, batch(new_event(1), settled=(("session:a/9/9", 1),)))
    assert await journal.last_seq() == 0


async def test_a_command_may_be_settled_in_the_batch_that_records_it(journal):
    await journal.append(1, batch(new_event(1), commands=(new_command(1),), settled=(("session:a/1/0", 1),)))
    assert await journal.outstanding() == []


async def test_streams_are_summed_up(journal):
    stopped = [evolve(new_event(seq), state_after="stopped") for seq in (3, 4)]
    await journal.append(1, batch(new_event(1), new_event(2, stream="channel:c"), *stopped))
    first, second = await journal.streams()
    assert (first.stream, first.first_seq, first.last_seq, first.events) == ("session:a", 1, 4, 3)
    assert (first.first_at_ms, first.last_at_ms) == (1_001, 1_004)
    assert (first.state, first.state_since_ms) == ("stopped", 1_003)
    assert second.state_since_ms == 1_002
    assert second.stream == "channel:c"


async def test_named_values_are_kept_and_replaced(journal):
    assert await journal.meta("cursor") is None
    await journal.set_meta(1, "cursor", "a")
    await journal.set_meta(1, "cursor", "b")
    assert await journal.meta("cursor") == "b"


async def test_nothing_is_written_without_a_claim(opener, path):
    journal = await opener(path)
    with pytest.raises(Fenced):
        await journal.append(1, batch(new_event(1)))
    with pytest.raises(Fenced):
        await journal.set_meta(1, "a", "b")


async def test_the_chain_of_what_was_appended_holds(journal):
    for start in (1, 4, 7):
        await journal.append(1, batch(*(new_event(n, key=f"k{n}") for n in range(start, start + 3))))
    assert verify_chain(await all_events(journal)) == []


async def test_a_journal_goes_on_where_it_was_after_a_reopening(opener, path):
    first = await opener(path)
    epoch = (await first.claim(holder := this_process())).epoch
    await first.append(epoch, batch(new_event(1), commands=(new_command(1),)))
    await first.release(epoch)
    await first.close()
    second = await opener(path)
    epoch = (await second.claim(holder)).epoch
    await second.append(epoch, batch(new_event(2)))
    assert epoch == 2
    assert verify_chain(await all_events(second)) == []
    assert len(await second.outstanding()) == 1


async def test_a_closed_journal_says_so(opener, path):
    journal = await opener(path)
    await journal.close()
    await journal.close()
    with pytest.raises(JournalError, match="is closed"):
        await journal.last_seq()


async def test_a_full_disk_refuses_the_batch_and_says_what_to_do(opener, path, journal):
    await journal.append(1, batch(new_event(1)))
    await journal._run(lambda connection: connection.execute("PRAGMA max_page_count = 40"))

    async def fill() -> None:
        for seq in range(2, 200):
            await journal.append(1, batch(new_event(seq, payload=f'"{"x" * 4000}"')))
            acknowledged.append(seq)

    acknowledged = [1]
    with pytest.raises(JournalError, match="full; make room on its disk"):
        await fill()
    seq = await journal.last_seq()
    assert seq == acknowledged[-1] > 1
    await journal._run(lambda connection: connection.execute("PRAGMA max_page_count = 4000"))
    await journal.append(1, batch(new_event(seq + 1)))
    assert verify_chain(await all_events(journal)) == []


async def test_what_fails_before_the_commit_leaves_no_trace(opener, path):
    def fail(point: str) -> None:
        if point == "journal.before_commit":
            raise OSError("the disk is gone")

    journal = await opener(path, faults=fail)
    writer = await opener(path)
    await writer.claim(this_process())
    with pytest.raises(JournalError, match="the disk is gone"):
        await journal.append(1, batch(new_event(1)))
    assert await writer.last_seq() == 0
    await writer.append(1, batch(new_event(1)))


async def test_concurrent_calls_are_carried_out_one_after_the_other(journal):
    await asyncio.gather(*(journal.append(1, batch(new_event(n, key=str(n)))) for n in range(1, 51)))
    assert await journal.last_seq() == 50


async def test_commits_are_durable_by_their_settings(journal):
    def settings(connection: sqlite3.Connection) -> tuple[str, int]:
        return (
            connection.execute("PRAGMA journal_mode").fetchone()[0],
            connection.execute("PRAGMA synchronous").fetchone()[0],
        )

    assert await journal._run(settings) == ("wal", 2)


async def test_files_are_readable_by_their_owner_only(journal, path):
    await journal.append(1, batch(new_event(1)))
    modes = {name: stat.S_IMODE(os.stat(path.parent / name).st_mode) for name in os.listdir(path.parent)}
    assert modes == {"journal.db": 0o600, "journal.db-wal": 0o600, "journal.db-shm": 0o600}
    assert stat.S_IMODE(os.stat(path.parent).st_mode) == 0o700


async def test_a_file_that_others_could_read_is_closed_to_them(opener, path):
    await (await opener(path)).close()
    path.chmod(0o644)
    await opener(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_journal_in_memory_serves_a_simulation():
    async with InlineSqliteJournal.open(":memory:") as journal:
        await journal.claim(this_process())
        await journal.append(1, batch(new_event(1)))
        assert await journal.last_seq() == 1
        assert journal.path is None


async def test_opening_for_production_takes_a_text_or_a_path(path):
    async with await open_journal(str(path)) as journal:
        assert journal.path == path
