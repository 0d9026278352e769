"""The VM's SSH server: who gets in, what a command sees, what a closed or broken channel does."""

import asyncio
from pathlib import Path

import asyncssh
import pytest
from vm_kit import Rig, running_vm, until

from sm.sandbox.vm.container.store import process_start
from sm.sandbox.vm.peer import VmPeer


@pytest.fixture
async def rig(tmp_path: Path):
    async with running_vm(tmp_path, gh_token="ghp_sandbox") as rig:
        yield rig


async def test_only_the_given_key_and_user_get_in(rig: Rig):
    other = asyncssh.generate_private_key("ssh-ed25519")
    for user, key in (
        ("claude", other),
        ("root", asyncssh.import_private_key(rig.vm.environment()["SM_VM_SSH_KEY"])),
    ):
        with pytest.raises(asyncssh.PermissionDenied):
            await asyncssh.connect(
                "127.0.0.1", rig.vm.port, username=user, client_keys=[key], known_hosts=None, config=None
            )


async def test_keys_stay_the_same_after_a_restart(rig: Rig):
    before = rig.vm.environment()
    port = rig.vm.port
    await rig.vm.stop()
    again = VmPeer(rig.vm.layout.state, rig.faults, claude="")
    await again.start(port=port)
    assert {key: again.environment()[key] for key in before} == before
    await again.stop()


async def test_only_a_login_shell_sees_the_secrets(rig: Rig):
    async with await rig.connect() as connection:
        plain = await connection.run("env; command -v podman")
        login = await connection.run("bash -lc 'env; command -v podman; podman --version'")
    assert "ANTHROPIC_API_KEY" not in plain.stdout
    assert "XDG_RUNTIME_DIR" not in plain.stdout
    assert "ANTHROPIC_API_KEY=sk-ant-" in login.stdout
    assert "GH_TOKEN=ghp_sandbox" in login.stdout
    assert login.stdout.splitlines()[-2:] == [str(rig.vm.layout.bin / "podman"), "podman version 4.3.1"]


async def test_streams_are_binary_safe_and_half_closed(rig: Rig):
    data = bytes(range(256)) * 4096
    async with await rig.connect() as connection:
        done = await connection.run("cat; echo late >&2; exit 3", input=data, encoding=None)
    assert done.stdout == data
    assert (done.stderr, done.exit_status) == (b"late\n", 3)


async def test_a_signal_that_ended_the_command_is_said(rig: Rig):
    async with await rig.connect() as connection:
        done = await connection.run("kill -9 $$")
    assert done.exit_signal[0] == "KILL"


async def test_github_is_cloned_from_the_sandbox(rig: Rig):
    done = await rig.run(
        "git clone -q --branch feature/login https://github.com/acme/webapp w && ls w/webapp && "
        "git ls-remote --heads https://github.com/acme/api.git && git config --list --show-scope"
    )
    assert "login.py" in done.stdout
    assert "refs/heads/v2" in done.stdout
    assert "\nglobal\turl.file://" in done.stdout
    gone = await rig.run("git ls-remote https://github.com/acme/nothere")
    assert gone.exit_status == 128


async def test_closing_the_channel_ends_nothing_but_its_pipes(rig: Rig):
    connection = await rig.connect()
    process = await connection.create_process("echo $$; sleep 77")
    pid = int(await process.stdout.readline())
    connection.abort()
    await connection.wait_closed()
    await asyncio.sleep(0.1)
    assert process_start(pid)
    await rig.vm.stop()
    assert not process_start(pid)


async def test_a_follower_dies_at_its_next_line_once_the_channel_is_gone(rig: Rig):
    connection = await rig.connect()
    process = await connection.create_process("echo $$; while :; do echo line; sleep .05; done")
    pid = int(await process.stdout.readline())
    connection.abort()
    await until(lambda: not process_start(pid), "the follower's end")


async def test_the_eleventh_session_of_a_connection_is_refused(rig: Rig):
    async with await rig.connect() as connection:
        running = [await connection.create_process("cat") for _ in range(10)]
        with pytest.raises(asyncssh.ChannelOpenError, match="open failed"):
            await connection.create_process("true")
        running[0].stdin.write_eof()
        await running[0].wait()
        await until(lambda: len(next(iter(rig.vm._servers)).sessions) < 10, "a free place")
        assert (await connection.run("echo again")).stdout == "again\n"


async def test_a_lost_reply_comes_after_the_work(rig: Rig):
    rig.faults.arm("vm", "lost_reply", match={"command": "touch *"})
    async with await rig.connect() as connection:
        assert (await connection.run("echo untouched")).exit_status == 0
        assert (await connection.run("touch done")).exit_status is None
    assert (rig.vm.layout.home / "done").exists()


async def test_a_dropped_connection_comes_before_the_work(rig: Rig):
    rig.faults.arm("vm", "drop_connection")
    async with await rig.connect() as connection:
        assert (await connection.run("touch done")).exit_status is None
    assert not (rig.vm.layout.home / "done").exists()


async def test_output_is_cut_in_the_middle_of_a_line(rig: Rig):
    rig.faults.arm("vm", "cut_output")
    connection = await rig.connect()
    process = await connection.create_process("echo 0123456789; sleep 9")
    assert await process.stdout.read() == "0123456"
    await connection.wait_closed()


async def test_a_connection_and_a_channel_can_be_refused(rig: Rig):
    rig.faults.arm("vm", "refuse_connection")
    with pytest.raises((asyncssh.Error, OSError)):
        await rig.connect()
    rig.faults.arm("vm", "refuse_channel")
    async with await rig.connect() as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run("true")


async def test_the_profile_may_print_and_the_runtime_may_be_away(rig: Rig):
    rig.faults.arm("vm", "profile_prints")
    rig.faults.arm("vm", "runtime_away")
    done = await rig.run("podman ps")
    assert done.stdout.startswith("Welcome to lanllm.")
    assert done.exit_status == 125
    assert (await rig.run("podman ps")).exit_status == 0
