"""What the stand-in keeps on disk: the engine's settings, and a record for each container.

Layout of the engine's folder: `config.json` (the sandbox writes it), `lock`, and `containers/<id>/` with `record.json`
(fixed when the container is created) and `state.json` (replaced as a whole with each change).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import attrs
from attrs import field, frozen


@frozen
class Engine:
    """What the sandbox tells the stand-in. Paths are absolute.

    `state` is hidden from containers, `visible` are the paths outside the system's folders that the image needs
    (mounted read-only at the same place). `mounts`, `pids`, `nets` say which namespaces the kernel allows.
    """

    state: str
    images: tuple[str, ...]
    networks: tuple[str, ...]
    environment: dict[str, str]
    gate_prefix: tuple[str, ...] = ()
    hosts_file: str = ""
    visible: tuple[str, ...] = ()
    mounts: bool = False
    pids: bool = False
    nets: bool = False

    @classmethod
    def load(cls, folder: Path) -> Engine:
        """Read the settings. Raises `OSError` when the sandbox never wrote them."""
        return cls(**_read(folder / "config.json"))

    def save(self, folder: Path) -> None:
        """Write the settings for the commands to come."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "config.json", attrs.asdict(self))


@frozen
class Mount:
    """A bind of `source` on the host to `target` in the container."""

    source: str
    target: str
    read_only: bool = False


@frozen
class Record:
    """A container as it was asked for. `argv` is entry point, command and arguments."""

    id: str
    name: str
    runtime: str
    image: str
    created_s: float
    argv: tuple[str, ...]
    labels: dict[str, str] = field(factory=dict[str, str])
    environment: dict[str, str] = field(factory=dict[str, str])
    mounts: tuple[Mount, ...] = ()
    tmpfs: tuple[str, ...] = ()
    workdir: str = ""
    network: str = ""
    user: str = ""
    ulimits: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()
    read_only: bool = False
    interactive: bool = False
    remove: bool = False
    init: bool = False
    drop_caps: bool = False
    no_new_privileges: bool = False


@frozen
class State:
    """Where a container is in its life. `pid` is its first process as the host sees it, 0 before and after."""

    status: str = "created"
    exit_code: int = 0
    pid: int = 0
    pid_start: str = ""
    monitor: int = 0
    error: str = ""


class Store:
    """The records below one engine's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.containers = folder / "containers"
        self.containers.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the one lock under which names are given and records appear and go."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def path(self, container_id: str) -> Path:
        """The folder of one container."""
        return self.containers / container_id

    def add(self, record: Record) -> None:
        """Write a new container's record; its state is `created`."""
        folder = self.path(record.id)
        folder.mkdir()
        write_json(folder / "state.json", attrs.asdict(State()))
        write_json(folder / "record.json", attrs.asdict(record))

    def records(self) -> list[Record]:
        """All containers, the oldest first."""
        found: list[Record] = []
        for folder in self.containers.iterdir():
            try:
                found.append(self.record(folder.name))
            except (OSError, ValueError):
                continue  # being made or removed right now
        return sorted(found, key=lambda record: record.created_s)

    def record(self, container_id: str) -> Record:
        """One container's record. Raises `OSError` when there is none."""
        plain = _read(self.path(container_id) / "record.json")
        plain["mounts"] = tuple(Mount(**mount) for mount in plain["mounts"])
        return Record(**plain)

    def find(self, wanted: str) -> Record | None:
        """The container of this full name, or whose id begins so."""
        records = self.records()
        for record in records:
            if wanted in (record.name, record.id):
                return record
        matching = [record for record in records if wanted and record.id.startswith(wanted)]
        return matching[0] if len(matching) == 1 else None

    def state(self, record: Record) -> State:
        """The state, corrected when the process that was running is gone without anybody having noted it.

        That is what a reboot leaves: podman then says `created 0`, docker `exited 255` (both observed).
        """
        try:
            state = State(**json.loads((self.path(record.id) / "state.json").read_text()))
        except (OSError, ValueError):
            return State(status="removing")
        if (
            state.status != "running"
            or is_alive(state.monitor)
            or process_start(state.pid) == state.pid_start
        ):
            return state
        return (
            State(status="exited", exit_code=255) if record.runtime == "docker" else State(status="created")
        )

    def set_state(self, container_id: str, state: State) -> None:
        """Replace the state as a whole; a container that was removed meanwhile stays removed."""
        if self.path(container_id).is_dir():
            write_json(self.path(container_id) / "state.json", attrs.asdict(state))

    def remove(self, container_id: str) -> None:
        """Forget a container."""
        shutil.rmtree(self.path(container_id), ignore_errors=True)


def write_json(path: Path, value: object) -> None:
    """Write a file so that a reader sees the old or the new content, never a part."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(value))
    part.replace(path)


def process_start(pid: int) -> str:
    """When a process began, in clock ticks since boot; empty when there is none (or only a zombie is left)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def is_alive(pid: int) -> bool:
    """Whether a process of that id runs."""
    return pid > 0 and process_start(pid) != ""


def _read(path: Path) -> dict[str, Any]:
    """Fields of a class that was written by `write_json`; its tuples are tuples again."""
    plain = cast("dict[str, Any]", json.loads(path.read_text()))
    return {
        key: tuple(cast("list[Any]", value)) if isinstance(value, list) else value
        for key, value in plain.items()
    }
