"""The file of variables that is handed to whoever starts the service: readable by a shell, and by `read`."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
MAX_BYTES = 1 << 20


def write(path: Path, variables: Mapping[str, str]) -> None:
    """Write `NAME='value'` lines for `set -a; . FILE; set +a`, all of them or none (0600, by a rename).

    A value of several lines (a key) stands in its quotes as it is. Raises `OSError`.
    """
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(part).replace(path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise


def read(path: Path) -> dict[str, str]:
    """What `write` wrote. Raises `OSError`, and `ValueError` for a file of another kind."""
    with path.open(encoding="utf-8") as file:
        words = shlex.split(file.read(MAX_BYTES), comments=True)
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise ValueError(f"{path} is no file of variables: {word[:40]!r} does not begin with NAME=.")
        found[name] = value
    return found
