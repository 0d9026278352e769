"""What Mattermost's API v4 says of users, posts and channels, and the reading of it from untrusted JSON.

Shapes as observed on Mattermost 5.37. A server's word is checked before it is believed: an identifier is
26 letters and digits (so the `id` of an error body, `api.post.…`, can never pass for one), a time is an integer of
milliseconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from attrs import field, frozen

_ID = re.compile(r"[A-Za-z0-9]{26}")
_EMOJI = re.compile(r"[A-Za-z0-9_+-]{1,64}")
_USERNAME = re.compile(r"[a-z0-9._-]{1,64}")
_UNPAIRED = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff\x00]")


class MalformedError(ValueError):
    """A body or frame is not what the API promises; the text says which part, never the value."""


@frozen
class User:
    """A person or a bot; `deleted` means deactivated."""

    id: str
    username: str
    is_bot: bool
    deleted: bool


@frozen
class Post:
    """One message. `type` is empty for what people write, `system_…` for the server's own lines.

    `create_at_ms` and `delete_at_ms` are milliseconds since 1970 (`delete_at_ms` 0: live). `props` is what
    members may read: the integration of a button is never in it. `file_ids` are the files attached to it.
    """

    id: str
    channel_id: str
    user_id: str
    message: str = field(repr=False)
    create_at_ms: int
    root_id: str
    type: str
    props: Mapping[str, Any] = field(repr=False)
    delete_at_ms: int
    file_ids: tuple[str, ...] = ()


@frozen
class Channel:
    """A channel; `type` is O (public), P (private), D (direct) or G (group)."""

    id: str
    name: str
    display_name: str
    type: str


@frozen
class Reaction:
    """One user's emoji on a post; `emoji` is its name without colons (`white_check_mark`).

    `create_at_ms` is the reacting client's word when it gave one (the server's source, 5.37 to 11), and one that was
    taken back and given again is listed with its first: good for an order, and for no proof of when.
    """

    user_id: str
    emoji: str
    create_at_ms: int


def is_id(text: object) -> bool:
    """Whether this has the form of a Mattermost identifier."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def is_username(text: str) -> bool:
    """Whether an account could be called so, and the name can stand in a path."""
    return _USERNAME.fullmatch(text) is not None and text.strip(".") != ""


def wellformed(text: str) -> str:
    """The text as UTF-8 and PostgreSQL can hold it: surrogate pairs joined, lone ones and NUL as U+FFFD."""
    return _UNPAIRED.sub(_mend, text)


def _mend(match: re.Match[str]) -> str:
    found = match.group()
    if len(found) == 2:
        return chr(0x10000 + ((ord(found[0]) - 0xD800) << 10) + (ord(found[1]) - 0xDC00))
    return "\ufffd"


def parse_json(raw: str | bytes) -> Any:
    """Read JSON from a peer; MalformedError for whatever is not."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        pass
    raise MalformedError("not JSON")


def as_object(value: Any) -> Mapping[str, Any]:
    """The value if it is a JSON object."""
    if not isinstance(value, dict):
        raise MalformedError("not a JSON object")
    return cast("dict[str, Any]", value)


def as_list(value: Any) -> list[Any]:
    """The value if it is a JSON array."""
    if not isinstance(value, list):
        raise MalformedError("not a JSON array")
    return cast("list[Any]", value)


def parse_user(value: Any) -> User:
    """A user from `GET /users/{id}`; `is_bot` is absent for people."""
    body = as_object(value)
    return User(
        id=read_id(body, "id"),
        username=_text(body, "username"),
        is_bot=body.get("is_bot") is True,
        deleted=_integer(body, "delete_at", default=0) != 0,
    )


def parse_post(value: Any) -> Post:
    """A post as REST answers it, and as it lies (as a JSON string) in an event."""
    body = as_object(value)
    props = body.get("props")
    return Post(
        id=read_id(body, "id"),
        channel_id=read_id(body, "channel_id"),
        user_id=read_id(body, "user_id"),
        message=wellformed(_text(body, "message")),
        create_at_ms=_integer(body, "create_at"),
        root_id=_text(body, "root_id", default=""),
        type=_text(body, "type", default=""),
        props=as_object(props) if props is not None else {},
        delete_at_ms=_integer(body, "delete_at", default=0),
        file_ids=tuple(str(item) for item in as_list(body.get("file_ids") or [])),
    )


def parse_channel(value: Any) -> Channel:
    """A channel as the lists of a team hold it."""
    body = as_object(value)
    return Channel(
        id=read_id(body, "id"),
        name=_text(body, "name"),
        display_name=_text(body, "display_name", default=""),
        type=_text(body, "type"),
    )


def parse_reaction(value: Any) -> tuple[str, Reaction]:
    """The post's id and the reaction, as REST lists it and as it lies (as a JSON string) in an event."""
    body = as_object(value)
    emoji = _text(body, "emoji_name")
    if _EMOJI.fullmatch(emoji) is None:
        raise MalformedError("`emoji_name` is not an emoji's name")
    return read_id(body, "post_id"), Reaction(
        user_id=read_id(body, "user_id"), emoji=emoji, create_at_ms=_integer(body, "create_at")
    )


def read_id(body: Mapping[str, Any], key: str) -> str:
    """The identifier under this key."""
    value = body.get(key)
    if not is_id(value):
        raise MalformedError(f"`{key}` is not an identifier")
    return cast("str", value)


def _text(body: Mapping[str, Any], key: str, *, default: str | None = None) -> str:
    value = body.get(key, default)
    if not isinstance(value, str):
        raise MalformedError(f"`{key}` is not a text")
    return value


def _integer(body: Mapping[str, Any], key: str, *, default: int | None = None) -> int:
    value = body.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise MalformedError(f"`{key}` is not a whole number")
    return value
