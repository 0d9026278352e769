"""The VM: the effectors about places: prepared, looked at, brought up to date, pushed from."""

from __future__ import annotations

import asyncio
from typing import cast

from sm.core.commands import (
    CancelPrepare,
    DiffWorkspace,
    FetchMirror,
    InspectWorkspace,
    PreparePush,
    PrepareRepository,
    PushBranch,
    ResolveProject,
)
from sm.core.events import (
    Event,
    MirrorFetched,
    MirrorFetchFailed,
    Note,
    ProjectRefused,
    ProjectResolved,
    PushDone,
    PushFailed,
    PushPrepared,
    PushRefused,
    RepositoryPrepareCancelled,
    RepositoryPrepared,
    RepositoryPrepareFailed,
    RepositoryProgressed,
    WorkspaceDiffed,
    WorkspaceDiffFailed,
    WorkspaceInspected,
    WorkspaceInspectFailed,
)
from sm.core.outcome import Refused
from sm.engine.clock import Clock
from sm.engine.dispatch import Job
from sm.engine.effectors.agent import ABOUT_US, later
from sm.engine.fenced_vm import FencedVm
from sm.engine.writer import Submission, Writer
from sm.vm.model import PrepareSpec, Progress

MAX_DETAIL = 1000
MAX_NOTES = 10
PROGRESS_AFTER_MS = 10_000  # a preparation that takes no longer is not talked about …
PROGRESS_EVERY_MS = 30_000  # … and one that does, so often


class PlaceEffectors:
    """What the fold asks of repositories on the VM. What changes them there takes our epoch along."""

    def __init__(self, vm: FencedVm, writer: Writer, clock: Clock) -> None:
        self._vm = vm
        self._writer = writer
        self._clock = clock

    async def resolve_project(self, job: Job) -> Event:
        """Check the VM, then find the folder by its real path."""
        command = cast("ResolveProject", job.command)
        try:
            vm = await self._vm.ready(command.session_id)
            await vm.check(command.session_id)
            project = await vm.repositories.resolve_project(command.session_id, command.path)
        except Refused as refusal:
            return ProjectRefused(refusal.code, str(refusal)[:MAX_DETAIL])
        return ProjectResolved(project.path, project.branch, project.head)

    async def prepare(self, job: Job) -> Event:
        """Check the VM, then make mirror and place or find them whole; says how far it got when that takes long."""
        command = cast("PrepareRepository", job.command)
        spec = PrepareSpec(
            session_id=command.session_id,
            org=command.org,
            repo=command.repo,
            worktree=command.worktree,
            branch=command.branch,
            create=command.create,
            update=command.update,
        )
        reporter = _Reporter(self._writer, self._clock, job)
        try:
            vm = await self._vm.ready(command.session_id)
            await vm.check(command.session_id)
            made = await vm.repositories.prepare(spec, self._vm.epoch, progress=reporter.take)
        except Refused as refusal:
            return RepositoryPrepareFailed(refusal.code, str(refusal)[:MAX_DETAIL])
        finally:
            await reporter.finish()
        notes = tuple(Note(note.code, note.detail[:MAX_DETAIL]) for note in made.notes[:MAX_NOTES])
        return RepositoryPrepared(
            path=made.path,
            branch=made.branch,
            head=made.head,
            mirror=made.mirror,
            created=made.created,
            default_branch=made.default_branch,
            base=made.base,
            notes=notes,
        )

    async def cancel(self, job: Job) -> Event:
        """End a preparation; doing it twice is harmless. Its own report says what came of it."""
        command = cast("CancelPrepare", job.command)
        try:
            vm = await self._vm.ready(command.session_id)
            await vm.repositories.cancel(command.session_id, self._vm.epoch)
        except Refused as refusal:
            if refusal.code in ABOUT_US:
                raise later(refusal) from refusal
        return RepositoryPrepareCancelled()

    async def inspect(self, job: Job) -> Event:
        """See what a session leaves."""
        command = cast("InspectWorkspace", job.command)
        try:
            vm = await self._vm.ready(command.session_id)
            seen = await vm.workspaces.inspect(
                session_id=command.session_id, workspace=command.workspace, mirror=command.mirror
            )
        except Refused as refusal:
            return WorkspaceInspectFailed(refusal.code, str(refusal)[:MAX_DETAIL])
        return WorkspaceInspected(seen.branch, seen.head, seen.changed, seen.changed_count, seen.unpushed)

    async def diff(self, job: Job) -> Event:
        """Read the change so far."""
        command = cast("DiffWorkspace", job.command)
        try:
            vm = await self._vm.ready(command.session_id)
            diff = await vm.workspaces.diff(
                session_id=command.session_id,
                workspace=command.workspace,
                mirror=command.mirror,
                base=command.base,
            )
        except Refused as refusal:
            return WorkspaceDiffFailed(refusal.code, str(refusal)[:MAX_DETAIL])
        return WorkspaceDiffed(diff.text, diff.cut, diff.files, diff.insertions, diff.deletions)

    async def fetch(self, job: Job) -> Event:
        """Bring the mirror up to date; doing it twice is harmless."""
        command = cast("FetchMirror", job.command)
        try:
            vm = await self._vm.ready(command.session_id)
            fetched = await vm.upstream.fetch(
                session_id=command.session_id, org=command.org, repo=command.repo, epoch=self._vm.epoch
            )
        except Refused as refusal:
            return MirrorFetchFailed(refusal.code, str(refusal)[:MAX_DETAIL])
        return MirrorFetched(fetched.changed)

    async def prepare_push(self, job: Job) -> Event:
        """Take the branch's commits into the mirror and say what they are."""
        command = cast("PreparePush", job.command)
        try:
            vm = await self._vm.ready(command.session_id)
            found = await vm.upstream.candidate(
                session_id=command.session_id,
                org=command.org,
                repo=command.repo,
                workspace=command.workspace,
                branch=command.branch,
                target=command.target,
                default_branch=command.default_branch,
                epoch=self._vm.epoch,
            )
        except Refused as refusal:
            return PushRefused(refusal.code, str(refusal)[:MAX_DETAIL])
        return PushPrepared(found.commit, found.commits, found.stat, found.workflows, found.new_branch)

    async def push(self, job: Job) -> Event:
        """Push exactly one commit; that it is upstream already is as good.

        One that may have gone out before is not called failed by a VM that did not look.
        """
        command = cast("PushBranch", job.command)
        try:
            vm = await self._vm.ready(command.session_id)
            await vm.upstream.push(
                session_id=command.session_id,
                org=command.org,
                repo=command.repo,
                commit=command.commit,
                target=command.target,
                epoch=self._vm.epoch,
            )
        except Refused as refusal:
            if job.doubtful and refusal.code in ABOUT_US:
                raise later(refusal) from refusal
            return PushFailed(refusal.code, str(refusal)[:MAX_DETAIL])
        return PushDone(command.commit, command.target)


class _Reporter:
    """Turns the VM's progress into a few events of the session."""

    def __init__(self, writer: Writer, clock: Clock, job: Job) -> None:
        self._writer = writer
        self._clock = clock
        self._job = job
        self._due_ms = clock.now_ms() + PROGRESS_AFTER_MS
        self._submitted: list[asyncio.Task[object]] = []

    def take(self, progress: Progress) -> None:
        """Report it, if it is time."""
        now_ms = self._clock.now_ms()
        if now_ms < self._due_ms:
            return
        self._due_ms = now_ms + PROGRESS_EVERY_MS
        event = RepositoryProgressed(progress.phase[:100], progress.percent)
        submission = Submission(self._job.issued.stream, lambda _: event, cause=self._job.id)
        self._submitted.append(asyncio.ensure_future(self._writer.submit(submission)))

    async def finish(self) -> None:
        """What was reported comes before the outcome."""
        await asyncio.gather(*self._submitted)
