"""Buttons as Mattermost takes them, each bound by its MAC to a card, a request, an action and a channel."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from sm.core.commands import PostCard, UpdateCard
from sm.core.outcome import Refused
from sm.engine import wording
from sm.engine.wording.cards import Choice, choices, without_buttons
from sm.web.mac import card_context

T = TypeVar("T")
Attachment = dict[str, Any]
Shape = tuple[str, list[Attachment]]  # a post's text and its rows of buttons

EMPTY_FIELDS = 230  # characters of an attachment without any, as Mattermost stores it
OLD_ROOM = (
    7200  # characters for attachments: Mattermost 5.37 takes 8000 of all props, and adds some of its own
)


class Buttons:
    """Makes the rows of buttons; their MAC is made here and stands nowhere else."""

    def __init__(self, callback_url: str, secret: bytes) -> None:
        self._callback_url = callback_url
        self._secret = secret

    def shapes(self, command: PostCard | UpdateCard, *, bot: str) -> list[Shape]:
        """A card's text and buttons; where an old server has no room for them, with fewer in its second place."""
        text = wording.card(command.view, bot=bot)
        every = self._rows(command, short=False)
        if _fitting(every) == every:
            return [(text, every)]
        short = self._rows(command, short=True)
        fitting = _fitting(short)
        advice = without_buttons(len(short) - len(fitting), bot=bot)
        return [(text, every), (f"{text}\n{advice}", fitting)]

    def _rows(self, command: PostCard | UpdateCard, *, short: bool) -> list[Attachment]:
        return [
            self.row(command.card_id, command.channel_id, name, row)
            for name, row in choices(command.view, short=short)
        ]

    def row(self, card_id: str, channel_id: str, name: str, row: Iterable[Choice]) -> Attachment:
        """One row. Mattermost wants ids of letters and digits, each once in a post."""
        actions: list[dict[str, Any]] = []
        for one in row:
            context = card_context(
                self._secret,
                card_id=card_id,
                request_id=one.request_id,
                action=one.action,
                channel_id=channel_id,
            )
            actions.append(
                {
                    "id": f"{one.action}{one.place}",
                    "name": one.name,
                    "type": "button",
                    "style": one.style,
                    "integration": {"url": self._callback_url, "context": context},
                }
            )
        text = {"text": name} if name else {}
        return {"fallback": "Decide in Mattermost", **text, "actions": actions}


async def first_taken(shapes: list[Shape], send: Callable[[str, list[Attachment]], Awaitable[T]]) -> T:
    """Send the first shape for which the server has room. Raises `Refused` when it takes none."""
    for shape in shapes[:-1]:
        try:
            return await send(*shape)
        except Refused as refusal:
            if refusal.code != "too_long":
                raise
    return await send(*shapes[-1])


def _fitting(rows: Iterable[Attachment]) -> list[Attachment]:
    """The rows for which an old server has room."""
    kept: list[Attachment] = []
    room = OLD_ROOM
    for row in rows:
        length = _stored_length(row)
        if length <= room:
            kept.append(row)
            room -= length
    return kept


def _stored_length(attachment: Mapping[str, Any]) -> int:
    """How much of the post's room it takes: the server's JSON has each field that an attachment can have."""
    text = json.dumps(attachment, ensure_ascii=False, separators=(",", ":"))
    return EMPTY_FIELDS + len(text) + 5 * sum(map(text.count, "&<>"))
