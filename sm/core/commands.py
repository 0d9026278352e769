"""Commands: intentions in the imperative, made by the fold, carried out by effectors.

They hold data, never our own wording: that lies in the renderers. What the agent wrote is named by event and
part. A line for the agent's `in` is the exception: it is made here in the core and held byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar, dataclass_transform

from attrs import field, fields, frozen

from sm.core.events import DomainSet


class Command:
    """Base of all commands. `LANE` is the pattern of the queue in which it waits."""

    KIND: ClassVar[str]
    VERSION: ClassVar[int] = 1
    LANE: ClassVar[str]
    __slots__ = ()

    @property
    def lane(self) -> str:
        """The queue of this command: lanes run side by side, commands within one in the order of the journal."""
        return self.LANE.format_map({a: getattr(self, a) for a in _names(type(self))})


def _names(cls: type[Command]) -> list[str]:
    return [attribute.name for attribute in fields(cls)]


COMMANDS: dict[str, type[Command]] = {}
C = TypeVar("C", bound=Command)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def command(kind: str) -> Callable[[type[C]], type[C]]:
    """Register a command class under its stable name."""

    def register(cls: type[C]) -> type[C]:
        made = frozen(slots=True)(cls)
        made.KIND = kind
        COMMANDS[kind] = made
        return made

    return register


def command_id(stream: str, seq: int, index: int) -> str:
    """The id of the `index`-th command that the event `seq` of `stream` caused."""
    return f"{stream}/{seq}/{index}"


@command("chat.say")
class Say(Command):
    """Say something of our own: the renderers turn `message` and its facts into words."""

    LANE: ClassVar[str] = "chat:{channel_id}"
    channel_id: str
    message: str
    facts: tuple[tuple[str, str], ...] = ()
    root_id: str = ""


@command("chat.relay")
class Relay(Command):
    """Show what the agent wrote: text block `part` of the line in the causing event."""

    LANE: ClassVar[str] = "chat:{channel_id}"
    channel_id: str
    part: int
    root_id: str = ""


@command("chat.say_privately")
class SayPrivately(Command):
    """Say something of our own to one person, in a direct message."""

    LANE: ClassVar[str] = "direct:{user_id}"
    user_id: str
    message: str
    facts: tuple[tuple[str, str], ...] = ()


@frozen
class CardRow:
    """One choice of a card, in the state that it is in. `user_name`, `via`: who decided, empty for another channel's.

    `scope`, `until_ms`: how long it is open; `detail` the code of what went wrong, or of why it ended; `reach` whether
    a container reached it; `shares` the names already open that have an address of it.
    """

    request_id: str
    domain: str
    state: str
    reason: str = ""
    warning: str = ""
    shown: str = ""
    status: str = ""  # of its resolution: found, none, unknown
    addresses: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    user_name: str = ""
    via: str = ""
    scope: str = ""
    until_ms: int = 0
    detail: str = ""
    reach: str = ""


@frozen
class CardView:
    """What a card shows. `offers` are the sets that it can open, as long as they can be chosen."""

    card_id: str
    session_id: str
    title: str
    user_name: str
    doing: str
    rows: tuple[CardRow, ...]
    offers: tuple[DomainSet, ...] = ()
    expires_ms: int = 0


@command("card.resolve")
class ResolveCard(Command):
    """Find out what the names of a card resolve to."""

    LANE: ClassVar[str] = "names:{card_id}"
    card_id: str
    domains: tuple[str, ...]


@command("card.post")
class PostCard(Command):
    """Post a card that asks for domains, or its copy for the approvals' channel."""

    LANE: ClassVar[str] = "chat:{channel_id}"
    card_id: str
    channel_id: str
    view: CardView
    root_id: str = ""
    copy: bool = False


@command("card.update")
class UpdateCard(Command):
    """Make a card show the state of its requests."""

    LANE: ClassVar[str] = "chat:{channel_id}"
    card_id: str
    channel_id: str
    post_id: str
    view: CardView
    copy: bool = False


@command("repository.prepare")
class PrepareRepository(Command):
    """Make mirror and place, or find them whole.

    The place is the main clone, or the worktree of a name. `branch` is the one that was asked for; `create` the one
    that a new worktree gets. `update`: bring the place up to date with the branch upstream, where nothing is in the way.
    """

    LANE: ClassVar[str] = "vm:{session_id}"
    session_id: str
    org: str
    repo: str
    worktree: str = ""
    branch: str = ""
    create: str = ""
    update: bool = False


@command("repository.cancel_prepare")
class CancelPrepare(Command):
    """End a preparation under way, or one that has not begun."""

    LANE: ClassVar[str] = "vm:{session_id}:cancel"
    session_id: str


@command("project.resolve")
class ResolveProject(Command):
    """Find a project's folder by its real path."""

    LANE: ClassVar[str] = "vm:{session_id}"
    session_id: str
    path: str


@command("workspace.inspect")
class InspectWorkspace(Command):
    """Look at what a session leaves: branch, changes, commits that are nowhere else."""

    LANE: ClassVar[str] = "vm:{session_id}"
    session_id: str
    workspace: str
    mirror: str


@command("workspace.diff")
class DiffWorkspace(Command):
    """Read the change so far, from where the place left the branch `base` upstream."""

    LANE: ClassVar[str] = "vm:{session_id}:git"
    session_id: str
    workspace: str
    mirror: str
    base: str


@command("workspace.show_diff")
class ShowDiff(Command):
    """Show the diff of the causing event: as it is, or as a file."""

    LANE: ClassVar[str] = "chat:{channel_id}"
    channel_id: str
    session_id: str
    root_id: str = ""


@command("mirror.fetch")
class FetchMirror(Command):
    """Bring the mirror up to date."""

    LANE: ClassVar[str] = "vm:{session_id}:git"
    session_id: str
    org: str
    repo: str


@command("push.prepare")
class PreparePush(Command):
    """Take the branch's commits into the mirror, and see what would be pushed as `target`."""

    LANE: ClassVar[str] = "vm:{session_id}:git"
    session_id: str
    org: str
    repo: str
    workspace: str
    branch: str
    target: str
    default_branch: str


@command("push.post_card")
class PostPushCard(Command):
    """Post the card that shows what would be pushed, and asks."""

    LANE: ClassVar[str] = "chat:{channel_id}"
    card_id: str
    session_id: str
    channel_id: str
    root_id: str
    repository: str
    commit: str
    commits: int
    target: str
    new_branch: bool
    stat: str
    workflows: bool


@command("push.update_card")
class UpdatePushCard(Command):
    """Make a push's card show what became of it. `compare_url` is where a pull request is opened."""

    LANE: ClassVar[str] = "chat:{channel_id}"
    card_id: str
    session_id: str
    channel_id: str
    post_id: str
    repository: str
    commit: str
    target: str
    status: str
    user_name: str = ""
    code: str = ""
    detail: str = ""
    compare_url: str = ""


@command("push.push")
class PushBranch(Command):
    """Push exactly this commit as `target`, never forced."""

    LANE: ClassVar[str] = "vm:{session_id}:git"
    session_id: str
    org: str
    repo: str
    commit: str
    target: str


@command("agent.start")
class StartAgent(Command):
    """Start a generation. `line` is the first of its `in`, byte for byte with its newline."""

    LANE: ClassVar[str] = "vm:{session_id}"
    session_id: str
    generation: int
    workspace: str
    mirror: str
    agent_session_id: str
    resume: bool
    permission_mode: str
    line: str


@command("agent.append")
class AppendLine(Command):
    """Append a line to `in`, which must be `expected` bytes long."""

    LANE: ClassVar[str] = "vm:{session_id}"
    session_id: str
    generation: int
    expected: int
    line: str


@command("agent.stop")
class StopAgent(Command):
    """Stop and remove a generation's container, by its id."""

    LANE: ClassVar[str] = "vm:{session_id}"
    session_id: str
    generation: int


@command("agent.probe")
class ProbeMessage(Command):
    """Ask the agent's transcript whether it knows a message that was not acknowledged."""

    LANE: ClassVar[str] = "vm:{session_id}"
    session_id: str
    generation: int
    uuid: str


@command("timer.set")
class SetTimer(Command):
    """Report when a time has come."""

    LANE: ClassVar[str] = "timer:{session_id}:{name}:{generation}"
    session_id: str
    name: str
    generation: int
    due_ms: int


@command("alias.write")
class WriteAlias(Command):
    """Bring names into the alias and out of it, and read it back."""

    LANE: ClassVar[str] = "alias:{alias}"
    alias: str
    add: tuple[str, ...]
    remove: tuple[str, ...]


@command("alias.apply")
class ApplyAlias(Command):
    """Make the firewall load the alias, and see that it did: `gone` are addresses that should leave its table."""

    LANE: ClassVar[str] = "alias:{alias}"
    alias: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    gone: tuple[str, ...]
    table_before: tuple[str, ...] | None


@command("network.try")
class TryDomain(Command):
    """Try from a container on the sessions' network, until `due_ms`, whether the domain can be reached."""

    LANE: ClassVar[str] = "reach:{domain}"
    domain: str
    due_ms: int
