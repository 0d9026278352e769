"""What names in the chat may look like: strict, so that none can be an option, a path or an expression of git's."""

from __future__ import annotations

import re

# GitHub's own rules: an owner is letters, digits and single hyphens; a repository adds dots and underscores.
_ORG = re.compile(r"(?=.{1,39}\Z)[A-Za-z0-9](?:-?[A-Za-z0-9])*")
_REPO = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,99}")
_BRANCH = re.compile(r"[A-Za-z0-9._+#@=][A-Za-z0-9._/+#@=-]{0,199}")
_WORKTREE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SESSION = re.compile(r"[0-9a-f][0-9a-f-]{3,35}")


def is_org(name: str) -> bool:
    """Whether it can be the name of a user or an organisation."""
    return _ORG.fullmatch(name) is not None


def repository(name: str) -> tuple[str, str] | None:
    """`org/repo` split, or None when it is not of that form."""
    org, slash, repo = name.partition("/")
    if not slash or not is_org(org) or not _REPO.fullmatch(repo):
        return None
    if repo.lower().endswith((".", ".git", ".part", ".lock", ".wiki")):
        return None
    return org, repo


def is_branch(name: str) -> bool:
    """Whether git and this service take it for a branch's name: git's rules, and fewer characters."""
    if not _BRANCH.fullmatch(name) or name in {"HEAD", "@"} or ".." in name or "@{" in name:
        return False
    if name.startswith("refs/"):
        return False
    parts = name.split("/")
    return not any(not part or part.startswith(".") or part.endswith((".", ".lock")) for part in parts)


def is_worktree(name: str) -> bool:
    """Whether it can be the name of a worktree: the end of a folder's name, and of a branch's (`sm/<name>`)."""
    return (
        _WORKTREE.fullmatch(name) is not None
        and ".." not in name
        and not name.lower().endswith((".", ".lock", ".part", ".git"))
    )


def is_session(name: str) -> bool:
    """Whether it can be a session's id, or its beginning."""
    return _SESSION.fullmatch(name) is not None
