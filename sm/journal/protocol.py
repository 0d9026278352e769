"""What the rest of the program may ask of a journal; small, so that another database can serve it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

from sm.journal.rows import Batch, Claim, Holder, StoredCommand, StoredEvent, StreamSummary


class Journal(Protocol):
    """Append a batch under the writer's epoch, read from a position, take up the outbox.

    Every method raises `JournalError` when the store fails. After a failed or cancelled `append` its outcome
    is unknown: the process ends and the next start rebuilds from what is stored.
    """

    async def append(self, epoch: int, batch: Batch) -> None:
        """Write the whole batch in one durable transaction or nothing of it.

        Raises `Fenced` when `epoch` does not hold the claim, `DuplicateKey` when a key was used before.
        """
        ...

    async def last_seq(self) -> int:
        """Answer the seq of the last event, 0 for an empty journal."""
        ...

    async def seen(self, keys: Sequence[str]) -> dict[str, int]:
        """Answer the seq of the event for each of `keys` that is used already."""
        ...

    async def event(self, seq: int) -> StoredEvent | None:
        """Answer one event by its seq."""
        ...

    async def event_by_key(self, key: str) -> StoredEvent | None:
        """Answer one event by its key."""
        ...

    def read(self, *, after: int = 0, stream: str | None = None) -> AsyncIterator[list[StoredEvent]]:
        """Yield the events with a seq above `after` in order, by pages; no transaction spans two pages."""
        ...

    def commands(
        self, *, after_seq: int = 0, stream: str | None = None
    ) -> AsyncIterator[list[StoredCommand]]:
        """Yield the commands of the events above `after_seq` by (seq, index), by pages."""
        ...

    async def outstanding(self) -> list[StoredCommand]:
        """Answer the outbox: the commands without a reported outcome, by (seq, index)."""
        ...

    async def streams(self) -> list[StreamSummary]:
        """Answer one summary a stream, by first seq."""
        ...

    async def meta(self, name: str) -> str | None:
        """Answer a named value stored beside the events."""
        ...

    async def set_meta(self, epoch: int, name: str, value: str) -> None:
        """Store a named value; raises `Fenced` like `append`."""
        ...

    async def claim(
        self,
        holder: Holder,
        *,
        now_ms: Callable[[], int] = ...,
        sleep: Callable[[float], Awaitable[None]] = ...,
    ) -> Claim:
        """Become the one writer, or raise `Held`; may watch a silent holder for 20 s (see `sm.journal.claim`)."""
        ...

    async def current_claim(self) -> Claim | None:
        """Answer the claim's row as it stands, None before the first claim."""
        ...

    async def renew(self, epoch: int, now_ms: int) -> None:
        """Say that the holder of `epoch` lives (every 5 s); raises `Fenced` when it holds no more."""
        ...

    async def release(self, epoch: int) -> None:
        """Give the claim back so that the next start takes over at once; raises `Fenced` like `renew`."""
        ...

    async def current_epoch(self) -> int:
        """Answer the epoch that holds the claim, 0 before the first claim."""
        ...

    async def close(self) -> None:
        """Close the store; the claim stays as it is (see `release`)."""
        ...
