"""Attacks on the way from a decision to the firewall: other aliases, names that turn between two tries, clocks that jump."""

from __future__ import annotations

import uuid
from typing import Any, cast

from engine_kit import CHANNEL, SARAH
from wall_kit import HELD, Wall

from sm.core import streams
from sm.core.events import NetworkDecided, Verdict
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
    stream, store = streams.alias(BEFORE), wall.peer._store
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
