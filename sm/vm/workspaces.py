"""What is in a workspace: its branch, what is nowhere else, the change so far.

All of it is read in a container without a network, the workspace mounted read-only, and is the agent's claim: git there reads
a configuration that the agent may have written. The host's git never runs in a workspace.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from sm.core.outcome import Unreachable
from sm.vm import names
from sm.vm.model import Diff, Inspected, VmSettings
from sm.vm.remote import Answer, Run

LOOK_S: Final = 240
LOOK_LIMIT_S: Final = 120
"""How long git may take in the container: a workspace can be made so that it never ends."""
MAX_PATHS: Final = 20
MAX_PATH_CHARS: Final = 300
MAX_DIFF_BYTES: Final = 1024 * 1024
_NUMBERS_BYTES: Final = 200
_NUMBERS: Final = re.compile(
    rb" (\d{1,9}) files? changed(?:, (\d{1,12}) insertions?\(\+\))?(?:, (\d{1,12}) deletions?\(-\))?\n\n?"
)


class Workspaces:
    """Reads workspaces; changes nothing, so it takes no epoch."""

    def __init__(self, run: Run, settings: VmSettings) -> None:
        self._run = run
        self._settings = settings

    async def inspect(self, *, session_id: str, workspace: str, mirror: str) -> Inspected:
        """Look at branch, changes, and commits that are nowhere else. `mirror` is empty for a project's folder.

        Refused codes: not_git (a project may be no repository), workspace_missing, clone_unreadable, too_slow, disk_full,
        image_missing, container_failed.
        """
        answer = await self._run("inspect", self._arguments(session_id, workspace, mirror), LOOK_S)
        parts = _found(answer, "inspect").split(b"\n", 4)
        if len(parts) != 5:
            raise Unreachable("The VM's answer about the workspace is not whole.")
        branch, head, unpushed, count, paths = parts
        return Inspected(
            branch=names.branch(_text(branch).removeprefix("refs/heads/")),
            head=names.commit(_text(head)),
            changed=tuple(_printable(path) for path in paths.split(b"\0")[:-1][:MAX_PATHS]),
            changed_count=_number(count),
            unpushed=_number(unpushed),
        )

    async def diff(self, *, session_id: str, workspace: str, mirror: str, base: str) -> Diff:
        """The change from where HEAD left the branch `base` upstream (or from HEAD) to the working tree, new files included.

        Refused codes: as of `inspect`, and bad_branch.
        """
        arguments = [
            *self._arguments(session_id, workspace, mirror),
            names.branch_name(base) if base else "",
            MAX_DIFF_BYTES + _NUMBERS_BYTES,
        ]
        answer = await self._run("diff", arguments, LOOK_S, answer_bytes=2 * MAX_DIFF_BYTES)
        return read_diff(_found(answer, "diff"))

    def _arguments(self, session_id: str, workspace: str, mirror: str) -> list[str | int]:
        names.session(session_id)
        s = self._settings
        return [
            names.path(s.repos_base),
            s.runtime,
            s.image,
            names.path(workspace),
            names.path(mirror) if mirror else "",
            LOOK_LIMIT_S,
        ]


def read_diff(raw: bytes) -> Diff:
    """What `git diff --shortstat -p` printed, of which the end may be missing. Raises Unreachable for anything else."""
    if not raw:
        return Diff(text="", cut=False, files=0, insertions=0, deletions=0)
    numbers = _NUMBERS.match(raw)
    if numbers is None:
        raise Unreachable("The VM's answer about the change is none of git's.")
    body = raw[numbers.end() :]
    cut = len(raw) >= MAX_DIFF_BYTES + _NUMBERS_BYTES or len(body) > MAX_DIFF_BYTES
    if cut:
        body = body[:MAX_DIFF_BYTES]
        body = body[: body.rfind(b"\n") + 1] or body
    files, insertions, deletions = (int(number or 0) for number in numbers.groups())
    text = body.decode("utf-8", "replace")
    return Diff(text=text, cut=cut, files=files, insertions=insertions, deletions=deletions)


def _found(answer: Answer, what: str) -> bytes:
    try:
        return base64.b64decode(answer.get("found"), validate=True)
    except binascii.Error as error:
        raise Unreachable(f"The VM's answer to {what} is not whole.") from error


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _printable(raw: bytes) -> str:
    """A path for a person's eyes: the agent chose its bytes."""
    text = "".join(char if char.isprintable() else "?" for char in _text(raw))
    return text if len(text) <= MAX_PATH_CHARS else text[: MAX_PATH_CHARS - 1] + "…"


def _number(raw: bytes) -> int:
    text = raw.strip()
    if not (text.isdigit() and len(text) < 15):
        raise Unreachable("The VM's answer about the workspace has no number where one belongs.")
    return int(text)
