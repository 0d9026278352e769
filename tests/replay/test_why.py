"""sm-replay why: from the alias's entry to what the agent wanted it for, and why a domain is not open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from core.playbook import ALIAS, BEFORE, OTHER, PYTHON, SESSION, assistant, found, nowhere, tool_use, turned

from sm.core import events as e
from sm.core import streams
from sm.journal.sqlite import InlineSqliteJournal
from sm.replay.cli import run

from .story_kit import HOUR_MS, Story, asking, keep

D, F = "pypi.org", "files.example"


@pytest.fixture
def story() -> Story:
    """A ready session whose agent runs a command."""
    return Story().ready().agent(tool_use(command="pip install pytest"))


@pytest.fixture
def ask(path, capsys):
    return asking(path, capsys)


def labelled(lines: list[str], label: str) -> list[str]:
    """The lines of one label, without it; those that go on without one are left out."""
    return [line[10:] for line in lines if line.startswith(f"  {label} ")]


# --- the chain ----------------------------------------------------------------------------------------------------------


def test_why_leads_from_the_entry_over_grant_and_card_to_who_and_what_for(story, ask):
    story.asked(D, reason="install pytest").press(D, user="sarah").opened(D)
    written = f"seq {story.seq_of('alias.written')}, {story.time_of('alias.written')}"
    card, request, grant = story.card(D).card_id, story.request(D).request_id, story.grant(D).grant_id
    line, who = (
        story.seq_of("agent.line_received"),
        f"session {SESSION} on acme/webapp, started by @james (u-james)",
    )
    lines = ask(story, "why", D)
    assert lines == [
        f"{D} is open: the alias {ALIAS} holds it, by our hand.",
        f"The alias {ALIAS} as last read on record ({written}): 2 entries, this name is one of them.",
        "",
        f"Grant {grant}, until revoked: it holds",
        f"  entry   {story.stamp('alias.written')}written by us into the alias, and read back; it led to 203.0.113.74",
        f"  entry   {story.stamp('alias.applied')}the firewall loaded it: its table has the addresses",
        f"  grant   {story.stamp('network.decided')}{grant} of {D}, until revoked",
        f"  grant   {story.stamp('alias.written')}held: the alias was read back with it",
        f"  card    {story.stamp('network.requested')}{card}, request {request} for {D}",
        f"  card    {story.stamp('card.resolved')}its name led to 203.0.113.74",
        f"  card    {story.stamp('card.posted')}posted as post-of-{card} in channel ch1",
        f"  decided {story.stamp('network.decided')}@sarah (u-sarah), via button on {card} in channel ch1: approve",
        f"  wanted  {story.stamp('network.requested')}{who}, asked at seq {line}",
        f"          {story.stamp('network.requested')}reason, in the agent's own words: “install pytest”",
        f"          {story.stamp('network.requested')}the agent was at: “pip install pytest”",
        f"  request {story.stamp('network.decided')}allowed ({grant})",
        f"  request {story.stamp('alias.applied')}open",
        f"  request {story.stamp('network.tried')}a container reached it",
        f"  request {story.stamp('network.tried')}session abc12345 was told: approved",
    ]


def test_every_grant_that_a_domain_had_is_told_the_last_first(story, ask):
    story.granted(D).post(f"@claude revoke {D}", user="sarah").opened()
    story.asked(D).react(D, user="sarah").opened(D)
    first, second = [r.seq for r in story.history if r.event.KIND == "network.decided" and not r.event.names]
    lines = ask(story, "why", D)
    assert [line for line in lines if line.startswith("Grant ")] == [
        f"Grant g{second}x0, until revoked: it holds",
        f"Grant g{first}x0, until revoked: revoked by @sarah (u-sarah), via command in channel ch1",
    ]
    assert "via reaction" in labelled(lines, "decided")[0]
    assert any(
        "taken out of the alias by us, and read back without it" in one for one in labelled(lines, "entry")
    )


def test_who_revoked_it_is_said_where_it_is_open_no_more(story, ask):
    story.granted(D).post(f"@claude revoke {D}", user="sarah").opened()
    assert ask(story, "why", D)[0] == (
        f"{D} is not open: revoked by @sarah (u-sarah), via command in channel ch1."
    )


def test_what_is_forgotten_by_the_rules_is_still_told(story, ask):
    story.asked(D, F).press(D, "session").opened(D).press(F, "deny")
    story.stopped().opened()
    assert not story.alias.requests
    lines = ask(story, "why", D)
    assert lines[0] == f"{D} is not open: ended with session abc12345."
    assert "pip install pytest" in "".join(lines)
    assert (
        ask(story, "why", F)[0] == f"{F} is not open: denied by @james (u-james), via button in channel ch1."
    )


def test_another_session_that_has_it_by_the_same_decision_is_named(story, ask):
    story.granted(D).second().says(f"[NETWORK_REQUEST: {D} — build the docs]").tried(D)
    lines = ask(story, "why", D)
    assert len([line for line in lines if line.startswith("Grant ")]) == 1
    (also,) = labelled(lines, "also")
    assert f"session {OTHER} on acme/other" in also
    assert any("build the docs" in line for line in lines)
    assert any(f"open by the decision of before ({story.grant(D).grant_id})" in line for line in lines)


def test_an_approval_by_command_of_what_nobody_asked_for_is_one_persons(story, ask):
    story.post(f"@claude approve {D}").opened(D)
    (wanted,) = labelled(ask(story, "why", D), "wanted")
    assert wanted.endswith("no session asked: request and decision are both of @james (u-james), by command")


def test_a_name_that_came_with_a_set_says_so(story, ask):
    story.configured(sets=(PYTHON,))
    story.asked(D).press(D, "set", request_id=f"set:{PYTHON.name}").opened(*PYTHON.domains)
    (wanted,) = labelled(ask(story, "why", PYTHON.domains[1]), "wanted")
    assert "came with the set python, which @james (u-james) chose on the card" in wanted


def test_how_long_it_holds_is_said_and_that_its_time_was_over(story, ask):
    story.asked(D).press(D, "hour").opened(D)
    story.later(HOUR_MS).alias_timer(f"grant:{story.grant(D).grant_id}").opened()
    lines = ask(story, "why", D)
    assert lines[0] == f"{D} is not open: expired: its time was over."
    assert "until 2023-11-14T23:" in next(line for line in lines if line.startswith("Grant "))


def test_a_copy_of_the_card_is_told_with_its_channel(story, ask):
    story.configured(approval_channel="boss")
    story.asked(D).card_posted(D, copy=True)
    assert labelled(ask(story, "why", D), "card")[-1].endswith(
        f"its copy posted as copy-of-{story.card(D).card_id} in channel boss"
    )


# --- not open -----------------------------------------------------------------------------------------------------------


def test_a_denial_has_who_and_the_reason_that_came_later(story, ask):
    story.asked(D).press(D, "deny", user="sarah").post(f"@claude deny {D} we have a mirror", user="sarah")
    lines = ask(story, "why", D)
    assert lines[0] == (
        f"{D} is not open: denied by @sarah (u-sarah), via button in channel ch1, “we have a mirror”"
        " (the reason came later)."
    )
    assert lines[3].startswith(f"Request {story.request(D).request_id}: denied by @sarah")
    assert any("was told: denied: “we have a mirror”" in line for line in lines)


def test_what_nobody_has_decided_yet_waits(story, ask):
    story.asked(D)
    lines = ask(story, "why", D)
    assert lines[0] == f"{D} is not open: it was asked for, and nobody has decided yet."
    assert lines[1] == f"The alias {ALIAS} was never read, as far as this journal goes."


def test_what_nobody_answered_in_time_is_expired(story, ask):
    story.asked(D).alias_timer(f"expire:{story.card(D).card_id}")
    assert ask(story, "why", D)[0] == f"{D} is not open: expired: nobody answered in time."


def test_a_session_that_ended_takes_its_question_with_it(story, ask):
    story.asked(D).stopped()
    assert ask(story, "why", D)[0] == f"{D} is not open: superseded: the session was over."


def test_a_name_that_led_where_nothing_may_be_opened_had_no_card(story, ask):
    story.says(f"[NETWORK_REQUEST: {D}]").resolved(turned(D, "169.254.169.254"))
    assert ask(story, "why", D)[0] == (
        f"{D} is not open: refused: it leads to an address that is not public (169.254.169.254)."
    )


def test_a_name_that_turned_is_withdrawn_with_the_address(story, ask):
    story.granted(D).observed(turned(D, "10.0.0.5")).opened()
    lines = ask(story, "why", D)
    assert lines[0] == (
        f"{D} is not open: withdrawn: it leads to an address that is not public (10.0.0.5). It needs a new decision."
    )


def test_what_an_administrator_took_out_is_withdrawn(story, ask):
    story.granted(D)
    story.firewall.remove(D)
    story.observed()
    lines = ask(story, "why", D)
    assert lines[0] == (
        f"{D} is not open: withdrawn: somebody took it out of the alias at the firewall. It needs a new decision."
    )
    assert labelled(lines, "entry")[-1].endswith(
        "missing from the alias when it was read: somebody took it out"
    )


def test_while_it_is_taken_out_it_may_still_be_open(story, ask):
    story.granted(D).post(f"@claude revoke {D}")
    assert (
        ask(story, "why", D)[0] == f"{D} is no longer allowed; it is being taken out, and may still be open."
    )


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (lambda s: s, "the write is under way"),
        (lambda s: s.alias_failed(code="forbidden"), "our API user lacks a privilege at OPNsense"),
        (lambda s: s.written(nowhere(D)), "the name has no address, or the resolver did not answer"),
        (lambda s: s.written(), "saved, the firewall has yet to load it"),
        (lambda s: s.written().applied("unseen"), "saved, but the firewall's table shows no address of it"),
    ],
    ids=["under way", "refused", "unresolved", "saved", "unseen"],
)
def test_what_is_allowed_and_not_open_says_why(story, ask, happens, why):
    happens(story.asked(D).press(D))
    assert ask(story, "why", D)[0] == f"{D} is allowed, but not open: {why}."


def test_what_failed_and_was_then_opened_has_both(story, ask):
    story.asked(D).press(D).alias_failed().press(D, "retry").opened(D)
    lines = labelled(ask(story, "why", D), "request")
    assert [line.split("  ")[-1] for line in lines] == [
        f"allowed ({story.grant(D).grant_id})",
        "allowed, but not open: our API user lacks a privilege at OPNsense",
        "to be opened once more",
        "open",
        "a container reached it",
        "session abc12345 was told: approved",
    ]


def test_a_table_that_cannot_be_read_leaves_it_unconfirmed(story, ask):
    story.asked(D).press(D).written().applied("unknown").tried(D, "unreachable")
    lines = ask(story, "why", D)
    assert lines[0].endswith("by our hand. The firewall's table can't be read.")
    assert any("was told: approved, not reachable yet" in line for line in lines)


def test_a_write_in_doubt_that_never_got_in_is_told(story, ask):
    story.asked(D).press(D).read().alias_failed()
    story.observed()
    entries = labelled(ask(story, "why", D), "entry")
    assert "in doubt: OPNsense refused (forbidden), perhaps behind the write" in entries[0]
    assert "the write in doubt never got in" in entries[1]


def test_an_alias_in_trouble_and_a_stopped_stream_are_said(story, ask):
    story.granted(D) >> e.AliasTroubled("alias_disabled", "no")
    story.record(streams.alias(ALIAS), e.StreamQuarantined("test", 1))
    assert ask(story, "why", D)[0].endswith(
        "The alias itself can't work: the alias is disabled in OPNsense. No write goes out: the alias's stream is"
        " quarantined."
    )


def test_a_request_to_a_stopped_stream_is_a_refusal(story, ask):
    story.configured().record(streams.alias(ALIAS), e.StreamQuarantined("test", 1)).says(
        f"[NETWORK_REQUEST: {D}]"
    )
    lines = ask(story, "why", D)
    assert "refused by a rule, without a card: approvals are closed" in lines[0]
    assert any(line.endswith("there was none") for line in lines)


def test_what_was_asked_again_after_a_denial_has_the_rules_answer(story, ask):
    story.asked(D).press(D, "deny").says(f"[NETWORK_REQUEST: {D}]")
    lines = ask(story, "why", D)
    requests = [line for line in lines if line.startswith("Request ")]
    assert "refused by a rule, without a card: it was denied in this session" in requests[0]
    assert "denied by @james" in requests[1]


def test_what_was_asked_again_while_its_card_waits_is_told(story, ask):
    story.asked(D).says(f"[NETWORK_REQUEST: {D}]")
    assert any(
        "asked again, no new card: its card was waiting already" in line for line in ask(story, "why", D)
    )


# --- whose it is --------------------------------------------------------------------------------------------------------


def test_what_stood_in_the_alias_before_us_is_not_ours(story, ask):
    story.granted(D)
    lines = ask(story, "why", BEFORE)
    assert lines[0] == (
        f"{BEFORE} stands in the alias {ALIAS}, but not by our hand: no decision here holds it, and it is never taken"
        " out."
    )
    assert labelled(lines, "alias") == [
        f"{story.stamp('alias.written')}stands in the alias, not ours: it was there when the alias was first read"
    ]


def test_what_an_administrator_added_and_took_back_is_told(story, ask):
    story.granted(D)
    story.firewall.append("evil.example")
    story.observed()
    story.firewall.remove("evil.example")
    story.observed()
    lines = ask(story, "why", "evil.example")
    assert lines[0] == "evil.example is not open: no decision holds it."
    assert [one.split("  ")[-1] for one in labelled(lines, "alias")] == [
        "does not stand there by another hand any more",
        "stands in the alias, not ours: somebody else put it there",
    ]


def test_a_grant_of_what_was_there_before_stays_somebody_elses(story, ask):
    story.firewall.append(D)
    story.granted(D)
    lines = ask(story, "why", D)
    assert lines[0] == (
        f"{D} is open: the alias {ALIAS} holds it, but not by our hand: it stood there before."
    )
    assert "not ours: it stood there before" in labelled(lines, "entry")[0]


def test_revoked_but_foreign_remains_in_the_alias(story, ask):
    story.firewall.append(D)
    story.granted(D).post(f"@claude revoke {D}")
    lines = ask(story, "why", D)
    assert lines[0].startswith(f"{D} stands in the alias {ALIAS}, but not by our hand")
    assert labelled(lines, "entry")[-1].endswith("it stays in the alias, for it is not ours")


# --- how it is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["PyPI.org", "pypi.org.", " pypi.org "])
def test_a_name_is_found_in_any_case_and_with_a_dot_behind(story, ask, name):
    story.granted(D)
    assert ask(story, "why", name)[0].startswith("pypi.org is open")


def test_a_name_is_found_by_its_unicode_form(path, story, ask):
    asked = e.Ask("r1x0", "xn--mnchen-3ya.example", warning="unicode", shown="münchen.example")
    story >> e.NetworkRequested(SESSION, "ch1", (asked,), user_name="james", user_id="u-james")
    lines = ask(story, "why", "MÜNCHEN.example")
    assert lines[0].startswith("xn--mnchen-3ya.example is not open")
    assert any("warning: it has characters outside of ASCII" in line for line in lines)


def test_a_name_that_nobody_asked_for_is_answered_with_names_like_it(story, ask):
    story.granted(D)
    lines = ask(story, "why", "files.pypi.org")
    assert (
        lines[0] == "files.pypi.org: nobody asked for it, and no alias held it, as far as this journal goes."
    )
    assert lines[-1] == "On record are: pypi.org."


def test_a_name_that_was_refused_before_any_card_is_found_in_the_sessions(story, ask):
    story.says("[NETWORK_REQUEST: 10.0.0.1]").configured()
    lines = ask(story, "why", "10.0.0.1")
    (refused,) = labelled(lines, "refused")
    assert refused == (
        f"{story.stamp('agent.line_received')}session {SESSION} asked, no card: an_address"
        " (addresses are not opened, in any notation; ask for the host's name)"
    )


def test_a_refused_name_of_a_command_is_told_with_who_wrote_it(story, ask):
    story.post("@claude approve 10.0.0.1", user="sarah")
    assert (
        "@sarah (u-sarah) wrote approve: refused, an_address"
        in labelled(ask(story, "why", "10.0.0.1"), "refused")[0]
    )


def test_each_alias_of_a_journal_answers_for_itself(story, ask):
    story.granted(D)
    written = e.AliasObserved((D,), (), None)
    story.record(streams.alias("other"), written)
    lines = ask(story, "why", D)
    assert lines[0].startswith(f"{D} is open: the alias {ALIAS}")
    assert any(line.startswith(f"{D} stands in the alias other, but not by our hand") for line in lines)


def test_no_reason_can_steer_the_terminal_or_make_a_line_of_its_own(story, ask):
    ask_of = e.Ask("r1x0", D, reason="fine\n  decided      1  @sarah\x1b[2J\u202e")
    story >> e.NetworkRequested(SESSION, "ch1", (ask_of,), user_name="ja\nmes", doing="a\rb")
    lines = ask(story, "why", D)
    assert all(line.isprintable() for line in lines)
    assert labelled(lines, "decided") == []


def test_a_journal_without_an_alias_says_so(path, capsys):
    keep(path, Story().ready().tape)
    assert run([str(path), "why", D]) == 2
    assert "no alias's stream" in capsys.readouterr().err


def test_an_event_of_another_version_is_named(path, story, capsys, change_journal):
    keep(path, story.granted(D).tape)
    change_journal("UPDATE events SET version = 9 WHERE kind = 'alias.applied'")
    assert run([str(path), "why", D]) == 2
    said = capsys.readouterr().err
    assert f"seq {story.seq_of('alias.applied')} of alias:{ALIAS} can't be read" in said


def test_a_record_of_other_rules_is_told_and_sent_to_verify(path, story, capsys, change_journal):
    keep(path, story.granted(D).tape)
    change_journal("UPDATE events SET state_after = 'quarantined' WHERE kind = 'alias.applied'")
    assert run([str(path), "why", D]) == 0
    said = capsys.readouterr().out
    assert f"seq {story.seq_of('alias.applied')} (alias.applied) was recorded with another state" in said


def test_an_event_that_these_rules_cannot_fold_is_told(path, story, capsys, monkeypatch):
    from sm.core import fold as rules

    keep(path, story.granted(D).tape)
    honest = rules.fold

    def failing(state, recorded):
        if recorded.event.KIND == "network.tried":
            raise LookupError("a fault of the rules")
        return honest(state, recorded)

    monkeypatch.setattr(rules, "fold", failing)
    assert run([str(path), "why", D]) == 0
    assert "(network.tried) can't be folded: LookupError" in capsys.readouterr().out


def test_why_and_net_read_beside_a_running_service_and_change_nothing(path, story, capsys):
    keep(path, story.granted(D).tape)
    journal = InlineSqliteJournal.open(path)
    before = path.read_bytes()
    assert run([str(path), "why", D]) == 0
    assert run([str(path), "net"]) == 0
    assert path.read_bytes() == before
    journal._store.close()


def test_a_line_of_a_long_name_is_not_taken_for_the_name(story, ask):
    """The journal is searched by text first; the verdict decides."""
    story.configured().agent(assistant("see 10.0.0.1"))
    assert labelled(ask(story, "why", "10.0.0.1"), "refused") == []
    assert json.dumps("10.0.0.1") not in "".join(ask(story, "why", "10.0.0.1"))


def test_found_addresses_of_a_later_look_are_told(story, ask):
    story.granted(D).observed(found(D, "203.0.113.9"), found(F))
    story.firewall.append("x.example")
    story.observed(found(D, "203.0.113.9"))
    assert "leads to 203.0.113.9 now" in labelled(ask(story, "why", D), "entry")[-1]


def test_the_readme_shows_what_why_answers(story, ask):
    story.granted(D).post(f"@claude revoke {D}", user="sarah").opened()
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shown = readme.partition(f"```\n{D} is not open")[2].partition("  …\n```")[0]
    assert f"{D} is not open{shown}".splitlines() == ask(story, "why", D)[:5]
