"""The file system that a container sees: the host's programs read-only, its own mounts, nothing else of the host."""

from __future__ import annotations

import os
from pathlib import Path

from sm.sandbox.vm.container import kernel
from sm.sandbox.vm.container.store import Engine, Record

# The folders of a Linux system that hold programs and their settings; homes, /var, /tmp and the like stay outside.
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "opt", "nix", "sys", "dev")
_EMPTY = ("tmp", "run", "var", "var/tmp", "root", "home", "workspace", "mnt", "srv")
_READ_ONLY_TMPFS = ("/tmp:mode=1777", "/run:mode=755", "/var/tmp:mode=1777")  # noqa: S108 - inside the container
# option that lifts a flag that `--tmpfs` has by itself → the flag
_LIFTED = {"exec": kernel.MS_NOEXEC, "suid": kernel.MS_NOSUID, "dev": kernel.MS_NODEV}
_SET = {
    "noexec": kernel.MS_NOEXEC,
    "nosuid": kernel.MS_NOSUID,
    "nodev": kernel.MS_NODEV,
    "ro": kernel.MS_RDONLY,
}


def enter(engine: Engine, record: Record, root: Path) -> None:
    """Build the container's root at the folder `root` and move into it. Raises `OSError` when a mount fails.

    For a process alone in a new mount namespace.
    """
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", str(root), "tmpfs", options="mode=755")
    _system(root)
    hidden = _inside(root, engine.state)
    if hidden.exists():
        kernel.mount("tmpfs", str(hidden), "tmpfs", options="mode=755")
    for spec in _tmpfs(record):
        _mount_tmpfs(root, spec, runs=record.runtime != "docker")
    for path in engine.visible:  # after the empty places: the image itself may lie below /tmp on the host
        if Path(path).exists():
            _bind(path, root, path, read_only=True)
    for mount in sorted(record.mounts, key=lambda mount: mount.target.count("/")):
        _bind(mount.source, root, mount.target, read_only=mount.read_only)
    if engine.hosts_file and (root / "etc/hosts").exists():
        kernel.bind(engine.hosts_file, str(root / "etc/hosts"), read_only=True)
    if record.workdir and record.runtime == "docker":
        _make_folder(_inside(root, record.workdir))
    _take_from_user(root, record)
    if record.read_only:
        kernel.mount("none", str(root), flags=kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY)
    kernel.become_root(str(root))


def _system(root: Path) -> None:
    for name in _SYSTEM:
        source, target = Path("/") / name, root / name
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_dir():
            target.mkdir()
            kernel.bind(str(source), str(target), read_only=name != "dev")
    if (root / "dev/shm").is_dir():  # the host's own is everybody's
        flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        kernel.mount("tmpfs", str(root / "dev/shm"), "tmpfs", flags, "size=64m,mode=1777")
    for name in _EMPTY:
        (root / name).mkdir()
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    (root / "proc").mkdir()
    try:
        kernel.mount(
            "proc", str(root / "proc"), "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        )
    except OSError:
        kernel.bind("/proc", str(root / "proc"), read_only=False)  # where a part of the host's own is masked


def _take_from_user(root: Path, record: Record) -> None:
    """The image's folders are root's: nobody else writes in them."""
    if os.getuid() == 0 and record.user.partition(":")[0] in ("", "0"):
        return
    mounted = {mount.target for mount in record.mounts} | {spec.partition(":")[0] for spec in record.tmpfs}
    for name in ("", *_EMPTY):
        if name not in ("tmp", "var/tmp") and f"/{name}" not in mounted:
            (root / name).chmod(0o555)


def _tmpfs(record: Record) -> list[str]:
    """What `--tmpfs` says; podman adds its own to a read-only container (`--read-only-tmpfs` is its default)."""
    named = [spec.partition(":")[0] for spec in record.tmpfs]
    own = _READ_ONLY_TMPFS if record.read_only and record.runtime != "docker" else ()
    return [spec for spec in own if spec.partition(":")[0] not in named] + list(record.tmpfs)


def _mount_tmpfs(root: Path, spec: str, *, runs: bool) -> None:
    """Rootless podman 4.3 lets programs run there unless told otherwise, docker does not (both observed)."""
    target, _, options = spec.partition(":")
    flags, data = kernel.MS_NOSUID | kernel.MS_NODEV | (0 if runs else kernel.MS_NOEXEC), list[str]()
    for option in filter(None, options.split(",")):
        if option.partition("=")[0] in ("size", "mode", "uid", "gid", "nr_inodes"):
            data.append(option)
        else:
            flags &= ~_LIFTED.get(option, 0)
            flags |= _SET.get(option, 0)
    folder = _inside(root, target)
    _make_folder(folder)
    kernel.mount("tmpfs", str(folder), "tmpfs", flags, ",".join(data))


def _bind(source: str, root: Path, target: str, *, read_only: bool) -> None:
    place = _inside(root, target)
    if Path(source).is_dir():
        _make_folder(place)
    elif not place.exists():
        _make_folder(place.parent)
        place.touch()
    kernel.bind(source, str(place), read_only=read_only)


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _inside(root: Path, path: str) -> Path:
    """Where a path of the container lies below `root`, its symbolic links read as the container will read them."""
    place = root
    for part in Path(path).parts[1:]:
        place /= part
        if place.is_symlink():
            link = place.readlink()
            place = _inside(root, str(link)) if link.is_absolute() else place.parent / link
    return place
