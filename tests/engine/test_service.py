"""The service put together, in this process: how it starts over an earlier journal, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from attrs import evolve
from chat_kit import Bench, Town
from engine_kit import ALIAS, CHANNEL_STREAM, Engine, ManualClock, ready_session, until

from sm.core import fold as rules
from sm.core.commands import Say
from sm.core.events import Ask, ChannelJoined, NetworkRequested
from sm.engine import service as module
from sm.engine.faultpoints import NoFaults
from sm.journal.claim import this_process
from sm.journal.rows import Holder
from sm.journal.sqlite import InlineSqliteJournal
from sm.settings import load

KEY = asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh").decode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """The service over a journal, before the town; VM and firewall are away."""

    def __init__(self, town: Town, path: Path) -> None:
        self.town, self.port = town, free_port()
        environment = {
            "SM_MATTERMOST_URL": town.peer.url,
            "SM_MATTERMOST_TOKEN": town.peer.bot_token,
            "SM_VM_HOST": "127.0.0.1:1",
            "SM_VM_SSH_KEY": KEY,
            "SM_OPNSENSE_URL": "https://127.0.0.1:1",
            "SM_OPNSENSE_KEY": "k" * 20,
            "SM_OPNSENSE_SECRET": "s" * 20,
            "SM_JOURNAL": str(path),
            "SM_RESOLVER": "127.0.0.1:1",
            "SM_LISTEN_ADDR": f"127.0.0.1:{self.port}",
            "SM_CALLBACK_URL": f"http://127.0.0.1:{self.port}/callback",
        }
        self.task = asyncio.create_task(module.serve(load(environment), faults=NoFaults()))

    async def status(self, path: str) -> int:
        try:
            async with self.town.http.get(f"http://127.0.0.1:{self.port}{path}") as response:
                return response.status
        except OSError:
            return 0

    async def ready(self) -> Running:
        while await self.status("/ready") != 200:
            assert not self.task.done(), self.task.exception()
            await asyncio.sleep(0.01)
        return self

    async def stop(self) -> None:
        if not self.task.done():
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(self.task, 15)


Serve = Callable[[], Awaitable[Running]]


@pytest.fixture
async def serve(town: Town, path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    ended: list[BaseException] = []
    monkeypatch.setattr(module, "fatal", ended.append)
    started: list[Running] = []

    async def start() -> Running:
        running = Running(town, path)
        started.append(running)
        return await asyncio.wait_for(running.ready(), 15)

    yield start
    for running in started:
        await running.stop()
    assert ended == []


async def rows(path: Path) -> list[Any]:
    journal = InlineSqliteJournal.open(path, read_only=True)
    found = [row async for page in journal.read() for row in page]
    await journal.close()
    return found


async def leave(engine: Engine) -> None:
    """As the service ends when it is asked to: the claim is given back."""
    await engine.journal.release(engine.epoch)
    await engine.crash()


async def test_it_answers_in_the_chat_and_ends_when_asked(serve: Serve, town: Town, path: Path) -> None:
    running = await serve()
    assert await running.status("/health") == 200
    await until(lambda: town.peer.hub.listeners().get("claude"))
    await town.write("james", "@claude help")
    await until(town.messages)
    assert town.messages()[0].startswith("`@claude start org/repo`")
    await running.stop()
    assert await running.status("/health") == 0
    journal = InlineSqliteJournal.open(path, read_only=True)
    claim = await journal.current_claim()
    await journal.close()
    assert claim is not None
    assert claim.released


async def test_it_ends_when_asked_while_it_still_watches_another_copys_claim(
    town: Town, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = InlineSqliteJournal.open(path)
    await journal.claim(Holder("elsewhere", "pid:[1]", 1, 1))
    await journal.close()
    watches = asyncio.Event()

    def here() -> Holder:
        watches.set()
        return this_process()

    monkeypatch.setattr(module, "this_process", here)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # this process is not to die of it
    try:
        running = Running(town, path)
        await asyncio.wait_for(watches.wait(), 15)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running.task, 15)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert await rows(path) == []


async def test_it_is_ready_although_every_neighbour_is_away(serve: Serve, town: Town) -> None:
    town.arm("server_error", times=None)
    running = await serve()
    assert await running.status("/ready") == 200


async def test_a_stream_that_the_rules_of_now_answer_otherwise_is_quarantined_loudly(
    serve: Serve, start_engine: Any, town: Town, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says of it comes after what was still owed to the channel, and makes none of that twice."""
    engine = await start_engine(path, clock=ManualClock())
    await engine.happen(f"channel:{town.channel}", ChannelJoined(town.channel, "claude-project", None))
    town.arm("lost_reply", method="POST", path="/api/v4/posts")
    bench = await Bench(engine, town).start()
    await ready_session(engine, channel=town.channel)
    await until(lambda: engine.clock.sleepers)  # `Preparing` stands there, and nobody knows
    await bench.stop()
    await leave(engine)
    town.ahead_s = 31
    true_fold = rules.fold

    def fold(state: Any, recorded: Any) -> Any:
        folded = true_fold(state, recorded)
        is_grant = recorded.event.KIND == "repository.granted"
        return evolve(folded, commands=(*folded.commands, Say("x", "help"))) if is_grant else folded

    monkeypatch.setattr(rules, "fold", fold)
    running = await serve()
    await until(lambda: any("quarantined" in text for text in town.messages()))
    await running.stop()
    heads = [text.split()[0] for text in town.messages()]
    assert heads == ["📦", "🚀", "✅", "❌"]
    quarantined = [row for row in await rows(path) if row.kind == "stream.quarantined"]
    assert len(quarantined) == 1
    assert quarantined[0].stream.startswith("session:")
    assert "chat.say, repository.prepare, chat.say" in quarantined[0].payload


async def test_after_a_start_the_rules_are_compared_no_more_until_they_change(
    serve: Serve, start_engine: Any, path: Path
) -> None:
    engine = await start_engine(path)
    await engine.happen(CHANNEL_STREAM, ChannelJoined("c" * 26, "x", None))
    await leave(engine)
    await (await serve()).stop()
    journal = InlineSqliteJournal.open(path, read_only=True)
    assert await journal.meta("rules_hash") == module.recover.__globals__["rules_hash"]()
    await journal.close()


async def test_a_press_of_before_the_start_still_counts_and_waits_for_the_firewall(
    serve: Serve, start_engine: Any, town: Town, path: Path
) -> None:
    engine = await start_engine(path)
    asked = NetworkRequested("s1", town.channel, (Ask("r1", "pypi.org"),))
    await engine.happen(f"alias:{ALIAS}", asked)
    await leave(engine)
    await serve()
    await until(town.ours)
    [card] = town.ours()
    assert await town.press("james", card.id, town.buttons(card)[0]["id"]) == 200
    await until(lambda: town.messages()[0].startswith("⏳ **Network Request:** `pypi.org`"))
