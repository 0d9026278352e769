"""One file of the sandbox's Mattermost, as the table of files holds it and as answers show it (5.37, observed)."""

from __future__ import annotations

import base64
import mimetypes
from pathlib import PurePosixPath

from attrs import frozen

from sm.sandbox.mattermost.shapes import Json


@frozen
class File:
    """What somebody handed in; `post_id` is empty until a post takes it. Times are milliseconds."""

    id: str
    user_id: str
    channel_id: str
    name: str
    create_at: int
    content: bytes
    post_id: str = ""

    @property
    def mime_type(self) -> str:
        """Guessed from the name."""
        guessed, _ = mimetypes.guess_type(self.name)
        if guessed is None:
            return "application/octet-stream"
        return f"{guessed}; charset=utf-8" if guessed.startswith("text/") else guessed

    def to_json(self) -> Json:
        """As the upload's answer and a post's metadata show it."""
        shown: Json = {"id": self.id, "user_id": self.user_id}
        if self.post_id:
            shown["post_id"] = self.post_id
        return shown | {
            "channel_id": "",
            "create_at": self.create_at,
            "update_at": self.create_at,
            "delete_at": 0,
            "name": self.name,
            "extension": PurePosixPath(self.name).suffix.removeprefix("."),
            "size": len(self.content),
            "mime_type": self.mime_type,
            "mini_preview": None,
            "remote_id": "",
        }

    def to_row(self) -> Json:
        """As the state's file holds it."""
        return {
            "id": self.id,
            "user_id": self.user_id,
            "channel_id": self.channel_id,
            "name": self.name,
            "create_at": self.create_at,
            "content": base64.b64encode(self.content).decode(),
            "post_id": self.post_id,
        }

    @classmethod
    def from_row(cls, row: Json) -> File:
        """What `to_row` made."""
        fields = {**row, "content": base64.b64decode(str(row["content"]))}
        return cls(**fields)  # type: ignore[arg-type]
