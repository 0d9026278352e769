"""A long text as several posts: no post over the limit, no code block torn, no character cut.

Where the cut falls, best first: after a blank line, after a line, after a space (each in the second half of what fits,
then anywhere in it), between two characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attrs import frozen

from sm.mattermost.fences import Fence, find_fences
from sm.mattermost.graphemes import is_boundary
from sm.mattermost.models import wellformed

#: Code points in one post: 16384 are refused (Mattermost 5.37, observed; the same on an edit).
POST_LIMIT = 16383

_BLANK_LINE = re.compile(r"(?:\r\n?|\n)(?:[ \t]*(?:\r\n?|\n))+")
_LINE_END = re.compile(r"\r\n?|\n")
_SPACE = re.compile(r"[ \t]+")
_OPENER = re.compile(r"[ \t>*+\-\d.)]*(?:`{3,}|~{3,})")


@frozen
class Piece:
    """One post: `text` is a stretch of the original; `opened` and `closed` are the fence lines put around it."""

    opened: str
    text: str
    closed: str

    @property
    def post(self) -> str:
        """What is posted."""
        return self.opened + self.text + self.closed


def split_message(text: str, limit: int = POST_LIMIT) -> list[str]:
    """The posts for a text, in order; none for a text of whitespace only. `limit` counts code points.

    The law: let `t` be the text with surrogate pairs joined, lone surrogates and NUL replaced by U+FFFD. Each post is
    `opened + s + closed`, and the stretches `s`, in order and joined, are `t`, but for stretches of whitespace
    alone, which no post can hold. `opened` and `closed` are empty except where a code block is longer than a
    post: there the post ends with a line of the block's own fence (on a line of its own), and the next begins with
    the block's opening line, repeated whole with its info string; in between, lines of code are whole unless one alone
    is longer than a post. A block that fits in a post is in one post. A block whose opening and closing lines take
    three quarters of the limit is cut like any text, and so is one so deep in a list that the list's first lines
    are needed to see it.
    """
    if limit < 1:
        raise ValueError("A post must have room for a character.")
    return [piece.post for piece in pieces(wellformed(text), limit) if piece.post.strip()]


def pieces(text: str, limit: int) -> Iterator[Piece]:
    """The cuts of a well-formed text; stretches of whitespace included, so that all of them joined are the text."""
    everywhere = find_fences(text) if len(text) > limit else []
    at, opened = 0, ""
    while at < len(text):
        room = limit - len(opened)
        if len(text) - at <= room:
            yield Piece(opened, text[at:], "")
            return
        end = at + room
        # A post is read by itself: what counts as a block in it is what it shows without the posts before.
        here = find_fences(opened + text[at : _line_end(text, end, limit)])
        seen = [fence.moved(at - len(opened)) for fence in here]
        near = [fence for fence in everywhere if fence.start < end and fence.end > at]
        cut, held = _cut(text, (at, end), seen, near, limit=limit)
        closed = ""
        if held is not None:
            closed = held.closing if text[cut - 1] in "\r\n" else "\n" + held.closing
        yield Piece(opened, text[at:cut], closed)
        opened = held.opening + "\n" if held is not None else ""
        at = cut


def _line_end(text: str, at: int, limit: int) -> int:
    """The end of the line after the one that `at` is in, so that a closing fence is seen whole; bounded."""
    bound = min(len(text), at + limit)
    for _ in range(2):
        match = _LINE_END.search(text, at, bound)
        if match is None:
            return bound
        at = match.end()
    return at


def _cut(
    text: str, span: tuple[int, int], seen: Sequence[Fence], near: Sequence[Fence], *, limit: int
) -> tuple[int, Fence | None]:
    """Where the post that begins at `span[0]` ends, at most at `span[1]`; and the block to close and open again."""
    at, end = span
    fences = [*seen, *near]
    stop = end
    while (held := _holder(fences, stop)) is not None and held.start > at:
        stop = held.start
    if held is None:
        return _break(text, at, stop, fences), None
    if at < held.stop <= end:
        return held.stop, None
    for fence in seen:
        added = len(fence.opening) + len(fence.closing) + 2
        if fence.start <= at and fence.holds(end) and added <= limit * 3 // 4:
            return _break_code(text, max(at, fence.body), end, fence), fence
    return _break(text, at, end, [fence for fence in fences if not fence.holds(end)]), None


def _holder(fences: Sequence[Fence], index: int) -> Fence | None:
    return next((fence for fence in fences if fence.holds(index)), None)


def _break(text: str, at: int, end: int, fences: Sequence[Fence]) -> int:
    """The best place outside the blocks, after `at` and not after `end`."""

    def fits(index: int) -> bool:
        return _holder(fences, index) is None and is_boundary(text, index) and _is_sound(text, index)

    for low in (at + (end - at) // 2, at):
        for pattern in (_BLANK_LINE, _LINE_END, _SPACE):
            ends = [match.end() for match in pattern.finditer(text, low, end)]
            found = next((index for index in reversed(ends) if index > at and fits(index)), None)
            if found is not None:
                return found
    free = (index for index in range(end, at, -1) if fits(index))
    return next(free, None) or _last_boundary(text, at, end)


def _is_sound(text: str, index: int) -> bool:
    """Whether a cut here makes no fence of what was none: at either side of it, within its line."""
    if text[index - 1] in "\r\n":
        return True
    if _OPENER.match(text, index):
        return False
    line_start = max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1
    opener = _OPENER.match(text, line_start, index)
    return opener is None or "`" in text[opener.end() : index]


def _break_code(text: str, first: int, end: int, fence: Fence) -> int:
    """The last place inside a block that leaves room for its closing line; between lines if a line ends there."""
    last = end - len(fence.closing)
    ends = [match.end() for match in _LINE_END.finditer(text, first, last) if match.end() <= last]
    ends = [index for index in ends if is_boundary(text, index)]
    whole = [index for index in ends if index < fence.close_at] or ends
    if whole:
        return whole[-1]
    closes = re.compile(rf"[ \t>]*{re.escape(fence.markup[0])}{{{len(fence.markup)},}}[ \t]*(?:[\r\n]|\Z)")
    last -= 1
    free = (i for i in range(last, first, -1) if is_boundary(text, i) and not closes.match(text, i))
    return next(free, None) or _last_boundary(text, first, last)


def _last_boundary(text: str, at: int, end: int) -> int:
    """Between two characters if one ends there; else (one character longer than a post) just where it is full."""
    return next((index for index in range(end, at, -1) if is_boundary(text, index)), end)
