"""The channel: whose message is it, and who is answered."""

from __future__ import annotations

import pytest

from sm.core import events as e
from sm.core.fold import RULES

from .playbook import CHANNEL, OTHER, SESSION, World, said


def test_a_channel_that_is_joined_is_open():
    world = World() >> e.ChannelJoined(CHANNEL, "claude-project", None)
    assert (world.channel_state(), world.commands) == ("open", [])


def test_a_channel_is_joined_again_without_a_change():
    world = World() >> e.ChannelJoined(CHANNEL, "claude-project", "p1")
    before = world.of(f"channel:{CHANNEL}")
    assert (world >> e.ChannelJoined(CHANNEL, "claude-project", "p9")).of(f"channel:{CHANNEL}") == before


def test_without_a_session_only_a_mention_is_answered():
    world = World().post("good morning")
    assert (world.events, world.commands) == (["chat.message_skipped"], [])
    assert world.post("hey @claude, are you there?").commands == [said("no_session", repository="")]


def test_a_mention_in_code_is_no_mention():
    assert World().post("write `@claude start org/repo`").commands == []


@pytest.mark.parametrize("text", ["@claude do it", "@claude stop", "@claude status"])
def test_what_needs_a_session_is_told_that_there_is_none(text: str):
    assert World().post(text).commands == [said("no_session", repository="")]


def test_a_post_that_was_stored_without_a_mention_is_not_answered():
    world = World().record(
        f"channel:{CHANNEL}",
        e.MessageReceived("p", CHANNEL, "u", "james", "hi", 0, False, 0, 1, e.Intent("text")),
    )
    assert world.commands == []


@pytest.mark.parametrize("text", ["@claude help", "@claude"])
def test_help_is_given_with_and_without_a_session(text: str):
    world = World()
    assert world.post(text).commands == [said("help", repository="")]
    world.start()
    assert world.post(text).commands == [said("help", repository="")]


def test_a_mistake_gets_the_correction_with_and_without_a_session():
    world = World()
    correction = said("correction", repository="", problem="typo", word="stpo", suggestion="@claude stop")
    assert world.post("@claude stpo").commands == [correction]
    world.start()
    assert world.post("@claude stpo").commands == [correction]
    assert world.state() == "preparing"


def test_a_start_without_a_place_opens_nothing():
    world = World()
    start = e.Intent("start", org="acme", repo="webapp")
    world >> e.MessageReceived("p", CHANNEL, "u", "james", "@claude start", 0, True, 0, 1, start)
    assert (world.said, world.channel_state()) == (["no_session"], "open")


def test_a_masked_start_says_so():
    world = World().start(masked=1)
    assert world.said == ["masked", "preparing"]


def test_two_posts_of_two_channels_reach_their_own_sessions():
    world = World().ready()
    world.channel, world.session = "ch2", OTHER
    world.start("acme/other").prepared().started().initialized()
    assert world.post("for the other").appended == ["for the other"]
    assert world.last(type(world.commands[0])).session_id == OTHER
    world.channel, world.session = CHANNEL, SESSION
    assert world.post("for the first").commands[0].session_id == SESSION


def test_only_its_own_sessions_end_frees_a_channel():
    world = World().start()
    assert (world >> e.ChannelSessionEnded(OTHER, "stopped")).channel_state() == "occupied"


def test_a_quarantined_channel_answers_that_nothing_was_done():
    world = World().record(f"channel:{CHANNEL}", e.StreamQuarantined("why", 1))
    assert world.start().commands == [said("channel_quarantined", repository="", user="james")]
    assert world.state() == "new"


def test_a_stream_names_its_rules_first_and_may_adopt_others():
    world = World().post("hi")
    assert world.of(f"channel:{CHANNEL}").rules == RULES
    adopted = world.record(f"channel:{CHANNEL}", e.RulesAdopted("next"))
    assert adopted.of(f"channel:{CHANNEL}").rules == "next"
    assert adopted.commands == []


def test_reports_of_posts_move_nothing():
    world = World().ready()
    for event in (
        e.PostSent("c", CHANNEL, "p"),
        e.PostFailed("c", CHANNEL, "too_long", ""),
        e.PostRendered("c", ("a", "b")),
    ):
        before = world.of(f"session:{SESSION}")
        assert (world >> event).commands == []
        assert world.of(f"session:{SESSION}") == before


def test_the_first_host_key_is_the_vms_and_no_later_one():
    world = World() >> e.HostKeySeen("vm1", "key-1", "SHA256:1")
    world >> e.HostKeySeen("vm1", "key-2", "SHA256:2")
    state = world.of("vm:vm1")
    assert (state.name, state.data.public_key, state.data.fingerprint) == ("known", "key-1", "SHA256:1")
