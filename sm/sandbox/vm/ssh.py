"""The VM's SSH server: one key, one user, real processes behind each channel.

It does what OpenSSH's sshd does where a client can tell: the command goes to the user's shell with pipes, a closed
channel closes those pipes and ends nothing (a follower dies of it at its next line), and a connection has at most ten
sessions at a time, a finished one's place included until its channel is gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from typing import Protocol, cast

import asyncssh
from asyncssh.constants import EXTENDED_DATA_STDERR, OPEN_CONNECT_FAILED
from attrs import frozen

from sm.sandbox.faults import Faults

MAX_SESSIONS = 10
_CHUNK_BYTES = 1 << 15
_CUT_AFTER_BYTES = 7


class _CreateChannel(Protocol):
    """What asyncssh's types do not say: without an encoding a channel carries bytes."""

    def __call__(self, *, encoding: None) -> asyncssh.SSHServerChannel[bytes]: ...


@frozen
class Login:
    """Who may log in, and what a command of theirs starts with."""

    user: str
    key: asyncssh.SSHKey
    shell: str
    home: str
    environment: Mapping[str, str]
    faults: Faults


class Server(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self.connection: asyncssh.SSHServerConnection | None = None
        self.sessions: set[Session] = set()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Take the connection, or drop it at once."""
        self.connection = conn
        if self._login.faults.hit("vm", "refuse_connection"):
            conn.abort()

    @property
    def ends(self) -> str:
        """Both ends of the connection, as sshd tells every command."""
        if self.connection is None:
            return ""
        (client, its_port, *_), (server, port, *_) = (
            cast("tuple[str, int]", self.connection.get_extra_info(name)) for name in ("peername", "sockname")
        )
        return f"{client} {its_port} {server} {port}"

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget it."""
        self.connection = None

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - everybody must prove themselves
        """Everybody has to authenticate."""
        return True

    def public_key_auth_supported(self) -> bool:
        """The only way in."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """The one user with the one key."""
        return username == self._login.user and key.public_data == self._login.key.public_data

    def session_requested(self) -> tuple[asyncssh.SSHServerChannel[bytes], asyncssh.SSHServerSession[bytes]]:
        """Open a session, up to `MAX_SESSIONS`."""
        refused = self._login.faults.hit("vm", "refuse_channel")
        if self.connection is None or refused or len(self.sessions) >= MAX_SESSIONS:
            raise asyncssh.ChannelOpenError(OPEN_CONNECT_FAILED, "open failed")
        session = Session(self._login, self)
        self.sessions.add(session)
        create = cast("_CreateChannel", self.connection.create_server_channel)  # pyright: ignore[reportUnknownMemberType]
        return create(encoding=None), session


class Session(asyncssh.SSHServerSession[bytes]):
    """One channel: a command, its pipes, its exit status."""

    def __init__(self, login: Login, server: Server) -> None:
        self._login = login
        self._server = server
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._command = ""
        self._input = asyncio.Queue[bytes | None]()
        self._writable = asyncio.Event()
        self._writable.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open; nothing runs yet."""
        self._channel = chan

    def exec_requested(self, command: str) -> bool:
        """A command to run."""
        self._command = command
        return True

    def session_started(self) -> None:
        """Run it, and remember the task so that it isn't collected."""
        task = asyncio.get_running_loop().create_task(self._run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def data_received(self, data: bytes, datatype: int | None) -> None:  # noqa: ARG002
        """Something for the command's standard input."""
        self._input.put_nowait(data)

    def eof_received(self) -> bool:
        """The end of its standard input; the other direction stays open."""
        self._input.put_nowait(None)
        return True

    def signal_received(self, signal: str) -> None:
        """A signal for the command's process group (sshd does that since OpenSSH 7.9)."""
        self._kill(signal)

    def pause_writing(self) -> None:
        """The client does not read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The channel is gone: its pipes are closed, what ran goes on."""
        self._server.sessions.discard(self)
        self._channel = None
        self._writable.set()
        self._input.put_nowait(None)
        for task in self._tasks:
            task.cancel()

    async def _run(self) -> None:
        faults, context = self._login.faults, {"command": self._command}
        if faults.hit("vm", "drop_connection", **context):
            self._drop()
            return
        if faults.hit("vm", "slow", **context):
            await asyncio.sleep(5 * faults.scale("vm.slow"))
        environment = {**self._login.environment, "SSH_CONNECTION": self._server.ends}
        for fault, variable in (("profile_prints", "PROFILE_PRINTS"), ("runtime_away", "RUNTIME_AWAY")):
            if faults.hit("vm", fault, **context):
                environment[f"SM_SANDBOX_{variable}"] = "1"
        process = await asyncio.create_subprocess_exec(
            self._login.shell, "-c", self._command, cwd=self._login.home, env=environment, start_new_session=True,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._process = process
        cut = faults.hit("vm", "cut_output", **context)
        feeding = asyncio.get_running_loop().create_task(self._feed(process))
        try:
            await asyncio.gather(
                self._relay(process.stdout, None, cut=cut),
                self._relay(process.stderr, EXTENDED_DATA_STDERR, cut=False),
            )
            code = await process.wait()
            if faults.hit("vm", "lost_reply", **context):
                self._drop()
            self._finish(code)
        finally:
            feeding.cancel()
            _close_pipes(process)

    async def _feed(self, process: asyncio.subprocess.Process) -> None:
        pipe = process.stdin
        if pipe is None:
            return
        try:
            while (data := await self._input.get()) is not None:
                pipe.write(data)
                await pipe.drain()
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            pipe.close()

    async def _relay(self, pipe: asyncio.StreamReader | None, kind: int | None, *, cut: bool) -> None:
        while pipe is not None and (data := await pipe.read(_CHUNK_BYTES)):
            await self._writable.wait()
            if self._channel is None:
                return
            self._channel.write(data[:_CUT_AFTER_BYTES] if cut else data, kind)  # pyright: ignore[reportUnknownMemberType] - asyncssh leaves its type variable open
            if cut:
                await asyncio.sleep(0.05)  # so that the piece is on the wire before the end
                self._drop()
                return

    def _finish(self, code: int) -> None:
        if self._channel is None:
            return
        if code < 0:
            self._channel.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"), core_dumped=False)
        else:
            self._channel.exit(code)

    def _drop(self) -> None:
        if self._server.connection is not None:
            self._server.connection.abort()

    def _kill(self, name: str) -> None:
        if self._process is not None and self._process.returncode is None:
            number = getattr(signal, f"SIG{name}", signal.SIGTERM)
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return


def _close_pipes(process: asyncio.subprocess.Process) -> None:
    """Close our ends without ending the process: the transport's own `close` would kill it."""
    transport = getattr(process, "_transport", None)
    for number in (0, 1, 2):
        pipe = transport.get_pipe_transport(number) if transport is not None else None
        if pipe is not None:
            pipe.close()


def declare(faults: Faults) -> None:
    """Make the VM's faults known."""
    words = {
        "refuse_connection": "a new connection is closed before the key exchange",
        "drop_connection": "the connection breaks when a command is asked for, before it runs",
        "lost_reply": "the command ran; the connection breaks before its exit status",
        "cut_output": f"the connection breaks after the first {_CUT_AFTER_BYTES} bytes of the command's output",
        "refuse_channel": "a session's channel is refused, as the eleventh of a connection always is",
        "slow": "the command starts 5 s late",
        "profile_prints": "the login shell's profile prints lines before the command's output",
        "runtime_away": "podman and docker cannot reach their storage or daemon",
    }
    for name, text in words.items():
        faults.declare("vm", name, text)
    faults.declare_scale("vm.slow", "5 s before a command starts")
