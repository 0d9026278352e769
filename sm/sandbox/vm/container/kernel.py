"""The few system calls that Python 3.11 has no function for: namespaces, mounts, capabilities (Linux only)."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import socket
import struct
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

_MNT_DETACH = 2
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 1
_SYS_MOUNT_SETATTR = 442  # the same number on every architecture
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave namespaces. Raises `OSError` where the kernel does not allow it."""
    _check(_libc.unshare(flags), "unshare")


def enter_user_namespace(flags: int) -> None:
    """A user namespace of one user, oneself (as `--userns=keep-id`), and `flags` with it. Raises `OSError`."""
    uid, gid = os.getuid(), os.getgid()
    unshare(CLONE_NEWUSER | flags)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def raise_loopback() -> None:
    """Switch the loopback device of a new network namespace on. Raises `OSError`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        fcntl.ioctl(one, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))


def set_network(text: str) -> None:
    """`net.NAME=VALUE` for this process's network namespace. Raises `OSError`; other settings are nobody's business here."""
    name, _, value = text.partition("=")
    if name.startswith("net."):
        Path("/proc/sys", name.replace(".", "/")).write_text(value)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Put a file system, or a bind of another one, in its place. Raises `OSError`."""
    _check(
        _libc.mount(source.encode(), target.encode(), kind.encode() or None, flags, options.encode() or None),
        f"mount {source} on {target}",
    )


def bind(source: str, target: str, *, read_only: bool) -> None:
    """Show `source` at `target` too, with everything mounted below it. Raises `OSError`."""
    mount(source, target, flags=MS_BIND | MS_REC)
    if read_only:
        make_read_only(target)


def make_read_only(target: str) -> None:
    """Forbid writing to a mount and all below it; before Linux 5.12 to the mount alone. Raises `OSError`."""
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    done = _libc.syscall(
        _SYS_MOUNT_SETATTR, _AT_FDCWD, target.encode(), _AT_RECURSIVE, attributes, ctypes.sizeof(attributes)
    )
    if done != 0:
        mount("none", target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY)


def become_root(folder: str) -> None:
    """Make a mounted folder the root of this process's mount namespace. Raises `OSError`."""
    os.chdir(folder)
    number = _SYS_PIVOT_ROOT.get(platform.machine())
    if number is None:
        os.chroot(".")
    else:
        _check(_libc.syscall(number, b".", b"."), f"pivot_root {folder}")
        _check(_libc.umount2(b".", _MNT_DETACH), "umount of the old root")
    os.chdir("/")


def die_with_parent(signal_number: int) -> None:
    """Get this signal when the parent ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "PR_SET_PDEATHSIG")


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent ends."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "PR_SET_CHILD_SUBREAPER")


def drop_capabilities() -> None:
    """Let no program started from here have any capability, root's included."""
    for number in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            break


def allow_no_new_privileges() -> None:
    """Let no program started from here gain privileges."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
