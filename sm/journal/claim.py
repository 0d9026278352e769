"""The claim of the one writer: who holds it, and when it may be taken over.

A start takes over at once when there is no holder, when the holder released, or when it is a dead process of
the same host and pid namespace. Otherwise it watches the row for 20 s: renewed meanwhile means that the holder
lives (`Held`), not renewed means that it may be taken over. Watching the counter of renewals needs no two
clocks to agree. Whoever takes over writes epoch + 1, and a paused holder that comes back is `Fenced`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from sm.journal.errors import Held
from sm.journal.rows import Claim, Holder

RENEW_EVERY_MS = 5_000
WATCH_MS = 20_000
STEP_MS = 1_000

_PROC = Path("/proc")


class ClaimRow(Protocol):
    """The row, as a store offers it."""

    async def current_claim(self) -> Claim | None:
        """Answer the row."""
        ...

    async def replace_claim(self, expected: Claim | None, new: Claim) -> bool:
        """Write `new` in one transaction if the row is still `expected`."""
        ...


def this_process() -> Holder:
    """Identify the process that asks (Linux)."""
    boot_id = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    pid = os.getpid()
    return Holder(
        host=f"{socket.gethostname()}/{boot_id}",
        pid_namespace=str((_PROC / "self/ns/pid").readlink()),
        pid=pid,
        started=_start_time(pid) or 0,
    )


def _start_time(pid: int) -> int | None:
    """Answer a process's start in clock ticks since boot (field 22 of /proc/PID/stat), None when it is gone.

    A zombie is gone: it runs no code any more.
    """
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat[stat.rindex(")") + 1 :].split()
    return None if state in "ZX" else int(fields[18])


def is_known_dead(holder: Holder, here: Holder) -> bool:
    """Answer whether `holder` is certainly dead, which only a process of its host and namespace can see."""
    if (holder.host, holder.pid_namespace) != (here.host, here.pid_namespace):
        return False
    return _start_time(holder.pid) != holder.started


async def take_claim(
    row: ClaimRow,
    here: Holder,
    *,
    now_ms: Callable[[], int],
    sleep: Callable[[float], Awaitable[None]],
    known_dead: Callable[[Holder, Holder], bool] = is_known_dead,
) -> Claim:
    """Become the holder or raise `Held`; sleeps up to `WATCH_MS` beside a holder that may live."""
    seen = await row.current_claim()
    waited_ms = 0
    while waited_ms < WATCH_MS and not _is_free(seen, here, known_dead):
        await sleep(STEP_MS / 1000)
        waited_ms += STEP_MS
        seen = await _unchanged(row, seen)
    now = now_ms()
    mine = Claim(epoch=1 if seen is None else seen.epoch + 1, holder=here, since_ms=now, renewed_at_ms=now)
    if await row.replace_claim(seen, mine):
        return mine
    current = await row.current_claim()
    raise Held(mine if current is None else current)


def _is_free(claim: Claim | None, here: Holder, known_dead: Callable[[Holder, Holder], bool]) -> bool:
    return claim is None or claim.released or known_dead(claim.holder, here)


async def _unchanged(row: ClaimRow, seen: Claim | None) -> Claim | None:
    """Read the row again; a change other than a release means that somebody lives."""
    current = await row.current_claim()
    if current != seen and current is not None and not current.released:
        raise Held(current)
    return current
