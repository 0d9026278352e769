"""The engine before the sandbox's Mattermost: real sockets in both directions."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
from engine_kit import ALIAS, ALIAS_STREAM, Engine, ingress, nothing, until

from sm.core import streams
from sm.core.commands import (
    COMMANDS,
    ApplyAlias,
    PostCard,
    PostPushCard,
    Relay,
    ResolveCard,
    Say,
    SayPrivately,
    ShowDiff,
    TryDomain,
    UpdateCard,
    UpdatePushCard,
    WriteAlias,
)
from sm.core.events import (
    AliasApplied,
    AliasFailed,
    AliasRead,
    AliasWritten,
    CardResolved,
    Event,
    NetworkTried,
    Resolved,
)
from sm.engine.approvals import Approvals
from sm.engine.dispatch import Dispatcher, Job
from sm.engine.effectors.chat import ChatEffectors
from sm.engine.identity import Identity
from sm.engine.intake import Intake
from sm.mattermost.client import MattermostClient
from sm.mattermost.socket import MattermostSocket
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

    async def react(self, who: str, post_id: str, emoji: str = "white_check_mark") -> None:
        """A user puts an emoji on a post."""
        body = {"user_id": self.peer.user_id(who), "post_id": post_id, "emoji_name": emoji}
        status, answer = await self.call(who, "POST", "/reactions", body)
        assert status == 200, answer

    async def make_channel(self, name: str, *members: str) -> str:
        """A channel with the bot and these people in it; answers its id."""
        made = await self.peer.actions()["mattermost/channel"](
            {"name": name, "members": ["claude", *members]}
        )
        return made["id"]  # type: ignore[index]

    def make_user(self, name: str, *, member: bool = True, **kind: bool) -> str:
        """An account, in the channel or not; answers its id."""
        user = self.peer.store.add_user(name, **kind)
        if member:
            self.peer.store.members[self.channel].append(user.id)
        return user.id

    def told(self, who: str) -> list[str]:
        """What the bot told somebody in direct messages."""
        both = {self.peer.user_id("claude"), self.peer.user_id(who)}
        store = self.peer.store
        channels = [
            one.id
            for one in store.channels.values()
            if one.type == "D" and set(store.members[one.id]) == both
        ]
        return [message for channel in channels for message in self.messages(channel)]

    def arm(self, fault: str, times: int | None = 1, after: int = 0, **match: object) -> None:
        self.faults.arm("mattermost", fault, times=times, after=after, match=match or None)

    def buttons(self, post: Post) -> list[dict[str, Any]]:
        return [
            action
            for attachment in post.props.get("attachments", [])
            for action in attachment.get("actions", [])
        ]


class Firewall:
    """What the alias's commands come to: nothing until `answers` is set, or what `refuses` says."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.answers = asyncio.Event()
        self.refuses = ""
        self.content: list[str] = []

    async def resolve(self, job: Job) -> Event:
        """Every name has an address of its own."""
        domains: tuple[str, ...] = job.command.domains
        return CardResolved(job.command.card_id, tuple(self._resolved(domain) for domain in domains))

    def _resolved(self, domain: str) -> Resolved:
        return Resolved(domain, "found", (f"151.101.{len(domain)}.{sum(domain.encode()) % 256}",))

    async def write(self, job: Job) -> Event:
        await self.answers.wait()
        if self.refuses:
            return AliasFailed("write", self.refuses, "no")
        add, remove = job.command.add, job.command.remove
        await self._engine.happen(ALIAS_STREAM, AliasRead(tuple(self.content)))
        self.content = [name for name in dict.fromkeys([*self.content, *add]) if name not in remove]
        names = tuple(self._resolved(domain) for domain in add)
        return AliasWritten(add, remove, names, True, tuple(self.content), ())

    async def apply(self, job: Job) -> Event:
        await self.answers.wait()
        return AliasApplied(job.command.added, job.command.removed, "seen", None)

    async def try_domain(self, job: Job) -> Event:
        await self.answers.wait()
        return NetworkTried(job.command.domain, "reachable", "")


class Bench:
    """Engine, chat effectors, the listener, the approvals and the intake, wired as the service does."""

    def __init__(self, engine: Engine, town: Town) -> None:
        self.engine = engine
        self.town = town
        self.client = MattermostClient(town.http, town.peer.url, town.peer.bot_token, sleep=instantly)
        self.identity = Identity(self.client, engine.clock)
        self.firewall = Firewall(engine)
        self.approvals = Approvals(
            engine.writer, self.client, alias=ALIAS, identity=self.identity, clock=engine.clock
        )
        self.web = WebServer(
            callback_path="/callback", on_press=self._press, ready=lambda: True, secret=SECRET
        )
        self.answers: list[tuple[Press, PressAnswer]] = []
        self.listening: asyncio.Task[None] | None = None

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
        """The chat's commands and the alias's are carried out; all others never end."""
        effectors: dict[Any, Any] = dict.fromkeys(COMMANDS.values(), forever)
        effectors |= {
            Say: self.chat.say,
            SayPrivately: self.chat.say_privately,
            Relay: self.chat.relay,
            PostCard: self.chat.post_card,
            UpdateCard: self.chat.update_card,
            ShowDiff: self.chat.show_diff,
            PostPushCard: self.chat.post_push_card,
            UpdatePushCard: self.chat.update_push_card,
            ResolveCard: self.firewall.resolve,
            WriteAlias: self.firewall.write,
            ApplyAlias: self.firewall.apply,
            TryDomain: self.firewall.try_domain,
        }
        return self.engine.dispatch(effectors)

    async def listen(self, **place: Any) -> None:
        """Read the WebSocket, until posts in the town's channel are taken; `place` are fields of the settings'."""
        bot = await self.identity.get()
        town = self.town
        socket = MattermostSocket(town.http, town.peer.url, town.peer.bot_token, bot_id=bot.id, sleep=shortly)
        intake = Intake(
            self.engine.writer,
            self.client,
            socket,
            ingress(bot_name=bot.username, **place),
            bot_id=bot.id,
            positions=self.engine.positions,
            clock=self.engine.clock,
            approvals=self.approvals,
        )
        self.listening = asyncio.create_task(intake.run(), name="intake")
        stream = streams.channel(town.channel)
        await until(lambda: self.engine.writer.state(stream).rules, "the channel is read")

    async def deafen(self) -> None:
        """Stop to listen."""
        if self.listening is not None:
            self.listening.cancel()
            await asyncio.gather(self.listening, return_exceptions=True)
            self.listening = None

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
        """Nobody listens or acts any more; what is under way is left where it stands."""
        await self.deafen()
        await self.web.stop()
        if self.engine.dispatcher is not None:
            await self.engine.dispatcher.stop()


async def forever(_: Job) -> Event:
    await asyncio.Event().wait()
    raise AssertionError


async def instantly(_: float) -> None:
    await asyncio.sleep(0)


async def shortly(_: float) -> None:
    await asyncio.sleep(0.01)
