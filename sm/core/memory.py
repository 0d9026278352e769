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
class Push:
    """The push that was asked for last. `status`: preparing, asked, pushing, done, failed, cancelled, over."""

    target: str
    status: str = "preparing"
    card_id: str = ""
    post_id: str = ""  # of the card, once it is confirmed
    shown: str = "asked"  # the status for which the card was last made or updated
    commit: str = ""
    user_name: str = ""
    code: str = ""
    detail: str = ""


@frozen
class SessionData:
    """All of a session. Paths are on the VM."""

    session_id: str = ""
    channel_id: str = ""
    root_id: str = ""  # the thread in which it talks; empty: top-level
    user_id: str = ""  # who started it
    user_name: str = ""
    org: str = ""
    repo: str = ""
    project: str = ""  # a name of the settings, instead of a repository
    project_path: str = ""
    worktree: str = ""  # its name; empty: the main clone
    asked_branch: str = ""
    create: str = ""  # the new branch of a new worktree
    auto_pull: bool = False
    git_url: str = ""
    git_host: str = ""
    branch: str = ""  # the one that the place was on when it was prepared
    base: str = ""  # the branch upstream that it comes from
    default_branch: str = ""
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
    push: Push | None = None
    git_waits: str = ""  # what waits for the git host to be allowed: prepare, fetch, push
    git_request_id: str = ""
    git_tries: int = 0  # preparations since the host was allowed
    doing: str = ""  # the last command of the agent
    asked: tuple[str, ...] = ()  # domains for which the agent has no answer yet

    @property
    def repository(self) -> str:
        """As people write it."""
        return self.project or f"{self.org}/{self.repo}"

    @property
    def is_project(self) -> bool:
        """Whether it works in a folder of the operator's, not in one that we made."""
        return bool(self.project)

    @property
    def follows_output(self) -> bool:
        """Whether somebody must read this generation's `out`."""
        return bool(self.container_id) and not self.output_over
