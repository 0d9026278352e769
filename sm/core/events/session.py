"""How a session comes to be, its agent and the generations of its container."""

from __future__ import annotations

from attrs import frozen

from sm.core.events.registry import Event, event


@event("session.requested")
class SessionRequested(Event):
    """Somebody wrote `start`. The session exists from here on, and posts belong to it.

    It talks in the thread of `root_id`, or top-level. `worktree` is its name (empty: the main clone), `project` a name
    of the settings instead of a repository.
    """

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
    root_id: str = ""
    branch: str = ""
    worktree: str = ""
    project: str = ""
    project_path: str = ""
    auto_pull: bool = False
    git_url: str = ""
    git_host: str = ""


@frozen
class Verdict:
    """A name that somebody asks for, and what ingress made of it.

    `domain` is the host's name in lower-case A-labels; for a refused one it is what was written, bounded. `refused` is
    the code of why, `hint` a host that was perhaps meant, `warning` what a person should know of a good name
    (`unicode`, `mixed_script`), `shown` its Unicode form where it has another. `reason` has the asker's own words.
    `part`: the text block of the agent's line that asks.
    """

    domain: str
    refused: str = ""
    reason: str = ""
    hint: str = ""
    warning: str = ""
    shown: str = ""
    part: int = 0


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


@event("session.vm_lost")
class VmLost(Event):
    """The VM has not answered for some time; what waits for it is tried again."""

    reason: str


@event("session.vm_found")
class VmFound(Event):
    """The VM answers again."""
