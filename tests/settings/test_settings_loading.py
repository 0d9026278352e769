"""The settings as a whole: each variable, its default, and what is said when one can't be used."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from settings_kit import GOOD, only_problem

from sm.settings import VARIABLES, HostPort, Settings, SettingsError, load

SPECIFIED = {
    "SM_MATTERMOST_URL": None,
    "SM_MATTERMOST_TOKEN": None,
    "SM_VM_HOST": None,
    "SM_VM_USER": "claude",
    "SM_VM_SSH_KEY": None,
    "SM_VM_SSH_KEY_PATH": "/secrets/ssh/id_ed25519",
    "SM_CONTAINER_RUNTIME": "podman",
    "SM_CONTAINER_NETWORK": "isolated",
    "SM_CONTAINER_IMAGE": "claude-code:latest",
    "SM_OPNSENSE_URL": None,
    "SM_OPNSENSE_KEY": None,
    "SM_OPNSENSE_SECRET": None,
    "SM_OPNSENSE_ALIAS": "llm_approved_domains",
    "SM_REPOS_BASE_PATH": "/home/claude/repos",
    "SM_WORKTREES_PATH": "/home/claude/worktrees",
    "SM_AUTO_PULL": "false",
    "SM_PROJECTS": "{}",
    "SM_GIT_BASE_URL": "https://github.com",
    "SM_DEFAULT_ORG": None,
    "SM_CALLBACK_URL": "http://session-manager:8000/callback",
    "SM_LISTEN_ADDR": "0.0.0.0:8000",
    "SM_JOURNAL": "/var/lib/session-manager/journal.db",
    "SM_SESSIONS_PATH": "/home/claude/sessions",
    "SM_CALLBACK_SECRET": None,
    "SM_VM_HOST_KEY": None,
    "SM_VM_KNOWN_HOSTS": None,
    "SM_CA_FILE": None,
    "SM_OPNSENSE_FINGERPRINT": None,
    "SM_PERMISSION_MODE": "bypassPermissions",
    "SM_RESOLVER": None,
    "SM_DOMAIN_SETS": "{}",
    "SM_APPROVERS": None,
    "SM_APPROVE_OWN": "true",
    "SM_APPROVAL_STRONG": "false",
    "SM_APPROVAL_REMIND": "1h",
    "SM_APPROVAL_TTL": "24h",
    "SM_APPROVAL_MAX_PENDING": "20",
    "SM_APPROVAL_CHANNEL": None,
    "SM_AUDIT_CHANNEL": None,
    "SM_RECONCILE_INTERVAL": "5m",
}


def test_the_table_holds_every_specified_variable_with_its_default() -> None:
    assert {variable.name: variable.default for variable in VARIABLES} == SPECIFIED


def test_each_variable_is_a_field_of_the_settings() -> None:
    fields = {field.name for field in attrs.fields(Settings)} - {"given"}
    assert fields == {variable.field for variable in VARIABLES}


def test_the_six_required_variables_are_enough_with_a_key() -> None:
    settings = load(GOOD)
    assert settings.vm_host == HostPort("192.168.12.10", 22)
    assert settings.listen_addr == HostPort("0.0.0.0", 8000)
    assert settings.vm_user == "claude"
    assert settings.auto_pull is False
    assert settings.projects == {}
    assert settings.callback_path == "/callback"
    assert settings.journal == Path("/var/lib/session-manager/journal.db")


def test_everything_that_is_wrong_is_in_one_message_with_how_to_mend_it() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"SM_CONTAINER_RUNTIME": "dokcer", "SM_OPNSENSE_ALIAS": "no-dash", "SM_VM_HOTS": "x"})
    message = str(caught.value)
    for name in (
        "MATTERMOST_URL",
        "MATTERMOST_TOKEN",
        "VM_HOST",
        "OPNSENSE_URL",
        "OPNSENSE_KEY",
        "OPNSENSE_SECRET",
    ):
        assert f"SM_{name} is missing: set it to" in message
    assert "SM_CONTAINER_RUNTIME is not podman or docker: set it to podman or docker." in message
    assert "SM_OPNSENSE_ALIAS is not a name that OPNsense allows" in message
    assert "SM_VM_SSH_KEY is missing, and SM_VM_SSH_KEY_PATH" in message
    assert "SM_VM_HOTS is not a setting: did you mean SM_VM_HOST?" in message
    assert len(caught.value.problems) == 10
    assert SettingsError.exit_status == 2


def test_an_empty_value_counts_as_unset() -> None:
    assert load({**GOOD, "SM_VM_USER": "", "SM_PROJECTS": " "}).vm_user == "claude"
    assert "SM_VM_HOST is missing" in only_problem(SM_VM_HOST=" ")


def test_a_line_end_around_a_value_is_dropped() -> None:
    assert load({**GOOD, "SM_MATTERMOST_TOKEN": "abcdefgh\n"}).mattermost_token == "abcdefgh"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("SM_PERMISSION_MODE", "default", "comes with permission cards"),
    ],
)
def test_a_setting_whose_feature_is_not_there_is_refused_with_that_reason(
    name: str, text: str, reason: str
) -> None:
    problem = only_problem(**{name: text})
    assert reason in problem
    assert "unset it" in problem


@pytest.mark.parametrize(
    ("text", "on"), [("true", True), ("TRUE", True), ("1", True), ("yes", True), ("no", False)]
)
def test_auto_pull_is_on_or_off(text: str, on: bool) -> None:
    assert load({**GOOD, "SM_AUTO_PULL": text}).auto_pull is on


def test_auto_pull_is_nothing_between() -> None:
    assert only_problem(SM_AUTO_PULL="maybe") == "SM_AUTO_PULL is not true or false: set it to true or false."


def test_an_unknown_variable_far_from_any_is_to_be_unset() -> None:
    assert only_problem(SM_Q="x") == "SM_Q is not a setting: unset it."


def test_a_variable_of_kubernetes_is_explained() -> None:
    assert "enableServiceLinks" in only_problem(SM_SERVICE_HOST="10.0.0.1")


def test_what_is_in_force_is_printed_a_line_a_variable_and_then_the_warnings() -> None:
    lines = load({**GOOD, "SM_OPNSENSE_URL": "http://opnsense.example.com"}).printed().splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [variable.name for variable in VARIABLES]
    assert lines[0].split() == ["SM_MATTERMOST_URL", "https://mattermost.example.com", "environment"]
    assert lines[-1].startswith("⚠️ SM_OPNSENSE_URL is plain http")
