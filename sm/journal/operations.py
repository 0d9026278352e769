"""What is done to a journal in one call each: plain functions over a SQLite connection.

Both adapters run these, the one on aiosqlite's thread, the other in place. Each is one transaction or one
short read; the connection is in autocommit mode between them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from sm.journal import sql
from sm.journal.errors import DuplicateKey, Fenced, JournalError
from sm.journal.hashing import GENESIS, canonical_json, chain_hash, content_hash
from sm.journal.rows import Batch, Claim, Holder, NewEvent, StoredCommand, StoredEvent, StreamSummary

PAGE_ROWS = 1000
PAGE_BYTES = 16 * 1024 * 1024
"""A page of events ends at whichever comes first: one line of an agent may be megabytes."""

FaultPoint = Callable[[str], None]
"""Called with a named point; a no-op in production, may kill the process in a test."""


def no_fault(_point: str) -> None:
    """Do nothing, as in production."""


@contextmanager
def transaction(connection: sqlite3.Connection, faults: FaultPoint = no_fault) -> Generator[None]:
    """Run the block in one write transaction; undone on any error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        faults("journal.before_commit")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    faults("journal.after_commit")


def append(connection: sqlite3.Connection, epoch: int, batch: Batch, faults: FaultPoint = no_fault) -> None:
    """Append a whole batch or nothing of it; see `Journal.append`."""
    with transaction(connection, faults):
        _check_epoch(connection, epoch)
        rows = _chained(connection, batch.events)
        try:
            connection.executemany(sql.INSERT_EVENT, rows)
        except sqlite3.IntegrityError:
            duplicates = _duplicates(connection, batch)
            if duplicates:
                raise DuplicateKey(duplicates) from None
            raise
        connection.executemany(
            sql.INSERT_COMMAND,
            [(c.id, c.stream, c.seq, c.index, c.kind, c.version, c.payload, c.lane) for c in batch.commands],
        )
        connection.executemany(sql.INSERT_OUTBOX, [(c.seq, c.index, c.id) for c in batch.commands])
        for command, seq in batch.settled:
            _settle(connection, command, seq)


def _chained(connection: sqlite3.Connection, events: tuple[NewEvent, ...]) -> list[tuple[object, ...]]:
    last_seq, previous = connection.execute(sql.LAST_EVENT).fetchone() or (0, GENESIS)
    rows: list[tuple[object, ...]] = []
    for event in events:
        last_seq += 1
        if event.seq != last_seq:
            raise JournalError(
                f"The batch begins or continues with seq {event.seq} where {last_seq} follows:"
                " somebody else wrote to this journal."
            )
        content = _checked_content_hash(event)
        previous = chain_hash(previous, event.seq, event.stream, content)
        rows.append(
            (
                event.seq,
                event.stream,
                event.kind,
                event.version,
                event.recorded_at_ms,
                event.cause,
                event.key,
                event.payload,
                event.state_after,
                content,
                previous,
            )
        )
    return rows


def _checked_content_hash(event: NewEvent) -> str:
    try:
        canonical = canonical_json(json.loads(event.payload)) == event.payload
    except ValueError:
        canonical = False
    if not canonical:
        raise JournalError(
            f"The payload of event {event.seq} ({event.kind}) is not written as canonical JSON."
        )
    return content_hash(event)


def _duplicates(connection: sqlite3.Connection, batch: Batch) -> list[str]:
    keys = [event.key for event in batch.events if event.key is not None]
    first_seq = batch.events[0].seq
    stored = {key for key, seq in seen(connection, keys).items() if seq < first_seq}
    met: set[str] = set()
    duplicates: list[str] = []
    for key in keys:
        if (key in stored or key in met) and key not in duplicates:
            duplicates.append(key)
        met.add(key)
    return duplicates


def _settle(connection: sqlite3.Connection, command: str, seq: int) -> None:
    if connection.execute(sql.SETTLE, (seq, command)).rowcount == 0:
        if connection.execute(sql.COMMAND_EXISTS, (command,)).fetchone() is None:
            raise JournalError(f"An event reports the outcome of command {command}, which is not recorded.")
        return  # settled before: the first report stays
    connection.execute(sql.LEAVE_OUTBOX, (command,))


def _check_epoch(connection: sqlite3.Connection, epoch: int) -> None:
    claim = current_claim(connection)
    current = 0 if claim is None else claim.epoch
    if claim is None or claim.released or current != epoch:
        raise Fenced(mine=epoch, current=current)


def last_seq(connection: sqlite3.Connection) -> int:
    """Answer the last seq, 0 for none."""
    row = connection.execute(sql.LAST_EVENT).fetchone()
    return 0 if row is None else row[0]


def seen(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, int]:
    """Answer the seq for each of the keys that is used."""
    found: dict[str, int] = {}
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        found.update(connection.execute(sql.seen(len(part)), tuple(part)).fetchall())
    return found


def event(connection: sqlite3.Connection, seq: int) -> StoredEvent | None:
    """Answer one event by seq."""
    row = connection.execute(sql.EVENT_BY_SEQ, (seq,)).fetchone()
    return None if row is None else StoredEvent(*row)


def event_by_key(connection: sqlite3.Connection, key: str) -> StoredEvent | None:
    """Answer one event by key."""
    row = connection.execute(sql.EVENT_BY_KEY, (key,)).fetchone()
    return None if row is None else StoredEvent(*row)


def page_of_events(connection: sqlite3.Connection, after: int, stream: str | None) -> list[StoredEvent]:
    """Answer the next events above `after`, bounded in rows and bytes; empty at the end."""
    if stream is None:
        cursor = connection.execute(sql.READ_ALL, (after,))
    else:
        cursor = connection.execute(sql.READ_STREAM, (after, stream))
    page: list[StoredEvent] = []
    size = 0
    for row in cursor:
        stored = StoredEvent(*row)
        page.append(stored)
        size += len(stored.payload)
        if len(page) >= PAGE_ROWS or size >= PAGE_BYTES:
            break
    cursor.close()  # ends the read transaction
    return page


def page_of_commands(
    connection: sqlite3.Connection, after: tuple[int, int], stream: str | None
) -> list[StoredCommand]:
    """Answer the next commands above the place `after` = (seq, index), bounded like events."""
    if stream is None:
        cursor = connection.execute(sql.COMMANDS_ALL, after)
    else:
        cursor = connection.execute(sql.COMMANDS_STREAM, (*after, stream))
    page: list[StoredCommand] = []
    size = 0
    for row in cursor:
        stored = StoredCommand(*row)
        page.append(stored)
        size += len(stored.payload)
        if len(page) >= PAGE_ROWS or size >= PAGE_BYTES:
            break
    cursor.close()
    return page


def outstanding(connection: sqlite3.Connection) -> list[StoredCommand]:
    """Answer the outbox in order."""
    return [StoredCommand(*row) for row in connection.execute(sql.OUTSTANDING).fetchall()]


def streams(connection: sqlite3.Connection) -> list[StreamSummary]:
    """Answer one summary a stream."""
    return [StreamSummary(*row) for row in connection.execute(sql.STREAMS).fetchall()]


def meta(connection: sqlite3.Connection, name: str) -> str | None:
    """Answer a named value."""
    row = connection.execute(sql.META, (name,)).fetchone()
    return None if row is None else row[0]


def set_meta(connection: sqlite3.Connection, epoch: int, name: str, value: str) -> None:
    """Store a named value under the writer's epoch."""
    with transaction(connection):
        _check_epoch(connection, epoch)
        connection.execute(sql.SET_META, (name, value))


def current_claim(connection: sqlite3.Connection) -> Claim | None:
    """Answer the claim's row."""
    row = connection.execute(sql.CLAIM).fetchone()
    if row is None:
        return None
    epoch, host, namespace, pid, started, since_ms, renewed_at_ms, renewals, released = row
    return Claim(
        epoch=epoch,
        holder=Holder(host=host, pid_namespace=namespace, pid=pid, started=started),
        since_ms=since_ms,
        renewed_at_ms=renewed_at_ms,
        renewals=renewals,
        released=bool(released),
    )


def replace_claim(connection: sqlite3.Connection, expected: Claim | None, new: Claim) -> bool:
    """Write `new` if the row is still `expected`; answer whether it was."""
    values = (
        new.epoch,
        new.holder.host,
        new.holder.pid_namespace,
        new.holder.pid,
        new.holder.started,
        new.since_ms,
        new.renewed_at_ms,
        new.renewals,
        int(new.released),
    )
    with transaction(connection):
        if current_claim(connection) != expected:
            return False
        connection.execute(sql.INSERT_CLAIM if expected is None else sql.REPLACE_CLAIM, values)
    return True


def renew(connection: sqlite3.Connection, epoch: int, now_ms: int) -> None:
    """Renew the claim if `epoch` holds it."""
    with transaction(connection):
        _check_epoch(connection, epoch)
        connection.execute(sql.RENEW, (now_ms,))


def release(connection: sqlite3.Connection, epoch: int) -> None:
    """Release the claim if `epoch` holds it."""
    with transaction(connection):
        _check_epoch(connection, epoch)
        connection.execute(sql.RELEASE)
