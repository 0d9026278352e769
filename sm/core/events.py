"""Events: facts in the past tense, as frozen attrs classes with a stable name and a version.

Whatever needs a clock, chance, a table that changes over the years, or a setting was decided before the append
(`engine/ingress.py`) and lies in the event. Times are integer milliseconds since the epoch (`_ms`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeVar, dataclass_transform

from attrs import field, frozen


class Event:
    """Base of all events: `KIND` is the name on disk, `VERSION` counts changes of the payload's shape."""

    KIND: ClassVar[str]
    VERSION: ClassVar[int] = 1
    __slots__ = ()


EVENTS: dict[str, type[Event]] = {}
E = TypeVar("E", bound=Event)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def event(kind: str) -> Callable[[type[E]], type[E]]:
    """Register an event class under its stable name."""

    def register(cls: type[E]) -> type[E]:
        made = frozen(slots=True)(cls)
        made.KIND = kind
        EVENTS[kind] = made
        return made

    return register


# --- every stream -----------------------------------------------------------------------------------------------


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


# --- channel ----------------------------------------------------------------------------------------------------

IntentName = Literal["text", "start", "stop", "status", "help", "correct"]


@frozen
class Intent:
    """What a post asks for, as the grammar read it. `problem` and `suggestion` belong to `correct` alone."""

    name: IntentName
    org: str = ""
    repo: str = ""
    problem: str = ""
    word: str = ""
    suggestion: str = ""


@frozen
class Placement:
    """Where a new session will live; decided from the settings when `start` came in."""

    session_id: str
    vm: str
    alias: str
    runtime: str
    image: str
    network: str
    permission_mode: str


@event("channel.joined")
class ChannelJoined(Event):
    """The bot reads this channel from behind `after_post_id` on (None: from its beginning)."""

    channel_id: str
    name: str
    after_post_id: str | None


@event("chat.message_received")
class MessageReceived(Event):
    """A person's post, masked. `body_at` is where the text begins behind a leading mention of the bot."""

    post_id: str
    channel_id: str
    user_id: str
    user_name: str
    text: str
    body_at: int
    mentioned: bool
    masked: int
    created_at_ms: int
    intent: Intent
    placement: Placement | None = None

    @property
    def body(self) -> str:
        """The text without the leading mention."""
        return self.text[self.body_at :]


@event("chat.message_skipped")
class MessageSkipped(Event):
    """A person's post that is not for us: it moves the cursor, its text is not stored."""

    post_id: str
    channel_id: str
    created_at_ms: int


@event("channel.session_ended")
class ChannelSessionEnded(Event):
    """The channel's session is over; the channel is free."""

    session_id: str
    outcome: str


# --- repository -------------------------------------------------------------------------------------------------


@event("repository.claim_requested")
class RepositoryClaimRequested(Event):
    """A session wants the main clone."""

    session_id: str
    channel_id: str


@event("repository.released")
class RepositoryReleased(Event):
    """A session gave the main clone back."""

    session_id: str


# --- session: how it came to be ---------------------------------------------------------------------------------


@event("session.requested")
class SessionRequested(Event):
    """Somebody wrote `start`. The session exists from here on, and posts belong to it."""

    session_id: str
    channel_id: str
    post_id: str
    user_id: str
    user_name: str
    org: str
    repo: str
    vm: str
    alias: str
    runtime: str
    image: str
    network: str
    permission_mode: str


@event("repository.granted")
class RepositoryGranted(Event):
    """The main clone is this session's."""


@event("repository.refused")
class RepositoryRefused(Event):
    """The main clone is in use by another session; without a `holder` the repository's stream is quarantined."""

    holder: str


@event("repository.prepared")
class RepositoryPrepared(Event):
    """Mirror and main clone are there and whole. Paths are on the VM."""

    path: str
    branch: str
    head: str
    mirror: str
    created: bool


@event("repository.prepare_failed")
class RepositoryPrepareFailed(Event):
    """Mirror or main clone could not be made."""

    code: str
    detail: str


# --- session: the agent and its generations ---------------------------------------------------------------------


@frozen
class Verdict:
    """One `[NETWORK_REQUEST: …]` marker and what ingress made of it. `refused` is empty for a good domain."""

    domain: str
    refused: str = ""


@event("agent.started")
class AgentStarted(Event):
    """The pump and the container of a generation run; Ready comes later, from the agent itself."""

    generation: int
    container_id: str


@event("agent.start_failed")
class AgentStartFailed(Event):
    """The container could not be started."""

    generation: int
    code: str
    detail: str


@event("agent.line_received")
class LineReceived(Event):
    """One line of the agent's `out`, masked. Offsets are raw bytes in this generation's file."""

    generation: int
    offset: int
    end: int
    line: str
    terminated: bool = True
    verdicts: tuple[Verdict, ...] = ()


@event("agent.line_appended")
class LineAppended(Event):
    """A line of ours is in `in`, whole; `length` is the file's length in bytes."""

    generation: int
    length: int


@event("agent.append_refused")
class AppendRefused(Event):
    """`in` does not have the length that we wrote: somebody else did, or the disk lost some."""

    generation: int
    expected: int
    length: int


@event("agent.output_broken")
class OutputBroken(Event):
    """`out` is not the file that we followed (or a line has no end): it is read no further."""

    generation: int
    reason: str


@event("agent.ended")
class AgentEnded(Event):
    """The generation is over and `out` was read to its end. `exit` is the pump's own record."""

    generation: int
    meaning: str
    exit: str
    err_tail: str


@event("agent.stopped")
class AgentStopped(Event):
    """The generation's container is stopped and removed, by our own command."""

    generation: int
    meaning: str
    exit: str


@event("agent.message_probed")
class MessageProbed(Event):
    """Whether the agent's transcript knows a message that was not acknowledged (None: can't be told)."""

    generation: int
    uuid: str
    found: bool | None


@event("timer.fired")
class TimerFired(Event):
    """A time that the fold asked for has come."""

    name: str
    generation: int


# --- session: people --------------------------------------------------------------------------------------------


@event("chat.message_assigned")
class MessageAssigned(Event):
    """A post that is for this session's agent, without the mention."""

    post_id: str
    user_id: str
    user_name: str
    text: str


@event("session.stop_requested")
class StopRequested(Event):
    """Somebody wrote `stop`."""

    post_id: str
    user_id: str
    user_name: str


@event("session.status_requested")
class StatusRequested(Event):
    """Somebody wrote `status`."""

    post_id: str
    user_name: str


# --- the alias stream: requests, decisions, writes; and what the session hears of them ---------------------------


@event("network.requested")
class NetworkRequested(Event):
    """A session's agent asks for a domain."""

    request_id: str
    session_id: str
    channel_id: str
    domain: str


@event("card.posted")
class CardPosted(Event):
    """The card is in the channel, confirmed."""

    card_id: str
    post_id: str
    channel_id: str


@event("card.updated")
class CardUpdated(Event):
    """The card shows this state, confirmed."""

    card_id: str
    status: str


@event("card.failed")
class CardFailed(Event):
    """Mattermost refused the card, or a change of it, for good."""

    card_id: str
    code: str
    detail: str


@event("card.pressed")
class CardPressed(Event):
    """A member of the channel pressed a button whose MAC was ours."""

    card_id: str
    request_id: str
    action: str
    channel_id: str
    post_id: str
    user_id: str
    user_name: str
    via: str = "button"


@event("alias.saved")
class AliasSaved(Event):
    """The alias holds the domain, read back. `table_before`: the firewall's addresses before the write (None: unknown)."""

    request_id: str
    domain: str
    changed: bool
    before: tuple[str, ...]
    after: tuple[str, ...]
    table_before: tuple[str, ...] | None


@event("alias.applied")
class AliasApplied(Event):
    """The firewall was reconfigured; `resolved` says whether its table shows it: seen, unseen or unknown."""

    request_id: str
    domain: str
    resolved: str
    table: tuple[str, ...] | None


@event("alias.failed")
class AliasFailed(Event):
    """OPNsense refused a step (`save` or `apply`)."""

    request_id: str
    domain: str
    step: str
    code: str
    detail: str


@event("network.approved")
class NetworkApproved(Event):
    """The domain is open, confirmed at the firewall."""

    request_id: str
    domain: str
    user_name: str
    already: bool = False


@event("network.denied")
class NetworkDenied(Event):
    """A person said no, or (with `reason`) the rules did."""

    request_id: str
    domain: str
    user_name: str
    reason: str = ""


@event("network.failed")
class NetworkFailed(Event):
    """Allowed by a person, but the firewall does not show it."""

    request_id: str
    domain: str
    user_name: str
    code: str
    detail: str


# --- vm ---------------------------------------------------------------------------------------------------------


@event("vm.host_key_seen")
class HostKeySeen(Event):
    """The first host key that this VM showed; from here on no other is accepted. `channel_id`: where to say so."""

    host: str
    public_key: str
    fingerprint: str
    channel_id: str = ""


def kind_of(event: Event) -> str:
    """The stable name of an event."""
    return event.KIND


def event_class(kind: str) -> type[Any]:
    """The class of a stable name; KeyError when there is none."""
    return EVENTS[kind]
