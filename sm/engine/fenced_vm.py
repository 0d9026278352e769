"""The VM as this copy of the service may use it: host key trusted and committed, our epoch in each session's folder."""

from __future__ import annotations

import asyncio

import structlog

from sm.core import streams
from sm.core.events import HostKeySeen
from sm.core.memory import SessionData
from sm.core.outcome import Refused
from sm.core.vm import VmData
from sm.engine.writer import Submission, Writer
from sm.vm.client import HostKey, Vm
from sm.vm.network import Reach

log = structlog.get_logger(__name__)


class FencedVm:
    """Hands out the VM for a session once our epoch stands in that session's folder (invariant 12)."""

    def __init__(self, vm: Vm, *, host: str, epoch: int, writer: Writer, key_is_configured: bool) -> None:
        self._vm = vm
        self._host = host
        self._writer = writer
        self._key_known = key_is_configured
        self._key_lock = asyncio.Lock()
        self._fenced: dict[str, asyncio.Lock] = {}
        self._done: set[str] = set()
        self.epoch = epoch

    async def ready(self, session_id: str) -> Vm:
        """The VM, for steps of this session. Raises `Unreachable`, `Refused` (another host key, a newer epoch)."""
        await self._trust(session_id)
        async with self._fenced.setdefault(session_id, asyncio.Lock()):
            if session_id not in self._done:
                await self._vm.fence(session_id, self.epoch)
                self._done.add(session_id)
        return self._vm

    async def reach(self, domain: str, within_s: float) -> Reach:
        """Try a domain from a container of no session. Raises `Unreachable`, `Refused` (`host_key_unknown` before any)."""
        async with self._key_lock:
            if not self._key_known and not self._pin_known():
                raise Refused("host_key_unknown", "The VM's host key is not known before its first session.")
        return await self._vm.network.reach(domain, within_s=within_s)

    def _pin_known(self) -> bool:
        """Trust the key that was committed, if there is one."""
        data: VmData = self._writer.state(streams.vm(self._host)).data
        if data.public_key:
            self._vm.pin(HostKey(data.public_key, data.fingerprint))
            self._key_known = True
        return self._key_known

    async def close(self) -> None:
        """Close the connections."""
        await self._vm.close()

    async def _trust(self, session_id: str) -> None:
        """Without a configured key the first one seen is committed, then pinned; any other is refused."""
        async with self._key_lock:
            if self._key_known:
                return
            stream = streams.vm(self._host)
            data: VmData = self._writer.state(stream).data
            if not data.public_key:
                seen = await self._vm.fetch_host_key()
                log.warning(
                    "trusting the VM's host key from now on; set SM_VM_HOST_KEY to choose another",
                    host=self._host,
                    fingerprint=seen.fingerprint,
                )
                session: SessionData = self._writer.state(streams.session(session_id)).data
                event = HostKeySeen(self._host, seen.public_key, seen.fingerprint, session.channel_id)
                outcome = await self._writer.submit(
                    Submission(stream, lambda _: event, f"hostkey:{self._host}")
                )
                data = outcome.state.data
            self._vm.pin(HostKey(data.public_key, data.fingerprint))
            self._key_known = True
