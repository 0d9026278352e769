"""Two adapters over the same SQL: on aiosqlite's thread in production, in place for simulation and replay."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import Concatenate, ParamSpec, Self, TypeVar

import aiosqlite

from sm.journal import operations
from sm.journal.claim import take_claim
from sm.journal.errors import JournalError
from sm.journal.operations import FaultPoint, no_fault
from sm.journal.rows import Batch, Claim, Holder, StoredCommand, StoredEvent, StreamSummary
from sm.journal.store import Store

P = ParamSpec("P")
R = TypeVar("R")
Operation = Callable[Concatenate[sqlite3.Connection, P], R]


def system_now_ms() -> int:
    """Answer the system's time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class SqliteJournal(ABC):
    """What both adapters share: each method is one operation, run by `_run` in one go."""

    def __init__(self, store: Store, faults: FaultPoint) -> None:
        self._store = store
        self._faults = faults

    @abstractmethod
    async def _run(self, operation: Operation[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one operation with the connection."""

    @abstractmethod
    async def close(self) -> None:
        """Close the store; the claim stays as it is."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    @property
    def path(self) -> Path | None:
        """Where the journal lies; None for one in memory."""
        return self._store.path

    async def append(self, epoch: int, batch: Batch) -> None:
        """Write the whole batch in one durable transaction or nothing of it; see `Journal.append`."""
        await self._run(operations.append, epoch, batch, self._faults)

    async def last_seq(self) -> int:
        """Answer the seq of the last event, 0 for an empty journal."""
        return await self._run(operations.last_seq)

    async def seen(self, keys: Sequence[str]) -> dict[str, int]:
        """Answer the seq of the event for each of `keys` that is used already."""
        return await self._run(operations.seen, keys)

    async def event(self, seq: int) -> StoredEvent | None:
        """Answer one event by its seq."""
        return await self._run(operations.event, seq)

    async def event_by_key(self, key: str) -> StoredEvent | None:
        """Answer one event by its key."""
        return await self._run(operations.event_by_key, key)

    async def read(self, *, after: int = 0, stream: str | None = None) -> AsyncIterator[list[StoredEvent]]:
        """Yield the events with a seq above `after`, by pages."""
        while page := await self._run(operations.page_of_events, after, stream):
            yield page
            after = page[-1].seq

    async def commands(
        self, *, after_seq: int = 0, stream: str | None = None
    ) -> AsyncIterator[list[StoredCommand]]:
        """Yield the commands of the events above `after_seq` by (seq, index), by pages."""
        after = (after_seq + 1, -1)
        while page := await self._run(operations.page_of_commands, after, stream):
            yield page
            after = (page[-1].seq, page[-1].index)

    async def outstanding(self) -> list[StoredCommand]:
        """Answer the outbox by (seq, index)."""
        return await self._run(operations.outstanding)

    async def streams(self) -> list[StreamSummary]:
        """Answer one summary a stream, by first seq."""
        return await self._run(operations.streams)

    async def meta(self, name: str) -> str | None:
        """Answer a named value stored beside the events."""
        return await self._run(operations.meta, name)

    async def set_meta(self, epoch: int, name: str, value: str) -> None:
        """Store a named value; raises `Fenced` like `append`."""
        await self._run(operations.set_meta, epoch, name, value)

    async def claim(
        self,
        holder: Holder,
        *,
        now_ms: Callable[[], int] = system_now_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> Claim:
        """Become the one writer, or raise `Held`; may watch a silent holder for 20 s."""
        return await take_claim(self, holder, now_ms=now_ms, sleep=sleep)

    async def current_claim(self) -> Claim | None:
        """Answer the claim's row as it stands."""
        return await self._run(operations.current_claim)

    async def replace_claim(self, expected: Claim | None, new: Claim) -> bool:
        """Write the claim's row if it is still `expected`."""
        return await self._run(operations.replace_claim, expected, new)

    async def renew(self, epoch: int, now_ms: int) -> None:
        """Say that the holder of `epoch` lives; raises `Fenced` when it holds no more."""
        await self._run(operations.renew, epoch, now_ms)

    async def release(self, epoch: int) -> None:
        """Give the claim back; raises `Fenced` like `renew`."""
        await self._run(operations.release, epoch)

    async def current_epoch(self) -> int:
        """Answer the epoch that holds the claim, 0 before the first claim."""
        claim = await self._run(operations.current_claim)
        return 0 if claim is None else claim.epoch


class InlineSqliteJournal(SqliteJournal):
    """The journal without a thread: each call blocks the loop and never yields to it."""

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, read_only: bool = False, faults: FaultPoint = no_fault
    ) -> InlineSqliteJournal:
        """Open or create a journal; ":memory:" keeps it in memory. Raises `JournalError`."""
        store = Store(path, read_only=read_only)
        store.open()
        return cls(store, faults)

    async def _run(self, operation: Operation[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return self._store.run(operation, *args, **kwargs)

    async def close(self) -> None:
        """Close the store."""
        self._store.close()


class _Thread(aiosqlite.Connection):
    """An aiosqlite connection that runs a whole function on its thread: one hop for a batch."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        # A process that must end at once does not wait for the thread (0.20 and 0.21 are the thread itself).
        self.worker: Thread = getattr(self, "_thread", self)  # pyright: ignore[reportAttributeAccessIssue]
        self.worker.daemon = True

    async def run(self, work: Callable[[], R]) -> R:
        return await self._execute(work)  # pyright: ignore[reportUnknownMemberType]


class AioSqliteJournal(SqliteJournal):
    """The journal of production: one connection on a thread of its own, one hop a call.

    A cancelled call may still be carried out; calls run in the order they were made.
    """

    def __init__(self, store: Store, thread: _Thread, faults: FaultPoint) -> None:
        super().__init__(store, faults)
        self._thread = thread
        self._closed = False

    @classmethod
    async def open(
        cls, path: str | os.PathLike[str], *, read_only: bool = False, faults: FaultPoint = no_fault
    ) -> AioSqliteJournal:
        """Open or create a journal. Raises `JournalError`."""
        store = Store(path, read_only=read_only)
        thread = _Thread(store.open)
        try:
            await thread
        except BaseException:
            await asyncio.to_thread(thread.worker.join)  # it ends by itself, and answers this loop until then
            raise
        return cls(store, thread, faults)

    async def _run(self, operation: Operation[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        def work() -> R:
            return self._store.run(operation, *args, **kwargs)

        if self._closed:
            raise JournalError("The journal is closed.")
        return await self._thread.run(work)

    async def close(self) -> None:
        """Finish what was asked for, then close the store and its thread."""
        if not self._closed:
            self._closed = True
            await self._thread.run(self._store.close)
            await self._thread.close()


async def open_journal(
    path: str | os.PathLike[str], *, read_only: bool = False, faults: FaultPoint = no_fault
) -> AioSqliteJournal:
    """Open the journal at `path` for production; it is created unless `read_only`.

    Raises `JournalError`: no such journal, not a journal, of another schema or unreleased rules, no access.
    """
    return await AioSqliteJournal.open(path, read_only=read_only, faults=faults)
