"""`sm sandbox` from outside: the environment file, the ports, the end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sm.sandbox import environment_file
from sm.sandbox.assembly import NotOurFolderError, claim_folder

REQUIRED = {
    "SM_MATTERMOST_URL", "SM_MATTERMOST_TOKEN", "SM_VM_HOST", "SM_OPNSENSE_URL", "SM_OPNSENSE_KEY", "SM_RESOLVER",
    "SM_OPNSENSE_SECRET", "SM_VM_SSH_KEY", "SM_VM_HOST_KEY", "SM_JOURNAL", "SM_LISTEN_ADDR", "SM_CALLBACK_URL",
    "SANDBOX_CHANNEL_ID", "SANDBOX_TOKEN_JAMES", "SANDBOX_TOKEN_SARAH", "SANDBOX_CONTROL_URL",
}  # fmt: skip


@contextmanager
def sandbox(*options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "sm", "sandbox", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def appears(path: Path, process: subprocess.Popen[str], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


@pytest.mark.real_peers
def test_peers_only_writes_an_environment_that_a_shell_and_the_service_take(tmp_path: Path) -> None:
    file = tmp_path / "env"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with sandbox(
        "--peers-only",
        "--env-file",
        str(file),
        "--state",
        str(tmp_path / "state"),
        "--control-port",
        str(port),
    ) as process:
        appears(file, process)
        assert file.stat().st_mode & 0o777 == 0o600
        variables = environment_file.read(file)
        assert variables.keys() >= REQUIRED
        assert variables["SANDBOX_CONTROL_URL"] == f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            known = json.load(answer)
        assert {"posts", "opnsense", "vm", "agent", "index"} <= set(known["sections"])
        assert {fault.partition(".")[0] for fault in known["faults"]} >= {
            "mattermost",
            "opnsense",
            "vm",
            "agent",
        }
        script = 'set -a; . "$1"; set +a; exec "$2" -m sm config'
        shown = subprocess.run(
            ["sh", "-c", script, "sh", file, sys.executable],
            capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert shown.returncode == 0, shown.stderr
        for secret in ("SM_MATTERMOST_TOKEN", "SM_OPNSENSE_SECRET", "SM_VM_SSH_KEY"):
            assert variables[secret] not in shown.stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.real_peers
def test_without_peers_only_the_service_runs_too_and_its_url_is_named(tmp_path: Path) -> None:
    with sandbox("--state", str(tmp_path / "state")) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "The service is ready at http://" in line)
        url = line.partition(" at ")[2].partition(",")[0]
        with urllib.request.urlopen(f"{url}/ready") as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_a_value_of_several_lines_with_quotes_survives_the_file(tmp_path: Path) -> None:
    variables = {"SM_A": "one\ntwo 'three' \"four\" $HOME `id` \\", "SM_B": ""}
    environment_file.write(tmp_path / "env", variables)
    assert environment_file.read(tmp_path / "env") == variables
    shown = subprocess.run(
        ["sh", "-c", 'set -a; . "$1"; set +a; printf %s "$SM_A"', "sh", tmp_path / "env"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout == variables["SM_A"]


def test_a_file_of_another_kind_is_no_environment(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("echo hello\n")
    with pytest.raises(ValueError, match="no file of variables"):
        environment_file.read(tmp_path / "env")


def test_a_folder_is_claimed_when_it_is_new_empty_or_ours(tmp_path: Path) -> None:
    assert claim_folder(tmp_path / "new") == tmp_path / "new"
    assert claim_folder(tmp_path / "new") == tmp_path / "new"
    (tmp_path / "empty").mkdir()
    claim_folder(tmp_path / "empty")


def test_a_folder_of_somebody_else_is_not_claimed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotOurFolderError, match="nothing there is touched"):
        claim_folder(tmp_path)
    with pytest.raises(NotOurFolderError, match="not a folder"):
        claim_folder(tmp_path / "file")


def test_a_path_that_no_mount_can_carry_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(NotOurFolderError, match="a colon"):
        claim_folder(tmp_path / "a:b")
    assert not any(tmp_path.iterdir())
