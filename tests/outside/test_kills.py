"""kill -9 for each kind of command, before its effect and after it: outside nothing is missing, nothing is twice.

Each row is the shortest conversation that reaches the kind. It is played once without a kill and once for each
point; what posts, `in` files, containers and the firewall hold afterwards must be the same.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from attrs import frozen
from outside_kit import Chat, Peers, Service, channel, normal, until
from schema_kit import check_journal

from sm.core.commands import COMMANDS
from sm.engine.faultpoints import INNER, POINTS

pytestmark = [pytest.mark.real_peers, pytest.mark.timeout(120)]


@frozen
class Play:
    """What a conversation may use."""

    peers: Peers
    chat: Chat
    service: Service
    domain: str
    alone_before: int  # how many messages sarah had

    async def start(self) -> None:
        await self.chat.say("@claude start acme/webapp")
        await self.chat.sees("✅ Ready.")

    async def stop(self) -> None:
        await self.chat.say("@claude stop")
        await self.chat.sees("✅ Stopped.")


async def alone(peers: Peers) -> list[str]:
    """What the bot has written to sarah alone, ever."""
    base = f"{peers.variables['SM_MATTERMOST_URL']}/api/v4"
    headers = {"Authorization": f"Bearer {peers.variables['SANDBOX_TOKEN_SARAH']}"}
    async with aiohttp.ClientSession(headers=headers) as http:

        async def call(method: str, path: str, body: object = None) -> Any:
            async with http.request(method, base + path, json=body) as answer:
                assert answer.status < 300, await answer.text()
                return await answer.json()

        names = ("sarah", "claude")
        ids = [(await call("GET", f"/users/username/{name}"))["id"] for name in names]
        channel_id = (await call("POST", "/channels/direct", ids))["id"]
        listing = await call("GET", f"/channels/{channel_id}/posts?per_page=200")
        posts = [listing["posts"][post_id] for post_id in reversed(listing["order"])]
        return [post["message"] for post in posts if post["user_id"] == ids[1]]


async def talk(play: Play) -> None:
    """Start, one message, its answer, stop."""
    await play.start()
    await play.chat.say("good morning")
    await play.chat.sees("You said: good morning")
    await play.service.rests()
    await play.stop()


async def ask(play: Play) -> None:
    """The agent asks for a domain, a person approves, the agent hears it."""
    await play.start()
    await play.chat.say(f"please open {play.domain}")
    await play.chat.press(await play.chat.sees("🔒 **Network Request:**"), "approve")
    await play.chat.sees(f"✅ `{play.domain}` approved by @james")

    async def told() -> bool:
        sessions = (await play.peers.control("GET", "state/vm"))["sessions"]
        return f"[NETWORK_APPROVED: {play.domain}]" in json.dumps(sessions)

    await until("the agent is told", told)
    await play.chat.sees("[NETWORK_APPROVED")
    await play.service.rests()
    await play.stop()


async def refuse_sarah(play: Play) -> None:
    """Who may not decide hears it alone; a person who may takes the domain back in the end."""
    await play.start()
    await play.chat.say(f"please open {play.domain}")
    await play.chat.sees("🔒 **Network Request:**")
    async with play.chat.of("sarah") as sarah:
        await sarah.say(f"@claude approve {play.domain}")

    async def heard() -> bool:
        return "You can't decide about the network here. Ask @james." in "".join(
            (await alone(play.peers))[play.alone_before :]
        )

    await until("sarah hears why", heard)
    await play.chat.say(f"@claude approve {play.domain}")
    await play.chat.sees(f"✅ `{play.domain}` approved by @james")
    await play.chat.sees("[NETWORK_APPROVED")
    await play.service.rests()
    await play.chat.say(f"@claude revoke {play.domain}")
    await play.chat.sees(f"✅ `{play.domain}` is closed")
    await play.stop()


async def stop_in_turn(play: Play) -> None:
    """A stop while the agent works: interrupt, then stop; its timer fires five seconds later."""
    await play.start()
    await play.chat.say("sleep 60")

    async def working() -> bool:
        return "sleep 60" in json.dumps(await play.peers.control("GET", "state/agent"))

    await until("the agent works", working)
    await play.stop()


async def lose_agent(play: Play) -> None:
    """The container is killed while a message is not acknowledged; the conversation goes on in the next one."""
    await play.start()
    await play.peers.control("POST", "faults", {"peer": "agent", "fault": "hang", "times": 1})
    await play.chat.say("good evening")

    async def appended() -> str | None:
        vm = await play.peers.control("GET", "state/vm")
        running = [one for one in vm["containers"] if one["running"]]
        return running[0]["id"] if running and "good evening" in json.dumps(vm["sessions"]) else None

    container = await until("the message is in the agent's file", appended)

    async def hangs() -> bool:
        return "good evening" in json.dumps(await play.peers.control("GET", "state/agent"))

    await until("the agent has asked its API", hangs)
    await play.peers.on_vm(f"podman kill {container}")
    await play.chat.sees("✅ Back")
    await play.service.rests()
    await play.stop()


async def work(play: Play) -> None:
    """The agent commits; a person looks at the change, brings the mirror up to date and has the branch pushed."""
    await play.start()
    commit = "git -c user.name=a -c user.email=a@example.com commit -qm new && echo committed"
    await play.chat.say(f"run echo new >new.txt; git add new.txt; {commit}")
    await play.chat.sees("committed", by_bot=True)
    await play.service.rests()
    await play.chat.say("@claude diff")
    await play.chat.sees("+new")
    await play.chat.say("@claude fetch")
    await play.chat.sees("✅ The mirror of")
    await play.chat.say("@claude push")
    await play.chat.press(await play.chat.sees("⬆️ **Push** 1 commit"), "approve", undecided="**Push**")
    await play.chat.sees("✅ Pushed")
    await play.stop()


async def use_project(play: Play) -> None:
    """A folder of the operator's, as it is."""
    await play.peers.on_vm("mkdir -p ~/projects/mine")
    await play.chat.say("@claude start mine")
    await play.chat.sees("✅ Ready.")
    await play.stop()


async def stop_clone(play: Play) -> None:
    """A stop while the git host takes its time."""
    before = (await play.peers.control("GET", "faults"))["git"]["hang"]["hits"]
    await play.peers.control("POST", "faults", {"peer": "git", "fault": "hang", "times": None})
    await play.chat.say("@claude start acme/webapp")

    async def asked() -> bool:
        hits = (await play.peers.control("GET", "faults"))["git"]["hang"]["hits"]
        return hits > before

    await until("the git host was asked", asked)
    await play.stop()


ROWS: dict[str, Callable[[Play], Awaitable[None]]] = {
    "chat.say": talk,
    "chat.relay": talk,
    "chat.say_privately": refuse_sarah,
    "card.resolve": ask,
    "card.post": ask,
    "card.update": ask,
    "alias.write": ask,
    "alias.apply": ask,
    "network.try": ask,
    "repository.prepare": talk,
    "repository.cancel_prepare": stop_clone,
    "project.resolve": use_project,
    "workspace.inspect": work,
    "workspace.diff": work,
    "workspace.show_diff": work,
    "mirror.fetch": work,
    "push.prepare": work,
    "push.post_card": work,
    "push.update_card": work,
    "push.push": work,
    "agent.start": talk,
    "agent.append": talk,
    "agent.stop": talk,
    "agent.probe": lose_agent,
    "timer.set": stop_in_turn,
}


def test_every_kind_of_command_has_its_row() -> None:
    assert set(ROWS) == set(COMMANDS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def peers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Peers]:
    made = Peers(tmp_path_factory.mktemp("kills"))
    await made.start()
    yield made
    await made.stop()


_numbers = itertools.count(1)
_without_kill: dict[str, dict[str, Any]] = {}


async def _seen_outside(play: Play, writes_before: int) -> dict[str, Any]:
    """All that an observer could compare, without what differs from run to run."""
    state = await play.peers.control("GET", "state")
    posts = await play.chat.posts()
    session = next(iter(state["vm"]["sessions"]), None)
    inputs = {
        generation: [normal(line, play.domain) for line in files["in"]]
        for session_files in state["vm"]["sessions"].values()
        for generation, files in session_files.items()
    }
    opnsense = state["opnsense"]
    return {
        "session": session is not None,
        "alone": [normal(text, play.domain) for text in (await alone(play.peers))[play.alone_before :]],
        "posts": [(post["user_id"], _without_times(normal(post["message"], play.domain))) for post in posts],
        "buttons": [bool(post["props"].get("attachments")) for post in posts],
        "in": inputs,
        "containers": [(one["name"], one["running"]) for one in state["vm"]["containers"]],
        "alias": opnsense["aliases"]["llm_approved_domains"]["content"].count(play.domain),
        "alias writes": opnsense["set_item"] - writes_before,
    }


def _without_times(text: str) -> str:
    text = re.sub(r"192\.52\.193\.\d+", "ADDRESS", text)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "TIME", text)


async def _play(peers: Peers, folder: Path, kind: str, fault: str | None) -> dict[str, Any]:
    """One conversation in a channel and a journal of its own, on a VM that holds nothing yet."""
    number = next(_numbers)
    for name in ("SM_SESSIONS_PATH", "SM_REPOS_BASE_PATH", "SM_WORKTREES_PATH"):
        shutil.rmtree(peers.variables[name], ignore_errors=True)
    await peers.control("DELETE", "faults")
    for left in (await peers.control("GET", "state/vm"))["containers"]:  # by a play that failed
        await peers.on_vm(f"podman rm -f {left['id']}")
    domain = f"run{number}.example.com"
    await peers.control("POST", "opnsense/dns", {"name": domain, "addresses": [f"192.52.193.{100 + number}"]})
    writes_before = (await peers.control("GET", "state/opnsense"))["set_item"]
    projects = json.dumps({"mine": f"{Path(peers.variables['SM_REPOS_BASE_PATH']).parent}/projects/mine"})
    more = {"SM_PROJECTS": projects}
    if ROWS[kind] is refuse_sarah:
        more["SM_APPROVERS"] = "james"
    service = Service({**peers.variables, **more}, folder / "journal.db", fault)
    async with channel(peers, f"run-{number}") as chat:
        play = Play(peers, chat, service, domain, len(await alone(peers)))
        await service.start()
        try:

            async def listens() -> bool:
                assert service.alive, service.said()
                return bool((await peers.control("GET", "state/websockets")).get("claude"))

            await until("the service listens", listens)
            await ROWS[kind](play)
            if fault is not None:
                await asyncio.wait_for(service.killed.wait(), 30)
            await service.drained()
            seen = await _seen_outside(play, writes_before)
        finally:
            await service.stop()
    assert service.kills == (0 if fault is None else 1)
    verified = subprocess.run(
        [sys.executable, "-m", "sm.replay", str(service.journal), "verify"], capture_output=True, text=True
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    await check_journal(service.journal)
    return seen


STEPS = [*itertools.product(sorted(ROWS), POINTS), *((kind, point) for point, kind in INNER)]


@pytest.mark.parametrize(("kind", "point"), STEPS)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_kill_leaves_no_trace_outside(kind: str, point: str, peers: Peers, tmp_path: Path) -> None:
    conversation = ROWS[kind].__name__
    if conversation not in _without_kill:
        first = tmp_path / "without"
        first.mkdir()
        _without_kill[conversation] = await _play(peers, first, kind, None)
    assert await _play(peers, tmp_path, kind, f"{point}:{kind}") == _without_kill[conversation]
