"""Settings of requests and approvals: who decides, how long, which hosts belong together, who resolves names."""

from __future__ import annotations

import json

import pytest
from settings_kit import GOOD, only_problem, problems

from sm.engine.domain_sets import SHIPPED
from sm.settings import load

CHANNEL = "ybndrfg8ejkmcpqxot1uwisza3"


def test_without_a_word_every_member_decides_and_nothing_is_sent_elsewhere() -> None:
    settings = load(GOOD)
    assert settings.approvers == ()
    assert settings.approve_own is True
    assert settings.approval_strong is False
    assert (settings.approval_remind_s, settings.approval_ttl_s) == (3600, 86400)
    assert settings.approval_max_pending == 20
    assert (settings.approval_channel, settings.audit_channel, settings.resolver) == (None, None, None)
    assert settings.reconcile_interval_s == 300
    assert settings.domain_sets == {}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("24h", 86400),
        ("24H", 86400),
        ("1d", 86400),
        ("1 d", 86400),
        ("30d", 2_592_000),
    ],
)
def test_a_duration_is_a_number_with_or_without_a_unit(text: str, seconds: int) -> None:
    assert load({**GOOD, "SM_APPROVAL_TTL": text}).approval_ttl_s == seconds


@pytest.mark.parametrize(
    "text", ["h", "1w", "1h30m", "-1", "+1", "1.5h", "1_0", "١", "five minutes", "1" * 10, "∞"]
)
@pytest.mark.parametrize("name", ["SM_APPROVAL_REMIND", "SM_APPROVAL_TTL", "SM_RECONCILE_INTERVAL"])
def test_a_duration_of_another_shape_is_a_problem(name: str, text: str) -> None:
    assert (
        only_problem(**{name: text}) == f"{name} is not a duration: set it to one such as 90s, 5m, 24h or 1d."
    )


@pytest.mark.parametrize(
    ("name", "text", "longest"),
    [
        ("SM_APPROVAL_REMIND", "31d", "30d"),
        ("SM_APPROVAL_TTL", "2592001", "30d"),
        ("SM_RECONCILE_INTERVAL", "25h", "24h"),
    ],
)
def test_a_duration_is_bounded(name: str, text: str, longest: str) -> None:
    assert only_problem(**{name: text}).startswith(f"{name} is longer than {longest}: ")


def test_only_the_reminder_can_be_never() -> None:
    assert load({**GOOD, "SM_APPROVAL_REMIND": "0"}).approval_remind_s == 0
    assert load({**GOOD, "SM_APPROVAL_REMIND": "0h"}).approval_remind_s == 0
    assert "is 0" in only_problem(SM_APPROVAL_TTL="0")
    assert "is 0" in only_problem(SM_RECONCILE_INTERVAL="0s")


@pytest.mark.parametrize("text", ["0", "101", "-1", "1.0", "many", "1" * 10])
def test_a_session_has_from_one_to_a_hundred_open_cards(text: str) -> None:
    assert only_problem(SM_APPROVAL_MAX_PENDING=text).startswith(
        "SM_APPROVAL_MAX_PENDING is not a whole number from 1 to 100"
    )
    assert load({**GOOD, "SM_APPROVAL_MAX_PENDING": "100"}).approval_max_pending == 100


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("alice", ("alice",)),
        ("@alice", ("alice",)),
        ("alice,bob", ("alice", "bob")),
        ("alice, @Bob  carol;dave", ("alice", "bob", "carol", "dave")),
        ("alice\nbob", ("alice", "bob")),
        ("alice, alice, ALICE", ("alice",)),
        (CHANNEL, (CHANNEL,)),
        ("a.b-c_d,", ("a.b-c_d",)),
    ],
)
def test_approvers_are_names_or_ids_however_they_are_parted(text: str, names: tuple[str, ...]) -> None:
    assert load({**GOOD, "SM_APPROVERS": text}).approvers == names


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (",", "names nobody"),
        ("@", 'names "", which is not a user name'),
        ("alice@example.com", 'names "alice@example.com", which is not a user name'),
        ("@@alice", 'names "@alice", which is not a user name'),
        ("alice/bob", "which is not a user name"),
        ("a" * 65, "which is not a user name"),
        ("@all", "names @all, which is no user"),
        ("alice @Channel", "names @channel, which is no user"),
        (" ".join(f"u{number}" for number in range(101)), "names more than 100 users"),
    ],
)
def test_approvers_that_are_no_users_are_a_problem_and_never_everybody(text: str, reason: str) -> None:
    assert reason in only_problem(SM_APPROVERS=text)


@pytest.mark.parametrize("name", ["SM_APPROVAL_CHANNEL", "SM_AUDIT_CHANNEL"])
def test_a_channel_is_an_id_and_not_a_name(name: str) -> None:
    assert getattr(load({**GOOD, name: CHANNEL}), name.removeprefix("SM_").lower()) == CHANNEL
    for text in ("approvals", "~approvals", CHANNEL[:25], CHANNEL + "a", CHANNEL.upper()):
        assert only_problem(**{name: text}).startswith(f"{name} is not the id of a channel")


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.168.12.1", "192.168.12.1:53"),
        ("192.168.12.1:5353", "192.168.12.1:5353"),
        ("opnsense.lan", "opnsense.lan:53"),
        ("[fd00::1]", "[fd00::1]:53"),
        ("[fd00::0001]:5353", "[fd00::1]:5353"),
    ],
)
def test_the_resolver_is_a_host_with_or_without_a_port(text: str, server: str) -> None:
    assert load({**GOOD, "SM_RESOLVER": text}).resolver == server


@pytest.mark.parametrize(
    "text", ["fd00::1", "1.2.3.4:0", "1.2.3.4:dns", "tls://1.1.1.1", "1.1.1.1 8.8.8.8", "-x"]
)
def test_a_resolver_of_another_shape_is_a_problem(text: str) -> None:
    assert only_problem(SM_RESOLVER=text).startswith("SM_RESOLVER ")


def test_sets_are_names_with_their_hosts() -> None:
    text = '{"python": ["pypi.org", "files.pythonhosted.org", "PyPI.org."], "our-tools_1": ["x.example.com"], "npm": []}'
    settings = load({**GOOD, "SM_DOMAIN_SETS": text})
    assert settings.domain_sets == {
        "python": ("pypi.org", "files.pythonhosted.org"),
        "our-tools_1": ("x.example.com",),
        "npm": (),
    }
    assert '"our-tools_1": ["x.example.com"]' in settings.printed()


@pytest.mark.parametrize("text", ["{", "[]", "true", '"x"', "[" * 60_000, '[["a",["b.example"]]]'])
def test_sets_that_are_no_json_object_are_a_problem(text: str) -> None:
    assert only_problem(SM_DOMAIN_SETS=text).startswith("SM_DOMAIN_SETS is not ")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pypi.org", "is not one word in lower case"),
        ("Python", "is not one word in lower case"),
        ("1h", "is not one word in lower case"),
        ("-x", "is not one word in lower case"),
        ("two words", "is not one word in lower case"),
        ("", "is not one word in lower case"),
        ("a" * 33, "is not one word in lower case"),
        ("pythön", "is not one word in lower case"),
        ("session", "says something else behind `approve`"),
        ("hour", "says something else behind `approve`"),
        ("mine", 'names the set "mine" twice'),
    ],
)
def test_a_sets_name_is_one_word_that_no_host_can_be(name: str, reason: str) -> None:
    text = f'{{"mine": ["a.example.com"], "{name}": ["b.example.com"]}}'
    assert reason in only_problem(SM_DOMAIN_SETS=text)


@pytest.mark.parametrize(
    ("hosts", "reason"),
    [
        ("pypi.org", 'has no list of hosts for the set "x"'),
        ({"pypi.org": 1}, 'has no list of hosts for the set "x"'),
        ([7], "has something other than a text among the hosts"),
        ([["pypi.org"]], "has something other than a text among the hosts"),
        (["https://pypi.org"], 'has "https://pypi.org" in the set "x", which can\'t be opened'),
        (["*.example.com"], 'has "*.example.com" in the set "x"'),
        (["10.0.0.1"], 'has "10.0.0.1" in the set "x"'),
        (["localhost"], 'has "localhost" in the set "x"'),
        (["python"], 'has "python" in the set "x"'),
        ([""], 'has "" in the set "x"'),
        (["a\nb.example.com"], "has 'a\\nb.example.com' in the set"),
        ([f"h{number}.example.com" for number in range(21)], "has more than 20 hosts"),
    ],
)
def test_a_sets_hosts_are_hosts(hosts: object, reason: str) -> None:
    assert reason in only_problem(SM_DOMAIN_SETS=json.dumps({"x": hosts}))


def test_there_are_not_more_sets_than_a_card_could_offer() -> None:
    many = {f"s{number}": ["a.example.com"] for number in range(51)}
    assert "names more than 50 sets" in only_problem(SM_DOMAIN_SETS=json.dumps(many))
    assert "is longer than" in only_problem(SM_DOMAIN_SETS="{" + " " * 70_000 + "}")


def test_what_nobody_could_decide_is_warned_of() -> None:
    (warning,) = load({**GOOD, "SM_APPROVERS": "alice", "SM_APPROVE_OWN": "false"}).warnings()
    assert warning.startswith("SM_APPROVERS names one user and SM_APPROVE_OWN is false")
    assert load({**GOOD, "SM_APPROVERS": "alice bob", "SM_APPROVE_OWN": "false"}).warnings() == []


def test_a_reminder_that_never_comes_is_warned_of() -> None:
    (warning,) = load({**GOOD, "SM_APPROVAL_TTL": "30m"}).warnings()
    assert warning.startswith("SM_APPROVAL_REMIND is not shorter than SM_APPROVAL_TTL")
    assert load({**GOOD, "SM_APPROVAL_TTL": "30m", "SM_APPROVAL_REMIND": "0"}).warnings() == []


def test_what_is_in_force_says_units_and_what_is_not_set() -> None:
    rows = {name: value for name, value, _ in load({**GOOD, "SM_APPROVERS": "@alice bob"}).describe()}
    assert rows["SM_APPROVERS"] == "alice, bob"
    assert rows["SM_APPROVAL_TTL"] == "86400 s"
    assert rows["SM_AUDIT_CHANNEL"] == "(not set)"
    assert {name: value for name, value, _ in load(GOOD).describe()}["SM_APPROVERS"] == "(not set)"


def test_all_that_is_wrong_is_said_at_once() -> None:
    wrong = {"SM_APPROVAL_TTL": "soon", "SM_APPROVERS": "@here", "SM_DOMAIN_SETS": "[]", "SM_RESOLVER": "::1"}
    assert [problem.split()[0] for problem in problems(**wrong)] == [
        name for name, *_ in load(GOOD).describe() if name in wrong
    ]


def test_each_shipped_set_could_be_set() -> None:
    assert load({**GOOD, "SM_DOMAIN_SETS": json.dumps(dict(SHIPPED))}).domain_sets == dict(SHIPPED)
