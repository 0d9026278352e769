"""The gate and the package index behind it, with the real pip, in both modes."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sm.sandbox.faults import Faults
from sm.sandbox.network import netns
from sm.sandbox.network.gate import NOWHERE, Gate, Mode
from sm.sandbox.network.index import HOSTS, PackageIndex, build_wheel
from sm.sandbox.network.names import Names
from sm.sandbox.network.netns import NamespaceUnavailableError
from sm.sandbox.opnsense.peer import OPNsensePeer

ROOT = os.geteuid() == 0 and shutil.which("ip") is not None
MODES = [
    pytest.param("namespace", marks=pytest.mark.skipif(not ROOT, reason="needs root and iproute2")),
    "proxy",
]


@pytest.fixture(scope="module")
def pip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The pip of a real virtual environment of its own."""
    folder = tmp_path_factory.mktemp("venv")
    clean = {"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": "/dev/null", "HOME": str(folder)}
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(folder)], env=clean, capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("python3-venv is not installed")
    return str(folder / "bin" / "pip")


@pytest.fixture(params=MODES)
async def gate(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Gate]:
    mode: Mode = request.param
    gate = Gate(tmp_path / "gate", Names(), mode=mode)
    try:
        await gate.start()
    except NamespaceUnavailableError as error:
        pytest.skip(f"the kernel refuses: {error}")
    index = PackageIndex()
    await index.start()
    for host in HOSTS:
        gate.serve(host, index.port)
    yield gate
    await gate.stop()
    await index.stop()


async def inside(gate: Gate, *argv: str, **environment: str) -> tuple[int, str, float]:
    """Run a command as a container would be: its exit status, what it printed, and the seconds it took."""
    command = list(argv)
    if gate.mode == "namespace":
        script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
        command = ["unshare", "-m", "sh", "-c", script, "sh", str(gate.hosts_file), *command]
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *gate.wrap(command),
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **gate.environment, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, output.decode(), time.monotonic() - began


async def curl(gate: Gate, url: str, *options: str, limit_s: float = 10) -> int:
    """The exit status of curl: 0 reached, 28 no answer in time."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    status, _, _ = await inside(gate, "curl", "-sS", "-m", str(limit_s), *options, url)
    return status


async def reached(gate: Gate, url: str) -> bool:
    return await curl(gate, url) == 0


async def unanswered(gate: Gate, url: str) -> bool:
    return await curl(gate, url, limit_s=0.3) == 28


def ip_netns(*args: str) -> str:
    return subprocess.run(["ip", "netns", *args], capture_output=True, text=True, check=True).stdout


def opened(gate: Gate, *names: str) -> frozenset[str]:
    return frozenset(address for name in names for address in gate.names.lookup(name))


async def test_pip_times_out_until_pypi_is_in_the_table_and_installs_then(gate: Gate, pip: str) -> None:
    await gate.table_changed(opened(gate, "api.anthropic.com"))
    status, output, took_s = await inside(
        gate, pip, "install", "-vv", "--force-reinstall", "--no-cache-dir", "pytest"
    )
    assert status == 1
    assert "timed out" in output
    assert "No matching distribution found for pytest" in output
    assert 2 <= took_s < 20

    await gate.table_changed(opened(gate, "api.anthropic.com", "pypi.org"))
    status, output, _ = await inside(gate, pip, "install", "--no-cache-dir", "--force-reinstall", "pytest")
    assert status == 0, output
    assert "Successfully installed pytest-8.0.0" in output.splitlines()

    status, output, _ = await inside(gate, str(Path(pip).with_name("pytest")), "--version")
    assert (status, output) == (0, "pytest 8.0.0\n")


async def test_the_gate_follows_what_the_firewall_has_applied(gate: Gate) -> None:
    firewall = OPNsensePeer(Faults(), gate.names, key="key", secret="secret", on_table=gate.table_changed)
    await firewall.start()
    try:
        assert gate.table == opened(gate, "api.anthropic.com")
        await firewall.actions["opnsense/edit"]({"add": ["example.org"], "apply": False})
        assert await unanswered(gate, "https://example.org/")
        await firewall.actions["opnsense/edit"]({"add": []})
        assert await reached(gate, "https://example.org/")
        assert await reached(gate, "https://api.anthropic.com/")
    finally:
        await firewall.stop()


async def test_what_is_not_in_the_table_gets_no_answer_at_all(gate: Gate) -> None:
    assert await unanswered(gate, "https://example.com/")


async def test_what_leaves_the_table_is_shut_again(gate: Gate) -> None:
    await gate.table_changed(opened(gate, "example.com"))
    assert await reached(gate, "https://example.com/")
    await gate.table_changed(frozenset())
    assert await unanswered(gate, "https://example.com/")


async def test_only_port_443_of_an_open_address_passes(gate: Gate) -> None:
    await gate.table_changed(opened(gate, "example.com"))
    assert await unanswered(gate, "http://example.com/")
    assert await unanswered(gate, "https://example.com:8443/")


async def test_a_shared_address_opens_every_name_that_has_it(gate: Gate) -> None:
    await gate.table_changed(opened(gate, "registry.npmjs.org"))
    assert await reached(gate, "https://cdn.example.com/")


async def test_a_name_that_moved_is_blocked_until_the_table_follows(gate: Gate) -> None:
    await gate.table_changed(opened(gate, "example.com"))
    gate.names.set("example.com", ["192.175.48.200"])
    assert await unanswered(gate, "https://example.com/")
    await gate.table_changed(opened(gate, "example.com"))
    assert await reached(gate, "https://example.com/")


async def test_an_open_address_serves_only_names_that_live_there(gate: Gate) -> None:
    if gate.mode == "proxy":
        pytest.skip("the proxy decides by name")
    await gate.table_changed(opened(gate, "pypi.org"))
    fronted = f"github.com:443:{gate.names.lookup('pypi.org')[0]}"
    assert await curl(gate, "https://github.com/", "--resolve", fronted) not in {0, 28}


async def test_the_box_reaches_no_port_of_this_machine(gate: Gate) -> None:
    if gate.mode == "proxy":
        pytest.skip("the proxy shares the machine's loopback")
    reached = asyncio.Event()
    server = await asyncio.start_server(lambda _reader, _writer: reached.set(), "0.0.0.0", 0)
    port = server.sockets[0].getsockname()[1]
    for address in ("127.0.0.1", netns.BOX_ADDRESS, "192.0.2.1"):
        assert await curl(gate, f"http://{address}:{port}/", limit_s=0.3) in {7, 28}
    assert not reached.is_set()
    server.close()


async def test_public_addresses_are_told_only_where_they_cannot_be_reached(gate: Gate) -> None:
    """The names' addresses are somebody's outside: where no namespace holds a program, it is told of nowhere instead."""
    rows = [line.split()[0] for line in gate.hosts_file.read_text().splitlines()[1:]]
    if gate.mode == "namespace":
        assert set(rows) == {
            one for name in gate.names.table() for one in gate.names.lookup(name) if ":" not in one
        }
        links = subprocess.run(
            ["ip", "-o", "-n", gate.wrap([])[1].rpartition("/")[2].replace("-box", "-net"), "link"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert {line.split()[1].partition("@")[0].rstrip(":") for line in links.splitlines()} == {
            "lo",
            "up0",
            "hole0",
        }
    else:
        assert set(rows) == {NOWHERE}
        gate.names.set("new.example", ["192.175.48.9"])
        assert f"{NOWHERE} new.example\n" in gate.hosts_file.read_text()


async def test_standard_input_and_the_exit_status_pass_through(gate: Gate) -> None:
    process = await asyncio.create_subprocess_exec(
        *gate.wrap(["sh", "-c", "read line; echo got $line; exit 7"]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(b"a line\n")
    assert (process.returncode, output) == (7, b"got a line\n")


async def test_stopping_leaves_no_namespace(gate: Gate) -> None:
    await gate.stop()
    if shutil.which("ip") is not None:
        assert f"-{os.getpid()}-" not in ip_netns("list")


@pytest.mark.skipif(not ROOT, reason="needs root and iproute2")
async def test_namespaces_of_a_dead_run_are_removed_and_those_of_a_living_one_stay(tmp_path: Path) -> None:
    dead = f"{netns.PREFIX}-{netns.pid_namespace()}-{os.getpid()}-1-0-box"
    foreign = f"{netns.PREFIX}-1-{os.getpid()}-1-0-box"
    living = Gate(tmp_path / "one", Names(), mode="namespace")
    try:
        await living.start()
    except NamespaceUnavailableError as error:
        pytest.skip(f"the kernel refuses: {error}")
    for name in (dead, foreign):
        ip_netns("add", name)
    try:
        other = Gate(tmp_path / "two", Names(), mode="namespace")
        await other.start()
        left = ip_netns("list")
        await other.stop()
        assert dead not in left
        assert foreign in left
        status, _, _ = await inside(living, "true")
        assert status == 0
    finally:
        await living.stop()
        ip_netns("del", foreign)


async def test_without_namespaces_the_proxy_stands_in_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    gate = Gate(tmp_path, Names())
    await gate.start()
    try:
        assert gate.mode == "proxy"
        assert "not root" in gate.description
        assert gate.wrap(["true"]) == ["true"]
        assert gate.environment["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    finally:
        await gate.stop()


async def test_a_gate_that_must_have_namespaces_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _tool: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(NamespaceUnavailableError, match="no `ip` on this machine"):
        await Gate(tmp_path, Names(), mode="namespace").start()


def test_the_wheel_is_the_same_each_time() -> None:
    assert build_wheel() == build_wheel()
