"""The engine before the sandbox's Mattermost: real sockets in both directions."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
from engine_kit import ALIAS, Engine, nothing

from sm.core.commands import (
    COMMANDS,
    PostCard,
    PostPushCard,
    Relay,
    Say,
    ShowDiff,
    UpdateCard,
    UpdatePushCard,
)
from sm.core.events import Event
from sm.engine.approvals import Approvals
from sm.engine.dispatch import Dispatcher, Job
from sm.engine.effectors.chat import ChatEffectors
from sm.engine.identity import Identity
from sm.mattermost.client import MattermostClient
from sm.sandbox.faults import Faults
from sm.sandbox.mattermost.peer import MattermostPeer
from sm.sandbox.mattermost.store import Post
from sm.web.press import Press
from sm.web.server import PressAnswer, WebServer

SECRET = b"secret of the tests' buttons 0123"


class Town:
    """The sandbox's Mattermost, and its people."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.faults = Faults()
        self.ahead_s = 0.0
        self.peer = MattermostPeer(self.faults, clock=lambda: time.time() + self.ahead_s)

    @property
    def channel(self) -> str:
        return self.peer.channel_id

    async def call(self, who: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One REST call of a user."""
        headers = {"Authorization": f"Bearer {self.peer.token(who)}"}
        url = f"{self.peer.url}/api/v4{path}"
        async with self.http.request(method, url, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def write(self, who: str, message: str, *, channel: str = "", **more: Any) -> str:
        """A user posts; answers the post's id."""
        body = {"channel_id": channel or self.channel, "message": message, **more}
        status, post = await self.call(who, "POST", "/posts", body)
        assert status == 201, post
        return post["id"]

    async def press(self, who: str, post_id: str, action: str = "approve") -> int:
        """A user presses a button; answers the status that the user's client sees."""
        return (await self.call(who, "POST", f"/posts/{post_id}/actions/{action}"))[0]

    def ours(self, channel: str = "") -> list[Post]:
        """The bot's live posts, in order."""
        bot = self.peer.user_id("claude")
        return [post for post in self.peer.store.live(channel or self.channel) if post.user_id == bot]

    def messages(self, channel: str = "") -> list[str]:
        return [post.message for post in self.ours(channel)]

    def arm(self, fault: str, times: int | None = 1, after: int = 0, **match: object) -> None:
        self.faults.arm("mattermost", fault, times=times, after=after, match=match or None)

    def buttons(self, post: Post) -> list[dict[str, Any]]:
        return [
            action
            for attachment in post.props.get("attachments", [])
            for action in attachment.get("actions", [])
        ]


class Bench:
    """Engine, chat effectors, the listener and the approvals, wired as the service does."""

    def __init__(self, engine: Engine, town: Town) -> None:
        self.engine = engine
        self.town = town
        self.client = MattermostClient(town.http, town.peer.url, town.peer.bot_token, sleep=instantly)
        self.identity = Identity(self.client, engine.clock)
        self.approvals = Approvals(engine.writer, self.client, alias=ALIAS)
        self.web = WebServer(
            callback_path="/callback", on_press=self._press, ready=lambda: True, secret=SECRET
        )
        self.answers: list[tuple[Press, PressAnswer]] = []

    async def start(self, *, dispatch: bool = True) -> Bench:
        await self.web.start("127.0.0.1", 0)
        self.chat = ChatEffectors(
            self.client,
            identity=self.identity,
            link=f"{self.town.peer.url}/_redirect/pl/",
            callback_url=self.callback_url,
            callback_secret=SECRET,
            journal=self.engine.journal,
            writer=self.engine.writer,
            positions=self.engine.positions,
            still_ours=nothing,
        )
        if dispatch:
            self.dispatch()
        return self

    def dispatch(self) -> Dispatcher:
        """The chat's commands are carried out; all others never end."""
        effectors: dict[Any, Any] = dict.fromkeys(COMMANDS.values(), forever)
        effectors |= {
            Say: self.chat.say,
            Relay: self.chat.relay,
            PostCard: self.chat.post_card,
            UpdateCard: self.chat.update_card,
            ShowDiff: self.chat.show_diff,
            PostPushCard: self.chat.post_push_card,
            UpdatePushCard: self.chat.update_push_card,
        }
        return self.engine.dispatch(effectors)

    @property
    def callback_url(self) -> str:
        return f"http://127.0.0.1:{self.web.port}/callback"

    async def _press(self, press: Press) -> PressAnswer:
        answer = await self.approvals.press(press)
        self.answers.append((press, answer))
        return answer

    async def call_back(self, body: Any) -> tuple[int, Any]:
        """Whoever can reach the listener calls it."""
        async with self.town.http.post(self.callback_url, json=body) as response:
            return response.status, await response.json()

    async def stop(self) -> None:
        await self.web.stop()


async def forever(_: Job) -> Event:
    await asyncio.Event().wait()
    raise AssertionError


async def instantly(_: float) -> None:
    await asyncio.sleep(0)
