"""Raw bytes of `out`, in whatever chunks they come, cut into lines with their offsets."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field

from sm.vm.model import Line


@define
class Splitter:
    """Cuts chunks into lines. `at` is the raw offset at which the line not yet finished begins."""

    at: int
    limit: int
    """The longest line that is taken, in bytes without its newline."""
    _parts: list[bytes] = field(factory=list[bytes], init=False)
    _held: int = field(default=0, init=False)

    @property
    def read_to(self) -> int:
        """The raw offset up to which bytes were fed."""
        return self.at + self._held

    @property
    def overlong(self) -> bool:
        """Whether the line at `at` is over the limit already."""
        return self._held > self.limit

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """Give the lines that end in this chunk. Stops before one over the limit, with `overlong` set."""
        begin = 0
        while (newline := chunk.find(b"\n", begin)) >= 0:
            self._keep(chunk[begin:newline])
            if self.overlong:
                return
            yield self._cut(newline=True)
            begin = newline + 1
        self._keep(chunk[begin:])

    def rest(self) -> Line | None:
        """The last line, which nobody will finish; None when `out` ends with a newline."""
        return self._cut(newline=False) if self._held else None

    def drop(self) -> None:
        """Forget the unfinished line: it is read again from `at`."""
        self._parts, self._held = [], 0

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._parts.append(piece)
            self._held += len(piece)

    def _cut(self, *, newline: bool) -> Line:
        raw = b"".join(self._parts)
        line = Line(self.at, self.at + len(raw) + newline, raw.decode("utf-8", "replace"), newline)
        self.at = line.end
        self.drop()
        return line
