"""Stop, in each state: nothing is delivered after it, and its answer comes when all is over."""

from __future__ import annotations

import pytest

from sm.core import events as e
from sm.core.commands import AppendLine, CancelPrepare, InspectWorkspace, SetTimer, StopAgent
from sm.core.stream_json import interrupt_line

from .playbook import PREPARED, SESSION, World, result, said


def freed(world: World) -> bool:
    return (world.state(), world.channel_state(), world.repository()) == ("stopped", "open", "free")


@pytest.mark.parametrize(
    "report", [None, e.RepositoryPrepareFailed("disk_full", "no space")], ids=["prepared", "failed"]
)
def test_stop_while_preparing_waits_for_the_repository(report: e.Event | None):
    world = World().start().stop()
    assert (world.state(), world.commands) == ("stopping", [CancelPrepare(SESSION)])
    world = world.prepared() if report is None else world >> report
    assert world.commands == [said("stopped", waiting="0")]
    assert freed(world)


def test_stop_while_starting_ends_the_container_that_may_come():
    world = World().start().prepared()
    assert world.stop().commands == [StopAgent(SESSION, 1)]
    assert world.started().commands == []
    assert world.ended().commands == []
    assert world.container_stopped().looked_at().said == ["stopped", "left_behind"]
    assert freed(world)


def test_stop_while_starting_whose_container_never_starts():
    world = World().start().prepared().stop()
    assert (world >> e.AgentStartFailed(1, "image_missing", "")).commands == []
    assert world.container_stopped().looked_at().said == ["stopped", "left_behind"]
    assert freed(world)


def test_an_answer_of_an_agent_that_is_being_stopped_is_no_ready():
    world = World().start().prepared().started().stop()
    assert world.initialized().commands == []
    assert world.state() == "stopping"


def test_stop_while_ready_stops_the_container():
    world = World().ready()
    assert world.stop().commands == [StopAgent(SESSION, 1)]
    assert world.container_stopped().commands == []
    assert world.ended(how="143 0").commands == [InspectWorkspace(SESSION, PREPARED.path, PREPARED.mirror)]
    assert world.state() == "inspecting"
    assert world.looked_at().commands[0] == said("stopped", waiting="0")
    assert freed(world)


def test_its_answer_names_what_the_session_leaves():
    world = World().ready().stop().ended()
    world.container_stopped().looked_at(" M a.py", "?? b.py", unpushed=3)
    assert world.commands == [
        said("stopped", waiting="0"),
        said(
            "left_behind",
            path=PREPARED.path,
            branch="main",
            changed=" M a.py\n?? b.py",
            changed_count="2",
            unpushed="3",
            mirror=PREPARED.mirror,
            runtime="podman",
            image="claude-code:latest",
            worktree="",
        ),
    ]


def test_what_it_leaves_may_be_unseen():
    world = World().ready().stop().ended().container_stopped()
    world >> e.WorkspaceInspectFailed("image_missing", "no such image")
    assert world.commands == [
        said("stopped", waiting="0"),
        said("left_unseen", path=PREPARED.path, branch="main", detail="no such image"),
    ]
    assert freed(world)


def test_a_message_while_it_looks_is_counted_and_a_second_stop_answered():
    world = World().ready().stop().ended().container_stopped()
    assert world.post("one").commands == []
    assert world.stop().commands == [said("already_stopping")]
    assert world.looked_at().commands[0] == said("stopped", waiting="1")


def test_stop_while_working_interrupts_first():
    world = World().working()
    length = world.data.input_bytes
    world.stop()
    assert world.commands == [
        AppendLine(SESSION, 1, length, interrupt_line(1)),
        SetTimer(SESSION, "stop", 1, world.at_ms + 5_000),
    ]
    world.agent(result("", is_error=True, subtype="error_during_execution"))
    assert world.idle().commands == [StopAgent(SESSION, 1)]
    assert world.timer("stop").commands == []
    assert world.ended().commands == []
    assert world.container_stopped().looked_at().said == ["stopped", "left_behind"]
    assert freed(world)


def test_the_error_that_our_own_interrupt_makes_is_not_shown():
    world = World().working().stop()
    world.result("", is_error=True, subtype="error_during_execution")
    assert world.said == []


def test_an_interrupt_that_is_not_answered_ends_in_a_stop_all_the_same():
    world = World().working().stop()
    assert world.timer("ready").commands == []
    assert world.timer("stop").commands == [StopAgent(SESSION, 1)]
    assert world.idle().commands == []


def test_an_agent_that_ends_during_its_interrupt_is_stopped():
    world = World().working().stop()
    assert world.ended().commands == [StopAgent(SESSION, 1)]
    assert world.container_stopped().looked_at().said == ["stopped", "left_behind"]


def test_an_interrupt_that_cannot_be_appended_is_followed_by_the_stop():
    world = World().working().stop()
    assert (world >> e.AppendRefused(1, 10, 20)).commands == [StopAgent(SESSION, 1)]


def test_output_that_breaks_during_a_stop_does_not_hold_it_up():
    world = World().ready().stop()
    assert (world >> e.OutputBroken(1, "replaced")).commands == []
    assert world.container_stopped().looked_at().said == ["stopped", "left_behind"]


def test_stop_while_recovering_waits_for_the_container_alone():
    world = World().working().ended()
    assert world.stop().commands == []
    assert world.container_stopped().looked_at().said == ["stopped", "left_behind"]
    assert freed(world)


def test_stop_while_probing_is_over_at_once():
    world = World().ready().post("first").dies()
    assert world.state() == "probing"
    assert world.stop().kinds == ["workspace.inspect"]
    assert world.looked_at().said == ["stopped", "left_behind"]
    assert freed(world)
    assert world.probed(False).commands == []


def test_stop_while_resuming_stops_the_new_container():
    world = World().working().dies().started()
    assert world.stop().commands == [StopAgent(SESSION, 2)]
    assert world.ended().commands == []
    assert world.container_stopped().looked_at().said == ["stopped", "left_behind"]
    assert freed(world)


def test_after_a_recorded_stop_nothing_is_delivered_and_its_answer_counts_what_waited():
    world = World().working().stop()
    assert world.post("one").appended == []
    assert world.post("two").appended == []
    assert world.idle().kinds == ["agent.stop"]
    world.ended()
    assert world.container_stopped().looked_at().commands[0] == said("stopped", waiting="2")
    assert world.all(AppendLine)[-1].line == interrupt_line(1)


def test_what_waited_before_the_stop_is_counted_and_lines_of_ours_are_not():
    world = World().start().post("one")
    world.prepared().post("two")
    world.started().says("[NETWORK_REQUEST: co.uk]")
    world.stop()
    assert len(world.data.talk.queue) == 3
    world.ended()
    assert world.container_stopped().looked_at().commands[0] == said("stopped", waiting="2")


def test_a_decision_after_a_recorded_stop_is_kept_and_reaches_no_agent():
    world = World().ready()
    world.asked("pypi.org").stop()
    world.press("pypi.org")
    assert world.opened("pypi.org").appended == []
    assert world.grant("pypi.org").state == "held"


def test_a_second_stop_says_that_it_is_under_way():
    world = World().ready().stop()
    assert world.stop().commands == [said("already_stopping")]
    assert world.state() == "stopping"


def test_a_stop_without_a_session_says_so():
    world = World().stop()
    assert world.said == ["no_session"]


def test_a_stopped_session_is_not_revived_by_what_arrives_late():
    world = World().ready().stop()
    world.ended().container_stopped().looked_at()
    late = [
        e.RepositoryPrepared("/p", "main", "", "/m", True),
        e.RepositoryGranted(),
        e.AgentStarted(1, "c"),
        e.AgentEnded(1, "ended", "", ""),
        e.AgentStopped(1, "", ""),
        e.TimerFired("ready", 1),
        e.NetworkApproved("r", "pypi.org", "james"),
        e.StopRequested("p", "u", "james"),
    ]
    for event in late:
        assert (world >> event).commands == [], event
        assert world.state() == "stopped"


def test_the_channel_takes_a_new_session_after_the_stop():
    world = World().ready().stop()
    world.ended().container_stopped().looked_at()
    assert world.post("anybody?").events == ["chat.message_skipped"]
    world.session = "another1-0000-4000-8000-000000000001"
    assert world.start().kinds == ["chat.say", "repository.prepare"]
