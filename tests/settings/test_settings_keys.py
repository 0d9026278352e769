"""Settings that are keys and certificates; no secret is shown."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from settings_kit import GOOD, KEY, PUBLIC, only_problem

from sm.settings import VARIABLES, SettingsError, load


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
