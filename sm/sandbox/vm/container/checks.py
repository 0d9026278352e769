"""What the values of `run`'s options must look like, and how each runtime refuses another (podman 4.3 and docker 20.10, observed)."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable
from typing import Final

from sm.sandbox.vm.container.arguments import RunArguments
from sm.sandbox.vm.container.wording import RefusedError, daemon, usage

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_SIZE = re.compile(r"\d+(\.\d+)? ?([kmgtp]i?)?b?", re.IGNORECASE)
_SYSCTL = re.compile(r"(net|fs\.mqueue)\.[\w./-]+|kernel\.(msg|sem|shm)\w*")
_COUNT = re.compile(r"-?\d+")
_TMPFS = re.compile(
    r"(size|mode|uid|gid|nr_inodes)=[\w%]+|(no)?(exec|suid|dev|atime|diratime)|ro|rw|r?private|r?shared|r?slave"
)
_ULIMITS: Final = {
    name.removeprefix("RLIMIT_").lower() for name in dir(resource) if name.startswith("RLIMIT_")
} | {"locks"}
_USERNS: Final = re.compile(r"|host|auto(:.*)?|keep-id(:.*)?|nomap|private|ns:.+|container:.+")
_CAPABILITIES: Final = frozenset(
    [
        "all",
        "chown",
        "dac_override",
        "dac_read_search",
        "fowner",
        "fsetid",
        "kill",
        "setgid",
        "setuid",
        "setpcap",
        "linux_immutable",
        "net_bind_service",
        "net_broadcast",
        "net_admin",
        "net_raw",
        "ipc_lock",
        "ipc_owner",
        "sys_module",
        "sys_rawio",
        "sys_chroot",
        "sys_ptrace",
        "sys_pacct",
        "sys_admin",
        "sys_boot",
        "sys_nice",
        "sys_resource",
        "sys_time",
        "sys_tty_config",
        "mknod",
        "lease",
        "audit_write",
        "audit_control",
        "setfcap",
        "mac_override",
        "mac_admin",
        "syslog",
        "wake_alarm",
        "block_suspend",
        "audit_read",
        "perfmon",
        "bpf",
        "checkpoint_restore",
    ]
)


def check(runtime: str, parsed: RunArguments) -> None:
    """Look at every value. Raises `RefusedError` for the first that the runtime does not take."""
    for option, look in _LOOKS.items():
        for value in parsed.all(option):
            if (refused := look(runtime, value)) is not None:
                raise refused


def _flag(runtime: str, flag: str, value: str, why: str) -> RefusedError:
    return usage(runtime, "run", f'invalid argument "{value}" for "{flag}" flag: {why}')


def _variable(runtime: str, value: str) -> RefusedError | None:
    if runtime != "docker" or value.partition("=")[0]:
        return None
    return _flag(runtime, "-e, --env", value, f"invalid environment variable: {value}")


def _memory(runtime: str, value: str) -> RefusedError | None:
    if _SIZE.fullmatch(value):
        return None
    if runtime == "docker":
        return _flag(runtime, "-m, --memory", value, f"invalid size: '{value}'")
    return RefusedError(f"Error: invalid value for memory: invalid size: '{value}'")


def _processes(runtime: str, value: str) -> RefusedError | None:
    if _COUNT.fullmatch(value):
        return None
    return _flag(runtime, "--pids-limit", value, f'strconv.ParseInt: parsing "{value}": invalid syntax')


def _ulimit(runtime: str, value: str) -> RefusedError | None:
    name = value.partition("=")[0]
    if name in _ULIMITS:
        return None
    if runtime == "docker":
        return _flag(runtime, "--ulimit", value, f"invalid ulimit type: {name}")
    return RefusedError(f'Error: ulimit option "{value}" requires name=SOFT:HARD, failed to be parsed: invalid ulimit '
                        f"type: {name}")  # fmt: skip


def _pull(runtime: str, value: str) -> RefusedError | None:
    if runtime == "docker" or value in ("always", "missing", "never", "newer"):
        return None
    return RefusedError(f'Error: unsupported pull policy "{value}"')


def _user_namespace(runtime: str, value: str) -> RefusedError | None:
    if runtime == "docker" or _USERNS.fullmatch(value):
        return None
    return RefusedError(f"Error: unrecognized namespace mode {value} passed")


def _capability(runtime: str, value: str) -> RefusedError | None:
    name = value.lower().removeprefix("cap_")
    if name in _CAPABILITIES:
        return None
    if runtime == "docker":
        return daemon(f'invalid CapDrop: unknown capability: "CAP_{name.upper()}".')
    return RefusedError(f'Error: "CAP_{name.upper()}": unknown capability')


def _security(runtime: str, value: str) -> RefusedError | None:
    if value == "no-new-privileges" or re.match(r"[a-z-]+[=:]", value):
        return None
    if runtime == "docker":
        return RefusedError(f'docker: Invalid --security-opt: "{value}".')
    return RefusedError(f'Error: invalid --security-opt 1: "{value}"')


def _name(runtime: str, value: str) -> RefusedError | None:
    if _NAME.fullmatch(value):
        return None
    if runtime == "docker":
        return daemon(f"Invalid container name ({value}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed.")
    return RefusedError("Error: running container create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid "
                        "argument")  # fmt: skip


def _sysctl(runtime: str, value: str) -> RefusedError | None:
    name, has_value, _ = value.partition("=")
    if has_value and _SYSCTL.fullmatch(name):
        return None
    if runtime == "docker":
        return _flag(runtime, "--sysctl", value, f"sysctl '{value}' is not whitelisted")
    if not has_value:
        return RefusedError(f"Error: {value} is invalid, sysctl values must be in the form of KEY=VALUE")
    return RefusedError(f"Error: sysctl '{name}' is not allowed")


def _tmpfs(runtime: str, value: str) -> RefusedError | None:
    for option in filter(None, value.partition(":")[2].split(",")):
        if not _TMPFS.fullmatch(option):
            if runtime == "docker":
                return daemon(f'invalid tmpfs option ["{option}"].')
            return RefusedError(f'Error: unknown mount option "{option}": invalid mount option')
    return None


_LOOKS: Final[dict[str, Callable[[str, str], RefusedError | None]]] = {
    "--env": _variable,
    "--memory": _memory,
    "--pids-limit": _processes,
    "--ulimit": _ulimit,
    "--pull": _pull,
    "--userns": _user_namespace,
    "--security-opt": _security,
    "--cap-drop": _capability,
    "--name": _name,
    "--tmpfs": _tmpfs,
    "--sysctl": _sysctl,
}
