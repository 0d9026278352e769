"""Whether a name may be asked for, by the tables of the installed packages: UTS 46, IDNA, the public suffix list.

They change over the years, so a name is judged before the append and the verdict lies in the event. Whatever a name
comes from asks here: the agent's markers, a person's commands, the settings, `sm domains check`.
"""

from __future__ import annotations

import re
import unicodedata

import idna
import tldextract
from attrs import evolve

from sm.core import domains, markers
from sm.core.events import Verdict

# The list that ships with the package: never fetched, private registries (github.io) included.
_SUFFIXES = tldextract.TLDExtract(suffix_list_urls=(), include_psl_private_domains=True, cache_dir=None)
_DOCUMENTATION = "example"  # on no list, and to be treated like any other name (RFC 6761 6.5)

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
# Scripts that are written together in one word (UTS 39, "highly restrictive", here without Latin).
_TOGETHER = (
    frozenset({"CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA"}),
    frozenset({"CJK", "IDEOGRAPHIC", "BOPOMOFO"}),
    frozenset({"CJK", "IDEOGRAPHIC", "HANGUL"}),
)


def judge(name: str) -> Verdict:
    """What becomes of a name as somebody wrote it: a host in A-labels, or a refusal and what was perhaps meant."""
    verdict = _judge(name)
    if not verdict.refused:
        return verdict
    other = domains.meant(_mapped(verdict.domain) or verdict.domain.lower())
    meant = _judge(other) if other else verdict
    return verdict if meant.refused else evolve(verdict, hint=meant.domain)


def is_public_suffix(name: str) -> bool:
    """Whether everybody may register names below this one (`co.uk`, `github.io`)."""
    parts = _SUFFIXES(name)
    return not parts.domain


def _judge(written: str) -> Verdict:
    kept = written[: domains.MAX_WRITTEN]
    if kept != written:
        return Verdict(kept, "too_long")
    mapped = _mapped(written)
    if mapped is None:
        return Verdict(kept, "not_idna")
    name = mapped.removesuffix(".")
    # First by its ASCII alone: what looks like an address or a URL is called one, whatever else is in it.
    code = domains.refusal(_BEYOND_ASCII.sub("q", name))
    if code:
        return Verdict(kept, code)
    try:
        labels = [_a_label(label) for label in name.split(".")]
    except idna.IDNAError:
        return Verdict(kept, "not_idna")
    host = ".".join(labels)
    code = domains.refusal(host) or _suffix_refusal(host)
    return Verdict(kept, code) if code else _with_warning(written, host, labels)


def _mapped(written: str) -> str | None:
    """In lower case, each character that is another's form replaced (UTS 46); None when one has no place in a name."""
    if written.isascii():
        return written.lower()
    try:
        return idna.uts46_remap(written, std3_rules=False)
    except idna.IDNAError:
        return None


def _a_label(label: str) -> str:
    """Raises `idna.IDNAError`. Plain ASCII stays: IDNA would refuse hosts that exist, such as `r3---sn.…`."""
    if label.isascii() and not label.startswith("xn--"):
        return label
    if not label.isascii():
        encoded = f"xn--{label.encode('punycode').decode('ascii')}"
        if len(encoded) > domains.MAX_LABEL:
            return encoded  # refused for its length; the library has no code of its own for that
    return idna.alabel(label).decode("ascii")


def _suffix_refusal(host: str) -> str:
    if is_public_suffix(host):
        return "public_suffix"
    is_known = bool(_SUFFIXES(host).suffix) or host.rpartition(".")[2] == _DOCUMENTATION
    return "" if is_known else "unknown_suffix"


def _with_warning(written: str, host: str, labels: list[str]) -> Verdict:
    """The host with its Unicode form, or with what was written when only that has characters outside of ASCII."""
    readable = [idna.ulabel(label) if label.startswith("xn--") else label for label in labels]
    shown = ".".join(readable)
    if any(map(_is_mixed, readable)):
        return Verdict(host, warning="mixed_script", shown=markers.shown(shown))
    if not shown.isascii():
        return Verdict(host, warning="unicode", shown=markers.shown(shown))
    return (
        Verdict(host) if written.isascii() else Verdict(host, warning="unicode", shown=markers.shown(written))
    )


def _is_mixed(label: str) -> bool:
    """Letters of scripts that are not written together: the standard library has them as the first word of the name."""
    letters = (unicodedata.name(letter, "") for letter in label if letter.isalpha())
    scripts = {match.group() for letter in letters if (match := re.match(r"[A-Z]+", letter))} - {"MODIFIER"}
    return len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER)
