"""All SQL of the journal, for both adapters (SQLite 3.37 or newer, for STRICT tables)."""

from __future__ import annotations

APPLICATION_ID = 0x534D4A4C
"""Marks the file as ours in SQLite's header ("SMJL")."""

SCHEMA_VERSION = 1
"""Kept in the header's user_version."""

CREATE = """
CREATE TABLE events (
    seq            INTEGER PRIMARY KEY,
    stream         TEXT NOT NULL,
    kind           TEXT NOT NULL,
    version        INTEGER NOT NULL,
    recorded_at_ms INTEGER NOT NULL,
    cause          TEXT,
    key            TEXT,
    payload        TEXT NOT NULL,
    state_after    TEXT NOT NULL,
    content_hash   TEXT NOT NULL,
    chain_hash     TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_key ON events (key);
CREATE INDEX events_stream ON events (stream);

CREATE TABLE commands (
    id         TEXT PRIMARY KEY,
    stream     TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    "index"    INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    payload    TEXT NOT NULL,
    lane       TEXT NOT NULL,
    settled_by INTEGER
) STRICT;
CREATE UNIQUE INDEX commands_place ON commands (seq, "index");
CREATE INDEX commands_stream ON commands (stream, seq);

CREATE TABLE outbox (
    seq     INTEGER NOT NULL,
    "index" INTEGER NOT NULL,
    command TEXT NOT NULL UNIQUE,
    PRIMARY KEY (seq, "index")
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE claim (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    epoch         INTEGER NOT NULL,
    host          TEXT NOT NULL,
    pid_namespace TEXT NOT NULL,
    pid           INTEGER NOT NULL,
    started       INTEGER NOT NULL,
    since_ms      INTEGER NOT NULL,
    renewed_at_ms INTEGER NOT NULL,
    renewals      INTEGER NOT NULL,
    released      INTEGER NOT NULL
) STRICT;
"""

SETTINGS_WRITER = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 4000",  # pages of 4 KiB; the default of 1000 costs latency at its p99
    "PRAGMA journal_size_limit = 67108864",
)
BUSY_TIMEOUT_MS = 10_000

EVENT_COLUMNS = (
    "seq, stream, kind, version, recorded_at_ms, cause, key, payload, state_after, content_hash, chain_hash"
)
COMMAND_COLUMNS = 'id, stream, seq, "index", kind, version, payload, lane, settled_by'
CLAIM_COLUMNS = "epoch, host, pid_namespace, pid, started, since_ms, renewed_at_ms, renewals, released"

LAST_EVENT = "SELECT seq, chain_hash FROM events ORDER BY seq DESC LIMIT 1"
INSERT_EVENT = f"INSERT INTO events ({EVENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
INSERT_COMMAND = f"INSERT INTO commands ({COMMAND_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)"  # noqa: S608
INSERT_OUTBOX = 'INSERT INTO outbox (seq, "index", command) VALUES (?, ?, ?)'
SETTLE = "UPDATE commands SET settled_by = ? WHERE id = ? AND settled_by IS NULL"
LEAVE_OUTBOX = "DELETE FROM outbox WHERE command = ?"
COMMAND_EXISTS = "SELECT 1 FROM commands WHERE id = ?"

EVENT_BY_SEQ = f"SELECT {EVENT_COLUMNS} FROM events WHERE seq = ?"  # noqa: S608
EVENT_BY_KEY = f"SELECT {EVENT_COLUMNS} FROM events WHERE key = ?"  # noqa: S608
READ_ALL = f"SELECT {EVENT_COLUMNS} FROM events WHERE seq > ? ORDER BY seq"  # noqa: S608
READ_STREAM = f"SELECT {EVENT_COLUMNS} FROM events WHERE seq > ? AND stream = ? ORDER BY seq"  # noqa: S608
COMMANDS_ALL = f"""
SELECT {COMMAND_COLUMNS} FROM commands WHERE (seq, "index") > (?, ?) ORDER BY seq, "index"
"""  # noqa: S608
COMMANDS_STREAM = f"""
SELECT {COMMAND_COLUMNS} FROM commands WHERE (seq, "index") > (?, ?) AND stream = ? ORDER BY seq, "index"
"""  # noqa: S608
OUTSTANDING = """
SELECT c.id, c.stream, c.seq, c."index", c.kind, c.version, c.payload, c.lane, c.settled_by
FROM outbox AS o JOIN commands AS c ON c.id = o.command ORDER BY o.seq, o."index"
"""
STREAMS = """
SELECT s.stream, s.first_seq, s.last_seq, s.events, f.recorded_at_ms, l.recorded_at_ms, l.state_after,
       (SELECT e.recorded_at_ms FROM events AS e
        WHERE e.stream = s.stream AND e.seq > coalesce(
            (SELECT d.seq FROM events AS d
             WHERE d.stream = s.stream AND d.state_after <> l.state_after ORDER BY d.seq DESC LIMIT 1), 0)
        ORDER BY e.seq LIMIT 1)
FROM (SELECT stream, min(seq) AS first_seq, max(seq) AS last_seq, count(*) AS events
      FROM events GROUP BY stream) AS s
JOIN events AS f ON f.seq = s.first_seq JOIN events AS l ON l.seq = s.last_seq
ORDER BY s.first_seq
"""

META = "SELECT value FROM meta WHERE name = ?"
SET_META = (
    "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)

CLAIM = f"SELECT {CLAIM_COLUMNS} FROM claim"  # noqa: S608
INSERT_CLAIM = f"INSERT INTO claim (one, {CLAIM_COLUMNS}) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
REPLACE_CLAIM = """
UPDATE claim SET epoch = ?, host = ?, pid_namespace = ?, pid = ?, started = ?, since_ms = ?, renewed_at_ms = ?,
                 renewals = ?, released = ?
"""
RENEW = "UPDATE claim SET renewed_at_ms = ?, renewals = renewals + 1"
RELEASE = "UPDATE claim SET released = 1"


def seen(count: int) -> str:
    """Look up `count` keys at once."""
    return f"SELECT key, seq FROM events WHERE key IN ({', '.join('?' * count)})"  # noqa: S608
