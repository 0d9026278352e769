"""Places on the VM: main clones, worktrees, project folders.

A place borrows its objects from one bare mirror, which git on the host alone writes; the place itself is made, changed and read
in a container without a network, so what is found there is a claim.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import re
from collections.abc import Callable
from typing import Final

from sm.core.outcome import Refused, Unreachable
from sm.vm import names
from sm.vm.model import Note, Prepared, PrepareSpec, Progress, Project, VmSettings
from sm.vm.remote import Answer, Run, script

__all__ = ["Note", "PrepareSpec", "Prepared", "Progress", "Project", "Repositories"]

PREPARE_S: Final = 2400
BUDGET_S: Final = PREPARE_S - 120
"""What the script on the VM takes at most by itself, so that its own answer comes in time."""
CANCEL_S: Final = 120
PROJECT_S: Final = 120
MAX_DETAIL_CHARS: Final = 900
_PROGRESS: Final = re.compile(r"([A-Z][A-Za-z ]{1,39}) (\d{1,3})")


def _quiet(progress: Progress) -> None:
    del progress


class Repositories:
    """What git does for the places of sessions. Every step that changes the VM takes the writer's epoch."""

    def __init__(self, run: Run, settings: VmSettings) -> None:
        self._run = run
        self._settings = settings
        self._sessions = names.path(settings.sessions)
        self._repos = names.path(settings.repos_base)
        self._worktrees = names.path(settings.worktrees)

    async def prepare(
        self, spec: PrepareSpec, epoch: int, *, progress: Callable[[Progress], None] = _quiet
    ) -> Prepared:
        """Make the mirror and the place that borrows its objects, or find them made.

        Harmless when run again. Of two at once, one fetches; the other waits for it and is told its progress.

        Refused codes: repository_missing, no_access, network_unreachable, disk_full, path_taken (something that we did not
        make), path_owned (another repository's worktree), branch_missing, branch_differs (a worktree taken up again is on
        another), local_changes, unrelated_history, cancelled, too_slow, image_missing, container_failed, clone_unreadable,
        git_failed, path_not_writable, fenced, bad_name, bad_session.
        """
        s = self._settings
        if spec.create and not spec.worktree:
            raise Refused("bad_name", "Only a worktree gets a branch of its own.")
        arguments: list[str | int] = [
            self._repos,
            names.org(spec.org),
            names.repo(spec.repo),
            epoch,
            s.runtime,
            s.image,
            s.git_base_url.rstrip("/"),
            self._worktrees,
            self._folder(spec.session_id),
            names.worktree(spec.worktree) if spec.worktree else "",
            names.asked_branch(spec.branch) if spec.branch else "",
            names.asked_branch(spec.create) if spec.create else "",
            int(spec.update),
            int(spec.fetch),
            BUDGET_S,
            script("place"),
        ]

        def hear(text: str) -> None:
            if (found := _PROGRESS.fullmatch(text)) and int(found[2]) <= 100:
                progress(Progress(found[1], int(found[2])))

        return _prepared(spec, await self._run("prepare", arguments, PREPARE_S, progress=hear))

    async def cancel(self, session_id: str, epoch: int) -> None:
        """End a preparation of this session that is under way, and any that comes later. Harmless when run again.

        That preparation raises Refused("cancelled"). Refused codes of this: fenced, disk_full, path_not_writable, bad_session.
        """
        await self._run("cancel", [self._folder(session_id), epoch, self._settings.runtime], CANCEL_S)

    async def resolve_project(self, session_id: str, path: str) -> Project:
        """Find a project's folder by its real path. It need not be a repository: then branch and commit are empty.

        Refused codes: project_missing, project_not_folder, project_not_writable, project_inside (the folder is one of ours,
        holds one, or is where the VM user's programs look for what to run), bad_path, bad_session.
        """
        names.session(session_id)
        s = self._settings
        arguments = [names.path(path), s.runtime, s.image, self._repos, self._worktrees, self._sessions]
        answer = await self._run("project", arguments, PROJECT_S)
        return Project(
            path=names.path(answer.get("path")),
            branch=names.branch(answer.get("branch")),
            head=names.commit(answer.get("head")),
        )

    def _folder(self, session_id: str) -> str:
        return f"{self._sessions}/{names.session(session_id)}"


def _prepared(spec: PrepareSpec, answer: Answer) -> Prepared:
    repository = f"{spec.org}/{spec.repo}"
    if answer.get("missing"):
        raise _branch_missing(repository, spec.branch, answer.all("known"))
    found = _found(answer)
    branch = names.branch(found.get("branch").removeprefix("refs/heads/"))
    kept = names.branch(answer.get("kept"))
    if found.get("switch"):
        raise _not_switched(spec, branch, found)
    created = answer.get("created") == "1"
    if spec.worktree and not created and spec.branch not in ("", branch, kept):
        on = f"on branch {branch}" if branch else "on no branch"
        raise Refused(
            "branch_differs", f"The worktree {spec.repo}-{spec.worktree} is {on}, not on {spec.branch}."
        )
    default = names.branch(answer.get("default"))
    base = kept if spec.worktree else names.branch(answer.get("base"))
    return Prepared(
        path=answer.get("path"),
        branch=branch,
        head=names.commit(found.get("head")),
        mirror=answer.get("mirror"),
        created=created,
        default_branch=default,
        base=base or default,
        notes=tuple(_notes(answer, found)),
    )


def _found(answer: Answer) -> Answer:
    """What the container said, in lines that begin with `sm`: a claim."""
    try:
        text = base64.b64decode(answer.get("found"), validate=True).decode("utf-8", "replace")
    except binascii.Error as error:
        raise Unreachable("The VM's answer about the place is not whole.") from error
    lines = [line.removeprefix("sm ") for line in text.split("\n") if line.startswith("sm ")]
    rest = [line for line in text.split("\n") if line and not line.startswith("sm ")]
    facts = [(word, value) for word, _, value in (line.partition(" ") for line in lines)]
    return Answer((*facts, *(("said", _printable(line)) for line in rest)))


def _branch_missing(repository: str, branch: str, known: tuple[str, ...]) -> Refused:
    """The nearest names: those that look alike, then those that hold it, then the latest."""
    there = [name for name in known if names.branch(name)]
    near = difflib.get_close_matches(branch, there, n=5, cutoff=0.6)
    near += [name for name in there if branch.lower() in name.lower() or name.lower() in branch.lower()]
    near = list(dict.fromkeys(near or there))[:5]
    say = f" Near: {', '.join(near)}." if near else ""
    return Refused("branch_missing", _bounded(f"There is no branch {branch} in {repository}.{say}"))


def _not_switched(spec: PrepareSpec, branch: str, found: Answer) -> Refused:
    on = f"on {branch}" if branch else "on no branch"
    start = f"The main clone of {spec.org}/{spec.repo} is {on}"
    if found.get("switch") == "unrelated":
        return Refused(
            "unrelated_history",
            f"{start}; its branch {spec.branch} has no commit in common with the one upstream.",
        )
    if found.get("switch") == "changes":
        return Refused("local_changes", _bounded(f"{start} and has {_changes(found)}"))
    return Refused(
        "local_changes", _bounded(f"{start}, and git does not leave it: {' '.join(found.all('said')[-12:])}")
    )


def _changes(found: Answer) -> str:
    listed = found.all("change")[:10]
    text = found.get("changes").strip()
    count = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else len(listed)
    more = f" and {count - len(listed)} more" if count > len(listed) else ""
    plural = "" if count == 1 else "s"
    return f"{count} change{plural}: {', '.join(_printable(line.strip()) for line in listed)}{more}"


def _notes(answer: Answer, found: Answer) -> list[Note]:
    notes: list[Note] = []
    if missed := answer.get("missed"):
        code, _, sentence = missed.partition(" ")
        notes.append(Note("fetch_network" if code == "network_unreachable" else "fetch_failed", sentence))
    update, _, commits = found.get("update").partition(" ")
    old, _, new = commits.partition(" ")
    span = f"{old[:12]}..{new[:12]}" if names.commit(new) and (names.commit(old) or old == "none") else ""
    if update in ("updated", "diverged", "unrelated"):
        notes.append(Note(update, span))
    elif update == "dirty":
        notes.append(Note("dirty", _changes(found)))
    elif update == "stuck":
        notes.append(Note("dirty", " ".join(found.all("said")[-12:])))
    for code, what in (("submodules", ""), ("lfs", "file")):
        if count := answer.get(code):
            paths = [_printable(path) for path in answer.all(f"{code}_path")]
            many = what and f"{count} {what}{'' if count == '1' else 's'}: "
            more = ", …" if count.isdigit() and int(count) > len(paths) else ""
            notes.append(Note(code, f"{many}{', '.join(paths)}{more}"))
    return [Note(note.code, _bounded(note.detail)) for note in notes]


def _printable(text: str) -> str:
    """For a person's eyes: whoever wrote the repository chose it."""
    return "".join(char if char.isprintable() else "?" for char in text[:300])


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_DETAIL_CHARS else text[: MAX_DETAIL_CHARS - 1] + "…"
