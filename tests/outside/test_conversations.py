"""Whole conversations through the shipped commands: word for word, and what they leave on the VM and upstream."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from outside_kit import Chat, Peers, Service, channel, until
from schema_kit import check_journal

pytestmark = [pytest.mark.real_peers, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]
COMMIT = "git -c user.name=a -c user.email=a@example.com commit -qm new && echo committed"

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def peers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Peers]:
    made = Peers(tmp_path_factory.mktemp("conversations"))
    await made.start()
    yield made
    await made.stop()


class Talk:
    """A service with a journal of its own, and its channel."""

    def __init__(self, peers: Peers, chat: Chat, sarah: Chat, service: Service) -> None:
        self.peers, self.chat, self.sarah, self.service = peers, chat, sarah, service

    async def answer(self, chat: Chat, text: str, root_id: str = "") -> list[str]:
        """What the bot says to a post until a message that ends a start; answers the texts."""
        before = {post["id"] for post in await chat.posts()}
        written = await chat.say(text, root_id)

        async def over() -> list[str]:
            new = [p for p in await chat.posts() if p["id"] not in before and p["id"] != written["id"]]
            texts = [p["message"] for p in new]
            return texts if any(re.match("✅ (Ready|Stopped)|⚠️|❌", text) for text in texts) else []

        return await until(f"an answer to {text!r}", over)

    async def on_vm(self, *path: str) -> Path:
        return Path(self.peers.variables["SM_REPOS_BASE_PATH"]).parent.joinpath(*path)


@pytest_asyncio.fixture(loop_scope="module")
async def talk(peers: Peers, tmp_path: Path) -> AsyncIterator[Talk]:
    async for made in _talk(peers, tmp_path):
        yield made


async def _talk(peers: Peers, folder: Path, **settings: str) -> AsyncIterator[Talk]:
    for name in ("SM_SESSIONS_PATH", "SM_REPOS_BASE_PATH", "SM_WORKTREES_PATH"):
        shutil.rmtree(peers.variables[name], ignore_errors=True)
    await peers.control("DELETE", "faults")
    service = Service({**peers.variables, **settings}, folder / "journal.db")
    async with channel(peers, f"talk-{next(_numbers)}") as chat, chat.of("sarah") as sarah:
        await service.start()
        try:

            async def listens() -> bool:
                assert service.alive, service.said()
                return bool((await peers.control("GET", "state/websockets")).get("claude"))

            await until("the service listens", listens)
            yield Talk(peers, chat, sarah, service)
            await service.drained()
        finally:
            await service.stop()
    verified = subprocess.run(
        [sys.executable, "-m", "sm.replay", str(service.journal), "verify"], capture_output=True, text=True
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    await check_journal(service.journal)


def ids(text: str, *known: str) -> str:
    """The ids of the sessions as the specification has them."""
    for session, shown in zip(known, ("abc12345", "def67890"), strict=False):
        text = text.replace(session, shown)
    return text


def session_of(ready: str) -> str:
    found = re.fullmatch(r"✅ Ready\. Container: `claude-([0-9a-f]{8})`", ready)
    assert found, ready
    return found[1]


async def test_the_second_conversation_is_word_for_word_the_specifications(talk: Talk) -> None:
    james = session_of((await talk.answer(talk.chat, "@claude start acme/webapp"))[-1])
    refused = await talk.answer(talk.sarah, "@claude start acme/webapp")
    made = await talk.answer(talk.sarah, "@claude start acme/webapp --worktree")
    sarah = session_of(made[-1])
    said = [ids(text, james, sarah) for text in (*refused, *made)]
    assert said == [
        (
            "⚠️ Repository **acme/webapp** is already in use by session `abc12345`.\n"
            "Use `--worktree` for an isolated working directory:\n"
            "`@claude start acme/webapp --worktree`"
        ),
        "🌿 Creating worktree for **acme/webapp**...",
        "🚀 Starting session...",
        "✅ Ready. Container: `claude-def67890`",
    ]
    assert (await talk.on_vm("worktrees", f"webapp-{sarah}", ".git")).is_dir()
    assert (await talk.on_vm("repos", "github.com", "acme", "webapp", ".git")).is_dir()
    for session in (james, sarah):
        await talk.chat.say(f"@claude stop {session}")
    await until("both are stopped", lambda: _count(talk.chat, "✅ Stopped.", 2))


async def _count(chat: Chat, text: str, number: int) -> bool:
    return sum(post["message"] == text for post in await chat.posts()) == number


async def test_each_session_hears_what_is_meant_for_it(talk: Talk) -> None:
    await talk.answer(talk.chat, "@claude start acme/webapp")
    start = await talk.sarah.say("@claude start acme/webapp --worktree=feature")
    await talk.sarah.sees_in(start["id"], "✅ Ready.")
    await talk.sarah.say("say top from sarah")
    assert (await talk.chat.sees("top from sarah", by_bot=True))["root_id"] == start["id"]
    await talk.chat.say("say in her thread", start["id"])
    assert (await talk.chat.sees("in her thread", by_bot=True))["root_id"] == start["id"]
    await talk.chat.say("say mine", "")
    assert not (await talk.chat.sees("mine", by_bot=True))["root_id"]
    await talk.service.rests()
    await talk.chat.say("@claude status")
    status = await talk.chat.sees("started by @sarah", by_bot=True)
    assert "/worktrees/webapp-feature` on branch `sm/feature`." in status["message"]
    await talk.chat.say("@claude stop", start["id"])
    await talk.chat.sees_in(start["id"], "✅ Stopped.")
    assert "nothing uncommitted, nothing unpushed." in (await talk.chat.sees("📁 "))["message"]
    await talk.chat.say("@claude stop")
    await until("the other is stopped, too", lambda: _count(talk.chat, "✅ Stopped.", 2))


async def test_work_outlives_its_session_and_is_taken_up_again_and_pushed(talk: Talk) -> None:
    await talk.answer(talk.chat, "@claude start acme/webapp --worktree=feature")
    await talk.chat.say(f"run echo new >new.txt; git add new.txt; {COMMIT}; echo more >more.txt")
    await talk.chat.sees("committed", by_bot=True)
    await talk.service.rests()
    await talk.chat.say("@claude stop")
    left = (await talk.chat.sees("📁 "))["message"]
    assert "1 uncommitted change, 1 unpushed commit." in left
    assert "?? more.txt" in left
    assert "`@claude start acme/webapp --worktree=feature`" in left
    again = await talk.answer(talk.chat, "@claude start acme/webapp --worktree=feature")
    assert again[0] == "🌿 Worktree `feature` of **acme/webapp** is there already: going on in it..."
    await talk.chat.say("@claude diff")
    diff = (await talk.chat.sees("📄 The change so far: 2 files, +2 −0."))["message"]
    assert "+new" in diff
    assert "+more" in diff
    await talk.chat.say("@claude push")
    card = await talk.chat.sees("⬆️ **Push** 1 commit up to `")
    assert "to **acme/webapp** `sm/feature`, a new branch?" in card["message"]
    assert "new.txt | 1 +" in card["message"]
    await talk.chat.press(card, "approve", undecided="**Push**")
    pushed = (await talk.chat.sees("✅ Pushed"))["message"]
    assert "(https://github.com/acme/webapp/compare/main...sm/feature)" in pushed
    upstream = talk.peers.folder / "state" / "upstream" / "acme" / "webapp.git"
    said = subprocess.run(
        ["git", "--git-dir", str(upstream), "log", "-1", "--format=%an %s", "refs/heads/sm/feature"],
        capture_output=True,
        text=True,
    )
    assert said.stdout == "a new\n"
    await talk.answer(talk.chat, "@claude stop")
    await until(
        "it names nothing unpushed", lambda: _says(talk.chat, "1 uncommitted change, 0 unpushed commits")
    )


async def _says(chat: Chat, text: str) -> bool:
    return any(text in post["message"] for post in await chat.posts())


async def test_a_clone_without_network_asks_and_goes_on_after_the_approval(talk: Talk) -> None:
    await talk.peers.control("POST", "git/firewall", {"open": False})
    try:
        await talk.chat.say("@claude start acme/webapp")
        await talk.chat.sees("🔒 The VM cannot reach `github.com`")
        await talk.chat.press(await talk.chat.sees("🔒 **Network Request:** `github.com`"), "approve")
        await talk.chat.sees("✅ `github.com` approved by @james")
        await talk.chat.sees("✅ Ready.")
        await talk.chat.say("say hello")
        await talk.chat.sees("hello", by_bot=True)
        assert not await _says(talk.chat, "NETWORK_APPROVED")
        await talk.service.rests()
        await talk.answer(talk.chat, "@claude stop")
    finally:
        await talk.peers.control("POST", "git/firewall", {"open": True})


async def test_a_project_folder_is_used_as_it_is(peers: Peers, tmp_path: Path) -> None:
    folder = Path(peers.variables["SM_REPOS_BASE_PATH"]).parent / "projects" / "mine"
    await peers.on_vm(f"mkdir -p {folder} && echo kept >{folder}/file.txt")
    settings: dict[str, Any] = {"SM_PROJECTS": json.dumps({"mine": str(folder)})}
    async for talk in _talk(peers, tmp_path, **settings):
        said = await talk.answer(talk.chat, "@claude start mine")
        assert said[:2] == ["📦 Preparing **mine**...", "🚀 Starting session..."]
        await talk.chat.say("run cat file.txt")
        await talk.chat.sees("kept", by_bot=True)
        await talk.service.rests()
        await talk.answer(talk.chat, "@claude stop")
        assert f"📁 `{folder}`." in (await talk.chat.sees("📁 "))["message"]
