"""The specification in units: each sentence, table row and line of code or chat that says something."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

SPECIFICATION = Path(__file__).with_name("spec.md")

_FENCE = re.compile(r"```\w*")
_ITEM = re.compile(r"(- |\d+\. )")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z*(])")
_DRAWN = re.compile(r"\s*[─│┌┐└┘├┤┬┴▼▲◄►]+\s*")
_OWN_LINE = re.compile(r"[^\w\s*`]")  # a line of prose that begins so is one of a chat: $, @, [, an emoji


def units(text: str) -> list[str]:
    """Every unit in the order of the text; headings, fences and rules of tables are none."""
    return [unit for block in _blocks(text) for unit in block if re.search(r"\w", unit)]


def said(text: str) -> str:
    """The letters and digits of all that is to be covered, to see that no unit is missing and none is invented."""
    lines = [line for line in _outside_headings(text) if not _FENCE.fullmatch(line.strip())]
    return re.sub(r"\W", "", "".join(re.sub(r"^(\d+\. )", "", line) for line in lines))


def _outside_headings(text: str) -> Iterator[str]:
    fenced = False
    for line in text.splitlines():
        fenced ^= _FENCE.fullmatch(line.strip()) is not None
        if fenced or not re.match(r"#+ ", line):
            yield line


def _blocks(text: str) -> Iterator[list[str]]:
    fenced, prose = False, []
    for line in [*text.splitlines(), ""]:
        if _FENCE.fullmatch(line.strip()):
            yield _sentences(prose)
            fenced, prose = not fenced, []
        elif fenced:
            yield _DRAWN.split(line.strip())
        elif line.startswith("|"):
            yield [line.strip()]
        elif not line.strip() or re.match(r"#+ ", line) or _ITEM.match(line) or _OWN_LINE.match(line):
            yield _sentences(prose)
            prose = [_ITEM.sub("", line, count=1)] if line.strip() and not re.match(r"#+ ", line) else []
        else:
            prose.append(line)
    yield _sentences(prose)


def _sentences(lines: list[str]) -> list[str]:
    return [part.strip() for part in _SENTENCE_END.split(" ".join(lines))]
