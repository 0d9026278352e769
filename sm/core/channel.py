"""The channel's stream: whose message is it?"""

from __future__ import annotations

from typing import cast

from attrs import evolve, frozen

from sm.core import streams
from sm.core.commands import Say
from sm.core.events import (
    ChannelJoined,
    MessageAssigned,
    MessageReceived,
    Placement,
    SessionRequested,
    StatusRequested,
    StopRequested,
)
from sm.core.step import Step
from sm.core.tables import CHANNEL_MACHINE


@frozen
class ChannelData:
    """What a channel remembers: its id, and the one session that it holds."""

    channel_id: str = ""
    session_id: str = ""
    repository: str = ""


class ChannelStep(Step[ChannelData]):
    """One event of a channel."""

    machine = CHANNEL_MACHINE

    @property
    def message(self) -> MessageReceived:
        """The event of the rows that answer a post."""
        return cast("MessageReceived", self.event)

    def asks_to_start(self) -> bool:
        """A `start` that ingress gave a place."""
        return self.message.intent.name == "start" and self.message.placement is not None

    def is_own_session(self) -> bool:
        """The session that ended is the one that the channel holds."""
        return self.event.session_id == self.data.session_id

    def note_joined(self) -> None:
        """Remember which channel this is."""
        joined = cast("ChannelJoined", self.event)
        self.data = evolve(self.data, channel_id=joined.channel_id)

    def open_session(self) -> None:
        """From here on posts belong to the session."""
        message, place = self.message, cast("Placement", self.message.placement)
        intent = message.intent
        self.data = ChannelData(message.channel_id, place.session_id, f"{intent.org}/{intent.repo}")
        self._warn_if_masked()
        requested = SessionRequested(
            session_id=place.session_id,
            channel_id=message.channel_id,
            post_id=message.post_id,
            user_id=message.user_id,
            user_name=message.user_name,
            org=intent.org,
            repo=intent.repo,
            vm=place.vm,
            alias=place.alias,
            runtime=place.runtime,
            image=place.image,
            network=place.network,
            permission_mode=place.permission_mode,
        )
        self.notify(streams.session(place.session_id), requested)

    def forget_session(self) -> None:
        """The channel is free again."""
        self.data = evolve(self.data, session_id="", repository="")

    def answer_without_session(self) -> None:
        """Only a post that mentions the bot is answered."""
        self.data = evolve(self.data, channel_id=self.message.channel_id)
        intent = self.message.intent
        match intent.name:
            case "help":
                self._say("help")
            case "correct":
                self._say_correction()
            case "stop" | "status":
                self._say("no_session")
            case _ if self.message.mentioned:
                self._say("no_session")
            case _:
                pass

    def pass_on(self) -> None:
        """A command, or words for the session's agent."""
        message, intent = self.message, self.message.intent
        to = streams.session(self.data.session_id)
        who = {"post_id": message.post_id, "user_name": message.user_name}
        match intent.name:
            case "start":
                self._say(
                    "channel_occupied",
                    session=streams.short(self.data.session_id),
                    repository=self.data.repository,
                )
            case "stop":
                self.notify(to, StopRequested(user_id=message.user_id, **who))
            case "status":
                self.notify(to, StatusRequested(**who))
            case "help":
                self._say("help")
            case "correct":
                self._say_correction()
            case "text" if not message.body.strip():
                self._say("nothing_to_pass_on", user=message.user_name)
            case _:
                self._warn_if_masked()
                self.notify(to, MessageAssigned(user_id=message.user_id, text=message.body, **who))

    def say_quarantined(self) -> None:
        """A post for a stream that acts no more is not dropped in silence."""
        self._say("channel_quarantined", user=self.message.user_name)

    def _say(self, what: str, **facts: str) -> None:
        self.issue(Say(self.message.channel_id, what, tuple(sorted(facts.items()))))

    def _say_correction(self) -> None:
        intent = self.message.intent
        self._say("correction", problem=intent.problem, word=intent.word, suggestion=intent.suggestion)

    def _warn_if_masked(self) -> None:
        if self.message.masked:
            self._say("masked", user=self.message.user_name)
