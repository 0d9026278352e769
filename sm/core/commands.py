"""Commands: intentions in the imperative, made by the fold, carried out by effectors.

They hold data, never our own wording: that lies in the renderers. What the agent wrote is named by event and
part. A line for the agent's `in` is the exception: it is made here in the core and held byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar, dataclass_transform

from attrs import field, fields, frozen


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


@command("chat.relay")
class Relay(Command):
    """Show what the agent wrote: text block `part` of the line in the causing event."""

    LANE: ClassVar[str] = "chat:{channel_id}"
    channel_id: str
    part: int


@command("card.post")
class PostCard(Command):
    """Post a card that asks for one domain."""

    LANE: ClassVar[str] = "chat:{channel_id}"
    card_id: str
    request_id: str
    channel_id: str
    session_id: str
    domain: str


@command("card.update")
class UpdateCard(Command):
    """Make a card show the state of its request."""

    LANE: ClassVar[str] = "chat:{channel_id}"
    card_id: str
    request_id: str
    channel_id: str
    post_id: str
    session_id: str
    domain: str
    status: str
    user_name: str = ""
    detail: str = ""


@command("repository.prepare")
class PrepareRepository(Command):
    """Make mirror and main clone, or find them whole."""

    LANE: ClassVar[str] = "vm:{session_id}"
    session_id: str
    org: str
    repo: str


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


@command("alias.save")
class SaveAlias(Command):
    """Write a domain into the alias and read it back."""

    LANE: ClassVar[str] = "alias:{alias}"
    alias: str
    request_id: str
    domain: str


@command("alias.apply")
class ApplyAlias(Command):
    """Make the firewall load the alias, and see that it did."""

    LANE: ClassVar[str] = "alias:{alias}"
    alias: str
    request_id: str
    domain: str
    table_before: tuple[str, ...] | None
