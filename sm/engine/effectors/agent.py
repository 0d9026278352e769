"""The VM: the effectors that start, feed, probe and stop agents."""

from __future__ import annotations

from typing import cast

from sm.core.commands import AppendLine, ProbeMessage, StartAgent, StopAgent
from sm.core.events import (
    AgentStarted,
    AgentStartFailed,
    AgentStopped,
    AppendRefused,
    Event,
    LineAppended,
    MessageProbed,
)
from sm.core.outcome import Refused, Unreachable
from sm.engine.dispatch import Job
from sm.engine.fenced_vm import FencedVm
from sm.engine.wording import SYSTEM_PROMPT
from sm.vm.client import LengthMismatch, StartSpec

MAX_DETAIL = 1000
REFUSED_RETRY_S = 15.0
# What the VM says to us before it has looked at the agent: it can be mended, and proves nothing of the agent.
ABOUT_US = frozenset(
    {
        "host_key_changed",
        "host_key_unknown",
        "ssh_denied",
        "ssh_key_missing",
        "ssh_key_unreadable",
        "known_hosts_unreadable",
        "fenced",
    }
)
# … and what the VM's disk says before it has looked.
BEFORE_A_LOOK = ABOUT_US | {"disk_full", "path_not_writable"}


class AgentEffectors:
    """What the fold asks of the VM. Each step takes our epoch there and is refused under an older one."""

    def __init__(self, vm: FencedVm) -> None:
        self._vm = vm

    async def start(self, job: Job) -> Event:
        """Start a generation; finding it started is as good.

        One that may have been started before is not called failed by a VM that did not look: its container may run.
        """
        command = cast("StartAgent", job.command)
        spec = StartSpec(
            session_id=command.session_id,
            generation=command.generation,
            workspace=command.workspace,
            mirror=command.mirror,
            agent_session_id=command.agent_session_id,
            resume=command.resume,
            system_prompt=SYSTEM_PROMPT,
            permission_mode=command.permission_mode,
            first_line=command.line,
        )
        try:
            vm = await self._vm.ready(command.session_id)
            started = await vm.start_generation(spec, self._vm.epoch)
        except Refused as refusal:
            if job.doubtful and refusal.code in BEFORE_A_LOOK:
                raise later(refusal) from refusal
            return AgentStartFailed(command.generation, refusal.code, str(refusal)[:MAX_DETAIL])
        return AgentStarted(command.generation, started.container_id)

    async def append(self, job: Job) -> Event:
        """Compare and append: harmless when it was done before."""
        command = cast("AppendLine", job.command)
        try:
            vm = await self._vm.ready(command.session_id)
            result = await vm.append(
                session_id=command.session_id,
                generation=command.generation,
                expected=command.expected,
                line=command.line.encode("ascii"),
                epoch=self._vm.epoch,
            )
        except Refused as refusal:
            if refusal.code in ABOUT_US:
                raise later(refusal) from refusal
            return AppendRefused(command.generation, command.expected, -1)
        if isinstance(result, LengthMismatch):
            return AppendRefused(command.generation, command.expected, result.length)
        return LineAppended(command.generation, result.length)

    async def stop(self, job: Job) -> Event:
        """Stop and remove the container; finding it gone is as good. A refusal leaves it running: tried again."""
        command = cast("StopAgent", job.command)
        try:
            vm = await self._vm.ready(command.session_id)
            status = await vm.stop_generation(command.session_id, command.generation, self._vm.epoch)
        except Refused as refusal:
            raise later(refusal) from refusal
        return AgentStopped(command.generation, status.meaning, status.exit)

    async def probe(self, job: Job) -> Event:
        """Look for a message in the agent's own transcript."""
        command = cast("ProbeMessage", job.command)
        try:
            vm = await self._vm.ready(command.session_id)
            found = await vm.transcript_has(command.session_id, command.generation, command.uuid)
        except Refused as refusal:
            if refusal.code in ABOUT_US:
                raise later(refusal) from refusal
            found = None
        return MessageProbed(command.generation, command.uuid, found)


def later(refusal: Refused) -> Unreachable:
    """A no that can be mended and proves nothing: the step is tried again."""
    return Unreachable(str(refusal), retry_after_s=REFUSED_RETRY_S)
