"""Reconciling: a look at the alias at the start, after each change and every few minutes; what differs is an event.

The look begins and ends between writes of ours: one that a write came into says nothing, and is done again.
"""

from __future__ import annotations

import asyncio

import structlog
from attrs import evolve

from sm.core import streams
from sm.core.alias import AliasData, is_news
from sm.core.events import AliasApplied, AliasObserved, AliasTroubled, Event
from sm.core.fold import StreamState
from sm.core.outcome import Refused, Unreachable
from sm.engine.blame import find_odd
from sm.engine.clock import Clock
from sm.engine.names import Names
from sm.engine.writer import Committed, Submission, Writer
from sm.opnsense.client import Look, OPNsenseClient

log = structlog.get_logger(__name__)

BUSY_S = 1.0
MAX_DETAIL = 500


class Reconciler:
    """Looks at one alias."""

    def __init__(
        self,
        writer: Writer,
        client: OPNsenseClient,
        names: Names,
        *,
        alias: str,
        interval_s: float,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._client = client
        self._names = names
        self._alias = alias
        self._stream = streams.alias(alias)
        self._interval_s = interval_s
        self._clock = clock
        self._wanted = asyncio.Event()

    def committed(self, committed: Committed) -> None:
        """After a change that took effect, look at once."""
        for recorded in committed.events:
            if isinstance(recorded.event, AliasApplied) and recorded.event.resolved != "unseen":
                self._wanted.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._wanted.clear()
            while not await self._look():
                await self._clock.sleep(BUSY_S)
            pause = asyncio.ensure_future(self._clock.sleep(self._interval_s))
            wanted = asyncio.ensure_future(self._wanted.wait())
            try:
                await asyncio.wait({pause, wanted}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                pause.cancel()
                wanted.cancel()

    async def _look(self) -> bool:
        """Look once; False when a write of ours came into it."""
        before = self._writer.state(self._stream)
        if before.name == "quarantined":
            return True
        data: AliasData = before.data
        if data.busy:
            return False
        try:
            look = await self._client.look()
            seen = await self._seen(data, look)
        except Unreachable as error:
            log.warning("OPNsense does not answer", error=str(error))
            return True
        except Refused as refusal:
            return await self._submit(data.writes, AliasTroubled(refusal.code, str(refusal)[:MAX_DETAIL]))
        return await self._submit(data.writes, seen)

    async def _submit(self, writes: int, event: AliasObserved | AliasTroubled) -> bool:
        stale = False

        def build(state: StreamState) -> Event | None:
            nonlocal stale
            data: AliasData = state.data
            stale = data.busy or data.writes != writes
            return event if not stale and is_news(data, event) else None

        outcome = await self._writer.submit(Submission(self._stream, build))
        if outcome.seq is not None:
            self._log(event)
        return not stale

    def _log(self, event: AliasObserved | AliasTroubled) -> None:
        if isinstance(event, AliasTroubled):
            log.error("the alias can't work", alias=self._alias, code=event.code, detail=event.detail)
            return
        refused = {name.domain: f"{name.refused} {name.address}" for name in event.names if name.refused}
        log.warning(
            "the alias is not as recorded", alias=self._alias, entries=len(event.entries), refused=refused
        )

    # --- what is seen -------------------------------------------------------------------------------------------------

    async def _seen(self, data: AliasData, look: Look) -> AliasObserved:
        names = await self._names.resolve(data.wish())
        table = look.table or ()
        odd = await find_odd(self._names, table, table=table, entries=look.entries, data=data, resolved=names)
        if not odd.suspects:
            return AliasObserved(look.entries, names, look.table, odd.code, odd.address)
        judged = (
            evolve(name, refused=odd.code, address=odd.address)
            if name.domain in odd.suspects and not name.refused
            else name
            for name in names
        )
        return AliasObserved(look.entries, tuple(judged), look.table)
