"""Lines about requests and grants, through the grammar and through `sm parse`; nothing that is no name is acted upon."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sm import cli
from sm.core.grammar import Known, read
from sm.core.grammar.decisions import DECISIONS, MAX_NAME, MAX_NAMES, MAX_REASON
from sm.engine.wording.corrections import CORRECTIONS
from sm.parse import known, parse

from .decision_lines import LINES, SETS
from .start_lines import Outcome

ENVIRONMENT = {"SM_DOMAIN_SETS": json.dumps(SETS)}
KNOWN = Known(sets=tuple(SETS))


@pytest.mark.parametrize(("line", "outcome"), LINES, ids=[line[:60] for line, _ in LINES])
def test_a_line_decides_or_is_answered(line: str, outcome: Outcome) -> None:
    read = parse(line, bot="claude", known=known(ENVIRONMENT))
    assert read == ({"answer": outcome} if isinstance(outcome, str) else outcome)


def test_sm_parse_prints_names_scope_and_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SM_DOMAIN_SETS", ENVIRONMENT["SM_DOMAIN_SETS"])
    with pytest.raises(SystemExit) as ended:
        cli.app(["parse", "@claude approve python for 1 hour"])
    assert ended.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["command"], printed["names"], printed["scope"]) == ("approve", ["python"], "hour")


def test_a_name_is_kept_up_to_its_bound() -> None:
    intent = read("@claude approve " + "a." * 5000, "claude").intent
    assert intent.name == "approve"
    assert [len(name) for name in intent.names] == [MAX_NAME]


def test_the_shipped_sets_are_known_and_one_that_was_taken_away_is_not() -> None:
    assert parse("approve cargo", bot="claude", known=known({}))["names"] == ["cargo"]
    assert "answer" in parse("approve cargo", bot="claude", known=known({"SM_DOMAIN_SETS": '{"cargo": []}'}))


def test_a_set_that_is_not_known_is_no_name() -> None:
    assert read("@claude approve python", "claude").intent.problem == "no_host"


PIECES = st.one_of(
    st.sampled_from(
        ["pypi.org", "pypi.org,", "`a.example`", "python", "pyton", "and", "&", ",", ";", "—", "-"]
    ),
    st.sampled_from(["for", "this", "session", "1", "hour", "1h", "2h", "until", "use", "the", "mirror"]),
    st.sampled_from(["[a.b](c.d)", "[a.b](http://a.b)", "<https://a.b>", "a.b:", "a.b!", "a.b—c", "a.b,c"]),
    st.sampled_from(["*.a.b", "!a.b", "10.0.0.0/8", "::1", "[::1]:443", "**a.b**", "_a.b_"]),
)
HOSTILE = st.one_of(PIECES, st.text(), st.text(alphabet="ab.,:;!?—-`'\"“”*_~<>()[]/@ \n\t\u200b\u202e\x00"))


@settings(max_examples=500, deadline=None)
@example("approve", ["0.:\u200b:"], Known())
@given(
    st.sampled_from([*DECISIONS, "aprove", "dney", "approved"]),
    st.lists(HOSTILE, max_size=9),
    st.sampled_from([Known(), KNOWN]),
)
def test_what_is_decided_on_could_be_a_host_or_is_a_known_set(
    command: str, pieces: list[str], known: Known
) -> None:
    intent = read(f"@claude {command} {' '.join(pieces)}", "claude", known).intent
    if intent.name == "correct":
        assert intent.problem in CORRECTIONS
        assert len(intent.suggestion) < 500
        assert "\n" not in intent.suggestion
        assert "`" not in intent.suggestion + intent.word
        intent = read(intent.suggestion, "claude", known).intent
        assert intent.name in {*DECISIONS, "pending", "net"}, intent
    if intent.name in {"text", "pending", "net"}:
        assert (intent.names, intent.reason, intent.scope) == ((), "", "")
        return
    assert intent.name in DECISIONS
    assert 0 < len(intent.names) <= MAX_NAMES
    assert len(set(intent.names)) == len(intent.names)
    for name in intent.names:
        assert name in known.sets or any(sign in name for sign in ".。．｡:")
        assert len(name) <= MAX_NAME
        assert not set(name) & set(",; \n\t")
    assert not intent.scope or intent.name == "approve"
    assert not intent.reason or intent.name == "deny"
    assert len(intent.reason) <= MAX_REASON
    assert intent.reason.isprintable()


@pytest.mark.parametrize(
    "unit", ["a.b ", "a.b,", "a.", "`", "[", "[a.b](", "and ", ", ", "—", "::", "* ", "for ", "x "]
)
@pytest.mark.parametrize("command", ["approve ", "deny ", "deny a.b ", "revoke ", "aprove "])
def test_a_decision_of_a_megabyte_is_answered(command: str, unit: str) -> None:
    began = time.process_time()
    read(f"@claude {command}" + unit * (1_000_000 // len(unit)), "claude", KNOWN)
    assert time.process_time() - began < 2
