"""podman for the tests of the images: whether it is here, a base without a registry, builds, one container of the service."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import pytest
from attrs import define, field

ROOT = Path(__file__).parents[2]
SUITE = "bookworm"
# Kept from run to run, so that only what changed is built again; `podman image rm` them when they are in the way.
BASE = f"localhost/session-manager-tests/base:{SUITE}"
SERVICE = "localhost/session-manager-tests/service"
AGENT = "localhost/session-manager-tests/agent"
HOW = "`sudo apt-get install podman runc netavark iptables catatonit debootstrap` brings it; the tests run as root"
# A box without CAP_SYS_RESOURCE cannot raise its limits to podman's defaults.
LIMITS = ("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096")
TRUST = Path("/etc/ssl/certs")


def podman_or_skip() -> None:
    """Skip where images can't be built; fail there when SM_TEST_REQUIRE names podman."""
    missing = [name for name in ("podman", "runc", "iptables") if shutil.which(name) is None]
    if os.geteuid() != 0:
        missing = ["root"]
    elif not missing and not podman_has(BASE) and shutil.which("debootstrap") is None:
        missing = ["debootstrap"]
    elif not missing:
        works = subprocess.run(["podman", "info"], capture_output=True, text=True, check=False)
        missing = [] if works.returncode == 0 else [f"a podman that works ({works.stderr.strip()[-300:]})"]
    if not missing:
        return
    text = f"building the images needs {', '.join(missing)}: {HOW}"
    if "podman" in os.environ.get("SM_TEST_REQUIRE", "").replace(" ", "").split(","):
        pytest.fail(f"SM_TEST_REQUIRE: {text}", pytrace=False)
    pytest.skip(text)


def podman(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    within_s: float = 60,
    status: int = 0,
) -> str:
    """Run podman; answers what it printed. Fails the test with all of it when the status is another."""
    done = subprocess.run(
        ["podman", *arguments], env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=within_s,
    )  # fmt: skip
    said = f"podman {arguments[0]} ended with {done.returncode}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == status, said
    return done.stdout.strip() if status == 0 else f"{done.stdout}\n{done.stderr}".strip()


def run_once(image: str, *command: str, options: tuple[str, ...] = (), status: int = 0) -> str:
    """Run a command in a container of its own without a network; as `podman`."""
    return podman("run", "--rm", "--network", "none", *LIMITS, *options, image, *command, status=status)


def podman_has(image: str) -> bool:
    return subprocess.run(["podman", "image", "exists", image], check=False).returncode == 0


def base() -> str:
    """A small Debian with Python and certificates, as any registry's would be; made once with debootstrap."""
    if podman_has(BASE):
        return BASE
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        command = ["debootstrap", "--variant=minbase", "--include=ca-certificates,python3", SUITE, root]
        made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert made.returncode == 0, made.stdout[-2000:]
        packed = Path(folder) / "root.tar"
        subprocess.run(["tar", "-C", root, "--exclude=./dev/*", "-cf", packed, "."], check=True)
        podman("import", packed, BASE, within_s=120)
    return BASE


def build(tag: str, *arguments: str | Path) -> str:
    """Build from the local base, with this machine's own trust in certificates."""
    trust = ["-v", f"{TRUST}:{TRUST}:ro"] if TRUST.is_dir() else []
    podman("build", *LIMITS, *trust, "--build-arg", f"BASE={base()}", "-t", tag, *arguments, within_s=800)
    return tag


@define
class ServiceContainer:
    """The service from its image, as locked up as in Kubernetes, on this machine's network."""

    name: str
    variables: Mapping[str, str] = field(repr=False)
    """As `sm sandbox` hands them out; the journal lies where the image has it."""

    def __enter__(self) -> Self:
        podman("volume", "create", self.name)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
        subprocess.run(["podman", "volume", "rm", "-f", self.name], capture_output=True, check=False)

    def start(self) -> None:
        """Start it; secrets go by the environment, not by arguments."""
        settings = {
            name: value
            for name, value in self.variables.items()
            if name.startswith("SM_") and name != "SM_JOURNAL"
        }
        named = [argument for name in settings for argument in ("--env", name)]
        podman(
            "run", "--detach", "--name", self.name, "--network", "host", "--log-driver", "k8s-file", *LIMITS,
            "--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp", "--cap-drop", "all",
            "--security-opt", "no-new-privileges", "--volume", f"{self.name}:/var/lib/session-manager", *named, SERVICE,
            environment=settings,
        )  # fmt: skip

    def inside(self, *command: str, status: int = 0) -> str:
        """Run a command in it, as its user."""
        return podman("exec", self.name, *command, status=status)

    def said(self) -> str:
        """What it printed."""
        done = subprocess.run(["podman", "logs", self.name], capture_output=True, text=True, check=False)
        return f"{done.stdout}\n{done.stderr}"[-4000:]

    def ready(self, within_s: float = 40) -> None:
        """Wait until it says that it is ready."""
        url = f"http://{self.variables['SM_LISTEN_ADDR']}/ready"
        self._until(lambda: _answers(url), f"{url} answers", within_s)

    def _until(self, look: Callable[[], bool], what: str, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not look():
            state = podman("inspect", "--format", "{{.State.Status}}", self.name)
            assert state == "running", self.said()
            assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}\n{self.said()}"
            time.sleep(0.1)

    def stop(self) -> int:
        """Ask it to stop, as Kubernetes does; answers its exit status."""
        podman("stop", "--time", "15", self.name)
        return int(podman("inspect", "--format", "{{.State.ExitCode}}", self.name))

    def remove(self) -> None:
        """Take it away; its volume stays."""
        subprocess.run(["podman", "rm", "-f", "-t", "0", self.name], capture_output=True, check=False)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
