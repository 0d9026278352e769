"""The part of a session's step that is about its place: the main clone, a worktree or a project's folder.

How the place is claimed and made, what waits for the git host to be allowed, and what is left of it in the end.
"""

from __future__ import annotations

from typing import cast

from attrs import evolve

from sm.core import markers, streams
from sm.core.commands import (
    CancelPrepare,
    DiffWorkspace,
    FetchMirror,
    InspectWorkspace,
    PrepareRepository,
    ResolveProject,
    SetTimer,
    ShowDiff,
)
from sm.core.conversation import ConversationStep
from sm.core.events import (
    Ask,
    MirrorFetched,
    NetworkApproved,
    NetworkDenied,
    ProjectResolved,
    RepositoryClaimRequested,
    RepositoryGranted,
    RepositoryPrepared,
    RepositoryPrepareFailed,
    RepositoryProgressed,
    RepositoryRefused,
    RepositoryReleased,
    RepositorySettled,
    SessionRequested,
    WorkspaceDiffed,
    WorkspaceInspected,
)
from sm.core.memory import SessionData

NO_NETWORK = "network_unreachable"  # the code for which the git host is asked for
FETCH_HAD_NO_NETWORK = "fetch_network"  # the note of a place that was prepared all the same
GIT_TRIES = 3  # preparations after the git host was allowed: the firewall needs a moment
GIT_AGAIN_MS = 10_000


_GIT_DOES = {"prepare": "clone", "fetch": "fetch", "push": "push"}


class PlaceStep(ConversationStep):
    """What the rows of a session's table do about its place."""

    # --- claimed ----------------------------------------------------------------------------------------------------

    def asks_for_project(self) -> bool:
        """A project of the settings is asked for, not a repository."""
        return bool(cast("SessionRequested", self.event).project)

    def is_project(self) -> bool:
        """It works in a folder of the operator's."""
        return self.data.is_project

    def remember(self) -> None:
        """What was asked for, and what the settings were."""
        event = cast("SessionRequested", self.event)
        self.data = SessionData(
            session_id=event.session_id,
            channel_id=event.channel_id,
            root_id=event.root_id,
            user_id=event.user_id,
            user_name=event.user_name,
            org=event.org,
            repo=event.repo,
            project=event.project,
            project_path=event.project_path,
            worktree=event.worktree,
            asked_branch=event.branch,
            auto_pull=event.auto_pull,
            git_url=event.git_url,
            git_host=event.git_host,
            vm=event.vm,
            alias=event.alias,
            runtime=event.runtime,
            image=event.image,
            network=event.network,
            permission_mode=event.permission_mode,
        )

    def resolve_project(self) -> None:
        """Only the VM knows which folder a path really is."""
        self.issue(ResolveProject(self.data.session_id, self.data.project_path))

    def claim_project(self) -> None:
        """Ask the folder's stream for it."""
        event = cast("ProjectResolved", self.event)
        self.data = evolve(self.data, path=event.path, branch=event.branch)
        self._claim()

    def claim_repository(self) -> None:
        """Ask the repository's stream for the main clone or the worktree."""
        self._claim()

    def _claim(self) -> None:
        data = self.data
        claim = RepositoryClaimRequested(data.session_id, data.channel_id, data.worktree, data.asked_branch)
        self.notify(self._coordinator(), claim)

    def _coordinator(self) -> str:
        data = self.data
        if data.is_project:
            return streams.project(data.vm, data.path)
        return streams.repository(data.vm, data.org, data.repo)

    def say_in_use(self) -> None:
        """Another session has the place, or nobody may have it now."""
        refused = cast("RepositoryRefused", self.event)
        if not refused.holder:
            self.say("repository_quarantined")
            return
        holder = streams.short(refused.holder)
        match refused.what:
            case "worktree":
                self.say("worktree_in_use", worktree=self.data.worktree, holder=holder)
            case "branch":
                self.say("branch_in_use", branch=self.data.asked_branch, holder=holder)
            case "project":
                self.say("project_in_use", holder=holder)
            case _:
                self.say("in_use", holder=holder)

    def say_project_refused(self) -> None:
        """The folder is not there, or is one of ours."""
        self.say("project_refused", code=self.event.code, detail=self.event.detail, waiting=self.waiting())

    def give_place_back(self) -> None:
        """Others may have it."""
        self.notify(self._coordinator(), RepositoryReleased(self.data.session_id))

    # --- made -------------------------------------------------------------------------------------------------------

    def say_granted(self) -> None:
        """Say what is being made."""
        granted = cast("RepositoryGranted", self.event)
        self.data = evolve(self.data, asked_branch=granted.branch, create=granted.create)
        if not self.data.worktree:
            self.say("preparing")
        elif granted.again:
            self.say("worktree_again", worktree=self.data.worktree)
        else:
            self.say("worktree_new")
        if granted.taken_by:
            holder = streams.short(granted.taken_by)
            self.say("branch_taken", branch=granted.branch, create=granted.create, holder=holder)

    def prepare_repository(self) -> None:
        """The place is ours: make it, or find it whole."""
        data = self.data = evolve(self.data, git_waits="")
        self.issue(
            PrepareRepository(
                session_id=data.session_id,
                org=data.org,
                repo=data.repo,
                worktree=data.worktree,
                branch=data.asked_branch,
                create=data.create,
                update=data.auto_pull,
            )
        )

    def say_progress(self) -> None:
        """A long clone is not silent."""
        event = cast("RepositoryProgressed", self.event)
        self.say("progress", phase=event.phase, percent=str(event.percent))

    def settle(self) -> None:
        """The place is there: remember it, and say what a person should know of it."""
        event = cast("RepositoryPrepared", self.event)
        self.data = evolve(
            self.data,
            path=event.path,
            mirror=event.mirror,
            branch=event.branch,
            base=event.base or event.default_branch,
            default_branch=event.default_branch,
            git_tries=0,
        )
        self.notify(self._coordinator(), RepositorySettled(self.data.session_id, event.branch))
        for note in event.notes:
            self.say("place_note", code=note.code, detail=note.detail, branch=event.branch)
        if any(note.code == FETCH_HAD_NO_NETWORK for note in event.notes) and self._can_ask_git_host():
            self.ask_git_host("fetch")

    def say_prepare_failed(self) -> None:
        """Mirror or place could not be made."""
        event = cast("RepositoryPrepareFailed", self.event)
        self.say("prepare_failed", code=event.code, detail=event.detail, waiting=self.waiting())

    def cancel_prepare(self) -> None:
        """End a clone under way; that it ended is reported by the preparation itself."""
        self.issue(CancelPrepare(self.data.session_id))

    # --- the git host is behind the same firewall ----------------------------------------------------------------------

    def may_ask_for_git_host(self) -> bool:
        """It failed for lack of network, a card can ask for the host, and none was asked yet."""
        return self.event.code == NO_NETWORK and self._can_ask_git_host()

    def git_host_was_just_allowed(self) -> bool:
        """It failed for lack of network though the host was allowed: the firewall may need a moment."""
        return self.event.code == NO_NETWORK and 0 < self.data.git_tries < GIT_TRIES

    def ask_for_git_host(self) -> None:
        """The same card as the agent's, by ourselves."""
        waits = "fetch" if self.event.KIND == "mirror.fetch_failed" else "prepare"
        self.say("git_host_needed", host=self.data.git_host, detail=self.event.detail)
        self.ask_git_host(waits)

    def try_git_later(self) -> None:
        """Try again in a moment."""
        data = self.data
        self.data = evolve(data, git_tries=data.git_tries + 1)
        self.issue(SetTimer(data.session_id, "git", data.git_tries, due_ms=self.at_ms + GIT_AGAIN_MS))

    def timer_is_git(self) -> bool:
        """The moment that the firewall was given is over."""
        return self.event.name == "git"

    def say_git_denied(self) -> None:
        """What needed the host is given up."""
        waited, self.data = self.data.git_waits, evolve(self.data, git_waits="")
        self.say("git_denied", host=self.data.git_host, waited=waited, waiting=self.waiting())

    def _can_ask_git_host(self) -> bool:
        return bool(self.data.git_host) and not self.data.git_waits and not self.data.git_tries

    def ask_git_host(self, waits: str) -> None:
        """Ask a person for the git host, and remember what waits for it."""
        data, request_id = self.data, f"r{self.seq}g"
        self.data = evolve(data, git_waits=waits, git_request_id=request_id)
        self.request_network((Ask(request_id, data.git_host),), f"git {_GIT_DOES[waits]}")

    def queue_network(self) -> None:
        """What became of a request waits in the same queue, unless it was our own for the git host."""
        event = cast("NetworkApproved | NetworkDenied", self.event)
        approved = isinstance(event, NetworkApproved)
        self._take_git_answer("git_allowed" if approved else "git_denied")
        if event.request_id == self.data.git_request_id and event.domain not in self.data.asked:
            return
        self.data = evolve(self.data, asked=tuple(name for name in self.data.asked if name != event.domain))
        if isinstance(event, NetworkApproved):
            self.queue(markers.approved(event.domain, event.reachable))
        else:
            self.queue(markers.denied(event.domain, event.reason))

    def _take_git_answer(self, answer: str) -> None:
        """A decision about the git host, if something waits for it."""
        if self.data.git_waits and self.event.domain == self.data.git_host:
            self.data = evolve(self.data, git_tries=1 if answer == "git_allowed" else 0)
            self.then(answer)

    # --- used -------------------------------------------------------------------------------------------------------

    def say_no_place(self) -> None:
        """It is not there yet, or not there any more."""
        self.say("no_place", state=self.state)

    def say_project_is_yours(self) -> None:
        """We push and fetch for repositories that we cloned, only."""
        what = "push" if self.event.KIND == "push.requested" else "fetch"
        self.say("project_is_yours", what=what, path=self.data.path)

    def read_diff(self) -> None:
        """The change so far."""
        data = self.data
        self.issue(DiffWorkspace(data.session_id, data.path, data.mirror, data.base))

    def show_diff(self) -> None:
        """As it is, or as a file; who shows it reads it from this event."""
        event, data = cast("WorkspaceDiffed", self.event), self.data
        if event.text:
            self.issue(ShowDiff(data.channel_id, data.session_id, data.root_id))
        else:
            self.say("no_changes", path=data.path, base=data.base)

    def say_diff_failed(self) -> None:
        """It could not be read."""
        self.say("diff_failed", code=self.event.code, detail=self.event.detail)

    def fetch_mirror(self) -> None:
        """Bring the mirror up to date; the agent then fetches from it."""
        self.issue(FetchMirror(self.data.session_id, self.data.org, self.data.repo))

    def say_fetched(self) -> None:
        """The agent can fetch now."""
        self.data = evolve(self.data, git_tries=0)
        self.say("fetched", changed=str(cast("MirrorFetched", self.event).changed))

    def say_fetch_failed(self) -> None:
        """The mirror is as it was."""
        self.say("fetch_failed", code=self.event.code, detail=self.event.detail)

    # --- left -------------------------------------------------------------------------------------------------------

    def inspect_workspace(self) -> None:
        """See what the session leaves, while nobody else can have the place."""
        self.issue(InspectWorkspace(self.data.session_id, self.data.path, self.data.mirror))

    def say_left_behind(self) -> None:
        """Where the work is, and what of it is nowhere else."""
        event = cast("WorkspaceInspected", self.event)
        self.say(
            "left_behind",
            path=self.data.path,
            branch=event.branch or self.data.branch,
            changed="\n".join(event.changed),
            changed_count=str(event.changed_count),
            unpushed=str(event.unpushed),
            mirror=self.data.mirror,
            runtime=self.data.runtime,
            image=self.data.image,
            worktree=self.data.worktree,
        )

    def say_left_unseen(self) -> None:
        """Where the work is; no more is known."""
        self.say(
            "left_unseen",
            path=self.data.path,
            branch=self.data.branch,
            detail=self.event.detail if self.event.code != "not_git" else "",
        )
