"""Timers: a command whose effect is that time passes. What is due while nobody runs fires at the next start."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from sm.core.commands import SetTimer
from sm.core.events import Event, TimerFired
from sm.engine.clock import Clock
from sm.engine.dispatch import Job

STEP_S = 60.0  # so that a clock that jumps is noticed


class TimerEffectors:
    """What the fold asks of time."""

    def __init__(self, clock: Clock, recorded_ms: Callable[[], int] = lambda: 0) -> None:
        self._clock = clock
        self._recorded_ms = recorded_ms  # the journal's time, which never goes back

    async def wait(self, job: Job) -> Event:
        """Wait until the time has come, but no longer than it was away in the journal's time.

        Whoever chose an hour must not get a year, because the clock was a year ahead and is set back.
        """
        command = cast("SetTimer", job.command)
        length_ms = command.due_ms - max(self._clock.now_ms(), self._recorded_ms())
        while (left_ms := min(length_ms, command.due_ms - self._clock.now_ms())) > 0:
            step_s = min(left_ms / 1000, STEP_S)
            await self._clock.sleep(step_s)
            length_ms -= round(step_s * 1000)
        return TimerFired(command.name, command.generation)
