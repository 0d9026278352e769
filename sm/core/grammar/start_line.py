"""A `start` line: a repository or a project, a branch, a worktree.

It is read leniently, and each thing that is not written as it must be is noted as a problem. Without a problem the
line is what it says; with one the answer is the first of them and the line as it must be written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

from attrs import frozen

from sm.core.events import Intent
from sm.core.grammar.names import is_worktree
from sm.core.grammar.targets import Known, Target, Targets, mended_branch
from sm.core.grammar.words import DASHES, bounded, one_edit, unquoted, unstopped

# Not options of ours; what they ask for is written in another way.
_BRANCH_OPTIONS = frozenset({"b", "branch", "ref", "checkout"})
_MAX_WORDS = 50  # that are looked at
_JOINED_WORDS = 6  # at most, of a repository that was written with spaces in it
_EXAMPLE = Target("org", "repo")

_Option = Literal["", "worktree", "branch"]


@frozen
class _Word:
    """A word that is no option. `behind` is the option without a value that it follows directly, if any."""

    at: int
    written: str
    bare: str
    behind: _Option


def line(intent: Intent, bot: str) -> str:
    """The line that is read as this `start`."""
    target = intent.project or f"{intent.org}/{intent.repo}"
    branch = f"@{intent.branch}" if intent.branch else ""
    name = f"={intent.worktree_name}" if intent.worktree_name else ""
    return f"@{bot} start {target}{branch}" + (f" --worktree{name}" if intent.worktree else "")


class StartLine:
    """One line while it is read."""

    def __init__(self, known: Known) -> None:
        self._targets = Targets(known)
        self._problems: list[tuple[str, str]] = []
        self._words: list[_Word] = []
        self._awaits: _Option = ""
        self._worktree = False
        self._name = ""
        self._name_missing = False
        self._branch = ""

    def read(self, words: Sequence[str], bot: str) -> Intent:
        """What the words behind `start` ask for, or the correction."""
        apart = self._without_glued_options(words[:_MAX_WORDS])
        for word in self._without_parted_options(apart):
            self._take(word)
        target = self._target()
        if words[_MAX_WORDS:]:
            self._note(problem="extra_words", word=words[_MAX_WORDS])
        intent = self._intent(target)
        if not self._problems:
            return intent
        problem, word = self._problems[0]
        return Intent("correct", problem=problem, word=bounded(word), suggestion=line(intent, bot))

    def _note(self, *, problem: str, word: str = "", first: bool = False) -> None:
        self._problems.insert(0 if first else len(self._problems), (problem, word))

    # --- words and options ------------------------------------------------------------------------------------------

    def _without_glued_options(self, words: Iterable[str]) -> Iterator[str]:
        """The words, with `org/repo--worktree` as the two that it must be."""
        for word in words:
            if glued := re.fullmatch(r"([^-—–].*?)(?:--|[—–])(worktree(?:=.*)?)", word, re.DOTALL):
                self._note(problem="glued", word=word)
                yield glued.group(1)
                yield f"--{glued.group(2)}"
            else:
                yield word

    def _without_parted_options(self, words: Iterable[str]) -> Iterator[str]:
        """The words, with `-- worktree` as the one that it must be."""
        dashes = ""
        for word in words:
            if dashes and _is_like_worktree(re.split("[=:]", word, maxsplit=1)[0].lower()):
                self._note(problem="spaces", word=f"{dashes} {word}")
                yield f"--{word}"
                dashes = ""
                continue
            if dashes:
                yield dashes
            dashes = "" if word.strip(DASHES) else word
            if not dashes:
                yield word
        if dashes:
            yield dashes

    def _take(self, word: str) -> None:
        plain = unquoted(word)
        if plain != word:
            self._note(problem="quoted", word=word)
        ended = unstopped(plain)
        if ended and ended != plain:
            self._note(problem="full_stop", word=word)
            plain = ended
        if plain[:1] and plain[0] in DASHES:
            self._take_option(word, plain)
        elif plain[:1] == "=" and self._awaits == "worktree":
            if value := unquoted(plain[1:]):
                self._take_word(word, value)
        elif plain:
            self._take_word(word, plain)

    def _take_word(self, word: str, plain: str) -> None:
        self._words.append(_Word(len(self._words), word, plain, self._awaits))
        self._awaits = ""

    def _take_option(self, word: str, plain: str) -> None:
        rest = plain.lstrip(DASHES)
        dashes = plain[: len(plain) - len(rest)]
        name = re.split("[=:]", rest, maxsplit=1)[0]
        sign, quoted = rest[len(name) : len(name) + 1], rest[len(name) + 1 :]
        value, self._awaits = unquoted(quoted), ""
        if value != quoted:
            self._note(problem="quoted", word=word)
        if _is_like_worktree(name.lower()):
            if dashes != "--":
                self._note(problem="dashes", word=word)
            elif name != "worktree":
                self._note(problem="option_typo", word=word)
            elif sign == ":":
                self._note(problem="worktree_form", word=word)
            self._take_worktree(word, value, named=bool(sign))
        elif name.lower() in _BRANCH_OPTIONS:
            self._note(problem="branch_option", word=word)
            self._branch = mended_branch(value)
            self._awaits = "" if value else "branch"
        else:
            self._note(problem="unknown_option", word=word)

    def _take_worktree(self, word: str, value: str, *, named: bool) -> None:
        if self._worktree:
            self._note(problem="repeated_option", word=word)
        self._worktree = True
        if value and not is_worktree(value):
            self._note(problem="bad_worktree", word=value)
            value = _mended_worktree(value)
        elif not value:
            self._awaits = "worktree"
            self._name_missing = self._name_missing or named
        self._name = self._name or value

    # --- what is started --------------------------------------------------------------------------------------------

    def _target(self) -> Target:
        """What is to be started. The most certain reading of any word comes first; the other words are too many."""
        found = self._joined() or self._single()
        if found is None:
            if self._words:
                self._note_unreadable()
            elif not self._problems:
                self._note(problem="no_repository")
            return _EXAMPLE
        target, used = found
        if target.problem:
            self._note(problem=target.problem, word=target.shown or used[0].written)
        self._leave_over([word for word in self._words if word not in used])
        return target

    def _joined(self) -> tuple[Target, list[_Word]] | None:
        """`org / repo @ branch`: several words that are one repository, and were parted at a `/` or an `@`."""
        for length in range(min(len(self._words), _JOINED_WORDS), 1, -1):
            words = self._words[:length]
            parted = all(
                before.bare[-1] in "/@" or after.bare[0] in "/@" for before, after in pairwise(words)
            )
            target = self._targets.plain("".join(word.bare for word in words)) if parted else None
            if target:
                self._note(problem="spaces", word=" ".join(word.written for word in words))
                return target, words
        return None

    def _single(self) -> tuple[Target, list[_Word]] | None:
        own = sorted(self._words, key=lambda word: bool(word.behind))
        readings: tuple[Callable[[str], Target | None], ...] = (
            self._targets.full,
            self._targets.project,
            self._targets.mended,
            self._targets.bare,
        )
        for read in readings:
            for word in own:
                if target := read(word.bare):
                    return target, [word]
        return None

    def _note_unreadable(self) -> None:
        elsewhere = [word for word in self._words if self._targets.is_elsewhere(word.bare)]
        if elsewhere:
            self._note(problem="other_server", word=elsewhere[0].written, first=True)
        else:
            self._note(problem="what_repository", word=self._words[0].written, first=True)

    def _leave_over(self, words: list[_Word]) -> None:
        extra: list[str] = []
        for word in words:
            if word.behind == "worktree" and not self._name and is_worktree(word.bare):
                self._name = word.bare
                self._note(problem="worktree_form", word=f"--worktree {word.bare}")
            elif word.behind == "branch" and not self._branch:
                self._branch = mended_branch(word.bare)
            else:
                extra.append(word.written)
        if extra:
            self._note(problem="extra_words", word=" ".join(extra))

    def _intent(self, target: Target) -> Intent:
        """The line as it must be written, as an intent; notes the last problems."""
        branch = target.branch or self._branch
        if self._name_missing and not self._name:
            self._note(problem="empty_name")
        if not target.project:
            return Intent(
                "start",
                org=target.org,
                repo=target.repo,
                branch=branch,
                worktree=self._worktree,
                worktree_name=self._name,
            )
        if branch:
            self._note(problem="project_branch", word=target.project)
        if self._worktree:
            self._note(problem="project_worktree", word=target.project)
        return Intent("start", project=target.project)


def _is_like_worktree(name: str) -> bool:
    letters = re.sub("[-_]", "", name)
    return letters.startswith("workt") or one_edit(letters, "worktree")


def _mended_worktree(name: str) -> str:
    """A name made of one that can't be a worktree's, or nothing."""
    mended = re.sub(r"[^A-Za-z0-9._-]+", "-", name[:200])
    mended = re.sub(r"\.{2,}", ".", mended).lstrip("._-")[:64].rstrip("._-")
    return mended if is_worktree(mended) else ""
