"""The names that this machine's hosts file has: a DNS question does not see them."""

from __future__ import annotations

from pathlib import Path

HOSTS = Path("/etc/hosts")
MAX_BYTES = 1 << 20


def addresses_of(name: str, file: Path = HOSTS) -> tuple[str, ...]:
    """The addresses that the file gives a name (hosts(5)), in its order; none when it cannot be read."""
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ()
    wanted = name.lower().removesuffix(".")
    rows = (line.partition("#")[0].split() for line in text.splitlines())
    return tuple(row[0] for row in rows if wanted in (word.lower() for word in row[1:]))
