"""A bounded TCP server on loopback: what the gate, its proxy and the name server listen with."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from socket import socket

MAX_CONNECTIONS = 500
CHUNK_BYTES = 1 << 16

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """An asyncio server whose connections are counted, bounded, and ended with it."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(
        self, port: int = 0, sock: socket | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        """Accept on `sock`, or on a loopback port; 0 takes a free one. Raises `OSError` when it is taken."""
        if sock is None:
            server = await asyncio.start_server(
                self._connected, "127.0.0.1", port, ssl=tls, limit=CHUNK_BYTES
            )
        else:
            server = await asyncio.start_server(self._connected, sock=sock, ssl=tls, limit=CHUNK_BYTES)
        self._server = server
        self.port = int(server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop accepting, and end every connection."""
        if self._server is None:
            return
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._tasks) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            await self._handle(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass  # the other side went away or spoke no HTTP: nothing is owed to it
        except asyncio.CancelledError:
            if self._server is not None and self._server.is_serving():
                raise
        finally:
            self._tasks.discard(task)
            writer.close()
