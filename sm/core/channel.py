"""The channel's stream: whose message is it?

The channel's only session talks top-level, each further one in the thread of its start message. A post in a session's
thread is for that session; one that stands elsewhere for the channel's only session, otherwise for the writer's own,
where that is clear.
"""

from __future__ import annotations

from typing import cast

from attrs import evolve, frozen

from sm.core import streams
from sm.core.commands import Say
from sm.core.events import (
    Action,
    ChannelJoined,
    DiffRequested,
    Event,
    FetchRequested,
    Intent,
    MessageAssigned,
    MessageReceived,
    NetworkDecided,
    NetworkListRequested,
    Placement,
    PushRequested,
    SessionRequested,
    StatusRequested,
    StopRequested,
)
from sm.core.step import Step
from sm.core.tables import CHANNEL_MACHINE

MAX_SESSIONS = 20  # of a channel at a time
MAX_ENDED = 100  # threads of sessions that are over, which are remembered

FOR_A_SESSION = ("stop", "status", "diff", "push", "fetch")
DECISIONS = ("approve", "deny", "revoke")
ABOUT_THE_NETWORK = (*DECISIONS, "net", "pending")


@frozen
class Member:
    """A session of the channel: where it talks (`root_id`, empty for top-level) and with which post it began."""

    session_id: str
    title: str
    root_id: str
    start_post: str
    user_id: str
    user_name: str

    @property
    def threads(self) -> tuple[str, ...]:
        """The posts whose threads are its own."""
        return tuple(filter(None, (self.root_id, self.start_post)))


@frozen
class ChannelData:
    """What a channel remembers: its id, the sessions in it, the threads of those that are over."""

    channel_id: str = ""
    sessions: tuple[Member, ...] = ()
    ended: tuple[str, ...] = ()


class ChannelStep(Step[ChannelData]):
    """One event of a channel."""

    machine = CHANNEL_MACHINE

    @property
    def message(self) -> MessageReceived:
        """The event of the rows that answer a post."""
        return cast("MessageReceived", self.event)

    def note_joined(self) -> None:
        """Remember which channel this is."""
        joined = cast("ChannelJoined", self.event)
        self.data = evolve(self.data, channel_id=joined.channel_id)

    # --- sessions come and go ---------------------------------------------------------------------------------------

    def asks_to_start(self) -> bool:
        """A `start` that ingress gave a place."""
        return self.message.intent.name == "start" and self.message.placement is not None

    def may_open_another(self) -> bool:
        """Its thread must not be another session's, and there is a limit."""
        return not self._here() and len(self.data.sessions) < MAX_SESSIONS

    def open_session(self) -> None:
        """From here on posts belong to the session."""
        message, place, intent = self.message, cast("Placement", self.message.placement), self.message.intent
        root_id = (message.root_id or message.post_id) if self.data.sessions else ""
        title = intent.project or f"{intent.org}/{intent.repo}"
        start_post = message.root_id or message.post_id
        member = Member(place.session_id, title, root_id, start_post, message.user_id, message.user_name)
        self.data = ChannelData(
            message.channel_id,
            (*self.data.sessions, member),
            tuple(post for post in self.data.ended if post not in member.threads),
        )
        self._warn_if_masked()
        worktree = intent.worktree_name or (streams.short(place.session_id) if intent.worktree else "")
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
            root_id=root_id,
            branch=intent.branch,
            worktree=worktree,
            project=intent.project,
            project_path=place.project_path,
            auto_pull=place.auto_pull,
            git_url=place.git_url,
            git_host=place.git_host,
        )
        self.notify(streams.session(place.session_id), requested)

    def is_only_session(self) -> bool:
        """The session that ended is the last that the channel has."""
        return [member.session_id for member in self.data.sessions] == [self.event.session_id]

    def is_own_session(self) -> bool:
        """The session that ended is one that the channel has."""
        return any(member.session_id == self.event.session_id for member in self.data.sessions)

    def forget_session(self) -> None:
        """What is written in its thread from now on is for nobody."""
        over = [member for member in self.data.sessions if member.session_id == self.event.session_id]
        rest = tuple(member for member in self.data.sessions if member not in over)
        ended = dict.fromkeys((*self.data.ended, *(post for member in over for post in member.threads)))
        self.data = evolve(self.data, sessions=rest, ended=tuple(ended)[-MAX_ENDED:])

    # --- posts ------------------------------------------------------------------------------------------------------

    def answer_without_session(self) -> None:
        """Only a post that mentions the bot is answered."""
        self.data = evolve(self.data, channel_id=self.message.channel_id)
        intent = self.message.intent
        match intent.name:
            case "help":
                self._say("help")
            case "correct":
                self._say_correction()
            case name if name in ABOUT_THE_NETWORK:
                self._decide()
            case name if name in FOR_A_SESSION or self.message.mentioned:
                self._say("no_session")
            case _:
                pass

    def pass_on(self) -> None:
        """A command, or words for a session's agent."""
        message, intent = self.message, self.message.intent
        match intent.name:
            case "start":
                self._say("start_at_top" if self._here() else "too_many_sessions", count=str(MAX_SESSIONS))
            case "help":
                self._say("help")
            case "correct":
                self._say_correction()
            case name if name in ABOUT_THE_NETWORK:
                self._decide()
            case _ if self._is_over():
                if message.mentioned:
                    self._say("session_over")
            case "text" if not message.body.strip():
                self._say("nothing_to_pass_on", user=message.user_name)
            case _:
                self._pass_on_to(self._addressed())

    def _decide(self) -> None:
        """What is open is the alias's business, whichever channel decides."""
        message, intent = self.message, self.message.intent
        action = _decides(intent)
        if action is None:
            listed = NetworkListRequested(
                what="net" if intent.name == "net" else "pending",
                channel_id=message.channel_id,
                user_name=message.user_name,
                root_id=message.root_id,
            )
            self.notify(streams.alias(message.alias), listed)
            return
        members = [] if self._is_over() else self._addressed()  # `this session` there is no other one
        decided = NetworkDecided(
            action=action,
            channel_id=message.channel_id,
            user_id=message.user_id,
            user_name=message.user_name,
            via="command",
            names=message.verdicts,
            sets=message.sets,
            scope=intent.scope,
            session_id=members[0].session_id if len(members) == 1 else "",
            reason=intent.reason,
            post_id=message.post_id,
            root_id=message.root_id,
            is_member=message.is_member,
        )
        self.notify(streams.alias(message.alias), decided)

    def _pass_on_to(self, members: list[Member]) -> None:
        intent = self.message.intent
        if not members:
            self._say("no_such_session", session=intent.session, sessions=_listed(self.data.sessions))
        elif len(members) > 1 and intent.name != "status":
            self._say("which_session", command=intent.name, sessions=_listed(members))
        else:
            if intent.name == "text":
                self._warn_if_masked()
            for member in members:
                self.notify(streams.session(member.session_id), self._for_session())

    def _for_session(self) -> Event:
        message = self.message
        who = {"post_id": message.post_id, "user_name": message.user_name}
        match message.intent.name:
            case "stop":
                return StopRequested(user_id=message.user_id, **who)
            case "status":
                return StatusRequested(root_id=message.root_id, **who)
            case "diff":
                return DiffRequested(**who)
            case "push":
                return PushRequested(user_id=message.user_id, **who)
            case "fetch":
                return FetchRequested(**who)
            case _:
                return MessageAssigned(user_id=message.user_id, text=message.body, **who)

    def _addressed(self) -> list[Member]:
        """The sessions that the post can mean: one, or several where it is not clear."""
        sessions, message = list(self.data.sessions), self.message
        if message.intent.session:
            return [m for m in sessions if m.session_id.startswith(message.intent.session)]
        if here := self._here():
            return here
        if message.intent.name == "status":
            return sessions
        own = [member for member in sessions if member.user_id == message.user_id]
        return own if len(own) == 1 else sessions

    def _here(self) -> list[Member]:
        """The session in whose thread the post stands."""
        root_id = self.message.root_id
        return [member for member in self.data.sessions if root_id and root_id in member.threads]

    def _is_over(self) -> bool:
        """The post stands in the thread of a session that is over, and names no other."""
        message = self.message
        return message.root_id in self.data.ended and not self._here() and not message.intent.session

    def say_quarantined(self) -> None:
        """A post for a stream that acts no more is not dropped in silence."""
        self._say("channel_quarantined", user=self.message.user_name)

    def _say(self, what: str, **facts: str) -> None:
        self.issue(Say(self.message.channel_id, what, tuple(sorted(facts.items())), self.message.root_id))

    def _say_correction(self) -> None:
        intent = self.message.intent
        self._say("correction", problem=intent.problem, word=intent.word, suggestion=intent.suggestion)

    def _warn_if_masked(self) -> None:
        if self.message.masked:
            self._say("masked", user=self.message.user_name)


def _decides(intent: Intent) -> Action | None:
    match intent.name:
        case "approve" | "deny" | "revoke":
            return intent.name
        case _:
            return None


def _listed(members: tuple[Member, ...] | list[Member]) -> str:
    """One line a session: its short id, the post that its link leads to, who started it, on what."""
    return "\n".join(f"{streams.short(m.session_id)} {m.start_post} {m.user_name} {m.title}" for m in members)
