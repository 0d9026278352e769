"""Which real peers are on this machine. A test names those it needs; one that is missing skips it and says how to get it.

    pytestmark = needs("sshd", "podman", "claude")

With `SM_TEST_REQUIRE=sshd,podman,docker,claude` in the environment a missing one of those is a failure.
"""

from __future__ import annotations

import functools
import os
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

STATE = Path("/var/lib/session-manager-peers")
USER = "sm-vm"
CLI_VERSION = "2.1.197"
HOW = "`sudo scripts/real-peers` installs and prepares it"


def needs(*peers: str) -> pytest.MarkDecorator:
    """Mark a module or a test with the real peers that it needs."""
    assert set(peers) <= set(PEERS), peers
    return pytest.mark.needs(*peers)


def enforce(node: pytest.Item | pytest.Collector) -> None:
    """Skip, or fail for what SM_TEST_REQUIRE names, when a peer that this node needs is missing."""
    wanted = {name for mark in node.iter_markers("needs") for name in mark.args}
    lacks = {name: why for name in sorted(wanted) if (why := missing(name))}
    if not lacks:
        return
    text = "; ".join(f"needs a real {name}: {why} ({HOW})" for name, why in lacks.items())
    if lacks.keys() & required():
        pytest.fail(f"SM_TEST_REQUIRE: this test {text}", pytrace=False)
    pytest.skip(text)


def required() -> frozenset[str]:
    """What SM_TEST_REQUIRE names. A name that is no peer is a mistake, and fails."""
    names = {name.strip() for name in os.environ.get("SM_TEST_REQUIRE", "").split(",")} - {""}
    unknown = names - set(PEERS)
    if unknown:
        pytest.fail(
            f"SM_TEST_REQUIRE names {', '.join(sorted(unknown))}, which is no real peer", pytrace=False
        )
    return frozenset(names)


@functools.cache
def missing(name: str) -> str:
    """Why this peer cannot be had here; empty when it can."""
    return PEERS[name]()


def _programs(*names: str) -> str:
    path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    lacking = [name for name in names if shutil.which(name, path=path) is None]
    return f"{', '.join(lacking)} not installed" if lacking else ""


def _user() -> str:
    if os.geteuid() != 0:
        return "only root can log in as another user, and make the network that the VM is in"
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return f"there is no user {USER}"
    return _programs("ip", "nsenter")


def _sshd() -> str:
    return _user() or _programs("sshd", "ssh-keygen")


def _podman() -> str:
    tools = _user() or _programs("podman", "runc", "newuidmap", "slirp4netns", "iptables", "nft", "catatonit")
    tunnel = Path("/dev/net/tun")
    if not tools and not (tunnel.exists() and tunnel.stat().st_mode & 0o006 == 0o006):
        return f"{tunnel} is not open to users, as udev has it"
    return tools or ("" if (STATE / "podman.stamp").exists() else "its image is not made")


def _docker() -> str:
    tools = _user() or _programs("dockerd", "docker")
    return tools or ("" if (STATE / "docker.stamp").exists() else "its image is not made")


def _claude() -> str:
    version = STATE / "claude.version"
    if not version.exists():
        return "it is not here"
    found = version.read_text().strip()
    return "" if found == CLI_VERSION else f"{found} is here, {CLI_VERSION} is wanted"


PEERS: dict[str, Callable[[], str]] = {
    "sshd": _sshd,
    "podman": _podman,
    "docker": _docker,
    "claude": _claude,
}
