"""A conversation on disk, below `$CLAUDE_CONFIG_DIR` or `$HOME/.claude`: `projects/<cwd>/<session>.jsonl`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, cast

from sm.sandbox.agent.cli import lines


class Transcript:
    """One session's file, and the messages of it that the API gets."""

    def __init__(self, session: str, cwd: str) -> None:
        config = os.environ.get("CLAUDE_CONFIG_DIR") or str(Path(os.environ.get("HOME", "/")) / ".claude")
        self.session = session
        self.cwd = cwd
        self.path = Path(config) / "projects" / re.sub(r"[^A-Za-z0-9]", "-", cwd) / f"{session}.jsonl"
        self.messages: list[dict[str, Any]] = []
        self.seen: set[str] = set()
        self._last: str | None = None

    @property
    def exists(self) -> bool:
        """Whether the session has been written to before."""
        return self.path.exists()

    def load(self) -> None:
        """Take up what an earlier process wrote. A line that its death tore is left out."""
        for text in self.path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                record = cast("dict[str, Any]", json.loads(text))
            except ValueError:
                continue
            if record.get("type") in ("user", "assistant"):
                self.messages.append(record["message"])
                self._last = record["uuid"]
            self.seen.add(str(record.get("uuid", "")))

    def add(self, role: str, content: object, uuid: str | None = None) -> None:
        """Append a message; it is in the file before anything is said about it."""
        message: dict[str, Any] = {"role": role, "content": content}
        identity = uuid or lines.new_id()
        self.messages.append(message)
        self.seen.add(identity)
        record = {
            "parentUuid": self._last, "isSidechain": False, "type": role, "message": message, "uuid": identity,
            "timestamp": lines.now(), "cwd": self.cwd, "sessionId": self.session, "version": lines.VERSION,
        }  # fmt: skip
        self._last = identity
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
