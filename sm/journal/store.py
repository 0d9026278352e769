"""The SQLite file under a journal: opened or made, checked, and its errors put into sentences."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from sm.core.fold import RULES
from sm.journal import sql
from sm.journal.errors import JournalError

P = ParamSpec("P")
R = TypeVar("R")

KNOWN_RULES = (RULES,)
"""The rule versions that this release can fold, the newest last: a new journal begins with that one."""

RULES_NAME = "rules_version"
"""Where the journal's own rule version stands among the named values."""

MEMORY = ":memory:"
_ATTEMPTS = 5


class Store:
    """One connection to a journal's file. All calls come from one thread.

    A reader creates nothing and holds no lock between calls. While a writer runs, it reads beside it through
    the write-ahead log. When there is no log (nobody writes), it reads the file as immutable, since SQLite
    would make a log otherwise, and starts the call over if a writer came meanwhile.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, read_only: bool = False, rules: Sequence[str] = KNOWN_RULES
    ) -> None:
        self.path = None if os.fspath(path) == MEMORY else Path(path).absolute()
        self._read_only = read_only
        self._rules = tuple(rules)
        self._connection: sqlite3.Connection | None = None
        self._still: object = None

    def open(self) -> sqlite3.Connection:
        """Open the file, or make it (mode 0600, its folder 0700); raises `JournalError`."""
        try:
            if self._read_only:
                return self._open_to_read()
            return self._open_to_write()
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise JournalError(f"The journal {self._name} can't be opened: {_reason(error)}.") from error
        except BaseException:
            self.close()
            raise

    def run(
        self, operation: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run one operation; raises `JournalError` for whatever SQLite or the disk says."""
        if self._connection is None:
            raise JournalError(f"The journal {self._name} is closed.")
        try:
            if self._still is None:
                return operation(self._connection, *args, **kwargs)
            return self._run_still(operation, *args, **kwargs)
        except (sqlite3.Error, OSError) as error:
            verb = "read" if self._read_only else "read or written"
            raise JournalError(f"The journal {self._name} can't be {verb}: {_reason(error)}.") from error

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _name(self) -> str:
        return MEMORY if self.path is None else str(self.path)

    # --- writing ------------------------------------------------------------------------------------------------

    def _open_to_write(self) -> sqlite3.Connection:
        target = MEMORY
        if self.path is not None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its -wal and -shm files the mode of this one.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            if self.path.stat().st_mode & 0o077:
                self.path.chmod(0o600)
            target = str(self.path)
        connection = self._connection = sqlite3.connect(target, isolation_level=None)
        connection.execute(f"PRAGMA busy_timeout = {sql.BUSY_TIMEOUT_MS}")
        if not _is_empty(connection):
            self._check(connection)
        for setting in sql.SETTINGS_WRITER:
            connection.execute(setting)
        if _is_empty(connection):
            self._create(connection)
        return connection

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _is_empty(connection):  # another process may have been first
                for statement in sql.CREATE.split(";"):
                    if statement.strip():
                        connection.execute(statement)
                connection.execute(sql.SET_META, (RULES_NAME, self._rules[-1]))
                connection.execute(f"PRAGMA user_version = {sql.SCHEMA_VERSION}")
                connection.execute(f"PRAGMA application_id = {sql.APPLICATION_ID}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._check(connection)
        self._sync_folder()

    def _sync_folder(self) -> None:
        """Make the new file's name durable, without which its first commits could vanish with it."""
        if self.path is None:
            return
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    # --- reading ------------------------------------------------------------------------------------------------

    def _open_to_read(self) -> sqlite3.Connection:
        if self.path is None or not self.path.exists():
            raise JournalError(f"There is no journal at {self._name}.")
        connection = self._connect_to_read()
        for _ in range(_ATTEMPTS):
            try:
                self.run(self._check)
                break
            except JournalError:
                if not self._moved():
                    raise
        return self._connection or connection

    def _connect_to_read(self) -> sqlite3.Connection:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        assert self.path is not None  # noqa: S101 - nothing in memory is opened to read
        self._still = self._stamp()
        immutable = "" if self._still is None else "&immutable=1"
        uri = f"file:{quote(str(self.path))}?mode=ro{immutable}"
        connection = self._connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        connection.execute(f"PRAGMA busy_timeout = {sql.BUSY_TIMEOUT_MS}")
        return connection

    def _stamp(self) -> object:
        """Answer what changes when the file does, or None while there is a write-ahead log."""
        assert self.path is not None  # noqa: S101
        if os.path.lexists(f"{self.path}-wal"):
            return None
        found = self.path.stat()
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    def _moved(self) -> bool:
        return self._still is not None and self._stamp() != self._still

    def _run_still(
        self, operation: Callable[Concatenate[sqlite3.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        for _ in range(_ATTEMPTS):
            connection = self._connection
            if connection is None or self._moved():
                connection = self._connect_to_read()
            if self._still is None:
                return operation(connection, *args, **kwargs)
            try:
                result = operation(connection, *args, **kwargs)
            except sqlite3.DatabaseError:
                if not self._moved():
                    raise
            else:
                if not self._moved():
                    return result
        raise JournalError(f"The journal {self._name} changes too often to be read now; try again.")

    # --- both ---------------------------------------------------------------------------------------------------

    def _check(self, connection: sqlite3.Connection) -> None:
        """Refuse a file that is not a journal of this schema and of rules that are known here."""
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        if application != sql.APPLICATION_ID:
            raise JournalError(f"{self._name} is no journal of Session Manager; name another file.")
        schema = connection.execute("PRAGMA user_version").fetchone()[0]
        if schema != sql.SCHEMA_VERSION:
            age = "a newer" if schema > sql.SCHEMA_VERSION else "an older, unreleased"
            raise JournalError(
                f"The journal {self._name} was written by {age} version of Session Manager (schema {schema},"
                f" this one reads {sql.SCHEMA_VERSION}): run that version, or begin a new journal."
            )
        row = connection.execute(sql.META, (RULES_NAME,)).fetchone()
        if row is None or row[0] not in self._rules:
            named = "none" if row is None else row[0]
            raise JournalError(
                f"The journal {self._name} follows rules {named!r}, which were never released (known here:"
                f" {', '.join(self._rules)}): run the version that wrote it, or begin a new journal."
            )


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    advice = ""
    code: object = None
    with suppress(AttributeError):
        code = error.sqlite_errorcode  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    if code == sqlite3.SQLITE_FULL:
        advice = "; make room on its disk and start again"
    elif code == sqlite3.SQLITE_NOTADB:
        advice = "; name another file or restore a backup"
    return text + advice
