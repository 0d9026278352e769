"""Both images, built for real from a local base, and the service from its image playing the specification's example."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from podman_kit import AGENT, BASE, ROOT, SERVICE, ServiceContainer, build, podman, podman_or_skip, run_once

from sm.sandbox import environment_file
from sm.sandbox.demo import example
from sm.sandbox.demo.room import Access, Room

# A first build fetches a base, Debian's packages, Python's and the agent's.
pytestmark = [pytest.mark.real_peers, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def _podman() -> None:
    podman_or_skip()


@pytest.fixture(scope="module")
def service_image() -> str:
    return build(SERVICE, "-f", ROOT / "Containerfile", ROOT)


@pytest.fixture(scope="module")
def agent_image() -> str:
    return build(AGENT, ROOT / "scripts" / "agent-image")


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """`sm sandbox --peers-only` as a process; the variables that it hands out."""
    folder: Path = tmp_path_factory.mktemp("peers")
    env_file, log = folder / "peers.env", folder / "peers.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sm", "sandbox", "--peers-only", "--stand-in", "--state", folder / "state",
             "--env-file", env_file],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not env_file.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield environment_file.read(env_file)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(service_image: str, peers: dict[str, str]) -> AsyncIterator[ServiceContainer]:
    with ServiceContainer(f"session-manager-tests-{os.getpid()}", peers) as container:
        container.ready()
        yield container


@pytest.mark.asyncio(loop_scope="module")
async def test_the_service_from_its_image_plays_the_example_conversation(
    served: ServiceContainer, peers: dict[str, str]
) -> None:
    said: list[str] = []
    async with Room(Access.of(peers), lambda who, line: said.append(f"{who}: {line}")) as room:
        try:
            played = await example.play(room, Path(peers["SM_SESSIONS_PATH"]))
        except example.NotAsWrittenError as error:
            pytest.fail("\n".join((str(error), *said, served.said())))
    assert played.facts
    shown = served.inside("sm-replay", "journal.db", "show", played.session)
    assert "stopped" in shown
    served.inside("sm-replay", "journal.db", "verify")


def test_the_service_runs_as_a_numbered_user_that_can_write_only_its_volume_and_tmp(
    served: ServiceContainer,
) -> None:
    assert served.inside("id", "-u") == "10001"
    assert served.inside("cat", "/proc/1/cmdline").split("\0")[-2:-1] == ["serve"]
    assert re.search(r"^CapEff:\s+0+$", served.inside("cat", "/proc/1/status"), re.MULTILINE)
    for path in ("/x", "/opt/session-manager/x", "/etc/x"):
        assert "Read-only file system" in served.inside("touch", path, status=1)
    served.inside("touch", "/tmp/x", "/var/lib/session-manager/x")
    served.inside("rm", "/var/lib/session-manager/x")
    assert served.inside("stat", "-c", "%a %u", "/var/lib/session-manager/journal.db") == "600 10001"


def test_a_stop_ends_it_with_status_0_and_the_next_one_takes_up_the_journal_at_once(
    served: ServiceContainer,
) -> None:
    began = time.monotonic()
    assert served.stop() == 0, served.said()
    assert time.monotonic() - began < 15
    served.remove()
    served.start()
    served.ready(within_s=15)  # a claim that was not given back is watched for 20 s
    served.inside("sm-replay", "journal.db", "verify")


def test_the_image_starts_the_service_and_says_what_is_wrong_with_its_settings(service_image: str) -> None:
    assert "SM_MATTERMOST_URL is missing" in run_once(service_image, status=2)


def test_the_services_image_adds_little_to_its_base_and_nothing_that_builds(service_image: str) -> None:
    sizes = [
        int(podman("image", "inspect", "--format", "{{.Size}}", image)) for image in (BASE, service_image)
    ]
    assert sizes[1] - sizes[0] < 90_000_000
    listing = (
        "from importlib.metadata import distributions; print([one.name.lower() for one in distributions()])"
    )
    inside = ast.literal_eval(run_once(service_image, "-c", listing, options=("--entrypoint", "python3")))
    assert {"session-manager", "asyncssh"} <= set(inside)
    assert not {"pip", "setuptools", "hatchling", "editables"} & set(inside)


def test_the_services_image_names_its_user_port_volume_and_command(service_image: str) -> None:
    (image,) = json.loads(podman("image", "inspect", service_image))
    config = image["Config"]
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == ("10001:10001", ["sm"], ["serve"])
    assert set(config["ExposedPorts"]) == {"8000/tcp"}
    assert set(config["Volumes"]) == {"/var/lib/session-manager"}
    assert not any(name.startswith("SM_") for name in config["Env"])


@pytest.mark.parametrize("user", ["0:0", "1000:1000"])
def test_the_agents_image_has_the_cli_git_curl_python_and_pip_for_any_user(
    agent_image: str, user: str
) -> None:
    options = (
        "--user",
        user,
        "--env",
        "HOME=/tmp",
        "--cap-drop",
        "all",
        "--security-opt",
        "no-new-privileges",
    )
    tools = ("claude", "git", "curl", "python3", "python3 -m pip", "ps")
    commands = "; ".join(["pwd", *(f"{tool} --version" for tool in tools)])
    said = run_once(agent_image, "sh", "-ec", commands, options=options)
    version = re.search(
        r"CLAUDE_CODE_VERSION=(\S+)", (ROOT / "scripts/agent-image/Containerfile").read_text()
    )
    assert version
    assert said.startswith(f"/workspace\n{version[1]} (Claude Code)\ngit version 2.")
    for line in ("curl 7.", "Python 3.", "pip 2", "ps from procps"):
        assert f"\n{line}" in said


def test_the_agent_may_install_packages_beside_debians(agent_image: str) -> None:
    options = ("--user", "1000:1000", "--env", "HOME=/tmp")
    pip = ("python3", "-m", "pip", "install", "--no-index", "nothing-of-this-name")
    said = run_once(agent_image, *pip, options=options, status=1)
    assert "externally-managed-environment" not in said
    assert "No matching distribution" in said
