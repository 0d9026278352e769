"""How a request to a peer can fail: known not to have happened, or unknown."""

from __future__ import annotations


class PeerError(Exception):
    """A request to a peer did not succeed; the text is a sentence for a person and holds no secret."""


class Unreachable(PeerError):
    """Whether the request took effect is not known (no connection, a time-out, a 5xx, a lost reply).

    The caller probes before it tries again. `retry_after_s` is the peer's own wish, if it gave one.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Refused(PeerError):
    """The peer said a definite no: sent again as it is, it would be refused again.

    `code` is a short stable word (`no_permission`, `too_long`, `repository_missing`, …) that renderers turn
    into advice; the message is the peer's own reason, bounded and without secrets.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
