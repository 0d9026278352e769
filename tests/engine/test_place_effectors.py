"""The VM's commands about places: what a report may claim, with which epoch, and a long one that says how far it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from engine_kit import Engine, ManualClock

from sm.core import streams
from sm.core.commands import (
    CancelPrepare,
    Command,
    DiffWorkspace,
    FetchMirror,
    InspectWorkspace,
    PreparePush,
    PrepareRepository,
    PushBranch,
    ResolveProject,
)
from sm.core.events import (
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
from sm.core.outcome import Refused, Unreachable
from sm.engine.dispatch import Job
from sm.engine.effectors.agent import ABOUT_US
from sm.engine.effectors.place import PROGRESS_AFTER_MS, PROGRESS_EVERY_MS, PlaceEffectors
from sm.engine.writer import Issued
from sm.vm import model as m

SESSION = "abc12345-0000-4000-8000-000000000001"
STREAM = streams.session(SESSION)
PREPARE = PrepareRepository(SESSION, "acme", "webapp", "feature", "next", "sm/feature", update=True)
RESOLVE = ResolveProject(SESSION, "/srv/my")
CANCEL = CancelPrepare(SESSION)
INSPECT = InspectWorkspace(SESSION, "/w", "/m")
DIFF = DiffWorkspace(SESSION, "/w", "/m", "main")
FETCH = FetchMirror(SESSION, "acme", "webapp")
CANDIDATE = PreparePush(SESSION, "acme", "webapp", "/w", "main", "sm/abc12345", "main")
PUSH = PushBranch(SESSION, "acme", "webapp", "c" * 40, "sm/abc12345")
MADE = m.Prepared(
    path="/w",
    branch="sm/feature",
    head="f" * 40,
    mirror="/m",
    created=True,
    default_branch="main",
    base="next",
    notes=(m.Note("lfs", "x" * 5000),),
)
FAILED: dict[Command, type[Any]] = {
    PREPARE: RepositoryPrepareFailed,
    RESOLVE: ProjectRefused,
    INSPECT: WorkspaceInspectFailed,
    DIFF: WorkspaceDiffFailed,
    FETCH: MirrorFetchFailed,
    CANDIDATE: PushRefused,
    PUSH: PushFailed,
}


class Vm:
    """Answers each step with what it is given; notes what it was asked."""

    epoch = 7

    def __init__(
        self, answer: Any = None, *, check: Exception | None = None, fence: Exception | None = None
    ) -> None:
        self.answer, self.check_answer, self.fence_answer = answer, check, fence
        self.asked: list[Any] = []
        self.progress: list[m.Progress] = []
        self.clock = ManualClock()

    @property
    def repositories(self) -> Vm:
        return self

    workspaces = upstream = repositories

    async def ready(self, _session_id: str) -> Vm:
        if self.fence_answer is not None:
            raise self.fence_answer
        return self

    async def check(self, _session_id: str) -> None:
        if self.check_answer is not None:
            raise self.check_answer

    async def _step(self, *args: Any, **named: Any) -> Any:
        self.asked.append((*args, *named.values()))
        for progress in self.progress:
            named["progress"](progress)
            self.clock.ms += PROGRESS_AFTER_MS
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    prepare = cancel = resolve_project = inspect = diff = fetch = candidate = push = _step


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    made = await Engine.start()
    yield made
    await made.crash()


async def carry_out(engine: Engine, vm: Vm, command: Command, *, doubtful: bool = False) -> Any:
    effectors = PlaceEffectors(vm, engine.writer, vm.clock)  # type: ignore[arg-type]
    of: dict[type[Command], Any] = {
        PrepareRepository: effectors.prepare,
        ResolveProject: effectors.resolve_project,
        CancelPrepare: effectors.cancel,
        InspectWorkspace: effectors.inspect,
        DiffWorkspace: effectors.diff,
        FetchMirror: effectors.fetch,
        PreparePush: effectors.prepare_push,
        PushBranch: effectors.push,
    }
    return await of[type(command)](Job(Issued("x/1/0", STREAM, 1, command), doubtful=doubtful))


async def test_what_was_done_is_reported_as_it_is(engine: Engine) -> None:
    reports: dict[Command, tuple[Any, Any]] = {
        PREPARE: (
            MADE,
            RepositoryPrepared(
                "/w", "sm/feature", "f" * 40, "/m", True, "main", "next", (Note("lfs", "x" * 1000),)
            ),
        ),
        RESOLVE: (m.Project("/srv/my", "main", "f" * 40), ProjectResolved("/srv/my", "main", "f" * 40)),
        CANCEL: (None, RepositoryPrepareCancelled()),
        INSPECT: (
            m.Inspected(branch="main", head="f" * 40, changed=(" M a",), changed_count=1, unpushed=2),
            WorkspaceInspected("main", "f" * 40, (" M a",), 1, 2),
        ),
        DIFF: (
            m.Diff(text="+a", cut=False, files=1, insertions=1, deletions=0),
            WorkspaceDiffed("+a", False, 1, 1, 0),
        ),
        FETCH: (m.Fetched(3, ""), MirrorFetched(3)),
        CANDIDATE: (
            m.Candidate(commit="c" * 40, commits=2, stat="s", workflows=True, new_branch=True, target="t"),
            PushPrepared("c" * 40, 2, "s", True, True),
        ),
        PUSH: (True, PushDone("c" * 40, "sm/abc12345")),
    }
    for command, (answer, report) in reports.items():
        assert await carry_out(engine, Vm(answer), command) == report, command


async def test_a_preparation_asks_for_what_the_fold_decided(engine: Engine) -> None:
    vm = Vm(MADE)
    await carry_out(engine, vm, PREPARE)
    spec: m.PrepareSpec = vm.asked[0][0]
    assert (spec.worktree, spec.branch, spec.create, spec.update) == ("feature", "next", "sm/feature", True)


async def test_every_step_that_changes_the_vm_carries_our_epoch(engine: Engine) -> None:
    answers: dict[Command, Any] = {
        PREPARE: MADE,
        CANCEL: None,
        FETCH: m.Fetched(3, ""),
        CANDIDATE: m.Candidate(commit="c", commits=2, stat="", workflows=True, new_branch=True, target="t"),
        PUSH: True,
    }
    for command, answer in answers.items():
        vm = Vm(answer)
        await carry_out(engine, vm, command)
        assert Vm.epoch in vm.asked[0], command


@pytest.mark.parametrize("command", [*FAILED, CANCEL], ids=lambda command: command.KIND)
async def test_no_answer_is_no_report(engine: Engine, command: Command) -> None:
    with pytest.raises(Unreachable):
        await carry_out(engine, Vm(Unreachable("away")), command)
    with pytest.raises(Unreachable):
        await carry_out(engine, Vm(fence=Unreachable("away")), command)


@pytest.mark.parametrize("command", FAILED, ids=lambda command: command.KIND)
async def test_a_refusal_is_told_with_its_reason(engine: Engine, command: Command) -> None:
    failed = await carry_out(engine, Vm(Refused("some_code", "x" * 5000)), command)
    assert failed == FAILED[command]("some_code", "x" * 1000)


@pytest.mark.parametrize("command", [PREPARE, RESOLVE], ids=lambda command: command.KIND)
async def test_the_vm_is_checked_first(engine: Engine, command: Command) -> None:
    failed = await carry_out(engine, Vm(check=Refused("image_missing", "pull it")), command)
    assert (failed.code, failed.detail) == ("image_missing", "pull it")


@pytest.mark.parametrize("code", sorted(ABOUT_US))
async def test_a_push_that_may_have_gone_out_is_not_called_failed_unseen(engine: Engine, code: str) -> None:
    with pytest.raises(Unreachable):
        await carry_out(engine, Vm(fence=Refused(code, "no")), PUSH, doubtful=True)
    assert await carry_out(engine, Vm(fence=Refused(code, "no")), PUSH) == PushFailed(code, "no")


@pytest.mark.parametrize("code", sorted(ABOUT_US))
async def test_a_clone_that_is_to_end_is_told_again_until_the_vm_lets_us_in(
    engine: Engine, code: str
) -> None:
    with pytest.raises(Unreachable):
        await carry_out(engine, Vm(fence=Refused(code, "no")), CANCEL)


async def test_a_long_preparation_says_how_far_it_is_but_not_all_the_time(engine: Engine) -> None:
    vm = Vm(MADE)
    vm.progress = [m.Progress("Receiving objects", percent) for percent in range(0, 100, 10)]
    await carry_out(engine, vm, PREPARE)
    said = [recorded.event for recorded in engine.recorded("repository.progressed", STREAM)]
    assert said[0] == RepositoryProgressed("Receiving objects", 10)
    every = PROGRESS_EVERY_MS // PROGRESS_AFTER_MS
    assert [event.percent for event in said] == list(range(10, 100, 10 * every))  # type: ignore[attr-defined]


async def test_a_short_preparation_says_nothing_of_it(engine: Engine) -> None:
    vm = Vm(MADE)
    vm.progress = [m.Progress("Receiving objects", 50)]
    await carry_out(engine, vm, PREPARE)
    assert engine.recorded("repository.progressed") == []


def test_a_stop_does_not_wait_behind_the_clone_nor_a_message_behind_a_fetch() -> None:
    assert PREPARE.lane == RESOLVE.lane == INSPECT.lane == f"vm:{SESSION}"
    assert CANCEL.lane == f"vm:{SESSION}:cancel"
    assert {command.lane for command in (DIFF, FETCH, CANDIDATE, PUSH)} == {f"vm:{SESSION}:git"}
