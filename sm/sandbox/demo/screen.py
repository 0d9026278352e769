"""What the demo prints: who says what, without tearing the line at which a person types."""

from __future__ import annotations

import sys

PROMPT = "> "
_WIDTH = len("@claude:")


class Screen:
    """Standard output, with or without a prompt at its last line."""

    def __init__(self) -> None:
        self._prompting = False

    def line(self, text: str) -> None:
        """Print a line; where a prompt stands, above it."""
        if self._prompting:
            self._write(f"\r\x1b[K{text}\n{PROMPT}")
        else:
            self._write(f"{text}\n")

    def said(self, who: str, text: str) -> None:
        """Print one line of what somebody said."""
        self.line(f"{f'@{who}:':<{_WIDTH}} {text}".rstrip())

    def prompt(self) -> None:
        """Have a prompt at the last line from now on, when that is a terminal."""
        self._prompting = sys.stdout.isatty()
        if self._prompting:
            self._write(PROMPT)

    def answered(self) -> None:
        """A person has typed a line and its answer is printed: the prompt again, once."""
        if self._prompting:
            self._write(f"\r\x1b[K{PROMPT}")

    def close(self) -> None:
        """No prompt any more."""
        if self._prompting:
            self._prompting = False
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
