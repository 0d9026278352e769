"""Which unkind thing a peer does next, and how long its long waits last.

Every peer of the sandbox declares the faults that it knows, and asks `Faults.hit` at the place where the fault would
strike. `sm.sandbox.control.ControlServer` lets anybody outside arm them over HTTP while all of it runs.

    faults.declare("mattermost", "lost_reply", "does what was asked and closes the connection before the answer")
    faults.declare_scale("mattermost.deduplication", "30 s in which a pending_post_id is remembered")
    ...
    if faults.hit("mattermost", "lost_reply", method="POST", path="/api/v4/posts"):
        ...
    remembered_s = 30 * faults.scale("mattermost.deduplication")
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from attrs import define, frozen

MAX_ARMED = 1000
MAX_SCALE = 1000.0


class UnknownFaultError(ValueError):
    """A fault, peer, scale or argument that nobody declared; the text is a sentence for whoever asked."""


@define
class Armed:
    """One armed fault: it strikes `times` more times (None: until cleared), after letting `after` matches pass."""

    id: int
    peer: str
    name: str
    times: int | None
    after: int
    match: dict[str, object]

    def matches(self, context: Mapping[str, object]) -> bool:
        """Whether every entry of `match` equals the context's; in a string `*` stands for anything."""
        return all(key in context and _same(wanted, context[key]) for key, wanted in self.match.items())


@frozen
class Known:
    """A fault that a peer has declared."""

    peer: str
    name: str
    description: str
    match: dict[str, object]


class Faults:
    """The registry of one sandbox. Not for threads: all peers share one event loop."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Known] = {}
        self._hits: dict[tuple[str, str], int] = {}
        self._armed: list[Armed] = []
        self._scales: dict[str, float] = {}
        self._scale_words: dict[str, str] = {}
        self._last_id = 0

    def declare(
        self, peer: str, name: str, description: str, match: Mapping[str, object] | None = None
    ) -> None:
        """Make a fault known; `match` is what an armed one matches unless it says otherwise for those keys."""
        self._known[peer, name] = Known(peer, name, description, dict(match or {}))
        self._hits.setdefault((peer, name), 0)

    def declare_scale(self, name: str, description: str) -> None:
        """Make a wait known as `peer.what`; `description` says its length unscaled."""
        self._scale_words[name] = description
        self._scales.setdefault(name, 1.0)

    def arm(
        self,
        peer: str,
        name: str,
        times: int | None = 1,
        match: Mapping[str, object] | None = None,
        after: int = 0,
    ) -> int:
        """Let a fault strike the next `times` matching occasions; answers the number it can be cleared by.

        Raises `UnknownFaultError` for what nobody declared, and for senseless numbers.
        """
        if (peer, name) not in self._known:
            raise UnknownFaultError(
                f"No fault {name!r} of a peer {peer!r} is known. Known are: {', '.join(self.names())}."
            )
        if times is not None and times < 1:
            raise UnknownFaultError(f"times is {times}: give a number of at least 1, or null for every time.")
        if after < 0:
            raise UnknownFaultError(f"after is {after}: give the number of occasions to let pass, 0 or more.")
        if len(self._armed) >= MAX_ARMED:
            raise UnknownFaultError(f"{MAX_ARMED} faults are armed already: clear them first.")
        self._last_id += 1
        wanted = {**self._known[peer, name].match, **(match or {})}
        self._armed.append(Armed(self._last_id, peer, name, times, after, wanted))
        return self._last_id

    def hit(self, peer: str, name: str, /, **context: object) -> bool:
        """Whether the fault strikes here and now. A yes consumes one of its `times`.

        Raises `KeyError` when the peer asks for a fault that it did not declare.
        """
        if (peer, name) not in self._known:
            raise KeyError(f"{peer}.{name} was never declared")
        for armed in self._armed:
            if (armed.peer, armed.name) != (peer, name) or not armed.matches(context):
                continue
            if armed.after:
                armed.after -= 1
                continue
            if armed.times is not None:
                armed.times -= 1
                if not armed.times:
                    self._armed.remove(armed)
            self._hits[peer, name] += 1
            return True
        return False

    def armed(self, peer: str, name: str) -> bool:
        """Whether the fault is armed at all, for whatever occasion; consumes nothing."""
        return any((armed.peer, armed.name) == (peer, name) for armed in self._armed)

    def hits(self, peer: str, name: str) -> int:
        """How often the fault has struck since the start."""
        return self._hits[peer, name]

    def clear(self, peer: str | None = None, name: str | None = None, number: int | None = None) -> int:
        """Disarm what matches every argument given; answers how many that were. Counts of hits stay."""
        kept = [
            armed
            for armed in self._armed
            if (peer is not None and armed.peer != peer)
            or (name is not None and armed.name != name)
            or (number is not None and armed.id != number)
        ]
        cleared = len(self._armed) - len(kept)
        self._armed = kept
        return cleared

    def scale(self, name: str) -> float:
        """The factor that a wait is multiplied by: 1.0 until it is set."""
        return self._scales.get(name, 1.0)

    def set_scale(self, name: str, factor: float) -> None:
        """Set the factor of a wait from now on; 0 makes it vanish.

        Raises `UnknownFaultError` when no such wait was declared, or for a factor that is no sensible number.
        """
        if name not in self._scales:
            known = ", ".join(sorted(self._scales)) or "none"
            raise UnknownFaultError(f"No wait {name!r} is known. Known are: {known}.")
        if not math.isfinite(factor) or not 0 <= factor <= MAX_SCALE:
            raise UnknownFaultError(f"{name} is {factor}: give a factor between 0 and {MAX_SCALE:g}.")
        self._scales[name] = factor

    def names(self) -> list[str]:
        """Every declared fault as `peer.name`, sorted."""
        return sorted(f"{peer}.{name}" for peer, name in self._known)

    def scales(self) -> dict[str, dict[str, object]]:
        """Every declared wait with its factor and what it is unscaled."""
        return {
            name: {"factor": factor, "description": self._scale_words[name]}
            for name, factor in sorted(self._scales.items())
        }

    def describe(self) -> dict[str, dict[str, dict[str, object]]]:
        """`{peer: {fault: {"description", "match", "hits", "armed": [...]}}}`, for whoever asks from outside."""
        out: dict[str, dict[str, dict[str, object]]] = {}
        for (peer, name), known in sorted(self._known.items()):
            out.setdefault(peer, {})[name] = {
                "description": known.description,
                "match": known.match,
                "hits": self._hits[peer, name],
                "armed": [
                    {"id": armed.id, "times": armed.times, "after": armed.after, "match": armed.match}
                    for armed in self._armed
                    if (armed.peer, armed.name) == (peer, name)
                ],
            }
        return out


def _same(wanted: object, found: object) -> bool:
    if isinstance(wanted, str) and isinstance(found, str) and "*" in wanted:
        pattern = ".*".join(re.escape(part) for part in wanted.split("*"))
        return re.fullmatch(pattern, found, re.DOTALL) is not None
    return wanted == found
