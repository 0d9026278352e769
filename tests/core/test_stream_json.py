"""Reading the agent's lines: the shapes of Claude Code 2.1.197, and whatever else may stand there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm.core.stream_json import (
    MAX_DETAIL,
    OTHER,
    Reading,
    agent_session_uuid,
    initialize_id,
    initialize_line,
    interrupt_line,
    message_uuid,
    parse,
    read_line,
    user_line,
)

from .playbook import api_retry, assistant, replay, result

# One line of each shape that was observed, long lists and texts cut.
OBSERVED = (Path(__file__).parent / "fixtures" / "claude_code_2.1.197.jsonl").read_text("utf-8").splitlines()
FIRST = "11111111-1111-4111-8111-111111111111"

# What each of them says, in order.
READINGS = [
    Reading("init", session_id=FIRST),
    Reading("replay", uuid="aaaaaaaa-0000-4000-8000-000000000001"),
    Reading("text", texts=("echo: hi there",)),
    Reading("result", detail="echo: hi there"),
    Reading("result", is_error=True, detail="error_during_execution"),
    OTHER,  # a tool's use
    OTHER,  # a tool's result
    OTHER,  # task_started
    OTHER,  # a subagent's user line
    OTHER,  # task_progress
    OTHER,  # a subagent's tool use
    OTHER,  # a subagent's tool result
    OTHER,  # task_updated
    OTHER,  # task_notification
    Reading("control_response"),
    OTHER,  # [Request interrupted by user]
    Reading("result", is_error=True, detail="error_during_execution"),
    Reading("result", is_error=True, detail="error_during_execution"),
    OTHER,  # can_use_tool
    Reading("retry", detail="529 overloaded"),
    Reading("result", is_error=True, detail="Not logged in · Please run /login"),
    Reading("result"),  # of a slash command
    OTHER,  # status
    Reading("replay"),
    Reading("replay"),
    Reading("replay"),
    Reading("running"),
    *[OTHER] * 6,  # stream_event
    Reading("idle"),
    OTHER,  # compact_boundary
    OTHER,  # a synthetic user line, isReplay false
]


@pytest.mark.parametrize("number", range(len(OBSERVED)))
def test_an_observed_line_says(number: int):
    reading, expected = read_line(OBSERVED[number]), READINGS[number]
    assert (reading.kind, reading.is_error) == (expected.kind, expected.is_error)
    for name in ("texts", "uuid", "session_id", "detail"):
        if getattr(expected, name):
            assert getattr(reading, name) == getattr(expected, name)


def test_each_observed_line_has_its_reading():
    assert len(OBSERVED) == len(READINGS)


UNFIT = [
    "",
    " ",
    "{",
    "[]",
    "null",
    "1",
    '"text"',
    "NaN",
    '{"type": NaN}',
    "not json",
    '{"type":"assistant","mess',
    "[" * 100_000,
    '{"type":' * 50_000,
    "9" * 5000,
    "\ud800",
    "{}",
    '{"type":[]}',
    '{"type":{}}',
    '{"type":"system"}',
    '{"type":"system","subtype":[]}',
    '{"type":"system","subtype":"session_state_changed"}',
    '{"type":"system","subtype":"session_state_changed","state":[]}',
    '{"type":"system","subtype":"session_state_changed","state":{}}',
    '{"type":"system","subtype":"session_state_changed","state":"asleep"}',
    '{"type":"assistant"}',
    '{"type":"assistant","message":[]}',
    '{"type":"assistant","message":{"content":"plain text"}}',
    '{"type":"assistant","message":{"content":[1,null,"x",[],{}]}}',
    '{"type":"assistant","message":{"content":[{"type":"text"}]}}',
    '{"type":"assistant","message":{"content":[{"type":"text","text":7}]}}',
    '{"type":"assistant","parent_tool_use_id":false,"message":{"content":[{"type":"text","text":"x"}]}}',
    '{"type":"user"}',
    '{"type":"user","isReplay":"true","uuid":"u"}',
    '{"type":"user","isReplay":1,"uuid":"u"}',
]


@pytest.mark.parametrize("line", UNFIT, ids=[line[:50] for line in UNFIT])
def test_what_is_none_of_its_shapes_says_nothing(line: str):
    assert read_line(line) == OTHER


def test_top_level_texts_are_taken_in_order_and_blank_ones_left_out():
    assert read_line(json.dumps(assistant("a", " \n", "b"))).texts == ("a", "b")


def test_a_subagents_text_is_not_the_agents():
    assert read_line(json.dumps(assistant("a", parent="toolu_1"))) == OTHER
    assert read_line(json.dumps(replay("u", parent="toolu_1"))) == OTHER


def test_only_true_is_an_error():
    for value in (1, "true", None, []):
        assert not read_line(json.dumps(result() | {"is_error": value})).is_error


def test_what_is_kept_for_people_is_bounded():
    assert len(read_line(json.dumps(result("x" * 10_000))).detail) == MAX_DETAIL
    assert len(read_line(json.dumps(result("", subtype="x" * 10_000))).detail) == MAX_DETAIL
    assert len(read_line(json.dumps(api_retry(529, "x" * 10_000))).detail) == 204


@pytest.mark.parametrize(
    "session_id",
    ["", "x", "x" * 65, "--dangerously-skip-permissions", "\ud800 --help", f"{FIRST}\n", None, 7],
)
def test_an_init_with_an_id_that_cannot_be_resumed_changes_nothing(session_id: object):
    init = {"type": "system", "subtype": "init", "session_id": session_id}
    assert read_line(json.dumps(init)) == OTHER


@pytest.mark.parametrize(
    ("status", "error", "detail"),
    [
        (529, "overloaded", "529 overloaded"),
        (None, "unknown", "unknown"),
        (500, "", "500"),
        (None, "", "no answer"),
    ],
)
def test_a_retry_says_what_the_api_answered(status: int | None, error: str, detail: str):
    assert read_line(json.dumps(api_retry(status, error))).detail == detail


def test_a_control_response_names_its_request_and_whether_it_went_well():
    good = {"type": "control_response", "response": {"subtype": "success", "request_id": "r1"}}
    bad = {"type": "control_response", "response": {"subtype": "error", "request_id": "r1", "error": "no"}}
    assert read_line(json.dumps(good)) == Reading("control_response", request_id="r1")
    assert read_line(json.dumps(bad)) == Reading(
        "control_response", request_id="r1", is_error=True, detail="no"
    )
    assert read_line('{"type":"control_response"}').is_error


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["type", "subtype", "state", "message", "content", "uuid", "isReplay", "parent_tool_use_id", "is_error",
     "result", "response", "request_id", "error", "error_status", "session_id", "text"]
)  # fmt: skip
WORDS = st.sampled_from(
    ["system", "user", "assistant", "result", "control_response", "init", "session_state_changed", "api_retry",
     "running", "idle", "text", "success", "u"]
)  # fmt: skip
SHAPES: st.SearchStrategy[Any] = st.recursive(
    WORDS | JSON, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5)
)


@given(st.text(alphabet=st.characters()))
def test_reading_any_text_is_total(line: str):
    assert read_line(line).kind


@given(st.dictionaries(KEYS, WORDS | SHAPES, max_size=6))
def test_reading_any_shape_is_total(value: dict[str, Any]):
    reading = read_line(json.dumps(value))
    assert all(isinstance(text, str) and text.strip() for text in reading.texts)
    assert isinstance(reading.detail, str)


@given(st.text(alphabet=st.characters()), st.text(alphabet=st.characters()))
def test_a_message_survives_the_way_to_the_agent_as_one_line_of_ascii(text: str, uuid: str):
    line = user_line(text, uuid)
    assert line.isascii()
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    assert parse(line) == {"type": "user", "uuid": uuid, "message": {"role": "user", "content": text}}


@pytest.mark.parametrize(
    "text", ["", "\n", "a\r\nb\u2028c\x85d", "\ud800 alone", '"\\', "🚀", "/clear", "\x00"]
)
def test_a_message_of_unkind_characters_survives(text: str):
    line = user_line(text, "u")
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"]["content"] == text


def test_control_lines_are_whole_and_name_their_generation():
    assert json.loads(initialize_line(3)) == {
        "type": "control_request",
        "request_id": initialize_id(3),
        "request": {"subtype": "initialize"},
    }
    assert json.loads(interrupt_line(3)) == {
        "type": "control_request",
        "request_id": "interrupt-3",
        "request": {"subtype": "interrupt"},
    }
    assert initialize_line(3).endswith("\n")
    assert initialize_id(3) != initialize_id(4)


def test_a_messages_uuid_depends_on_its_place_alone():
    assert message_uuid("session:a", 7) == message_uuid("session:a", 7) == message_uuid("session:a", 7, 0)
    places = [("session:a", 7, 0), ("session:a", 7, 1), ("session:a", 8, 0), ("session:b", 7, 0)]
    assert len({message_uuid(*place) for place in places}) == 4


def test_the_first_generations_conversation_is_the_session_and_later_ones_have_their_own():
    assert agent_session_uuid(FIRST, 1) == FIRST
    assert len({agent_session_uuid(FIRST, generation) for generation in range(1, 6)}) == 5
