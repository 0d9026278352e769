"""The alias's client beside other writers: what is kept, what is merged, and the one moment that the API leaves open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from loopback_kit import Wall

from sm.sandbox.opnsense.api import ADMIN_ENTRY


@pytest.fixture
async def wall() -> AsyncIterator[Wall]:
    async with aiohttp.ClientSession() as http:
        wall = Wall(http)
        await wall.peer.start()
        yield wall
        await wall.peer.stop()


async def test_no_request_of_ours_lies_between_a_read_and_its_write(wall: Wall) -> None:
    """Writers, applies, looks and probes at once; the hook takes its time, as a commit does."""

    async def commit(_entries: tuple[str, ...]) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    client = wall.client()
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(client.save(add=[f"n{number}.example.com"], before_write=commit))
            group.create_task(client.apply(["pypi.org"], (), before_write=wall.claim))
            group.create_task(client.look())
            group.create_task(client.check())
    writes = [place for place, endpoint in enumerate(wall.wire) if endpoint == "alias/setItem"]
    assert len(writes) == 8
    for place in writes:
        assert wall.wire[place - 2 : place] == ["alias/getAliasUUID", "alias/export"]
        assert wall.wire[place + 1 : place + 3] == ["alias/getAliasUUID", "alias/export"]


async def test_each_write_is_shown_what_it_writes_over_and_what_the_server_had_then(wall: Wall) -> None:
    await wall.save("pypi.org")
    await wall.edit("other.example.com")
    await wall.save("example.com", remove=("pypi.org",))
    assert wall.shown == [
        ("api.anthropic.com",),
        ("api.anthropic.com", "pypi.org", "other.example.com"),
    ]
    ours = [write for write in wall.writes if write["by"] == "api"]
    assert [tuple(write["before"]) for write in ours] == wall.shown


async def test_what_others_saved_before_our_read_is_kept(wall: Wall) -> None:
    await wall.edit("other.example.com", remove=("api.anthropic.com",))
    saved = await wall.save("pypi.org")
    assert saved.before == ("other.example.com",)
    assert wall.content == ["other.example.com", "pypi.org"]


async def test_what_others_save_after_our_write_is_kept_and_not_written_over(wall: Wall) -> None:
    await wall.save("pypi.org")
    await wall.edit("other.example.com")
    assert (await wall.save("pypi.org")).changed is False
    await wall.save(remove=("pypi.org",))
    assert wall.content == ["api.anthropic.com", "other.example.com"]


async def test_a_writer_who_undoes_ours_right_after_it_is_seen_by_the_read_back_and_merged(
    wall: Wall,
) -> None:
    wall.arm("foreign_edit_after")
    assert (await wall.save("pypi.org")).after == ("api.anthropic.com", ADMIN_ENTRY, "pypi.org")


async def test_a_removal_that_another_writer_undoes_is_made_again(wall: Wall) -> None:
    await wall.save("pypi.org")
    wall.arm("foreign_edit_after")
    saved = await wall.save(remove=("pypi.org",))
    assert saved.after == ("api.anthropic.com", ADMIN_ENTRY)
    assert wall.shown[1:] == [
        ("api.anthropic.com", "pypi.org"),
        ("api.anthropic.com", "pypi.org", ADMIN_ENTRY),
    ]


async def test_what_falls_between_our_read_and_our_write_is_lost_and_cannot_be_seen(wall: Wall) -> None:
    """The one moment that the API leaves open: it checks no version. The README says so."""
    wall.arm("foreign_edit_before")
    saved = await wall.save("pypi.org")
    assert saved.after == ("api.anthropic.com", "pypi.org")
    assert ADMIN_ENTRY not in wall.content
    assert wall.shown == [("api.anthropic.com",)]
    assert [write["by"] for write in wall.writes] == ["administrator", "api"]


async def test_an_administrator_who_never_stops_ends_in_an_unknown_outcome(wall: Wall) -> None:
    wall.arm("foreign_edit_after", times=None)
    with pytest.raises(Exception, match="changed by someone else"):
        await wall.save("pypi.org")


async def test_a_look_sees_none_of_our_own_writes_half_done(wall: Wall) -> None:
    client = wall.client()
    release, reached = asyncio.Event(), asyncio.Event()

    async def hold(_entries: tuple[str, ...]) -> None:
        reached.set()
        await release.wait()

    saving = asyncio.create_task(client.save(add=["pypi.org"], before_write=hold))
    await reached.wait()
    looking = asyncio.create_task(client.look())
    await asyncio.sleep(0)
    assert not looking.done()
    release.set()
    await saving
    assert (await looking).entries == ("api.anthropic.com", "pypi.org")


async def test_a_writer_that_is_cancelled_lets_the_next_one_have_its_turn(wall: Wall) -> None:
    client = wall.client()
    reached = asyncio.Event()

    async def hang(_entries: tuple[str, ...]) -> None:
        reached.set()
        await asyncio.Event().wait()

    first = asyncio.create_task(client.save(add=["pypi.org"], before_write=hang))
    await reached.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await client.save(add=["example.com"], before_write=wall.show)
    assert wall.content == ["api.anthropic.com", "example.com"]
