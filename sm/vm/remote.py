"""Our scripts as remote commands: how one is quoted, and how its answer is read."""

from __future__ import annotations

import asyncio
import functools
import shlex
from collections.abc import Awaitable, Callable, Iterable, Sequence
from importlib import resources
from typing import Final, Protocol

import asyncssh
from attrs import define, field, frozen

from sm.core.outcome import Refused, Unreachable

SENTINEL: Final = b"::sm-answer::\n"
MAX_COMMAND_BYTES: Final = 120_000
"""A remote command becomes one argument of the login shell; Linux allows 128 KiB for one."""
MAX_PREAMBLE_BYTES: Final = 1024 * 1024
"""How much a login profile may print before our answer."""
MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_PROGRESS_BYTES: Final = 512 * 1024
"""How much a script may tell of its progress: a line of at most 100 bytes a second, in the longest step."""
LIBRARIES: Final[dict[str, tuple[str, ...]]] = {
    "check": ("network",),
    "start": ("network",),
    "doctor": ("network",),
    "rules": ("network",),
    "reach": ("network",),
    "prepare": ("mirror", "work", "refresh"),
    "cancel": ("work",),
    "project": ("mirror",),
    "fetch": ("mirror", "work", "refresh"),
    "push": ("mirror",),
    "candidate": ("mirror", "workspace"),
    "inspect": ("mirror", "workspace"),
    "diff": ("mirror", "workspace"),
}
"""Script → what it is built on, put between the prelude and itself in this order."""


@functools.cache
def script(name: str) -> str:
    """The text of one of the bash files beside this module."""
    return resources.files("sm.vm").joinpath("scripts", f"{name}.sh").read_text(encoding="utf-8")


def command(name: str, arguments: Sequence[str | int]) -> str:
    """The remote command that runs a script through a login shell, everything quoted.

    A login shell, because only there are `ANTHROPIC_API_KEY` and `XDG_RUNTIME_DIR` (OpenSSH, observed).
    Raises Refused when it would be longer than one argument may be.
    """
    text = "".join(script(part) for part in ("prelude", *LIBRARIES.get(name, ()), name))
    words = [str(argument) for argument in arguments]
    if any("\0" in word for word in words):
        raise Refused("bad_argument", "A zero byte cannot be passed to a command on the VM.")
    line = f"exec bash -lc {shlex.quote(text)} sm {shlex.join(words)}"
    if len(line.encode()) > MAX_COMMAND_BYTES:
        raise Refused(
            "too_long",
            f"What is to be started on the VM takes over {MAX_COMMAND_BYTES} bytes; shorten the system prompt.",
        )
    return line


@frozen
class Answer:
    """The lines of an answer, each a word and the rest of its line, in order."""

    lines: tuple[tuple[str, str], ...]

    def get(self, word: str, default: str = "") -> str:
        """The rest of the first line that begins with this word."""
        return next((rest for name, rest in self.lines if name == word), default)

    def number(self, word: str) -> int:
        """As `get`, a whole number. Raises Unreachable when it is none: such an answer proves nothing."""
        text = self.get(word)
        if not (text.isascii() and text.isdigit()):
            raise Unreachable(f"The VM's answer has no number {word}.")
        return int(text)

    def all(self, word: str) -> tuple[str, ...]:
        """The rest of each line that begins with this word."""
        return tuple(rest for name, rest in self.lines if name == word)


class Run(Protocol):
    """Runs one script to its end and reads its answer; raises what `read_answer` raises."""

    def __call__(
        self,
        name: str,
        arguments: Sequence[str | int],
        limit_s: float,
        *,
        stdin: bytes = b"",
        answer_bytes: int = MAX_ANSWER_BYTES,
        progress: Callable[[str], None] | None = None,
    ) -> Awaitable[Answer]:
        """`limit_s` bounds its time, `answer_bytes` its answer. `progress` gets the rest of each such line as it comes."""
        ...


@define
class Incoming:
    """A script's output as it comes in. Lines that begin with `progress` are handed on, and not kept."""

    what: str
    answer_bytes: int = MAX_ANSWER_BYTES
    progress: Callable[[str], None] | None = None
    output: bytearray = field(factory=bytearray, init=False)
    _line_at: int = field(default=-1, init=False)
    """Where the first line begins that was not looked at; -1 before the answer."""
    _progress_bytes: int = field(default=0, init=False)

    def take(self, chunk: bytes) -> None:
        """Take what came. Raises Unreachable when it is too much."""
        searched = max(0, len(self.output) - len(SENTINEL))
        self.output += chunk
        if self._line_at < 0 and (found := self.output.find(SENTINEL, searched)) >= 0:
            self._line_at = found + len(SENTINEL)
        if self._line_at >= 0:
            self._hand_on()
        if (
            len(self.output) > MAX_PREAMBLE_BYTES + self.answer_bytes
            or self._progress_bytes > MAX_PROGRESS_BYTES
        ):
            raise Unreachable(f"The VM printed too much around its answer to {self.what}.")

    def _hand_on(self) -> None:
        while (end := self.output.find(b"\n", self._line_at)) >= 0:
            word, _, rest = bytes(self.output[self._line_at : end]).partition(b" ")
            if word != b"progress":
                self._line_at = end + 1
                continue
            self._progress_bytes += end + 1 - self._line_at
            del self.output[self._line_at : end + 1]
            if self.progress is not None:
                self.progress(rest.decode("utf-8", "replace"))


def read_answer(output: bytes, what: str) -> Answer:
    """Read a script's whole output. Raises Refused for its definite no, Unreachable when it is not complete."""
    _, found, body = output.partition(SENTINEL)
    if not found:
        raise Unreachable(f"The VM gave no answer to {what}; does its login profile end the shell?")
    lines = body.decode("utf-8", "replace").split("\n")
    if lines[-2:] != ["done", ""]:
        raise Unreachable(f"The VM's answer to {what} was cut off.")
    answer = Answer(tuple(_parted(lines[:-2])))
    for word, rest in answer.lines:
        raise_verdict(word, rest)
    return answer


async def past_preamble(reader: asyncssh.SSHReader[bytes]) -> None:
    """Read past the sentinel, before which a login profile may print a bounded amount. Raises Unreachable."""
    printed = 0
    try:
        while not (line := await reader.readuntil(b"\n")).endswith(SENTINEL):
            printed += len(line)
            if printed > MAX_PREAMBLE_BYTES:
                raise Unreachable("The VM's login profile prints without end.")
    except asyncio.IncompleteReadError as error:
        raise Unreachable("The VM's shell ended before it began with our script.") from error


def raise_verdict(word: str, rest: str) -> None:
    """Raise what a line `refused CODE MESSAGE` or `away MESSAGE` says; another line passes."""
    if word == "refused":
        code, _, message = rest.partition(" ")
        raise Refused(code, message)
    if word == "away":
        raise Unreachable(rest)


def _parted(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        word, _, rest = line.partition(" ")
        yield word, rest
