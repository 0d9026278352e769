"""Folds recorded journals anew and says what came of it; run by itself, it does so in a fresh process.

`python refold.py FILE` reads journals (a list of lists of rows) and prints one digest over all states and commands,
in the order in which they lie in memory: a set's or a dict's accidental order would show.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import attrs

from sm.core.commands import command_id
from sm.core.fold import Notice, Recorded, StreamState, fold, initial
from sm.journal.codec import decode_event, encode

States = dict[str, StreamState]
Commands = list[tuple[str, str, int, str]]  # id, kind, version, payload


def refold(history: list[Recorded], states: States | None = None) -> tuple[States, Commands, list[Notice]]:
    """Fold what is recorded; a fold that raises leaves its stream as it was, as the writer does."""
    states = dict(states or {})
    commands: Commands = []
    notices: list[Notice] = []
    for recorded in history:
        before = states.get(recorded.stream) or initial(recorded.stream)
        folded = fold(before, recorded)
        states[recorded.stream] = folded.state
        notices.extend(folded.notices)
        for index, command in enumerate(folded.commands):
            made = command_id(recorded.stream, recorded.seq, index)
            commands.append((made, *encode(command)))
    return states, commands, notices


def to_rows(history: list[Recorded]) -> list[list[Any]]:
    return [[r.seq, r.stream, r.recorded_at_ms, *encode(r.event)] for r in history]


def from_rows(rows: list[list[Any]]) -> list[Recorded]:
    return [
        Recorded(seq, stream, at_ms, decode_event(kind, version, payload))
        for seq, stream, at_ms, kind, version, payload in rows
    ]


def digest(journals: list[list[Recorded]]) -> str:
    """SHA-256 over all states and commands of all journals."""
    sha = hashlib.sha256()
    for history in journals:
        states, commands, notices = refold(history)
        plain = [
            [[name, attrs.asdict(state)] for name, state in states.items()],
            commands,
            [[notice.stream, *encode(notice.event)] for notice in notices],
        ]
        sha.update(json.dumps(plain).encode())
    return sha.hexdigest()


if __name__ == "__main__":
    print(digest([from_rows(rows) for rows in json.loads(Path(sys.argv[1]).read_text("ascii"))]))
