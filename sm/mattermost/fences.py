"""The fenced code blocks of a Markdown text, found by a CommonMark parser: inside quotes and lists too.

HTML blocks are switched off, as Mattermost shows no HTML.
"""

from __future__ import annotations

import re

from attrs import frozen
from markdown_it import MarkdownIt

_LINE_END = re.compile(r"\r\n?|\n")
_CONTAINER_MARK = re.compile(r"[^\s>]")
_PARSER = MarkdownIt("commonmark").disable("html_block")
_PARSER.core.ruler.enableOnly(["normalize", "block"])


@frozen
class Fence:
    """One block, by offsets into the text: `start` of the opening line, `body` of the line after it.

    `stop` is the end of the last line without its line end, `end` with it. `close_at` is where the closing line
    begins (`end` when there is none).
    """

    start: int
    body: int
    close_at: int
    stop: int
    end: int
    opening: str
    markup: str

    @property
    def closing(self) -> str:
        """A line that closes the block where it stands: its quote marks kept, its list marks as blanks."""
        container = self.opening[: self.opening.index(self.markup)]
        return _CONTAINER_MARK.sub(" ", container) + self.markup

    def holds(self, index: int) -> bool:
        """Whether a cut before this index would go through the block."""
        return self.start < index < self.end

    def moved(self, by: int) -> Fence:
        """The same block in a text that begins elsewhere."""
        return Fence(
            self.start + by,
            self.body + by,
            self.close_at + by,
            self.stop + by,
            self.end + by,
            self.opening,
            self.markup,
        )


def find_fences(text: str) -> list[Fence]:
    """All fenced blocks, in order."""
    if "```" not in text and "~~~" not in text:
        return []
    starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
    starts = [*(s for s in starts if s < len(text)), len(text)]
    fences: list[Fence] = []
    for token in _PARSER.parse(text):
        if token.type != "fence" or token.map is None:
            continue
        first, last = token.map[0], min(token.map[1], len(starts) - 1)
        code_lines = token.content.count("\n") + (not token.content.endswith("\n") and token.content != "")
        closed = last - first - 1 > code_lines
        opening = text[starts[first] : starts[first + 1]].rstrip("\r\n")
        fences.append(
            Fence(
                start=starts[first],
                body=starts[first + 1],
                close_at=starts[last - 1] if closed else starts[last],
                stop=len(text[: starts[last]].rstrip("\r\n")) if closed else starts[last],
                end=starts[last],
                opening=opening,
                markup=token.markup,
            )
        )
    return fences
