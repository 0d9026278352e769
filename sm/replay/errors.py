"""What keeps a journal from being shown or verified."""

from __future__ import annotations


class ReplayError(Exception):
    """The question can't be answered; the text says why, and what to ask instead."""
