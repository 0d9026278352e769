"""What can go wrong with a journal; each text is a sentence for a person and holds no payload."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sm.journal.rows import Claim


class JournalError(Exception):
    """The journal can't be opened, read or written; after a failed append its outcome is unknown."""


class DuplicateKey(JournalError):
    """A batch held a key that the journal has already: nothing of the batch was written.

    `keys` are the offending ones, in the batch's order.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = tuple(keys)
        named = ", ".join(repr(key[:200]) for key in self.keys[:5])
        super().__init__(
            f"The batch was refused as a whole: these keys are in the journal or twice in it: {named}."
        )


class Fenced(JournalError):
    """The caller's epoch no longer holds the claim: another copy acts, so this one must end at once."""

    def __init__(self, *, mine: int, current: int) -> None:
        self.mine = mine
        self.current = current
        if mine == current:
            text = f"The claim of epoch {mine} was released: nothing more may be written under it."
        else:
            text = f"The journal is held under epoch {current}, this process has epoch {mine}: it must end."
        super().__init__(text)


class UnknownPayload(JournalError):
    """A stored payload does not fit the class its kind names: a key too many, one missing, a wrong type."""


class Held(JournalError):
    """Another copy holds the claim and lives; the text names it, `claim` is its row."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        since = datetime.fromtimestamp(claim.since_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        holder = claim.holder
        super().__init__(
            f"Another copy writes this journal: process {holder.pid} on {holder.host.split('/')[0]},"
            f" since {since} (epoch {claim.epoch}). Stop it first, or give this one a journal of its own."
        )
