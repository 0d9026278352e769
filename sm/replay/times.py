"""Times as people write and read them; inside all are milliseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sm.replay.errors import ReplayError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999  # the last that has a year of four digits


def utc(time_ms: int) -> str:
    """Write a time as people and logs do, to the millisecond."""
    seconds, milliseconds = divmod(time_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def parsed(written: str) -> int:
    """Read ISO 8601 (without a zone it is UTC) or milliseconds since 1970. Raises `ReplayError`."""
    text = written.strip()
    if text.isascii() and text.isdigit():
        time_ms = int(text[:20])
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise _unreadable(written) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        time_ms = (moment - _EPOCH) // timedelta(milliseconds=1)
    if not 0 <= time_ms <= _LAST_MS:
        raise _unreadable(written)
    return time_ms


def _unreadable(written: str) -> ReplayError:
    return ReplayError(
        f"{written[:60]!r} is no time. Write it as in 2026-11-24T15:04:00Z or 2026-11-24T16:04+01:00 (ISO 8601; without"
        " a zone it is UTC), or in milliseconds since 1970."
    )
