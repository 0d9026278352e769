"""Following `out` over a connection that may break at any byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

import asyncssh

from sm.core.outcome import Unreachable
from sm.vm.lines import Splitter
from sm.vm.model import Ended, GenerationStatus, Line, OutputBroken
from sm.vm.remote import MAX_PREAMBLE_BYTES, SENTINEL, command, raise_verdict
from sm.vm.ssh import Pool
from sm.vm.table import LIVE, OVER

CHUNK_BYTES: Final = 256 * 1024
BEGIN_S: Final = 60

Reader: TypeAlias = asyncssh.SSHReader[bytes]


async def follow(
    pool: Pool,
    folder: str,
    offset: int,
    *,
    limit: int,
    status: Callable[[], Awaitable[GenerationStatus]],
    err_tail: Callable[[], Awaitable[str]],
) -> AsyncIterator[Line | OutputBroken | Ended]:
    """Lines of FOLDER/out from a raw offset, then how the generation ended.

    A reader on the VM ends when the pump's lock is free; what it read is then held against the file's size,
    so that nothing written at the last moment is missed.
    """
    lines = Splitter(offset, limit)
    while True:
        before = lines.at
        async with contextlib.aclosing(_read(pool, folder, lines)) as items:
            async for item in items:
                yield item
                if isinstance(item, OutputBroken):
                    return
        found = await status()
        if found.meaning == "unknown":
            raise Unreachable("The VM's container runtime does not say what became of the agent.")
        if found.meaning not in LIVE and found.out_bytes <= lines.read_to:
            break
        if lines.at == before and found.out_bytes <= lines.read_to:
            raise Unreachable("The reader of the agent's output ended although the agent lives.")
        lines.drop()
    rest = lines.rest() if found.meaning in OVER else None
    if rest is not None:
        yield rest
    yield Ended(found, await err_tail())


async def _read(pool: Pool, folder: str, lines: Splitter) -> AsyncGenerator[Line | OutputBroken]:
    """The lines from `lines.at` on, until the reader on the VM ends. Raises Unreachable when it is cut off."""
    async with pool.process(command("follow", [folder, lines.at])) as process:
        reason = await _begin(process.stdout)
        if reason is not None:
            yield OutputBroken(reason)
            return
        while chunk := await process.stdout.read(CHUNK_BYTES):
            for line in lines.feed(chunk):
                yield line
            if lines.overlong:
                yield OutputBroken(f"The line at byte {lines.at} is longer than {lines.limit} bytes.")
                return
        await process.wait_closed()
        if process.exit_status != 0:
            raise Unreachable("The connection that followed the agent's output broke.")


async def _begin(reader: Reader) -> str | None:
    """Read up to the raw bytes; gives the reason when the file is not what was followed. Raises Unreachable."""
    async with asyncio.timeout(BEGIN_S):
        try:
            await _through(reader, SENTINEL)
            header = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            raise Unreachable("The VM did not begin to send the agent's output.") from error
    word, _, rest = header.decode("utf-8", "replace").rstrip("\n").partition(" ")
    raise_verdict(word, rest)
    if word == "broken":
        return rest
    if word == "nothing":
        await reader.read()
    elif word != "stream":
        raise Unreachable("The VM's answer about the agent's output is not understood.")
    return None


async def _through(reader: Reader, mark: bytes) -> None:
    """Read past the mark, before which a login profile may print a bounded amount."""
    printed = 0
    while not (line := await reader.readuntil(b"\n")).endswith(mark):
        printed += len(line)
        if printed > MAX_PREAMBLE_BYTES:
            raise Unreachable("The VM's login profile prints without end.")
