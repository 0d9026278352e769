"""The mirror, and what is upstream of it: bring it up to date, take a branch out of a workspace, push it.

Here alone the token is used, by git on the host, which works in the bare mirror and never in a workspace. What comes out of a
workspace is a bundle made in a container; its objects are checked before the mirror takes them.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from sm.core.outcome import Unreachable
from sm.vm import names
from sm.vm.model import Candidate, Fetched, VmSettings
from sm.vm.remote import Run

FETCH_S: Final = 1900
TAKE_S: Final = 1900
PUSH_S: Final = 1300
MAX_STAT_CHARS: Final = 3000


class Upstream:
    """Every step holds the mirror's lock and checks the writer's epoch there; each is harmless when run again."""

    def __init__(self, run: Run, settings: VmSettings) -> None:
        self._run = run
        self._settings = settings

    async def fetch(self, *, session_id: str, org: str, repo: str, epoch: int) -> Fetched:
        """Bring the mirror up to date.

        Refused codes: mirror_missing, repository_missing, no_access, network_unreachable, disk_full, git_failed, fenced,
        path_not_writable, bad_name.
        """
        names.session(session_id)
        arguments = [*self._mirror(org, repo), epoch, self._site]
        answer = await self._run("fetch", arguments, FETCH_S)
        return Fetched(answer.number("changed"), answer.get("detail").strip())

    async def candidate(
        self,
        *,
        session_id: str,
        org: str,
        repo: str,
        workspace: str,
        branch: str,
        target: str,
        default_branch: str,
        epoch: int,
    ) -> Candidate:
        """Take `refs/heads/<branch>` of the workspace, whatever its HEAD is, into the mirror; pushes nothing.

        When upstream can't be asked where `target` is, what the mirror knew of it counts.

        Refused codes: nothing_to_push, branch_missing, too_large (over 100 MiB), unrelated_history, push_rejected (upstream's
        branch has commits that this one has not), bundle_unreadable, mirror_missing, workspace_missing, clone_unreadable,
        too_slow, not_git, disk_full, image_missing, container_failed, git_failed, fenced, path_not_writable, bad_branch,
        bad_name.
        """
        s = self._settings
        arguments = [
            *self._mirror(org, repo),
            epoch,
            s.runtime,
            s.image,
            self._site,
            names.session(session_id),
            names.path(workspace),
            names.branch_name(branch),
            names.branch_name(target),
            names.branch_name(default_branch) if default_branch else "",
        ]
        answer = await self._run("candidate", arguments, TAKE_S)
        try:
            stat = base64.b64decode(answer.get("stat"), validate=True).decode("utf-8", "replace")
        except binascii.Error as error:
            raise Unreachable("The VM's answer about the change is not whole.") from error
        commit = names.commit(answer.get("commit"))
        if not commit:
            raise Unreachable("The VM's answer names no commit.")
        return Candidate(
            commit=commit,
            commits=answer.number("commits"),
            stat=stat[:MAX_STAT_CHARS],
            workflows=answer.get("workflows") != "0",
            new_branch=answer.get("new_branch") == "1",
            target=target,
        )

    async def push(
        self, *, session_id: str, org: str, repo: str, commit: str, target: str, epoch: int
    ) -> bool:
        """Push exactly this commit to `refs/heads/<target>`, never by force. True: upstream's branch is there now.

        Raises Unreachable when the connection broke and upstream could not be asked what became of it.

        Refused codes: push_rejected (not a fast-forward), push_declined (a rule of the host), workflow_scope, default_branch,
        no_access, repository_missing, network_unreachable, commit_missing, mirror_missing, git_failed, fenced,
        path_not_writable, bad_branch, bad_commit, bad_name.
        """
        names.session(session_id)
        arguments = [
            *self._mirror(org, repo),
            epoch,
            self._site,
            names.commit_id(commit),
            names.branch_name(target),
        ]
        answer = await self._run("push", arguments, PUSH_S)
        if answer.get("pushed") != "1":
            raise Unreachable("The VM's answer does not say whether the branch was pushed.")
        return True

    @property
    def _site(self) -> str:
        return self._settings.git_base_url.rstrip("/")

    def _mirror(self, org: str, repo: str) -> list[str | int]:
        return [names.path(self._settings.repos_base), names.org(org), names.repo(repo)]
