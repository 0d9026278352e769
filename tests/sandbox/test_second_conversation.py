"""The specification's second conversation, through the real service and the sandbox's peers."""

from __future__ import annotations

from pathlib import Path

import pytest

from sm.sandbox.assembly import Choices, Sandbox
from sm.sandbox.demo import second
from sm.sandbox.demo.room import Access, Room
from sm.sandbox.service_process import ServiceProcess

pytestmark = [pytest.mark.real_peers]


async def test_sarahs_conversation_happens_word_for_word(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path / "state", choices=Choices(claude=""))
    await sandbox.start()
    try:
        variables = sandbox.environment()
        service = ServiceProcess(variables, tmp_path / "service.log")
        await service.start()
        said: list[str] = []
        try:
            async with Room(Access.of(variables), lambda who, line: said.append(f"{who}: {line}")) as room:
                played = await second.play(room, variables)
        except Exception as error:
            error.add_note("The channel:\n" + "\n".join(said) + f"\n{service.tail()}")
            raise
        finally:
            await service.stop()
    finally:
        await sandbox.stop()
    assert played.facts == (
        "acme/webapp is on main",
        f"worktrees/webapp-{played.session} is on sm/{played.session}",
        "each of the two is answered by its own agent, sarah in the thread of her start",
        f"worktrees/webapp-{played.session} is on sm/{played.session}",
    )
