"""Following `out` over a connection that may break at any byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, Literal, TypeAlias

import asyncssh

from sm.core.outcome import Unreachable
from sm.vm.lines import Splitter
from sm.vm.model import Ended, GenerationStatus, Line, OutputBroken
from sm.vm.remote import command, past_preamble, raise_verdict
from sm.vm.ssh import Pool
from sm.vm.table import LIVE, OVER
from sm.vm.watch import Watches

CHUNK_BYTES: Final = 256 * 1024
BEGIN_S: Final = 60
QUIET_S: Final = 1.0
"""After how long without output an idle generation is no longer worth a channel of its own."""

Reader: TypeAlias = asyncssh.SSHReader[bytes]
Quiet: TypeAlias = Literal["quiet"]


async def follow(
    pool: Pool,
    watches: Watches,
    folder: str,
    offset: int,
    *,
    limit: int,
    idle: Callable[[], bool],
    status: Callable[[], Awaitable[GenerationStatus]],
    err_tail: Callable[[], Awaitable[str]],
) -> AsyncIterator[Line | OutputBroken | Ended]:
    """Lines of FOLDER/out from a raw offset, then how the generation ended.

    A reader on the VM ends when the pump's lock is free; what it read is then held against the file's size,
    so that nothing written at the last moment is missed. While the generation is idle and quiet it is only watched.
    """
    lines = Splitter(offset, limit)
    while True:
        before, quiet = lines.at, False
        async with contextlib.aclosing(
            _read(pool, folder, lines, lambda: idle() and watches.have_room)
        ) as items:
            async for item in items:
                if item == "quiet":
                    quiet = True
                    break
                yield item
                if isinstance(item, OutputBroken):
                    return
        if quiet:
            await watches.changed(folder, lines.at)
            continue
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


async def _read(
    pool: Pool, folder: str, lines: Splitter, idle: Callable[[], bool]
) -> AsyncGenerator[Line | OutputBroken | Quiet]:
    """The lines from `lines.at` on, until the reader on the VM ends, or until all is read, quiet and idle.

    Raises Unreachable when it is cut off.
    """
    async with pool.process(command("follow", [folder, lines.at])) as process:
        reason = await _begin(process.stdout)
        if reason is not None:
            yield OutputBroken(reason)
            return
        while (chunk := await _next(process.stdout)) != b"":
            for line in lines.feed(chunk or b""):
                yield line
            if lines.overlong:
                yield OutputBroken(f"The line at byte {lines.at} is longer than {lines.limit} bytes.")
                return
            if chunk is None and idle() and lines.read_to == lines.at:
                yield "quiet"
                return
        await process.wait_closed()
        if process.exit_status != 0:
            raise Unreachable("The connection that followed the agent's output broke.")


async def _next(reader: Reader) -> bytes | None:
    """What came next, empty at the end, None for a while of nothing (a read given up takes nothing from the reader)."""
    try:
        async with asyncio.timeout(QUIET_S):
            return await reader.read(CHUNK_BYTES)
    except TimeoutError:
        return None


async def _begin(reader: Reader) -> str | None:
    """Read up to the raw bytes; gives the reason when the file is not what was followed. Raises Unreachable."""
    async with asyncio.timeout(BEGIN_S):
        try:
            await past_preamble(reader)
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
