"""The prompt after the demo: write as james or as sarah, press buttons, look at the firewall, kill the service."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

from sm.sandbox.assembly import ALIAS
from sm.sandbox.demo.room import Room, RoomError, Seen
from sm.sandbox.demo.screen import Screen
from sm.sandbox.service_process import ServiceEndedError, ServiceProcess

MAX_LINE_BYTES = 1 << 16
_MOST_WORDS = {"press": 3, "react": 2}  # behind a command; more, and it is a message

HELP = """\
  TEXT                      write it as james             (@claude start acme/webapp · @claude stop · @claude status)
  sarah: TEXT               write it as sarah
  thread: TEXT              write it as james in the thread that was written to last
  press CHOICE [HOST] [N]   press approve, session, hour, deny, retry or a set's name (of HOST) on the newest card, or card N
  react yes|no [N]          put ✅ or ❌ on it
  firewall                  what the firewall's alias and its table hold
  kill                      kill the service at once (SIGKILL)
  restart                   start it again (and kill it first, if it runs)
  help                      this
  leave                     end everything (also Ctrl-D)
The agent plays: add PACKAGE to the project · please open DOMAIN · run COMMAND · say WORDS · sleep SECONDS · die"""


class Prompt:
    """Reads lines from standard input until `leave` or its end."""

    def __init__(self, room: Room, service: ServiceProcess, screen: Screen) -> None:
        self._room = room
        self._service = service
        self._screen = screen
        self._commands: dict[str, Callable[[list[str]], Awaitable[None]]] = {
            "press": self._press,
            "react": self._react,
            "firewall": self._firewall,
            "kill": self._kill,
            "restart": self._restart,
            "help": self._help,
        }

    async def run(self) -> None:
        """Answer what is typed, one line after the other."""
        self._screen.line("\nThe sandbox stays up. Write to #claude-project as james, or a command:")
        self._screen.line(HELP)
        self._screen.prompt()
        watch = asyncio.create_task(self._watch_service())
        try:
            async for line in _typed():
                if line == "leave":
                    return
                if line:
                    await self._do(line)
                self._screen.answered()
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _do(self, line: str) -> None:
        word, *rest = line.split()
        command = self._commands.get(word)
        try:
            if command is not None and len(rest) <= _MOST_WORDS.get(word, 0):
                await command(rest)
            elif line.startswith("sarah:"):
                await self._room.say("sarah", line.removeprefix("sarah:").strip())
            elif line.startswith("thread:"):
                root_id = self._room.newest_thread()
                await self._room.say("james", line.removeprefix("thread:").strip(), root_id=root_id)
            else:
                await self._room.say("james", line.removeprefix("james:").strip())
        except (RoomError, ServiceEndedError) as error:
            self._screen.line(f"! {error}")

    async def _press(self, rest: list[str]) -> None:
        choice, *about = rest or [""]
        card = self._card(choice, about)
        host = next((word for word in about if not word.isdecimal()), "")
        buttons = [one for one in card.buttons if host in one.about]
        button = next((one for one in buttons if choice.lower() in (one.id, *_words(one.name))), None)
        if button is None:
            raise RoomError(f"That card has no button {' '.join(rest)!r}: {' '.join(card.lines())}")
        await self._room.press("james", card, button)

    async def _react(self, rest: list[str]) -> None:
        choice, *number = rest or [""]
        emoji = {"yes": "white_check_mark", "no": "x"}.get(choice)
        await self._room.react("james", self._card(emoji or "", number), emoji or "")

    def _card(self, choice: str, rest: list[str]) -> Seen:
        """The card of a number among what is typed behind a choice; without one the newest."""
        cards = self._room.cards()
        number = next((int(word) for word in rest if word.isdecimal()), len(cards))
        if not choice or not 1 <= number <= len(cards):
            shown = [f"  {at}: {' '.join(card.lines())}" for at, card in enumerate(cards, 1)]
            raise RoomError(
                "\n".join(["Which choice, on which card? There are now:", *(shown or ["  none"])])
            )
        return cards[number - 1]

    async def _firewall(self, _rest: list[str]) -> None:
        state = await self._room.state("opnsense")
        self._screen.line(f"  {ALIAS} holds: {', '.join(state['aliases'][ALIAS]['content']) or 'nothing'}")
        self._screen.line(f"  open addresses:  {', '.join(state['tables'].get(ALIAS, [])) or 'none'}")

    async def _kill(self, _rest: list[str]) -> None:
        if self._service.pid is None:
            raise RoomError("The service does not run; `restart` starts it.")
        await self._service.kill()

    async def _restart(self, _rest: list[str]) -> None:
        await self._service.kill()
        await self._service.start()
        self._screen.line(f"  The service is ready again, as process {self._service.pid}.")

    async def _help(self, _rest: list[str]) -> None:
        self._screen.line(HELP)

    async def _watch_service(self) -> None:
        """Say when the service ends, by whomever."""
        seen: int | None = None
        while True:
            pid = self._service.pid
            if seen is not None and pid != seen:
                self._screen.line(f"  The service's process {seen} is gone; its peers and the agent go on.")
            seen = pid
            await asyncio.sleep(0.1)


def _words(name: str) -> list[str]:
    return [word.lower().strip(":,") for word in name.split()]


async def _typed() -> AsyncIterator[str]:
    """Lines of standard input without their ends; a terminal's own line editing stays as it is."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    descriptor = sys.stdin.fileno()

    def read() -> None:
        data = os.read(descriptor, 4096)
        if not data:
            loop.remove_reader(descriptor)
        chunks.put_nowait(data)

    loop.add_reader(descriptor, read)
    pending = b""
    try:
        while data := await chunks.get():
            pending += data
            if len(pending) > MAX_LINE_BYTES:
                pending = b""
            *lines, pending = pending.split(b"\n")
            for line in lines:
                yield line.decode(errors="replace").strip()
    finally:
        loop.remove_reader(descriptor)
