"""The alias's codes in words, for an operator."""

from __future__ import annotations

from collections.abc import Sequence

from sm.core import domains, streams
from sm.core.alias import Grant
from sm.replay.times import utc

MAX_NAMED = 6

_ENDS = {
    "revoked": "it was taken back",
    "expired": "its time was over",
    "session_over": "its session was over",
    "taken_out": "somebody took it out of the alias at the firewall",
    "not_global": "it leads to an address that is not public",
    "is_peer": "it leads to an address of this system",
    "rejected": "OPNsense does not take this name",
    "cardless": "Mattermost did not take the card, so nobody could be asked",
}
_FAILURES = {
    "unseen": "saved, but the firewall's table shows no address of it",
    "unresolved": "the name has no address, or the resolver did not answer",
    "alias_missing": "OPNsense has no alias of that name",
    "alias_disabled": "the alias is disabled in OPNsense",
    "alias_wrong_type": "the alias is not of the type Host(s)",
    "unauthorized": "OPNsense does not know our API key",
    "forbidden": "our API user lacks a privilege at OPNsense",
    "rejected": "OPNsense does not accept the name",
    "content_rejected": "OPNsense did not take the alias's content, for another entry or without a reason",
    "certificate": "OPNsense's certificate is not trusted",
    "no_endpoint": "there is no OPNsense at that address",
    "quarantined": "the alias's stream is quarantined",
}
_LOADED = {
    "seen": "the firewall loaded it: its table has the addresses",
    "unseen": "the firewall was told to load it, but its table shows no address of it",
    "unknown": "the firewall was told to load it; its table can't be read, so that is not confirmed",
    "": "it is to be loaded once more",
}
_REACHED = {
    "reachable": "a container reached it",
    "unreachable": "no container could reach it yet",
    "unknown": "whether a container reaches it could not be tried",
}


def ending(code: str, address: str = "") -> str:
    """Why something is not open any more, from its code and perhaps an address behind it."""
    word, _, behind = code.partition(" ")
    named = address or behind
    said = _ENDS.get(word) or (domains.advice(word) if word in domains.CODES else code)
    return f"{said} ({named})" if named and said != code else said


def failure(code: str) -> str:
    """Why what was allowed is not open."""
    return _FAILURES.get(code, code or "for a reason that is not recorded")


def loaded(applied: str) -> str:
    """What the firewall made of an entry."""
    return _LOADED.get(applied, applied)


def reached(state: str) -> str:
    """What trying it found."""
    return _REACHED.get(state, state)


def until(grant: Grant) -> str:
    """How long a grant holds."""
    if grant.until_ms:
        return f"until {utc(grant.until_ms)}"
    return f"while session {streams.short(grant.session_id)} lasts" if grant.session_id else "until revoked"


def who(user_name: str, user_id: str) -> str:
    """A person, by both names: the one can be given to somebody else."""
    return f"@{user_name} ({user_id})" if user_id else f"@{user_name}"


def listed(names: Sequence[str]) -> str:
    """Some of many."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
