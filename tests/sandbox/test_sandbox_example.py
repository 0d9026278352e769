"""The specification's example on the VM's side: the real pip behind the gate, blocked, then let through."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from vm_kit import Rig

from sm.sandbox.agent.api import AgentApi
from sm.sandbox.faults import Faults
from sm.sandbox.network.gate import Gate
from sm.sandbox.network.index import HOSTS, PackageIndex
from sm.sandbox.network.names import Names
from sm.sandbox.vm.peer import VmPeer

REAL = os.environ.get("CLAUDE_CLI", "")
AGENTS = [
    "",
    pytest.param(
        REAL, marks=pytest.mark.skipif(not REAL, reason="CLAUDE_CLI does not name the real CLI"), id="real"
    ),
]


@pytest.fixture(params=AGENTS)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    faults, index = Faults(), PackageIndex()
    gate, api = Gate(tmp_path / "gate", Names()), AgentApi(faults)
    vm = VmPeer(tmp_path, faults, gate=gate, claude=request.param)
    await api.start()
    await index.start()
    await gate.start()
    gate.serve("api.anthropic.com", api.port)
    for name in HOSTS:
        gate.serve(name, index.port)
    await vm.start()
    rig = Rig(vm, api, faults)
    rig.gate = gate
    yield rig
    await vm.stop()
    await gate.stop()
    await index.stop()
    await api.stop()


async def allow(gate: Gate, *names: str) -> None:
    await gate.table_changed(frozenset(address for name in names for address in gate.names.lookup(name)))


async def test_the_install_is_blocked_and_works_after_the_approval(rig: Rig):
    await allow(rig.gate, "api.anthropic.com")
    generation = rig.generation()
    await generation.start()
    generation.say("add pytest to the project")
    await generation.result(timeout_s=60)
    assert generation.texts() == [
        "I'll add pytest to the project dependencies...",
        "$ pip install pytest\nERROR: Connection timed out to pypi.org\n\n[NETWORK_REQUEST: pypi.org]",
    ]
    await allow(rig.gate, "api.anthropic.com", *HOSTS)
    generation.say("[NETWORK_APPROVED: pypi.org]", 2)
    await generation.result(2, timeout_s=60)
    assert generation.texts()[2:] == [
        "[NETWORK_APPROVED: pypi.org]\n\n$ pip install pytest\nSuccessfully installed pytest-8.0.0"
    ]
    generation.say("run pytest --version", 3)
    await generation.result(3)
    assert generation.texts()[3:] == ["$ pytest --version\npytest 8.0.0"]
    assert rig.api.state()["texts"][1] == "[NETWORK_APPROVED: pypi.org]"


async def test_a_web_search_works_while_every_host_but_the_apis_is_shut(rig: Rig):
    await allow(rig.gate, "api.anthropic.com")
    generation = rig.generation()
    await generation.start()
    generation.say("search OAuth2 best practices")
    await generation.result(timeout_s=60)
    assert generation.texts() == ["Found about OAuth2 best practices: https://example.com/"]
    generation.say("run curl -s -o /dev/null --max-time 2 https://pypi.org/; echo status $?", 2)
    await generation.result(2, timeout_s=60)
    assert generation.texts()[1:] == [
        "$ curl -s -o /dev/null --max-time 2 https://pypi.org/; echo status $?\nstatus 28"
    ]
    assert rig.api.state()["texts"] == [
        "search OAuth2 best practices",
        "run curl -s -o /dev/null --max-time 2 https://pypi.org/; echo status $?",
    ]
