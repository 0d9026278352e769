"""A small language for stories: `world >> event`, then what it made of the streams.

    world = World()
    world.start()
    assert world.commands == [said("preparing"), PrepareRepository(SESSION, "acme", "webapp")]
    world >> RepositoryPrepared(...)
    assert world.state() == "starting"

A `World` records as the service's one writer does: `stream.opened` first, notices appended and folded at once in
their order, and a stream whose fold raises is quarantined. It also keeps the journal's promises to the fold: an
event that a command reports has a place of its own, offsets of output grow.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve, field, frozen, mutable

from sm.core import commands as c
from sm.core import events as e
from sm.core import grammar, streams
from sm.core.channel import ABOUT_THE_NETWORK
from sm.core.commands import Command, command_id
from sm.core.fold import RULES, Folded, Recorded, StreamState, fold, initial
from sm.core.memory import SessionData
from sm.core.stream_json import initialize_id

from .agent_lines import (
    IDLE,
    RUNNING,
    answered,
    api_retry,
    assistant,
    init,
    replay,
    result,
    tool_result,
    tool_use,
)
from .names import PYTHON, address_of, found, judge, nowhere, resolve, turned, verdicts
from .playbook_alias import ALIAS, BEFORE, AliasSide

__all__ = [
    "ALIAS",
    "BEFORE",
    "CHANNEL",
    "IDLE",
    "NOON_MS",
    "OTHER",
    "PLACE",
    "PREPARED",
    "PUSH_PREPARED",
    "PYTHON",
    "RUNNING",
    "SESSION",
    "VM",
    "Issued",
    "World",
    "address_of",
    "answered",
    "api_retry",
    "assistant",
    "found",
    "init",
    "nowhere",
    "replay",
    "resolve",
    "result",
    "said",
    "tool_result",
    "tool_use",
    "turned",
    "verdicts",
]

BOT = "claude"
CHANNEL = "ch1"
SESSION = "abc12345-0000-4000-8000-000000000001"
OTHER = "def67890-0000-4000-8000-000000000002"
VM = "vm1"
NOON_MS = 1_700_000_000_000
KNOWN = grammar.Known(projects=("myproject",), sets=(PYTHON.name,))

PLACE = e.Placement(
    SESSION,
    VM,
    ALIAS,
    "podman",
    "claude-code:latest",
    "isolated",
    "bypassPermissions",
    project_path="/home/claude/projects/myproject",
)


def said(
    message: str, channel: str = CHANNEL, repository: str = "acme/webapp", root: str = "", **facts: str
) -> c.Say:
    """What a session says; `repository=""` for a channel, which has none. `root`: the thread."""
    if repository:
        facts["repository"] = repository
    return c.Say(channel, message, tuple(sorted(facts.items())), root)


@frozen
class Issued:
    """A command in its place."""

    id: str
    stream: str
    seq: int
    command: Command


@mutable
class World(AliasSide):
    """Several streams, one order."""

    states: dict[str, StreamState] = field(factory=dict)
    history: list[Recorded] = field(factory=list)
    issued: list[Issued] = field(factory=list)
    commands: list[Command] = field(factory=list)  # of the last `>>`
    recorded: list[Recorded] = field(factory=list)  # by the last `>>`
    at_ms: int = NOON_MS
    session: str = SESSION  # whom `>>` means
    channel: str = CHANNEL
    offsets: dict[tuple[str, int], int] = field(factory=dict)
    posts: int = 0
    settled: set[str] = field(factory=set)  # commands that were reported (kept by those who do)
    firewall: list[str] = field(factory=lambda: [BEFORE])  # the alias's content, by whatever hand

    # --- as the writer does -----------------------------------------------------------------------------------------

    def __rshift__(self, event: e.Event) -> World:
        """Record an event in the stream that it belongs to."""
        return self.record(self.stream_of(event), event)

    def record(self, stream: str, event: e.Event) -> World:
        """Record an event in this stream, with all that follows from it."""
        self.commands, self.recorded = [], []
        self._record(stream, event)
        return self

    def _record(self, stream: str, event: e.Event) -> None:
        if not self.of(stream).rules:
            self._place(stream, e.StreamOpened(RULES))
        self._place(stream, event)

    def _place(self, stream: str, event: e.Event) -> None:
        recorded = Recorded(len(self.history) + 1, stream, self.at_ms, event)
        self.history.append(recorded)
        self.recorded.append(recorded)
        trouble = ""
        try:
            folded = fold(self.of(stream), recorded)
        except Exception as error:  # noqa: BLE001  # as the writer: this stream stops, no other
            folded, trouble = Folded(self.of(stream)), f"{type(error).__name__} at event {recorded.seq}"
        self.states[stream] = folded.state
        for index, command in enumerate(folded.commands):
            self.issued.append(Issued(command_id(stream, recorded.seq, index), stream, recorded.seq, command))
            self.commands.append(command)
        for notice in folded.notices:
            self._record(notice.stream, notice.event)
        if trouble:
            self._place(stream, e.StreamQuarantined(trouble, recorded.seq))

    # --- what is there ----------------------------------------------------------------------------------------------

    def of(self, stream: str) -> StreamState:
        return self.states.get(stream) or initial(stream)

    def state(self, session: str = "") -> str:
        """The name of a session's state."""
        return self.of(streams.session(session or self.session)).name

    @property
    def data(self) -> SessionData:
        return self.of(streams.session(self.session)).data

    def repository(self, name: str = "acme/webapp") -> str:
        """The name of a repository's state."""
        return self.of(streams.repository(VM, *name.split("/"))).name

    def channel_state(self, channel: str = "") -> str:
        return self.of(streams.channel(channel or self.channel)).name

    @property
    def kinds(self) -> list[str]:
        """The kinds of the last commands."""
        return [command.KIND for command in self.commands]

    @property
    def events(self) -> list[str]:
        """The kinds of what the last `>>` recorded, openings left out."""
        return [r.event.KIND for r in self.recorded if r.event.KIND != "stream.opened"]

    @property
    def said(self) -> list[str]:
        """The names of the messages of ours among the last commands."""
        return [command.message for command in self.commands if isinstance(command, c.Say)]

    @property
    def appended(self) -> list[str]:
        """The texts that the last commands give to the agent."""
        lines = [json.loads(k.line) for k in self.commands if isinstance(k, c.AppendLine)]
        return [line["message"]["content"] for line in lines if line["type"] == "user"]

    def last(self, kind: type[Command]) -> Any:
        """The last command of a kind, ever."""
        return [issued.command for issued in self.issued if isinstance(issued.command, kind)][-1]

    def all(self, kind: type[Command]) -> list[Any]:
        return [issued.command for issued in self.issued if isinstance(issued.command, kind)]

    # --- people -----------------------------------------------------------------------------------------------------

    def post(
        self,
        text: str,
        *,
        user: str = "james",
        session: str = "",
        masked: int = 0,
        post_id: str = "",
        root_id: str = "",
        **place: Any,
    ) -> World:
        """A person posts; read as at ingress."""
        self.posts += 1
        post_id = post_id or f"post{self.posts}"
        reading = grammar.read(text, BOT, KNOWN)
        holds_session = self.of(streams.channel(self.channel)).data.sessions
        if not holds_session and not reading.mentioned:
            return self >> e.MessageSkipped(post_id, self.channel, self.at_ms)
        starts = reading.intent.name == "start"
        named = session or self.session
        while starts and self.state(named) != "new":  # an id is given once
            named = f"{named[:-4]}{int(named[-4:]) + 1:04}"
        return self >> e.MessageReceived(
            post_id=post_id,
            channel_id=self.channel,
            user_id=f"u-{user}",
            user_name=user,
            text=text,
            body_at=reading.body_at,
            mentioned=reading.mentioned,
            masked=masked,
            created_at_ms=self.at_ms,
            intent=reading.intent,
            placement=evolve(PLACE, session_id=named, **place) if starts else None,
            root_id=root_id,
            alias=ALIAS if reading.intent.name in ABOUT_THE_NETWORK else "",
            verdicts=tuple(judge(name) for name in reading.intent.names if name not in KNOWN.sets),
            sets=tuple(name for name in reading.intent.names if name in KNOWN.sets),
        )

    def start(self, repository: str = "acme/webapp", **how: Any) -> World:
        return self.post(f"@claude start {repository}", **how)

    def stop(self, **how: Any) -> World:
        return self.post("@claude stop", **how)

    # --- the agent ----------------------------------------------------------------------------------------------------

    def agent(self, line: dict[str, Any] | str, **other: Any) -> World:
        """The agent prints a line; `other` replaces fields of the event."""
        text = line if isinstance(line, str) else json.dumps(line)
        generation = other.get("generation", self.data.generation)
        offset = self.offsets.get((self.session, generation), 0)
        end = offset + len(text.encode("utf-8", "replace")) + 1
        event = e.LineReceived(generation, offset, end, text, verdicts=verdicts(text))
        event = evolve(event, **other)
        self.offsets[self.session, generation] = max(offset, event.end)
        return self >> event

    def says(self, *texts: str) -> World:
        return self.agent(assistant(*texts))

    def running(self) -> World:
        return self.agent(RUNNING)

    def idle(self) -> World:
        return self.agent(IDLE)

    def replay(self) -> World:
        """The agent acknowledges what it was given last."""
        return self.agent(replay(self.data.talk.unacknowledged.uuid))

    def result(self, text: str = "done", **other: Any) -> World:
        return self.agent(result(text, **other))

    def turn(self, text: str = "done") -> World:
        """The agent does a whole turn about the message that it has."""
        self.running().agent(init())
        self.replay().says(text)
        self.result(text)
        return self.idle()

    def initialized(self) -> World:
        return self.agent(answered(initialize_id(self.data.generation)))

    # --- what came of commands ------------------------------------------------------------------------------------------

    def started(self) -> World:
        """The container of this generation runs."""
        generation = self.data.generation
        return self >> e.AgentStarted(generation, f"container{generation}")

    def prepared(self, **other: Any) -> World:
        return self >> evolve(PREPARED, **other)

    def ready(self) -> World:
        """From nothing to Ready."""
        return self.start().prepared().started().initialized()

    def working(self, text: str = "add pytest") -> World:
        """From nothing to an open turn, whose message is acknowledged."""
        self.ready().post(text)
        return self.running().replay()

    def ended(self, meaning: str = "ended", how: str = "137 0", err_tail: str = "", **other: Any) -> World:
        """The agent's generation is over; its output is read to the end."""
        event = e.AgentEnded(self.data.generation, meaning, how, err_tail)
        return self >> evolve(event, **other)

    def container_stopped(self) -> World:
        return self >> e.AgentStopped(self.data.generation, "ended", "143 0")

    def looked_at(self, *changed: str, unpushed: int = 0) -> World:
        """What a stopped session leaves was seen."""
        return self >> e.WorkspaceInspected(self.data.branch, "f" * 40, changed, len(changed), unpushed)

    def stopped(self) -> World:
        """Stop, to the end."""
        self.stop().ended().container_stopped()
        return self.looked_at()

    def push_shown(self) -> World:
        """A push is asked for, and its card is in the channel."""
        self.post("@claude push") >> PUSH_PREPARED
        return self.record(
            streams.session(self.session),
            e.CardPosted(self.data.push.card_id, "post-of-push", self.data.channel_id),
        )

    def push_decided(self, action: str = "approve", user: str = "james") -> World:
        return self >> e.PushDecided(self.data.push.card_id, action, f"u-{user}", user)

    def probed(self, found: bool | None) -> World:
        probe = self.last(c.ProbeMessage)
        return self >> e.MessageProbed(probe.generation, probe.uuid, found)

    def timer(self, name: str) -> World:
        return self >> e.TimerFired(name, self.data.generation)

    def dies(self, **how: Any) -> World:
        """The agent ends by itself, and we have removed what was left."""
        self.ended(**how)
        return self.container_stopped()

    def appended_line(self) -> World:
        return self >> e.LineAppended(self.data.generation, self.data.input_bytes)

    # --- where events belong --------------------------------------------------------------------------------------------

    def stream_of(self, event: e.Event) -> str:
        """The stream for which the service would submit this event."""
        if isinstance(event, e.ChannelJoined | e.MessageReceived | e.MessageSkipped | e.ChannelSessionEnded):
            return streams.channel(getattr(event, "channel_id", self.channel))
        if isinstance(event, e.RepositoryClaimRequested | e.RepositoryReleased | e.RepositorySettled):
            return streams.repository(VM, "acme", "webapp")
        if isinstance(event, ALIAS_EVENTS):
            return streams.alias(ALIAS)
        if isinstance(event, e.HostKeySeen):
            return streams.vm(VM)
        return streams.session(self.session)


ALIAS_EVENTS = (
    e.AliasConfigured,
    e.NetworkRequested,
    e.CardResolved,
    e.CardPosted,
    e.CardUpdated,
    e.CardFailed,
    e.NetworkDecided,
    e.NetworkListRequested,
    e.NetworkSessionEnded,
    e.AliasRead,
    e.AliasWritten,
    e.AliasApplied,
    e.AliasFailed,
    e.AliasObserved,
    e.AliasTroubled,
    e.NetworkTried,
)
PREPARED = e.RepositoryPrepared(
    path="/home/claude/repos/github.com/acme/webapp",
    branch="main",
    head="f" * 40,
    mirror="/home/claude/repos/.mirrors/github.com/acme/webapp.git",
    created=True,
    default_branch="main",
    base="main",
)
PUSH_PREPARED = e.PushPrepared("c" * 40, 2, " a.py | 2 +-\n", workflows=False, new_branch=True)
