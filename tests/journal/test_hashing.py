"""The formulas, and what a changed row looks like."""

from __future__ import annotations

import hashlib
import sqlite3

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from sm.journal.hashing import GENESIS, ChainVerifier, canonical_json, chain_hash, content_hash, verify_chain
from sm.journal.rows import NewEvent, StoredEvent
from sm.journal.sqlite import InlineSqliteJournal

from .conftest import all_events, batch, new_event

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def chain(count: int) -> list[StoredEvent]:
    stored: list[StoredEvent] = []
    previous = GENESIS
    for seq in range(1, count + 1):
        event = new_event(seq, key=f"k{seq}", payload='{"n":1}')
        content = content_hash(event)
        previous = chain_hash(previous, seq, event.stream, content)
        stored.append(
            StoredEvent(
                **{name: getattr(event, name) for name in NewEvent.__slots__ if not name.startswith("__")},
                content_hash=content,
                chain_hash=previous,
            )
        )
    return stored


def test_the_content_hash_is_of_the_canonical_list():
    event = NewEvent(7, "session:a", "chat.x", 2, 1234, None, "k", '{"ä":1,"b":[true,null]}', "ready")
    text = '["chat.x",2,1234,null,"k",{"b":[true,null],"\\u00e4":1},"ready"]'
    assert content_hash(event) == hashlib.sha256(text.encode()).hexdigest()


def test_the_chain_hash_is_of_the_four_joined_with_newlines():
    text = "\n".join((GENESIS, "1", "session:ä", "c" * 64))
    assert chain_hash(GENESIS, 1, "session:ä", "c" * 64) == hashlib.sha256(text.encode()).hexdigest()
    assert GENESIS == "0" * 64


@given(JSON)
def test_canonical_json_is_a_fixed_point(value):
    import json

    text = canonical_json(value)
    assert text.isascii()
    assert canonical_json(json.loads(text)) == text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_has_no_number_for_is_refused(number):
    with pytest.raises(ValueError):
        canonical_json({"n": number})


def test_a_whole_chain_has_no_problems():
    assert verify_chain(chain(5)) == []
    assert verify_chain([]) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "test.other"}, "content differs"),
        ({"version": 2}, "content differs"),
        ({"recorded_at_ms": 0}, "content differs"),
        ({"cause": "1:0"}, "content differs"),
        ({"key": None}, "content differs"),
        ({"payload": '{"n":2}'}, "content differs"),
        ({"payload": '{"n": 1}'}, "canonical form"),
        ({"payload": '{"n":0,"n":1}'}, "canonical form"),
        ({"payload": "{"}, "no JSON"),
        ({"state_after": "stopped"}, "content differs"),
        ({"stream": "session:b"}, "chain_hash differs"),
    ],
)
def test_a_changed_row_is_one_problem_that_names_its_seq(change, said):
    events = chain(5)
    events[2] = evolve(events[2], **change)
    (problem,) = verify_chain(events)
    assert problem.startswith("seq 3: ")
    assert said in problem


def test_a_row_whose_own_hash_was_mended_is_found_by_the_chain():
    events = chain(5)
    forged = evolve(events[2], payload='{"n":2}')
    events[2] = evolve(forged, content_hash=content_hash(forged))
    problems = verify_chain(events)
    assert [problem.partition(":")[0] for problem in problems] == ["seq 3"]


def test_a_rewritten_row_with_both_hashes_breaks_the_next():
    events = chain(5)
    forged = evolve(events[2], payload='{"n":2}')
    content = content_hash(forged)
    events[2] = evolve(
        forged, content_hash=content, chain_hash=chain_hash(events[1].chain_hash, 3, forged.stream, content)
    )
    assert [problem.partition(":")[0] for problem in verify_chain(events)] == ["seq 4"]


def test_a_missing_row_is_found():
    events = chain(5)
    del events[2]
    problems = verify_chain(events)
    assert "seq 4: expected seq 3 here" in problems[0]


def test_problems_are_bounded():
    verifier = ChainVerifier(limit=3)
    verifier.feed(evolve(event, version=9) for event in chain(10))
    assert len(verifier.problems) == 3
    assert verifier.checked == 10


async def test_a_row_changed_in_the_file_is_found(path, journal):
    await journal.append(1, batch(*(new_event(n) for n in range(1, 6))))
    with sqlite3.connect(path) as other:
        other.execute("UPDATE events SET recorded_at_ms = 1 WHERE seq = 4")
    other.close()
    reader = InlineSqliteJournal.open(path, read_only=True)
    (problem,) = verify_chain(await all_events(reader))
    await reader.close()
    assert problem.startswith("seq 4: the content differs")
