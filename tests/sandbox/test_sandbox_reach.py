"""Whether a host is reached: asked by the service's own client, in the stand-in's container, through the gate."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from vm_kit import until

from sm.sandbox.assembly import Choices, Sandbox
from sm.sandbox.network.gate import Mode
from sm.vm import Vm, VmSettings

ROOT = os.geteuid() == 0 and shutil.which("ip") is not None
MODES = [
    pytest.param("namespace", marks=pytest.mark.skipif(not ROOT, reason="needs root and iproute2")),
    "proxy",
]
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def client(sandbox: Sandbox, **changes: str) -> Vm:
    env = sandbox.environment() | changes
    host, _, port = env["SM_VM_HOST"].rpartition(":")
    settings = VmSettings(
        host=host, port=int(port), user=env["SM_VM_USER"], private_key=env["SM_VM_SSH_KEY"],
        pinned_host_keys=(env["SM_VM_HOST_KEY"],), repos_base=env["SM_REPOS_BASE_PATH"], worktrees=env["SM_WORKTREES_PATH"],
        sessions=env["SM_SESSIONS_PATH"], runtime="docker" if env["SM_CONTAINER_RUNTIME"] == "docker" else "podman",
        network=env["SM_CONTAINER_NETWORK"], image=env["SM_CONTAINER_IMAGE"],
    )  # fmt: skip
    return Vm(settings, accept_host_key=None)


@pytest.fixture(params=MODES)
async def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sandbox]:
    mode: Mode = request.param
    sandbox = Sandbox(tmp_path / "state", choices=Choices(gate=mode))
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


@pytest.fixture(params=["podman", "docker"])
async def vm(request: pytest.FixtureRequest, sandbox: Sandbox) -> AsyncIterator[Vm]:
    vm = client(sandbox, SM_CONTAINER_RUNTIME=request.param)
    yield vm
    await vm.close()


def containers(sandbox: Sandbox) -> object:
    state = sandbox.vm.state()
    assert isinstance(state, dict)
    return state["containers"]


async def test_what_the_table_holds_is_reached_and_nothing_else_until_it_does(
    sandbox: Sandbox, vm: Vm
) -> None:
    reached = await vm.network.reach("api.anthropic.com", within_s=20)
    assert (reached.state, reached.detail) == ("reachable", "")
    asked = asyncio.create_task(vm.network.reach("example.org", within_s=60))
    await until(lambda: containers(sandbox), "a container asks")
    assert sandbox.gate.names.lookup("example.org")[0] not in sandbox.gate.table
    await sandbox.opnsense.actions["opnsense/edit"]({"add": ["example.org"]})
    assert (await asked).state == "reachable"
    shut = await vm.network.reach("example.com", within_s=3)
    assert (shut.state, shut.detail) == ("unreachable", "Nothing answered on port 443.")
    assert containers(sandbox) == []
