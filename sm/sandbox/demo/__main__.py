"""The demo: the service against the sandbox's peers, playing the specification's Example Conversation.

`scripts/demo` runs it as `python -m sm.sandbox.demo`. Exit status: 0 all of it happened, 1 it did not, 2 it could not
be tried as asked, 130 it was interrupted.
"""

from __future__ import annotations

import asyncio
import io
import os
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, cast

from cyclopts import App, Parameter

from sm.sandbox.assembly import Choices, NotOurFolderError, Sandbox
from sm.sandbox.demo import example
from sm.sandbox.demo.example import NotAsWrittenError, Played
from sm.sandbox.demo.prompt import Prompt
from sm.sandbox.demo.room import Access, Room, RoomError
from sm.sandbox.demo.screen import Screen
from sm.sandbox.ending import Signalled, until_signalled
from sm.sandbox.network.gate import Mode
from sm.sandbox.network.netns import NamespaceUnavailableError
from sm.sandbox.service_process import ServiceEndedError, ServiceProcess

EXIT_FAILED, EXIT_USAGE = 1, 2
EXAMPLE_WITHIN_S = 58.0

app = App(
    name="scripts/demo",
    help="Play the example conversation through the real service, against peers on this machine.",
    version_flags=(),
)


@app.default
def demo(
    *,
    state: Path | None = None,
    stay: bool | None = None,
    gate: Mode | None = None,
    stand_in: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Play the example conversation through the real service, against peers on this machine.

    Parameters
    ----------
    state
        Keep everything in this folder (empty, or new), the journal as journal.db; else in a new one under /tmp.
    stay
        Stay afterwards, with a prompt; the default in a terminal.
    gate
        How the network is blocked: by a network namespace or by a proxy; the best that works here if not given.
    stand_in
        Take the stand-in for the agent's CLI even where the real one is installed.

    """
    for stream in (sys.stdout, sys.stderr):
        cast("io.TextIOWrapper", stream).reconfigure(errors="replace")  # a locale without ✅ gets a ?
    staying = (sys.stdin.isatty() and sys.stdout.isatty()) if stay is None else stay
    try:
        folder = state if state is not None else Path(tempfile.mkdtemp(prefix="sm-demo-"))
        sandbox = Sandbox(folder, choices=Choices(gate=gate, claude="" if stand_in else None))
        if sandbox.journal.exists():
            return _complain(
                f"{folder} holds the journal of an earlier demo, and the example begins with an empty one: "
                "give another folder, or remove that one.",
                EXIT_USAGE,
            )
    except (NotOurFolderError, OSError) as error:
        return _complain(str(error), EXIT_USAGE)
    return _run(_Demo(sandbox), staying=staying)


def _run(one: _Demo, *, staying: bool) -> int:
    try:
        asyncio.run(until_signalled(one.run(staying=staying)))
    except Signalled as ended:
        if one.played is not None and ended.number == signal.SIGINT:
            return 0  # Ctrl-C at the prompt
        return _complain(f"{ended}, and everything was taken down.", 128 + ended.number)
    except (NotAsWrittenError, RoomError, ServiceEndedError) as error:
        return _complain(f"The example conversation did not happen as it should: {error}", EXIT_FAILED)
    except (NamespaceUnavailableError, OSError, RuntimeError) as error:
        return _complain(f"The demo could not be run: {error}", EXIT_FAILED)
    return 0


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"scripts/demo: {text}\n")
    return status


class _Demo:
    """One run of it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._screen = Screen()
        self.played: Played | None = None

    async def run(self, *, staying: bool) -> None:
        say = self._screen.line
        say("Starting a Mattermost, a VM, an OPNsense and an agent's API on this machine, and the service.")
        await self._sandbox.start()
        try:
            variables = self._sandbox.environment()
            for line in self._sandbox.announcements():
                say(f"  {line}")
            service = ServiceProcess(variables, self._sandbox.folder / "service.log")
            try:
                await service.start()
                say(f"  Service: `sm serve`, process {service.pid}, listens at {service.url}.")
                async with Room(Access.of(variables), self._screen.said) as room:
                    await self._play(room, service)
                    if staying:
                        await Prompt(room, service, self._screen).run()
                        self._screen.close()
                        self._say_where()
            finally:
                await service.stop()
        finally:
            await self._sandbox.stop()
            self._screen.close()

    async def _play(self, room: Room, service: ServiceProcess) -> None:
        say = self._screen.line
        say("\n#claude-project\n")
        began = time.monotonic()
        playing = asyncio.create_task(self._within(room))
        dying = asyncio.create_task(service.wait())
        try:
            await asyncio.wait((playing, dying), return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                await dying  # says how it ended
            self.played = playing.result()
        except NotAsWrittenError as error:
            raise NotAsWrittenError(f"{error}.{service.tail()}") from error
        finally:
            playing.cancel()
            dying.cancel()
            await asyncio.gather(playing, dying, return_exceptions=True)
        say("\nChecked outside of the chat:")
        for fact in self.played.facts:
            say(f"  ✔ {fact}")
        say(f"\nAll of it happened, in {time.monotonic() - began:.1f} s.")
        self._say_where()

    def _say_where(self) -> None:
        """Name the command that shows what happened."""
        if self.played is not None:
            command = replay_command(self._sandbox.journal, self.played.session)
            self._screen.line(f"What was recorded of it:\n  {command}")

    async def _within(self, room: Room) -> Played:
        try:
            async with asyncio.timeout(EXAMPLE_WITHIN_S):
                return await example.play(room, Path(self._sandbox.environment()["SM_SESSIONS_PATH"]))
        except TimeoutError:
            raise NotAsWrittenError(f"it was not over after {EXAMPLE_WITHIN_S:g} s") from None


def replay_command(journal: Path, session: str) -> str:
    """The command line that shows a session, from where the person stands."""
    program = Path(sys.executable).with_name("sm-replay")
    return f"{_near(program)} {_near(journal)} show {shlex.quote(session)}"


def _near(path: Path) -> str:
    relative = os.path.relpath(path)
    return shlex.quote(str(path) if relative.startswith("../..") else relative)


if __name__ == "__main__":
    status = app()
    sys.exit(status if isinstance(status, int) else 0)
