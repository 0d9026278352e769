"""What goes in and comes out of the VM: settings, what to start, and what was found."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

Runtime = Literal["podman", "docker"]

Meaning = Literal[
    "running",
    "starting",
    "finishing",
    "ended",
    "runtime_away",
    "pump_killed",
    "cut_off",
    "never_started",
    "unknown",
]


@frozen(kw_only=True)
class VmSettings:
    """Where the VM is, who we are there, whom we take it for, and its folders (absolute paths on the VM)."""

    host: str
    port: int = 22
    user: str
    private_key: str | None = field(default=None, repr=False)
    """The private key's text (OpenSSH or PEM); without it `key_path` is read."""
    key_path: str | None = None
    pinned_host_keys: tuple[str, ...] = ()
    """OpenSSH public key lines, or fingerprints `SHA256:…`."""
    known_hosts_path: str | None = None
    repos_base: str
    worktrees: str
    sessions: str
    runtime: Runtime
    network: str
    image: str
    git_base_url: str = "https://github.com"
    max_line_bytes: int = 4 * 1024 * 1024


@frozen
class HostKey:
    """A host key as the VM showed it: the OpenSSH public key line and its SHA-256 fingerprint (`SHA256:…`)."""

    public_key: str
    fingerprint: str


@frozen(kw_only=True)
class PrepareSpec:
    """Which place is to be there: the main clone, or the worktree of a name; and on which branch."""

    session_id: str
    org: str
    repo: str
    worktree: str = ""
    """The worktree's name; empty for the main clone."""
    branch: str = ""
    """The branch that was asked for; empty: where the main clone is, the default one for a worktree."""
    create: str = ""
    """The branch that a new worktree gets, from `branch`."""
    update: bool = False
    """Fetch first, and fast-forward a main clone that has no changes."""
    fetch: bool = False
    """Fetch the mirror in any case."""


@frozen
class Progress:
    """How far git is, in its own words and percent."""

    phase: str
    percent: int


@frozen
class Note:
    """What a person should know of a place that was prepared all the same."""

    code: str
    detail: str


@frozen(kw_only=True)
class Prepared:
    """A place that is there: its path, branch (empty when detached), commit (empty when it has none).

    `base` is the branch upstream that it comes from; `created`: it was made now.
    """

    path: str
    branch: str
    head: str
    mirror: str
    created: bool
    default_branch: str = ""
    base: str = ""
    notes: tuple[Note, ...] = ()


@frozen
class Project:
    """A project's folder by its real path. Branch and commit are empty where it is no repository."""

    path: str
    branch: str
    head: str


@frozen(kw_only=True)
class StartSpec:
    """One start of the agent's container. `first_line` is the control `initialize` that opens `in`."""

    session_id: str
    generation: int
    workspace: str
    mirror: str
    """The bare mirror, mounted read-only at its own path; empty when the workspace borrows from none."""
    agent_session_id: str
    resume: bool
    system_prompt: str
    permission_mode: str
    first_line: str = field(repr=False)


@frozen
class Started:
    """A generation that was started, now or by an earlier call. The id is empty while the runtime has named none."""

    generation: int
    container_id: str
    resumed_existing: bool


@frozen
class GenerationStatus:
    """What stands in a generation's folder; `meaning` as in `sm.vm.table`, `exit` the text of its exit file."""

    meaning: Meaning
    exit: str
    container_id: str
    in_bytes: int
    out_bytes: int


@frozen
class Appended:
    """The line is in `in` as a whole, which is now `length` bytes long."""

    length: int


@frozen
class LengthMismatch:
    """`in` is `length` bytes long and does not end where this line may begin or go on; nothing was written."""

    length: int


@frozen
class Line:
    """One line of `out`: raw byte offsets [offset, end), the text without its newline (UTF-8, errors replaced)."""

    offset: int
    end: int
    text: str
    terminated: bool


@frozen
class OutputBroken:
    """`out` is not what was followed so far, or has a line over the limit: the generation must end."""

    reason: str


@frozen
class Ended:
    """`out` was read to its end and the pump is gone.

    After `pump_killed` and `runtime_away` the agent may still be writing: stop the generation, then follow
    again from the stored offset for the rest.
    """

    status: GenerationStatus
    err_tail: str


@frozen(kw_only=True)
class Inspected:
    """What a workspace holds that is nowhere else.

    `branch` is empty when HEAD is on none, `head` when there is no commit. `changed` are the first 20 of `changed_count`
    changed paths, each behind git's two letters for it (`?? new.txt`). `unpushed` counts the commits of all branches that
    no branch upstream had when the mirror was fetched (for a project: that no branch of its remotes has).
    """

    branch: str
    head: str
    changed: tuple[str, ...]
    changed_count: int
    unpushed: int


@frozen(kw_only=True)
class Diff:
    """The change so far. `cut` when it goes on after `text`, which then ends with a whole line."""

    text: str
    cut: bool
    files: int
    insertions: int
    deletions: int


@frozen
class Fetched:
    """The mirror is up to date: `changed` branches and tags moved or are new; `detail` names the first of them."""

    changed: int
    detail: str


@frozen(kw_only=True)
class Candidate:
    """What a push of exactly this commit to the branch `target` would bring.

    `commits` are those that upstream has not; `stat` is git's own summary of the change, read from the mirror's objects, at
    most 3000 characters; `workflows` whether it changes what the host runs by itself (`.github/workflows`).
    """

    commit: str
    commits: int
    stat: str
    workflows: bool
    new_branch: bool
    target: str
