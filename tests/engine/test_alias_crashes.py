"""A write of the alias that is cut off between any two of its steps: what is in the alias is known to be whose."""

from __future__ import annotations

import asyncio

import pytest
from engine_kit import until
from wall_kit import HELD, PYPI, DieAt, Wall, die

from sm.core.alias import Request

WHERE = {
    "before the alias was read": ("before", "alias/export", 1),
    "read, not recorded": ("after", "alias/export", 1),
    "recorded, not sent": ("before", "alias/setItem", 1),
    "sent, the reply lost": ("after", "alias/setItem", 1),
    "before it was read back": ("before", "alias/export", 2),
    "read back, not reported": ("after", "alias/export", 2),
    "reported, not applied": ("before", "alias/reconfigure", 1),
    "applied, the reply lost": ("after", "alias/reconfigure", 1),
    "applied, not seen": ("before", "alias_util/list", 2),
}
NOTHING_TO_WRITE = (
    "recorded, not sent",
    "sent, the reply lost",
    "before it was read back",
    "read back, not reported",
)
POINTS = [
    ("after_commit", "alias.write"),
    ("after_read", "alias.write"),
    ("after_effect", "alias.write"),
    ("after_commit", "alias.apply"),
    ("after_effect", "alias.apply"),
    ("after_commit", "network.try"),
    ("after_effect", "network.try"),
    ("after_commit", "card.resolve"),
    ("after_effect", "card.resolve"),
]


@pytest.fixture
async def wall(bare_wall: Wall) -> Wall:
    await bare_wall.start()
    return bare_wall


async def cut_off(wall: Wall, *domains: str, action: str = "approve") -> list[Request]:
    """Asked for, decided, and killed on the way."""
    requests = await wall.ask(*domains)
    for request in requests:
        await wall.press(request, action, wait=False)
    await wall.killed()
    return requests


async def go_on(wall: Wall) -> None:
    await wall.start()
    await wall.quiet()


@pytest.mark.parametrize("where", WHERE)
async def test_wherever_an_approval_is_cut_off_it_is_finished_and_the_entry_is_known_as_ours(
    wall: Wall, where: str
) -> None:
    when, endpoint, nth = WHERE[where]
    wall.line.at(when, endpoint, die, nth)
    (request,) = await cut_off(wall, "pypi.org")
    await go_on(wall)
    assert wall.state(request) == "approved"
    assert wall.content == [HELD, "pypi.org"]
    assert wall.is_ours("pypi.org")
    assert PYPI in wall.open
    assert len(wall.ours) == 1
    assert wall.heard() == [("approved", "pypi.org")]
    await wall.look()
    wall.is_whole()
    await wall.command("revoke", "pypi.org")
    assert wall.content == [HELD]
    assert PYPI not in wall.open


@pytest.mark.parametrize("where", [where for where in WHERE if where not in NOTHING_TO_WRITE])
async def test_wherever_it_is_cut_off_what_was_there_before_stays_foreign(wall: Wall, where: str) -> None:
    await wall.edit("pypi.org")
    when, endpoint, nth = WHERE[where]
    wall.line.at(when, endpoint, die, nth)
    (request,) = await cut_off(wall, "pypi.org")
    await go_on(wall)
    assert wall.state(request) == "approved"
    assert not wall.is_ours("pypi.org")
    await wall.command("revoke", "pypi.org")
    await wall.look()
    assert wall.content == [HELD, "pypi.org"]
    assert len(wall.said("revoked_but_foreign")) == 1
    assert wall.ours == []
    wall.is_whole()


@pytest.mark.parametrize("where", WHERE)
async def test_wherever_it_is_cut_off_beside_a_foreign_entry_each_is_known_for_what_it_is(
    wall: Wall, where: str
) -> None:
    await wall.edit("example.com")
    when, endpoint, nth = WHERE[where]
    wall.line.at(when, endpoint, die, nth)
    await cut_off(wall, "pypi.org")
    await wall.edit("other.example")
    await go_on(wall)
    await wall.approve("example.com")
    assert (wall.is_ours("pypi.org"), wall.is_ours("example.com")) == (True, False)
    assert wall.content[:2] == [HELD, "example.com"]
    assert sorted(wall.content[2:]) == ["other.example", "pypi.org"]
    await wall.look()
    assert set(wall.data.foreign or ()) == {HELD, "example.com", "other.example"}
    wall.is_whole()


@pytest.mark.parametrize("where", WHERE)
async def test_wherever_a_revocation_is_cut_off_it_is_finished_and_answered_once(
    wall: Wall, where: str
) -> None:
    await wall.approve("pypi.org")
    when, endpoint, nth = WHERE[where]
    wall.line.at(when, endpoint, die, nth)
    await wall.command("revoke", "pypi.org", wait=False)
    await wall.killed()
    await go_on(wall)
    assert wall.content == [HELD]
    assert PYPI not in wall.open
    assert [said["domain"] for said in wall.said("revoked")] == ["pypi.org"]
    assert wall.data.entries == {}
    await wall.look()
    wall.is_whole()


@pytest.mark.parametrize(("point", "kind"), POINTS)
async def test_at_each_fault_point_of_the_engine_the_approval_is_finished(
    bare_wall: Wall, point: str, kind: str
) -> None:
    wall = bare_wall
    await wall.start(faults=DieAt(point, kind))
    asked = asyncio.create_task(wall.approve("pypi.org"))
    await wall.killed()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await go_on(wall)
    (request,) = wall.data.requests.values()
    if request.state == "pending":  # it died before the card was there to be pressed
        await wall.press(request)
    assert wall.state(request) == "approved"
    assert wall.content == [HELD, "pypi.org"]
    assert wall.is_ours("pypi.org")
    assert len(wall.ours) == 1
    await wall.look()
    wall.is_whole()


async def test_twice_cut_off_still_written_once(wall: Wall) -> None:
    wall.line.at("after", "alias/setItem", die)
    (request,) = await cut_off(wall, "pypi.org")
    await wall.start()
    wall.line.at("before", "alias/reconfigure", die)
    await wall.killed()
    await go_on(wall)
    assert wall.state(request) == "approved"
    assert wall.is_ours("pypi.org")
    assert len(wall.ours) == 1


async def test_a_grant_that_ended_while_its_write_was_cut_off_is_taken_out(wall: Wall) -> None:
    wall.line.at("after", "alias/setItem", die)
    (request,) = await cut_off(wall, "pypi.org", action="hour")
    wall.clock.ms += 3_601_000
    await go_on(wall)
    await until(lambda: wall.state(request) == "closed")
    await wall.quiet()
    assert wall.content == [HELD]
    assert PYPI not in wall.open
    assert wall.heard() == [("denied", "pypi.org")]
    wall.is_whole()


async def test_a_name_that_turned_while_its_write_was_cut_off_is_taken_out(wall: Wall) -> None:
    wall.line.at("after", "alias/setItem", die)
    (request,) = await cut_off(wall, "pypi.org")
    wall.zone.set("pypi.org", ["10.0.0.5"])
    await go_on(wall)
    assert (wall.state(request), wall.detail(request)) == ("closed", "not_global 10.0.0.5")
    assert wall.content == [HELD]
    assert "10.0.0.5" not in wall.open
    wall.is_whole()


async def test_an_administrator_who_undoes_a_write_that_was_cut_off_is_written_over(wall: Wall) -> None:
    """It was not read back yet, so it is ours to write again."""
    wall.line.at("after", "alias/setItem", die)
    (request,) = await cut_off(wall, "pypi.org")
    await wall.edit(remove=["pypi.org"])
    await go_on(wall)
    assert wall.state(request) == "approved"
    assert wall.content == [HELD, "pypi.org"]
    assert wall.is_ours("pypi.org")


async def test_an_alias_that_was_disabled_while_a_write_was_cut_off_leaves_it_known_as_ours(
    wall: Wall,
) -> None:
    wall.line.at("after", "alias/setItem", die)
    (request,) = await cut_off(wall, "pypi.org")
    await wall.change(enabled=False)
    await go_on(wall)
    assert (wall.state(request), wall.detail(request)) == ("failed", "alias_disabled")
    await wall.press(request, "deny")
    await wall.change(enabled=True)
    await wall.look()
    assert wall.content == [HELD]
    wall.is_whole()


async def test_the_agent_hears_once_however_often_all_is_begun_again(wall: Wall) -> None:
    (request,) = await wall.approve("pypi.org")
    heard = wall.heard()
    for _ in range(2):
        await wall.crash()
        await go_on(wall)
        assert wall.heard() == []
    assert heard == [("approved", "pypi.org")]
    assert wall.state(request) == "approved"
    assert len(wall.ours) == 1
