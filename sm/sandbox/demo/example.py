"""The specification's Example Conversation, played by james, and what must be true outside when it is over."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import TypeVar, cast

from attrs import frozen

from sm.sandbox.assembly import ALIAS
from sm.sandbox.demo.room import Room, Seen
from sm.sandbox.mattermost.shapes import as_object, objects
from sm.sandbox.network.index import HOSTS

T = TypeVar("T")

DOMAIN = "pypi.org"
READY = re.compile(r"✅ Ready\. Container: `claude-([0-9a-z]{8})`")
CARD = f"🔒 **Network Request:** `{DOMAIN}`"
CHOICES = ["✅ Approve", "This session", "1 hour", "❌ Deny"]
REQUEST = f"[NETWORK_REQUEST: {DOMAIN}]"
DECIDED = f"✅ `{DOMAIN}` approved by @james"
BLOCKED = f"$ pip install pytest\nERROR: Connection timed out to {DOMAIN}\n\n{REQUEST}"
INSTALLED = f"[NETWORK_APPROVED: {DOMAIN}]\n\n$ pip install pytest\nSuccessfully installed pytest-8.0.0"
STOPPED = "✅ Stopped."

_START_S = 30.0
_TURN_S = 25.0
_SHORT_S = 10.0


class NotAsWrittenError(Exception):
    """The conversation, or what it should have left behind, is not what the specification says; the text says where."""


@frozen
class Played:
    """What came of it: the session's id, and the facts that were checked, as sentences."""

    session: str
    facts: tuple[str, ...]


async def play(room: Room, sessions: Path) -> Played:
    """Play it and check it; `sessions` is what SM_SESSIONS_PATH names on the VM.

    Raises `NotAsWrittenError`, and `RoomError` when a post or a press is not taken.
    """
    await _within(_SHORT_S, _listening(room), "the service's WebSocket did not come")
    session, ready = await _start(room)
    await _alias_is_shut(room)
    card = await _blocked(room, ready)
    facts = [await _nothing_came_through(room)]
    installed = await _approve(room, card)
    facts += [await _alias_is_open(room), await _installed(room)]
    await room.say("james", "@claude stop")
    await _answer(room, installed, STOPPED, _START_S)
    facts += [_pip_ran_twice(sessions, session), await _container_is_gone(room, session)]
    return Played(session, tuple(facts))


async def _start(room: Room) -> tuple[str, Seen]:
    await room.say("james", "@claude start acme/webapp")
    preparing = await _answer(room, None, "📦 Preparing **acme/webapp**...", _SHORT_S)
    starting = await _answer(room, preparing, "🚀 Starting session...", _START_S)
    wait = room.until(lambda post: post.who == "claude", after=starting)
    ready = await _within(_START_S, wait, "nothing came after 🚀 Starting session...")
    found = READY.fullmatch(ready.text)
    if found is None:
        raise NotAsWrittenError(f"instead of ✅ Ready the bot wrote: {ready.text}")
    return found[1], ready


async def _blocked(room: Room, ready: Seen) -> Seen:
    """Ask for pytest, see it blocked; answers the card."""
    await room.say("james", "add pytest to the project")
    begun = await _answer(room, ready, "I'll add pytest to the project dependencies...", _TURN_S)
    asked = await _answer(room, begun, BLOCKED, _TURN_S)
    wait = room.until(lambda post: post.who == "claude" and post.text.startswith(f"{CARD}\n"), after=asked)
    card = await _within(_SHORT_S, wait, f"no card came that begins with {CARD!r}")
    names = [button.name for button in card.buttons]
    if names[:4] != CHOICES:
        raise NotAsWrittenError(f"the card has the buttons {names}")
    return card


async def _approve(room: Room, card: Seen) -> Seen:
    await room.press("james", card, card.buttons[0])
    decided = room.changed(card, lambda post: post.text == DECIDED and not post.buttons)
    await _within(_TURN_S, decided, f"the card did not become {DECIDED!r}")
    return await _answer(room, card, INSTALLED, _TURN_S)


async def _answer(room: Room, after: Seen | None, text: str, within_s: float) -> Seen:
    wait = room.until(lambda post: post.who == "claude" and post.text == text, after=after)
    return await _within(within_s, wait, f"the bot did not write {text!r}")


async def _within(seconds: float, wait: Awaitable[T], complaint: str) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await wait
    except TimeoutError:
        raise NotAsWrittenError(f"{complaint} within {seconds:g} s") from None


# --- facts outside of the chat -------------------------------------------------------------------------------


async def _listening(room: Room) -> None:
    while not (await room.state("websockets")).get("claude", 0):  # noqa: ASYNC110 - another process's doing
        await asyncio.sleep(0.05)


async def _content(room: Room) -> list[str]:
    state = await room.state("opnsense")
    return cast("list[str]", state["aliases"][ALIAS]["content"])


async def _alias_is_shut(room: Room) -> None:
    if DOMAIN in await _content(room):
        raise NotAsWrittenError(f"{DOMAIN} is in the firewall's alias before anybody allowed it")


async def _alias_is_open(room: Room) -> str:
    content = await _content(room)
    if DOMAIN not in content:
        raise NotAsWrittenError(f"the card says approved, but the firewall's alias holds {content}")
    return f"the firewall's alias {ALIAS} holds {', '.join(content)}"


async def _requests(room: Room) -> list[str]:
    state = await room.state("index")
    return [f"{one['host']}{one['path']} {one['status']}" for one in state["requests"]]


async def _nothing_came_through(room: Room) -> str:
    came = await _requests(room)
    if came:
        raise NotAsWrittenError(f"something reached the package index before it was allowed: {came}")
    return f"before the approval nothing reached {DOMAIN}"


async def _installed(room: Room) -> str:
    came = await _requests(room)
    wheel = next((one for one in came if one.endswith(".whl 200") and one.startswith(HOSTS)), None)
    if wheel is None:
        raise NotAsWrittenError(f"pytest was said to be installed, but the index was only asked for {came}")
    return f"after it pip fetched {wheel.removesuffix(' 200')}"


def _pip_ran_twice(sessions: Path, session: str) -> str:
    """What the tool itself said, as the agent's own record on the VM has it."""
    results = [result for out in _outputs(sessions, session) for result in _tool_results(out)]
    if len(results) != 2 or not results[0][0] or results[1][0]:
        raise NotAsWrittenError(
            f"pip should have failed once and then worked, but the agent's tools said {results}"
        )
    failed, worked = (text for _, text in results)
    if "ERROR: " not in failed or "Successfully installed pytest-8.0.0" not in worked:
        raise NotAsWrittenError(f"pip said {failed!r}, then {worked!r}")
    return "the agent's pip failed at first, and installed pytest-8.0.0 afterwards"


def _outputs(sessions: Path, session: str) -> list[Path]:
    return sorted(sessions.glob(f"*{session}*/*/out"))


def _tool_results(out: Path) -> Iterator[tuple[bool, str]]:
    """(is_error, text) of every tool's result in a stream-json output."""
    for line in out.read_text(encoding="utf-8").splitlines():
        row = as_object(json.loads(line))
        for block in objects(as_object(row.get("message")).get("content")):
            if block.get("type") == "tool_result":
                yield bool(block.get("is_error")), json.dumps(block.get("content"), ensure_ascii=False)


async def _container_is_gone(room: Room, session: str) -> str:
    left = [one["name"] for one in (await room.state("vm"))["containers"]]
    if left:
        raise NotAsWrittenError(f"after ✅ Stopped. the VM still has the containers {left}")
    return f"the container claude-{session} is gone"
