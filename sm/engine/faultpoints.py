"""Named points at which the process can be made to die; a no-op in production.

`POINT:KIND`, for example `after_commit:agent.append`: between the commit of a command of that kind and its effect;
`after_effect:agent.append`: between its effect and the commit of what came of it. `after_read:alias.write`, only there:
between the record of what stands in the alias and the request that changes it.
"""

from __future__ import annotations

import os
import signal
from typing import Protocol

from sm.core.commands import COMMANDS

POINTS = ("after_commit", "after_effect")
INNER = (("after_read", "alias.write"),)


class FaultPoints(Protocol):
    """What the engine calls at each named point."""

    def reached(self, point: str, kind: str) -> None:
        """A command of this kind is at this point."""
        ...


class NoFaults:
    """Production: nothing happens."""

    def reached(self, point: str, kind: str) -> None:
        """Go on."""


class KillAt:
    """Kills the process with SIGKILL when a command of one kind reaches one point."""

    def __init__(self, point: str, kind: str) -> None:
        self._at = (point, kind)

    @classmethod
    def parse(cls, text: str) -> KillAt:
        """Read `POINT:KIND`; ValueError says which points and kinds there are."""
        point, _, kind = text.partition(":")
        if (point not in POINTS or kind not in COMMANDS) and (point, kind) not in INNER:
            raise ValueError(
                f"--fault takes POINT:KIND, POINT one of {', '.join(POINTS)}, KIND one of {', '.join(sorted(COMMANDS))}"
            )
        return cls(point, kind)

    def reached(self, point: str, kind: str) -> None:
        """Die here, without a chance to clean up."""
        if (point, kind) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
