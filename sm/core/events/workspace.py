"""Where a session works: the place that it claims, how it is made, and how work gets out of it."""

from __future__ import annotations

from attrs import frozen

from sm.core.events.registry import Event, event


@event("repository.claim_requested")
class RepositoryClaimRequested(Event):
    """A session wants a place: the main clone, the worktree of a name, or (in a project's stream) the folder."""

    session_id: str
    channel_id: str
    worktree: str = ""
    branch: str = ""


@event("repository.settled")
class RepositorySettled(Event):
    """The place that a session holds is made, and on this branch."""

    session_id: str
    branch: str


@event("repository.released")
class RepositoryReleased(Event):
    """A session gave its place back."""

    session_id: str


@event("repository.granted")
class RepositoryGranted(Event):
    """The place is this session's. `create`: a new branch for a new worktree. `taken_by`: who has the branch asked for."""

    branch: str = ""
    create: str = ""
    again: bool = False
    taken_by: str = ""


@event("repository.refused")
class RepositoryRefused(Event):
    """`what` (main, worktree, branch, project) is another session's; without a `holder` the stream is quarantined."""

    holder: str
    what: str = "main"


@event("repository.progressed")
class RepositoryProgressed(Event):
    """A clone or fetch takes long; so far it got."""

    phase: str
    percent: int


@frozen
class Note:
    """What a person should know of a place that was prepared all the same: a code of `sm.vm`, and its facts."""

    code: str
    detail: str


@event("repository.prepared")
class RepositoryPrepared(Event):
    """Mirror and place are there and whole. Paths are on the VM. `base` is the branch that the place comes from."""

    path: str
    branch: str
    head: str
    mirror: str
    created: bool
    default_branch: str = ""
    base: str = ""
    notes: tuple[Note, ...] = ()


@event("repository.prepare_failed")
class RepositoryPrepareFailed(Event):
    """Mirror or place could not be made."""

    code: str
    detail: str


@event("repository.prepare_cancelled")
class RepositoryPrepareCancelled(Event):
    """What was being prepared is told to end; that it ended is reported for itself."""


@event("project.resolved")
class ProjectResolved(Event):
    """A project's folder is there; `path` is its real path on the VM. No branch where it is no repository."""

    path: str
    branch: str
    head: str


@event("project.refused")
class ProjectRefused(Event):
    """A project's folder cannot be used."""

    code: str
    detail: str


@event("workspace.inspected")
class WorkspaceInspected(Event):
    """What a stopped session leaves: the first changed paths, how many, and how many commits are nowhere else."""

    branch: str
    head: str
    changed: tuple[str, ...]
    changed_count: int
    unpushed: int


@event("workspace.inspect_failed")
class WorkspaceInspectFailed(Event):
    """What a stopped session leaves could not be looked at."""

    code: str
    detail: str


@event("workspace.diff_requested")
class DiffRequested(Event):
    """Somebody wrote `diff`."""

    post_id: str
    user_name: str


@event("workspace.diffed")
class WorkspaceDiffed(Event):
    """The change so far, uncommitted and new files included; at most 1 MiB of it, masked."""

    text: str
    cut: bool
    files: int
    insertions: int
    deletions: int


@event("workspace.diff_failed")
class WorkspaceDiffFailed(Event):
    """The change so far could not be read."""

    code: str
    detail: str


@event("mirror.fetch_requested")
class FetchRequested(Event):
    """Somebody wrote `fetch`."""

    post_id: str
    user_name: str


@event("mirror.fetched")
class MirrorFetched(Event):
    """The mirror is up to date; so many branches and tags moved."""

    changed: int


@event("mirror.fetch_failed")
class MirrorFetchFailed(Event):
    """The mirror could not be brought up to date."""

    code: str
    detail: str


@event("push.requested")
class PushRequested(Event):
    """Somebody wrote `push`: to be shown first, pushed after a Yes."""

    post_id: str
    user_id: str
    user_name: str


@event("push.prepared")
class PushPrepared(Event):
    """The mirror holds what would be pushed; `stat` is git's own, from the mirror's objects."""

    commit: str
    commits: int
    stat: str
    workflows: bool
    new_branch: bool


@event("push.refused")
class PushRefused(Event):
    """There is nothing that could be pushed, or it cannot be taken."""

    code: str
    detail: str


@event("push.decided")
class PushDecided(Event):
    """A member of the channel pressed a button of the push's card: approve or deny."""

    card_id: str
    action: str
    user_id: str
    user_name: str
    via: str = "button"


@event("push.done")
class PushDone(Event):
    """The branch upstream is at exactly this commit, confirmed."""

    commit: str
    target: str


@event("push.failed")
class PushFailed(Event):
    """Upstream did not take it."""

    code: str
    detail: str
