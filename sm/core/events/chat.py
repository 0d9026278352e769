"""Posts: whose they are, and what they ask for."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from sm.core.events.registry import Event, event
from sm.core.events.session import Verdict

IntentName = Literal[
    "text",
    "start",
    "stop",
    "status",
    "help",
    "diff",
    "push",
    "fetch",
    "approve",
    "deny",
    "revoke",
    "pending",
    "net",
    "correct",
]
Scope = Literal["", "session", "hour"]  # how long an approval holds; empty: until it is revoked


@frozen
class Intent:
    """What a post asks for, as the grammar read it.

    `start` names a repository (with a branch, with a worktree that may have a name) or a project of the settings;
    `session` is the beginning of an id that stands behind another command. `names` are what `approve`, `deny` and
    `revoke` are about, as written (hosts, or names of sets); `scope` is how long an approval holds (empty: until it is
    revoked), `reason` the words behind a `deny`. `problem`, `word` and `suggestion` belong to `correct` alone.
    """

    name: IntentName
    org: str = ""
    repo: str = ""
    branch: str = ""
    worktree: bool = False
    worktree_name: str = ""
    project: str = ""
    session: str = ""
    names: tuple[str, ...] = ()
    scope: Scope = ""
    reason: str = ""
    problem: str = ""
    word: str = ""
    suggestion: str = ""


@frozen
class Placement:
    """Where a new session will live; decided from the settings when `start` came in.

    `git_url` is where repositories are cloned from; `git_host` its host when a card can ask for it, else empty.
    """

    session_id: str
    vm: str
    alias: str
    runtime: str
    image: str
    network: str
    permission_mode: str
    project_path: str = ""
    auto_pull: bool = False
    git_url: str = "https://github.com"
    git_host: str = "github.com"


@event("channel.joined")
class ChannelJoined(Event):
    """The bot reads this channel from behind `after_post_id` on (None: from its beginning)."""

    channel_id: str
    name: str
    after_post_id: str | None


@event("chat.message_received")
class MessageReceived(Event):
    """A person's post, masked. `body_at` is where the text begins behind a leading mention of the bot.

    `root_id` is the post that its thread begins with; empty for one that stands in none.
    """

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
    root_id: str = ""
    alias: str = ""  # where decisions are taken, for a post that has to do with them
    verdicts: tuple[Verdict, ...] = ()  # on the hosts that it names
    sets: tuple[str, ...] = ()  # the sets that it names
    is_member: bool = True  # of the channel, looked up for who decides: an administrator can post without

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
    """Somebody wrote `status`, in the thread of `root_id` or top-level."""

    post_id: str
    user_name: str
    root_id: str = ""
