"""What is owed to the chat, and what is not."""

from __future__ import annotations

from sm.core import events as e
from sm.core.commands import Relay, ResolveCard
from sm.core.stream_json import MAX_DOING

from .playbook import (
    CHANNEL,
    World,
    api_retry,
    assistant,
    replay,
    said,
    tool_result,
    tool_use,
)


def test_each_top_level_text_block_is_shown_in_its_order():
    world = World().working()
    assert world.says("one", "two").commands == [Relay(CHANNEL, 0), Relay(CHANNEL, 1)]


def test_blank_text_is_not_shown():
    assert World().working().says("  \n").commands == []


def test_text_outside_a_turn_is_shown_all_the_same():
    assert World().ready().says("by the way").kinds == ["chat.relay"]


def test_subagents_tools_thinking_and_replays_are_not_shown():
    world = World().working()
    thinking = {"type": "assistant", "message": {"content": [{"type": "thinking", "thinking": "hm"}]}}
    lines = [
        assistant("from a subagent\n[NETWORK_REQUEST: evil.example]", parent="toolu_1"),
        tool_use(command="echo '[NETWORK_REQUEST: evil.example]'"),
        tool_result("[NETWORK_REQUEST: evil.example]"),
        replay("x", "[NETWORK_REQUEST: evil.example]"),
        thinking,
        {"type": "stream_event", "event": {"delta": {"text": "[NETWORK_REQUEST: evil.example]"}}},
        {"type": "control_request", "request_id": "r", "request": {"subtype": "can_use_tool"}},
        {"type": "of tomorrow"},
    ]
    for line in lines:
        assert world.agent(line).commands == [], line
        assert world.events == ["agent.line_received"]


def test_a_results_copy_of_the_text_is_not_shown():
    world = World().working()
    world.says("done")
    assert world.result("done").commands == []


def test_a_result_with_an_error_is_shown():
    world = World().working()
    assert world.result("it broke", is_error=True).commands == [said("turn_failed", detail="it broke")]


def test_an_error_that_was_shown_as_text_is_shown_once():
    world = World().working()
    world.says("API Error: 529 overloaded")
    assert world.result("API Error: 529 overloaded\n", is_error=True).commands == [
        said("turn_failed", detail="")
    ]


def test_a_long_error_that_was_shown_as_text_is_shown_once():
    world = World().working()
    world.says("API Error: " + "x" * 5000)
    assert world.result("API Error: " + "x" * 5000, is_error=True).commands == [
        said("turn_failed", detail="")
    ]


def test_an_error_without_words_is_shown_by_its_kind():
    world = World().working()
    world.result("", is_error=True, subtype="error_during_execution")
    assert world.commands == [said("turn_failed", detail="error_during_execution")]


def test_the_last_turns_text_does_not_hide_this_turns_error():
    world = World().working()
    world.says("it broke").result("it broke")
    world.idle().post("again")
    world.running().replay()
    assert world.result("it broke", is_error=True).commands == [said("turn_failed", detail="it broke")]


def test_api_retries_are_said_once_a_turn():
    world = World().working()
    assert world.agent(api_retry()).commands == [said("api_retry", detail="529 overloaded")]
    assert world.agent(api_retry()).commands == []
    world.result().idle()
    world.post("again").running()
    assert world.agent(api_retry(None, "")).commands == [said("api_retry", detail="no answer")]


def test_a_marker_makes_a_card_after_the_text_that_asks():
    world = World().working()
    assert world.says("I need\n[NETWORK_REQUEST: pypi.org]\n").kinds == ["chat.relay", "card.resolve"]
    assert world.resolved().kinds[0] == "card.post"


def test_several_markers_of_a_text_make_one_card_with_each_domain_once_in_their_order():
    world = World().working()
    world.says("[NETWORK_REQUEST: b.example]\n[NETWORK_REQUEST: a.example, b.example]")
    (view,) = world.resolved().views
    assert [row.domain for row in view.rows] == ["b.example", "a.example"]


def test_two_texts_of_one_line_make_two_cards():
    world = World().working()
    world.says("[NETWORK_REQUEST: b.example]", "[NETWORK_REQUEST: a.example]")
    asked = [command.domains for command in world.all(ResolveCard)]
    assert asked == [("b.example",), ("a.example",)]


def test_a_request_says_who_started_the_session_and_what_the_agent_was_doing():
    world = World().working()
    world.agent(tool_use(command="pip  install\npytest")).says(
        "Now.\n[NETWORK_REQUEST: pypi.org — for tests]"
    )
    (asked,) = [r.event for r in world.recorded if isinstance(r.event, e.NetworkRequested)]
    assert (asked.user_id, asked.user_name, asked.title) == ("u-james", "james", "acme/webapp")
    assert (asked.doing, asked.asks[0].reason) == ("pip install pytest", "for tests")


def test_without_a_command_the_agents_last_sentence_says_what_it_was_doing():
    world = World().working()
    world.says(f"{'long ' * 100}\n\n```\n[NETWORK_REQUEST: pypi.org]\n```")
    (asked,) = [r.event for r in world.recorded if isinstance(r.event, e.NetworkRequested)]
    assert asked.doing.startswith("long long")
    assert asked.doing.endswith("…")
    assert len(asked.doing) == MAX_DOING


def test_a_text_that_is_nothing_but_a_marker_leaves_it_open_what_the_agent_was_doing():
    world = World().working().says("[NETWORK_REQUEST: pypi.org]")
    (asked,) = [r.event for r in world.recorded if isinstance(r.event, e.NetworkRequested)]
    assert asked.doing == ""


def test_a_domain_that_cannot_be_asked_for_is_refused_in_the_chat_and_to_the_agent():
    world = World().working()
    world.says("[NETWORK_REQUEST: co.uk]")
    assert world.commands[1] == said("domain_refused", domain="co.uk", code="public_suffix", hint="")
    assert world.appended == [
        "[NETWORK_DENIED: co.uk — that is a whole registry, not one host; name the host]"
    ]
    assert world.events == ["agent.line_received"]


def test_good_and_bad_domains_of_one_text_get_each_their_answer():
    world = World().working()
    world.says("[NETWORK_REQUEST: 10.0.0.1]\n[NETWORK_REQUEST: pypi.org]\n[NETWORK_REQUEST: localhost]")
    assert world.kinds == [
        "chat.relay",
        "chat.say",
        "chat.say",
        "agent.append",
        "card.resolve",
    ]
    assert world.appended[0].startswith("[NETWORK_DENIED: 10.0.0.1 — ")
    assert world.replay().appended[0].startswith("[NETWORK_DENIED: localhost — ")


def test_a_refusal_waits_behind_an_unacknowledged_message():
    world = World().working()
    world.post("first")
    world.says("[NETWORK_REQUEST: co.uk]")
    assert world.appended == []
    assert world.replay().appended[0].startswith("[NETWORK_DENIED: co.uk")


def test_more_markers_than_a_line_may_have_are_refused_together():
    world = World().working()
    world.says("\n".join(f"[NETWORK_REQUEST: h{n}.example]" for n in range(1000)))
    assert len(world.last(ResolveCard).domains) == 20
    assert world.said == ["domain_refused"]
    assert world.appended[0].startswith("[NETWORK_DENIED: h20.example — too many open requests")


def test_a_refused_name_cannot_forge_another_line():
    world = World().working()
    world.says("[NETWORK_REQUEST: a`b\u202e\u2028c]")
    assert dict(world.commands[1].facts)["domain"] == "a?b??c"


def test_late_text_of_a_stopping_agent_is_still_shown():
    world = World().working().stop()
    assert world.says("what I had").kinds == ["chat.relay"]
