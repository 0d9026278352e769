"""`sm doctor`: what it needs, what it prints, and the script that root runs. The VM itself is in tests/real and tests/vm."""

import os
import subprocess
import sys

import pytest

from sm.doctor.installer import installer
from sm.vm.network import Rules

WHOLE, PLAIN = "table inet sm_agents\n", "table bridge sm_agents\n"
SETTINGS = {
    "SM_MATTERMOST_URL": "http://127.0.0.1:9", "SM_MATTERMOST_TOKEN": "unused-token", "SM_VM_HOST": "127.0.0.1:9",
    "SM_OPNSENSE_URL": "http://127.0.0.1:9", "SM_OPNSENSE_KEY": "unused-key", "SM_OPNSENSE_SECRET": "unused-secret",
}  # fmt: skip


def rules(*, rootless=False):
    return Rules(rootless=rootless, bridge="agents", whole=WHOLE, plain=PLAIN)


def doctor(*words, **settings):
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SM_")}
    return subprocess.run(
        [sys.executable, "-m", "sm", "doctor", *words],
        env={**plain, **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path.read_text()


def played(tmp_path, *, knows_bridges=True):
    """Run the installer with its folders and tools moved below a folder of the test; answers what nft was given."""
    tools = tmp_path / "bin"
    tools.mkdir()
    refuses = "" if knows_bridges else 'if [ "$1" = -c ]; then exit 1; fi; '
    for name, text in (
        ("nft", f'{refuses}cp "${{@: -1}}" {tmp_path}/given'),
        ("systemctl", f"echo $* >>{tmp_path}/systemctl"),
    ):
        (tools / name).write_text(f"#!/bin/bash\n{text}\n")
        (tools / name).chmod(0o755)
    (tmp_path / "systemd/system").mkdir(parents=True)
    script = installer(rules(), "isolated", "vm.example")
    script = script.replace("/etc/session-manager", f"{tmp_path}/rules").replace(
        "/etc/systemd", f"{tmp_path}/systemd"
    )
    script = script.replace("/run/systemd/system", f"{tmp_path}/systemd")
    done = subprocess.run(
        ["sh"], input=script, env={"PATH": f"{tools}:/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return (tmp_path / "given").read_text()


def test_the_script_loads_the_rules_and_keeps_them_for_the_next_boot(tmp_path):
    assert played(tmp_path) == WHOLE
    assert (tmp_path / "rules/isolated.nft").read_text() == WHOLE
    assert (
        "ExecStart=/bin/sh -ec 'for rules in"
        in (tmp_path / "systemd/system/session-manager-rules.service").read_text()
    )
    assert "enable -q session-manager-rules.service" in (tmp_path / "systemctl").read_text()


def test_a_kernel_that_knows_no_bridge_of_a_frame_gets_the_plain_rules(tmp_path):
    assert played(tmp_path, knows_bridges=False) == PLAIN
    assert (tmp_path / "rules/isolated.nft").read_text() == PLAIN


def test_the_script_says_what_it_is_and_how_it_is_run():
    text = installer(rules(), "isolated", "vm.example")
    assert (
        "# Read them, then run this as root on the VM, for example: sm doctor rules | ssh root@vm.example sh"
        in text
    )


def test_for_rootless_podman_there_is_nothing_to_run():
    text = installer(rules(rootless=True), "isolated", "vm.example")
    assert "apt-get install nftables" in text
    assert f"#   {WHOLE}" in text
    assert all(line.startswith("#") for line in text.splitlines())


def test_missing_settings_are_named():
    done = doctor("network")
    assert done.returncode == 2
    assert "SM_VM_HOST" in done.stderr


def test_a_vm_that_does_not_answer_is_no_verdict(key):
    done = doctor("network", "--json", **SETTINGS, SM_VM_SSH_KEY=key)
    assert done.returncode == 2
    assert '"closed": null' in done.stdout
    assert '"code": "unreachable"' in done.stdout
    assert doctor("rules", **SETTINGS, SM_VM_SSH_KEY=key).returncode == 2


def test_a_host_to_try_is_a_name_and_a_port(key):
    done = doctor("network", "--host", "example.com:https", **SETTINGS, SM_VM_SSH_KEY=key)
    assert done.returncode == 2
    assert "--host is HOST:PORT" in done.stderr
