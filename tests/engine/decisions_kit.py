"""Cards in the sandbox's Mattermost, what their buttons send, and the ways in which people decide about them."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from chat_kit import SECRET, Bench, Town
from engine_kit import ALIAS_STREAM, until

from sm.core.alias import AliasData, Request
from sm.core.events import AliasConfigured, Ask, NetworkDecided, Policy, TimerFired
from sm.sandbox.mattermost.rows import Post
from sm.web.mac import card_context

YES, NO = "white_check_mark", "x"
_triggers = itertools.count(1)


class Card:
    """A card in the channel, with the requests that it is about in their order."""

    def __init__(self, bench: Bench, town: Town, card_id: str) -> None:
        self.bench, self.town, self.card_id = bench, town, card_id
        known = data(bench).cards[card_id]
        self.channel, self.post_id = known.channel_id, known.post_id
        self.copy_channel, self.copy_post = known.copy_channel, known.copy_post
        self.requests = known.requests

    @property
    def request_id(self) -> str:
        return self.requests[0]

    def request(self, row: int = 0) -> Request:
        return data(self.bench).requests[self.requests[row]]

    @property
    def state(self) -> str:
        return self.request().state

    @property
    def states(self) -> list[str]:
        return [self.request(row).state for row in range(len(self.requests))]

    # --- in the channel -----------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        return self.post(self.post_id).message

    @property
    def copy_text(self) -> str:
        return self.post(self.copy_post).message

    def post(self, post_id: str) -> Post:
        return self.town.peer.store.rows[post_id]

    async def shows(self, *words: str, copy: bool = False) -> None:
        """Wait until all of these stand on it."""

        def stands() -> bool:
            text = self.copy_text if copy else self.text
            return all(word in text for word in words)

        await until(stands, f"{words} on the card")

    def buttons(self, post_id: str = "") -> list[dict[str, Any]]:
        return self.town.buttons(self.post(post_id or self.post_id))

    async def press(
        self, who: str, action: str = "approve", row: int = 0, *, request_id: str = "", post_id: str = ""
    ) -> str:
        """Somebody presses a button that stands on it; answers what they alone are shown."""
        wanted = (request_id or self.requests[row], action)
        [button] = [
            one
            for one in self.buttons(post_id)
            if (one["integration"]["context"]["request_id"], one["integration"]["context"]["action"])
            == wanted
        ]
        assert await self.town.press(who, post_id or self.post_id, button["id"]) == 200
        user_id = self.town.peer.user_id(who)
        return next(a.ephemeral_text or "" for p, a in reversed(self.bench.answers) if p.user_id == user_id)

    # --- on the wire --------------------------------------------------------------------------------------------------

    def body(
        self, who: str = "james", action: str = "approve", trigger: str = "", row: int = 0, **other: Any
    ) -> dict[str, Any]:
        """What Mattermost posts; `other` replaces fields of it and of the context, signed as if they were ours."""
        channel = other.get("channel_id", self.channel)
        fields = {"card_id": self.card_id, "request_id": self.requests[row], "action": action}
        fields |= {key: other[key] for key in fields if key in other}
        return {
            "user_id": other.get("user_id", "") or self.town.peer.user_id(who),
            "user_name": other.get("user_name", who),
            "channel_id": channel,
            "post_id": other.get("post_id", self.post_id),
            "trigger_id": trigger or f"trigger{next(_triggers)}",
            "context": card_context(SECRET, channel_id=channel, **fields),
        }

    async def send(self, *args: Any, **other: Any) -> str:
        """Call the listener as Mattermost does; answers what the presser alone is shown."""
        return await call_back(self.bench, self.body(*args, **other))


async def call_back(bench: Bench, body: dict[str, Any]) -> str:
    """Call the listener; answers what the presser alone is shown."""
    status, answer = await bench.call_back(body)
    assert status == 200
    assert set(answer) <= {"ephemeral_text"}
    return answer.get("ephemeral_text", "")


async def make_card(bench: Bench, town: Town, *domains: str | Ask, by: str = "", **how: Any) -> Card:
    """An agent asks, in a session that `by` started; answers the card when it and its copy are in their channels."""
    how.setdefault("channel", town.channel)
    if by:
        how |= {"user_id": town.peer.user_id(by), "user_name": by}
    request_id = await bench.engine.ask(*(domains or ("pypi.org",)), **how)
    return await card_of(bench, town, request_id)


async def card_of(bench: Bench, town: Town, request_id: str) -> Card:
    """The card of a request, when it is where it is to be."""

    def there() -> bool:
        request = data(bench).requests.get(request_id)
        card = data(bench).cards.get(request.card_id) if request is not None else None
        return card is not None and bool(card.post_id) and bool(card.copy_post or not card.copy_channel)

    await until(there, "the card")
    return Card(bench, town, data(bench).requests[request_id].card_id)


async def configure(bench: Bench, **fields: Any) -> None:
    """The operator starts with these settings for decisions."""
    await bench.engine.happen(ALIAS_STREAM, AliasConfigured(Policy(**fields)))


async def expire(bench: Bench, card: Card) -> None:
    """Nobody answered the card in time."""
    await bench.engine.happen(ALIAS_STREAM, TimerFired(f"expire:{card.card_id}", 0))


async def quiet(bench: Bench) -> None:
    """Everything that is to be said or shown is."""

    async def done() -> bool:
        rows = await bench.engine.commands()
        return not [row for row in rows if row.settled_by is None and row.kind.startswith(("chat.", "card."))]

    for _ in range(1000):
        if await done():
            return
        await asyncio.sleep(0.004)
    raise AssertionError("there is still something to be said")


def data(bench: Bench) -> AliasData:
    return bench.engine.writer.state(ALIAS_STREAM).data


def decisions(bench: Bench) -> list[NetworkDecided]:
    """What was decided, or tried, since this start."""
    return [recorded.event for recorded in bench.engine.recorded("network.decided", ALIAS_STREAM)]  # type: ignore[misc]


def grants(bench: Bench) -> list[tuple[str, str, str]]:
    """The live grants: domain, for how long, by whom."""
    return [(grant.domain, grant.scope, grant.user_name) for grant in data(bench).live()]


def heard(bench: Bench, session: str = "s1") -> list[str]:
    """What a session's agent is told, by the kinds of the events."""
    kinds = ("network.approved", "network.denied", "network.failed")
    return [
        recorded.event.KIND
        for commit in bench.engine.commits
        for recorded in commit.events
        if recorded.stream == f"session:{session}" and recorded.event.KIND in kinds
    ]


async def hears(town: Town, who: str, *words: str, count: int = 1) -> str:
    """Wait until somebody was told so in a direct message; answers it, and that no other was sent."""
    await until(lambda: len(town.told(who)) >= count, f"{who} hears {words}")
    told = town.told(who)
    assert len(told) == count, told
    assert all(word in told[-1] for word in words), told[-1]
    return told[-1]
