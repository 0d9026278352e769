"""The sandbox's podman and docker answer what the real ones answer to each line of `runtime_table`: a kinder one fails here."""

from __future__ import annotations

import difflib
import itertools
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from need import STATE, USER, needs
from runtime_sides import Side, own, real, stand_in
from runtime_table import BOTH, CASES, Case

from sm.vm.remote import script

pytestmark = pytest.mark.timeout(120)
SOCKET = Path("/run/session-manager-peers-table.sock")
RUNTIMES = [pytest.param(runtime, marks=needs(runtime)) for runtime in BOTH]
SCRIPTS = sorted(path.stem for path in Path(__file__).parents[2].joinpath("sm/vm/scripts").glob("*.sh"))


@pytest.fixture(scope="module")
def folder(machine: None) -> Iterator[Path]:
    """A folder of the VM's user, closed to nobody else; what containers and processes are left afterwards end with it."""
    made = Path(tempfile.mkdtemp(prefix="runtimes-", dir=Path("~" + USER).expanduser()))
    made.chmod(0o755)
    own(made, USER)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def played_in(folder: Path) -> Side:
    return stand_in(USER, folder / "sandbox")


@pytest.fixture(scope="module")
def real_podman(folder: Path) -> Iterator[Side]:
    conf = folder / "containers.conf"
    conf.write_text(
        '[containers]\ndefault_ulimits = ["nproc=4096:4096", "nofile=4096:4096"]\n[engine]\nruntime = "runc"\n'
    )
    side = real(USER, folder / "podman", {"CONTAINERS_CONF": str(conf)})
    side.execute(["podman", "system", "migrate"])
    yield side
    side.execute(["podman", "rm", "--all", "--force", "--time", "0"])


@pytest.fixture(scope="module")
def real_docker(folder: Path) -> Iterator[Side]:
    """A daemon in a network namespace of its own, with a bridge network `isolated` as the VM has it."""
    group = folder.stat().st_gid
    with (folder / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(
            ["unshare", "--net", "dockerd", "--data-root", str(STATE / "docker"), "--exec-root", str(folder / "exec"),
             "--pidfile", str(folder / "dockerd.pid"), "--host", f"unix://{SOCKET}", "--group", str(group),
             "--storage-driver=overlay2", "--iptables=false", "--ip6tables=false", "--bridge=none"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    side = real(USER, folder / "docker", {"DOCKER_HOST": f"unix://{SOCKET}"})
    deadline = time.monotonic() + 40
    while side.execute(["docker", "info"]).returncode:
        assert daemon.poll() is None, (folder / "dockerd.log").read_text()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    side.execute(["docker", "network", "rm", "isolated"])
    assert side.execute(["docker", "network", "create", "isolated"]).returncode == 0
    yield side
    side.execute(["docker", "network", "rm", "isolated"])
    daemon.terminate()
    daemon.wait(30)


@pytest.fixture
def players(request: pytest.FixtureRequest, runtime: str, played_in: Side) -> tuple[Side, Side]:
    return request.getfixturevalue(f"real_{runtime}"), played_in


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_stand_in_answers_as_the_real_one_does(players: tuple[Side, Side], runtime: str) -> None:
    """All cases in one test, several at a time: each container's start is mostly waiting."""
    cases = [case for case in CASES if runtime in case.runtimes]

    def both(case: Case) -> tuple[Case, str, str]:
        return case, *(side.play(case, runtime) for side in players)

    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        played = list(pool.map(both, cases))
    wrong = [_told(case, *sides) for case, *sides in played if not case.differs and sides[0] != sides[1]]
    assert not wrong, "\n\n".join(wrong)
    alike = [case.name for case, *sides in played if case.differs and sides[0] == sides[1]]
    assert not alike, f"these need no excuse any more: {alike}"


def _told(case: Case, really: str, played: str) -> str:
    lines = difflib.unified_diff(
        really.split("\n"), played.split("\n"), "real", "stand-in", n=20, lineterm=""
    )
    return f"== {case.name}\n" + "\n".join(line for line in itertools.islice(lines, 2, None))


def test_every_command_and_option_of_our_scripts_is_in_the_table() -> None:
    table = "\n".join(step.line for case in CASES for step in case.steps)
    known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", table)) | {"--userns", "--user"}
    commands = {
        step.line.split()[0] for case in CASES for step in case.steps if not step.line.startswith("!")
    }
    lacking: list[str] = []
    for name in SCRIPTS:
        for line in _runtime_lines(script(name)):
            words = line.split()
            lacking += [f"{name}: {words[0]}"] if words and words[0] not in commands else []
            lacking += [
                f"{name}: {option}"
                for option in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", line)
                if option not in known
            ]
    assert not lacking


def _runtime_lines(text: str) -> list[str]:
    """What follows `rt SECONDS`, and the arrays of options for `run`."""
    joined = text.replace("\\\n", " ")
    called = re.findall(r'(?<![\w-])rt (?:\d+|"\$\w+") ([a-z].*)', joined)
    arrays = re.findall(r"(?:run|limits|extra|user)\+?=\(([^)]*)\)", joined)
    return [_options(line) for line in (*called, *(f"run {array}" for array in arrays))]


def _options(line: str) -> str:
    """A line up to where the container's own command begins, or the shell's next word."""
    text = re.split(r'"\$image"|"\$@"| sh -c |[|;&<>)]', line.replace("\n", " "))[0]
    return text.replace("run run ", "run ").strip()
