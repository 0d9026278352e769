"""Time and chance, injected: nothing else of the engine asks the system for either."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Protocol


class Clock(Protocol):
    """Wall-clock milliseconds, and waiting."""

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The system's clock."""

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def random_session_id() -> str:
    """A new session's id, which is also its agent's first conversation id."""
    return str(uuid.uuid4())
