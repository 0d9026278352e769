"""A press of a button, as Mattermost posts it: read strictly, since anybody can post one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from attrs import frozen

from sm.web.mac import verify

_ID = re.compile(r"[a-z0-9]{26}")  # what Mattermost calls everything
_OURS = re.compile(r"[A-Za-z0-9._:/#@-]{1,160}")

GRAMMAR: Mapping[str, re.Pattern[str]] = {
    "user_id": _ID,
    "channel_id": _ID,
    "post_id": _ID,
    "trigger_id": re.compile(r"[A-Za-z0-9+/=_-]{1,1024}"),
    "user_name": re.compile(r"[A-Za-z0-9._:-]{0,64}"),
}
CONTEXT_GRAMMAR: Mapping[str, re.Pattern[str]] = {
    "card_id": _OURS,
    "request_id": _OURS,
    "action": re.compile(r"[a-z][a-z_]{0,31}"),
    "mac": re.compile(r"[0-9a-f]{64}"),
}


@frozen
class Press:
    """A button of ours was pressed. By whom is the caller's word only: look the user up before believing it."""

    card_id: str
    request_id: str
    action: str
    channel_id: str
    user_id: str
    user_name: str
    post_id: str
    trigger_id: str


class NotAPress(Exception):
    """`reason` is `malformed`, or where the button isn't ours `no_mac` and, the shape being right, `bad_mac`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_press(body: Any, secret: bytes) -> Press:
    """The press in a decoded body. Raises `NotAPress`; unknown fields are left unread."""
    fields = _fields(body, GRAMMAR)
    given = cast("dict[str, Any]", body).get("context")
    if isinstance(given, dict) and "mac" not in given:
        raise NotAPress("no_mac")
    context = _fields(given, CONTEXT_GRAMMAR)
    mac = context.pop("mac")
    channel_id = fields["channel_id"]
    ours = verify(
        secret,
        mac,
        card_id=context["card_id"],
        request_id=context["request_id"],
        action=context["action"],
        channel_id=channel_id,
    )
    if not ours:
        raise NotAPress("bad_mac")
    return Press(**context, **fields)


def _fields(value: Any, grammar: Mapping[str, re.Pattern[str]]) -> dict[str, str]:
    if not isinstance(value, dict):
        raise NotAPress("malformed")
    found = cast("dict[str, Any]", value)
    fields: dict[str, str] = {}
    for name, pattern in grammar.items():
        text = found.get(name)
        if not isinstance(text, str) or not pattern.fullmatch(text):
            raise NotAPress("malformed")
        fields[name] = text
    return fields
