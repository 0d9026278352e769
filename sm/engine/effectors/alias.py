"""The firewall: the effectors that write the alias, have OPNsense apply it, and try what was opened."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, cast

from sm.core.commands import ApplyAlias, ResolveCard, TryDomain, WriteAlias
from sm.core.events import (
    AliasApplied,
    AliasFailed,
    AliasRead,
    AliasWritten,
    CardResolved,
    Event,
    NetworkTried,
)
from sm.core.outcome import Refused, Unreachable
from sm.engine.blame import find_odd
from sm.engine.clock import Clock
from sm.engine.dispatch import Job
from sm.engine.faultpoints import FaultPoints
from sm.engine.names import Names
from sm.engine.writer import Submission, Writer
from sm.opnsense.client import OPNsenseClient

MAX_DETAIL = 500


class Reached(Protocol):
    """What a try answers."""

    @property
    def state(self) -> str:
        """reachable, unreachable, unknown."""
        ...

    @property
    def detail(self) -> str:
        """For a person."""
        ...


Reach = Callable[[str, float], Awaitable[Reached]]


class AliasEffectors:
    """What the fold asks of OPNsense. Both read first, so that doing them twice writes once.

    Each is for the alias that it names: what is left to do for the one of former settings is done there.
    """

    def __init__(
        self,
        client: OPNsenseClient,
        *,
        names: Names,
        reach: Reach,
        clock: Clock,
        still_ours: Callable[[], Awaitable[None]],
        writer: Writer,
        faults: FaultPoints,
    ) -> None:
        self._client = client
        self._names = names
        self._reach = reach
        self._clock = clock
        self._still_ours = still_ours
        self._writer = writer
        self._faults = faults

    async def resolve_card(self, job: Job) -> Event:
        """What the names of a card lead to now."""
        command = cast("ResolveCard", job.command)
        return CardResolved(command.card_id, await self._names.resolve(command.domains))

    async def write(self, job: Job) -> Event:
        """Bring names in and out, and read back. What leads where nothing may be opened, or nowhere, stays out.

        What stands there is recorded before it is changed: only so is it known after a crash what was ours.
        """
        command = cast("WriteAlias", job.command)
        resolved = await self._names.resolve(command.add)
        good = [name.domain for name in resolved if name.status == "found" and not name.refused]

        async def before_write(entries: tuple[str, ...]) -> None:
            digest = hashlib.sha256("\n".join(entries).encode()).hexdigest()[:16]
            read = AliasRead(entries)
            await self._writer.submit(
                Submission(job.issued.stream, lambda _: read, f"read:{job.id}:{digest}", job.id)
            )
            self._faults.reached("after_read", job.command.KIND)
            await self._check(job)

        try:
            client = self._client.of(command.alias)
            saved = await client.save(add=good, remove=command.remove, before_write=before_write)
        except Refused as refusal:
            return _failed("write", _blamed(refusal, good))
        return AliasWritten(
            add=command.add,
            remove=command.remove,
            names=resolved,
            changed=saved.changed,
            entries=saved.after,
            table_before=saved.table_before,
        )

    async def apply(self, job: Job) -> Event:
        """Reconfigure, and see that the table changed; what came into it is judged, too."""
        command = cast("ApplyAlias", job.command)
        if command.table_before is None and (turned := await self._turned(command)) is not None:
            return turned
        try:
            applied = await self._client.of(command.alias).apply(
                command.added,
                command.table_before,
                gone=command.gone,
                before_write=lambda: self._check(job),
            )
            refused, address = await self._judge_table(job, applied.table)
        except Refused as refusal:
            return _failed("apply", refusal)
        return AliasApplied(
            added=command.added,
            removed=command.removed,
            resolved=applied.resolved,
            table=applied.table,
            refused=refused,
            address=address,
        )

    async def _turned(self, command: ApplyAlias) -> AliasApplied | None:
        """Loaded once more without a write: what was judged then may have turned, and nothing else is to be loaded."""
        names = await self._names.resolve(command.added)
        if command.removed or not names or not all(name.refused for name in names):
            return None
        code, address = names[0].refused, names[0].address
        return AliasApplied(command.added, (), "unseen", table=None, refused=code, address=address)

    async def _judge_table(self, job: Job, table: tuple[str, ...] | None) -> tuple[str, str]:
        """An address that came with this write and may not be open, unless somebody else's entry explains it."""
        command = cast("ApplyAlias", job.command)
        if not command.added or table is None:
            return "", ""
        known = command.table_before
        new = [row for row in table if known is None or row not in known]
        if not (await self._names.judge(new))[0]:
            return "", ""
        entries = (await self._client.of(command.alias).look()).entries
        data = self._writer.state(job.issued.stream).data
        odd = await find_odd(self._names, new, table=table, entries=entries, data=data)
        # Where nobody can be told to be the one: it came with this write, if we know what was there before.
        is_theirs = not odd.suspects and known is not None
        if is_theirs or not set(command.added).isdisjoint(odd.suspects):
            return odd.code, odd.address
        return "", ""

    async def try_domain(self, job: Job) -> Event:
        """Try from a container until it answers or the time is over; a VM that is away leaves it unknown."""
        command = cast("TryDomain", job.command)
        left_s = (command.due_ms - self._clock.now_ms()) / 1000
        if left_s <= 0:
            return NetworkTried(command.domain, "unknown", "there was no time left to try it")
        try:
            reached = await self._reach(command.domain, left_s)
        except Refused as refusal:
            return NetworkTried(command.domain, "unknown", str(refusal)[:MAX_DETAIL])
        except Unreachable as error:
            if self._clock.now_ms() < command.due_ms:
                raise
            return NetworkTried(command.domain, "unknown", str(error)[:MAX_DETAIL])
        return NetworkTried(command.domain, reached.state, reached.detail[:MAX_DETAIL])

    async def _check(self, job: Job) -> None:
        """What is asked right before each write: are we still the one copy, does the stream still act?"""
        await self._still_ours()
        if self._writer.state(job.issued.stream).name == "quarantined":
            raise Refused("quarantined", "The alias's stream is quarantined: nothing is written any more.")


def _blamed(refusal: Refused, names: Iterable[str]) -> Refused:
    """OPNsense validates the whole content: what is refused for somebody else's entry, or without a reason, is no
    fault of the names that we bring in.
    """
    said = str(refusal)
    if refusal.code != "rejected" or any(f'"{name}"' in said or repr(name) in said for name in names):
        return refusal
    return Refused("content_rejected", said)


def _failed(step: str, refusal: Refused) -> AliasFailed:
    return AliasFailed(step, refusal.code, str(refusal)[:MAX_DETAIL])
