"""What can happen in every stream."""

from __future__ import annotations

from sm.core.events.registry import Event, event


@event("stream.opened")
class StreamOpened(Event):
    """The first event of each stream; names the version of the rules that the stream follows."""

    rules: str


@event("rules.adopted")
class RulesAdopted(Event):
    """A coordinating stream follows another version of the rules from here on."""

    rules: str


@event("stream.quarantined")
class StreamQuarantined(Event):
    """The stream could not be folded, or its refold disagrees with the record: it acts no more."""

    reason: str
    at_seq: int


@event("post.rendered")
class PostRendered(Event):
    """A command became several posts; their texts, fixed before the first request. Part n is `<command>.<n>`."""

    command_id: str
    parts: tuple[str, ...]


@event("post.sent")
class PostSent(Event):
    """A post is in the channel, confirmed. `command_id` may be that of one part."""

    command_id: str
    channel_id: str
    post_id: str


@event("post.failed")
class PostFailed(Event):
    """Mattermost refused a post for good."""

    command_id: str
    channel_id: str
    code: str
    detail: str
