"""The VM as this copy may use it: its host key committed before it is trusted, our epoch before anything else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from engine_kit import CHANNEL, Engine, ready_session

from sm.core import streams
from sm.core.outcome import Refused, Unreachable
from sm.engine.fenced_vm import FencedVm
from sm.vm.model import HostKey

HOST = "vm.test:22"
STREAM = streams.vm(HOST)
FIRST = HostKey("ssh-ed25519 AAAAfirst", "SHA256:first")
OTHER = HostKey("ssh-ed25519 AAAAother", "SHA256:other")


class Vm:
    """What a VM is asked, in order. It refuses whoever is pinned to another key than it shows."""

    def __init__(self, engine: Engine, shows: HostKey = FIRST) -> None:
        self.engine, self.shows = engine, shows
        self.pinned: HostKey | None = None
        self.asked: list[str] = []
        self.troubles: list[Exception] = []

    async def fetch_host_key(self) -> HostKey:
        self.asked.append("key")
        await asyncio.sleep(0)
        if self.troubles:
            raise self.troubles.pop(0)
        return self.shows

    def pin(self, key: HostKey) -> None:
        committed = self.engine.writer.state(STREAM).data.public_key
        self.asked.append("pin committed" if committed == key.public_key else "pin")
        self.pinned = key

    async def fence(self, session_id: str, epoch: int) -> None:
        self.asked.append(f"fence {session_id} {epoch}")
        await asyncio.sleep(0)
        if self.troubles:
            raise self.troubles.pop(0)
        if self.pinned is not None and self.pinned != self.shows:
            raise Refused(
                "host_key_changed", f"{self.shows.fingerprint} instead of {self.pinned.fingerprint}"
            )

    async def close(self) -> None:
        self.asked.append("close")


def fenced(vm: Vm, *, configured: bool = False) -> FencedVm:
    return FencedVm(
        vm,  # type: ignore[arg-type]
        host=HOST,
        epoch=vm.engine.epoch,
        writer=vm.engine.writer,
        key_is_configured=configured,
    )


async def test_the_first_key_seen_is_committed_then_pinned_then_used(engine: Engine) -> None:
    vm = Vm(engine)
    assert await fenced(vm).ready("s1") is vm
    assert vm.asked == ["key", "pin committed", f"fence s1 {engine.epoch}"]
    [seen] = engine.recorded("vm.host_key_seen")
    assert (seen.stream, seen.event.fingerprint) == (STREAM, "SHA256:first")
    assert engine.writer.state(STREAM).name == "known"


async def test_the_committed_key_is_pinned_after_a_restart_and_another_is_refused(
    start_engine, path: Path
) -> None:
    engine = await start_engine(path)
    await fenced(Vm(engine)).ready("s1")
    await engine.crash()
    again = await start_engine(path)
    vm = Vm(again, shows=OTHER)
    with pytest.raises(Refused) as caught:
        await fenced(vm).ready("s1")
    assert caught.value.code == "host_key_changed"
    assert vm.asked == ["pin committed", "fence s1 2"]
    assert vm.pinned == FIRST
    assert again.writer.state(STREAM).data.fingerprint == "SHA256:first"


async def test_a_configured_key_is_left_to_the_connection(engine: Engine) -> None:
    vm = Vm(engine)
    await fenced(vm, configured=True).ready("s1")
    assert vm.asked == [f"fence s1 {engine.epoch}"]
    assert await engine.rows() == []


async def test_a_session_is_fenced_once_and_each_one_of_its_own(engine: Engine) -> None:
    vm = Vm(engine)
    service = fenced(vm)
    await asyncio.gather(*[service.ready(name) for name in ("s1", "s2", "s1", "s1")])
    await service.ready("s2")
    assert sorted(vm.asked) == [
        f"fence s1 {engine.epoch}",
        f"fence s2 {engine.epoch}",
        "key",
        "pin committed",
    ]
    assert len(engine.recorded("vm.host_key_seen")) == 1


async def test_nobody_gets_the_vm_before_the_fence_stands(engine: Engine) -> None:
    vm = Vm(engine)
    service = fenced(vm, configured=True)
    vm.troubles = [Unreachable("away"), Refused("fenced", "a newer copy has it")]
    for kind in (Unreachable, Refused):
        with pytest.raises(kind):
            await service.ready("s1")
    assert await service.ready("s1") is vm
    assert vm.asked == [f"fence s1 {engine.epoch}"] * 3


async def test_a_vm_that_is_away_is_asked_for_its_key_again(engine: Engine) -> None:
    vm = Vm(engine)
    service = fenced(vm)
    vm.troubles = [Unreachable("away")]
    with pytest.raises(Unreachable):
        await service.ready("s1")
    assert await engine.rows() == []
    await service.ready("s1")
    assert vm.asked == ["key", "key", "pin committed", f"fence s1 {engine.epoch}"]


async def test_a_new_copy_fences_with_its_higher_epoch(start_engine, path: Path) -> None:
    engine = await start_engine(path)
    await fenced(Vm(engine)).ready("s1")
    await engine.crash()
    again = await start_engine(path)
    vm = Vm(again)
    await fenced(vm).ready("s1")
    assert vm.asked[-1] == "fence s1 2"


async def test_closing_closes_the_connections(engine: Engine) -> None:
    vm = Vm(engine)
    await fenced(vm).close()
    assert vm.asked == ["close"]


async def test_the_first_key_is_shown_where_the_session_was_asked_for(engine: Engine) -> None:
    stream = await ready_session(engine)
    await fenced(Vm(engine)).ready(streams.id_of(stream))
    [said_so] = [
        issued for issued in engine.issued("chat.say") if issued.command.message == "host_key_trusted"
    ]
    assert said_so.command.channel_id == CHANNEL
    assert dict(said_so.command.facts) == {"fingerprint": "SHA256:first", "host": HOST}
