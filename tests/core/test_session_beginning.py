"""How a session comes to be: start, prepare, Ready; what waits meanwhile; what a failed start says and frees."""

from __future__ import annotations

import pytest

from sm.core import events as e
from sm.core.commands import AppendLine, PrepareRepository, SetTimer, StartAgent, StopAgent

from .playbook import OTHER, PREPARED, SESSION, World, answered, said


def test_a_session_exists_from_the_commit_of_start():
    world = World().start()
    assert world.post("add pytest").events == ["chat.message_received", "chat.message_assigned"]
    assert world.commands == []
    assert [line.text for line in world.data.talk.queue] == ["add pytest"]


def test_posts_before_ready_go_in_commit_order_one_unacknowledged_at_a_time():
    world = World().start()
    world.post("one")
    world.prepared().post("two")
    world.started().post("three")
    assert world.all(AppendLine) == []
    world.initialized()
    assert world.said == ["ready"]
    assert world.appended == ["one"]
    assert world.running().appended == []
    assert world.replay().appended == ["two"]
    assert world.replay().appended == ["three"]
    assert world.replay().appended == []


def test_the_text_goes_without_the_mention_and_otherwise_verbatim():
    world = World().ready()
    assert world.post("  @claude, please\n  add *pytest*  ").appended == ["please\n  add *pytest*  "]


def test_words_without_a_mention_go_verbatim():
    world = World().ready()
    assert world.post("  two spaces, stop  ").appended == ["  two spaces, stop  "]


def test_ready_is_said_when_the_agent_itself_answered():
    world = World().start().prepared()
    assert world.started().said == []
    assert world.agent(answered("something-else")).commands == []
    assert world.agent(answered("initialize-1", subtype="error")).commands == []
    assert world.state() == "starting"
    assert world.initialized().said == ["ready"]


def test_ready_comes_once():
    world = World().ready()
    assert world.initialized().commands == []


def test_a_start_that_cannot_prepare_says_how_many_were_not_delivered_and_frees_all():
    world = World().start()
    world.post("one").post("two")
    world >> e.RepositoryPrepareFailed("repository_missing", "not found")
    assert world.commands == [
        said("prepare_failed", code="repository_missing", detail="not found", waiting="2")
    ]
    assert (world.state(), world.channel_state(), world.repository()) == ("failed", "open", "free")
    assert world.start(session=OTHER).kinds == ["chat.say", "repository.prepare"]


def test_a_container_that_does_not_start_says_how_many_were_not_delivered_and_frees_all():
    world = World().start().prepared()
    world.post("one")
    world >> e.AgentStartFailed(1, "image_missing", "no such image")
    assert world.commands == [said("start_failed", code="image_missing", detail="no such image", waiting="1")]
    assert (world.state(), world.channel_state(), world.repository()) == ("failed", "open", "free")


def test_an_agent_that_does_not_answer_in_time_is_ended_and_its_last_words_shown():
    world = World().start().prepared().started()
    world.post("one")
    assert world.timer("ready").commands == [StopAgent(SESSION, 1)]
    assert world.state() == "recovering"
    assert world.ended(how="143 0", err_tail="no key").commands == []
    world.container_stopped()
    assert world.commands == [
        said("never_ready", trouble="no_answer", exit="143 0", err_tail="no key", waiting="1")
    ]
    assert (world.state(), world.channel_state(), world.repository()) == ("failed", "open", "free")


def test_an_agent_that_ends_before_ready_is_not_started_again():
    world = World().start().prepared().started()
    assert world.ended(how="1 1", err_tail="bad key").commands == [StopAgent(SESSION, 1)]
    world.container_stopped()
    assert world.commands == [
        said("never_ready", trouble="ended", exit="1 1", err_tail="bad key", waiting="0")
    ]


def test_the_time_to_answer_runs_from_the_containers_start():
    world = World().start()
    world.at_ms += 300_000
    world.prepared()
    world.at_ms += 5_000
    world.started()
    assert world.last(SetTimer).due_ms == world.at_ms + 60_000


@pytest.mark.parametrize("state", ["ready", "working"])
def test_the_timer_of_an_agent_that_answered_means_nothing(state: str):
    world = getattr(World(), state)()
    assert world.timer("ready").commands == []
    assert world.state() == state


def test_a_repository_in_use_by_another_channels_session_is_answered_there():
    world = World().start()
    world.channel, world.session = "ch2", OTHER
    world.start()
    assert world.events == [
        "chat.message_received",
        "session.requested",
        "repository.claim_requested",
        "repository.refused",
        "channel.session_ended",
        "network.session_ended",
    ]
    assert world.commands == [said("in_use", channel="ch2", holder="abc12345")]
    assert (world.state(), world.channel_state(), world.repository()) == ("refused", "open", "held")
    assert world.state(SESSION) == "preparing"


def test_another_repository_is_free_for_another_channel():
    world = World().start()
    world.channel, world.session = "ch2", OTHER
    assert world.start("acme/other").commands == [
        said("preparing", channel="ch2", repository="acme/other"),
        PrepareRepository(OTHER, "acme", "other"),
    ]


def test_a_stopped_sessions_repository_is_free_for_the_next():
    world = World().ready().stopped()
    world.channel, world.session = "ch2", OTHER
    assert world.start().kinds == ["chat.say", "repository.prepare"]


def test_only_its_holder_gives_a_main_clone_back():
    world = World().start()
    assert world.record("repository:vm1/acme/webapp", e.RepositoryReleased(OTHER)).repository() == "held"


def test_a_repository_that_is_quarantined_is_given_to_nobody():
    world = World().record("repository:vm1/acme/webapp", e.StreamQuarantined("why", 1))
    assert world.start().commands == [said("repository_quarantined")]
    assert (world.state(), world.channel_state(), world.repository()) == ("refused", "open", "quarantined")


def test_a_session_keeps_where_it_was_placed():
    world = World().start()
    data = world.data
    assert (data.vm, data.alias, data.runtime) == ("vm1", "llm_approved_domains", "podman")
    assert (data.image, data.network, data.permission_mode) == (
        "claude-code:latest",
        "isolated",
        "bypassPermissions",
    )
    world.prepared()
    assert world.last(StartAgent).workspace == PREPARED.path


def test_status_says_what_the_session_does_and_what_waits():
    world = World().start(user="sarah")
    world.post("one")
    world.post("@claude status")
    status = said(
        "status",
        state="preparing",
        session="abc12345",
        waiting="1",
        started_by="sarah",
        path="",
        branch="",
    )
    assert world.commands == [status]
