"""The VM, as the rest of the service sees it. Each step that changes the VM carries the writer's epoch."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, get_args

from sm.core.outcome import Refused, Unreachable
from sm.vm import names
from sm.vm.follow import follow
from sm.vm.model import (
    Appended,
    Ended,
    GenerationStatus,
    HostKey,
    LengthMismatch,
    Line,
    OutputBroken,
    Runtime,
    Started,
    StartSpec,
    VmSettings,
)
from sm.vm.network import Network
from sm.vm.remote import MAX_ANSWER_BYTES, Answer, Incoming, command, read_answer, script
from sm.vm.repositories import Repositories
from sm.vm.ssh import Pool
from sm.vm.table import meaning_of
from sm.vm.upstream import Upstream
from sm.vm.watch import Watches
from sm.vm.workspaces import Workspaces

QUICK_S: Final = 60
STEP_S: Final = 180

PERMISSION_MODE: Final = re.compile(r"[A-Za-z]{1,40}")
IMAGE_OR_NETWORK: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}")


class Vm:
    """One VM. Every method may raise Unreachable (the outcome is not known) or Refused (a definite no)."""

    def __init__(self, settings: VmSettings, *, accept_host_key: Callable[[HostKey], bool] | None) -> None:
        """`accept_host_key` is asked, while connecting, about a key when none is pinned or known.

        Raises Refused when a setting can't be used.
        """
        self._settings = settings
        self._repos = names.path(settings.repos_base)
        self._sessions = names.path(settings.sessions)
        if settings.runtime not in get_args(Runtime):
            raise Refused("bad_setting", "SM_CONTAINER_RUNTIME is podman or docker.")
        for variable, value in (("IMAGE", settings.image), ("NETWORK", settings.network)):
            if not IMAGE_OR_NETWORK.fullmatch(value):
                raise Refused(
                    "bad_setting",
                    f"SM_CONTAINER_{variable} is no name that a container runtime takes: {value[:100]!r}.",
                )
        self._pool = Pool.of(settings, accept_host_key)
        self._watches = Watches(self._pool)
        self.repositories = Repositories(self._run, settings)
        self.workspaces = Workspaces(self._run, settings)
        self.upstream = Upstream(self._run, settings)
        self.network = Network(self._run, settings)

    async def fetch_host_key(self) -> HostKey:
        """Connect only far enough to learn the key that the VM shows; authenticates nothing."""
        async with asyncio.timeout(QUICK_S):
            return await self._pool.host_key()

    def pin(self, key: HostKey) -> None:
        """Trust this key, which was committed; any other is refused from now on."""
        self._pool.trust.pin(key.public_key)

    async def close(self) -> None:
        """Close the connections. Agents on the VM go on."""
        await self._watches.close()
        await self._pool.close()

    async def check(self, session_id: str) -> None:
        """Look whether the VM has all that a session needs; Refused names each missing thing and its command."""
        names.session(session_id)
        s = self._settings
        answer = await self._run(
            "check", [s.runtime, s.image, s.network, self._sessions, self._repos], STEP_S
        )
        missing = [text.partition(" ") for text in answer.all("missing")]
        if missing:
            raise Refused(missing[0][0], " ".join(f"{text}." for _, _, text in missing))

    async def fence(self, session_id: str, epoch: int) -> None:
        """Raise the epoch of the session's folder: an older writer is refused there from now on."""
        await self._run("fence", [self._folder(session_id), epoch], QUICK_S)

    async def start_generation(self, spec: StartSpec, epoch: int) -> Started:
        """Start the agent's container behind a pump of its own; harmless when it was started before.

        Refused codes: network_open (a container on the network reaches what it must not), network_unchecked, network_missing,
        network_unfit, nft_missing, image_missing, name_taken, api_key_missing, workspace_missing, generation_old, disk_full,
        path_not_writable, too_long, fenced. A container that the runtime refuses is seen by `follow`.
        """
        s = self._settings
        line = (spec.first_line.rstrip("\n") + "\n").encode()
        arguments: list[str | int] = [
            self._folder(spec.session_id),
            epoch,
            _generation(spec.generation),
            s.runtime,
            spec.session_id,
            names.container(spec.session_id),
            s.image,
            s.network,
            names.path(spec.workspace),
            names.path(spec.mirror) if spec.mirror else "",
            script("pump"),
            len(line),
            *agent_arguments(spec),
        ]
        answer = await self._run("start", arguments, STEP_S, stdin=line)
        return Started(spec.generation, answer.get("cid"), answer.get("existing") == "1")

    async def append(
        self, *, session_id: str, generation: int, expected: int, line: bytes, epoch: int
    ) -> Appended | LengthMismatch:
        """Append one whole line to `in` when it is `expected` bytes long, or complete a torn earlier try.

        Running it twice is harmless. Refused codes: generation_missing, disk_full, fenced, bad_line.
        """
        if not line.endswith(b"\n") or line.count(b"\n") != 1:
            raise Refused("bad_line", "Only one whole line can be appended to the agent's input.")
        arguments = [self._folder(session_id), epoch, _generation(generation), expected, len(line)]
        answer = await self._run("append", arguments, STEP_S, stdin=line)
        if answer.get("mismatch"):
            return LengthMismatch(answer.number("mismatch"))
        return Appended(answer.number("length"))

    async def status(self, session_id: str, generation: int) -> GenerationStatus:
        """Read what stands in the generation's folder and in the runtime; changes nothing."""
        folder = f"{self._folder(session_id)}/{_generation(generation)}"
        return _status(await self._run("status", [folder, self._settings.runtime], QUICK_S))

    def follow(
        self, session_id: str, generation: int, offset: int, *, idle: Callable[[], bool] = lambda: False
    ) -> AsyncIterator[Line | OutputBroken | Ended]:
        """Follow `out` from a raw byte offset, line by line, to its end.

        While `idle()` says that nothing is expected and all output was given out, no channel is held for it: all idle
        generations share one, on which the VM tells of changes.
        Raises Unreachable when the connection breaks: follow again from the offset after the last line taken.
        """
        folder = f"{self._folder(session_id)}/{_generation(generation)}"
        return follow(
            self._pool,
            self._watches,
            folder,
            offset,
            limit=self._settings.max_line_bytes,
            idle=idle,
            status=lambda: self.status(session_id, generation),
            err_tail=lambda: self.err_tail(session_id, generation),
        )

    async def stop_generation(
        self, session_id: str, generation: int, epoch: int, *, remove: bool = True
    ) -> GenerationStatus:
        """Stop the container by its id, wait for the pump, remove the container (never a file).

        Harmless when it is gone already. The status is that of afterwards.
        """
        arguments = [
            self._folder(session_id),
            epoch,
            _generation(generation),
            self._settings.runtime,
            int(remove),
        ]
        return _status(await self._run("stop", arguments, STEP_S + QUICK_S))

    async def err_tail(self, session_id: str, generation: int, lines: int = 20) -> str:
        """The last lines of the agent's error output, at most 4000 bytes: the agent's words, not to be trusted."""
        folder = f"{self._folder(session_id)}/{_generation(generation)}"
        answer = await self._run("err_tail", [folder, min(max(lines, 1), 1000)], QUICK_S)
        return base64.b64decode(answer.get("text")).decode("utf-8", "replace").rstrip("\n")

    async def transcript_has(self, session_id: str, generation: int, uuid: str) -> bool | None:
        """Whether the agent's own transcript holds this message id; None when that can't be told."""
        _generation(generation)
        s = self._settings
        arguments = [self._folder(session_id), s.runtime, s.image, names.uuid(uuid)]
        answer = await self._run("transcript", arguments, STEP_S)
        return {"yes": True, "no": False}.get(answer.get("has"))

    def _folder(self, session_id: str) -> str:
        return f"{self._sessions}/{names.session(session_id)}"

    async def _run(
        self,
        name: str,
        arguments: Sequence[str | int],
        limit_s: float,
        *,
        stdin: bytes = b"",
        answer_bytes: int = MAX_ANSWER_BYTES,
        progress: Callable[[str], None] | None = None,
    ) -> Answer:
        """Run one script to its end and read its answer."""
        line = command(name, arguments)
        incoming = Incoming(name, answer_bytes, progress)
        try:
            async with asyncio.timeout(limit_s), self._pool.process(line) as process:
                # A script may refuse before it has read what it was sent: its answer counts, not the broken pipe.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    process.stdin.write(stdin)
                    await process.stdin.drain()
                    process.stdin.write_eof()
                while chunk := await process.stdout.read(65536):
                    incoming.take(chunk)
                await process.wait_closed()
        except TimeoutError as error:
            raise Unreachable(f"{self._settings.host} did not finish {name} in {limit_s:.0f} s.") from error
        return read_answer(bytes(incoming.output), name)


def agent_arguments(spec: StartSpec) -> list[str]:
    """The agent's command line inside the container. The system prompt is an argument: it holds no secret."""
    if not PERMISSION_MODE.fullmatch(spec.permission_mode):
        raise Refused("bad_setting", "SM_PERMISSION_MODE is no permission mode.")
    return [
        "claude",
        "-p",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
        "--replay-user-messages",
        "--append-system-prompt",
        spec.system_prompt,
        "--resume" if spec.resume else "--session-id",
        names.uuid(spec.agent_session_id),
        "--permission-mode",
        spec.permission_mode,
    ]


def _generation(number: int) -> int:
    if not 0 <= number < 1_000_000_000:
        raise Refused("bad_generation", f"{number} is no generation.")
    return number


def _status(answer: Answer) -> GenerationStatus:
    exit_text, cid = answer.get("exit"), answer.get("cid")
    if not answer.get("lock"):
        raise Unreachable("The VM's answer does not say whether the pump lives.")
    return GenerationStatus(
        meaning=meaning_of(answer.get("lock"), exit_text, cid, answer.get("container", "none")),
        exit=exit_text,
        container_id=cid,
        in_bytes=int(answer.get("in") or 0),
        out_bytes=int(answer.get("out") or 0),
    )
