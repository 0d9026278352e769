"""Following the output: from any byte that ends a line, over broken connections, to the end of the generation."""

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from sm.core.outcome import Unreachable
from sm.vm import Appended, Ended, Line, OutputBroken
from sm.vm.lines import Splitter

from .conftest import FIRST, SESSION, until

START = len(FIRST) + 1


async def say(vm, text, at):
    line = text.encode() + b"\n"
    found = await vm.append(session_id=SESSION, generation=1, expected=at, line=line, epoch=1)
    assert isinstance(found, Appended)
    return found.length


async def everything(vm, offset=0):
    return [item async for item in vm.follow(SESSION, 1, offset)]


def cut_into_lines(raw, offset=0):
    """What every follow together must have given, worked out apart."""
    lines, at = [], offset
    for part in raw.splitlines(keepends=True):
        lines.append(
            Line(at, at + len(part), part.rstrip(b"\n").decode("utf-8", "replace"), part.endswith(b"\n"))
        )
        at += len(part)
    return lines


async def test_lines_come_with_their_raw_offsets_and_then_the_end(peer, started):
    at = await say(started, '{"text":"é✅"}', START)
    await say(started, '{"do":"leave 0"}', at)
    *lines, end = await everything(started)
    assert lines == cut_into_lines((peer.generation() / "out").read_bytes())
    assert (end.status.meaning, end.status.exit) == ("ended", "0 0 exited 0 false")
    assert end.err_tail == "said on the error output"


async def test_following_while_the_agent_works_gives_each_line_as_it_is_written(started):
    stream = started.follow(SESSION, 1, 0)
    assert FIRST in (await anext(stream)).text
    await say(started, '{"one":1}', START)
    assert (await anext(stream)).text == '{"got":{"one":1}}'
    await stream.aclose()


async def test_after_a_break_in_mid_line_nothing_is_lost_and_nothing_comes_twice(peer, started):
    lines, offset, breaks = [], 0, 0
    at = await say(started, '{"do":"many"}', START)
    at = await say(started, '{"do":"half"}', at)  # and now the connection breaks in the middle of a line
    await until(lambda: peer.read("out").endswith('{"half'), "half a line")
    told = False
    while True:
        try:
            async for item in started.follow(SESSION, 1, offset):
                if isinstance(item, Ended):
                    break
                lines.append(item)
                offset = item.end
                if len(lines) in {1, 700, 1500}:
                    peer.cut()
                if len(lines) == 2001 and not told:
                    peer.cut()
            else:
                raise AssertionError("ended without an end")
            break
        except Unreachable:
            breaks += 1
            if len(lines) == 2001 and not told:
                told = True
                await say(started, '{"do":"leave 0"}', at)
    assert breaks >= 2
    assert lines == cut_into_lines((peer.generation() / "out").read_bytes())
    assert lines[-1].terminated is False


async def test_the_last_line_without_an_end_is_a_line_of_its_own_at_the_death(started):
    await say(started, '{"do":"half and leave"}', START)
    *_, line, end = await everything(started)
    assert (line.text, line.terminated) == ('{"half', False)
    assert isinstance(end, Ended)


async def test_following_again_after_the_unfinished_last_line_gives_only_the_end(started):
    await say(started, '{"do":"half and leave"}', START)
    *_, line, _end = await everything(started)
    (only,) = await everything(started, line.end)
    assert isinstance(only, Ended)


async def test_an_unfinished_line_is_not_given_while_the_agent_may_go_on(peer, started):
    await say(started, '{"do":"half"}', START)
    await until(lambda: peer.read("out").endswith('{"half'), "half a line")
    os.kill(agent(peer), signal.SIGSTOP)
    os.kill(peer.pump(), signal.SIGKILL)
    line, end = await everything(started)
    assert line.terminated
    assert end.status.meaning == "pump_killed"
    os.kill(agent(peer), signal.SIGCONT)
    await started.stop_generation(SESSION, 1, 1)
    rest, end = await everything(started, line.end)
    assert (rest.terminated, end.status.meaning) == (False, "cut_off")


def agent(peer):
    (file,) = (peer.state / "c").glob("*.json")
    return json.loads(file.read_text())["pid"]


async def test_a_line_over_the_limit_ends_the_following_unread(peer, started):
    vm = peer.vm(max_line_bytes=4096)
    await say(vm, '{"do":"long"}', START)
    line, broken = await everything(vm)
    assert line.terminated
    assert isinstance(broken, OutputBroken)
    assert "4096" in broken.reason


@pytest.mark.parametrize("spoil", ["shrunk", "replaced", "middle", "gone"])
async def test_an_output_that_is_not_what_was_followed_is_told(peer, started, spoil):
    out = peer.generation() / "out"
    whole, offset = out.read_bytes(), out.stat().st_size
    if spoil == "shrunk":
        os.truncate(out, 5)
    elif spoil == "replaced":
        out.rename(peer.folder / "kept")
        out.write_bytes(whole)
    elif spoil == "gone":
        out.unlink()
    else:
        offset -= 3
    (item,) = await everything(started, offset)
    assert isinstance(item, OutputBroken)


async def test_a_vm_that_is_away_raises_and_says_nothing_of_an_end(peer, started):
    stream = started.follow(SESSION, 1, 0)
    await anext(stream)
    await peer.away()
    with pytest.raises(Unreachable):
        await anext(stream)
    with pytest.raises(Unreachable):
        await everything(started)
    await peer.listen()
    assert (await started.status(SESSION, 1)).meaning == "running"


async def test_no_reader_is_left_on_the_vm_after_a_break(peer, started):
    stream = started.follow(SESSION, 1, 0)
    await anext(stream)
    peer.cut()
    with pytest.raises(Unreachable):
        await anext(stream)
    await until(lambda: not readers(peer), "the readers' end")


def readers(peer):
    mark = str(peer.generation()).encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            if mark in words and b"pump\0" not in words:
                found.append(words)
    return found


async def test_what_a_profile_prints_is_not_the_agents_output(peer, started):
    peer.write_profile(more="echo '{\"type\":\"result\"}'; printf 'no newline'; echo noise >&2")
    await say(started, '{"do":"leave 0"}', START)
    *lines, _end = await everything(started)
    assert lines == cut_into_lines((peer.generation() / "out").read_bytes())


async def test_many_generations_are_followed_at_once(peer, started):
    async def first():
        stream = started.follow(SESSION, 1, 0)
        line = await anext(stream)
        opened.append(1)
        await all_open.wait()
        await stream.aclose()
        return line.offset

    opened, all_open = [], asyncio.Event()
    tasks = [asyncio.create_task(first()) for _ in range(9)]
    await until(lambda: len(opened) == 9, "nine followers")
    all_open.set()
    assert await asyncio.gather(*tasks) == [0] * 9
    assert peer.most_channels <= 6


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_lines_are_the_same_whatever_the_chunks(size):
    raw = "a\n\nbé✅c\r\n".encode() + b"\xff\xfe\nlast"
    splitter, lines = Splitter(10, 100), []
    for begin in range(0, len(raw), size):
        lines += splitter.feed(raw[begin : begin + size])
    assert splitter.read_to == 10 + len(raw)
    lines.append(splitter.rest())
    expected, at = [], 10
    for part in raw.split(b"\n"):
        end = at + len(part) + 1
        expected.append(Line(at, end, part.decode("utf-8", "replace"), True))
        at = end
    expected[-1] = Line(expected[-1].offset, expected[-1].end - 1, "last", False)
    assert lines == expected


@pytest.mark.parametrize("tail", [b"", b"\n"])
def test_a_line_over_the_limit_is_noticed_with_and_without_its_end(tail):
    splitter = Splitter(0, 4)
    assert [line.text for line in splitter.feed(b"1234\n12345" + tail)] == ["1234"]
    assert splitter.overlong
