"""Several sessions in a channel: where each talks, and whom a post is for."""

from __future__ import annotations

import pytest

from sm.core import events as e
from sm.core import streams
from sm.core.channel import MAX_SESSIONS
from sm.core.commands import PostCard, Relay, Say

from .playbook import CHANNEL, OTHER, SESSION, World, said

THIRD = "0a1b2c3d-0000-4000-8000-000000000003"


def two() -> World:
    """James's session talks top-level; Sarah's, on another repository, in the thread of her start message."""
    world = World().ready()
    world.session = OTHER
    world.post("@claude start acme/other", user="sarah", post_id="sarahs")
    world.prepared().started().initialized()
    return world


def heard(world: World) -> list[str]:
    """Who heard of the last post."""
    return [streams.id_of(r.stream) for r in world.recorded if streams.kind_of(r.stream) == "session"]


def test_the_only_session_talks_top_level_and_a_further_one_in_the_thread_of_its_start():
    world = two()
    assert {command.root_id for command in world.all(Say) if "acme/webapp" in str(command.facts)} == {""}
    assert {command.root_id for command in world.all(Say) if "acme/other" in str(command.facts)} == {"sarahs"}


def test_its_words_and_cards_stand_in_its_thread():
    world = two().post("go", root_id="sarahs").says("I need\n[NETWORK_REQUEST: pypi.org]")
    assert world.last(Relay).root_id == "sarahs"
    world.resolved()
    assert world.last(PostCard).root_id == "sarahs"


def test_what_is_written_in_a_sessions_thread_is_for_that_session():
    world = two()
    assert heard(world.post("go on", root_id="sarahs", user="james")) == [OTHER]


def test_a_thread_below_the_start_of_the_one_that_talks_top_level_is_its_own():
    world = World()
    world.start(post_id="first").prepared().started().initialized()
    world.start("acme/other", session=OTHER, user="james")
    assert heard(world.post("go on", root_id="first")) == [SESSION]


@pytest.mark.parametrize(("user", "session"), [("james", SESSION), ("sarah", OTHER)])
def test_what_is_written_top_level_is_for_the_writers_own_session(user: str, session: str):
    assert heard(two().post("go on", user=user)) == [session]


def test_where_it_is_not_clear_a_hint_lists_the_sessions():
    world = two().post("go on", user="max")
    assert heard(world) == []
    listed = "abc12345 post1 james acme/webapp\ndef67890 sarahs sarah acme/other"
    assert world.commands == [said("which_session", repository="", command="text", sessions=listed)]


def test_who_has_two_sessions_must_say_which():
    world = World().ready()
    world.start("acme/other", session=OTHER)
    assert world.post("go on").said == ["which_session"]


def test_whats_left_is_the_only_session_wherever_it_talks():
    world = two()
    world.session = SESSION
    world.stopped()
    assert heard(world.post("go on", user="max")) == [OTHER]


def test_the_next_after_it_talks_in_a_thread_and_the_next_after_all_top_level():
    world = two()
    world.session = SESSION
    world.stopped()
    world.post("@claude start acme/webapp", session=THIRD, post_id="third")
    assert world.of(streams.session(THIRD)).data.root_id == "third"
    for session in (OTHER, THIRD):
        world.session = session
        world.post(f"@claude stop {session[:8]}").ended().container_stopped()
        if world.state() == "inspecting":
            world.looked_at()
        else:
            world.prepared()
    assert world.channel_state() == "open"
    world.session = "fresh000-0000-4000-8000-000000000001"
    assert world.start().data.root_id == ""


@pytest.mark.parametrize("command", ["stop", "diff", "push", "fetch"])
def test_a_command_may_name_its_session_by_the_beginning_of_its_id(command: str):
    assert heard(two().post(f"@claude {command} def6", user="max")) == [OTHER]


def test_a_command_that_names_no_session_of_the_channel_is_told_which_there_are():
    assert two().post("@claude stop ffff", user="max").said == ["no_such_session"]


def test_an_id_that_two_sessions_begin_with_is_not_clear():
    world = World().ready()
    world.start("acme/other", session="abc19999-0000-4000-8000-000000000001", user="sarah")
    assert world.post("@claude stop abc1").said == ["which_session"]


def test_a_command_in_a_thread_is_for_its_session_and_one_elsewhere_for_the_writers():
    assert heard(two().post("@claude stop", root_id="sarahs", user="james")) == [OTHER]
    assert heard(two().post("@claude stop", user="james")) == [SESSION]
    assert two().post("@claude stop", user="max").said == ["which_session"]


def test_status_is_for_all_of_them_and_answered_where_it_was_asked():
    world = two().post("@claude status", user="max")
    assert [(command.message, command.root_id) for command in world.commands] == [("status", "")] * 2
    world.post("@claude status", user="max", root_id="sarahs")
    assert [(command.message, command.root_id) for command in world.commands] == [("status", "sarahs")]


def test_the_thread_of_a_session_that_is_over_is_for_nobody():
    world = two()
    world.post("@claude stop", root_id="sarahs").ended().container_stopped().looked_at()
    assert (heard(world.post("thanks!", root_id="sarahs")), world.commands) == ([], [])
    assert world.post("@claude thanks!", root_id="sarahs").said == ["session_over"]
    assert heard(world.post("go on")) == [SESSION]


@pytest.mark.parametrize("command", ["stop", "status", "diff", "push", "fetch"])
def test_a_command_in_the_thread_of_a_session_that_is_over_is_not_taken_for_another(command: str):
    world = two()
    world.post("@claude stop", root_id="sarahs").ended().container_stopped().looked_at()
    assert (heard(world.post(f"@claude {command}", root_id="sarahs")), world.said) == ([], ["session_over"])


def test_a_command_there_that_names_another_is_for_that_one():
    world = two()
    world.post("@claude stop", root_id="sarahs").ended().container_stopped().looked_at()
    assert heard(world.post("@claude stop abc1", root_id="sarahs")) == [SESSION]


def test_a_start_within_a_sessions_thread_is_sent_to_the_channel():
    assert two().post("@claude start acme/x", root_id="sarahs", session=THIRD).said == ["start_at_top"]


def test_an_answer_stands_where_the_post_does():
    assert two().post("@claude help", root_id="elsewhere").commands == [
        said("help", repository="", root="elsewhere")
    ]


def test_a_channel_has_a_limit():
    world = World()
    for number in range(MAX_SESSIONS):
        world.start(f"acme/r{number}", session=f"{number:08}-0000-4000-8000-000000000001")
    assert world.start("acme/more", session=THIRD).said == ["too_many_sessions"]


def test_a_refused_start_leaves_the_channel_as_it_was():
    world = World().ready()
    world.start(session=OTHER, user="sarah", post_id="sarahs")
    assert world.commands == [said("in_use", holder="abc12345", root="sarahs")]
    assert heard(world.post("go on", user="sarah")) == [SESSION]
    assert (world >> e.ChannelSessionEnded("nobody", "stopped")).channel_state(CHANNEL) == "occupied"
