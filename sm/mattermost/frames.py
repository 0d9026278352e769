"""What the frames of Mattermost's WebSocket mean, and which of them are missing. No I/O.

Facts as observed on Mattermost 5.37: events carry `seq`, counted from 0 within a connection id; replies carry `seq_reply`
instead. A new connection id begins with `hello`; a resumed one goes on with the next seq and no hello, or says
nothing at all when nothing was missed. A resume that asks for what the server no longer has gets a `hello` with another
id, and later perhaps a second one with that same id, counted like any event. A connection that did not
authenticate answers each request with `FAIL` and 401.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from attrs import frozen

from sm.mattermost.models import (
    MalformedError,
    Post,
    as_object,
    is_id,
    parse_json,
    parse_post,
    parse_reaction,
    read_id,
)
from sm.mattermost.transport import printable

_log = structlog.get_logger(__name__)


@frozen
class Connected:
    """The stream goes on. `resumed` False: it is a new one, and what came before is only to be had by backfill."""

    resumed: bool


@frozen
class Posted:
    """A post in any channel that the bot is in: anybody's, the bot's own and the system's too."""

    post: Post
    sender_name: str


@frozen
class Reacted:
    """Somebody put an emoji on a post in a channel that the bot is in; said again when it is there already.

    Whoever it is need not be a member of the channel: a system administrator can do it from outside. `create_at_ms`
    is their client's word when it gave one. `emoji` is the name, without colons.
    """

    post_id: str
    channel_id: str
    user_id: str
    emoji: str
    create_at_ms: int


@frozen
class ChannelJoined:
    """The bot is now a member of this channel, or the channel is back from the archive."""

    channel_id: str


@frozen
class ChannelLeft:
    """The bot is no longer a member of this channel, or the channel was archived."""

    channel_id: str


@frozen
class Disconnected:
    """There is no connection, and the next is being tried; said once for each new reason."""

    reason: str


SocketEvent = Connected | Posted | Reacted | ChannelJoined | ChannelLeft | Disconnected


class LostError(Exception):
    """The connection is over. `denied`: the token may be why; `wait_s`: the server asked for this delay."""

    def __init__(self, reason: str, *, denied: bool = False, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.denied = denied
        self.wait_s = wait_s


class Sequence:
    """Follows one bot's stream over any number of connections; knows what to ask for when it resumes.

    `confirmed` is whether the server has said, in the present connection, where the stream stands.
    """

    def __init__(self, bot_id: str) -> None:
        self._bot_id = bot_id
        self._connection_id = ""
        self._next_seq = 0
        self.confirmed = False

    def begin(self) -> None:
        """A connection has been opened; nothing is known of it yet."""
        self.confirmed = False

    def forget(self) -> None:
        """Make the next connection a new stream."""
        self._connection_id = ""
        self._next_seq = 0

    def resume_query(self) -> dict[str, str]:
        """The handshake's parameters, none for a new stream."""
        if not self._connection_id:
            return {}
        return {"connection_id": self._connection_id, "sequence_number": str(self._next_seq)}

    def take(self, frame: str) -> list[SocketEvent]:
        """What a text frame means for the consumer. LostError when frames are missing or the token is not accepted."""
        try:
            body = as_object(parse_json(frame))
            return self._reply(body) if "seq_reply" in body else self._event(body)
        except MalformedError as error:
            _log.warning("mattermost.frame_skipped", why=str(error), size=len(frame))
            return []

    def _reply(self, body: Mapping[str, Any]) -> list[SocketEvent]:
        error = body.get("error")
        if body.get("status") == "OK":
            return self._resumed()
        if isinstance(error, dict) and as_object(error).get("status_code") == 401:
            raise LostError("Mattermost did not accept the bot's token on the WebSocket", denied=True)
        return []

    def _resumed(self) -> list[SocketEvent]:
        if self.confirmed or not self._connection_id:
            return []
        self.confirmed = True
        return [Connected(resumed=True)]

    def _event(self, body: Mapping[str, Any]) -> list[SocketEvent]:
        name, seq = body.get("event"), body.get("seq")
        if not isinstance(name, str) or not isinstance(seq, int) or isinstance(seq, bool):
            raise MalformedError("neither an event nor a reply")
        if name == "hello" and (started := self._hello(body, seq)):
            return started
        before = self._place(seq)
        if before is None:
            return []
        try:
            return before + self._meaning(name, _part(body, "data"), _part(body, "broadcast"))
        except MalformedError as error:
            _log.warning("mattermost.event_skipped", event_name=printable(name, 40), seq=seq, why=str(error))
            return before

    def _hello(self, body: Mapping[str, Any], seq: int) -> list[SocketEvent]:
        """A new stream's beginning; empty for a repeated greeting inside the known one."""
        found = _part(body, "data").get("connection_id")
        connection_id = found if is_id(found) else ""
        if self.confirmed and connection_id == self._connection_id:
            return []
        self._connection_id = str(connection_id)
        self._next_seq = seq + 1
        self.confirmed = True
        return [Connected(resumed=False)]

    def _place(self, seq: int) -> list[SocketEvent] | None:
        """Count an event in: what is to be said before it, None for one that was there already."""
        if not self.confirmed and not self._connection_id:
            self.confirmed = True
            self._next_seq = seq + 1
            return [Connected(resumed=False)]
        if seq < self._next_seq:
            return None
        if seq > self._next_seq:
            missing = f"events {self._next_seq} to {seq - 1} of the WebSocket are missing"
            self.forget()
            raise LostError(missing)
        self._next_seq += 1
        return self._resumed()

    def _meaning(self, name: str, data: Mapping[str, Any], broadcast: Mapping[str, Any]) -> list[SocketEvent]:
        if name == "posted":
            post, sender = data.get("post"), data.get("sender_name")
            if not isinstance(post, str):
                raise MalformedError("`post` is not a text")
            return [Posted(parse_post(parse_json(post)), sender if isinstance(sender, str) else "")]
        if name == "reaction_added":
            return [_reacted(data, broadcast)]
        make = _MEMBERSHIP.get(name)
        channel_id = data.get("channel_id") or broadcast.get("channel_id")
        about = data.get("user_id") or broadcast.get("user_id") or self._bot_id
        if make is None or about != self._bot_id:
            return []
        if not isinstance(channel_id, str) or not is_id(channel_id):
            raise MalformedError("no channel id")
        return [make(channel_id)]


def _reacted(data: Mapping[str, Any], broadcast: Mapping[str, Any]) -> Reacted:
    """The reaction is a JSON text in `data`; the channel is told in `broadcast`, by older servers there alone."""
    text = data.get("reaction")
    if not isinstance(text, str):
        raise MalformedError("`reaction` is not a text")
    post_id, reaction = parse_reaction(parse_json(text))
    return Reacted(
        post_id=post_id,
        channel_id=read_id(broadcast, "channel_id"),
        user_id=reaction.user_id,
        emoji=reaction.emoji,
        create_at_ms=reaction.create_at_ms,
    )


#: The channel is in `broadcast` or, where the event goes to one user alone (`user_removed` of oneself), in `data`.
_MEMBERSHIP: dict[str, type[ChannelJoined | ChannelLeft]] = {
    "user_added": ChannelJoined,
    "direct_added": ChannelJoined,
    "group_added": ChannelJoined,
    "channel_created": ChannelJoined,
    "channel_restored": ChannelJoined,
    "user_removed": ChannelLeft,
    "channel_deleted": ChannelLeft,
}


def _part(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key)
    return as_object(value) if value is not None else {}
