"""The hash chain over a journal's events; pure.

`content_hash` is the SHA-256 of the canonical JSON of the list
[kind, version, recorded_at_ms, cause, key, payload, state_after], where payload is the JSON *value*.
`chain_hash` is the SHA-256 of the UTF-8 bytes of four texts joined with a newline: the previous event's
chain hash (64 zeros before the first), seq in decimal, stream, content_hash. Seq and the hashes hold no
newline, so the encoding is unambiguous whatever a stream is called. Both are written as lower-case hex.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from sm.journal.rows import NewEvent, StoredEvent

GENESIS = "0" * 64
"""What stands for the previous chain hash before the first event."""

_canonical = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, check_circular=False
)


def canonical_json(value: object) -> str:
    """Write a JSON value in its one form: sorted keys, no spaces, ASCII only.

    Raises ValueError for NaN and the infinities, TypeError for what is no JSON value.
    """
    return _canonical.encode(value)


def content_hash(event: NewEvent) -> str:
    """Hash what an event says; raises ValueError when its payload is no JSON."""
    payload = json.loads(event.payload)
    text = canonical_json(
        [event.kind, event.version, event.recorded_at_ms, event.cause, event.key, payload, event.state_after]
    )
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def chain_hash(previous: str, seq: int, stream: str, content: str) -> str:
    """Hash an event's place: everything before it, its seq, its stream and its content hash."""
    return hashlib.sha256(f"{previous}\n{seq}\n{stream}\n{content}".encode()).hexdigest()


class ChainVerifier:
    """Checks events as they come, page by page, from the journal's first on.

    It keeps the *recorded* chain hash as the base of the next check, so that one changed row is one problem
    and not one for every row after it. `problems` collects sentences, at most `limit` of them.
    """

    def __init__(self, *, limit: int = 100) -> None:
        self.problems: list[str] = []
        self.checked = 0
        self.last_chain_hash = GENESIS
        self._expected_seq = 1
        self._limit = limit

    def feed(self, events: Iterable[StoredEvent]) -> None:
        """Check the next events; each must follow the one before it."""
        for event in events:
            for problem in self._check(event):
                if len(self.problems) < self._limit:
                    self.problems.append(f"seq {event.seq}: {problem}")
            self.checked += 1
            self.last_chain_hash = event.chain_hash
            self._expected_seq = event.seq + 1

    def _check(self, event: StoredEvent) -> Iterable[str]:
        if event.seq != self._expected_seq:
            yield f"expected seq {self._expected_seq} here: events are missing or out of order"
        try:
            content = content_hash(event)
            if canonical_json(json.loads(event.payload)) != event.payload:
                yield "the payload is not written in its canonical form"
        except (ValueError, RecursionError) as error:
            yield f"the payload is no JSON ({type(error).__name__})"
            return
        if content != event.content_hash:
            yield (
                "the content differs from its content_hash (kind, version, recorded_at_ms, cause, key, payload"
                f" or state_after was changed): recorded {event.content_hash}, computed {content}"
            )
        chained = chain_hash(self.last_chain_hash, event.seq, event.stream, event.content_hash)
        if chained != event.chain_hash:
            yield (
                "the chain_hash differs (seq, stream, content_hash or the event before it was changed):"
                f" recorded {event.chain_hash}, computed {chained}"
            )


def verify_chain(events: Iterable[StoredEvent]) -> list[str]:
    """Check a whole journal from its first event; answer the problems, each naming its seq."""
    verifier = ChainVerifier()
    verifier.feed(events)
    return verifier.problems
