"""Timers: a command whose effect is that time passes. What is due while nobody runs fires at the next start."""

from __future__ import annotations

from typing import cast

from sm.core.commands import SetTimer
from sm.core.events import Event, TimerFired
from sm.engine.clock import Clock
from sm.engine.dispatch import Job

STEP_S = 60.0  # so that a clock that jumps is noticed


class TimerEffectors:
    """What the fold asks of time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def wait(self, job: Job) -> Event:
        """Wait until the time has come."""
        command = cast("SetTimer", job.command)
        while (left_ms := command.due_ms - self._clock.now_ms()) > 0:
            await self._clock.sleep(min(left_ms / 1000, STEP_S))
        return TimerFired(command.name, command.generation)
