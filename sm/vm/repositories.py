"""Places on the VM: main clones, worktrees, project folders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from sm.core.outcome import Refused
from sm.vm import names
from sm.vm.model import Prepared, PrepareSpec, Progress, Project, VmSettings
from sm.vm.remote import Answer

PREPARE_S = 2400


class Repositories:
    """What git does for the places of sessions."""

    def __init__(self, run: Callable[..., Awaitable[Answer]], settings: VmSettings) -> None:
        self._run = run
        self._settings = settings

    async def prepare(
        self, spec: PrepareSpec, epoch: int, *, progress: Callable[[Progress], None]
    ) -> Prepared:
        """Make the mirror and the place that borrows its objects, or find them made."""
        del progress
        s = self._settings
        if spec.worktree or spec.branch:
            raise Refused("not_available", "Worktrees and branches are not available yet.")
        names.session(spec.session_id)
        arguments: Sequence[str | int] = [
            names.path(s.repos_base),
            names.org(spec.org),
            names.repo(spec.repo),
            epoch,
            s.runtime,
            s.image,
            s.git_base_url.rstrip("/"),
        ]
        answer = await self._run("prepare", arguments, PREPARE_S)
        return Prepared(
            path=answer.get("path"),
            branch=names.branch(answer.get("branch")),
            head=names.commit(answer.get("head")),
            mirror=answer.get("mirror"),
            created=answer.get("created") == "1",
        )

    async def cancel(self, session_id: str, epoch: int) -> None:
        """End a preparation under way."""

    async def resolve_project(self, session_id: str, path: str) -> Project:
        """Find a project's folder by its real path."""
        del session_id, path
        raise Refused("not_available", "Projects are not available yet.")
