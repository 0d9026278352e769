"""An agent that ends by itself: cut off, probe, resume, redeliver; and when to give up."""

from __future__ import annotations

import pytest

from sm.core import events as e
from sm.core.commands import ProbeMessage, StartAgent, StopAgent
from sm.core.stream_json import agent_session_uuid, initialize_line

from .playbook import CHANNEL, PREPARED, SESSION, World, init, said

FACTS = {"trouble": "ended", "exit": "137 0", "err_tail": ""}


def test_an_agent_that_dies_at_rest_is_resumed_where_it_was():
    world = World().working().agent(init("conversation-7")).idle()
    assert world.ended().commands == [StopAgent(SESSION, 1)]
    world.container_stopped()
    assert world.commands[0] == said("agent_ended", turn_was_open="", **FACTS)
    start = world.commands[1]
    assert isinstance(start, StartAgent)
    assert (start.generation, start.resume, start.agent_session_id) == (2, True, "conversation-7")
    assert start.line == initialize_line(2)
    assert world.state() == "resuming"
    world.started()
    assert world.initialized().commands == [said("resumed", session="abc12345")]
    assert world.state() == "ready"


def test_a_turn_that_was_open_is_said_to_be_cut_off_and_not_run_again():
    world = World().working().dies()
    assert world.commands[0] == said("agent_ended", turn_was_open="yes", **FACTS)
    world.started()
    assert world.initialized().appended == []


def test_a_message_that_was_on_its_way_is_probed_before_the_next_generation():
    world = World().ready().post("first").dies()
    probe = ProbeMessage(SESSION, 1, world.data.talk.unacknowledged.uuid)
    assert world.commands == [said("agent_ended", turn_was_open="", **FACTS), probe]
    assert world.state() == "probing"


def test_a_message_that_the_transcript_does_not_know_is_delivered_again_under_its_uuid():
    world = World().ready().post("first")
    line = world.data.talk.unacknowledged
    world.dies().post("second")
    assert world.probed(False).kinds == ["agent.start"]
    world.started()
    assert world.initialized().appended == ["first"]
    assert world.data.talk.unacknowledged.uuid == line.uuid
    assert world.running().replay().appended == ["second"]


def test_a_message_that_the_transcript_knows_is_not_delivered_again():
    world = World().ready().post("first").dies()
    assert world.probed(True).said == ["turn_cut_off"]
    world.started()
    assert world.initialized().appended == []


def test_a_message_of_which_nothing_can_be_told_is_put_to_a_person():
    world = World().ready().post("x" * 500).dies()
    world.probed(None)
    assert world.commands[0] == said("in_doubt", text="x" * 80)
    world.started()
    assert world.initialized().appended == []


def test_the_turn_into_which_an_unknown_message_was_steered_is_said_to_be_cut_off():
    world = World().working("first").post("second").dies()
    assert world.commands[0] == said("agent_ended", turn_was_open="yes", **FACTS)
    world.probed(False).started()
    assert world.initialized().appended == ["second"]


def test_a_probe_of_another_message_or_generation_moves_nothing():
    world = World().ready().post("first").dies()
    uuid = world.data.talk.unacknowledged.uuid
    for probed in (e.MessageProbed(1, "another", False), e.MessageProbed(2, uuid, False)):
        assert (world >> probed).commands == []
        assert world.state() == "probing"


def test_posts_meanwhile_wait_and_go_in_order():
    world = World().working().ended()
    world.post("one").container_stopped()
    world.post("two").started()
    world.post("three")
    assert world.initialized().appended == ["one"]
    assert world.running().replay().appended == ["two"]


def test_a_new_generations_input_holds_its_initialize_and_what_is_owed_alone():
    world = World().working().post("second")
    world.dies().probed(False).started()
    assert world.data.input_bytes == len(initialize_line(2))
    assert world.data.output_bytes == 0


def test_the_generation_is_over_when_its_output_is_read_and_its_container_gone():
    world = World().working().ended()
    assert world.state() == "recovering"
    assert world.container_stopped().state() == "resuming"


def test_a_container_is_stopped_once_a_generation():
    world = World().working() >> e.AppendRefused(1, 10, 20)
    assert world.commands == [StopAgent(SESSION, 1)]
    assert world.ended().commands == []
    assert world.all(StopAgent) == [StopAgent(SESSION, 1)]


@pytest.mark.parametrize(
    "event",
    [
        e.AppendRefused(1, 10, 20),
        e.OutputBroken(1, "replaced"),
        e.AgentEnded(1, "ended", "0 0", ""),
    ],
    ids=lambda event: event.KIND,
)
@pytest.mark.parametrize("state", ["ready", "working"])
def test_a_generation_whose_files_are_not_as_we_left_them_is_ended(state: str, event: e.Event):
    world = getattr(World(), state)() >> event
    assert world.commands == [StopAgent(SESSION, 1)]
    assert world.state() == "recovering"


def test_an_output_that_broke_is_read_no_further():
    world = World().working() >> e.OutputBroken(1, "replaced")
    assert not world.data.follows_output
    world.container_stopped()
    assert world.commands[0] == said(
        "agent_ended", turn_was_open="yes", trouble="replaced", exit="", err_tail=""
    )


@pytest.mark.parametrize(
    "event",
    [
        e.AgentStarted(1, "c"),
        e.AgentStartFailed(1, "c", ""),
        e.AgentEnded(1, "ended", "", ""),
        e.AgentStopped(1, "ended", ""),
        e.OutputBroken(1, "r"),
        e.AppendRefused(1, 1, 2),
        e.LineAppended(1, 10),
        e.TimerFired("ready", 1),
        e.TimerFired("stop", 1),
        e.MessageProbed(1, "u", True),
    ],
    ids=lambda event: event.KIND,
)
@pytest.mark.parametrize("state", ["resuming", "ready", "working", "recovering", "stopping"])
def test_what_is_reported_of_a_stale_generation_moves_nothing(state: str, event: e.Event):
    world = World().working().dies().started()
    if state != "resuming":
        world.initialized()
    if state in {"working", "stopping"}:
        world.post("second").running()
    if state == "recovering":
        world.ended()
    if state == "stopping":
        world.stop()
    before = world.of(f"session:{SESSION}")
    assert (before.name, (world >> event).commands) == (state, [])
    assert world.of(f"session:{SESSION}") == before


def test_three_restarts_within_ten_minutes_and_no_more_are_tried():
    world = World().working()
    for generation in (2, 3, 4):
        world.dies()
        assert world.last(StartAgent).generation == generation
        world.at_ms += 60_000
        world.started()
    world.post("one").post("two")
    world.dies()
    assert world.commands == [said("gave_up", waiting="2", **FACTS)]
    assert (world.state(), world.channel_state(), world.repository()) == ("failed", "open", "free")


def test_restarts_long_ago_do_not_count():
    world = World().working()
    for generation in range(2, 9):
        world.dies()
        assert world.last(StartAgent).generation == generation
        world.started().initialized()
        world.at_ms += 240_000


def test_giving_up_says_which_message_may_not_have_arrived():
    world = World().working().idle()
    for _ in range(3):
        world.dies().started().initialized()
    world.post("the last one").dies()
    assert world.said == ["gave_up", "in_doubt"]


def test_a_conversation_that_the_agent_knows_no_more_gives_way_to_a_new_one():
    """As observed: `--resume` of an unknown id prints an error result and ends with status 1."""
    world = World().working().agent(init("conversation-7")).dies().started()
    assert world.result("", is_error=True, subtype="error_during_execution").commands == []
    world.dies(how="1 1", err_tail="No conversation found")
    start = world.last(StartAgent)
    assert (start.generation, start.resume) == (3, False)
    assert start.agent_session_id == agent_session_uuid(SESSION, 3)
    world.started()
    assert world.initialized().said == ["resumed_without_memory"]


def test_trouble_while_resuming_does_not_cost_the_conversation():
    world = World().working().agent(init("conversation-7")).dies().started()
    assert world.timer("ready").commands == [StopAgent(SESSION, 2)]
    world.ended(how="143 0")
    world.container_stopped()
    assert world.commands[0] == said(
        "agent_ended", turn_was_open="", trouble="no_answer", exit="143 0", err_tail=""
    )
    start = world.last(StartAgent)
    assert (start.generation, start.resume, start.agent_session_id) == (3, True, "conversation-7")
    world.started()
    assert world.initialized().said == ["resumed"]


def test_an_agent_that_died_before_any_turn_had_no_conversation_to_lose():
    world = World().ready().dies()
    assert not world.last(StartAgent).resume
    world.started()
    assert world.initialized().said == ["resumed"]


def test_a_container_that_does_not_start_again_ends_the_session():
    world = World().working().dies()
    world >> e.AgentStartFailed(2, "image_missing", "gone")
    assert world.commands == [said("start_failed", code="image_missing", detail="gone", waiting="0")]
    assert (world.state(), world.channel_state(), world.repository()) == ("failed", "open", "free")


def test_a_container_that_could_not_start_while_it_was_given_up_is_over():
    world = World().start().prepared().started().timer("ready")
    assert (world >> e.AgentStartFailed(1, "x", "")).commands == []
    assert world.container_stopped().said == ["never_ready"]


def test_what_the_agent_said_before_it_died_is_still_shown_and_asked():
    world = World().working() >> e.AppendRefused(1, 10, 20)
    assert world.says("[NETWORK_REQUEST: pypi.org]").kinds == ["chat.relay", "card.resolve"]


def test_a_quarantined_session_says_so_once_and_acts_no_more():
    world = World().working() >> e.StreamQuarantined("RuntimeError at event 9", 9)
    assert world.commands == [said("quarantined", session="abc12345", reason="RuntimeError at event 9")]
    for act in (world.idle, world.ended, world.container_stopped):
        assert act().commands == []
    assert world.state() == "quarantined"


def test_people_who_write_to_a_quarantined_session_hear_of_it():
    world = World().working() >> e.StreamQuarantined("why", 9)
    answer = said(
        "status",
        state="quarantined",
        session="abc12345",
        waiting="0",
        started_by="james",
        path=PREPARED.path,
        branch="main",
    )
    for text in ("hello?", "@claude stop", "@claude status"):
        assert world.post(text).commands == [answer]
        assert world.channel == CHANNEL


def test_a_stream_whose_fold_raises_is_quarantined_and_no_other(monkeypatch: pytest.MonkeyPatch):
    from sm.core.session import SessionStep

    def broken(self: SessionStep) -> None:
        raise RuntimeError("a fault of the rules")

    world = World().ready()
    monkeypatch.setattr(SessionStep, "queue_message", broken)
    world.post("hello")
    assert world.events == ["chat.message_received", "chat.message_assigned", "stream.quarantined"]
    assert (world.state(), world.channel_state()) == ("quarantined", "occupied")
    assert world.said == ["quarantined"]


def test_an_outage_of_the_vm_is_said_once_and_its_end_once():
    world = World().working()
    world >> e.VmLost("10.0.0.1 did not answer in 10 s.")
    assert world.commands == [said("vm_lost", reason="10.0.0.1 did not answer in 10 s.")]
    assert (world >> e.VmLost("10.0.0.1 did not answer in 10 s.")).commands == []
    assert (world >> e.VmFound()).commands == [said("vm_found")]
    assert (world >> e.VmFound()).commands == []
    assert world.state() == "working"
