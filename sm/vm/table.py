"""What a generation's lock, exit file and container mean together: a table, from the outermost facts of the VM."""

from __future__ import annotations

from typing import Final, Literal

from sm.vm.model import Meaning

Lock = Literal["held", "free"]
Box = Literal["running", "created", "exited", "none", "failed"]

_BOXES: Final[dict[str, Box]] = {
    "running": "running",
    "paused": "running",
    "restarting": "running",
    "stopping": "running",
    "created": "created",
    "configured": "created",
    "initialized": "created",
    "exited": "exited",
    "stopped": "exited",
    "dead": "exited",
    "removing": "exited",
    "none": "none",
}
"""The states of podman and docker, brought to those that matter; any other word is no answer."""

TABLE: Final[dict[tuple[Lock, bool, Box], Meaning]] = {
    # lock, is the exit file full?, container → meaning
    ("held", False, "running"): "running",
    ("held", False, "none"): "starting",
    ("held", False, "created"): "starting",
    ("held", False, "exited"): "finishing",
    ("held", True, "running"): "finishing",
    ("held", True, "none"): "finishing",
    ("held", True, "created"): "finishing",
    ("held", True, "exited"): "finishing",
    ("free", True, "exited"): "ended",
    ("free", True, "none"): "ended",
    ("free", True, "created"): "ended",
    ("free", True, "running"): "runtime_away",
    ("free", False, "running"): "pump_killed",
    ("free", False, "created"): "cut_off",
    ("free", False, "exited"): "cut_off",
    ("free", False, "none"): "cut_off",  # it had an id once: somebody removed it
}

LIVE: Final[frozenset[Meaning]] = frozenset({"running", "starting", "finishing"})
OVER: Final[frozenset[Meaning]] = frozenset({"ended", "cut_off", "never_started"})


def box_of(state: str) -> Box:
    """The container's place in the table from the runtime's own words (`STATUS EXITCODE OOM`, `none`, `failed`)."""
    return _BOXES.get(state.split(" ", 1)[0].lower(), "failed")


def meaning_of(lock: str, exit_text: str, container_id: str, container: str) -> Meaning:
    """The meaning of what was read. A query that failed is `unknown` whatever else stands there."""
    box = box_of(container)
    if box == "failed":
        return "unknown"
    if lock != "held" and not exit_text and not container_id:
        return "never_started"
    return TABLE["held" if lock == "held" else "free", bool(exit_text), box]
