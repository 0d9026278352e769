"""The words of a post: what people and phones put around them, and how alike two of them are."""

from __future__ import annotations

from typing import Final

MAX_WORD: Final = 60  # characters of a wrong word that are repeated
QUOTES: Final = "\"'`´“”„‟‘’‚‛«»‹›"
BRACKETS: Final = "<>()[]*"
UNSEEN: Final = (
    "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"  # of no width; they come along with what is copied
)
STOPS: Final = ".,;:!?…"
DASHES: Final = "-‐‑‒–—―−﹣－"


def unquoted(word: str) -> str:
    """A word without the quotes, brackets, stars and unseen characters around it."""
    return word.strip(QUOTES + BRACKETS + UNSEEN)


def unstopped(word: str) -> str:
    """A word without what ends a sentence, and quotes before that."""
    return word.rstrip(STOPS + QUOTES + BRACKETS + UNSEEN)


def bounded(word: str, limit: int = MAX_WORD) -> str:
    """A word to be repeated to people: short, and nothing in it ends a code span or hides a character."""
    head = word[: limit + 1].replace("`", "'")
    clean = "".join(char if char.isprintable() else "�" for char in head)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def one_edit(a: str, b: str) -> bool:
    """Whether one letter more, less or other, or two swapped, makes one word of the other; also for equal ones."""
    if abs(len(a) - len(b)) > 1:
        return False
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    rest_a, rest_b = a[head:], b[head:]
    swapped = len(rest_a) > 1 and rest_a[:2] == rest_b[:2][::-1] and rest_a[2:] == rest_b[2:]
    return rest_a[1:] == rest_b[1:] or rest_a[1:] == rest_b or rest_a == rest_b[1:] or swapped
