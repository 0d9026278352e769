"""Outages: a session whose VM does not answer says so once, and once that it is back."""

from __future__ import annotations

from sm.core.events import VmFound, VmLost
from sm.core.fold import StreamState
from sm.core.memory import SessionData
from sm.engine.clock import Clock
from sm.engine.writer import Submission, Writer

SAY_AFTER_MS = 10_000
MAX_REASON = 500


class Outages:
    """Told of each failed and each successful step for a session's stream."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._since_ms: dict[str, int] = {}

    async def failed(self, stream: str, reason: str) -> None:
        """A step had no answer. Said when none had one for ten seconds."""
        now_ms = self._clock.now_ms()
        since_ms = self._since_ms.setdefault(stream, now_ms)
        if now_ms - since_ms < SAY_AFTER_MS or _is_said(self._writer.state(stream)):
            return
        lost = VmLost(reason[:MAX_REASON])
        key = f"vmlost:{stream}:{since_ms}"
        await self._writer.submit(Submission(stream, lambda state: None if _is_said(state) else lost, key))

    def lasts(self, stream: str) -> bool:
        """Whether the last step for this stream had no answer, or the channel still believes so."""
        return stream in self._since_ms or _is_said(self._writer.state(stream))

    async def over(self, stream: str) -> None:
        """A step was answered."""
        self._since_ms.pop(stream, None)
        if not _is_said(self._writer.state(stream)):
            return
        key = f"vmfound:{stream}:{self._clock.now_ms()}"
        await self._writer.submit(
            Submission(stream, lambda state: VmFound() if _is_said(state) else None, key)
        )


def _is_said(state: StreamState) -> bool:
    data: SessionData = state.data
    return data.vm_lost
