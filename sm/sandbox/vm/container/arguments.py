"""Reading the arguments of `run`: exactly the options that the service sends, each checked.

An option that is not listed here fails as it does with the real runtimes, so that a test notices a new one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from attrs import define, field

from sm.sandbox.vm.container.store import Mount
from sm.sandbox.vm.container.wording import RefusedError, daemon

# option → whether it takes a value
_RUN_OPTIONS = {
    "-i": False, "--interactive": False, "--rm": False, "--init": False, "--read-only": False,
    "--sig-proxy": False, "--cidfile": True, "--name": True, "--label": True, "-l": True, "--log-driver": True,
    "--network": True, "--net": True, "--userns": True, "--user": True, "-u": True, "--cap-drop": True,
    "--security-opt": True, "--pull": True, "--memory": True, "-m": True, "--memory-swap": True,
    "--pids-limit": True, "--ulimit": True, "--tmpfs": True, "-e": True, "--env": True, "-v": True,
    "--volume": True, "-w": True, "--workdir": True, "--entrypoint": True, "--hostname": True, "--stop-timeout": True,
    "--cpus": True, "--sysctl": True, "--shm-size": True, "--dns": True,
}  # fmt: skip
_LONG = {
    "-i": "--interactive", "-l": "--label", "--net": "--network", "-u": "--user", "-m": "--memory", "-e": "--env",
    "-v": "--volume", "-w": "--workdir",
}  # fmt: skip


NO_IMAGE = "requires at least 1 arg(s), only received 0"


class UsageError(ValueError):
    """An argument that the runtime refuses before anything happens; the text is the runtime's own."""


@define
class RunArguments:
    """What `run` was asked for. Options that only limit resources are checked and kept nowhere."""

    values: dict[str, list[str]] = field(factory=dict[str, list[str]])
    image: str = ""
    command: tuple[str, ...] = ()

    def last(self, option: str, default: str = "") -> str:
        """The value of an option, the last one where it was given more than once."""
        return self.values.get(option, [default])[-1]

    def all(self, option: str) -> list[str]:
        """All values of an option in their order."""
        return self.values.get(option, [])

    def given(self, option: str) -> bool:
        """Whether a switch is on."""
        return self.last(option, "false") != "false"


def parse_run(words: list[str]) -> RunArguments:
    """Split options from image and command. Raises `UsageError`."""
    parsed = RunArguments()
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if word == "--" or not word.startswith("-"):
            rest = words[index:] if word == "--" else words[index - 1 :]
            if not rest:
                break
            parsed.image, parsed.command = rest[0], tuple(rest[1:])
            return parsed
        name, has_value, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name not in _RUN_OPTIONS:
            raise UsageError(f"unknown flag: {name}" if name.startswith("--") else _unknown_shorthand(name))
        if _RUN_OPTIONS[name] and not has_value:
            if index >= len(words):
                raise UsageError(f"flag needs an argument: {name}")
            value = words[index]
            index += 1
        elif not _RUN_OPTIONS[name] and not has_value:
            value = "true"
        parsed.values.setdefault(_LONG.get(name, name), []).append(value)
    raise UsageError(NO_IMAGE)


def _unknown_shorthand(word: str) -> str:
    return f"unknown shorthand flag: '{word[1:2]}' in {word}"


def mounts(arguments: RunArguments, runtime: str) -> tuple[Mount, ...]:
    """The `-v SRC:DST[:OPTIONS]` of a run.

    Raises `RefusedError`: podman refuses a source that isn't there (docker makes a folder), both refuse a relative target.
    """
    found: list[Mount] = []
    for text in arguments.all("--volume"):
        source, _, rest = text.partition(":")
        target, _, options = rest.partition(":")
        _check_mount(runtime, text, source, target, options)
        if not Path(source).exists():
            if runtime != "docker":
                raise RefusedError(f"Error: statfs {source}: no such file or directory")
            Path(source).mkdir(parents=True)
        found.append(Mount(source, target.rstrip("/") or "/", "ro" in options.split(",")))
    return tuple(found)


def _check_mount(runtime: str, text: str, source: str, target: str, options: str) -> None:
    unknown = sorted(set(options.split(",")) - {"", "ro", "rw", "z", "Z", "U", "nosuid", "nodev", "noexec"})
    if runtime == "docker":
        if unknown:
            raise daemon(f"invalid mode: {options}.")
        if not target.startswith("/"):
            raise daemon(
                f"invalid volume specification: '{text}': invalid mount config for type \"bind\": invalid mount path: "
                f"'{target}' mount path must be absolute."
            )
        if not source.startswith("/"):
            raise daemon(
                f'create {source}: "{source}" includes invalid characters for a local volume name, only '
                '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path.'
            )
    elif unknown:
        raise RefusedError(f'Error: invalid option type "{unknown[0]}"')
    elif not target.startswith("/"):
        raise RefusedError(f'Error: invalid container path "{target}", must be an absolute path')
    elif not source.startswith("/"):
        raise RefusedError(f"Error: the sandbox has no named volumes: {text}")


def environment(arguments: RunArguments, client: Mapping[str, str] | None = None) -> dict[str, str]:
    """The `-e` of a run: `NAME=VALUE`, or `NAME` for the value that the client's environment has (if any)."""
    client = os.environ if client is None else client
    chosen: dict[str, str] = {}
    for text in arguments.all("--env"):
        name, has_value, value = text.partition("=")
        if name and has_value:
            chosen[name] = value
        elif name in client:
            chosen[name] = client[name]
    return chosen


def labels(arguments: RunArguments) -> dict[str, str]:
    """The `--label k=v` of a run."""
    return {key: value for key, _, value in (text.partition("=") for text in arguments.all("--label"))}
