"""One client's stream of events in the sandbox's Mattermost: numbered, kept for a while, sent again from a number on."""

from __future__ import annotations

import asyncio
from collections import deque

from aiohttp import web
from attrs import define, field

from sm.sandbox.mattermost.shapes import Json, go_json

KEPT_EVENTS = 128
UNSENT_EVENTS = 256

Event = tuple[str, Json, Json]


@define(eq=False)
class Connection:
    """One client's stream of events; it outlives the socket, so that the client can come back for the rest.

    `unsent` is what came while no socket was there. With `ended` the session is over: the socket stays open, deaf.
    """

    id: str
    user_id: str
    next_seq: int = 0
    kept: deque[tuple[int, str]] = field(factory=lambda: deque[tuple[int, str]](maxlen=KEPT_EVENTS))
    unsent: deque[Event] = field(factory=lambda: deque[Event](maxlen=UNSENT_EVENTS))
    outgoing: deque[str] = field(factory=deque[str])
    changed: asyncio.Event = field(factory=asyncio.Event)
    sent: asyncio.Event = field(factory=asyncio.Event)
    request: web.Request | None = None
    lost_at: float = 0.0
    silent: bool = False
    ended: bool = False

    def push(self, event: str, data: Json, broadcast: Json) -> None:
        """Number an event, keep it, and send it if anybody is there."""
        message = {"event": event, "data": data, "broadcast": broadcast, "seq": self.next_seq}
        text = go_json(message)
        self.kept.append((self.next_seq, text))
        self.next_seq += 1
        if self.request is not None:
            self.send(text)
        else:
            self.unsent.append((event, data, broadcast))

    def skip(self) -> None:
        """Use up an event's number without keeping or sending one."""
        self.next_seq += 1

    def send(self, text: str) -> None:
        """Put a frame behind those that are already on their way."""
        if self.silent:
            return
        self.outgoing.append(text)
        self.sent.clear()
        self.changed.set()

    def replay(self, sequence: int) -> bool:
        """Send again from that number on; no when some of it is no longer kept."""
        if sequence > self.next_seq or (sequence < self.next_seq and not self._keeps(sequence)):
            return False
        for number, text in self.kept:
            if number >= sequence:
                self.send(text)
        self.unsent.clear()
        return True

    def detach(self, now: float) -> None:
        """The socket is gone; what was not sent is still kept."""
        self.request = None
        self.lost_at = now
        self.outgoing.clear()
        self.sent.set()
        self.changed.set()

    def _keeps(self, sequence: int) -> bool:
        """Whether all from that number on is there: no number that was skipped."""
        numbers = {number for number, _ in self.kept}
        return all(number in numbers for number in range(sequence, self.next_seq))
