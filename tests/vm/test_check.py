"""What a session needs of the VM: each missing thing is named with the command that mends it."""

from pathlib import Path

import pytest

from sm.core.outcome import Refused

from .conftest import SESSION


async def missing(vm):
    with pytest.raises(Refused) as caught:
        await vm.check(SESSION)
    return caught.value.code, str(caught.value)


@pytest.mark.parametrize("runtime", ["podman", "docker"])
async def test_a_vm_with_everything_passes(peer, runtime):
    await peer.vm(runtime=runtime).check(SESSION)


@pytest.mark.parametrize("runtime", ["podman", "docker"])
async def test_a_missing_image_is_named_with_its_command(peer, runtime):
    code, text = await missing(peer.vm(image="other:2", runtime=runtime))
    assert code == "image_missing"
    assert f"{runtime} build -t other:2" in text


@pytest.mark.parametrize(
    ("runtime", "command"),
    [
        ("podman", "podman network create closed"),
        ("docker", "docker network create -o com.docker.network.bridge.name=closed closed"),
    ],
)
async def test_a_missing_network_is_named_with_its_command(peer, runtime, command):
    code, text = await missing(peer.vm(network="closed", runtime=runtime))
    assert code == "network_missing"
    assert command in text


def without_a_runtime(folder):
    """A folder with every tool of this machine but a container runtime."""
    folder.mkdir()
    for tool in [*Path("/bin").iterdir(), *Path("/usr/bin").iterdir()]:
        if tool.name not in {"podman", "docker"} and not (folder / tool.name).is_symlink():
            (folder / tool.name).symlink_to(tool)
    return folder


async def test_a_missing_runtime_is_named(peer, vm):
    peer.write_profile(more=f"PATH={without_a_runtime(peer.folder / 'bare')}")
    code, text = await missing(vm)
    assert code == "runtime_missing"
    assert "apt-get install podman" in text


async def test_a_runtime_that_does_not_work_is_quoted(peer, vm):
    peer.tool("podman", "echo 'cannot set up namespace' >&2; exit 125")
    code, text = await missing(vm)
    assert code == "runtime_failed"
    assert "cannot set up namespace" in text


async def test_a_podman_that_lost_its_namespace_is_revived_as_it_advises(peer, vm):
    lost = peer.state / "lost"
    lost.touch()
    working = (peer.bin / "podman").read_text().splitlines()[1]
    advice = 'invalid internal status, try resetting the pause process with "podman system migrate"'
    peer.tool(
        "podman",
        f'[ "$1 $2" = "system migrate" ] && {{ rm {lost}; exit; }}\n'
        f"[ ! -e {lost} ] || {{ echo '{advice}' >&2; exit 125; }}\n{working}",
    )
    await vm.check(SESSION)
    assert not lost.exists()


async def test_a_missing_api_key_is_named(peer, vm):
    peer.write_profile(key="")
    code, text = await missing(vm)
    assert code == "api_key_missing"
    assert "ANTHROPIC_API_KEY" in text


@pytest.mark.parametrize(("linger", "code"), [("yes", None), ("no", "no_linger")])
async def test_rootless_containers_need_linger(peer, vm, linger, code):
    peer.tool("id", "case $1 in -u) echo 1000;; *) echo claude;; esac")
    peer.tool("loginctl", f"echo {linger}")
    if code is None:
        await vm.check(SESSION)
    else:
        found, text = await missing(vm)
        assert found == code
        assert "sudo loginctl enable-linger claude" in text


async def test_a_folder_that_cannot_be_made_is_named(peer):
    (peer.folder / "file").touch()
    code, text = await missing(peer.vm(sessions=str(peer.folder / "file" / "sessions")))
    assert code == "path_not_writable"
    assert "sudo install -d" in text


async def test_everything_missing_is_said_at_once(peer):
    peer.write_profile(key="")
    code, text = await missing(peer.vm(image="other:2", network="closed"))
    assert code == "api_key_missing"
    assert "other:2" in text
    assert "closed" in text
