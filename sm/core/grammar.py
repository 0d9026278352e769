"""What a post asks for: the chat's grammar.

A leading mention whose first word is a command, or one edit away from one, is a command or gets the correction;
with any other word the text is for the session, as is every post without a mention.
"""

from __future__ import annotations

import re

from attrs import frozen

from sm.core.events import Intent

COMMANDS = ("start", "stop", "status", "help")
MAX_WORD = 60  # characters of a wrong word that are repeated

# GitHub's own rules: an owner is letters, digits and single hyphens; a repository adds dots and underscores.
_ORG = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}\Z")
_REPO = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,99}\Z")
_TRAILING = " \t\r\n.,!:;"


@frozen
class Reading:
    """A post as read: whether it mentions the bot at its head, where its body begins, what it asks for."""

    mentioned: bool
    body_at: int
    intent: Intent


def read(text: str, bot: str) -> Reading:
    """Read a post that may begin with `@bot`."""
    head = re.match(rf"\s*@{re.escape(bot)}(?![\w.-]*\w)[,:.]?\s*", text, re.IGNORECASE)
    if head is None:
        return Reading(mentions(text, bot), 0, Intent("text"))
    return Reading(True, head.end(), _read_body(text[head.end() :], bot))


def mentions(text: str, bot: str) -> bool:
    """Whether the bot is mentioned anywhere, outside of code."""
    without_code = re.sub(r"```.*?(?:```|\Z)|`[^`\n]*`", " ", text, flags=re.DOTALL)
    return re.search(rf"(?<![\w@])@{re.escape(bot)}(?![\w.-]*\w)", without_code, re.IGNORECASE) is not None


def _read_body(body: str, bot: str) -> Intent:
    words = body.split()
    if not words:
        return Intent("help")
    word, rest = words[0], words[1:]
    lowered = word.lower().rstrip(_TRAILING)
    if lowered in COMMANDS:
        return _read_command(lowered, rest, bot)
    nearest = _nearest(lowered)
    if nearest:
        suggestion = " ".join([f"@{bot}", nearest, *rest])
        return Intent("correct", problem="typo", word=_bounded(word), suggestion=_bounded(suggestion, 200))
    return Intent("text")


def _read_command(name: str, rest: list[str], bot: str) -> Intent:
    if name == "start":
        return _read_start(rest, bot)
    if rest:
        return Intent(
            "correct", problem="takes_nothing", word=_bounded(" ".join(rest)), suggestion=f"@{bot} {name}"
        )
    if name == "stop":
        return Intent("stop")
    return Intent("status") if name == "status" else Intent("help")


def _read_start(rest: list[str], bot: str) -> Intent:
    example = f"@{bot} start org/repo"
    if not rest:
        return Intent("correct", problem="what_repository", suggestion=example)
    options = [word for word in rest if word.startswith(("-", "—", "–"))]
    names = [_unquoted(word) for word in rest if word not in options]
    if options:
        fixed = f"@{bot} start {_bounded(names[0])}" if names and repository(names[0]) else example
        problem = "no_worktrees_yet" if "worktree" in options[0] else "unknown_option"
        return Intent("correct", problem=problem, word=_bounded(options[0]), suggestion=fixed)
    found = repository(names[0])
    if found is None:
        return _correct_repository(names[0], bot)
    if len(names) > 1:
        line = f"@{bot} start {names[0]}"
        return Intent(
            "correct", problem="one_repository", word=_bounded(" ".join(names[1:])), suggestion=line
        )
    return Intent("start", org=found[0], repo=found[1])


def _correct_repository(name: str, bot: str) -> Intent:
    bare, at, _ = name.partition("@")
    if at and repository(bare):
        return Intent(
            "correct", problem="no_branches_yet", word=_bounded(name), suggestion=f"@{bot} start {bare}"
        )
    address = re.match(r"(?:https?://|git@|ssh://git@)github\.com[/:]([^/]+/[^/]+?)(?:\.git)?/?\Z", name)
    if address and repository(address.group(1)):
        line = f"@{bot} start {address.group(1)}"
        return Intent("correct", problem="not_an_address", word=_bounded(name), suggestion=line)
    return Intent(
        "correct", problem="what_repository", word=_bounded(name), suggestion=f"@{bot} start org/repo"
    )


def repository(name: str) -> tuple[str, str] | None:
    """`org/repo` split, or None when it is not of that form. Nothing that git or a path could take otherwise."""
    org, slash, repo = name.partition("/")
    if not slash or not _ORG.match(org) or not _REPO.match(repo):
        return None
    if repo in {".", ".."} or repo.lower().endswith((".git", ".part", ".lock", ".wiki")):
        return None
    return org, repo


def _unquoted(word: str) -> str:
    return word.strip("\"'`“”‘’<>")


def _bounded(word: str, limit: int = MAX_WORD) -> str:
    clean = word.replace("`", "'")
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _nearest(word: str) -> str:
    """The command that is one edit (one letter more, less, other, or two swapped) away; words of four and more."""
    if len(word) < 4:
        return ""
    return next((command for command in COMMANDS if _one_edit(word, command)), "")


def _one_edit(a: str, b: str) -> bool:
    if abs(len(a) - len(b)) > 1:
        return False
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    rest_a, rest_b = a[head:], b[head:]
    swapped = len(rest_a) > 1 and rest_a[:2] == rest_b[:2][::-1] and rest_a[2:] == rest_b[2:]
    return rest_a[1:] == rest_b[1:] or rest_a[1:] == rest_b or rest_a == rest_b[1:] or swapped
