"""What the WebSocket's frames mean, without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm.mattermost.frames import ChannelJoined, ChannelLeft, Connected, LostError, Posted, Reacted, Sequence

from .kit import BOT, CHANNEL, JAMES, post_json

FIRST, SECOND = "a" * 26, "b" * 26


def event(name: str, seq: int, data: dict[str, Any] | None = None, **broadcast: str) -> str:
    everywhere = {"omit_users": None, "user_id": "", "channel_id": "", "team_id": ""}
    return json.dumps({"event": name, "data": data or {}, "broadcast": everywhere | broadcast, "seq": seq})


def hello(connection_id: str = FIRST, seq: int = 0) -> str:
    return event("hello", seq, {"connection_id": connection_id, "server_version": "5.37.0"}, user_id=BOT)


def posted(number: int, seq: int) -> str:
    data = {"post": json.dumps(post_json(number)), "sender_name": "@james", "channel_type": "O"}
    return event("posted", seq, data, channel_id=CHANNEL)


def reply(seq: int = 1) -> str:
    return json.dumps({"status": "OK", "seq_reply": seq, "data": {"text": "pong"}})


def taken(sequence: Sequence, *frames: str) -> list[Any]:
    events = [event for frame in frames for event in sequence.take(frame)]
    return [event.post.message if isinstance(event, Posted) else event for event in events]


@pytest.fixture
def sequence() -> Sequence:
    it = Sequence(BOT)
    it.begin()
    return it


@pytest.fixture
def resuming(sequence: Sequence) -> Sequence:
    """After a connection that ended with event 1."""
    taken(sequence, hello(), posted(1, 1))
    sequence.begin()
    return sequence


def test_a_greeting_begins_a_new_stream_and_posts_follow(sequence: Sequence) -> None:
    assert taken(sequence, hello(), reply(), posted(1, 1), posted(2, 2)) == [
        Connected(resumed=False),
        "m1",
        "m2",
    ]


def test_a_pong_before_the_greeting_promises_nothing(sequence: Sequence) -> None:
    assert taken(sequence, reply(), hello()) == [Connected(resumed=False)]


def test_a_resume_asks_for_the_next_event(resuming: Sequence) -> None:
    assert resuming.resume_query() == {"connection_id": FIRST, "sequence_number": "2"}


def test_missed_events_are_replayed_after_the_word_that_it_goes_on(resuming: Sequence) -> None:
    assert taken(resuming, posted(2, 2), reply(), posted(3, 3)) == [Connected(resumed=True), "m2", "m3"]


def test_a_pong_shows_that_a_resumed_stream_missed_nothing(resuming: Sequence) -> None:
    assert taken(resuming, reply(), posted(2, 2)) == [Connected(resumed=True), "m2"]


def test_a_greeting_instead_of_a_replay_is_a_new_stream(resuming: Sequence) -> None:
    assert taken(resuming, hello(SECOND), posted(9, 1)) == [Connected(resumed=False), "m9"]
    assert resuming.resume_query() == {"connection_id": SECOND, "sequence_number": "2"}


def test_a_greeting_that_a_pong_overtook_still_begins_a_new_stream(resuming: Sequence) -> None:
    assert taken(resuming, reply(), hello(SECOND)) == [Connected(resumed=True), Connected(resumed=False)]


def test_a_second_greeting_with_the_same_id_is_counted_and_no_more(resuming: Sequence) -> None:
    frames = [hello(SECOND), posted(5, 1), hello(SECOND, 2), posted(6, 3)]
    assert taken(resuming, *frames) == [Connected(resumed=False), "m5", "m6"]


def test_a_gap_ends_the_connection_before_the_later_post_and_the_next_is_new(sequence: Sequence) -> None:
    taken(sequence, hello(), posted(1, 1))
    with pytest.raises(LostError, match="events 2 to 3"):
        sequence.take(posted(4, 4))
    assert sequence.resume_query() == {}


def test_a_gap_right_at_a_resume_is_one_too(resuming: Sequence) -> None:
    with pytest.raises(LostError, match="missing"):
        resuming.take(posted(4, 3))


def test_what_is_sent_again_is_given_once(sequence: Sequence) -> None:
    frames = [hello(), posted(1, 1), posted(1, 1), posted(2, 2), posted(1, 1)]
    assert taken(sequence, *frames) == [Connected(resumed=False), "m1", "m2"]


def test_without_a_connection_id_nothing_is_resumed(sequence: Sequence) -> None:
    assert taken(sequence, event("hello", 0, {"server_version": "4.0"}), posted(1, 1)) == [
        Connected(resumed=False),
        "m1",
    ]
    assert sequence.resume_query() == {}


def test_an_unauthenticated_connection_is_known_by_its_answer(resuming: Sequence) -> None:
    error = {"id": "api.web_socket_router.not_authenticated.app_error", "message": "", "status_code": 401}
    with pytest.raises(LostError) as caught:
        resuming.take(json.dumps({"status": "FAIL", "seq_reply": 1, "error": error}))
    assert caught.value.denied


def test_another_failed_action_is_no_reason_to_part(resuming: Sequence) -> None:
    error = {"id": "api.web_socket_router.bad_action.app_error", "message": "", "status_code": 500}
    assert taken(resuming, json.dumps({"status": "FAIL", "seq_reply": 1, "error": error})) == []


@pytest.mark.parametrize(
    ("frame", "means"),
    [
        (event("user_added", 1, {"team_id": "t", "user_id": BOT}, channel_id=CHANNEL), [ChannelJoined(CHANNEL)]),
        (event("user_added", 1, {"team_id": "t", "user_id": JAMES}, channel_id=CHANNEL), []),
        (event("user_removed", 1, {"channel_id": CHANNEL, "remover_id": JAMES}, user_id=BOT), [ChannelLeft(CHANNEL)]),
        (event("user_removed", 1, {"user_id": JAMES, "remover_id": JAMES}, channel_id=CHANNEL), []),
        (event("user_removed", 1, {"user_id": BOT, "remover_id": JAMES}, channel_id=CHANNEL), [ChannelLeft(CHANNEL)]),
        (event("direct_added", 1, {"creator_id": JAMES, "teammate_id": BOT}, channel_id=CHANNEL), [ChannelJoined(CHANNEL)]),
        (event("group_added", 1, {"teammate_ids": "[]"}, channel_id=CHANNEL), [ChannelJoined(CHANNEL)]),
        (event("channel_deleted", 1, {"channel_id": CHANNEL, "delete_at": 5}, team_id="t"), [ChannelLeft(CHANNEL)]),
        (event("channel_restored", 1, {"channel_id": CHANNEL}, team_id="t"), [ChannelJoined(CHANNEL)]),
        (event("typing", 1, {"user_id": JAMES, "parent_id": ""}, channel_id=CHANNEL), []),
        (event("post_edited", 1, {"post": json.dumps(post_json(1))}, channel_id=CHANNEL), []),
        (event("status_change", 1, {"status": "online", "user_id": BOT}, user_id=BOT), []),
    ],
)  # fmt: skip
def test_membership_events_are_told_of_the_bot_alone(
    sequence: Sequence, frame: str, means: list[Any]
) -> None:
    assert taken(sequence, hello(), frame)[1:] == means


@pytest.mark.parametrize(
    "frame",
    [
        "", "nonsense", "null", "[]", "{}", '{"event":"posted"}', '{"event":5,"seq":1}', '{"event":"posted","seq":true}',
        '{"event":"posted","seq":"1","data":{}}', '{"seq_reply":1}', "[" * 100_000, '{"event":"hello","seq":0,"data":[]}',
    ],
)  # fmt: skip
def test_a_malformed_frame_is_skipped(sequence: Sequence, frame: str) -> None:
    assert taken(sequence, hello(), frame, posted(1, 1)) == [Connected(resumed=False), "m1"]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"post": {}},
        {"post": "nonsense"},
        {"post": "[]"},
        {"post": "{}"},
        {"post": json.dumps(post_json(1, id="x"))},
    ],
)
def test_a_malformed_post_is_skipped_and_counted(sequence: Sequence, data: dict[str, Any]) -> None:
    frames = [hello(), event("posted", 1, data, channel_id=CHANNEL), posted(2, 2)]
    assert taken(sequence, *frames) == [Connected(resumed=False), "m2"]


def reacted(seq: int, **changes: Any) -> str:
    """`reaction_added` with the reaction as Mattermost 5.37 writes it."""
    reaction = {"user_id": JAMES, "post_id": "p" * 26, "emoji_name": "white_check_mark", "create_at": 5}
    reaction |= {"update_at": 5, "delete_at": 0, "remote_id": ""}
    return event("reaction_added", seq, {"reaction": json.dumps(reaction | changes)}, channel_id=CHANNEL)


def test_a_reaction_is_told_with_who_what_and_where(sequence: Sequence) -> None:
    assert taken(sequence, hello(), reacted(1), posted(2, 2)) == [
        Connected(resumed=False),
        Reacted("p" * 26, CHANNEL, JAMES, "white_check_mark", 5),
        "m2",
    ]


def test_a_missed_reaction_is_replayed_at_a_resume(resuming: Sequence) -> None:
    assert taken(resuming, reacted(2))[1:] == [Reacted("p" * 26, CHANNEL, JAMES, "white_check_mark", 5)]


def test_a_reaction_taken_back_is_nothing(sequence: Sequence) -> None:
    frame = reacted(1).replace("reaction_added", "reaction_removed")
    assert taken(sequence, hello(), frame) == [Connected(resumed=False)]


def test_the_channel_of_a_reaction_is_that_of_the_broadcast(sequence: Sequence) -> None:
    assert taken(sequence, hello(), reacted(1, channel_id="d" * 26))[1].channel_id == CHANNEL


@pytest.mark.parametrize(
    "frame",
    [
        event("reaction_added", 1, {}, channel_id=CHANNEL),
        event("reaction_added", 1, {"reaction": {"emoji_name": "x"}}, channel_id=CHANNEL),
        event("reaction_added", 1, {"reaction": "nonsense"}, channel_id=CHANNEL),
        reacted(1, user_id="me"),
        reacted(1, post_id=""),
        reacted(1, emoji_name=None),
        reacted(1, emoji_name="x\n@channel"),
        reacted(1, emoji_name="x" * 65),
        reacted(1, create_at=None),
        reacted(1).replace(CHANNEL, ""),
    ],
)
def test_a_malformed_reaction_is_skipped_and_counted(sequence: Sequence, frame: str) -> None:
    assert taken(sequence, hello(), frame, posted(2, 2)) == [Connected(resumed=False), "m2"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "event",
                    "seq",
                    "data",
                    "broadcast",
                    "seq_reply",
                    "status",
                    "error",
                    "post",
                    "reaction",
                    "channel_id",
                ]
            ),
            inner | st.sampled_from(["posted", "reaction_added", "hello", "user_added", "OK"]),
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(st.lists(json_values.map(json.dumps) | st.text(max_size=20), max_size=5))
def test_no_frame_at_all_ends_the_reader_in_another_way_than_a_lost_connection(frames: list[str]) -> None:
    sequence = Sequence(BOT)
    sequence.begin()
    for frame in frames:
        try:
            sequence.take(frame)
        except LostError:
            sequence.begin()
