"""Times and codes in words: when something ends, why it is not open, why it is not open any more."""

from __future__ import annotations

from datetime import UTC, datetime

from sm.engine.wording.phrases import code


def when(time_ms: int) -> str:
    """A time for people; `time_ms` is milliseconds since 1970."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def ending(detail: str) -> str:
    """Why a grant ended, from its code and perhaps an address behind it."""
    word, _, address = detail.partition(" ")
    return _ENDINGS.get(word, code(word)) + behind(address)


def behind(address: str) -> str:
    """The address that a code is about, in brackets; nothing for none."""
    return f" ({code(address)})" if address else ""


_ENDINGS = {
    "revoked": "it was taken back",
    "expired": "its time is over",
    "session_over": "the session is over",
    "taken_out": "somebody took it out at the firewall",
    "not_global": "it leads to an address that is not public",
    "is_peer": "it leads to an address of this system",
    "rejected": "OPNsense does not take this name",
}


def failure(detail: str) -> str:
    """Why what was approved is not open, and what to do."""
    return FAILURES.get(detail, f"{code(detail)}. Press Retry.")


FAILURES = {
    "unseen": "OPNsense saved it, but its table shows no new address. Press Retry in a minute.",
    "unresolved": "the name has no address now, or the resolver does not answer. Press Retry in a minute.",
    "alias_missing": "OPNsense has no alias of that name. Make it, then press Retry.",
    "alias_disabled": "the alias is disabled in OPNsense. Enable it, then press Retry.",
    "alias_wrong_type": "the alias is not of the type Host(s). Mend it, then press Retry.",
    "unauthorized": "OPNsense does not know our API key. Mend SM_OPNSENSE_KEY, then press Retry.",
    "forbidden": "our API user lacks the privilege Firewall: Alias: Edit. Grant it, then press Retry.",
    "rejected": "OPNsense does not accept the name.",
    "content_rejected": "OPNsense does not take the alias's content, for an entry that is not ours or without saying why. "
    "Mend the alias, then press Retry.",
    "certificate": "its certificate is not trusted. Mend SM_OPNSENSE_FINGERPRINT or SM_CA_FILE, then press Retry.",
    "no_endpoint": "there is no OPNsense at SM_OPNSENSE_URL. Mend it, then press Retry.",
    "quarantined": "the firewall is not changed until an operator has looked at the journal.",
}


def tried(word: str) -> str:
    """What is wrong, without what to do about it."""
    return failure(word).split(". ")[0].rstrip(".")
