"""The repository's stream: who works in its main clone, in which of its worktrees, on which branches?

A project's folder has such a stream of its own, with one place only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from attrs import evolve, field, frozen

from sm.core import streams
from sm.core.events import RepositoryClaimRequested, RepositoryGranted, RepositoryRefused, RepositorySettled
from sm.core.step import Step
from sm.core.tables import REPOSITORY_MACHINE


@frozen
class Place:
    """The main clone or a worktree. `branch`: as far as is known; `asked`: what stood behind the @ when it was made."""

    holder: str = ""
    branch: str = ""
    asked: str = ""
    made: bool = False


@frozen
class RepositoryData:
    """The main clone, and the worktrees by name: they outlive their sessions."""

    main: Place = field(factory=Place)
    worktrees: Mapping[str, Place] = field(factory=dict[str, Place])

    @property
    def held(self) -> list[Place]:
        """Where sessions work now."""
        return [place for place in (self.main, *self.worktrees.values()) if place.holder]

    def on_branch(self, branch: str) -> str:
        """Which session has the branch; a main clone that is still being made may turn out to be on any."""
        for place in self.held:
            if place.branch == branch or (place is self.main and not place.branch):
                return place.holder
        return ""


class RepositoryStep(Step[RepositoryData]):
    """One event of a repository."""

    machine = REPOSITORY_MACHINE

    @property
    def claim(self) -> RepositoryClaimRequested:
        """The event of the rows that answer a claim."""
        return cast("RepositoryClaimRequested", self.event)

    # --- whom a row is for ------------------------------------------------------------------------------------------

    def wants_worktree(self) -> bool:
        """A worktree is asked for by its name."""
        return bool(self.claim.worktree)

    def worktree_is_free(self) -> bool:
        """It is new, or nobody works in it."""
        return not self.data.worktrees.get(self.claim.worktree, Place()).holder

    def branch_is_taken(self) -> bool:
        """The main clone is to be on a branch that another session is on."""
        return bool(self.claim.branch and self.data.on_branch(self.claim.branch))

    def holds_main(self) -> bool:
        """The main clone is this session's."""
        return self.event.session_id == self.data.main.holder

    def holds_worktree(self) -> bool:
        """A worktree is this session's."""
        return self._worktree() is not None

    # --- what is done -----------------------------------------------------------------------------------------------

    def give_main(self) -> None:
        """The main clone is the session's until it is released. It stays on its branch unless another is asked for."""
        branch = self.claim.branch
        held = evolve(self.data.main, holder=self.claim.session_id, branch=branch or self.data.main.branch)
        self.data = evolve(self.data, main=held)
        self._grant(RepositoryGranted(branch=branch, again=held.made))

    def give_worktree(self) -> None:
        """A new one gets the branch that was asked for if nobody has it, otherwise one of its own from it."""
        claim = self.claim
        known = self.data.worktrees.get(claim.worktree)
        if known is not None:
            self._put(claim.worktree, evolve(known, holder=claim.session_id))
            asked = "" if claim.branch in ("", known.asked, known.branch) else claim.branch
            self._grant(RepositoryGranted(branch=asked, again=True))
            return
        taken_by = self.data.on_branch(claim.branch) if claim.branch else ""
        create = f"sm/{claim.worktree}" if taken_by or not claim.branch else ""
        self._put(claim.worktree, Place(claim.session_id, create or claim.branch, claim.branch))
        self._grant(RepositoryGranted(claim.branch, create, taken_by=taken_by))

    def refuse_main(self) -> None:
        """Somebody else has it."""
        self._refuse(self.data.main.holder, "main")

    def refuse_worktree(self) -> None:
        """Somebody else works in it."""
        self._refuse(self.data.worktrees[self.claim.worktree].holder, "worktree")

    def refuse_branch(self) -> None:
        """Somebody else is on the branch."""
        self._refuse(self.data.on_branch(self.claim.branch), "branch")

    def refuse_all(self) -> None:
        """Who has what cannot be told any more."""
        self._refuse("", "main")

    def settle_main(self) -> None:
        """The main clone is made."""
        branch = cast("RepositorySettled", self.event).branch
        self.data = evolve(self.data, main=evolve(self.data.main, branch=branch, made=True))

    def settle_worktree(self) -> None:
        """The worktree is made: it outlives the session."""
        name = cast("str", self._worktree())
        branch = cast("RepositorySettled", self.event).branch
        self._put(name, evolve(self.data.worktrees[name], branch=branch, made=True))

    def take_back_main(self) -> None:
        """Nobody holds it."""
        self.data = evolve(self.data, main=evolve(self.data.main, holder=""))

    def take_back_worktree(self) -> None:
        """It can be taken up again, if it was ever made."""
        name = cast("str", self._worktree())
        place = self.data.worktrees[name]
        if place.made:
            self._put(name, evolve(place, holder=""))
        else:
            rest = {other: kept for other, kept in self.data.worktrees.items() if other != name}
            self.data = evolve(self.data, worktrees=rest)

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _worktree(self) -> str | None:
        mine = self.event.session_id
        return next((name for name, place in self.data.worktrees.items() if place.holder == mine), None)

    def _put(self, name: str, place: Place) -> None:
        self.data = evolve(self.data, worktrees={**self.data.worktrees, name: place})

    def _grant(self, granted: RepositoryGranted) -> None:
        self.notify(streams.session(self.claim.session_id), granted)

    def _refuse(self, holder: str, what: str) -> None:
        what = "project" if streams.kind_of(self.stream) == "project" else what
        self.notify(streams.session(self.claim.session_id), RepositoryRefused(holder, what))
