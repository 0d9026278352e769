"""The settings: each variable, its default, and what is said when it can't be used."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import asyncssh
import attrs
import pytest

from sm.settings import VARIABLES, HostPort, Settings, SettingsError, load

KEY = asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh").decode()
PUBLIC = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode().strip()
GOOD = {
    "SM_MATTERMOST_URL": "https://mattermost.example.com",
    "SM_MATTERMOST_TOKEN": "mattermost-token-0123456789",
    "SM_VM_HOST": "192.168.12.10",
    "SM_VM_SSH_KEY": KEY,
    "SM_OPNSENSE_URL": "https://opnsense.example.com",
    "SM_OPNSENSE_KEY": "opnsense-key-0123456789",
    "SM_OPNSENSE_SECRET": "opnsense-secret-0123456789",
}
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
}


def problems(**changes: str | None) -> list[str]:
    environment = {**GOOD, **{name: text for name, text in changes.items() if text is not None}}
    for name, text in changes.items():
        if text is None:
            environment.pop(name, None)
    with pytest.raises(SettingsError) as caught:
        load(environment)
    return caught.value.problems


def only_problem(**changes: str | None) -> str:
    (problem,) = problems(**changes)
    return problem


def test_the_table_holds_every_specified_variable_with_its_default() -> None:
    assert {variable.name: variable.default for variable in VARIABLES} == SPECIFIED


def test_each_variable_is_a_field_of_the_settings() -> None:
    fields = {field.name for field in attrs.fields(Settings)} - {"given"}
    assert fields == {variable.name.removeprefix("SM_").lower() for variable in VARIABLES}


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
    ("text", "host", "port"),
    [
        ("vm", "vm", 22),
        ("vm.lan:2222", "vm.lan", 2222),
        ("192.168.12.10:22", "192.168.12.10", 22),
        ("[::1]", "::1", 22),
        ("[fe80::0001]:2222", "fe80::1", 2222),
    ],
)
def test_the_vm_is_a_host_with_or_without_a_port(text: str, host: str, port: int) -> None:
    assert load({**GOOD, "SM_VM_HOST": text}).vm_host == HostPort(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "vm:",
        "vm:0",
        "vm:65536",
        "vm:ssh",
        "::1",
        "::1:22",
        "[vm]:22",
        "[::1",
        "user@vm",
        "-oProxyCommand=x",
        "1.2.3",
        "a b",
        "v" * 300,
    ],
)
def test_a_vm_host_of_another_shape_is_a_problem(text: str) -> None:
    assert only_problem(SM_VM_HOST=text).startswith("SM_VM_HOST ")


@pytest.mark.parametrize("text", ["8000", "0.0.0.0", ":8000", "0.0.0.0:x", "0.0.0.0:99999"])
def test_a_listen_address_needs_host_and_port(text: str) -> None:
    assert only_problem(SM_LISTEN_ADDR=text).startswith("SM_LISTEN_ADDR ")


@pytest.mark.parametrize(
    "text",
    [
        "mattermost.example.com",
        "ftp://mattermost.example.com",
        "https://",
        "https://user:hunter2@mattermost.example.com",
        "https://mattermost.example.com/?token=hunter2",
        "https://mattermost.example.com/#hunter2",
        "https://mattermost.example.com/a/../b",
        "https://mattermost.example.com//a",
        "https://mattermost.example.com:0",
        "https://mattermost.example.com:x",
        "https://[::1",
        "https://a b",
    ],
)
@pytest.mark.parametrize("name", ["SM_MATTERMOST_URL", "SM_OPNSENSE_URL", "SM_CALLBACK_URL"])
def test_a_url_is_http_without_credentials_and_query_and_a_bad_one_is_not_shown(name: str, text: str) -> None:
    problem = only_problem(**{name: text})
    assert problem.startswith(f"{name} ")
    assert "hunter2" not in problem


def test_a_slash_at_the_end_of_a_url_is_dropped() -> None:
    assert (
        load({**GOOD, "SM_MATTERMOST_URL": "https://Example.com/chat/"}).mattermost_url
        == "https://example.com/chat"
    )


@pytest.mark.parametrize("path", ["", "/", "/health", "/ready", "/metrics/"])
def test_the_callback_has_a_path_of_its_own(path: str) -> None:
    assert only_problem(SM_CALLBACK_URL=f"http://session-manager:8000{path}").startswith(
        "SM_CALLBACK_URL has "
    )


@pytest.mark.parametrize("text", ["9lives", "with-dash", "a" * 33, "ünicode", "a b", "../x"])
def test_an_alias_is_named_as_the_firewall_names_aliases(text: str) -> None:
    assert only_problem(SM_OPNSENSE_ALIAS=text).startswith("SM_OPNSENSE_ALIAS ")


@pytest.mark.parametrize("name", ["SM_VM_USER", "SM_CONTAINER_IMAGE", "SM_CONTAINER_NETWORK"])
def test_no_name_can_look_like_an_option(name: str) -> None:
    assert only_problem(**{name: "--privileged"}).startswith(f"{name} is not ")


@pytest.mark.parametrize("mode", ["host", "none", "pasta"])
def test_a_network_mode_that_goes_round_the_firewall_is_refused(mode: str) -> None:
    assert "without the firewall's rules" in only_problem(SM_CONTAINER_NETWORK=mode)


@pytest.mark.parametrize(
    "text", ["repos", "/", "/a/", "/a//b", "/a/../b", "/a/./b", "/a:b", "/a\nb", "//a", "/" + "a" * 2000]
)
@pytest.mark.parametrize(
    "name", ["SM_REPOS_BASE_PATH", "SM_WORKTREES_PATH", "SM_SESSIONS_PATH", "SM_JOURNAL"]
)
def test_a_path_is_absolute_and_clean(name: str, text: str) -> None:
    assert only_problem(**{name: text}).startswith(f"{name} ")


def test_the_folders_on_the_vm_lie_apart() -> None:
    assert only_problem(SM_SESSIONS_PATH="/home/claude/repos/sessions") == (
        "SM_REPOS_BASE_PATH and SM_SESSIONS_PATH lie in each other: set them to folders that lie apart."
    )


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


def test_projects_are_names_with_their_folders_on_the_vm() -> None:
    settings = load(
        {**GOOD, "SM_PROJECTS": '{"myproject":"/home/claude/projects/myproject", "My.other_1":"/srv/x y"}'}
    )
    assert settings.projects == {"myproject": "/home/claude/projects/myproject", "My.other_1": "/srv/x y"}
    assert (
        '{"myproject": "/home/claude/projects/myproject", "My.other_1": "/srv/x y"}'
    ) in settings.printed()


@pytest.mark.parametrize("text", ["{", "[]", "true", '"x"', "[" * 60_000, '[["a","/srv/a"]]'])
def test_projects_that_are_no_json_object_are_a_problem(text: str) -> None:
    assert only_problem(SM_PROJECTS=text).startswith("SM_PROJECTS is not ")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("acme/webapp", "is not one word"),
        ("two words", "is not one word"),
        ("--worktree", "is not one word"),
        ("-x", "is not one word"),
        ("..", "is not one word"),
        ("a@b", "is not one word"),
        ("", "is not one word"),
        ("a" * 65, "is not one word"),
        ("start", "is a command of the chat"),
        ("Stop", "is a command of the chat"),
        ("MINE", 'names the project "MINE" twice'),
        ("mine", 'names the project "mine" twice'),
    ],
)
def test_a_projects_name_is_one_word_and_nothing_else_of_the_chat(name: str, reason: str) -> None:
    text = f'{{"mine": "/srv/mine", "{name}": "/srv/other"}}'
    assert reason in only_problem(SM_PROJECTS=text)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ('"projects/x"', 'has a path for the project "x" that is not a clean absolute path'),
        ('"/srv/../x"', 'has a path for the project "x" that holds ..'),
        ('"/srv/a:b"', 'has a path for the project "x" that holds a colon'),
        ("7", 'has no path as a text for the project "x"'),
        ('{"path": "/srv"}', 'has no path as a text for the project "x"'),
    ],
)
def test_a_projects_path_is_absolute_and_clean(path: str, reason: str) -> None:
    assert reason in only_problem(SM_PROJECTS=f'{{"x": {path}}}')


def test_there_are_not_more_projects_than_a_person_could_name() -> None:
    many = ", ".join(f'"p{number}": "/srv/p{number}"' for number in range(201))
    assert "names more than 200 projects" in only_problem(SM_PROJECTS=f"{{{many}}}")
    assert "is longer than" in only_problem(SM_PROJECTS="{" + " " * 70_000 + "}")


@pytest.mark.parametrize("path", ["/home/claude/repos", "/home/claude/sessions/x", "/home/claude", "/home"])
def test_a_project_lies_apart_from_the_services_own_folders(path: str) -> None:
    for problem in problems(SM_PROJECTS=f'{{"x": "{path}"}}'):
        assert problem.startswith('SM_PROJECTS has the project "x" in, around or at the folder of SM_')


@pytest.mark.parametrize(
    "text", ["https://github.example.com/git", "https://gitea.example.com:3000", "http://127.0.0.1:8080"]
)
def test_repositories_may_come_from_another_server_with_a_path(text: str) -> None:
    settings = load({**GOOD, "SM_GIT_BASE_URL": f"{text}/"})
    assert settings.git_base_url == text
    assert settings.warnings() == []


@pytest.mark.parametrize(
    "text", ["github.com", "git@github.com:acme", "ssh://git@github.com", "https://x:y@github.com"]
)
def test_repositories_come_over_http_and_the_token_is_in_no_url(text: str) -> None:
    assert only_problem(SM_GIT_BASE_URL=text).startswith("SM_GIT_BASE_URL ")


def test_a_git_server_without_tls_is_warned_of() -> None:
    settings = load({**GOOD, "SM_GIT_BASE_URL": "http://gitea.example.com"})
    assert [warning.split()[0] for warning in settings.warnings()] == ["SM_GIT_BASE_URL"]


def test_the_default_owner_is_a_name_of_an_owner() -> None:
    assert load(GOOD).default_org is None
    assert load({**GOOD, "SM_DEFAULT_ORG": "acme-corp"}).default_org == "acme-corp"


@pytest.mark.parametrize("text", ["-acme", "acme/x", "a--b", "acme-", "a" * 40, "a b", "@acme"])
def test_a_default_owner_of_another_shape_is_a_problem(text: str) -> None:
    assert only_problem(SM_DEFAULT_ORG=text).startswith("SM_DEFAULT_ORG is not the name of a user")


def test_an_unknown_variable_far_from_any_is_to_be_unset() -> None:
    assert only_problem(SM_Q="x") == "SM_Q is not a setting: unset it."


def test_a_variable_of_kubernetes_is_explained() -> None:
    assert "enableServiceLinks" in only_problem(SM_SERVICE_HOST="10.0.0.1")


@pytest.mark.parametrize(
    "text", [KEY.replace("\n", "\\n"), KEY.replace("\n", "\r\n"), KEY.strip(), KEY.replace("\n", "\\r\\n")]
)
def test_a_key_is_read_whatever_became_of_its_line_ends(text: str) -> None:
    assert load({**GOOD, "SM_VM_SSH_KEY": text}).ssh_key_text() == KEY


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs openssh-client")
def test_a_key_with_a_passphrase_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "canary-pass", "-f", path], check=True)
    assert "is protected by a passphrase" in only_problem(SM_VM_SSH_KEY=path.read_text())
    assert "is protected by a passphrase" in only_problem(SM_VM_SSH_KEY=None, SM_VM_SSH_KEY_PATH=str(path))


def test_the_key_comes_from_the_path_when_the_variable_is_unset(tmp_path: Path) -> None:
    path = tmp_path / "id"
    path.write_text(KEY)
    environment = {**GOOD, "SM_VM_SSH_KEY_PATH": str(path)}
    del environment["SM_VM_SSH_KEY"]
    assert load(environment).ssh_key_text() == KEY


def test_a_key_path_without_a_file_or_with_another_thing_is_a_problem(tmp_path: Path) -> None:
    assert "does not exist" in only_problem(SM_VM_SSH_KEY=None, SM_VM_SSH_KEY_PATH=str(tmp_path / "none"))
    assert "does not name a file" in only_problem(SM_VM_SSH_KEY=None, SM_VM_SSH_KEY_PATH=str(tmp_path))
    (tmp_path / "junk").write_bytes(b"\xff\x00junk")
    assert "does not hold a private key" in only_problem(
        SM_VM_SSH_KEY=None, SM_VM_SSH_KEY_PATH=str(tmp_path / "junk")
    )


def test_a_key_put_where_its_path_belongs_is_not_shown() -> None:
    problem = only_problem(SM_VM_SSH_KEY=None, SM_VM_SSH_KEY_PATH=KEY)
    assert "is not a path" in problem
    assert KEY[60:90] not in problem


@pytest.mark.parametrize(
    "text",
    [PUBLIC, f"{PUBLIC} root@vm", f"192.168.12.10 {PUBLIC}", f"# vm:22 SSH-2.0\n[vm]:22 {PUBLIC}\n"],
    ids=[
        "key",
        "key with its comment",
        "keyscan",
        "keyscan with its comment",
    ],  # the key is another each time
)
def test_a_host_key_is_read_from_the_public_file_or_from_keyscan(text: str) -> None:
    assert load({**GOOD, "SM_VM_HOST_KEY": text}).vm_host_key == " ".join(PUBLIC.split()[:2])


def test_a_host_key_that_is_none_is_a_problem() -> None:
    assert only_problem(SM_VM_HOST_KEY="SHA256:abcdef").startswith(
        "SM_VM_HOST_KEY does not hold a public host key"
    )


def test_only_one_way_to_name_the_host_key(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"192.168.12.10 {PUBLIC}\n")
    assert load({**GOOD, "SM_VM_KNOWN_HOSTS": str(path)}).vm_known_hosts == path
    assert "both set" in only_problem(SM_VM_HOST_KEY=PUBLIC, SM_VM_KNOWN_HOSTS=str(path))
    assert "SM_VM_KNOWN_HOSTS names a file that does not exist" in only_problem(
        SM_VM_KNOWN_HOSTS=f"{path}.none"
    )


def test_certificates_are_checked_when_the_settings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    assert "SM_CA_FILE names a file without PEM certificates" in only_problem(SM_CA_FILE=str(path))


def test_a_fingerprint_may_have_colons_and_must_be_sha256() -> None:
    colons = ":".join(["AB"] * 32)
    assert load({**GOOD, "SM_OPNSENSE_FINGERPRINT": colons}).opnsense_fingerprint == b"\xab" * 32
    assert (
        load({**GOOD, "SM_OPNSENSE_FINGERPRINT": f"sha256 Fingerprint={colons}"}).opnsense_fingerprint
        == b"\xab" * 32
    )
    assert only_problem(SM_OPNSENSE_FINGERPRINT="AB:CD").startswith(
        "SM_OPNSENSE_FINGERPRINT is not a SHA-256"
    )
    assert "plain http" in only_problem(
        SM_OPNSENSE_FINGERPRINT=colons, SM_OPNSENSE_URL="http://opnsense.example.com"
    )


def test_an_api_key_holds_no_colon() -> None:
    assert only_problem(SM_OPNSENSE_KEY="a:b").startswith("SM_OPNSENSE_KEY holds a colon")


CANARY = "CANARY7f3a9"


@pytest.mark.parametrize(
    "value",
    [
        f"{CANARY}-0123456789abcdef",
        f"{CANARY} with space",
        f"{CANARY}\n\x00",
        CANARY * 999,
        f"{CANARY}ü",
        f"{CANARY}:x",
    ],
)
@pytest.mark.parametrize("broken", [True, False])
def test_no_secret_is_in_any_output(value: str, broken: bool) -> None:
    environment = {**GOOD, **{variable.name: value for variable in VARIABLES if variable.secret}}
    if not broken:
        environment["SM_VM_SSH_KEY"] = KEY
    seen = ""
    try:
        settings = load(environment)
        seen += repr(settings) + str(settings) + repr(settings.describe()) + repr(settings.warnings())
    except SettingsError as error:
        seen += str(error) + repr(error) + repr(error.problems)
    assert seen
    assert CANARY not in seen


def test_a_failed_start_prints_no_secret_and_no_traceback_of_its_causes() -> None:
    script = (
        "import os\nfrom sm.settings import load, SettingsError\n"
        "try:\n    load(os.environ)\nexcept SettingsError as error:\n    print(error)\n    raise\n"
    )
    environment = {variable.name: f"{CANARY} x" for variable in VARIABLES if variable.secret}
    environment["SM_MATTERMOST_TOKN"] = CANARY
    ran = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert "SM_MATTERMOST_TOKEN holds a space" in ran.stdout
    assert CANARY not in ran.stdout + ran.stderr
    assert "During handling" not in ran.stderr
    assert "direct cause" not in ran.stderr


def test_the_description_masks_secrets_and_names_the_source() -> None:
    rows = {name: (value, source) for name, value, source in load(GOOD).describe()}
    assert list(rows) == [variable.name for variable in VARIABLES]
    assert rows["SM_MATTERMOST_TOKEN"] == ("•••• (27 characters)", "environment")
    assert rows["SM_VM_HOST"] == ("192.168.12.10:22", "environment")
    assert rows["SM_CONTAINER_RUNTIME"] == ("podman", "default")
    assert rows["SM_CALLBACK_SECRET"] == ("(not set)", "default")
    assert re.fullmatch(r"•••• \(\d+ characters\)", rows["SM_VM_SSH_KEY"][0])


def test_secret_values_hold_every_secret_and_their_form_on_the_wire() -> None:
    settings = load({**GOOD, "SM_CALLBACK_SECRET": "callback-secret-0123456789"})
    values = settings.secret_values()
    for name, text in GOOD.items():
        if name in ("SM_MATTERMOST_TOKEN", "SM_OPNSENSE_KEY", "SM_OPNSENSE_SECRET", "SM_VM_SSH_KEY"):
            assert text in values
    assert "callback-secret-0123456789" in values
    assert "b3Buc2Vuc2Uta2V5LTAxMjM0NTY3ODk6b3Buc2Vuc2Utc2VjcmV0LTAxMjM0NTY3ODk=" in values
    assert [len(value) for value in values] == sorted((len(value) for value in values), reverse=True)


@pytest.mark.parametrize(
    ("mattermost", "vm", "opnsense", "loopback"),
    [
        ("http://127.0.0.1:8065", "[::1]:2222", "https://localhost:1", True),
        ("http://127.9.9.9", "localhost", "http://[::ffff:127.0.0.1]:1", True),
        ("http://127.0.0.1:8065", "192.168.12.10", "https://localhost:1", False),
        ("http://localhost.example.com", "localhost", "https://localhost", False),
        ("http://0.0.0.0", "localhost", "https://localhost", False),
    ],
)
def test_whether_all_peers_are_on_loopback(mattermost: str, vm: str, opnsense: str, loopback: bool) -> None:
    settings = load({**GOOD, "SM_MATTERMOST_URL": mattermost, "SM_VM_HOST": vm, "SM_OPNSENSE_URL": opnsense})
    assert settings.peers_on_loopback() is loopback


def test_plain_http_to_another_machine_is_warned_of() -> None:
    settings = load({**GOOD, "SM_OPNSENSE_URL": "http://opnsense.example.com"})
    assert [warning.split()[0] for warning in settings.warnings()] == ["SM_OPNSENSE_URL"]
    assert load(GOOD).warnings() == []


def test_what_is_in_force_is_printed_a_line_a_variable_and_then_the_warnings() -> None:
    lines = load({**GOOD, "SM_OPNSENSE_URL": "http://opnsense.example.com"}).printed().splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [variable.name for variable in VARIABLES]
    assert lines[0].split() == ["SM_MATTERMOST_URL", "https://mattermost.example.com", "environment"]
    assert lines[-1].startswith("⚠️ SM_OPNSENSE_URL is plain http")
