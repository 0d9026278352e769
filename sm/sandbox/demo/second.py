"""The specification's second conversation, sarah's, beside a session of james; and what it must leave on the VM."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from pathlib import Path

from sm.sandbox.demo.example import READY, STOPPED, NotAsWrittenError, Played
from sm.sandbox.demo.room import Room, Seen

START = "@claude start acme/webapp"
IN_USE = (
    "⚠️ Repository **acme/webapp** is already in use by session `{}`.\n"
    "Use `--worktree` for an isolated working directory:\n"
    "`@claude start acme/webapp --worktree`"
)
BEGINS = ("🌿 Creating worktree for **acme/webapp**...", "🚀 Starting session...")

_DEADLINE_S = 45.0


async def play(room: Room, variables: Mapping[str, str]) -> Played:
    """Play it and check it; `variables` is the environment of the service. Answers with sarah's session.

    Raises `NotAsWrittenError`, and `RoomError` when a post is not taken.
    """
    first, _ = await _started(room, await room.say("james", START), "")
    refused = await _next(room, await room.say("sarah", START), 1)
    if refused[0].text != IN_USE.format(first):
        raise NotAsWrittenError(f"instead of ⚠️ the bot wrote: {refused[0].text}")
    line = refused[0].text.splitlines()[-1].strip("`")
    start = await room.say("sarah", line)
    second, begun = await _started(room, start, start)
    if tuple(post.text for post in begun) != BEGINS:
        raise NotAsWrittenError(f"instead of 🌿 and 🚀 the bot wrote: {[post.text for post in begun]}")
    clone, worktree = _places(variables, second)
    facts = [_stands(clone, "main"), _stands(worktree, f"sm/{second}")]
    facts.append(await _each_hears_its_own(room, start))
    await _stop(room, "sarah", start)
    await _stop(room, "james", "")
    facts.append(_stands(worktree, f"sm/{second}"))
    return Played(second, tuple(facts))


def _places(variables: Mapping[str, str], session: str) -> tuple[Path, Path]:
    clone = Path(variables["SM_REPOS_BASE_PATH"], "github.com/acme/webapp")
    return clone, Path(variables["SM_WORKTREES_PATH"], f"webapp-{session}")


async def _started(room: Room, start: str, thread: str) -> tuple[str, list[Seen]]:
    """The session that began, and what was said before it was ready, in the start's thread or top-level."""
    posts = await _next(room, start, 3, thread=thread)
    found = READY.fullmatch(posts[2].text)
    if found is None:
        raise NotAsWrittenError(f"instead of ✅ Ready the bot wrote: {posts[2].text}")
    return found[1], posts[:2]


async def _next(room: Room, start: str, count: int, thread: str | None = None) -> list[Seen]:
    """The bot's next posts behind a start; with `thread`, those that stand there (empty: top-level)."""
    after = await room.until(lambda post: post.id == start)
    posts: list[Seen] = []
    while len(posts) < count:
        wait = room.until(
            lambda post: post.who == "claude" and thread in (None, post.root_id),
            after=posts[-1] if posts else after,
        )
        posts.append(await _within(wait, f"the bot wrote only {[post.text for post in posts]}"))
    return posts


def _stands(folder: Path, branch: str) -> str:
    head = (folder / ".git/HEAD").read_text().strip() if (folder / ".git/HEAD").exists() else "nothing"
    if head != f"ref: refs/heads/{branch}":
        raise NotAsWrittenError(f"{folder} should be on {branch}, and has {head}")
    return f"{folder.parent.name}/{folder.name} is on {branch}"


async def _each_hears_its_own(room: Room, thread: str) -> str:
    for who, words, root_id in (("james", "say here", ""), ("sarah", "say there", thread)):
        await room.say(who, words, root_id=root_id)
        said = words.removeprefix("say ")
        wait = room.until(
            lambda post, said=said, root_id=root_id: (
                (post.who, post.text, post.root_id) == ("claude", said, root_id)
            )
        )
        await _within(wait, f"{who}'s agent did not answer {said!r} in its place")
    return "each of the two is answered by its own agent, sarah in the thread of her start"


async def _stop(room: Room, who: str, thread: str) -> None:
    await room.say(who, "@claude stop", root_id=thread)
    wait = room.until(
        lambda post: post.who == "claude" and post.text.startswith(STOPPED) and post.root_id == thread
    )
    await _within(wait, f"{who}'s session was not stopped")


async def _within(wait: Awaitable[Seen], complaint: str) -> Seen:
    try:
        async with asyncio.timeout(_DEADLINE_S):
            return await wait
    except TimeoutError:
        raise NotAsWrittenError(f"{complaint} within {_DEADLINE_S:g} s") from None
