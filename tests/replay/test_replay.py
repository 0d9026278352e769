"""sm-replay: what it lists, tells and proves."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys

import pytest

from sm.core import fold as rules
from sm.core import streams
from sm.core.events import StreamQuarantined
from sm.journal.sqlite import InlineSqliteJournal
from sm.replay.cli import run

from .conftest import FIRST, SECOND, conversation, record, rehash, write


@pytest.fixture
def replay(recorded, capsys):
    """Run the command on the recorded journal: exit status, lines, what it said on stderr."""

    def ask(*arguments: str) -> tuple[int, list[str], str]:
        capsys.readouterr()
        status = run([str(recorded), *arguments])
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err

    return ask


# --- sessions -----------------------------------------------------------------------------------------------------


def test_sessions_are_listed_with_channel_repository_state_and_times(replay):
    status, lines, _ = replay("sessions")
    assert status == 0
    assert lines[0].split() == ["SESSION", "CHANNEL", "REPOSITORY", "STATE", "STARTED", "ENDED", "EVENTS"]
    assert lines[1].split() == [
        FIRST, "claude-project", "(c1)", "acme/webapp", "stopping", "2023-11-14T22:13:20.123Z", "-", "9",
    ]  # fmt: skip
    assert lines[2].startswith(SECOND)
    assert len(lines) == 3


def test_an_ended_session_shows_when_it_ended(recorded, replay):
    write(recorded, [(streams.session(FIRST), StreamQuarantined("test", 1))])
    _, lines, _ = replay("sessions")
    assert lines[1].split()[4:7] == ["quarantined", "2023-11-14T22:13:20.123Z", "2023-11-14T22:13:20.123Z"]


def test_a_journal_without_sessions_says_so(path, capsys):
    InlineSqliteJournal.open(path)._store.close()
    assert run([str(path), "sessions"]) == 0
    assert capsys.readouterr().out == "No session in this journal.\n"


# --- show ---------------------------------------------------------------------------------------------------------


def test_a_story_has_seq_time_event_states_and_commands_in_each_line(replay):
    status, lines, _ = replay("show", FIRST)
    assert status == 0
    assert len(lines) == 9
    requested = next(line for line in lines if "session.requested" in line)
    assert (
        "2023-11-14T22:13:20.123Z  session.requested: @james starts acme/webapp on vm1  [new → claiming]"
        in requested
    )
    granted = next(line for line in lines if "repository.granted" in line)
    assert "[claiming → preparing]  ⇒ 0: chat.say preparing" in granted
    assert "1: repository.prepare org acme, repo webapp (outstanding)" in granted
    assert [int(line.split()[0]) for line in lines] == sorted(int(line.split()[0]) for line in lines)


@pytest.mark.parametrize("name", ["abc12345", "abc", f"session:{FIRST}", "claude-abc12345", FIRST])
def test_a_session_is_found_by_id_beginning_stream_or_container(replay, name):
    status, lines, _ = replay("show", name)
    assert status == 0
    assert any("acme/webapp" in line for line in lines)


@pytest.mark.parametrize("stream", ["alias:allowed", "channel:c1", "repository:vm1/acme/webapp"])
def test_another_stream_is_shown_by_its_name(replay, stream):
    status, lines, _ = replay("show", stream)
    assert status == 0
    assert "stream.opened" in lines[0]


def test_an_ambiguous_beginning_names_the_sessions(replay):
    status, _, said = replay("show", "ab")
    assert status == 2
    assert FIRST in said
    assert SECOND in said


def test_an_unknown_session_is_named_with_where_to_look(replay):
    status, lines, said = replay("show", "nope")
    assert (status, lines) == (2, [])
    assert "There is no session 'nope'" in said
    assert "channel:c1" in said


def test_nothing_that_was_said_can_steer_the_terminal(replay):
    _, lines, _ = replay("show", "channel:c1")
    _, more, _ = replay("show", FIRST)
    assert any("\\x1b[31m\\u202e" in line for line in lines)
    assert all(line.isprintable() for line in [*lines, *more])


# --- verify -------------------------------------------------------------------------------------------------------


def test_an_untouched_journal_holds(replay):
    status, lines, said = replay("verify")
    assert (status, said) == (0, "")
    assert "events, holds, ends with" in lines[0]
    assert all("holds" in line for line in lines)
    assert len(lines) == 1 + 7  # the chain, two sessions, channels and repositories, the alias


def test_one_session_is_verified_alone(replay):
    status, lines, _ = replay("verify", "abc1")
    assert status == 0
    assert [line.partition(":")[0] for line in lines] == ["chain", "session"]


def test_a_changed_event_diverges_and_is_named(replay, change):
    change("UPDATE events SET payload = replace(payload, 'james', 'sarah') WHERE kind = 'session.requested'")
    status, lines, _ = replay("verify")
    assert status == 1
    assert any(line.startswith("chain: seq ") and "content differs" in line for line in lines)
    assert any("notice" in line and "another payload" in line for line in lines)


def test_a_rewritten_chain_does_not_hide_another_state(recorded, replay, change):
    change("UPDATE events SET state_after = 'ready' WHERE kind = 'session.requested'")
    rehash(recorded)
    status, lines, _ = replay("verify", FIRST)
    assert status == 1
    assert any("recorded state 'ready', folded 'claiming'" in line for line in lines)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM commands WHERE kind = 'repository.prepare'", "folded chat.say, repository.prepare"),
        ("UPDATE commands SET kind = 'agent.stop' WHERE kind = 'repository.prepare'", "chat.say, agent.stop"),
        ("UPDATE commands SET id = 'x' || id WHERE kind = 'repository.prepare'", "recorded commands"),
        (
            "UPDATE commands SET seq = 999 WHERE kind = 'repository.prepare' AND stream LIKE '%abc%'",
            "names event 999",
        ),
        ("DELETE FROM outbox", "is not in the outbox"),
        ("UPDATE commands SET settled_by = 1 WHERE kind = 'repository.prepare'", "which is older"),
        ("UPDATE commands SET settled_by = 99 WHERE kind = 'repository.prepare'", "is in the outbox"),
    ],
)
def test_changed_commands_diverge(replay, change, statement, said):
    change(statement)
    status, lines, _ = replay("verify")
    assert status == 1
    assert any(said in line for line in lines), lines


def test_another_payload_of_a_command_is_a_note_no_more(replay, change):
    change("""UPDATE commands SET payload = '{"org":"elsewhere"}' WHERE kind = 'repository.prepare'""")
    status, lines, _ = replay("verify")
    assert status == 0
    assert any("note: command" in line and "another payload" in line for line in lines)


def test_a_notice_that_is_missing_or_too_many_diverges(recorded, replay, change):
    change("UPDATE events SET key = NULL WHERE kind = 'session.requested'")
    rehash(recorded)
    status, lines, _ = replay("verify", "channel:c1")
    assert status == 1
    assert any(f"session.requested to session:{FIRST}) is folded, none is recorded" in line for line in lines)
    change("UPDATE events SET key = '2:0' WHERE kind = 'session.requested' AND stream LIKE '%abc%'")
    rehash(recorded)
    _, lines, _ = replay("verify", "channel:c1")
    assert any("a notice 2:0 is recorded, none is folded" in line for line in lines)


def test_a_payload_that_does_not_fit_diverges(recorded, replay, change):
    change("""UPDATE events SET payload = '{"rules":7}' WHERE seq = 1""")
    rehash(recorded)
    status, lines, _ = replay("verify")
    assert status == 1
    assert any("seq 1: The payload of an event of the kind 'stream.opened'" in line for line in lines)


def test_a_kind_of_another_version_cannot_be_read(recorded, replay, change):
    change("UPDATE events SET kind = 'card.framed' WHERE kind = 'network.decided'")
    rehash(recorded)
    status, lines, _ = replay("verify")
    assert status == 2
    assert any("run the version that wrote it" in line for line in lines)


def test_a_recorded_quarantine_is_accepted(path, capsys, monkeypatch):
    honest = rules.fold

    def failing(state, recorded):
        if recorded.event.KIND == "repository.prepared":
            raise LookupError("a fault of the rules")
        return honest(state, recorded)

    monkeypatch.setattr(rules, "fold", failing)
    write(path, conversation("c1", FIRST, "acme"))
    monkeypatch.undo()
    assert run([str(path), "verify"]) == 0
    said = capsys.readouterr().out
    assert (
        "accepted, the stream is quarantined: seq 9 (repository.prepared): recorded state 'preparing'" in said
    )
    assert "holds (quarantined at seq 10)" in said


def test_a_record_of_a_fault_of_the_rules_is_told_as_it_was(path, capsys, monkeypatch):
    def failing(state, recorded):
        raise LookupError("a fault of the rules")

    write(path, conversation("c1", FIRST, "acme"))
    monkeypatch.setattr(rules, "fold", failing)
    assert run([str(path), "verify", FIRST]) == 1
    assert "(session.requested) can't be folded: LookupError" in capsys.readouterr().out


def test_verify_works_beside_a_running_writer(recorded, replay):
    journal = InlineSqliteJournal.open(recorded)
    asyncio.run(record(journal, [(streams.alias("allowed"), StreamQuarantined("test", 1))]))
    assert (recorded.parent / "journal.db-wal").exists()
    assert replay("verify")[0] == 0
    journal._store.close()


def test_reading_changes_nothing(recorded, replay):
    def seen() -> tuple[list[str], bytes]:
        return sorted(os.listdir(recorded.parent)), recorded.read_bytes()

    before = seen()
    for question in (["sessions"], ["show", "abc"], ["verify"]):
        replay(*question)
    assert seen() == before


# --- the command --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify"], "There is no journal at"),
        (["show"], "Name the session to show"),
        (["sessions", "abc"], "takes no further argument"),
        (["dance"], "dance"),
        ([], "QUESTION"),
    ],
)
def test_what_cannot_be_answered_is_exit_two_with_a_sentence(path, capsys, arguments, said):
    assert run([str(path), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_stands_for_the_journal_in_it(recorded, capsys):
    assert run([str(recorded.parent), "sessions"]) == 0
    assert "acme/webapp" in capsys.readouterr().out


def test_a_file_that_is_no_journal_cannot_be_read(path, capsys):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    assert run([str(path), "verify"]) == 2
    assert "no journal of Session Manager" in capsys.readouterr().err


def test_a_reader_that_has_enough_is_no_error_on_the_screen(recorded):
    code = "import sys; from sm.replay.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(recorded), "show", "abc"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait()
