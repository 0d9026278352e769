"""The firewall: the effectors that save the alias and have OPNsense apply it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from sm.core.commands import ApplyAlias, SaveAlias
from sm.core.events import AliasApplied, AliasFailed, AliasSaved, Event
from sm.core.outcome import Refused
from sm.engine.dispatch import Job
from sm.engine.writer import Writer
from sm.opnsense.client import BeforeApply, OPNsenseClient

MAX_DETAIL = 500


class AliasEffectors:
    """What the fold asks of OPNsense. Both read first, so that doing them twice writes once."""

    def __init__(
        self, client: OPNsenseClient, *, still_ours: Callable[[], Awaitable[None]], writer: Writer
    ) -> None:
        self._client = client
        self._still_ours = still_ours
        self._writer = writer

    async def save(self, job: Job) -> Event:
        """Write the domain into the alias and read it back."""
        command = cast("SaveAlias", job.command)
        allowed = self._allowed(job)
        try:
            saved = await self._client.save(add=[command.domain], before_write=lambda _: allowed())
        except Refused as refusal:
            return AliasFailed(
                command.request_id, command.domain, "save", refusal.code, str(refusal)[:MAX_DETAIL]
            )
        return AliasSaved(
            request_id=command.request_id,
            domain=command.domain,
            changed=saved.changed,
            before=saved.before,
            after=saved.after,
            table_before=saved.table_before,
        )

    async def apply(self, job: Job) -> Event:
        """Reconfigure, and see that the table changed."""
        command = cast("ApplyAlias", job.command)
        try:
            applied = await self._client.apply(
                [command.domain], command.table_before, before_write=self._allowed(job)
            )
        except Refused as refusal:
            return AliasFailed(
                command.request_id, command.domain, "apply", refusal.code, str(refusal)[:MAX_DETAIL]
            )
        return AliasApplied(command.request_id, command.domain, applied.resolved, applied.table)

    def _allowed(self, job: Job) -> BeforeApply:
        """What is asked right before each write: are we still the one copy, does the stream still act?"""

        async def check() -> None:
            await self._still_ours()
            if self._writer.state(job.issued.stream).name == "quarantined":
                raise Refused(
                    "quarantined", "The alias's stream is quarantined: nothing is written any more."
                )

        return check
