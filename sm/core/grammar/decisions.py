"""Lines that decide: `approve`, `deny` and `revoke`, with the names that they are about.

A name is any word that a host's name could be meant by, or that of a known set; whether it can be opened is judged
elsewhere, so it is kept as it was written, without what people, phones and Markdown put around it. With a word that is
none the line is answered, never acted upon.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Final, Literal, get_args

from attrs import frozen

from sm.core.events import Intent
from sm.core.events.chat import Scope
from sm.core.grammar.targets import Known
from sm.core.grammar.words import DASHES, QUOTES, STOPS, UNSEEN, bounded, one_edit

Decision = Literal["approve", "deny", "revoke"]
DECISIONS: Final[tuple[Decision, ...]] = get_args(Decision)

MAX_NAMES: Final = 20
MAX_NAME: Final = 1000  # characters of a name that are kept; the longest that can be opened has 253
MAX_REASON: Final = 200

_MAX_WORDS = 250  # that are looked at: more than 20 names, and more than a reason can have
_SUGGESTED = 250  # characters of names in a line to copy
_SUGGESTED_REASON = 120

_DOTS = ".。．｡"  # what IDNA takes for one
_HOST = re.compile(rf"[^{_DOTS}][{_DOTS}][^{_DOTS}]")
_ADDRESS = re.compile(r"[\[!]?[0-9a-f]*:[0-9a-f]*:[0-9a-f:.%/\]-]*", re.IGNORECASE)
_LINK = re.compile(r"\[([^\[\]()]+)\]\(([^()]+)\)")
_NO_SETS = Known()  # a set has an ordinary word's name: it counts as one where a name must stand
_JOINERS = frozenset({"and", "&", "+"})

_SCOPES: Final[dict[str, Scope]] = {
    **dict.fromkeys(("session", "this session", "the session"), "session"),
    **dict.fromkeys(("1h", "1 h", "hour", "1 hour", "one hour", "an hour"), "hour"),
}
_SCOPE_SAID: Final[dict[Scope, str]] = {"": "", "session": " for this session", "hour": " for 1 hour"}
# Words that can't be a set's name, since they say something else behind `approve`.
RESERVED: Final = _JOINERS | {"for", "only"} | {word for phrase in _SCOPES for word in phrase.split()}
_SCOPE_LENGTH = 4  # words, as in `only for this session`
# What begins a scope that there is not: `until tomorrow`, `24h`, `30 minutes`.
_OTHER_SCOPE = re.compile(r"for|only|until|till|during|forever|always|today|[0-9]{1,4}[a-z]{0,8}")


@frozen
class _Name:
    """A word that is a name, or not: then `name` is empty."""

    written: str
    name: str = ""
    mark: bool = False


def line(intent: Intent, bot: str) -> str:
    """The line that is read as this decision; what waits, where it has no name that could be copied."""
    names: list[str] = []
    size = 0
    for name in intent.names[:MAX_NAMES]:
        size += len(name) + 2
        if size <= _SUGGESTED and name.isprintable() and "`" not in name and _parts(name) == [name]:
            names.append(name)
    if not names:
        return without_names(intent.name, bot)
    between = ", " if intent.name == "deny" else " "
    reason = f" — {bounded(intent.reason, _SUGGESTED_REASON)}" if intent.reason else ""
    return f"@{bot} {intent.name} {between.join(names)}{_SCOPE_SAID[intent.scope]}{reason}"


def without_names(command: str, bot: str) -> str:
    """The line that lists what there is to decide on, or to take back."""
    return f"@{bot} net" if command == "revoke" else f"@{bot} pending"


def has_name(words: Sequence[str], known: Known) -> bool:
    """Whether any of the words is a name."""
    return any(found.name for word in words[:_MAX_WORDS] for found in _read(word, known))


def read(command: Decision, words: Sequence[str], bot: str, known: Known) -> Intent:
    """What the words behind the command ask for, or the correction."""
    if command == "deny":
        return _read_deny(words, bot, known)
    rest, scope, other = _without_scope(words, known) if command == "approve" else (words, "", ())
    found = [each for word in rest[:_MAX_WORDS] for each in _read(word, known)]
    found = [each for at, each in enumerate(found) if not _joins(found, at)]
    names = _once(found)
    if not names or not (found[0].name or has_name(rest, _NO_SETS)):
        return _nothing(command, words, bot, known)
    meant = Intent(command, names=names[:MAX_NAMES], scope=scope)
    if other:
        return _correct(other, meant, bot, problem="scope")
    if more := [each.written for each in found if not each.name]:
        return _correct(more, meant, bot, problem="more_words")
    if marked := [each.written for each in found if each.mark]:
        return _correct(marked[:1], meant, bot, problem="full_stop")
    if len(names) > MAX_NAMES or rest[_MAX_WORDS:]:
        return _correct((), meant, bot, problem="too_many_names")
    return meant


def _read_deny(words: Sequence[str], bot: str, known: Known) -> Intent:
    """The names stand first, with commas or `and` between them, or alone; what follows is the reason."""
    words = re.sub(r" ([,;])", r"\1", " ".join(words[:_MAX_WORDS])).split()
    first = next((at for at, word in enumerate(words) if _leading(word, _NO_SETS if at else known)[0]), None)
    if first is None or (first and _near_set(words[0], known)):
        return _nothing("deny", words, bot, known)
    names, reason = _names_and_reason(words[first:], known)
    meant = Intent("deny", names=_once(names)[:MAX_NAMES], reason=_cleaned(reason))
    if first:
        return _correct(words[:first], meant, bot, problem="more_words")
    if marked := [each.written for each in names if each.mark]:
        return _correct(marked[:1], meant, bot, problem="full_stop")
    if len(_once(names)) > MAX_NAMES:
        return _correct((), meant, bot, problem="too_many_names")
    return meant


def _names_and_reason(words: list[str], known: Known) -> tuple[list[_Name], list[str]]:
    """The names that a `deny` begins with, and the words behind them."""
    read = [_leading(word, known) for word in words]
    if all(
        (found and not behind) or word.lower() in _JOINERS
        for word, (found, behind) in zip(words, read, strict=True)
    ):
        return [each for found, _ in read for each in found], []
    names: list[_Name] = []
    at, goes_on = 0, True
    while goes_on:
        found, behind = read[at]
        names += found
        if behind:
            return names, [behind, *words[at + 1 :]]
        step = _to_next_name(words, at)
        goes_on = 0 < step < len(words) - at and bool(read[at + step][0])
        at += step if goes_on else 1
    return names, words[at:]


def _to_next_name(words: Sequence[str], at: int) -> int:
    """How many words further a list of names would go on; 0 when nothing says that it does."""
    if at + 1 < len(words) and words[at + 1].lower() in _JOINERS:
        return 2
    return 1 if words[at].rstrip(QUOTES + UNSEEN)[-1:] in {",", ";"} else 0


def _leading(word: str, known: Known) -> tuple[list[_Name], str]:
    """The names that a word of a `deny` begins with, and what stands behind them in the same word."""
    head, *behind = re.split("[—–]", word, maxsplit=1)
    found = _read(head.rstrip(":"), known)
    names = list(takewhile(lambda each: each.name, found))
    rest = ", ".join(each.written for each in found[len(names) :])
    return names, " ".join((rest, *behind)).strip()


def _nothing(command: Decision, words: Sequence[str], bot: str, known: Known) -> Intent:
    """The answer to a line in which no word is a name."""
    listed = without_names(command, bot)
    if not "".join(words).strip(QUOTES + STOPS + UNSEEN + DASHES) or not _without_scope(words, known)[0]:
        return Intent("correct", problem="no_name", suggestion=listed)
    if words and (alike := _near_set(words[0], known)):
        return _correct(words[:1], Intent(command, names=(alike,)), bot, problem="set_name")
    return Intent("correct", problem="no_host", word=bounded(" ".join(words[:_MAX_WORDS])), suggestion=listed)


def _near_set(word: str, known: Known) -> str:
    """The set whose name is one edit away from the word, or nothing; words of four letters and more."""
    plain = _unwrapped(word[:MAX_NAME].rstrip(STOPS)).lower()
    return next((name for name in sorted(known.sets) if len(plain) >= 4 and one_edit(plain, name)), "")


def _correct(words: Sequence[str], meant: Intent, bot: str, *, problem: str) -> Intent:
    return Intent(
        "correct", problem=problem, word=bounded(" ".join(words[:_MAX_WORDS])), suggestion=line(meant, bot)
    )


# --- how long ---------------------------------------------------------------------------------------------------------


def _without_scope(words: Sequence[str], known: Known) -> tuple[Sequence[str], Scope, Sequence[str]]:
    """The words before the scope, the scope, and the words of one that there is not."""
    for length in range(min(_SCOPE_LENGTH, len(words)), 0, -1):
        tail = " ".join(words[-length:])[:100].lower().strip(QUOTES + STOPS + UNSEEN)
        plain = re.sub(r"\A(?:only )?(?:for )?", "", tail)
        if scope := _SCOPES.get(plain, ""):
            return words[:-length], scope, ()
    for at, word in enumerate(words[:_MAX_WORDS]):
        is_scope = at and _OTHER_SCOPE.fullmatch(word.lower().strip(QUOTES + STOPS))
        if is_scope and has_name(words[:at], known) and not has_name([word], known):
            other = words[at:]
            likely: Scope = (
                "session" if any("session" in each.lower() for each in other[:_MAX_WORDS]) else "hour"
            )
            return words[:at], likely, other
    return words, "", ()


# --- names ------------------------------------------------------------------------------------------------------------


def _read(word: str, known: Known) -> list[_Name]:
    """The names in one word: several, where commas part them."""
    return [_name(part, known) for part in _parts(word[: MAX_NAMES * MAX_NAME])]


def _parts(word: str) -> list[str]:
    return [plain for part in re.split("[,;，、；]", word) if (plain := _unwrapped(part[:MAX_NAME]))]


def _name(part: str, known: Known) -> _Name:
    bare, before = _unwrapped(part.rstrip("!?:…")), part
    while bare != before:
        bare, before = _unwrapped(bare.rstrip("!?:…")), bare
    by_set = bare.rstrip(".").lower()
    if by_set in known.sets:
        return _Name(part, by_set, mark=part.lower() != by_set)
    if _HOST.search(bare) or "://" in bare or _ADDRESS.fullmatch(part):
        bare = part if _ADDRESS.fullmatch(part) else bare
        return _Name(part, bare, mark=bare != part)
    return _Name(part)


def _unwrapped(word: str) -> str:
    """A word without what stands around it: quotes, brackets, emphasis, a link's address when it says the same."""
    while True:
        plain = word.strip(QUOTES + UNSEEN)
        if link := _LINK.fullmatch(plain):
            label, address = link.groups()
            if re.fullmatch(rf"(?:https?://)?{re.escape(label)}/?", address, re.IGNORECASE) is None:
                return plain
            plain = label
        plain = plain.strip("<>()")
        if len(plain) > 1 and (plain[0] + plain[-1] in {"[]", "**", "__", "~~"}):
            plain = plain[1:-1]
        if plain == word:
            return plain
        word = plain


def _joins(found: Sequence[_Name], at: int) -> bool:
    """Whether it is an `and` between two names."""
    return (
        found[at].written.lower() in _JOINERS
        and all(each.name for each in (*found[at - 1 : at], *found[at + 1 : at + 2]))
        and 0 < at < len(found) - 1
    )


def _once(found: Sequence[_Name]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.name for each in found if each.name))


def _cleaned(words: Sequence[str]) -> str:
    """A reason on one line, bounded, without what parted it from the names."""
    said = " ".join(words[: MAX_REASON + 1])[: 4 * MAX_REASON].lstrip(f"{DASHES}:,; ")
    return bounded(said, MAX_REASON).strip()
