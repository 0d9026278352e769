"""Posts and cards: the effectors that speak to Mattermost.

A post carries its command's id in `props`, and the same id as `pending_post_id` behind the bot's. Mattermost
de-duplicates on the latter for 30 s only, so a doubtful post is looked for before it is sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

from attrs import fields

from sm.core import streams
from sm.core.commands import PostCard, PostPushCard, Relay, Say, ShowDiff, UpdateCard, UpdatePushCard
from sm.core.events import (
    CardFailed,
    CardPosted,
    CardUpdated,
    Event,
    LineReceived,
    PostFailed,
    PostRendered,
    PostSent,
    WorkspaceDiffed,
)
from sm.core.outcome import Refused, Unreachable
from sm.core.stream_json import read_line
from sm.engine import wording
from sm.engine.dispatch import Job
from sm.engine.identity import Identity
from sm.engine.recovery import Positions
from sm.engine.wording import places
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
        link: str,
        callback_url: str,
        callback_secret: bytes,
        journal: Journal,
        writer: Writer,
        positions: Positions,
        still_ours: Callable[[], Awaitable[None]],
    ) -> None:
        self._client = client
        self._identity = identity
        self._link = link  # begins the address of a post, whichever team it is in
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
        text = wording.render(command.message, dict(command.facts), bot=bot.username, link=self._link)
        return await self._send(job, command.channel_id, command.root_id, text)

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
        return await self._send(job, command.channel_id, command.root_id, texts[command.part])

    async def _send(self, job: Job, channel_id: str, root_id: str, text: str) -> Event:
        """Post a text, in parts when it is long; answers the report of the last one."""
        parts = await self._parts(job, text)
        try:
            for number, part in enumerate(parts[:-1]):
                await self._send_part(job, channel_id, root_id, f"{job.id}.{number}", part)
            last = job.id if len(parts) == 1 else f"{job.id}.{len(parts) - 1}"
            post = await self._create(job, channel_id, last, parts[-1], {COMMAND_PROP: last}, root_id=root_id)
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

    async def _send_part(self, job: Job, channel_id: str, root_id: str, part_id: str, text: str) -> None:
        key = f"done:{part_id}"
        if job.doubtful and await self._journal.event_by_key(key) is not None:
            return
        post = await self._create(job, channel_id, part_id, text, {COMMAND_PROP: part_id}, root_id=root_id)
        sent = PostSent(part_id, channel_id, post.id)
        await self._writer.submit(Submission(job.issued.stream, lambda _: sent, key, part_id))

    async def _create(
        self,
        job: Job,
        channel_id: str,
        post_command: str,
        text: str,
        props: Mapping[str, Any],
        *,
        root_id: str,
        file: tuple[str, bytes] | None = None,
    ) -> Post:
        """Post once: a doubtful one is looked for first. A thread whose root was deleted is gone: then top-level."""
        if job.doubtful:
            after = self._positions.confirmed.get(channel_id)
            found = await self._client.find_post(channel_id, after, post_command)
            if found is not None:
                return found
        await self._still_ours()
        bot = await self._identity.get()
        pending = f"{bot.id}:{post_command}"
        files = (await self._client.upload_file(channel_id, *file),) if file else ()
        try:
            return await self._client.create_post(
                channel_id, text, root_id=root_id, props=props, pending_post_id=pending, file_ids=files
            )
        except Refused as refusal:
            if not root_id or refusal.code != "root_missing":
                raise
        return await self._client.create_post(
            channel_id, text, props=props, pending_post_id=pending, file_ids=files
        )

    async def show_diff(self, job: Job) -> Event:
        """Post the diff of the causing event: in the message where it is short, else as a file."""
        command = cast("ShowDiff", job.command)
        row = await self._journal.event(job.issued.seq)
        event = decode_event(row.kind, row.version, row.payload) if row is not None else None
        if not isinstance(event, WorkspaceDiffed):
            return PostFailed(job.id, command.channel_id, "no_event", f"event {job.issued.seq} is no diff")
        text, file = places.diff(event.text, event.cut, event.files, event.insertions, event.deletions)
        name = f"{streams.short(command.session_id)}.diff"
        try:
            post = await self._create(
                job,
                command.channel_id,
                job.id,
                text,
                {COMMAND_PROP: job.id},
                root_id=command.root_id,
                file=(name, event.text.encode()) if file else None,
            )
        except Refused as refusal:
            _wait_if_mendable(refusal)
            return PostFailed(job.id, command.channel_id, refusal.code, str(refusal)[:MAX_DETAIL])
        return PostSent(job.id, command.channel_id, post.id)

    # --- cards ------------------------------------------------------------------------------------------------------

    async def post_card(self, job: Job) -> Event:
        """Post a card with its buttons; their MAC is made here and stands nowhere else."""
        command = cast("PostCard", job.command)
        text = wording.card("pending", command.domain)
        buttons = self._buttons(command.card_id, command.request_id, command.channel_id, retry=False)
        props = {COMMAND_PROP: job.id, "sm_card": command.card_id, "attachments": buttons}
        try:
            post = await self._create(job, command.channel_id, job.id, text, props, root_id=command.root_id)
        except Refused as refusal:
            _wait_if_mendable(refusal)
            return CardFailed(command.card_id, refusal.code, str(refusal)[:MAX_DETAIL])
        return CardPosted(command.card_id, post.id, command.channel_id)

    async def update_card(self, job: Job) -> Event:
        """Make a card show its request's state. Doing it twice shows the same."""
        command = cast("UpdateCard", job.command)
        text = wording.card(command.status, command.domain, command.user_name, command.detail)
        retry: list[dict[str, Any]] = []
        if command.status == "failed":
            retry = self._buttons(command.card_id, command.request_id, command.channel_id, retry=True)
        return await self._update(job, command, text, retry)

    async def post_push_card(self, job: Job) -> Event:
        """Post the card that shows what would be pushed."""
        command = cast("PostPushCard", job.command)
        text = places.push_card({**_facts(command), "status": "asked"})
        names = (("approve", "✅ Push", "primary"), ("deny", "❌ Don't push", "danger"))
        buttons = self._actions(command.card_id, command.session_id, command.channel_id, names)
        props = {COMMAND_PROP: job.id, "sm_card": command.card_id, "attachments": buttons}
        try:
            post = await self._create(job, command.channel_id, job.id, text, props, root_id=command.root_id)
        except Refused as refusal:
            _wait_if_mendable(refusal)
            return CardFailed(command.card_id, refusal.code, str(refusal)[:MAX_DETAIL])
        return CardPosted(command.card_id, post.id, command.channel_id)

    async def update_push_card(self, job: Job) -> Event:
        """Make a push's card show what became of it. Doing it twice shows the same."""
        command = cast("UpdatePushCard", job.command)
        text = places.push_card(_facts(command))
        return await self._update(job, command, text, [])

    async def _update(
        self, job: Job, command: UpdateCard | UpdatePushCard, text: str, attachments: list[dict[str, Any]]
    ) -> Event:
        props = {"sm_card": command.card_id, "sm_status": command.status, "attachments": attachments}
        try:
            if job.doubtful and await self._shows(command, text):
                return CardUpdated(command.card_id, command.status)
            await self._still_ours()
            await self._client.patch_post(command.post_id, message=text, props=props)
        except Refused as refusal:
            _wait_if_mendable(refusal)
            return CardFailed(command.card_id, refusal.code, str(refusal)[:MAX_DETAIL])
        return CardUpdated(command.card_id, command.status)

    async def _shows(self, command: UpdateCard | UpdatePushCard, text: str) -> bool:
        post = await self._client.get_post(command.post_id)
        return post.message == text and post.props.get("sm_status") == command.status

    def _buttons(
        self, card_id: str, request_id: str, channel_id: str, *, retry: bool
    ) -> list[dict[str, Any]]:
        names = (("approve", "🔁 Retry" if retry else "✅ Approve", "primary"), ("deny", "❌ Deny", "danger"))
        return self._actions(card_id, request_id, channel_id, names[:1] if retry else names)

    def _actions(
        self, card_id: str, request_id: str, channel_id: str, names: Iterable[tuple[str, str, str]]
    ) -> list[dict[str, Any]]:
        """Buttons, each with its action, name and style."""

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

        actions = [button(*name) for name in names]
        return [{"fallback": "Decide in Mattermost", "actions": actions}]


def _facts(command: PostPushCard | UpdatePushCard) -> dict[str, str]:
    """A command's fields as facts: a number in digits, a yes as any text, a no as none."""
    values = {field.name: getattr(command, field.name) for field in fields(type(command))}
    return {
        name: ("yes" if value else "") if isinstance(value, bool) else str(value)
        for name, value in values.items()
    }


def _wait_if_mendable(refusal: Refused) -> None:
    """A token that is refused will be replaced: what waits for it must not be given up."""
    if refusal.code == "unauthorized":
        raise Unreachable(str(refusal), retry_after_s=REFUSED_RETRY_S) from refusal
