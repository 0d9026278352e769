"""The rows of a journal as immutable values: what is appended, what is stored."""

from __future__ import annotations

from attrs import frozen


@frozen
class NewEvent:
    """One event to append, already folded.

    `seq` continues the journal without a gap. `key` is unique in the journal for good (None for none).
    `cause` says what brought it about ("seq:index" of a command or notice). `payload` is canonical JSON text
    (see `sm.journal.hashing.canonical_json`); `state_after` names its stream's state once it is folded.
    """

    seq: int
    stream: str
    kind: str
    version: int
    recorded_at_ms: int
    cause: str | None
    key: str | None
    payload: str
    state_after: str


@frozen
class StoredEvent(NewEvent):
    """One event as the journal holds it; both hashes are lower-case SHA-256 hex."""

    content_hash: str
    chain_hash: str


@frozen
class NewCommand:
    """One command to append with the event `seq` that caused it, the `index`-th of that event.

    `lane` names the queue in which it waits for its turn (commands of one lane run in order).
    """

    id: str
    stream: str
    seq: int
    index: int
    kind: str
    version: int
    payload: str
    lane: str


@frozen
class StoredCommand(NewCommand):
    """One command as the journal holds it; `settled_by` is the seq of the event that reported its outcome."""

    settled_by: int | None


@frozen
class Batch:
    """What one transaction appends: events, the commands they caused, and the commands they settle.

    `settled` pairs a command's id with the seq of the event that reports what came of it.
    """

    events: tuple[NewEvent, ...]
    commands: tuple[NewCommand, ...] = ()
    settled: tuple[tuple[str, int], ...] = ()


@frozen
class StreamSummary:
    """One stream of the journal: where it begins and ends, how many events it has, its state and since when."""

    stream: str
    first_seq: int
    last_seq: int
    events: int
    first_at_ms: int
    last_at_ms: int
    state: str
    state_since_ms: int


@frozen
class Holder:
    """A process that wants to write: `host` is the host's name and boot id, `pid_namespace` the link's text
    of /proc/self/ns/pid, `started` the process's start time in clock ticks since boot.
    """

    host: str
    pid_namespace: str
    pid: int
    started: int


@frozen
class Claim:
    """The right to write, as a row: at most one epoch holds it.

    `renewals` counts up with each renewal, so that a watcher needs to compare no clocks.
    """

    epoch: int
    holder: Holder
    since_ms: int
    renewed_at_ms: int
    renewals: int = 0
    released: bool = False
