"""Presses: from a button of ours to a decision in the journal, and the answer to whoever pressed.

The press proves the card (its MAC was checked by the listener). Who pressed is the caller's word only, so the user
and the membership are looked up over REST.
"""

from __future__ import annotations

from sm.core import streams
from sm.core.alias import AliasData, Request
from sm.core.events import CardPressed, PushDecided
from sm.core.memory import Push, SessionData
from sm.core.outcome import Refused, Unreachable
from sm.core.tables import SESSION_ENDED
from sm.engine.writer import Submission, Writer
from sm.mattermost.client import MattermostClient, User
from sm.web.press import Press
from sm.web.server import PressAnswer

ALREADY = {
    "applying": "@{user} already chose Approve; the firewall is being changed.",
    "approved": "Already approved by @{user}.",
    "denied": "Already denied by @{user}.",
    "failed": "That did not work. Press Retry on the card to try again.",
}
PUSH_ALREADY = {
    "pushing": "@{user} already allowed it; the push is under way.",
    "done": "Already pushed, allowed by @{user}.",
    "cancelled": "Already declined by @{user}.",
    "failed": "That push failed. Write `push` to try again.",
}
CANNOT_ASK = "I can't ask Mattermost who you are right now. Press again in a moment."
CLOSED = "Approvals are closed until an operator has looked at the journal. Nothing was changed."


class Approvals:
    """Takes presses."""

    def __init__(self, writer: Writer, client: MattermostClient, *, alias: str) -> None:
        self._writer = writer
        self._client = client
        self._stream = streams.alias(alias)

    async def press(self, press: Press) -> PressAnswer:
        """Commit a press of a member, then answer. The card itself shows what came of it."""
        is_push = press.card_id.startswith("p")
        refusal = self._push_refusal(press) if is_push else self._refusal(press)
        if refusal:
            return PressAnswer(refusal, refused=True)
        try:
            user = await self._client.user(press.user_id)
            member = await self._client.is_member(press.channel_id, press.user_id)
        except Unreachable:
            return PressAnswer(CANNOT_ASK)
        except Refused as refusal:
            if refusal.code == "unauthorized":  # our own token, not the presser
                return PressAnswer(CANNOT_ASK)
            member, user = False, None
        if user is None or not member or user.is_bot or user.deleted:
            return PressAnswer("Only people who are members of this channel can decide.", refused=True)
        if is_push:
            return await self._decide_push(press, user)
        event = CardPressed(
            card_id=press.card_id,
            request_id=press.request_id,
            action=press.action,
            channel_id=press.channel_id,
            post_id=press.post_id,
            user_id=user.id,
            user_name=user.username,
        )
        key = f"press:{press.post_id}:{press.trigger_id}"
        outcome = await self._writer.submit(Submission(self._stream, lambda _: event, key))
        if outcome.state.name == "quarantined":
            return PressAnswer(CLOSED, refused=True)
        data: AliasData = outcome.state.data
        return self._answer(event, data.requests.get(press.request_id))

    def _refusal(self, press: Press) -> str:
        state = self._writer.state(self._stream)
        if state.name == "quarantined":
            return CLOSED
        data: AliasData = state.data
        request = data.requests.get(press.request_id)
        if request is None or request.card_id != press.card_id or request.channel_id != press.channel_id:
            return "I don't know this card any more. Nothing was changed."
        if request.post_id and request.post_id != press.post_id:
            return "This is not the card that I posted. Nothing was changed."
        return ""

    # --- pushes: their cards carry the session's id as the request's ---------------------------------------------------

    def _push(self, press: Press) -> Push | None:
        state = self._writer.state(streams.session(press.request_id))
        data: SessionData = state.data
        mine = data.push is not None and data.push.card_id == press.card_id
        return data.push if mine and data.channel_id == press.channel_id else None

    def _push_refusal(self, press: Press) -> str:
        push = self._push(press)
        if push is None:
            return "I don't know this card any more. Nothing was pushed."
        if push.post_id and push.post_id != press.post_id:
            return "This is not the card that I posted. Nothing was pushed."
        return ""

    async def _decide_push(self, press: Press, user: User) -> PressAnswer:
        event = PushDecided(press.card_id, press.action, user.id, user.username)
        key = f"press:{press.post_id}:{press.trigger_id}"
        stream = streams.session(press.request_id)
        outcome = await self._writer.submit(Submission(stream, lambda _: event, key))
        if outcome.state.name in SESSION_ENDED:
            return PressAnswer("That session is over. Nothing was pushed.", refused=True)
        push = self._push(press)
        wanted = {"approve": "pushing", "deny": "cancelled"}.get(press.action)
        if push is None or (push.status == wanted and push.user_name == user.username):
            return PressAnswer()
        said = PUSH_ALREADY.get(push.status, "Nothing was changed.")
        return PressAnswer(said.format(user=push.user_name))

    def _answer(self, event: CardPressed, request: Request | None) -> PressAnswer:
        wanted = {"approve": "applying", "deny": "denied"}.get(event.action)
        if request is None or (request.state == wanted and request.user_id == event.user_id):
            return PressAnswer()
        said = ALREADY.get(request.state, "Nothing was changed.")
        return PressAnswer(said.format(user=request.user_name))
