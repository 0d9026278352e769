"""Conversations with the real service against real peers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import aiohttp
from attrs import define, evolve, field
from real_vm import RealVm
from schema_kit import check_journal

from sm.sandbox.assembly import Sandbox
from sm.sandbox.demo.room import Access, Room, Seen
from sm.sandbox.service_process import ServiceProcess

DEADLINE_S = 60.0
_numbers = itertools.count(1)


async def until(what: str, look: Callable[[], Awaitable[Any]], within_s: float = DEADLINE_S) -> Any:
    """Wait until `look` answers something true; the failure says what did not happen."""
    try:
        async with asyncio.timeout(within_s):
            while not (found := await look()):
                await asyncio.sleep(0.1)
            return found
    except TimeoutError:
        raise AssertionError(f"this did not happen in {within_s:g} s: {what}") from None


@define
class Rig:
    """The peers, and what a test does with them."""

    sandbox: Sandbox
    folder: Path

    @property
    def vm(self) -> RealVm:
        return cast("RealVm", self.sandbox.vm)

    async def control(self, method: str, path: str, body: object = None) -> Any:
        """Ask the control server."""
        url = f"{self.sandbox.control.url}/{path}"
        async with aiohttp.ClientSession() as http, http.request(method, url, json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json(content_type=None)

    @contextlib.asynccontextmanager
    async def talk(self, **settings: str) -> AsyncIterator[Talk]:
        """A service with a journal of its own in a channel of its own; afterwards its journal is verified."""
        number = next(_numbers)
        made = await self.control(
            "POST", "mattermost/channel", {"name": f"real-{number}", "members": ["james", "sarah", "claude"]}
        )
        folder = self.folder / f"talk-{number}"
        folder.mkdir()
        variables = {**self.sandbox.environment(), "SM_JOURNAL": str(folder / "journal.db"), **settings}
        service = ServiceProcess(variables, folder / "service.log")
        await service.start()
        try:
            said: list[str] = []
            access = evolve(Access.of(variables), channel_id=made["id"])
            async with Room(access, lambda who, line: said.append(f"{who}: {line}")) as room:
                talk = Talk(self, room, service, Path(variables["SM_SESSIONS_PATH"]), said)

                async def listens() -> bool:
                    service.check()
                    return bool((await room.state("websockets")).get("claude"))

                await until("the service listens", listens)
                try:
                    yield talk
                except Exception as error:
                    error.add_note("The channel:\n" + "\n".join(said) + f"\n{service.tail()}")
                    raise
        finally:
            await service.stop()
            await self.control("DELETE", "faults")
            self.vm.write_profile()
            await self.vm.clear()
        verified = subprocess.run(
            [sys.executable, "-m", "sm.replay", str(folder / "journal.db"), "verify"],
            capture_output=True,
            text=True,
        )
        assert verified.returncode == 0, verified.stdout + verified.stderr
        await check_journal(folder / "journal.db")


@define
class Talk:
    """One conversation."""

    rig: Rig
    room: Room
    service: ServiceProcess
    sessions: Path
    said: list[str]
    last: Seen | None = field(default=None)

    async def say(self, text: str) -> None:
        await self.room.say("james", text)

    async def sees(self, text: str, within_s: float = DEADLINE_S) -> Seen:
        """Wait for the bot's next post that holds this text, after the last one that was waited for."""
        wait = self.room.until(lambda post: post.who == "claude" and text in post.text, after=self.last)
        try:
            async with asyncio.timeout(within_s):
                self.last = await wait
        except TimeoutError:
            raise AssertionError(f"no post with {text!r} in {within_s:g} s") from None
        return self.last

    async def start(self) -> str:
        """Start a session; answers its short id."""
        await self.say("@claude start acme/webapp")
        ready = await self.sees("✅ Ready. Container: `claude-")
        return ready.text.split("claude-")[1][:8]

    async def answers(self, words: str) -> None:
        """The agent hears and answers."""
        await self.say(words)
        await self.sees(f"You said: {words}")

    async def told(self, text: str) -> None:
        """Wait until the agent has taken this text to its API."""

        async def look() -> bool:
            return any(text in one for one in (await self.room.state("agent"))["texts"])

        await until(f"the agent is told {text!r}", look)

    async def card(self, domain: str) -> Seen:
        """Wait for the card of a domain."""
        return await self.sees(f"🔒 **Network Request:** `{domain}`")

    async def decide(self, card: Seen, name: str, text: str) -> None:
        """Press the button of this name of a card, and wait until it says so and has none any more."""
        button = next(one for one in card.buttons if one.name == name)
        await self.room.press("james", card, button)
        async with asyncio.timeout(DEADLINE_S):
            await self.room.changed(card, lambda post: post.text == text and not post.buttons)

    async def stop(self) -> None:
        await self.say("@claude stop")
        await self.sees("✅ Stopped.")

    def generation(self, session: str, number: int = 1) -> Path:
        """The folder of a generation on the VM."""
        (found,) = self.sessions.glob(f"{session}*")
        return found / str(number)
