"""What is decided before the append: masking first, whose text is stored, where a session lives, whose requests are requests."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from engine_kit import ALIAS, CHANNEL, CHANNEL_STREAM, JAMES, Engine, a_post, ingress

from sm.core import markers
from sm.core.channel import Member
from sm.core.events import LineReceived, MessageReceived, MessageSkipped, Verdict
from sm.core.fold import StreamState, initial
from sm.engine.ingress import Ingress
from sm.journal.masking import Masker

SECRET = "hunter2-hunter2"


@pytest.fixture
def reader() -> Ingress:
    return ingress(Masker([SECRET]))


@pytest.fixture
def free() -> StreamState:
    return initial(CHANNEL_STREAM)


@pytest.fixture
def occupied(free: StreamState) -> StreamState:
    member = Member("abc", "acme/webapp", "", "post", "user", "james")
    return evolve(free, name="occupied", data=evolve(free.data, sessions=(member,)))


# --- a person's post ----------------------------------------------------------------------------------------------------


def test_without_a_session_a_post_that_does_not_mention_the_bot_leaves_no_text(
    reader: Ingress, free: StreamState
) -> None:
    post = a_post("between ourselves")
    event = reader.message(post, JAMES, free)
    assert event == MessageSkipped(post.id, CHANNEL, post.create_at_ms)


@pytest.mark.parametrize("text", ["@claude help", "can @claude do it?", "@CLAUDE, stop"])
def test_without_a_session_a_mention_is_taken(reader: Ingress, free: StreamState, text: str) -> None:
    event = reader.message(a_post(text), JAMES, free)
    assert isinstance(event, MessageReceived)
    assert event.mentioned


@pytest.mark.parametrize(
    "text", ["`@claude help`", "```\n@claude start a/b\n```", "@claudette hello", "mail@claude"]
)
def test_what_is_no_mention_in_mattermost_is_none_here(reader: Ingress, free: StreamState, text: str) -> None:
    assert isinstance(reader.message(a_post(text), JAMES, free), MessageSkipped)


def test_with_a_session_every_post_is_taken_without_the_leading_mention(
    reader: Ingress, occupied: StreamState
) -> None:
    plain = reader.message(a_post("add pytest"), JAMES, occupied)
    spoken_to = reader.message(a_post("@claude add pytest"), JAMES, occupied)
    assert isinstance(plain, MessageReceived)
    assert isinstance(spoken_to, MessageReceived)
    assert (plain.text, plain.body, plain.mentioned) == ("add pytest", "add pytest", False)
    assert (spoken_to.text, spoken_to.body, spoken_to.mentioned) == ("@claude add pytest", "add pytest", True)
    assert (plain.user_id, plain.user_name) == (JAMES.id, "james")


def test_a_post_is_masked_before_it_is_parsed_and_the_count_is_right(
    reader: Ingress, occupied: StreamState
) -> None:
    event = reader.message(
        a_post(f"@claude use {SECRET} and ghp_0123456789abcdef, not {SECRET}"), JAMES, occupied
    )
    assert isinstance(event, MessageReceived)
    assert event.body == "use [masked] and [masked], not [masked]"
    assert event.masked == 3


def test_what_was_masked_is_not_there_for_the_parse(occupied: StreamState) -> None:
    """Were the text masked after the parse, `body_at` would point into the middle of it."""
    reader = ingress(Masker(["@claude start"]))
    event = reader.message(a_post("@claude start acme/webapp"), JAMES, occupied)
    assert isinstance(event, MessageReceived)
    assert event.body == event.text == "[masked] acme/webapp"
    assert (event.intent.name, event.placement) == ("text", None)


def test_a_secret_in_a_correction_is_masked_too(reader: Ingress, free: StreamState) -> None:
    event = reader.message(a_post(f"@claude strat {SECRET}"), JAMES, free)
    assert isinstance(event, MessageReceived)
    assert event.intent.name == "correct"
    assert "hunter2" not in repr(event)
    assert event.masked == 1


def test_a_place_is_given_to_start_alone(reader: Ingress, free: StreamState) -> None:
    for text in (
        "@claude stop",
        "@claude help",
        "@claude",
        "@claude start",
        "@claude start a/b —worktree",
        "@claude hi",
    ):
        event = reader.message(a_post(text), JAMES, free)
        assert isinstance(event, MessageReceived)
        assert event.placement is None, text
    event = reader.message(a_post("@claude start acme/webapp"), JAMES, free)
    assert isinstance(event, MessageReceived)
    assert event.placement is not None
    place = event.placement
    assert (place.vm, place.alias, place.runtime) == ("vm.test", ALIAS, "podman")
    assert (event.intent.org, event.intent.repo) == ("acme", "webapp")


def test_each_session_gets_an_id_of_its_own(reader: Ingress, free: StreamState) -> None:
    ids = {
        event.placement.session_id
        for _ in range(3)
        if isinstance(event := reader.message(a_post("@claude start a/b"), JAMES, free), MessageReceived)
        and event.placement
    }
    assert len(ids) == 3


def test_the_bot_answers_to_its_real_name_only(free: StreamState) -> None:
    reader = ingress(bot_name="robot.one")
    assert isinstance(reader.message(a_post("@claude help"), JAMES, free), MessageSkipped)
    assert isinstance(reader.message(a_post("@robotxone help"), JAMES, free), MessageSkipped)
    assert isinstance(reader.message(a_post("@robot.one help"), JAMES, free), MessageReceived)


# --- a line of the agent ------------------------------------------------------------------------------------------------


def line(reader: Ingress, *texts: str) -> LineReceived:
    content = [{"type": "text", "text": text} for text in texts]
    value = {"type": "assistant", "message": {"role": "assistant", "content": content}}
    return reader.line(1, offset=10, end=99, text=json.dumps(value), terminated=True)


def test_each_marker_gets_its_verdict_in_order_and_once(reader: Ingress) -> None:
    event = line(
        reader,
        "I need:\n[NETWORK_REQUEST: pypi.org]\n[NETWORK_REQUEST: co.uk]",
        "```\n[NETWORK_REQUEST: pypi.org]\n[NETWORK_REQUEST: Example.com]\n```",
        "inline [NETWORK_REQUEST: ignored.example] is none",
    )
    assert event.verdicts == (
        Verdict("pypi.org"),
        Verdict("co.uk", "public_suffix"),
        Verdict("example.com", part=1),
    )
    assert (event.offset, event.end, event.terminated) == (10, 99, True)


def test_a_marker_of_several_names_gives_each_its_verdict_and_the_reason(reader: Ingress) -> None:
    event = line(reader, "[NETWORK_REQUEST: pypi.org, https://example.com/x bücher.de — install pytest]")
    assert event.verdicts == (
        Verdict("pypi.org", reason="install pytest"),
        Verdict("https://example.com/x", "a_url", reason="install pytest", hint="example.com"),
        Verdict("xn--bcher-kva.de", reason="install pytest", warning="unicode", shown="bücher.de"),
    )


def test_a_host_in_two_spellings_is_asked_for_once_with_the_first_reason_given(reader: Ingress) -> None:
    event = line(
        reader,
        "[NETWORK_REQUEST: pypi.org]\n[NETWORK_REQUEST: PyPI.org. — the index]",
        "[NETWORK_REQUEST: PYPI.ORG — again]\n[NETWORK_REQUEST: example.com]",
    )
    assert event.verdicts == (Verdict("pypi.org", reason="the index"), Verdict("example.com", part=1))


def test_a_secret_in_a_reason_is_masked(reader: Ingress) -> None:
    event = line(reader, f"[NETWORK_REQUEST: pypi.org — log in with {SECRET}]")
    assert event.verdicts[0].reason == "log in with (masked)"


def test_a_flood_of_markers_is_bounded_and_said(reader: Ingress) -> None:
    event = line(reader, "\n".join(f"[NETWORK_REQUEST: h{n}.example.com]" for n in range(500)))
    assert len(event.verdicts) == markers.MAX_MARKERS + 1
    assert event.verdicts[-1].refused == "too_many"


def test_a_flood_over_several_blocks_is_bounded_too(reader: Ingress) -> None:
    event = line(reader, *(f"[NETWORK_REQUEST: {n}.example.com]" for n in range(50)))
    assert len(event.verdicts) == markers.MAX_MARKERS + 1
    assert event.verdicts[-1] == Verdict("20.example.com", "too_many", part=20)


def test_a_secret_in_the_agents_line_is_masked_also_behind_escapes(reader: Ingress) -> None:
    hidden = "".join(f"\\u{ord(c):04x}" for c in SECRET)
    text = f'{{"type":"assistant","message":{{"content":[{{"type":"text","text":"{hidden}"}}]}}}}'
    event = reader.line(1, offset=0, end=len(text) + 1, text=text, terminated=True)
    assert "[masked]" in event.line
    assert hidden not in event.line
    assert event.end == len(text) + 1  # offsets are of the raw bytes


@pytest.mark.parametrize(
    "text", ["", "no json", '{"type":', "[" * 100_000, '{"type":"assistant"}', "\ud800", "\x00"]
)
def test_any_line_is_read(reader: Ingress, text: str) -> None:
    event = reader.line(1, offset=0, end=1, text=text, terminated=False)
    assert event.verdicts == ()
    assert not event.terminated


async def test_half_a_character_of_the_agent_is_stored_and_asked_for_without_harm(engine: Engine) -> None:
    """JSON can hold a lone surrogate, which no UTF-8 can: it must not break the commit."""
    text = json.dumps(
        {
            "type": "assistant",
            "message": {"content": [{"type": "text", "text": "[NETWORK_REQUEST: \ud800.com]"}]},
        }
    )
    event = ingress().line(1, offset=0, end=len(text) + 1, text=text, terminated=True)
    assert event.verdicts == (Verdict("\ud800.com", "not_idna"),)
    await engine.happen("session:s1", event, "out:s1:1:0")
    assert not engine.fatal
    assert (await engine.rows(stream="session:s1"))[-1].kind == "agent.line_received"
