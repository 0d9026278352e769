"""The VM's commands: what a report may claim, and what only proves that we could not look."""

from __future__ import annotations

from typing import Any

import pytest

from sm.core.commands import AppendLine, Command, ProbeMessage, StartAgent, StopAgent
from sm.core.events import (
    AgentStarted,
    AgentStartFailed,
    AgentStopped,
    AppendRefused,
    LineAppended,
    MessageProbed,
)
from sm.core.outcome import Refused, Unreachable
from sm.engine.dispatch import Job
from sm.engine.effectors.agent import ABOUT_US, AgentEffectors
from sm.engine.wording import SYSTEM_PROMPT
from sm.engine.writer import Issued
from sm.vm.model import Appended, GenerationStatus, LengthMismatch, Started, StartSpec

SESSION = "abc12345-0000-4000-8000-000000000001"
APPEND = AppendLine(SESSION, 2, 70, "{}\n")
STOP = StopAgent(SESSION, 2)
PROBE = ProbeMessage(SESSION, 2, "u" * 36)
START = StartAgent(SESSION, 2, "/w", "/m", SESSION, True, "bypassPermissions", "{}\n")


class Vm:
    """Answers each step with what it is given; notes with which epoch it was asked."""

    epoch = 7

    def __init__(self, answer: Any = None, *, fence: Exception | None = None) -> None:
        self.answer, self.fence_answer = answer, fence
        self.asked: list[Any] = []

    async def ready(self, _session_id: str) -> Vm:
        if self.fence_answer is not None:
            raise self.fence_answer
        return self

    async def _step(self, *args: Any, **named: Any) -> Any:
        self.asked.append((*args, *named.values()))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    start_generation = append = stop_generation = transcript_has = _step


async def carry_out(vm: Vm, command: Command, *, doubtful: bool = False) -> Any:
    effectors = AgentEffectors(vm)  # type: ignore[arg-type]
    of: dict[type[Command], Any] = {
        StartAgent: effectors.start,
        AppendLine: effectors.append,
        StopAgent: effectors.stop,
        ProbeMessage: effectors.probe,
    }
    return await of[type(command)](Job(Issued("x/1/0", f"session:{SESSION}", 1, command), doubtful=doubtful))


async def test_what_was_done_is_reported_as_it_is() -> None:
    assert await carry_out(Vm(Started(2, "cid", False)), START) == AgentStarted(2, "cid")
    assert await carry_out(Vm(Appended(73)), APPEND) == LineAppended(2, 73)
    ended = GenerationStatus("ended", "143 0", "cid", 73, 0)
    assert await carry_out(Vm(ended), STOP) == AgentStopped(2, "ended", "143 0")
    assert await carry_out(Vm(True), PROBE) == MessageProbed(2, PROBE.uuid, True)


async def test_every_step_that_changes_the_vm_carries_our_epoch() -> None:
    answers: dict[Command, Any] = {
        START: Started(2, "cid", False),
        APPEND: Appended(73),
        STOP: GenerationStatus("ended", "143 0", "cid", 73, 0),
    }
    for command, answer in answers.items():
        vm = Vm(answer)
        await carry_out(vm, command)
        assert Vm.epoch in vm.asked[0], command


async def test_a_start_carries_what_the_fold_decided_and_the_prompt() -> None:
    vm = Vm(Started(2, "cid", False))
    await carry_out(vm, START)
    spec = vm.asked[0][0]
    assert isinstance(spec, StartSpec)
    assert (spec.generation, spec.resume, spec.first_line) == (2, True, "{}\n")
    assert spec.system_prompt == SYSTEM_PROMPT


@pytest.mark.parametrize("command", [START, APPEND, STOP, PROBE], ids=lambda c: c.KIND)
async def test_no_answer_is_no_report(command: Command) -> None:
    with pytest.raises(Unreachable):
        await carry_out(Vm(Unreachable("away")), command)
    with pytest.raises(Unreachable):
        await carry_out(Vm(fence=Unreachable("away")), command)


async def test_a_refused_start_is_told_with_its_reason() -> None:
    assert await carry_out(Vm(Refused("name_taken", "x" * 5000)), START) == AgentStartFailed(
        2, "name_taken", "x" * 1000
    )


@pytest.mark.parametrize("code", [*sorted(ABOUT_US), "disk_full", "path_not_writable"])
async def test_a_refused_stop_is_never_reported_as_stopped(code: str) -> None:
    """`✅ Stopped.` would be said of a container that runs on."""
    for vm in (Vm(Refused(code, "no")), Vm(fence=Refused(code, "no"))):
        with pytest.raises(Unreachable) as caught:
            await carry_out(vm, STOP)
        assert caught.value.retry_after_s


@pytest.mark.parametrize("code", sorted(ABOUT_US))
async def test_a_vm_that_does_not_let_us_in_ends_no_generation_and_answers_no_probe(code: str) -> None:
    for command in (APPEND, PROBE):
        with pytest.raises(Unreachable):
            await carry_out(Vm(fence=Refused(code, "no")), command)


@pytest.mark.parametrize("code", [*sorted(ABOUT_US), "disk_full", "path_not_writable"])
async def test_a_start_that_may_have_been_made_does_not_fail_unseen(code: str) -> None:
    """The container may run: called failed, it would run on in a clone that the next session is given."""
    with pytest.raises(Unreachable):
        await carry_out(Vm(fence=Refused(code, "no")), START, doubtful=True)
    failed = await carry_out(Vm(fence=Refused(code, "no")), START)
    assert failed == AgentStartFailed(2, code, "no")
    looked = await carry_out(Vm(Refused("name_taken", "no")), START, doubtful=True)
    assert looked == AgentStartFailed(2, "name_taken", "no")


@pytest.mark.parametrize("code", ["generation_missing", "disk_full"])
async def test_an_append_that_the_generations_files_refuse_ends_it(code: str) -> None:
    assert await carry_out(Vm(Refused(code, "no")), APPEND) == AppendRefused(2, 70, -1)


async def test_an_input_of_another_length_ends_the_generation() -> None:
    assert await carry_out(Vm(LengthMismatch(99)), APPEND) == AppendRefused(2, 70, 99)


async def test_a_transcript_that_cannot_be_asked_leaves_it_open() -> None:
    assert await carry_out(Vm(Refused("image_missing", "no")), PROBE) == MessageProbed(2, PROBE.uuid, None)
    assert await carry_out(Vm(None), PROBE) == MessageProbed(2, PROBE.uuid, None)


def test_a_sessions_commands_share_a_lane() -> None:
    assert {command.lane for command in (START, APPEND, STOP, PROBE)} == {f"vm:{SESSION}"}
