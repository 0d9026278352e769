"""What may stand in a path, a label or a container's name on the VM; everything else is refused before it is sent."""

from __future__ import annotations

import re
from typing import Final

from sm.core.domains import refusal
from sm.core.grammar.names import is_branch, is_worktree
from sm.core.outcome import Refused

_SESSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{7,63}")
_ORG: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})")
_REPO: Final = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]{0,99}")
_UUID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{7,63}")
_PATH: Final = re.compile(r"/[^\x00-\x1f\x7f:]{0,1000}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_HOST: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")
_BRANCH: Final = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\]{1,255}")


def session(text: str) -> str:
    """A session's id: letters, digits and dashes, 8 to 64 of them. Raises Refused."""
    return _checked(_SESSION, text, "bad_session", "is no session id")


def container(session_id: str) -> str:
    """The name of the session's container: `claude-` and the id's first eight characters."""
    return f"claude-{session(session_id)[:8]}"


def org(text: str) -> str:
    """An owner's name by GitHub's rule. Raises Refused."""
    return _checked(_ORG, text, "bad_name", "is no name of a GitHub user or organisation")


def repo(text: str) -> str:
    """A repository's name by GitHub's rule. Raises Refused."""
    if text in {".", ".."} or text.lower().endswith(".git"):
        raise Refused("bad_name", f"{text!r} is no name of a GitHub repository.")
    return _checked(_REPO, text, "bad_name", "is no name of a GitHub repository")


def uuid(text: str) -> str:
    """An id of the agent's session or of a message. Raises Refused."""
    return _checked(_UUID, text, "bad_id", "is no id")


def path(text: str) -> str:
    """An absolute path that a container can mount (no colon, no control character). Raises Refused."""
    if ".." in text.split("/"):
        raise Refused("bad_path", f"{text[:200]!r} leads upwards; name the folder itself.")
    checked = _checked(_PATH, text, "bad_path", "is no absolute path without colons")
    return checked.rstrip("/") or "/"


def commit(text: str) -> str:
    """A commit's id as the clone claims it, or nothing when the claim is none."""
    return text if _COMMIT.fullmatch(text) else ""


def branch(text: str) -> str:
    """A branch's name as the clone claims it, or nothing when the claim is none."""
    return text if _BRANCH.fullmatch(text) and text.isprintable() else ""


def branch_name(text: str) -> str:
    """A branch that git is to be given: by git's own rule (git check-ref-format), and no option. Raises Refused."""
    parts = text.split("/")
    if (
        not branch(text)
        or text.startswith("-")
        or text.endswith(".")
        or text == "@"
        or ".." in text
        or "@{" in text
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
    ):
        raise Refused("bad_branch", f"{text[:200]!r} is no name of a branch.")
    return text


def asked_branch(text: str) -> str:
    """A branch that a person asked for, by the chat's own rule (`sm.core.grammar.names`). Raises Refused."""
    if not is_branch(text):
        raise Refused("bad_name", f"{text[:200]!r} is no name of a branch.")
    return text


def worktree(text: str) -> str:
    """A worktree's name: the end of a folder's name, by the chat's own rule. Raises Refused."""
    if not is_worktree(text):
        raise Refused("bad_name", f"{text[:200]!r} is no name of a worktree.")
    return text


def domain(text: str) -> str:
    """A host's name in lower-case A-labels, by the rule of the requests (`sm.core.domains`). Raises Refused."""
    if not _HOST.fullmatch(text) or refusal(text):
        raise Refused("bad_name", f"{text[:200]!r} is no name of a host.")
    return text


def commit_id(text: str) -> str:
    """A commit's whole id. Raises Refused."""
    return _checked(_COMMIT, text, "bad_commit", "is no commit's id")


def _checked(pattern: re.Pattern[str], text: str, code: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise Refused(code, f"{text[:200]!r} {what}.")
    return text
