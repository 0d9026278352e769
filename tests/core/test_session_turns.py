"""Turns: what the agent may be given when, how it acknowledges, when it rests."""

from __future__ import annotations

from sm.core import events as e
from sm.core.commands import AppendLine, StartAgent

from .playbook import IDLE, RUNNING, World, assistant, init, replay


def test_a_message_for_a_resting_agent_goes_at_once():
    world = World().ready()
    assert world.post("hello").appended == ["hello"]
    assert world.state() == "working"


def test_a_message_is_steered_into_an_open_turn():
    world = World().working("first")
    assert world.post("also this").appended == ["also this"]
    assert world.data.talk.turn_open


def test_a_second_steered_message_waits_for_the_firsts_acknowledgement():
    world = World().working("first")
    world.post("second")
    assert world.post("third").appended == []
    assert world.replay().appended == ["third"]


def test_an_acknowledgement_is_known_by_its_uuid_and_never_by_its_content():
    world = World().ready().post("first")
    world.running().post("second")
    assert world.agent(replay("another-uuid", "first")).appended == []
    waiting = world.data.talk.unacknowledged
    assert world.agent(replay(waiting.uuid, "something else")).appended == ["second"]


def test_a_subagents_replay_acknowledges_nothing():
    world = World().ready().post("first")
    world.running().post("second")
    line = world.data.talk.unacknowledged
    assert world.agent(replay(line.uuid, parent="toolu_1")).appended == []


def test_a_line_that_began_a_turn_is_acknowledged_by_its_result():
    world = World().ready().post("first")
    world.running().post("second")
    assert world.result().appended == ["second"]


def test_a_line_that_was_steered_in_is_not_acknowledged_by_a_result():
    world = World().working("first")
    world.post("second").post("third")
    assert world.result().appended == []
    assert world.idle().appended == []
    assert world.state() == "working"
    assert world.running().replay().appended == ["third"]


def test_a_line_with_a_slash_waits_until_no_turn_is_open():
    world = World().working("first")
    assert world.post("/clear").appended == []
    assert world.post("after it").appended == []
    assert world.result().appended == []
    assert world.idle().appended == ["/clear"]


def test_a_line_with_a_slash_is_acknowledged_by_its_result():
    world = World().ready().post("/clear")
    world.post("after it")
    world.running()
    assert world.agent(init("another-conversation")).appended == []
    assert world.result("").appended == ["after it"]
    assert world.data.agent_session_id == "another-conversation"


def test_a_line_with_a_slash_keeps_its_place_in_the_queue():
    world = World().start()
    world.post("one").post("/compact").post("two")
    world.prepared().started()
    assert world.initialized().appended == ["one"]
    assert world.turn().appended == ["/compact"]
    world.running().result("")
    assert world.appended == ["two"]


def test_where_the_agent_tells_its_state_a_result_ends_no_turn():
    world = World().working()
    world.result()
    assert world.state() == "working"
    assert world.data.talk.turn_open
    assert world.idle().state() == "ready"


def test_where_the_agent_does_not_tell_its_state_a_result_ends_the_turn():
    world = World().ready().post("first")
    world.agent(init()).replay()
    assert world.result().state() == "ready"


def test_each_generation_shows_anew_whether_it_tells_its_state():
    world = World().working().idle().dies()
    world.started().initialized()
    world.post("second").replay()
    assert world.result().state() == "ready"


def test_an_agent_that_begins_to_work_by_itself_opens_a_turn():
    world = World().ready()
    assert world.running().state() == "working"
    assert world.post("/cost").appended == []
    assert world.idle().appended == ["/cost"]


def test_a_message_that_ran_after_idle_makes_a_turn_of_its_own():
    world = World().working("first")
    world.post("second")
    world.result().idle()
    world.running().replay()
    assert world.result().state() == "working"
    assert world.idle().state() == "ready"


def test_what_is_appended_starts_where_the_file_ends():
    world = World().ready()
    first_line = world.last(StartAgent).line
    world.post("first").running().replay()
    one = world.last(AppendLine)
    assert one.expected == len(first_line)
    world.post("grüße")
    two = world.last(AppendLine)
    assert two.expected == len(first_line) + len(one.line.encode())


def test_each_message_has_a_uuid_of_its_own():
    world = World().start()
    for text in ("same", "same", "same"):
        world.post(text)
    assert len({line.uuid for line in world.data.talk.queue}) == 3


def test_approvals_and_messages_wait_in_one_queue_in_commit_order():
    world = World().working("first")
    world.asked("pypi.org").press("pypi.org")
    world.post("steered in").post("before the approval")
    world.opened("pypi.org")
    world.post("after the approval")
    assert [line.text for line in world.data.talk.queue] == [
        "before the approval",
        "[NETWORK_APPROVED: pypi.org]",
        "after the approval",
    ]
    given = [text for _ in range(4) for text in world.replay().appended if world.data.talk.unacknowledged]
    assert given == ["before the approval", "[NETWORK_APPROVED: pypi.org]", "after the approval"]


def test_a_pending_card_pauses_nothing():
    world = World().ready()
    world.asked("pypi.org")
    assert world.post("meanwhile").appended == ["meanwhile"]


def test_a_denial_reaches_the_agent():
    world = World().ready()
    world.asked("pypi.org")
    assert world.press("pypi.org", "deny").appended == ["[NETWORK_DENIED: pypi.org]"]


def test_a_denial_while_it_is_started_again_waits():
    world = World().working()
    world.asked("pypi.org").ended()
    world.press("pypi.org", "deny")
    assert world.appended == []
    world.container_stopped().started()
    assert world.initialized().appended == ["[NETWORK_DENIED: pypi.org]"]


def test_a_stale_generations_lines_move_nothing():
    world = World().working().dies()
    world.started().initialized()
    before = world.of("session:" + world.session)
    for line in (RUNNING, IDLE, assistant("late"), init("late")):
        assert world.agent(line, generation=1, offset=10**6, end=10**6 + 9).commands == []
    assert world.of("session:" + world.session) == before


def test_a_line_that_was_taken_before_is_ignored():
    world = World().working()
    shown = world.says("once").recorded[-1].event
    assert world.kinds == ["chat.relay"]
    assert (world >> shown).commands == []


def test_a_line_that_overlaps_what_was_taken_is_ignored():
    world = World().working()
    taken = world.says("once").recorded[-1].event
    assert world.agent(assistant("half"), offset=taken.end - 3, end=taken.end + 90).commands == []


def test_reports_of_appended_lines_change_nothing():
    world = World().working()
    before = world.of("session:" + world.session)
    assert world.appended_line().commands == []
    assert world.of("session:" + world.session) == before


def test_a_post_of_a_mention_alone_asks_for_help_also_within_a_session():
    world = World().ready().post("@claude")
    assert world.said == ["help"]
    assert world.state() == "ready"


def test_a_message_of_nothing_is_not_delivered_and_that_is_said():
    world = World().ready().post("  \n ", user="sarah")
    assert world.commands[0].facts == (("user", "sarah"),)
    assert world.said == ["nothing_to_pass_on"]


def test_a_masked_message_is_delivered_and_said_to_have_been_masked():
    world = World().ready().post("the key is [masked]", masked=1)
    assert world.said == ["masked"]
    assert world.appended == ["the key is [masked]"]


def test_an_unterminated_last_line_counts_like_any_other():
    world = World().working()
    assert world.agent('{"type":"assistant","mess', terminated=False).commands == []
    assert world.data.output_bytes > 0


def test_a_message_assigned_to_an_ended_session_goes_nowhere():
    world = World().ready().stop()
    world.ended().container_stopped()
    assert (world >> e.MessageAssigned("p", "u", "james", "late")).commands == []
