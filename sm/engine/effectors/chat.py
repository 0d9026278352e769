"""Posts and cards: the effectors that speak to Mattermost.

A post carries its command's id in `props`, and the same id as `pending_post_id` behind the bot's. Mattermost
de-duplicates on the latter for 30 s only, so a doubtful post is looked for before it is sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from sm.core.commands import PostCard, Relay, Say, UpdateCard
from sm.core.events import (
    CardFailed,
    CardPosted,
    CardUpdated,
    Event,
    LineReceived,
    PostFailed,
    PostRendered,
    PostSent,
)
from sm.core.outcome import Refused, Unreachable
from sm.core.stream_json import read_line
from sm.engine import wording
from sm.engine.dispatch import Job
from sm.engine.identity import Identity
from sm.engine.recovery import Positions
from sm.engine.writer import Submission, Writer
from sm.journal.codec import decode_event
from sm.journal.protocol import Journal
from sm.mattermost.client import MattermostClient, Post
from sm.mattermost.splitting import split_message
from sm.web.mac import card_context

COMMAND_PROP = "sm_command"
MAX_DETAIL = 500
REFUSED_RETRY_S = 15.0


class ChatEffectors:
    """What the fold asks of the chat."""

    def __init__(
        self,
        client: MattermostClient,
        *,
        identity: Identity,
        callback_url: str,
        callback_secret: bytes,
        journal: Journal,
        writer: Writer,
        positions: Positions,
        still_ours: Callable[[], Awaitable[None]],
    ) -> None:
        self._client = client
        self._identity = identity
        self._callback_url = callback_url
        self._secret = callback_secret
        self._journal = journal
        self._writer = writer
        self._positions = positions
        self._still_ours = still_ours

    # --- posts ------------------------------------------------------------------------------------------------------

    async def say(self, job: Job) -> Event:
        """Render a message of ours and post it."""
        command = cast("Say", job.command)
        bot = await self._identity.get()
        text = wording.render(command.message, dict(command.facts), bot=bot.username)
        return await self._send(job, command.channel_id, text)

    async def relay(self, job: Job) -> Event:
        """Post a text block of the agent, unchanged."""
        command = cast("Relay", job.command)
        row = await self._journal.event(job.issued.seq)
        if row is None:
            return PostFailed(job.id, command.channel_id, "no_event", f"event {job.issued.seq} is not there")
        event = decode_event(row.kind, row.version, row.payload)
        texts = read_line(event.line).texts if isinstance(event, LineReceived) else ()
        if command.part >= len(texts):
            return PostFailed(job.id, command.channel_id, "no_text", f"event {row.seq} has no such text")
        return await self._send(job, command.channel_id, texts[command.part])

    async def _send(self, job: Job, channel_id: str, text: str) -> Event:
        """Post a text, in parts when it is long; answers the report of the last one."""
        parts = await self._parts(job, text)
        try:
            for number, part in enumerate(parts[:-1]):
                await self._send_part(job, channel_id, f"{job.id}.{number}", part)
            last = job.id if len(parts) == 1 else f"{job.id}.{len(parts) - 1}"
            post = await self._create(job, channel_id, last, parts[-1], {COMMAND_PROP: last})
        except Refused as refusal:
            _wait_if_mendable(refusal)
            return PostFailed(job.id, channel_id, refusal.code, str(refusal)[:MAX_DETAIL])
        return PostSent(last, channel_id, post.id)

    async def _parts(self, job: Job, text: str) -> tuple[str, ...]:
        """What is posted. Several parts are recorded before the first request, and read back ever after."""
        key = f"rendered:{job.id}"
        row = await self._journal.event_by_key(key) if job.doubtful else None
        if row is not None:
            return cast("PostRendered", decode_event(row.kind, row.version, row.payload)).parts
        parts = tuple(split_message(text)) or ("(empty)",)
        if len(parts) > 1:
            rendered = PostRendered(job.id, parts)
            await self._writer.submit(Submission(job.issued.stream, lambda _: rendered, key, job.id))
        return parts

    async def _send_part(self, job: Job, channel_id: str, part_id: str, text: str) -> None:
        key = f"done:{part_id}"
        if job.doubtful and await self._journal.event_by_key(key) is not None:
            return
        post = await self._create(job, channel_id, part_id, text, {COMMAND_PROP: part_id})
        sent = PostSent(part_id, channel_id, post.id)
        await self._writer.submit(Submission(job.issued.stream, lambda _: sent, key, part_id))

    async def _create(
        self, job: Job, channel_id: str, post_command: str, text: str, props: Mapping[str, Any]
    ) -> Post:
        if job.doubtful:
            after = self._positions.confirmed.get(channel_id)
            found = await self._client.find_post(channel_id, after, post_command)
            if found is not None:
                return found
        await self._still_ours()
        bot = await self._identity.get()
        pending = f"{bot.id}:{post_command}"
        return await self._client.create_post(channel_id, text, props=props, pending_post_id=pending)

    # --- cards ------------------------------------------------------------------------------------------------------

    async def post_card(self, job: Job) -> Event:
        """Post a card with its buttons; their MAC is made here and stands nowhere else."""
        command = cast("PostCard", job.command)
        text = wording.card("pending", command.domain)
        buttons = self._buttons(command.card_id, command.request_id, command.channel_id, retry=False)
        props = {COMMAND_PROP: job.id, "sm_card": command.card_id, "attachments": buttons}
        try:
            post = await self._create(job, command.channel_id, job.id, text, props)
        except Refused as refusal:
            _wait_if_mendable(refusal)
            return CardFailed(command.card_id, refusal.code, str(refusal)[:MAX_DETAIL])
        return CardPosted(command.card_id, post.id, command.channel_id)

    async def update_card(self, job: Job) -> Event:
        """Make a card show its request's state. Doing it twice shows the same."""
        command = cast("UpdateCard", job.command)
        text = wording.card(command.status, command.domain, command.user_name, command.detail)
        props: dict[str, Any] = {"sm_card": command.card_id, "sm_status": command.status, "attachments": []}
        if command.status == "failed":
            props["attachments"] = self._buttons(
                command.card_id, command.request_id, command.channel_id, retry=True
            )
        try:
            if job.doubtful and await self._shows(command, text):
                return CardUpdated(command.card_id, command.status)
            await self._still_ours()
            await self._client.patch_post(command.post_id, message=text, props=props)
        except Refused as refusal:
            _wait_if_mendable(refusal)
            return CardFailed(command.card_id, refusal.code, str(refusal)[:MAX_DETAIL])
        return CardUpdated(command.card_id, command.status)

    async def _shows(self, command: UpdateCard, text: str) -> bool:
        post = await self._client.get_post(command.post_id)
        return post.message == text and post.props.get("sm_status") == command.status

    def _buttons(
        self, card_id: str, request_id: str, channel_id: str, *, retry: bool
    ) -> list[dict[str, Any]]:
        def button(action: str, name: str, style: str) -> dict[str, Any]:
            context = card_context(
                self._secret, card_id=card_id, request_id=request_id, action=action, channel_id=channel_id
            )
            return {
                "id": action,
                "name": name,
                "type": "button",
                "style": style,
                "integration": {"url": self._callback_url, "context": context},
            }

        actions = [button("approve", "🔁 Retry" if retry else "✅ Approve", "primary")]
        if not retry:
            actions.append(button("deny", "❌ Deny", "danger"))
        return [{"fallback": "Approve or deny in Mattermost", "actions": actions}]


def _wait_if_mendable(refusal: Refused) -> None:
    """A token that is refused will be replaced: what waits for it must not be given up."""
    if refusal.code == "unauthorized":
        raise Unreachable(str(refusal), retry_after_s=REFUSED_RETRY_S) from refusal
