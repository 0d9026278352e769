"""A VM that lacks something: the chat says what, and the command that mends it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from need import USER, needs
from real_kit import Rig, Talk

pytestmark = [
    needs("sshd", "podman", "claude"),
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


async def _refused(talk: Talk) -> str:
    await talk.say("@claude start acme/webapp")
    return (await talk.sees("❌ Could not prepare **acme/webapp**.")).text


async def test_a_missing_image_is_named_with_its_command(rig: Rig) -> None:
    async with rig.talk(SM_CONTAINER_IMAGE="other:2") as talk:
        text = await _refused(talk)
    assert "The agent's image is not on the VM." in text
    assert "podman build -t other:2 ." in text


async def test_a_missing_network_is_named_with_its_command_which_mends_it(rig: Rig) -> None:
    async with rig.talk(SM_CONTAINER_NETWORK="closed") as talk:
        text = await _refused(talk)
        assert "The container network is not on the VM." in text
        assert "podman network create closed" in text
        await rig.vm.run("podman network create closed")
        try:
            await talk.start()
            await talk.stop()
        finally:
            await rig.vm.run("podman network rm -f closed")


async def test_a_missing_runtime_is_named_with_its_command(rig: Rig) -> None:
    bare = rig.vm.disk / "bare"
    bare.mkdir()
    for tool in [*Path("/usr/bin").iterdir(), *Path("/bin").iterdir()]:
        if tool.name not in {"podman", "docker"} and not (bare / tool.name).is_symlink():
            (bare / tool.name).symlink_to(tool)
    async with rig.talk() as talk:
        rig.vm.write_profile(more=f"PATH={bare}")
        text = await _refused(talk)
        rig.vm.write_profile()
    assert "The container runtime is not on the VM." in text
    assert "apt-get install podman" in text


async def test_a_missing_key_is_named(rig: Rig) -> None:
    async with rig.talk() as talk:
        rig.vm.write_profile(key="")
        text = await _refused(talk)
        rig.vm.write_profile()
    assert "Set `ANTHROPIC_API_KEY` in the VM user's login environment." in text


async def test_no_linger_is_named_with_its_command(rig: Rig) -> None:
    """No systemd runs on this machine: what its `loginctl` says of such a user is played."""
    tool = rig.vm.disk / "loginctl"
    tool.write_text("#!/bin/sh\necho no\n")
    tool.chmod(0o755)
    async with rig.talk() as talk:
        rig.vm.write_profile(more=f'PATH="{rig.vm.disk}:$PATH"')
        text = await _refused(talk)
        rig.vm.write_profile()
    tool.unlink()
    assert f"sudo loginctl enable-linger {USER}" in text


async def test_a_profile_that_prints_disturbs_nothing(rig: Rig) -> None:
    async with rig.talk() as talk:
        rig.vm.write_profile(more="echo 'Welcome to lanllm.'; echo done; seq 2000; echo Warning: quota >&2")
        await talk.start()
        await talk.answers("good morning")
        await talk.stop()


async def test_a_full_disk_at_the_start_is_said(rig: Rig, small: Path) -> None:
    subprocess.run(
        ["head", "-c", "100m", "/dev/zero"], stdout=(small / "fill").open("wb"), stderr=subprocess.DEVNULL
    )
    async with rig.talk(SM_SESSIONS_PATH=str(small / "sessions")) as talk:
        await talk.say("@claude start acme/webapp")
        text = (await talk.sees("❌ ")).text
        assert "The VM's disk is full. Make room, then start again." in text
        (small / "fill").unlink()
        await talk.start()
        await talk.stop()


async def test_a_disk_that_the_agent_fills_is_said_and_no_container_is_left(rig: Rig, small: Path) -> None:
    async with rig.talk(SM_SESSIONS_PATH=str(small / "sessions")) as talk:
        await talk.start()
        await talk.say("run head -c 100m /dev/zero > ~/fill; ls -l ~/fill")
        ended = await talk.sees("⚠️ The agent ended")
        assert "is the VM's disk full?" in ended.text
        await talk.sees("The VM's disk is full.")
        assert (await rig.vm.state())["containers"] == []
