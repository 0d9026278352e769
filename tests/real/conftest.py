"""One VM of real parts a module, with the sandbox's Mattermost, OPNsense and agent's API around it."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from need import STATE, enforce
from real_kit import Rig
from real_vm import RealVm, folder_of

from sm.sandbox.assembly import Choices, Sandbox
from sm.vm import Vm, VmSettings


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*peers): the real peers without which the test is skipped")


@pytest.fixture(autouse=True, scope="module")
def _module_needs(request: pytest.FixtureRequest) -> None:
    enforce(request.node)


@pytest.fixture(autouse=True)
def _needs(request: pytest.FixtureRequest) -> None:
    enforce(request.node)


@pytest.fixture(scope="module")
def machine(_module_needs: None) -> Iterator[None]:
    """The VM's user is the machine's only one: modules that run at the same time wait here for each other."""
    with (STATE / "tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(
    machine: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Rig]:
    """The peers of a module; `RUNTIME` in it chooses docker."""
    runtime = getattr(request.module, "RUNTIME", "podman")
    folder: Path = tmp_path_factory.mktemp("real")
    sandbox = Sandbox(
        folder / "state",
        choices=Choices(gate="namespace", vm=lambda _, gate: RealVm(gate, folder_of(gate), runtime)),
    )
    await sandbox.start()
    try:
        yield Rig(sandbox, folder)
    finally:
        await sandbox.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def small(rig: Rig) -> AsyncIterator[Path]:
    """A disk of 24 MB on the VM, which comes up anew with it: podman's namespace knows the mounts of its beginning."""
    folder = rig.vm.disk / "small"
    folder.mkdir()
    owner = f"uid={rig.vm.user.pw_uid},gid={rig.vm.user.pw_gid}"
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size=24m,mode=0700,{owner}", "sm-small", str(folder)], check=True
    )
    await rig.vm.power_cut()
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    await rig.vm.power_cut()
    folder.rmdir()


@pytest_asyncio.fixture(loop_scope="module")
async def vm(rig: Rig) -> AsyncIterator[Vm]:
    """The client of the service for it, by itself."""
    env = rig.sandbox.environment()
    host, _, port = env["SM_VM_HOST"].rpartition(":")
    vm = Vm(
        VmSettings(
            host=host, port=int(port), user=env["SM_VM_USER"], private_key=env["SM_VM_SSH_KEY"],
            pinned_host_keys=(env["SM_VM_HOST_KEY"],), repos_base=env["SM_REPOS_BASE_PATH"],
            worktrees=env["SM_WORKTREES_PATH"], sessions=env["SM_SESSIONS_PATH"], runtime=rig.vm.runtime,
            network=env["SM_CONTAINER_NETWORK"], image=env["SM_CONTAINER_IMAGE"],
        ),
        accept_host_key=None,
    )  # fmt: skip
    yield vm
    await vm.close()
