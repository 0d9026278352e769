"""Decisions: from a button or a reaction to an event in the journal, and the answer to whoever pressed.

The press proves the card (its MAC was checked by the listener). Who pressed is the caller's word only, so the user
and the membership are looked up over REST; so are those of a reaction, which comes over the WebSocket. Whether they may
decide is the fold's matter, and on record; here it is only put into words.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import structlog
from attrs import evolve, frozen

from sm.core import streams
from sm.core.alias import (
    UNDECIDED,
    AliasData,
    Card,
    about,
    lost_to,
    may_not_decide,
    stands_here,
    told_of,
)
from sm.core.events import Action, CardPosted, NetworkDecided, PushDecided
from sm.core.fold import StreamState
from sm.core.memory import Push, SessionData
from sm.core.outcome import Refused, Unreachable
from sm.core.tables import SESSION_ENDED
from sm.engine import wording
from sm.engine.clock import Clock
from sm.engine.identity import Identity, user_names
from sm.engine.writer import Committed, Submission, Writer
from sm.mattermost.client import MattermostClient, Reaction, User
from sm.mattermost.socket import Reacted
from sm.web.press import Press
from sm.web.server import PressAnswer

log = structlog.get_logger(__name__)

PUSH_ALREADY = {
    "pushing": "@{user} already allowed it; the push is under way.",
    "done": "Already pushed, allowed by @{user}.",
    "cancelled": "Already declined by @{user}.",
    "failed": "That push failed. Write `push` to try again.",
}
CANNOT_ASK = "I can't ask Mattermost who you are right now. Press again in a moment."
CLOSED = "Approvals are closed until an operator has looked at the journal. Nothing was changed."
UNKNOWN = "I don't know this card any more. Nothing was changed."
NOT_MINE = "This is not the card that I posted. Nothing was changed."
AGAIN = "That press was refused before. Press again."
NOT_A_MEMBER = "Only people who are members of this channel can decide."

ACTIONS: dict[str, Action] = {
    "approve": "approve",
    "session": "session",
    "hour": "hour",
    "set": "set",
    "deny": "deny",
    "retry": "retry",
}
EMOJI: dict[str, Action] = {"white_check_mark": "approve", "x": "deny"}  # ✅ and ❌
CALLBACK_MS = 4_000  # how long an answer surely finds its way into the callback's, which has 5 s


@frozen
class Found:
    """Whom Mattermost knows by an id: a person, or why it is nobody who could decide."""

    user: User | None = None
    is_member: bool = False
    refused: str = ""


class Approvals:
    """Takes presses and reactions."""

    def __init__(
        self, writer: Writer, client: MattermostClient, *, alias: str, identity: Identity, clock: Clock
    ) -> None:
        self._writer = writer
        self._client = client
        self._stream = streams.alias(alias)
        self._identity = identity
        self._clock = clock
        self.refused: Counter[str] = Counter()  # reactions that were turned away, by reason
        self._unread: asyncio.Queue[tuple[str, str]] = asyncio.Queue()  # posts of cards, with their channels
        writer.listen(self._committed)

    @property
    def _data(self) -> AliasData:
        return self._writer.state(self._stream).data

    # --- buttons ------------------------------------------------------------------------------------------------------

    async def press(self, press: Press) -> PressAnswer:
        """Commit a press of a member, then answer. The card itself shows what came of it."""
        began_ms = self._clock.now_ms()
        is_push = press.card_id.startswith("p")
        answer = self._push_refusal(press) if is_push else self._refusal(press)
        if answer is not None:
            return answer
        try:
            if not is_push and not await self._is_mine(press.card_id, press.post_id):
                return PressAnswer(NOT_MINE, refused="another_post")
            found = await self._look_up(press.channel_id, press.user_id)
        except (Unreachable, Refused):  # of the refusals only that of our own token comes here
            return PressAnswer(CANNOT_ASK)
        late = self._clock.now_ms() - began_ms > CALLBACK_MS
        if found.user is None or (is_push and not found.is_member):
            return PressAnswer(NOT_A_MEMBER, refused=found.refused)
        if is_push:
            return await self._decide_push(press, found.user)
        if not found.is_member and not late:
            return PressAnswer(await self._may_not("not_member"), refused=found.refused)
        return await self._decide(press, found, privately=late)

    def _refusal(self, press: Press) -> PressAnswer | None:
        state = self._writer.state(self._stream)
        if state.name == "quarantined":
            return PressAnswer(CLOSED, refused="closed")
        card = self._data.cards.get(press.card_id)
        action = ACTIONS.get(press.action)
        if (
            card is None
            or action is None
            or not press.request_id
            or not about(self._data, _event(press, action))
        ):
            return PressAnswer(UNKNOWN, refused="unknown_card")
        if not self._stands_here(card, press.channel_id, press.post_id):
            return PressAnswer(NOT_MINE, refused="another_post")
        return None

    def _stands_here(self, card: Card, channel_id: str, post_id: str) -> bool:
        return stands_here(card, channel_id, post_id, self._data.policy.approval_channel)

    async def _is_mine(self, card_id: str, post_id: str) -> bool:
        """Before the card's own post is confirmed, any post could claim to be it: then it is looked at."""
        card = self._data.cards.get(card_id)
        if card is None or post_id in {card.post_id, card.copy_post}:
            return card is not None
        try:
            post = await self._client.get_post(post_id)
        except Refused as refusal:
            if refusal.code == "unauthorized":
                raise
            return False
        bot = await self._identity.get()
        return post.user_id == bot.id and post.props.get("sm_card") == card_id

    async def _look_up(self, channel_id: str, user_id: str) -> Found:
        """Who that is, and whether a member. Raises `Unreachable`, and `Refused` for our own token."""
        try:
            user = await self._client.user(user_id)
            if user.is_bot or user.deleted:
                return Found(refused="bot" if user.is_bot else "deactivated")
            if await self._client.is_member(channel_id, user_id):
                return Found(user, is_member=True)
        except Refused as refusal:
            if refusal.code == "unauthorized":  # our own token, not the presser
                raise
            return Found(refused="unknown_user")
        return Found(user, refused="not_a_member")

    async def _decide(self, press: Press, found: Found, *, privately: bool) -> PressAnswer:
        event = evolve(_event(press, ACTIONS[press.action], found), privately=privately)
        key = f"press:{press.post_id}:{press.trigger_id}"
        before: list[StreamState] = []

        def build(state: StreamState) -> NetworkDecided:
            before.append(state)
            return event

        outcome = await self._writer.submit(Submission(self._stream, build, key))
        if outcome.state.name == "quarantined":
            return PressAnswer(CLOSED, refused="closed")
        was: AliasData = before[0].data if before else outcome.state.data
        return await self._answer(event, was, outcome.state.data, is_replay=not before)

    async def _answer(
        self, event: NetworkDecided, was: AliasData, now: AliasData, *, is_replay: bool
    ) -> PressAnswer:
        """What the presser alone is shown: nothing where the press decided, since the card says it."""
        card = was.cards.get(event.card_id)
        if card is None:
            return PressAnswer(UNKNOWN, refused="unknown_card")
        if not self._stands_here(card, event.channel_id, event.post_id):
            return PressAnswer(NOT_MINE, refused="another_post")
        if not event.is_member:
            return PressAnswer(await self._may_not("not_member"), refused="not_a_member")
        code = may_not_decide(
            now.policy, user_id=event.user_id, user_name=event.user_name, starter_id=card.user_id
        )
        if code:
            return PressAnswer(await self._may_not(code), refused=code)
        if now.policy.strong:
            return PressAnswer(self._say("use_strong", {}))
        meant = about(was, event)
        if not is_replay and any(request.state in UNDECIDED for request in meant):
            return PressAnswer()
        last = lost_to(now, event, [now.requests.get(one.request_id, one) for one in meant])
        if last is None:
            return PressAnswer()
        if last.state == "pending":
            return PressAnswer(AGAIN, refused="replayed")
        return PressAnswer(self._say("too_late", told_of(now, last, event.channel_id)), refused="too_late")

    async def _may_not(self, code: str) -> str:
        who = await user_names(self._client, " ".join(self._data.policy.approvers))
        return self._say("may_not_decide", {"code": code, "who": who})

    def _say(self, message: str, facts: dict[str, str]) -> str:
        return wording.render(message, facts, bot=self._identity.name)

    # --- reactions ----------------------------------------------------------------------------------------------------

    async def react(self, reaction: Reacted) -> None:
        """Commit a reaction of a member to a card. Raises `Unreachable`, and `Refused` for our own token."""
        action = EMOJI.get(reaction.emoji)
        card = self._data.card_of_post(reaction.post_id)
        if action is None or card is None or reaction.user_id == (await self._identity.get()).id:
            return
        here = card.copy_channel if reaction.post_id == card.copy_post else card.channel_id
        found = await self._look_up(here, reaction.user_id)
        if not found.is_member:
            self.refused[found.refused] += 1
            log.warning(
                "a reaction does not count", user=reaction.user_id, card=card.card_id, why=found.refused
            )
        if found.user is None:
            return
        event = NetworkDecided(
            action=action,
            channel_id=here,
            user_id=found.user.id,
            user_name=found.user.username,
            via="reaction",
            card_id=card.card_id,
            post_id=reaction.post_id,
            is_member=found.is_member,
        )
        key = f"reaction:{reaction.post_id}:{found.user.id}:{reaction.emoji}:{reaction.create_at_ms}"
        await self._writer.submit(Submission(self._stream, lambda _: event, key))

    def _committed(self, committed: Committed) -> None:
        for recorded in committed.events:
            if isinstance(recorded.event, CardPosted) and recorded.stream == self._stream:
                self._unread.put_nowait((recorded.event.post_id, recorded.event.channel_id))

    async def next_card(self) -> tuple[str, str]:
        """Wait for a card whose post is confirmed now: who was quicker has reacted to a post that was not known."""
        return await self._unread.get()

    async def read_reactions(self) -> None:
        """After a gap: what was decided on open cards meanwhile. What was heard before has its key."""
        for card in list(self._data.cards.values()):
            if not any(request.state == "pending" for request in self._data.of_card(card.card_id)):
                continue
            for post_id, channel_id in (
                (card.post_id, card.channel_id),
                (card.copy_post, card.copy_channel),
            ):
                if post_id:
                    await self.read_reactions_of(post_id, channel_id)

    async def read_reactions_of(self, post_id: str, channel_id: str) -> None:
        """What stands on a card's post now."""
        try:
            found = await self._client.reactions(post_id)
        except Refused as refusal:
            if refusal.code == "unauthorized":
                raise
            log.warning("the reactions of a card can't be read", post=post_id, code=refusal.code)
            return
        for one in sorted(found, key=_when):
            await self.react(Reacted(post_id, channel_id, one.user_id, one.emoji, one.create_at_ms))

    # --- pushes: their cards carry the session's id as the request's ---------------------------------------------------

    def _push(self, press: Press) -> Push | None:
        state = self._writer.state(streams.session(press.request_id))
        data: SessionData = state.data
        mine = data.push is not None and data.push.card_id == press.card_id
        return data.push if mine and data.channel_id == press.channel_id else None

    def _push_refusal(self, press: Press) -> PressAnswer | None:
        push = self._push(press)
        if push is None:
            return PressAnswer("I don't know this card any more. Nothing was pushed.", refused="unknown_card")
        if push.post_id and push.post_id != press.post_id:
            return PressAnswer(
                "This is not the card that I posted. Nothing was pushed.", refused="another_post"
            )
        return None

    async def _decide_push(self, press: Press, user: User) -> PressAnswer:
        event = PushDecided(press.card_id, press.action, user.id, user.username)
        key = f"press:{press.post_id}:{press.trigger_id}"
        stream = streams.session(press.request_id)
        outcome = await self._writer.submit(Submission(stream, lambda _: event, key))
        if outcome.state.name in SESSION_ENDED:
            return PressAnswer("That session is over. Nothing was pushed.", refused="session_over")
        push = self._push(press)
        wanted = {"approve": "pushing", "deny": "cancelled"}.get(press.action)
        if push is None or (push.status == wanted and push.user_name == user.username):
            return PressAnswer()
        said = PUSH_ALREADY.get(push.status, "Nothing was changed.")
        return PressAnswer(said.format(user=push.user_name))


def _event(press: Press, action: Action, found: Found | None = None) -> NetworkDecided:
    user = found.user if found is not None else None
    return NetworkDecided(
        action=action,
        channel_id=press.channel_id,
        user_id=user.id if user is not None else press.user_id,
        user_name=user.username if user is not None else press.user_name,
        via="button",
        card_id=press.card_id,
        request_id=press.request_id,
        post_id=press.post_id,
        is_member=found is not None and found.is_member,
    )


def _when(reaction: Reaction) -> int:
    return reaction.create_at_ms
