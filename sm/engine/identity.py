"""Who the bot is: asked of Mattermost once it answers; nothing but the chat waits for it."""

from __future__ import annotations

import asyncio
import re

import structlog

from sm.core.outcome import Refused, Unreachable
from sm.engine.clock import Clock
from sm.mattermost.client import MattermostClient, User

log = structlog.get_logger(__name__)

RETRY_S = 2.0
REFUSED_RETRY_S = 15.0
NAMED_WITHIN_S = 1.0
_ID = re.compile(r"[a-z0-9]{26}")  # a user name may look so, too


class Identity:
    """The bot's own user; `get` waits until Mattermost has told it."""

    def __init__(self, client: MattermostClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._lock = asyncio.Lock()
        self._user: User | None = None

    @property
    def name(self) -> str:
        """The bot's name as far as Mattermost has told it."""
        return self._user.username if self._user is not None else "claude"

    async def get(self) -> User:
        """The bot's user, with its real name."""
        async with self._lock:
            while self._user is None:
                try:
                    self._user = await self._client.me()
                except Unreachable as error:
                    log.warning("Mattermost does not answer yet", error=str(error))
                    await self._clock.sleep(max(RETRY_S, min(error.retry_after_s or 0.0, 60.0)))
                except Refused as error:
                    log.warning("Mattermost refuses the bot: check SM_MATTERMOST_TOKEN", error=str(error))
                    await self._clock.sleep(REFUSED_RETRY_S)
            return self._user


async def user_names(client: MattermostClient, who: str) -> str:
    """The same people (names or ids, blanks between) by their names, as far as Mattermost tells them within a second.

    Somebody waits for the sentence that names them; an id is better than no answer.
    """
    people = who.split()
    try:
        async with asyncio.timeout(NAMED_WITHIN_S):
            for number, one in enumerate(people):
                people[number] = await _user_name(client, one)
    except TimeoutError:
        pass
    return " ".join(people)


async def _user_name(client: MattermostClient, who: str) -> str:
    if not _ID.fullmatch(who):
        return who
    try:
        return (await client.user(who)).username
    except (Unreachable, Refused):
        return who
