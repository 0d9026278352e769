"""The repository's stream: is its main clone in use?"""

from __future__ import annotations

from attrs import frozen

from sm.core import streams
from sm.core.events import RepositoryGranted, RepositoryRefused
from sm.core.step import Step
from sm.core.tables import REPOSITORY_MACHINE


@frozen
class RepositoryData:
    """Who holds the main clone; empty when nobody does."""

    holder: str = ""


class RepositoryStep(Step[RepositoryData]):
    """One event of a repository."""

    machine = REPOSITORY_MACHINE

    def is_holder(self) -> bool:
        """Only its holder gives a main clone back."""
        return self.event.session_id == self.data.holder

    def give(self) -> None:
        """The main clone is the session's until it is released."""
        self.data = RepositoryData(self.event.session_id)
        self.notify(streams.session(self.event.session_id), RepositoryGranted())

    def refuse(self) -> None:
        """Somebody else has it."""
        self.notify(streams.session(self.event.session_id), RepositoryRefused(self.data.holder))

    def refuse_all(self) -> None:
        """Whether somebody has it cannot be told any more."""
        self.notify(streams.session(self.event.session_id), RepositoryRefused(""))

    def take_back(self) -> None:
        """Nobody holds it."""
        self.data = RepositoryData()
