"""SSH connections to the VM: keys checked, few channels on each, and every failure told apart from a no."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncssh
from attrs import define, field

from sm.core.outcome import Refused, Unreachable
from sm.vm.hostkeys import KEY_FAMILIES, Trust, described
from sm.vm.model import HostKey, VmSettings

Process: TypeAlias = asyncssh.SSHClientProcess[bytes]

CHANNELS_PER_CONNECTION: Final = 6
"""OpenSSH allows 10 sessions on one connection by default."""
MAX_CONNECTIONS: Final = 32
CONNECT_TIMEOUT_S: Final = 15
KEEPALIVE_S: Final = 15


@define(eq=False)
class _Link:
    """One connection, how many channels are open on it and how many the server lets be."""

    connection: asyncssh.SSHClientConnection
    channels: int = 0
    room: int = CHANNELS_PER_CONNECTION

    @property
    def usable(self) -> bool:
        return self.channels < self.room and not self.connection.is_closed()


class _Client(asyncssh.SSHClient):
    """Answers asyncssh's question about a host key that is not among the trusted ones."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def validate_host_public_key(
        self,
        host: str,  # noqa: ARG002 - asyncssh's signature
        addr: str,  # noqa: ARG002
        port: int,  # noqa: ARG002
        key: asyncssh.SSHKey,
    ) -> bool:
        return self._trust.validate(key)


@define(eq=False)
class Pool:
    """The connections to one VM. A channel is taken from one with room, or from a new connection."""

    settings: VmSettings
    trust: Trust
    _links: list[_Link] = field(factory=list["_Link"], init=False)
    _opening: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _freed: asyncio.Condition = field(factory=asyncio.Condition, init=False)
    _closed: bool = field(default=False, init=False)

    @classmethod
    def of(cls, settings: VmSettings, accept: Callable[[HostKey], bool] | None) -> Pool:
        """A pool that connects when the first channel is asked for."""
        return cls(settings, Trust.of(settings, accept))

    async def host_key(self) -> HostKey:
        """Connect only far enough to see the host key; nothing of ours is shown. Raises Unreachable."""
        with _told_apart(self.trust):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                key: asyncssh.SSHKey | None = await asyncssh.get_server_host_key(
                    self.settings.host, self.settings.port, config=None
                )
        if key is None:
            raise Unreachable(f"{self.settings.host} showed no host key.")
        return described(key)

    @asynccontextmanager
    async def process(self, command: str) -> AsyncGenerator[Process]:
        """A channel that runs this command; closed, and its place given back, at the end of the block."""
        link, process = await self._open(command)
        try:
            with _told_apart(self.trust):
                yield process
        finally:
            process.close()
            link.channels -= 1
            self._tidy()
            async with self._freed:
                self._freed.notify_all()

    async def close(self) -> None:
        """Close every connection; what runs detached on the VM goes on."""
        self._closed = True
        links, self._links = self._links, []
        for link in links:
            link.connection.close()
        for link in links:
            await link.connection.wait_closed()

    async def _open(self, command: str) -> tuple[_Link, Process]:
        refused: Exception | None = None
        for _ in range(4):
            link = await self._take()
            try:
                with _told_apart(self.trust):
                    return link, await link.connection.create_process(command, encoding=None)
            except Unreachable as error:
                link.channels -= 1
                refused = error
                if not isinstance(error.__cause__, asyncssh.ChannelOpenError):
                    raise
                if link.channels == 0:
                    link.connection.abort()  # not even one: a connection that was never of use
                link.room = max(1, link.channels)
            except BaseException:
                link.channels -= 1
                raise
        raise Unreachable(f"{self.settings.host} opens no more channels.") from refused

    async def _take(self) -> _Link:
        """A place on a connection with room. Connections are made one at a time."""
        while True:
            if self._closed:
                raise Unreachable("The connections to the VM were closed.")
            async with self._opening:
                self._links = [link for link in self._links if not link.connection.is_closed()]
                for link in self._links:
                    if link.usable:
                        link.channels += 1
                        return link
                if len(self._links) < MAX_CONNECTIONS:
                    link = _Link(await self._connect(), channels=1)
                    self._links.append(link)
                    return link
            async with self._freed:
                await self._freed.wait()

    def _tidy(self) -> None:
        """Keep one idle connection; the others end with their last channel."""
        idle = [link for link in self._links if link.channels == 0]
        for link in idle[1:]:
            self._links.remove(link)
            link.connection.close()

    async def _connect(self) -> asyncssh.SSHClientConnection:
        """Connect with a checked host key. With fingerprints only, each family of keys is asked for in turn."""
        last: Refused | None = None
        families: tuple[tuple[str, ...] | None, ...] = (None,)
        if self.trust.fingerprints:
            families = (None, *KEY_FAMILIES)
        for family in families:
            try:
                return await self._connect_with(family)
            except Refused as error:
                if error.code != "host_key_changed":
                    raise
                last = last or error
        raise last or self.trust.refusal()

    async def _connect_with(self, family: tuple[str, ...] | None) -> asyncssh.SSHClientConnection:
        options: dict[str, Any] = {"server_host_key_algs": list(family)} if family else {}
        self.trust.seen = None
        try:
            with _told_apart(self.trust):
                return await asyncssh.connect(
                    self.settings.host,
                    self.settings.port,
                    username=self.settings.user,
                    client_keys=[self._client_key()],
                    client_factory=lambda: _Client(self.trust),
                    known_hosts=self.trust.matching,
                    config=None,
                    agent_path=None,
                    gss_host=None,
                    x509_trusted_certs=None,
                    preferred_auth="publickey",
                    connect_timeout=CONNECT_TIMEOUT_S,
                    login_timeout=CONNECT_TIMEOUT_S * 2,
                    keepalive_interval=KEEPALIVE_S,
                    keepalive_count_max=3,
                    **options,
                )
        except Unreachable as error:
            # The server has no key of the trusted types at all: a changed key, unless it is really away.
            if not isinstance(error.__cause__, asyncssh.KeyExchangeFailed):
                raise
            self.trust.seen = await self.host_key()
            raise self.trust.refusal() from error

    def _client_key(self) -> asyncssh.SSHKey:
        try:
            if self.settings.private_key:
                return asyncssh.import_private_key(self.settings.private_key.strip() + "\n")
            path = Path(self.settings.key_path or "")
            return asyncssh.import_private_key(path.read_bytes())
        except OSError as error:
            raise Refused(
                "ssh_key_missing",
                f"The SSH key {self.settings.key_path} cannot be read ({error.strerror}); set SM_VM_SSH_KEY or SM_VM_SSH_KEY_PATH.",
            ) from error
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
            # Without the cause: its text may quote the key.
            raise Refused(
                "ssh_key_unreadable",
                "The SSH key is no private key without a passphrase; set SM_VM_SSH_KEY or SM_VM_SSH_KEY_PATH.",
            ) from None


class _told_apart:  # noqa: N801 - reads as a phrase where it is used
    """Turns what SSH raises into Refused (a definite no) or Unreachable (the outcome is not known)."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        host = self._trust.host
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            raise self._trust.refusal() from error
        if isinstance(error, asyncssh.PermissionDenied):
            raise Refused(
                "ssh_denied",
                f"{host} does not let our SSH key in; add its public half to ~/.ssh/authorized_keys of SM_VM_USER there.",
            ) from error
        if isinstance(error, asyncssh.Error):
            raise Unreachable(f"The SSH connection to {host} failed: {error.reason[:200]}") from error
        if isinstance(error, TimeoutError):
            raise Unreachable(f"{host} did not answer in time.") from error
        if isinstance(error, OSError):
            raise Unreachable(f"{host} is not reachable: {error.strerror or error}") from error
