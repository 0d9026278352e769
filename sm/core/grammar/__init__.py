"""What a post asks for: the chat's grammar.

A leading mention whose first word is a command, or one edit away from one, is a command or gets the correction;
with any other word the text is for the session, as is every post without a mention.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

from attrs import frozen

from sm.core.events import Intent
from sm.core.grammar import decisions
from sm.core.grammar.names import is_session, repository
from sm.core.grammar.start_line import StartLine
from sm.core.grammar.start_line import line as start_line
from sm.core.grammar.targets import Known
from sm.core.grammar.words import BRACKETS, DASHES, QUOTES, STOPS, bounded, one_edit

__all__ = ["COMMANDS", "Known", "Reading", "mentions", "read", "repository"]

Command = Literal[
    "start", "stop", "status", "help", "diff", "push", "fetch", decisions.Decision, "pending", "net"
]
COMMANDS: tuple[Command, ...] = get_args(Command)
_ALONE = frozenset({"help", "pending", "net"})
# One edit away from a command, and the first word of many a sentence to the agent.
_ORDINARY = frozenset(
    {
        "approved",
        "approver",
        "approves",
        "defy",
        "dens",
        "dent",
        "evoke",
        "revoked",
        "revokes",
        "bending",
        "ending",
    }
    | {
        "fending",
        "lending",
        "mending",
        "penning",
        "rending",
        "sending",
        "spending",
        "tending",
        "vending",
        "wending",
    }
)
NOTHING_KNOWN = Known()
_ENDS = ".,!:;"  # of a sentence that is no question


@frozen
class Reading:
    """A post as read: whether it mentions the bot at its head, where its body begins, what it asks for."""

    mentioned: bool
    body_at: int
    intent: Intent


def read(text: str, bot: str, known: Known = NOTHING_KNOWN) -> Reading:
    """Read a post that may begin with `@bot`."""
    end = _mention(text, bot)
    if not end:
        return Reading(mentions(text, bot), 0, Intent("text"))
    return Reading(True, end, _read_body(text[end:], bot, known))


def mentions(text: str, bot: str) -> bool:
    """Whether the bot is mentioned anywhere, outside of code."""
    without_code = re.sub(r"```.*?(?:```|\Z)|`[^`\n]*`", " ", text, flags=re.DOTALL)
    return re.search(rf"(?<![\w@])@{re.escape(bot)}(?![\w.-]*\w)", without_code, re.IGNORECASE) is not None


def _mention(text: str, bot: str) -> int:
    """Where a leading mention ends; 0 when there is none."""
    head = re.match(rf"\s*@{re.escape(bot)}(?![\w.-]*\w)[,:.]?\s*", text, re.IGNORECASE)
    return head.end() if head else 0


def _read_body(body: str, bot: str, known: Known) -> Intent:
    words = body.split()
    if not words:
        return Intent("help")
    lowered = words[0].lower().rstrip(_ENDS)
    if command := _command(lowered):
        return _read_command(command, words[1:], bot, known)
    if quoted := _read_quoted(body, bot, known):
        return quoted
    nearest = _nearest(lowered)
    if nearest and not _is_sentence(lowered, nearest, words[1:], bot, known):
        meant = _read_command(nearest, words[1:], bot, known)
        return Intent("correct", problem="typo", word=bounded(words[0]), suggestion=_line(meant, bot))
    return Intent("text")


def _read_quoted(body: str, bot: str, known: Known) -> Intent | None:
    """A command that stands in quotes as a whole, on one line; None for any other text."""
    whole = body.strip().rstrip(STOPS)
    if len(whole) < 2 or whole[0] not in QUOTES or whole[-1] not in QUOTES or "\n" in whole:
        return None
    inner = whole.strip(QUOTES + " \t")
    words = inner[_mention(inner, bot) :].split()
    command = _command(words[0].lower().rstrip(_ENDS)) if words else None
    if command is None:
        return None
    meant = _read_command(command, words[1:], bot, known)
    return Intent("correct", problem="quoted", word=bounded(whole), suggestion=_line(meant, bot))


def _read_command(name: Command, rest: Sequence[str], bot: str, known: Known) -> Intent:
    if name == "start":
        return StartLine(known).read(rest, bot)
    if name in decisions.DECISIONS:
        return decisions.read(name, rest, bot, known)
    if name in _ALONE and rest:
        word = bounded(" ".join(rest))
        return Intent("correct", problem="takes_nothing", word=word, suggestion=f"@{bot} {name}")
    if not rest:
        return Intent(name)
    session = re.fullmatch(r"(`?)(?:claude-)?([^`]*)\1", rest[0])
    if len(rest) == 1 and session and is_session(session.group(2)):
        return Intent(name, session=session.group(2))
    meant = Intent(name, session=_session_among(rest))
    word = bounded(" ".join(rest))
    return Intent("correct", problem="takes_session", word=word, suggestion=_line(meant, bot))


def _session_among(words: Sequence[str]) -> str:
    """The first word that is a session's id, however it is written; one with a digit, unlike `feed` and `dead`."""
    for word in words[:50]:
        name = word.strip(BRACKETS + QUOTES + STOPS + DASHES).lower().removeprefix("claude-")
        if is_session(name) and any(char.isdigit() for char in name):
            return name
    return ""


def _line(intent: Intent, bot: str) -> str:
    """The line to write for what was meant."""
    if intent.name == "correct":
        return intent.suggestion
    if intent.name == "start":
        return start_line(intent, bot)
    if intent.names:
        return decisions.line(intent, bot)
    return f"@{bot} {intent.name}" + (f" {intent.session}" if intent.session else "")


def _command(word: str) -> Command | None:
    return next((command for command in COMMANDS if command == word), None)


def _nearest(word: str) -> Command | None:
    """The command that is one edit (one letter more, less, other, or two swapped) away; both of four letters or more."""
    if len(word) < 4 or word[0] in QUOTES + BRACKETS:
        return None
    return next((command for command in COMMANDS if len(command) >= 4 and one_edit(word, command)), None)


def _is_sentence(word: str, nearest: Command, rest: Sequence[str], bot: str, known: Known) -> bool:
    """Whether it is an ordinary word with others behind it, none of which the command would be about."""
    if word not in _ORDINARY or not rest:
        return False
    if nearest not in decisions.DECISIONS:
        return True
    return (
        not decisions.has_name(rest, NOTHING_KNOWN)
        and decisions.read(nearest, rest, bot, known).name == "correct"
    )
