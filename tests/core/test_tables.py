"""The tables themselves: each name exists, each state is reached, the picture in the README is theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sm.core import tables
from sm.core.alias import AliasStep
from sm.core.alias.requests import RequestStep
from sm.core.channel import ChannelStep
from sm.core.diagram import request_diagram, rewritten, session_diagram
from sm.core.events import EVENTS
from sm.core.repository import RepositoryStep
from sm.core.session import SessionStep
from sm.core.tables import Row
from sm.core.vm import VmStep

README = Path(__file__).parents[2] / "README.md"

# What an event turned out to mean; a step fires these itself (`Step.then`).
DERIVED = {
    "initialized",
    "turn_opened",
    "turn_closed",
    "line_delivered",
    "line_acknowledged",
    "generation_over",
    "git_allowed",
    "git_denied",
}
# What the parts of the alias's step do for each other, and a request's says outside of its table.
OF_THE_ALIAS = {
    "add_card",
    "view",
    "report",
    "say_privately",
    "make_grant",
    "try_again",
    "end_grant",
    "withdraw",
    "open_all",
    "try_untold",
}
TELLS = {"tell_approved", "tell_denied"}
# What an event of the alias means for one request.
OF_A_REQUEST = {
    "approve",
    "retry",
    "deny",
    "rule_out",
    "expire",
    "supersede",
    "opened",
    "refused",
    "grant_ended",
}

MACHINES: dict[str, tuple[list[str], tuple[Row, ...], type, set[str]]] = {
    "session": (tables.SESSION_STATES, tables.SESSION, SessionStep, set(EVENTS) | DERIVED),
    "request": (tables.REQUEST_STATES, tables.REQUEST, RequestStep, OF_A_REQUEST),
    "repository": (tables.REPOSITORY_STATES, tables.REPOSITORY, RepositoryStep, set(EVENTS)),
    "channel": (tables.CHANNEL_STATES, tables.CHANNEL, ChannelStep, set(EVENTS)),
    "vm": (tables.VM_STATES, tables.VM, VmStep, set(EVENTS)),
    "alias": (tables.ALIAS_STATES, tables.ALIAS, AliasStep, set(EVENTS)),
}
each_machine = pytest.mark.parametrize("name", MACHINES)


@each_machine
def test_each_trigger_is_an_event_or_a_documented_meaning_of_one(name: str):
    _, rows, _, triggers = MACHINES[name]
    assert {row.trigger for row in rows} <= triggers


def test_each_documented_meaning_is_fired_and_has_a_row():
    assert {row.trigger for row in tables.SESSION} >= DERIVED
    assert {row.trigger for row in tables.REQUEST} == OF_A_REQUEST
    for trigger in DERIVED:
        assert trigger in (tables.__doc__ or "")


@each_machine
def test_each_row_names_states_and_methods_that_exist(name: str):
    states, rows, step, _ = MACHINES[name]
    for row in rows:
        assert set(row.source) <= set(states), row
        assert row.dest is None or row.dest in states, row
        for method in (*row.do, *row.when):
            assert callable(getattr(step, method, None)), (row, method)


@each_machine
def test_each_method_of_a_step_that_is_named_nowhere_is_a_helper_of_another(name: str):
    _, rows, step, _ = MACHINES[name]
    named = {method for row in rows for method in (*row.do, *row.when)}
    helpers = {
        "then",
        "run",
        "issue",
        "notify",
        "folded",
        "fire",
        "put",
        "step",
        "append",
        "say",
        "say_in",
        "waiting",
        "queue",
        "push_again",
        "close_push",
        "give_place_back",
        "ask_git_host",
        "request_network",
        "show",
        "with_card",
        *OF_THE_ALIAS,
        *TELLS,
    }
    own = {
        attribute
        for kind in step.__mro__
        for attribute, value in vars(kind).items()
        if callable(value) and not attribute.startswith("_")
    }
    assert own - named - helpers == set()


@each_machine
def test_each_state_is_reached_from_the_first(name: str):
    states, rows, _, _ = MACHINES[name]
    reached = {states[0]}
    while more := {row.dest for row in rows if row.dest and reached & set(row.source)} - reached:
        reached |= more
    assert reached == set(states)


@each_machine
def test_no_row_stands_behind_one_that_always_answers_first(name: str):
    _, rows, _, _ = MACHINES[name]
    answered: set[tuple[str, str]] = set()
    for row in rows:
        pairs = {(row.trigger, source) for source in row.source}
        assert not pairs & answered, row
        if not row.when:
            answered |= pairs


# What came late of a command that the session gave before its end is still said.
LATE = {
    "show_diff",
    "say_diff_failed",
    "say_fetched",
    "say_fetch_failed",
    "say_push_refused",
    "note_pushed",
    "note_push_failed",
    "note_push_card",
    "forget_push",
}


def test_each_ended_session_takes_only_questions_and_what_came_late():
    for row in tables.SESSION:
        if set(row.source) & set(tables.SESSION_ENDED):
            assert row.dest is None, row
            assert set(row.do) <= {"say_status", *LATE}, row
            assert "quarantined" not in row.source or row.do == ("say_status",), row


def test_from_each_state_that_is_not_over_a_session_can_be_stopped():
    ways = {
        state: {row.dest for row in tables.SESSION if state in row.source and row.dest}
        for state in tables.SESSION_STATES
    }
    for state in tables.SESSION_STATES:
        if state not in tables.SESSION_ENDED:
            assert "stopped" in ends(state, ways), state


def ends(state: str, ways: dict[str, set[str]]) -> set[str]:
    reached = {state}
    while more := {dest for known in reached for dest in ways[known]} - reached:
        reached |= more
    return reached & set(tables.SESSION_ENDED)


@pytest.mark.parametrize("event", EVENTS)
def test_each_event_has_a_row_or_is_a_report_that_changes_no_state(event: str):
    reports = {
        "repository.prepare_cancelled",
        "stream.opened",
        "rules.adopted",
        "post.rendered",
        "post.sent",
        "post.failed",
        "card.updated",
    }
    triggers = {row.trigger for _, rows, _, _ in MACHINES.values() for row in rows}
    assert (event in triggers) is (event not in reports)


# --- the picture --------------------------------------------------------------------------------------------------------


def arrows(diagram: str) -> Iterator[tuple[str, str]]:
    for line in diagram.splitlines()[1:]:
        source, _, dest = line.strip().partition(":")[0].partition(" --> ")
        yield source, dest


def test_the_pictures_arrows_are_the_rows_that_change_the_state():
    drawn = {pair for pair in arrows(session_diagram()) if "[*]" not in pair}
    rows = {
        (source, row.dest)
        for row in tables.SESSION
        if row.dest
        for source in row.source
        if source != row.dest
    }
    assert drawn == {pair for pair in rows if "quarantined" not in pair}
    drawn = {pair for pair in arrows(request_diagram()) if "[*]" not in pair}
    assert drawn == {(source, row.dest) for row in tables.REQUEST if row.dest for source in row.source}


def test_a_request_that_is_over_may_only_be_decided_anew_or_is_as_good_as_forgotten():
    lines = request_diagram().splitlines()
    ended = {line.strip().partition(" ")[0] for line in lines if line.endswith("--> [*]")}
    assert ended == set(tables.REQUEST_FINAL)


def test_a_picture_is_one_line_an_arrow_with_its_reasons():
    lines = session_diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> new"]
    assert "    working --> ready: idle (nothing waits)" in lines
    assert "    recovering --> probing: container gone (a message in doubt)" in lines
    assert "    stopped --> [*]" in lines
    assert len(list(arrows(session_diagram()))) == len(set(arrows(session_diagram())))


def test_the_readme_shows_the_tables_as_they_are():
    text = README.read_text("utf-8")
    assert "<!-- diagram: session -->" in text
    assert "<!-- diagram: request -->" in text
    assert rewritten(text) == text, "run scripts/diagram"


def test_only_what_stands_between_markers_is_drawn_anew():
    text = "above\n<!-- diagram: request -->\nold\n<!-- end -->\nbelow\n"
    fresh = f"above\n<!-- diagram: request -->\n```mermaid\n{request_diagram()}```\n<!-- end -->\nbelow\n"
    assert rewritten(text) == fresh
    assert rewritten(fresh) == fresh
    assert rewritten("nothing here") == "nothing here"


@pytest.mark.parametrize(
    "text", ["<!-- diagram: session -->", "<!-- diagram: session", "<!-- diagram: x --><!-- end -->"]
)
def test_a_marker_without_an_end_or_of_no_diagram_is_an_error(text: str):
    with pytest.raises(ValueError, match="has no end or is none of session, request"):
        rewritten(text)
