"""Attacks on the way from a decision to the firewall: other aliases, names that turn between two tries, clocks that jump."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, cast

import pytest
from chat_kit import Town
from engine_kit import ALIAS_STREAM, CHANNEL, NOON_MS, SARAH
from test_service import Running
from wall_kit import HELD, Wall

from sm.core import streams
from sm.core.alias.ledger import HOUR_MS
from sm.core.commands import SetTimer
from sm.core.events import NetworkDecided, Verdict
from sm.engine import service
from sm.engine.dispatch import Job
from sm.engine.effectors.timers import TimerEffectors
from sm.engine.writer import Issued
from sm.sandbox.opnsense.store import alias

BEFORE = "alias_of_before"


def decided(action: str, *names: str, **more: Any) -> NetworkDecided:
    """Sarah says it in the channel."""
    verdicts = tuple(Verdict(name) for name in names)
    return NetworkDecided(
        cast("Any", action), CHANNEL, SARAH.id, SARAH.username, "command", names=verdicts, **more
    )


async def test_what_was_decided_for_another_alias_is_written_into_that_one_alone(wall: Wall) -> None:
    """The operator names another alias, and writes for the one before are still to be done."""
    stream = streams.alias(BEFORE)
    store = wall.peer._store  # pyright: ignore[reportPrivateUsage]
    name = str(uuid.UUID(int=7))
    store.aliases[name] = alias(name, BEFORE, "host", "example.com")
    await wall.engine.happen(stream, decided("approve", "pypi.org", scope="hour"))
    await wall.quiet()
    assert (store.aliases[name].entries, wall.content) == (["example.com", "pypi.org"], [HELD])
    await wall.approve("pypi.org")
    await wall.pass_s(3600)
    assert (store.aliases[name].entries, wall.content) == (["example.com"], [HELD, "pypi.org"])


async def test_an_alias_of_before_that_is_gone_fails_and_nothing_is_written(wall: Wall) -> None:
    stream = streams.alias(BEFORE)
    await wall.engine.happen(stream, decided("approve", "pypi.org"))
    await wall.quiet()
    (request,) = wall.engine.writer.state(stream).data.requests.values()
    assert (request.state, request.detail, wall.content) == ("failed", "alias_missing", [HELD])


async def test_a_retry_of_what_turned_meanwhile_opens_nothing_and_is_no_approval(wall: Wall) -> None:
    await wall.approve("example.com")
    wall.arm("reconfigure_lost")
    wall.cron = False
    (request,) = await wall.approve("pypi.org")
    assert wall.state(request) == "failed"
    wall.zone.set("pypi.org", ["10.0.0.5"])
    await wall.press(wall.data.requests[request.request_id], "retry")
    assert wall.state(request) == "closed"
    assert ("approved", "pypi.org") not in wall.heard()
    assert wall.content == [HELD, "example.com"]
    assert "10.0.0.5" not in wall.open


async def test_nor_where_it_is_loaded_beside_another_that_did_not_turn(wall: Wall) -> None:
    """And beside somebody else's name which leads nowhere now: what our own resolver says is not laid at its door."""
    await wall.edit("gone.example")
    await wall.approve("example.com")
    wall.arm("reconfigure_lost", times=None)
    wall.cron = False
    good, bad = await wall.approve("crates.io", "pypi.org")
    wall.faults.clear("opnsense", "reconfigure_lost")
    wall.zone.set("pypi.org", ["10.0.0.5"])
    for request in (good, bad):
        await wall.press(wall.data.requests[request.request_id], "retry", wait=False)
    await wall.quiet()
    assert (wall.state(good), wall.state(bad)) == ("approved", "closed")
    assert wall.content == [HELD, "gone.example", "example.com", "crates.io"]
    assert "10.0.0.5" not in wall.open


class SetClock:
    """Real time goes on; what the clock shows is set at will."""

    def __init__(self, ms: int, *, back_at_s: float = 0) -> None:
        self.ms, self.real_s, self.back_at_s = ms, 0.0, back_at_s

    def now_ms(self) -> int:
        return self.ms

    async def sleep(self, seconds: float) -> None:
        self.real_s += seconds
        self.ms += round(seconds * 1000)
        if self.real_s == self.back_at_s:
            self.ms -= HOUR_MS


@pytest.mark.parametrize(
    ("set_by_ms", "waits_s"), [(-HOUR_MS, 3600), (-9000 * HOUR_MS, 3600), (HOUR_MS // 2, 1800), (HOUR_MS, 0)]
)
async def test_an_hour_is_an_hour_at_most_whenever_the_clock_is_set(set_by_ms: int, waits_s: int) -> None:
    """Before the timer is waited for, as after a restart."""
    clock = SetClock(NOON_MS + set_by_ms)
    timers = TimerEffectors(clock, lambda: NOON_MS)
    await timers.wait(hour_timer())
    assert clock.real_s == waits_s


async def test_an_hour_is_an_hour_too_when_the_clock_is_set_back_meanwhile() -> None:
    clock = SetClock(NOON_MS, back_at_s=600)
    await TimerEffectors(clock, lambda: NOON_MS).wait(hour_timer())
    assert (clock.real_s, clock.ms) == (3600, NOON_MS)


def hour_timer() -> Job:
    """Set at noon, by whoever chose an hour."""
    return Job(Issued("c", ALIAS_STREAM, 1, SetTimer("", "grant:g1x0", 0, NOON_MS + HOUR_MS)), doubtful=True)


async def test_nothing_can_be_pressed_before_the_settings_of_now_count(
    town: Town, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def noted(owner: Any, name: str) -> None:
        true = getattr(owner, name)

        async def call(*args: Any) -> None:
            await true(*args)
            order.append(name)

        monkeypatch.setattr(owner, name, call)

    noted(service.WebServer, "start")
    noted(service.Service, "_adopt_policy")
    running = await Running(town, path).ready()
    await running.stop()
    assert order == ["_adopt_policy", "start"]
