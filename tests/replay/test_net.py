"""sm-replay net: what was open at a time, why, until when, by whom; and what was not ours."""

from __future__ import annotations

import pytest
from core.playbook import ALIAS, BEFORE, turned

from sm.core import events as e
from sm.core import streams
from sm.journal.sqlite import InlineSqliteJournal
from sm.replay import times
from sm.replay.cli import run
from sm.replay.errors import ReplayError

from .story_kit import HOUR_MS, MINUTE_MS, Story, asking, keep, play

D, F = "pypi.org", "files.example"


@pytest.fixture
def story() -> Story:
    return Story().ready()


@pytest.fixture
def ask(path, capsys):
    return asking(path, capsys)


def rows(lines: list[str]) -> list[list[str]]:
    """The table's cells, without its head."""
    head = next((number for number, line in enumerate(lines) if line.startswith("DOMAIN")), None)
    return (
        []
        if head is None
        else [line.split("  ") for line in lines[head + 1 :] if line[:1] in "afp" and "  " in line]
    )


def cells(line: list[str]) -> list[str]:
    return [cell.strip() for cell in line if cell.strip()]


def opened(lines: list[str]) -> dict[str, str]:
    """The state of each domain of the table."""
    return {cells(row)[0]: cells(row)[1] for row in rows(lines)}


def test_what_is_open_has_until_by_whom_via_when_and_what_for(story, ask):
    story.asked(D, reason="install pytest").press(D, "hour", user="sarah").opened(D)
    lines = ask(story, "net")
    end = story.history[-1]
    assert lines[0] == (
        f"The alias {ALIAS} at the end of the journal, as recorded up to"
        f" seq {story.seq_of('network.tried')} ({story.time_of('network.tried')}):"
    )
    assert end.seq > story.seq_of("network.tried")  # the session's streams go on
    assert cells(rows(lines)[0]) == [
        D,
        "open",
        f"until {times.utc(story.grant(D).until_ms)}",
        "@sarah",
        "button",
        f"{story.time_of('network.decided')} (seq {story.seq_of('network.decided')})",
        "session abc12345: “install pytest”",
    ]


def test_what_stood_there_before_us_or_came_by_another_hand_is_listed_apart(story, ask):
    story.granted(D)
    story.firewall.append("evil.example")
    story.observed()
    assert [line for line in ask(story, "net") if line.startswith("not ours: ")] == [
        f"not ours: {BEFORE}, since {story.where('alias.written')}: it was there when the alias was first read",
        f"not ours: evil.example, since {story.where('alias.observed')}: somebody else put it there",
    ]


def test_at_a_time_only_what_was_recorded_by_then_counts(story, ask):
    story.later(MINUTE_MS).granted(D)
    first_ms = story.at_ms
    story.later(MINUTE_MS).asked(F).press(F).opened(F)
    second_ms = story.at_ms
    story.later(MINUTE_MS).post(f"@claude revoke {D}").opened()
    assert opened(ask(story, "net", "--at", str(first_ms))) == {D: "open"}
    assert opened(ask(story, "net", "--at", str(second_ms))) == {D: "open", F: "open"}
    assert opened(ask(story, "net")) == {F: "open"}


@pytest.mark.parametrize(
    "written",
    [
        "2023-11-14T22:30:00.000Z",
        "2023-11-14T22:30",
        "2023-11-14 22:30:00",
        "2023-11-14T23:30:00+01:00",
        "1700001000000",
    ],
)
def test_a_time_is_iso_8601_or_milliseconds_and_utc_without_a_zone(story, ask, written):
    story.granted(D).later(HOUR_MS).post(f"@claude revoke {D}").opened()
    lines = ask(story, "net", "--at", written)
    assert lines[0].startswith(f"The alias {ALIAS} at 2023-11-14T22:30:00.000Z, as recorded up to seq ")
    assert opened(lines) == {D: "open"}


def test_an_event_of_that_very_millisecond_counts(story, ask):
    story.asked(D).press(D).written().applied()
    saved = story.time_of("alias.written")
    assert opened(ask(story, "net", "--at", saved))[D] == "not open: saved, the firewall has yet to load it"
    assert opened(ask(story, "net", "--at", story.time_of("alias.applied"))) == {D: "open"}


def test_before_the_alias_was_ever_recorded_nothing_is_known(story, ask):
    story.granted(D)
    assert ask(story, "net", "--at", "2020-01-01") == [
        f"Of the alias {ALIAS} nothing was recorded yet at 2020-01-01T00:00:00.000Z."
    ]


def test_without_a_grant_it_says_so_and_that_the_alias_was_not_read(story, ask):
    story.configured()
    assert ask(story, "net")[2:] == [
        "Nothing was open by a decision.",
        "Not ours: unknown, the alias had not been read with a write or a look yet.",
    ]


def test_an_alias_of_ours_alone_has_nothing_else(story, ask):
    story.firewall.clear()
    assert ask(story.granted(D), "net")[-1] == "Not ours: nothing."


def test_what_is_withdrawn_is_told_apart_with_who_had_allowed_it(story, ask):
    story.granted(D).observed(turned(D)).opened()
    lines = ask(story, "net")
    assert opened(lines) == {}
    assert lines[3] == (
        f"withdrawn: {D} since seq {story.seq_of('alias.observed')} ({story.time_of('alias.observed')}):"
        " it leads to an address that is not public (10.0.0.5); @james had allowed it via button"
    )


def test_what_is_being_taken_out_may_still_be_open(story, ask):
    story.granted(D).post(f"@claude revoke {D}")
    assert f"closing: {D}, which no decision holds any more" in ask(story, "net")


def test_a_grant_of_somebody_elses_entry_is_not_by_our_hand(story, ask):
    story.firewall.append(D)
    lines = ask(story.granted(D), "net")
    assert opened(lines) == {D: "open, not by our hand"}
    assert not any(line.startswith(f"not ours: {D}") for line in lines)


def test_an_unreadable_table_leaves_it_unconfirmed(story, ask):
    story.asked(D).press(D).written().applied("unknown")
    assert opened(ask(story, "net")) == {D: "open, not confirmed"}


def test_a_grant_whose_time_was_over_and_not_yet_closed_is_marked(story, ask):
    story.asked(D).press(D, "hour").opened(D)
    after_ms = story.grant(D).until_ms + 1
    assert "(over)" in "".join(ask(story, "net", "--at", str(after_ms)))
    assert "(over)" not in "".join(ask(story, "net"))


def test_a_grant_for_one_session_says_which(story, ask):
    story.asked(D).press(D, "session").opened(D)
    assert "while session abc12345 lasts" in "".join(ask(story, "net"))


def test_what_nobody_had_asked_for_says_so(story, ask):
    story.post(f"@claude approve {D}").opened(D)
    assert cells(rows(ask(story, "net"))[0])[-1] == "@james, nobody had asked"


def test_what_keeps_the_alias_from_working_is_said(story, ask):
    story.asked(D).press(D).alias_failed()
    lines = ask(story, "net")
    assert opened(lines) == {D: "not open: our API user lacks a privilege at OPNsense"}
    assert lines[-1] == "Nothing more was written for now: our API user lacks a privilege at OPNsense."


def test_trouble_an_odd_table_and_a_quarantine_are_said(story, ask):
    story.granted(D).observed(refused="is_peer", address="192.0.2.9") >> e.AliasTroubled(
        "alias_disabled", "no"
    )
    story.record(streams.alias(ALIAS), e.StreamQuarantined("test", 1))
    assert ask(story, "net")[-3:] == [
        "The alias itself could not work: the alias is disabled in OPNsense.",
        "The firewall's table held 192.0.2.9, which may not be open and which no name explains.",
        f"The stream is quarantined since {story.where('stream.quarantined')}: nothing is written.",
    ]


def test_each_alias_of_a_journal_is_listed(story, ask):
    story.granted(D)
    story.record(streams.alias("other"), e.AliasObserved((F,), (), None))
    heads = [line for line in ask(story, "net") if line.startswith("The alias ")]
    assert [head.split()[2] for head in heads] == [ALIAS, "other"]


def test_it_reads_beside_a_service_that_writes(path, story, capsys):
    """The service has the journal open and its last events in the WAL alone."""
    import asyncio

    async def beside() -> None:
        async with InlineSqliteJournal.open(path) as journal:
            await play(journal, story.granted(D).tape)
            assert (path.parent / "journal.db-wal").stat().st_size
            assert await asyncio.to_thread(run, [str(path), "net"]) == 0

    asyncio.run(beside())
    assert opened(capsys.readouterr().out.splitlines()) == {D: "open"}


# --- what can't be answered ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["net", "pypi.org"], "`net` takes no further argument but `--at TIME`"),
        (["net", "--at", "yesterday"], "'yesterday' is no time. Write it as in"),
        (["net", "--at", "2023-13-01"], "is no time"),
        (["net", "--at", "9" * 30], "is no time"),
        (["net", "--at", "1969-12-31"], "is no time"),
        (["net", "--at", ""], "is no time"),
        (["why"], "Name the domain"),
        (["why", "."], "Name the domain"),
        (["why", "pypi.org", "--at", "2023-11-14"], "`--at` goes with `net` alone"),
        (["sessions", "--at", "2023-11-14"], "`--at` goes with `net` alone"),
    ],
)
def test_what_is_asked_wrongly_is_exit_two_with_a_sentence(path, capsys, arguments, said):
    keep(path, Story().ready().tape)
    assert run([str(path), *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("question", [["why", "pypi.org"], ["net"]])
def test_a_file_that_is_not_there_is_no_empty_journal(path, capsys, question):
    assert run([str(path), *question]) == 2
    assert "There is no journal at" in capsys.readouterr().err
    assert not path.exists()


# --- times --------------------------------------------------------------------------------------------------------------


def test_times_are_utc_to_the_millisecond():
    assert times.utc(1_700_000_000_007) == "2023-11-14T22:13:20.007Z"
    assert times.utc(0) == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize("time_ms", [0, 1, 1_700_000_000_007, 253_402_300_799_999])
def test_a_time_that_was_written_is_read_again(time_ms):
    assert times.parsed(times.utc(time_ms)) == time_ms
    assert times.parsed(str(time_ms)) == time_ms


@pytest.mark.parametrize("written", ["0001-01-01T00:00+23:59", "9999-12-31T23:59:59-23:59", "٣", "1e3", "-1"])
def test_a_time_out_of_bounds_is_an_error_not_a_crash(written):
    with pytest.raises(ReplayError, match="is no time"):
        times.parsed(written)
