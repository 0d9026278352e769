"""Settings that are hosts, ports and URLs."""

from __future__ import annotations

import pytest
from settings_kit import GOOD, only_problem

from sm.settings import HostPort, load


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
