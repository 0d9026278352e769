"""Where one character ends and the next begins, as a reader counts them.

The rules of UAX #29 that matter when a text is cut (GB3 to GB13), from the properties that Python's own Unicode
tables hold. They lean to the careful side: now and then two clusters are kept together that could be parted.
"""

from __future__ import annotations

import unicodedata

ZWJ = "\u200d"
_EXTENDING = {"Mn", "Me", "Mc"}
_EXTRA_EXTENDING = {ZWJ, "\u200c", "\u0e33", "\u0eb3", "\uff9e", "\uff9f"}


def is_boundary(text: str, index: int) -> bool:
    """Whether the text may be cut before this index without cutting a character."""
    if index <= 0 or index >= len(text):
        return True
    before, after = text[index - 1], text[index]
    if before == "\r" and after == "\n":
        return False
    if before in "\r\n" or after in "\r\n":
        return True
    return not (
        _extends(after)
        or before == ZWJ
        or _prepends(before)
        or _hangul_joins(before, after)
        or (_is_linker(before) and unicodedata.category(after) == "Lo")
        or (_is_flag_half(before) and _is_flag_half(after) and _flag_halves_before(text, index) % 2 == 1)
    )


def _extends(char: str) -> bool:
    """Marks, joiners, skin tones and the tags of subdivision flags."""
    if char < "\u0300":
        return False
    return (
        unicodedata.category(char) in _EXTENDING
        or char in _EXTRA_EXTENDING
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or "\U000e0020" <= char <= "\U000e007f"
    )


def _prepends(char: str) -> bool:
    """Signs that belong to what follows: the Arabic number signs and their like."""
    return (
        char in "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd"
    )


def _is_linker(char: str) -> bool:
    """A virama, which joins the consonants around it into one cluster."""
    return unicodedata.combining(char) == 9


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _flag_halves_before(text: str, index: int) -> int:
    start = index
    while start > 0 and _is_flag_half(text[start - 1]):
        start -= 1
    return index - start


def _hangul_joins(before: str, after: str) -> bool:
    """Jamo that make one syllable: L with L, V or a syllable; V with V or T; T with T."""
    first, second = _hangul_kind(before), _hangul_kind(after)
    return (first, second) in {
        *(("L", kind) for kind in ("L", "V", "LV", "LVT")),
        *((kind, "V") for kind in ("LV", "V")),
        *((kind, "T") for kind in ("LV", "V", "LVT", "T")),
    }


def _hangul_kind(char: str) -> str:
    if "\uac00" <= char <= "\ud7a3":
        return "LVT" if (ord(char) - 0xAC00) % 28 else "LV"
    for kind, ranges in _JAMO.items():
        if any(low <= char <= high for low, high in ranges):
            return kind
    return ""


_JAMO = {
    "L": (("\u1100", "\u115f"), ("\ua960", "\ua97c")),
    "V": (("\u1160", "\u11a7"), ("\ud7b0", "\ud7c6")),
    "T": (("\u11a8", "\u11ff"), ("\ud7cb", "\ud7fb")),
}
