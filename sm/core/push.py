"""The part of a session's step that pushes its branch: shown to a person first, and never forced.

The branch is the one that the place was on when it was prepared, whatever the agent's HEAD says now. Commits on the
default branch go as `sm/<id8>`, so nobody pushes to it from here.
"""

from __future__ import annotations

from typing import cast

from attrs import evolve

from sm.core import streams
from sm.core.commands import PostPushCard, PreparePush, PushBranch, UpdatePushCard
from sm.core.events import CardPosted, PushDecided, PushPrepared
from sm.core.memory import Push
from sm.core.place import PlaceStep

UNDER_WAY = ("preparing", "asked", "pushing")


class PushStep(PlaceStep):
    """What the rows of a session's table do about pushes."""

    @property
    def push(self) -> Push:
        """The push of the rows whose guard says that there is one."""
        return cast("Push", self.data.push)

    def _is(self, *statuses: str) -> bool:
        return self.data.push is not None and self.data.push.status in statuses

    def push_is_under_way(self) -> bool:
        """One at a time."""
        return self._is(*UNDER_WAY)

    def push_is_preparing(self) -> bool:
        """The mirror was asked for what would be pushed."""
        return self._is("preparing")

    def push_is_asked(self) -> bool:
        """Nobody decided yet, and this is the card."""
        return self._is("asked") and self.event.card_id == self.push.card_id

    def push_goes_out(self) -> bool:
        """Somebody said yes."""
        return self._is("pushing")

    def is_push_card(self) -> bool:
        """The event is about the card of the last push."""
        return self.data.push is not None and self.event.card_id == self.push.card_id

    def decides_to_push(self) -> bool:
        """Yes."""
        return cast("PushDecided", self.event).action == "approve"

    def decides_not_to_push(self) -> bool:
        """No."""
        return cast("PushDecided", self.event).action == "deny"

    def say_push_under_way(self) -> None:
        """Its card says what it waits for."""
        self.say("push_under_way", status=self.push.status)

    def prepare_push(self) -> None:
        """Find out what would be pushed."""
        data = self.data
        if not data.branch:
            self.say("push_refused", code="no_branch", detail="", branch="")
            return
        short = streams.short(data.session_id)
        target = f"sm/{short}" if data.branch == data.default_branch else data.branch
        self.data = evolve(data, push=Push(target))
        self.issue(
            PreparePush(
                session_id=data.session_id,
                org=data.org,
                repo=data.repo,
                workspace=data.path,
                branch=data.branch,
                target=target,
                default_branch=data.default_branch,
            )
        )

    def say_push_refused(self) -> None:
        """Nothing was pushed, and nobody need be asked."""
        event = self.event
        self._put(status="failed")
        self.say("push_refused", code=event.code, detail=event.detail, branch=self.data.branch)

    def ask_to_push(self) -> None:
        """A person sees what goes out before it goes."""
        event, data = cast("PushPrepared", self.event), self.data
        card_id = f"p{self.seq}"
        self._put(status="asked", card_id=card_id, commit=event.commit)
        self.issue(
            PostPushCard(
                card_id=card_id,
                session_id=data.session_id,
                channel_id=data.channel_id,
                root_id=data.root_id,
                repository=data.repository,
                commit=event.commit,
                commits=event.commits,
                target=self.push.target,
                new_branch=event.new_branch,
                stat=event.stat,
                workflows=event.workflows,
            )
        )

    def note_push_card(self) -> None:
        """The card is in the channel; bring it up to date if more happened meanwhile."""
        self._put(post_id=cast("CardPosted", self.event).post_id)
        self._show()

    def forget_push(self) -> None:
        """A card that nobody sees cannot be pressed."""
        if not self.push.post_id and self._is("asked"):
            self._put(status="failed")
            self.say("push_refused", code=self.event.code, detail=self.event.detail, branch=self.data.branch)

    def push_branch(self) -> None:
        """Exactly the commit that the card showed."""
        self._put(status="pushing", user_name=cast("PushDecided", self.event).user_name)
        self._show()
        self.push_again()

    def push_again(self) -> None:
        """Push, or push once more: the same commit."""
        data, push = self.data, self.push
        self.issue(PushBranch(data.session_id, data.org, data.repo, push.commit, push.target))

    def go_on_with_git(self) -> None:
        """The host was allowed: do what waited for it."""
        waited, self.data = self.data.git_waits, evolve(self.data, git_waits="")
        if waited == "push":
            self.push_again()
        elif waited:
            self.fetch_mirror()

    def cancel_push(self) -> None:
        """Nothing goes out."""
        self._put(status="cancelled", user_name=cast("PushDecided", self.event).user_name)
        self._show()

    def wait_to_push(self) -> None:
        """The git host is not allowed: ask for it, the push goes on then."""
        self.say("git_host_needed", host=self.data.git_host, detail=self.event.detail)
        self.ask_git_host("push")

    def note_pushed(self) -> None:
        """Upstream has it."""
        self.data = evolve(self.data, git_tries=0)
        self._put(status="done")
        self._show()

    def note_push_failed(self) -> None:
        """Upstream does not."""
        self._put(status="failed", code=self.event.code, detail=self.event.detail)
        self._show()

    def close_push(self) -> None:
        """A card that asks on behalf of a session that is over asks no more."""
        waits = self.data.git_waits == "push"
        if self._is("asked") or (self._is("pushing") and waits):
            self._put(status="over")
            self._show()

    def _put(self, **changes: str) -> None:
        self.data = evolve(self.data, push=evolve(self.push, **changes))

    def _show(self) -> None:
        data, push = self.data, self.push
        if not push.post_id or push.shown == push.status:
            return
        self._put(shown=push.status)
        compare = f"{data.git_url}/{data.org}/{data.repo}/compare/{data.default_branch}...{push.target}"
        self.issue(
            UpdatePushCard(
                card_id=push.card_id,
                session_id=data.session_id,
                channel_id=data.channel_id,
                post_id=push.post_id,
                repository=data.repository,
                commit=push.commit,
                target=push.target,
                status=push.status,
                user_name=push.user_name,
                code=push.code,
                detail=push.detail,
                compare_url=compare if push.status == "done" else "",
            )
        )
