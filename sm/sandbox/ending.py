"""How a program of the sandbox ends: by itself, or at the first signal, with everything taken down in both cases."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signalled(Exception):
    """A signal ended the work; `number` is which."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


async def until_signalled(work: Coroutine[Any, Any, T]) -> T:
    """Do the work; the first SIGINT, SIGTERM or SIGHUP cancels it, later ones don't disturb its taking down.

    Raises `Signalled` when that is how it ended, else what the work raises.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    came: list[int] = []

    def on_signal(number: int) -> None:
        came.append(number)
        if len(came) == 1:
            task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await task
    except asyncio.CancelledError:
        if came:
            raise Signalled(came[0]) from None
        raise
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
