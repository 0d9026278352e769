"""Intake: Mattermost's posts into the journal, in order, each once, also those written while nobody listened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from sm.core import streams
from sm.core.events import ChannelJoined as Joined
from sm.core.outcome import Refused, Unreachable
from sm.engine.approvals import Approvals
from sm.engine.clock import Clock
from sm.engine.ingress import Ingress
from sm.engine.recovery import Positions
from sm.engine.writer import Submission, Writer
from sm.mattermost.client import MattermostClient, Post, User
from sm.mattermost.socket import ChannelJoined, Connected, Disconnected, MattermostSocket, Posted, Reacted

log = structlog.get_logger(__name__)

RETRY_S = 1.0
REFUSED_RETRY_S = 15.0
MAX_KNOWN_USERS = 10_000


class Intake:
    """Reads the WebSocket; after a gap pages each channel from behind the last post that it committed.

    The reactions of open cards are read after each gap, too, also after one that the server filled.
    """

    def __init__(
        self,
        writer: Writer,
        client: MattermostClient,
        socket: MattermostSocket,
        ingress: Ingress,
        *,
        bot_id: str,
        positions: Positions,
        clock: Clock,
        approvals: Approvals,
    ) -> None:
        self._approvals = approvals
        self._writer = writer
        self._client = client
        self._socket = socket
        self._ingress = ingress
        self._bot_id = bot_id
        self._positions = positions
        self._clock = clock
        self._users: dict[str, User] = {}

    async def run(self) -> None:
        """Take posts and reactions until cancelled."""
        await asyncio.gather(self._listen(), self._read_new_cards())

    async def _read_new_cards(self) -> None:
        while True:
            card = await self._approvals.next_card()
            await self._until_done(lambda card=card: self._approvals.read_reactions_of(*card))

    async def _listen(self) -> None:
        """Events wait in the socket while a gap is filled, so order holds."""
        async for event in self._socket.events():
            match event:
                case Connected(resumed=resumed):
                    if not resumed:
                        await self._until_done(self._backfill_all)
                    await self._until_done(self._approvals.read_reactions)
                case Posted(post=post):
                    await self._until_done(lambda post=post: self._take_posted(post))
                case ChannelJoined(channel_id=channel_id):
                    await self._until_done(lambda channel_id=channel_id: self._join(channel_id, ""))
                case Reacted() as reaction:
                    await self._until_done(lambda reaction=reaction: self._approvals.react(reaction))
                case Disconnected(reason=reason):
                    log.warning("Mattermost is disconnected", reason=reason)
                case _:
                    pass

    async def _until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Unreachable as error:
                log.warning("Mattermost does not answer", error=str(error))
                await self._clock.sleep(max(RETRY_S, min(error.retry_after_s or 0.0, 60.0)))
            except Refused as error:
                log.warning("Mattermost refuses", code=error.code, error=str(error))
                if error.code != "unauthorized":  # a token can be mended; what is gone stays gone
                    return
                await self._clock.sleep(REFUSED_RETRY_S)
            else:
                return

    async def _backfill_all(self) -> None:
        for channel in await self._client.channels():
            await self._until_done(lambda channel=channel: self._join(channel.id, channel.name))

    async def _join(self, channel_id: str, name: str) -> None:
        """Begin to read a channel at its end, or go on where the journal ends."""
        if not self._known(channel_id):
            await self._anchor(channel_id, name)
            return  # what is written from now on is announced, and waits in the socket in its order
        try:
            async for post in self._client.posts_after(channel_id, self._positions.cursor(channel_id)):
                await self._take(post)
        except Refused as error:
            if error.code != "anchor_unknown":
                raise
            log.exception("posts may be lost: reading this channel from its end again", channel=channel_id)
            await self._anchor(channel_id, name)

    async def _anchor(self, channel_id: str, name: str) -> None:
        """Read this channel from behind its newest post on."""
        latest = await self._client.latest_post_id(channel_id)
        joined = Joined(channel_id, name, latest)
        key = f"joined:{channel_id}:{latest or ''}"
        await self._writer.submit(Submission(streams.channel(channel_id), lambda _: joined, key))

    async def _take_posted(self, post: Post) -> None:
        if not self._known(post.channel_id):
            await self._join(post.channel_id, "")
        await self._take(post)

    def _known(self, channel_id: str) -> bool:
        return bool(self._writer.state(streams.channel(channel_id)).rules)

    async def _take(self, post: Post) -> None:
        """Commit a person's post; our own, other bots', webhooks' and the server's are not for us."""
        by_machine = post.type or post.props.get("from_webhook") or post.props.get("from_bot")
        if post.user_id == self._bot_id or by_machine or post.delete_at_ms:
            return
        decides = self._ingress.decides(post)
        user = await (self._client.user(post.user_id) if decides else self._user(post.user_id))
        if user.is_bot:
            return
        member = not decides or (not user.deleted and await self._client.is_member(post.channel_id, user.id))
        await self._writer.submit(
            Submission(
                streams.channel(post.channel_id),
                lambda state: self._ingress.message(post, user, state, is_member=member),
                f"post:{post.id}",
            )
        )

    async def _user(self, user_id: str) -> User:
        known = self._users.get(user_id)
        if known is None:
            known = await self._client.user(user_id)
            if len(self._users) >= MAX_KNOWN_USERS:
                self._users.clear()
            self._users[user_id] = known
        return known
