"""The real service as a process of its own beside the peers: started, killed, started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp

READY_WITHIN_S = 40.0
_STOP_WITHIN_S = 10.0
_POLL_S = 0.05
_TAIL_BYTES = 4000


class ServiceEndedError(Exception):
    """The service ended, or did not become ready; the text says how, and what it said last."""


class ServiceProcess:
    """`sm serve` with the environment of a sandbox. What it prints goes to `log`, or where our own output goes."""

    def __init__(self, variables: Mapping[str, str], log: Path | None = None) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SM_")}
        settings = {name: value for name, value in variables.items() if name.startswith("SM_")}
        self._environment = {**inherited, **settings, "PYTHONUNBUFFERED": "1"}
        self.url = f"http://{variables['SM_LISTEN_ADDR']}"
        self.log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The running process, if there is one."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self, within_s: float = READY_WITHIN_S) -> None:
        """Start it and wait until it says that it is ready. Raises `ServiceEndedError`."""
        if self.pid is not None:
            return
        await self._spawn()
        try:
            async with asyncio.timeout(within_s):
                await self._ready()
        except TimeoutError:
            raise ServiceEndedError(f"The service was not ready after {within_s:g} s.{self.tail()}") from None

    async def _spawn(self) -> None:
        command = (sys.executable, "-m", "sm", "serve")
        # A session of its own: a Ctrl-C in the terminal is ours to pass on.
        if self.log is None:
            self._process = await asyncio.create_subprocess_exec(
                *command, env=self._environment, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )
            return
        with self.log.open("ab") as file:
            self._process = await asyncio.create_subprocess_exec(
                *command, env=self._environment, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=True,
            )  # fmt: skip

    async def _ready(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as client:
            while True:
                self.check()
                try:
                    async with client.get(f"{self.url}/ready") as response:
                        if response.status == 200:
                            return
                except (aiohttp.ClientError, TimeoutError):
                    pass  # it does not listen yet
                await asyncio.sleep(_POLL_S)

    def check(self) -> None:
        """Raise `ServiceEndedError` when the process is no longer there."""
        if self._process is not None and self._process.returncode is not None:
            raise ServiceEndedError(f"The service ended {_how(self._process.returncode)}.{self.tail()}")

    async def wait(self) -> None:
        """Wait for its end, and raise `ServiceEndedError` then: nobody asked for it."""
        if self._process is not None:
            await self._process.wait()
            self.check()

    async def kill(self) -> None:
        """End it as a power cut would: SIGKILL."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        """Ask it to end, and kill it when it doesn't within some seconds."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                await process.wait()
        except TimeoutError:
            await self.kill()

    def tail(self) -> str:
        """What it said last, as the end of a message; empty when that is not kept in a file."""
        if self.log is None or not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            said = file.read().decode(errors="replace").strip()
        lines = "\n".join(f"  | {line}" for line in said.splitlines()[-25:])
        return f" The end of {self.log}:\n{lines or '  | (nothing)'}"


def _how(status: int) -> str:
    return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
