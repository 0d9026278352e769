"""People, administrators, names, time, trouble and kills in any order: when the storm is over, all is as it is said."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import pytest
from engine_kit import ALIAS_STREAM, CHANNEL, JAMES, until
from wall_kit import HELD, Killed, Wall, die

from sm.core.events import Ask, NetworkRequested, NetworkSessionEnded

GRANTED = [f"{letter}.example" for letter in "abcde"]
FOREIGN = [f"{letter}.example" for letter in "xyz"]
SESSIONS = ["s1", "s2"]
SEEDS = range(8)
STEPS = 30
ENDPOINTS = ["alias/getAliasUUID", "alias/export", "alias/setItem", "alias/reconfigure", "alias_util/list"]
FAULTS = ["lost_reply", "lost_request", "server_error", "unavailable"]
ONCE = [
    "reconfigure_ignored",
    "reconfigure_lost",
    "foreign_edit_after",
    "readonly_user",
    "save_refused",
    "forbidden",
]


class Storm:
    """One seed's worth of it."""

    def __init__(self, wall: Wall, seed: int) -> None:
        self.wall = wall
        self.dice = random.Random(seed)
        self.foreign: set[str] = set()
        self.trail: list[str] = []
        for number, name in enumerate((*GRANTED, *FOREIGN, "added-by-admin.example")):
            wall.zone.set(name, [f"192.52.193.{100 + number}"])

    async def blow(self) -> None:
        steps: list[Callable[[], Awaitable[None]]] = [
            self.approve, self.approve, self.approve, self.deny, self.revoke, self.end, self.hour, self.look, self.look,
            self.edit, self.edit, self.take_out, self.turn, self.turn_back, self.trouble, self.trouble, self.kill,
            self.disable, self.refresh, self.retry, self.turn_apart, self.put_back,
        ]  # fmt: skip
        for _ in range(STEPS):
            step = self.dice.choice(steps)
            self.trail.append(step.__name__)
            await step()
            if any(isinstance(error, Killed) for error in self.wall.engine.fatal):
                await self.begin_again()

    async def begin_again(self) -> None:
        self.trail.append("begin again")
        await self.wall.crash()
        await self.wall.start()

    async def rest(self) -> None:
        """Let it go on for a moment, to its end or not."""
        for _ in range(self.dice.choice([0, 0, 5, 50])):
            await asyncio.sleep(0)
        if self.dice.random() < 0.5:
            await self.settle()

    async def settle(self) -> None:
        """All is done, or the process was killed over it."""
        wall = self.wall

        def is_done() -> bool:
            return bool(wall.engine.fatal) or not wall.outstanding()

        give_up_at = time.monotonic() + 20
        while not is_done():
            assert time.monotonic() < give_up_at, self.trail
            await asyncio.sleep(0.002)

    # --- what happens -----------------------------------------------------------------------------------------------

    async def approve(self) -> None:
        names = self.dice.sample(GRANTED, self.dice.choice([1, 1, 2]))
        session = self.dice.choice(SESSIONS)
        number = len(self.trail)
        asks = tuple(Ask(f"q{number}-{name}", name) for name in names)
        event = NetworkRequested(session, CHANNEL, asks, user_id=JAMES.id, user_name=JAMES.username)
        await self.wall.engine.happen(ALIAS_STREAM, event)
        await self.rest()
        if self.wall.engine.fatal:
            return
        for ask in asks:
            request = self.wall.data.requests.get(ask.request_id)
            if request is not None and request.card_id:
                action = self.dice.choice(["approve", "session", "hour"])
                await self.wall.press(request, action, wait=False)
        await self.rest()

    async def deny(self) -> None:
        await self.wall.command("deny", self.dice.choice(GRANTED), wait=False)
        await self.rest()

    async def retry(self) -> None:
        for request in list(self.wall.data.requests.values()):
            if request.state == "failed" and request.card_id:
                await self.wall.press(request, "retry", wait=False)
        await self.rest()

    async def revoke(self) -> None:
        await self.wall.command("revoke", self.dice.choice(GRANTED), wait=False)
        await self.rest()

    async def end(self) -> None:
        await self.wall.engine.happen(ALIAS_STREAM, NetworkSessionEnded(self.dice.choice(SESSIONS)))
        await self.rest()

    async def hour(self) -> None:
        await self.wall.clock.pass_s(3600)
        await self.rest()

    async def look(self) -> None:
        await self.settle()
        if not self.wall.engine.fatal:
            try:
                await self.wall.reconciler._look()
            except Killed:
                await self.begin_again()
        await self.rest()

    async def edit(self) -> None:
        """Never between a read and the write that follows it: what falls there is lost, as the README says."""
        await self.settle()
        name = self.dice.choice(FOREIGN)
        if name in self.foreign:
            await self.wall.edit(remove=[name])
            self.foreign.discard(name)
        else:
            await self.wall.edit(name)
            self.foreign.add(name)

    async def take_out(self) -> None:
        await self.settle()
        await self.wall.edit(remove=[self.dice.choice(GRANTED)])

    async def turn(self) -> None:
        self.wall.zone.set(self.dice.choice(GRANTED), ["10.0.0.5"])

    async def turn_apart(self) -> None:
        """For the firewall's resolver alone."""
        name = self.dice.choice(GRANTED)
        self.wall.dns.says(name, *self.wall.zone.lookup(name))
        self.wall.zone.set(name, ["10.0.0.5"])

    async def put_back(self) -> None:
        """An administrator enters what is granted, was, or will be."""
        await self.settle()
        await self.wall.edit(self.dice.choice(GRANTED))

    async def turn_back(self) -> None:
        self.wall.dns._said.clear()
        for number, name in enumerate(GRANTED):
            self.wall.zone.set(name, [f"192.52.193.{100 + number}"])

    async def refresh(self) -> None:
        await self.wall.refresh()

    async def trouble(self) -> None:
        if self.dice.random() < 0.5:
            self.wall.arm(self.dice.choice(FAULTS), endpoint=self.dice.choice(ENDPOINTS) + "*")
        else:
            self.wall.arm(self.dice.choice(ONCE))

    async def kill(self) -> None:
        if not self.wall.line._hooks:
            self.wall.line.at(self.dice.choice(["before", "after"]), self.dice.choice(ENDPOINTS), die)

    async def disable(self) -> None:
        is_on = self.wall.peer.state()["aliases"]["llm_approved_domains"]["enabled"]  # type: ignore[index]
        await self.wall.change(enabled=not is_on)


@pytest.mark.parametrize("seed", SEEDS)
async def test_after_the_storm_the_firewall_has_what_is_granted_and_what_others_entered(
    bare_wall: Wall, seed: int
) -> None:
    wall = bare_wall
    await wall.start()
    storm = Storm(wall, seed)
    await storm.look()
    await storm.blow()
    wall.faults.clear()
    wall.line._hooks.clear()
    if wall.engine.fatal:
        await storm.begin_again()
    await wall.change(enabled=True)
    await storm.turn_back()
    await wall.refresh()
    await until(lambda: not wall.engine.fatal)
    for _ in range(3):
        await wall.quiet()
        await wall.reconciler._look()
    await wall.quiet()
    await wall.refresh()

    what = f"seed {seed}: {storm.trail}"
    wall.is_whole()
    foreign = set(wall.content) & {*storm.foreign, "added-by-admin.example"}
    ours = {entry.domain for entry in wall.data.entries.values() if entry.ours}
    stray = set(wall.content) - ours - foreign - {HELD} - set(wall.data.foreign or ())
    assert storm.foreign <= set(wall.content), what
    assert not stray, what
    assert ours <= set(wall.data.wish()) <= set(wall.content), what
    assert wall.open == {address for name in wall.content for address in wall.zone.lookup(name)}, what
    for request in wall.data.requests.values():
        grant = wall.data.grants.get(request.grant_id)
        if request.state == "approved":
            assert grant is not None, what
            assert grant.live, what
        assert request.state != "applying", what
    assert wall.data.revocations == (), what
