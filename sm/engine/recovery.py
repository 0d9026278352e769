"""Start-up: rebuild every stream's state from the journal, and hold the rules against the record.

Where the rules' hash changed since the last start, each refolded command is compared with the recorded one:
another kind or id quarantines that stream, another payload is reported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable

import structlog
from attrs import field, frozen

from sm.core import fold as rules
from sm.core.commands import command_id
from sm.core.events import CardPosted, ChannelJoined, Event, MessageReceived, MessageSkipped, PostSent
from sm.core.fold import Recorded, StreamState
from sm.core.tables import SESSION_ENDED
from sm.engine.writer import Issued
from sm.journal.codec import decode_command, decode_event
from sm.journal.protocol import Journal
from sm.journal.rows import StoredCommand, StoredEvent

log = structlog.get_logger(__name__)

OVERLAP = 20  # posts of people that are read again when a gap is filled


@frozen
class Positions:
    """How far each channel is read, and which of our posts was confirmed last (`confirmed`).

    `recorded` has a channel's last posts of people, oldest first; "" stands for its beginning.
    """

    recorded: dict[str, tuple[str, ...]] = field(factory=dict[str, tuple[str, ...]])
    confirmed: dict[str, str] = field(factory=dict[str, str])

    def cursor(self, channel_id: str) -> str | None:
        """The post from behind which a gap is filled, None for the channel's beginning.

        It lies some posts back: Mattermost may announce two posts the wrong way round, and we may be gone between them.
        What is read twice is recorded once.
        """
        recorded = self.recorded.get(channel_id, ())
        return (recorded[0] or None) if recorded else None

    def note(self, event: Event) -> None:
        """Take in one event; called for each, in order, before and after the start."""
        match event:
            case MessageReceived() | MessageSkipped():
                before = self.recorded.get(event.channel_id, ())
                self.recorded[event.channel_id] = (*before, event.post_id)[-OVERLAP:]
            case ChannelJoined():
                self.recorded[event.channel_id] = (event.after_post_id or "",)
                if event.after_post_id:
                    self.confirmed.setdefault(event.channel_id, event.after_post_id)
            case PostSent() | CardPosted():
                self.confirmed[event.channel_id] = event.post_id
            case _:
                pass


@frozen
class Recovered:
    """All that a start needs to know."""

    states: dict[str, StreamState]
    positions: Positions
    last_seq: int
    last_ms: int
    outstanding: tuple[Issued, ...]
    diverged: dict[str, str]  # stream → what differs
    rules_hash: str


def rules_hash() -> str:
    """SHA-256 over the sources of `sm.core`, by their paths in it."""
    digest = hashlib.sha256()
    for name, body in sorted(_sources(resources.files("sm.core"), "")):
        digest.update(f"{name}\0{len(body)}\0".encode() + body)
    return digest.hexdigest()


def _sources(folder: Traversable, above: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _sources(entry, f"{above}{entry.name}/")
        elif entry.name.endswith(".py"):
            yield above + entry.name, entry.read_bytes()


async def recover(journal: Journal) -> Recovered:
    """Fold the whole journal. Raises `JournalError` for a record that this version can't read."""
    current = rules_hash()
    recorded_commands = await _commands(journal) if await journal.meta("rules_hash") != current else None
    states: dict[str, StreamState] = {}
    positions = Positions()
    diverged: dict[str, str] = {}
    last_seq = last_ms = 0
    async for page in journal.read():
        for row in page:
            event = decode_event(row.kind, row.version, row.payload)
            positions.note(event)
            difference = _refold(states, row, event, recorded_commands)
            if difference and row.stream not in diverged:
                diverged[row.stream] = difference
            last_seq, last_ms = row.seq, row.recorded_at_ms
    outstanding = tuple(
        Issued(row.id, row.stream, row.seq, decode_command(row.kind, row.version, row.payload))
        for row in await journal.outstanding()
    )
    diverged = {stream: why for stream, why in diverged.items() if states[stream].name not in SESSION_ENDED}
    return Recovered(states, positions, last_seq, last_ms, outstanding, diverged, current)


async def _commands(journal: Journal) -> dict[int, list[StoredCommand]]:
    found: dict[int, list[StoredCommand]] = {}
    async for page in journal.commands():
        for row in page:
            found.setdefault(row.seq, []).append(row)
    return found


def _refold(
    states: dict[str, StreamState],
    row: StoredEvent,
    event: Event,
    commands: dict[int, list[StoredCommand]] | None,
) -> str:
    before = states.get(row.stream) or rules.initial(row.stream)
    try:
        folded = rules.fold(before, Recorded(row.seq, row.stream, row.recorded_at_ms, event))
    except Exception as error:  # noqa: BLE001  # the record says itself whether this stream was quarantined here
        log.warning("event cannot be folded", stream=row.stream, seq=row.seq, error=type(error).__name__)
        states[row.stream] = before
        return f"event {row.seq} ({row.kind}) cannot be folded"
    states[row.stream] = folded.state
    if commands is None:
        return ""
    recorded = [(stored.id, stored.kind) for stored in commands.get(row.seq, [])]
    made = [(command_id(row.stream, row.seq, i), c.KIND) for i, c in enumerate(folded.commands)]
    if recorded == made:
        return ""
    return f"event {row.seq} ({row.kind}) caused {_named(recorded)}, under the rules now {_named(made)}"


def _named(commands: list[tuple[str, str]]) -> str:
    return ", ".join(kind for _, kind in commands) or "nothing"
