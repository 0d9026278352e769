"""Ingress: what settings and changing tables say is decided here, before the append, and lies in the event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from attrs import evolve, field, frozen

from sm.core import grammar, markers
from sm.core.channel import ABOUT_THE_NETWORK, DECISIONS, ChannelData
from sm.core.events import (
    Event,
    Intent,
    LineReceived,
    MessageReceived,
    MessageSkipped,
    Placement,
    Verdict,
)
from sm.core.fold import StreamState
from sm.core.stream_json import read_line
from sm.engine.judging import judge
from sm.journal.masking import Masker
from sm.mattermost.client import Post, User


@frozen
class Place:
    """Where new sessions live, from the settings."""

    vm: str
    alias: str
    runtime: str
    image: str
    network: str
    permission_mode: str
    projects: Mapping[str, str] = field(factory=dict[str, str])  # paths on the VM by name
    default_org: str = ""
    auto_pull: bool = False
    git_url: str = "https://github.com"
    sets: tuple[str, ...] = ()  # names of domains that belong together

    @property
    def git_host(self) -> str:
        """The git host, when a card can ask for it: by a name that may be opened, on the port that is."""
        parts = urlsplit(self.git_url)
        host = parts.hostname or ""
        is_usual = parts.scheme == "https" and parts.port in (None, 443)
        return host if is_usual and not judge(host).refused else ""


class Ingress:
    """Makes events out of what the neighbours deliver."""

    def __init__(
        self, *, bot_name: str, place: Place, masker: Masker, new_session_id: Callable[[], str]
    ) -> None:
        self._bot = bot_name
        self._place = place
        self._known = grammar.Known(tuple(place.projects), place.default_org, place.git_url, place.sets)
        self._sets = frozenset(place.sets)
        self._masker = masker
        self._new_session_id = new_session_id

    def decides(self, post: Post) -> bool:
        """Whether a post is a decision about the network: then its author is looked up anew."""
        return grammar.read(post.message, self._bot, self._known).intent.name in DECISIONS

    def message(self, post: Post, user: User, channel: StreamState, *, is_member: bool = True) -> Event:
        """A person's post. Where no session is and the bot isn't mentioned, its text is left out."""
        text, masked = self._masker.mask_text(post.message)
        reading = grammar.read(text, self._bot, self._known)
        data: ChannelData = channel.data
        if not data.sessions and not reading.mentioned:
            return MessageSkipped(post.id, post.channel_id, post.create_at_ms)
        return MessageReceived(
            post_id=post.id,
            channel_id=post.channel_id,
            user_id=user.id,
            user_name=user.username,
            text=text,
            body_at=reading.body_at,
            mentioned=reading.mentioned,
            masked=masked,
            created_at_ms=post.create_at_ms,
            intent=reading.intent,
            placement=self._placement(reading.intent) if reading.intent.name == "start" else None,
            root_id=post.root_id,
            alias=self._place.alias if reading.intent.name in ABOUT_THE_NETWORK else "",
            verdicts=tuple(judge(name) for name in reading.intent.names if name.lower() not in self._sets),
            is_member=is_member,
            sets=tuple(name.lower() for name in reading.intent.names if name.lower() in self._sets),
        )

    def _placement(self, intent: Intent) -> Placement:
        place = self._place
        return Placement(
            session_id=self._new_session_id(),
            vm=place.vm,
            alias=place.alias,
            runtime=place.runtime,
            image=place.image,
            network=place.network,
            permission_mode=place.permission_mode,
            project_path=place.projects.get(intent.project, ""),
            auto_pull=place.auto_pull,
            git_url=place.git_url,
            git_host=place.git_host,
        )

    def line(self, generation: int, *, offset: int, end: int, text: str, terminated: bool) -> LineReceived:
        """A line of the agent's output, with a verdict for each domain that it asks for."""
        masked, _ = self._masker.mask_json_line(text)
        return LineReceived(
            generation=generation,
            offset=offset,
            end=end,
            line=masked,
            terminated=terminated,
            verdicts=_verdicts(read_line(masked).texts),
        )


def _verdicts(blocks: Sequence[str]) -> tuple[Verdict, ...]:
    """On each host that a line asks for once, whatever its spelling, with the first reason that is given for it."""
    found: dict[str, Verdict] = {}
    for part, block in enumerate(blocks):
        for asked in markers.requests(block):
            verdict = judge(asked.name)
            known = found.get(verdict.domain)
            if known is None and len(found) == markers.MAX_MARKERS:
                rest = Verdict(asked.name, "too_many", part=part)
                return (*found.values(), rest)
            verdict = known or evolve(verdict, part=part)
            found[verdict.domain] = evolve(verdict, reason=verdict.reason or asked.reason)
    return tuple(found.values())
