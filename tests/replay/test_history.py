"""Whatever an alias's stream holds, its history can be told, and agrees with what the rules remember."""

from __future__ import annotations

from core.anything import Move, any_moves, plausible_moves, play
from core.playbook import ALIAS, World
from hypothesis import HealthCheck, given, settings

from sm.core import fold as rules
from sm.core import streams
from sm.core.fold import Recorded
from sm.journal.codec import encode
from sm.journal.rows import StoredEvent
from sm.replay import net, why
from sm.replay.history import History
from sm.replay.records import Fact
from sm.replay.summaries import printable

STREAM = streams.alias(ALIAS)
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def rows(world: World) -> list[StoredEvent]:
    """The alias's events as a journal holds them."""
    state, found = rules.initial(STREAM), list[StoredEvent]()
    for recorded in world.history:
        if recorded.stream != STREAM:
            continue
        try:
            state = rules.fold(state, recorded).state
        except Exception:  # noqa: BLE001  # as the writer: the stream stops
            found += ()
        found.append(stored(recorded, state.name))
    return found


def stored(recorded: Recorded, state: str) -> StoredEvent:
    kind, version, payload = encode(recorded.event)
    at_ms = recorded.recorded_at_ms
    return StoredEvent(recorded.seq, recorded.stream, kind, version, at_ms, "1", None, payload, state, "", "")


def told(world: World) -> History:
    history = History(STREAM, rules.initial(STREAM))
    for row in rows(world):
        history.take(row)
        agrees(history)
    return history


def agrees(history: History) -> None:
    data = history.data
    lasting = {name for name, record in history.grants.items() if record.ended is None}
    assert {grant.grant_id for grant in data.live()} == lasting
    assert set(history.entries) == set(data.entries)
    for request in data.requests.values():
        assert history.asks[request.request_id].state == request.state


def known(history: History) -> set[str]:
    return {name for names in history.domains().values() for name in names}


@quick
@given(any_moves)
def test_any_record_can_be_told(moves: list[Move]):
    history = told(play(moves))
    for name in known(history):
        lines = [printable(line) for line in why._about(history, name)]
        assert lines[0].startswith(f"{name} ")
    assert list(net._about(history, None))


@quick
@given(plausible_moves)
def test_what_is_called_open_is_what_the_rules_call_open(moves: list[Move]):
    history = told(play(moves))
    for name in known(history):
        is_open = history.data.is_open(name) and bool(history.data.live(name))
        assert why.standing(history, name).startswith("is open: ") == is_open


@quick
@given(plausible_moves)
def test_each_fact_is_of_an_event_of_the_stream_in_order(moves: list[Move]):
    history = told(play(moves))
    lists: list[list[Fact]] = [
        *([grant.made, *grant.facts] for grant in history.grants.values()),
        *(entry.facts for grant in history.grants.values() for entry in grant.entries),
        *(ask.facts for ask in history.asks.values()),
        *(ask.answers for ask in history.asks.values()),
        *history.foreign.values(),
        *history.cards.values(),
    ]
    for facts in lists:
        assert [fact.seq for fact in facts] == sorted(fact.seq for fact in facts)
        assert all(fact.text and 0 < fact.seq <= history.last.seq for fact in facts)


@quick
@given(plausible_moves)
def test_each_grant_leads_to_a_decision_and_to_a_request(moves: list[Move]):
    history = told(play(moves))
    for record in history.grants.values():
        assert record.made.seq
        assert record.grant.user_name == record.decision.user_name
        assert record.grant.request_id in history.asks
