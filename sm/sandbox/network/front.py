"""What stands behind the gate: one TLS front for every name of the sandbox's internet, and the proxy that leads to it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import Callable
from socket import socket

from sm.sandbox.network.listener import CHUNK_BYTES, Listener
from sm.sandbox.network.names import Names
from sm.sandbox.network.tls import SandboxCA

MAX_HANG_S = 300.0
_MAX_HEAD_BYTES = 1 << 14
_PAGE = b"<!doctype html><title>Session Manager sandbox</title>\n"
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_PAGE), _PAGE)
)


class Front:
    """Ends TLS for every name and hands the plain bytes to the loopback server behind it.

    A name of the sandbox's DNS without a server of its own is answered by an empty page, so that "can it be reached?"
    has an answer for each.
    """

    def __init__(self, ca: SandboxCA, names: Names) -> None:
        self._ca = ca
        self._names = names
        self._ports: dict[str, int] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._listener = Listener(self._handle)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listener.port

    def serve(self, name: str, port: int) -> None:
        """Have a name answered by 127.0.0.1:port."""
        self._ports[name.lower()] = port

    async def start(self, sock: socket | None) -> None:
        """Accept on `sock`, or on a free loopback port."""
        context = self._ca.server_context("sandbox.invalid")
        context.sni_callback = self._choose
        await self._listener.start(sock=sock, tls=context)

    async def stop(self) -> None:
        """Stop accepting and cut what is open."""
        await self._listener.stop()

    def _choose(
        self, tls: ssl.SSLSocket | ssl.SSLObject, name: str | None, _context: ssl.SSLContext
    ) -> int | None:
        key = (name or "").lower()
        if not self._names.hosted(key):
            return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        if key not in self._contexts:
            self._contexts[key] = self._ca.server_context(key)
        tls.context = self._contexts[key]
        return None

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        name = next((name for name, context in self._contexts.items() if context is tls.context), None)
        here = str(writer.get_extra_info("sockname")[0])
        if name is None or not (here == "127.0.0.1" or here in self._names.hosted(name)):
            return
        port = self._ports.get(name)
        if port is None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(_ANSWER)
            await writer.drain()
            return
        await _splice(reader, writer, port)


class Proxy:
    """A CONNECT proxy that leads to the front when the name's address is open, and else never answers.

    After `patience_s()` seconds of silence it closes the connection.
    """

    def __init__(
        self,
        front_port: int,
        names: Names,
        table: Callable[[], frozenset[str]],
        patience_s: Callable[[], float] = lambda: MAX_HANG_S,
    ) -> None:
        self._front_port = front_port
        self._names = names
        self._table = table
        self._patience_s = patience_s
        self._listener = Listener(self._handle)
        self.url = ""

    async def start(self, port: int = 0) -> None:
        """Listen on loopback; port 0 takes a free one."""
        await self._listener.start(port)
        self.url = f"http://127.0.0.1:{self._listener.port}"

    async def stop(self) -> None:
        """Stop, and end every waiting client."""
        await self._listener.stop()

    def _is_open(self, target: str) -> bool:
        host, _, port = target.rpartition(":")
        if port != "443":
            return False
        addresses: tuple[str, ...] = self._names.lookup(host)
        with contextlib.suppress(ValueError):
            addresses = (str(ipaddress.ip_address(host.strip("[]"))),)
        return not self._table().isdisjoint(addresses)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if len(head) > _MAX_HEAD_BYTES:
            return
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        if method != "CONNECT" or not self._is_open(rest.partition(" ")[0]):
            await _hang(reader, self._patience_s())
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await _splice(reader, writer, self._front_port)


async def _hang(reader: asyncio.StreamReader, seconds: float) -> None:
    """Say nothing until the client gives up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while await reader.read(CHUNK_BYTES):
                pass


async def _splice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Carry bytes between a connection and 127.0.0.1:port until both sides have ended."""
    behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port, limit=CHUNK_BYTES)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_carry(reader, behind_writer))
            group.create_task(_carry(behind_reader, writer))
    except* OSError:
        pass
    finally:
        behind_writer.close()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK_BYTES):
        target.write(data)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()
    else:
        target.close()
