"""Posts and cards: the effectors that speak to Mattermost.

A post carries its command's id in `props`, and the same id as `pending_post_id` behind the bot's. Mattermost
de-duplicates on the latter for 30 s only, so a doubtful post is looked for before it is sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from attrs import fields

from sm.core import streams
from sm.core.commands import (
    CardView,
    PostCard,
    PostPushCard,
    Relay,
    Say,
    SayPrivately,
    ShowDiff,
    UpdateCard,
    UpdatePushCard,
)
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
from sm.engine.effectors.buttons import Attachment, Buttons, first_taken
from sm.engine.identity import Identity, user_names
from sm.engine.recovery import Positions
from sm.engine.wording import places
from sm.engine.wording.cards import Choice
from sm.engine.writer import Submission, Writer
from sm.journal.codec import decode_event
from sm.journal.protocol import Journal
from sm.mattermost.client import MattermostClient, Post
from sm.mattermost.splitting import split_message

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
        self._buttons = Buttons(callback_url, callback_secret)
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
        """Post a card with its buttons."""
        command = cast("PostCard", job.command)
        props = {COMMAND_PROP: job.id, "sm_card": command.card_id, "sm_view": _digest(command.view)}

        async def post(text: str, attachments: list[Attachment]) -> Post:
            every = {**props, "attachments": attachments}
            return await self._create(job, command.channel_id, job.id, text, every, root_id=command.root_id)

        bot = await self._identity.get()
        try:
            found = await first_taken(self._buttons.shapes(command, bot=bot.username), post)
        except Refused as refusal:
            _wait_if_mendable(refusal)
            return CardFailed(command.card_id, refusal.code, str(refusal)[:MAX_DETAIL], command.copy)
        return CardPosted(command.card_id, found.id, command.channel_id, command.copy)

    async def update_card(self, job: Job) -> Event:
        """Make a card show its requests' states. Doing it twice shows the same."""
        command = cast("UpdateCard", job.command)
        shown = {"sm_view": _digest(command.view)}

        async def update(text: str, attachments: list[Attachment]) -> None:
            await self._update(job, command, text, shown, attachments)

        bot = await self._identity.get()
        try:
            await first_taken(self._buttons.shapes(command, bot=bot.username), update)
        except Refused as refusal:
            _wait_if_mendable(refusal)
            return CardFailed(command.card_id, refusal.code, str(refusal)[:MAX_DETAIL], command.copy)
        return CardUpdated(command.card_id, command.copy)

    async def say_privately(self, job: Job) -> Event:
        """Post to one person alone. Nobody else is told that they could not be reached."""
        command = cast("SayPrivately", job.command)
        bot = await self._identity.get()
        facts = dict(command.facts)
        if "who" in facts:
            facts["who"] = await user_names(self._client, facts["who"])
        text = wording.render(command.message, facts, bot=bot.username, link=self._link)
        try:
            channel_id = await self._client.direct_channel(command.user_id)
        except Refused as refusal:
            _wait_if_mendable(refusal)
            return PostFailed(job.id, "", refusal.code, str(refusal)[:MAX_DETAIL])
        return await self._send(job, channel_id, "", text)

    async def post_push_card(self, job: Job) -> Event:
        """Post the card that shows what would be pushed."""
        command = cast("PostPushCard", job.command)
        text = places.push_card({**_facts(command), "status": "asked"})
        choices = (
            Choice("approve", command.session_id, "✅ Push", "primary"),
            Choice("deny", command.session_id, "❌ Don't push", "danger"),
        )
        buttons = [self._buttons.row(command.card_id, command.channel_id, "", choices)]
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
        try:
            await self._update(job, command, text, {"sm_status": command.status}, [])
        except Refused as refusal:
            _wait_if_mendable(refusal)
            return CardFailed(command.card_id, refusal.code, str(refusal)[:MAX_DETAIL])
        return CardUpdated(command.card_id)

    async def _update(
        self,
        job: Job,
        command: UpdateCard | UpdatePushCard,
        text: str,
        shown: Mapping[str, str],
        attachments: list[Attachment],
    ) -> None:
        """Replace text and props, unless the post shows it already. `shown` are the props by which that is known."""
        if job.doubtful:
            post = await self._client.get_post(command.post_id)
            if post.message == text and all(post.props.get(name) == value for name, value in shown.items()):
                return
        await self._still_ours()
        props = {"sm_card": command.card_id, **shown, "attachments": attachments}
        await self._client.patch_post(command.post_id, message=text, props=props)


def _digest(view: CardView) -> str:
    return hashlib.sha256(repr(view).encode("utf-8", "replace")).hexdigest()[:16]


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
