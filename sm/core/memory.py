"""What a session remembers between two events."""

from __future__ import annotations

from attrs import evolve, field, frozen

from sm.core.events import AgentEnded


@frozen
class Queued:
    """A line for the agent. `post_id` is empty for a line of ours."""

    uuid: str
    text: str
    post_id: str = ""
    began_turn: bool = False


@frozen
class Conversation:
    """Turns, the queue, acknowledgements."""

    queue: tuple[Queued, ...] = ()
    unacknowledged: Queued | None = None
    turn_open: bool = False
    tells_state: bool = False  # this generation emits running and idle
    retry_said: bool = False  # an API retry was shown in this turn
    last_text: str = ""  # digest of the last text that was shown, to know a result's copy

    @property
    def nothing_waits(self) -> bool:
        """No line is queued, none is unacknowledged."""
        return not self.queue and self.unacknowledged is None

    def in_new_generation(self) -> Conversation:
        """Only the queue outlives a generation."""
        return Conversation(queue=self.queue)

    def opened(self) -> Conversation:
        """A turn is open."""
        return self if self.turn_open else evolve(self, turn_open=True, retry_said=False, last_text="")

    def closed(self) -> Conversation:
        """No turn is open."""
        return evolve(self, turn_open=False)


@frozen
class SessionData:
    """All of a session. Paths are on the VM."""

    session_id: str = ""
    channel_id: str = ""
    user_name: str = ""
    org: str = ""
    repo: str = ""
    vm: str = ""
    alias: str = ""
    runtime: str = ""
    image: str = ""
    network: str = ""
    permission_mode: str = ""
    path: str = ""
    mirror: str = ""
    agent_session_id: str = ""  # the conversation's id, as the agent's last `init` gave it
    generation: int = 0
    container_id: str = ""
    input_bytes: int = 0  # how long `in` is when all that we issued is in it
    output_bytes: int = 0  # up to where `out` is in the journal
    was_ready: bool = False  # this generation answered `initialize`
    resume_refused: bool = False  # this generation was to resume, and said that it cannot
    memory_lost: bool = False  # and so the conversation began anew, which nobody was told yet
    talk: Conversation = field(factory=Conversation)
    restarts_ms: tuple[int, ...] = ()
    stop_issued: bool = False
    stop_reported: bool = False
    output_over: bool = False
    end: AgentEnded | None = None
    trouble: str = ""
    vm_lost: bool = False  # and the channel was told
    stopped_by: str = ""

    @property
    def repository(self) -> str:
        """As people write it."""
        return f"{self.org}/{self.repo}"

    @property
    def follows_output(self) -> bool:
        """Whether somebody must read this generation's `out`."""
        return bool(self.container_id) and not self.output_over
