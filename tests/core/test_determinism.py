"""Any sequence of events over several streams folds to the same states and commands, wherever and however often."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import subprocess
import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sm.core.commands import COMMANDS
from sm.core.events import EVENTS, Event
from sm.core.fold import Recorded
from sm.journal.claim import this_process
from sm.journal.codec import decode_command, decode_event, encode
from sm.journal.rows import Batch, NewCommand, NewEvent
from sm.journal.sqlite import InlineSqliteJournal

from .any_event import samples
from .anything import Move, any_moves, happens, many_moves, play
from .playbook import World
from .refold import digest, from_rows, refold, to_rows

quick = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


def one_of_each() -> list[Event]:
    """Events of all kinds, within a story that most of them can move."""
    return [event for kind in EVENTS.values() for event in samples(kind)]


def commands_of(world: World) -> list[tuple[str, str, int, str]]:
    return [(issued.id, *encode(issued.command)) for issued in world.issued]


@quick
@given(any_moves)
def test_playing_twice_gives_the_same(moves: list[Move]):
    one, two = play(moves), play(moves)
    assert one.history == two.history
    assert one.states == two.states
    assert commands_of(one) == commands_of(two)


@quick
@given(any_moves)
def test_folding_the_record_gives_the_recorded_states_commands_and_notices(moves: list[Move]):
    world = play(moves)
    states, commands, notices = refold(world.history)
    assert states == world.states
    assert commands == commands_of(world)
    recorded = [(r.stream, r.event) for r in world.history]
    assert all((notice.stream, notice.event) in recorded for notice in notices)


@quick
@given(any_moves, st.data())
def test_folding_from_any_prefixs_state_gives_the_same(moves: list[Move], data: st.DataObject):
    world = play(moves)
    cut = data.draw(st.integers(0, len(world.history)))
    states, before, _ = refold(world.history[:cut])
    states, after, _ = refold(world.history[cut:], copy.deepcopy(states))
    assert states == world.states
    assert before + after == commands_of(world)


@quick
@given(any_moves)
def test_one_streams_record_is_enough_to_fold_that_stream(moves: list[Move]):
    world = play(moves)
    for stream, state in world.states.items():
        own = [recorded for recorded in world.history if recorded.stream == stream]
        states, commands, _ = refold(own)
        assert states == {stream: state}
        assert commands == [
            made
            for made, issued in zip(commands_of(world), world.issued, strict=True)
            if issued.stream == stream
        ]


@quick
@given(any_moves)
def test_folding_after_the_way_to_disk_and_back_gives_the_same(moves: list[Move]):
    world = play(moves)
    read = from_rows(json.loads(json.dumps(to_rows(world.history))))
    assert read == world.history
    states, commands, _ = refold(read)
    assert (states, commands) == (world.states, commands_of(world))
    for issued in world.issued:
        assert decode_command(*encode(issued.command)) == issued.command


async def through_a_journal(
    world: World, path: str
) -> tuple[list[Recorded], list[tuple[str, str, int, str]]]:
    """Write what a world recorded into a real journal, batch by batch, and read it back."""
    journal = InlineSqliteJournal.open(path)
    async with journal:
        epoch = (await journal.claim(this_process())).epoch
        for start in range(0, len(world.history), 7):
            part = world.history[start : start + 7]
            events = tuple(
                NewEvent(
                    r.seq,
                    r.stream,
                    kind,
                    version,
                    r.recorded_at_ms,
                    None,
                    None,
                    payload,
                    world.states[r.stream].name,
                )
                for r in part
                for kind, version, payload in [encode(r.event)]
            )
            commands = tuple(
                NewCommand(
                    issued.id,
                    issued.stream,
                    issued.seq,
                    int(issued.id.rpartition("/")[2]),
                    *encode(issued.command),
                    issued.command.lane,
                )
                for issued in world.issued
                if part[0].seq <= issued.seq <= part[-1].seq
            )
            await journal.append(epoch, Batch(events, commands))
        rows = [row async for page in journal.read() for row in page]
        read = [
            Recorded(r.seq, r.stream, r.recorded_at_ms, decode_event(r.kind, r.version, r.payload))
            for r in rows
        ]
        stored = [(r.id, r.kind, r.version, r.payload) async for page in journal.commands() for r in page]
    return read, stored


@settings(quick, max_examples=40)
@given(any_moves)
def test_folding_after_a_round_trip_through_a_journal_gives_the_same(moves: list[Move]):
    world = play(moves)
    read, stored = asyncio.run(through_a_journal(world, ":memory:"))
    states, commands, _ = refold(read)
    assert states == world.states
    assert commands == stored
    assert sorted(stored) == sorted(commands_of(world))


def test_a_journal_on_disk_folds_to_the_same(tmp_path: Path):
    world = World().working().asked("pypi.org").press("pypi.org")
    world.opened("pypi.org")
    world.dies()
    read, stored = asyncio.run(through_a_journal(world, str(tmp_path / "journal.db")))
    assert refold(read)[:2] == (world.states, stored)


def test_folding_in_other_processes_with_other_hash_seeds_gives_the_same(tmp_path: Path):
    journals: list[list[Recorded]] = []

    @settings(quick, max_examples=40, derandomize=True, database=None)
    @given(many_moves)
    def collect(moves: list[Move]) -> None:
        journals.append(play(moves).history)

    collect()
    journals.append(play([happens(event) for event in one_of_each()]).history)
    assert {recorded.event.KIND for history in journals for recorded in history} == set(EVENTS)
    file = tmp_path / "journals.json"
    file.write_text(json.dumps([to_rows(history) for history in journals]), "ascii")
    script = str(Path(__file__).with_name("refold.py"))
    running = [
        subprocess.Popen(
            [sys.executable, script, str(file)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "1", "4242")
    ]
    digests = [process.communicate(timeout=60)[0].strip() for process in running]
    assert digests == [digest(journals)] * 3


@quick
@given(any_moves)
def test_each_command_has_an_id_of_its_own_and_a_lane(moves: list[Move]):
    world = play(moves)
    ids = [issued.id for issued in world.issued]
    assert len(set(ids)) == len(ids)
    for issued in world.issued:
        assert issued.command.KIND in COMMANDS
        assert ":" in issued.command.lane
