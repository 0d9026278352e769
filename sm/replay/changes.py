"""What an event changed of a request, a grant or an entry, in words: two states are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sm.core import domains, streams
from sm.core.alias import Entry, Grant, Request
from sm.core.events import (
    AliasApplied,
    AliasFailed,
    AliasObserved,
    AliasWritten,
    Ask,
    CardFailed,
    CardPosted,
    CardResolved,
    Event,
    NetworkApproved,
    NetworkDecided,
    NetworkDenied,
    NetworkRequested,
    NetworkSessionEnded,
    Resolved,
    TimerFired,
    Verdict,
)
from sm.replay.words import ending, failure, listed, loaded, reached, until, who

# --- asking -------------------------------------------------------------------------------------------------------------


def asked(event: NetworkRequested) -> str:
    """Which session asked, and whose it is."""
    on = f" on {event.title}" if event.title else ""
    return f"session {event.session_id}{on}, started by {who(event.user_name, event.user_id)}, asked"


def wanted(event: NetworkRequested, ask: Ask) -> list[str]:
    """What the agent wanted it for."""
    said: list[str] = []
    if ask.reason:
        said.append(f"reason, in the agent's own words: “{ask.reason}”")
    if event.doing:
        said.append(f"the agent was at: “{event.doing}”")
    if ask.warning:
        said.append(f"warning: {domains.caution(ask.warning)} (written as “{ask.shown}”)")
    return said


def unasked(event: NetworkDecided) -> str:
    """Where a request comes from that no session made."""
    if event.action == "set":
        name = event.request_id.removeprefix("set:")
        return f"came with the set {name}, which {who(event.user_name, event.user_id)} chose on the card"
    sets = f" (sets: {listed(event.sets)})" if event.sets else ""
    return (
        f"no session asked: request and decision are both of {who(event.user_name, event.user_id)}, by {event.via}"
        + sets
    )


def asked_again(last: Request | None) -> str:
    """What a session heard that asked for what it had asked for, or for what was open."""
    state = last.state if last is not None else ""
    known = {
        "pending": "its card was waiting already",
        "applying": "it was allowed, and being opened",
        "failed": "it was allowed, but not open: opening it was tried again",
    }
    return f"asked again, no new card: {known.get(state, 'it was open by a decision of before')}"


def refused_command(event: NetworkDecided, verdict: Verdict) -> str:
    """A person named what can't be opened."""
    advice = domains.advice(verdict.refused, verdict.hint)
    return (
        f"{who(event.user_name, event.user_id)} wrote {event.action}: refused, {verdict.refused} ({advice})"
    )


# --- cards --------------------------------------------------------------------------------------------------------------


def card(event: CardPosted | CardFailed) -> str:
    """What became of a card in its channel."""
    copy = "its copy " if event.copy else ""
    if isinstance(event, CardPosted):
        return f"{copy}posted as {event.post_id} in channel {event.channel_id}"
    return f"{copy}refused by Mattermost: {event.code} ({event.detail})"


def resolved(name: Resolved) -> str:
    """What a name led to when its card was made."""
    if name.refused:
        return f"its name led to {name.address}: {ending(name.refused)}"
    nowhere = {
        "none": "its name had no address",
        "unknown": "what its name led to is unknown, no resolver answered",
    }
    led = listed(name.addresses)
    return f"its name led to {led}" if led else nowhere.get(name.status, name.status)


# --- requests -----------------------------------------------------------------------------------------------------------


def request(old: Request | None, new: Request) -> str:
    """What became of a request; an empty string for what is no news to a reader."""
    if new.told and (old is None or not old.told):
        return reached(new.reach)
    before = old.state if old is not None else ""
    if before == new.state:
        return _same_state(old, new)
    said = _BECAME.get(new.state)
    return said(before, new) if said is not None else ""


def _applying(before: str, new: Request) -> str:
    if before == "failed":
        return "to be opened once more"
    return (
        f"allowed by the decision of before ({new.grant_id})"
        if new.via == "grant"
        else f"allowed ({new.grant_id})"
    )


def _approved(before: str, new: Request) -> str:
    by = f" by the decision of before ({new.grant_id})" if new.via == "grant" and not before else ""
    return f"open{by}" + ("; the firewall's table can't be read, so not confirmed" if new.detail else "")


def _denied(_: str, new: Request) -> str:
    if not new.user_name:
        return f"refused: {ending(new.detail)}"
    reason = f", “{new.detail}”" if new.detail else ""
    return f"denied by {who(new.user_name, new.user_id)}, via {new.via} in channel {new.decided_in}{reason}"


_BECAME: dict[str, Callable[[str, Request], str]] = {
    "applying": _applying,
    "approved": _approved,
    "failed": lambda _, new: f"allowed, but not open: {failure(new.detail)}",
    "denied": _denied,
    "expired": lambda _, __: "expired: nobody answered in time",
    "superseded": lambda _, __: "superseded: the session was over",
    "closed": lambda _, new: f"closed: {ending(new.detail)}",
}
"""What a request became, by its state; from the state before and the request."""


def _same_state(old: Request | None, new: Request) -> str:
    if old is None:
        return ""
    if new.state == "denied" and new.detail != old.detail:
        return f"{_denied('', new)} (the reason came later)"
    if new.grant_id != old.grant_id:
        return f"from here on by {new.grant_id}, which was decided anew"
    return ""


def forgotten(old: Request, event: Event) -> str:
    """What became of a request that the same event ended and made the fold forget."""
    match event:
        case CardResolved():
            name = next((one for one in event.names if one.domain == old.domain), None)
            return f"refused: {ending(name.refused, name.address)}" if name and name.refused else "forgotten"
        case NetworkSessionEnded():
            return "superseded: the session was over"
        case TimerFired():
            return "expired: nobody answered in time"
        case CardFailed():
            return f"refused: {ending('cardless')}"
        case _:
            return f"ended by {event.KIND}"


def heard(session: str, event: NetworkApproved | NetworkDenied) -> str:
    """What the session was told."""
    if isinstance(event, NetworkDenied):
        reason = f": “{event.reason}”" if event.reason else ""
        return f"session {session} was told: denied{reason}"
    return f"session {session} was told: approved{'' if event.reachable else ', not reachable yet'}"


# --- grants -------------------------------------------------------------------------------------------------------------


def granted(grant: Grant) -> str:
    """A grant as it is made: how long it holds, and for whom."""
    held = "; the alias held it already" if grant.state == "held" else ""
    return f"{grant.grant_id} of {grant.domain}, {until(grant)}{held}"


def address(event: Event, domain: str) -> str:
    """The address for which an event has a domain taken out."""
    named = (
        (name.address for name in event.names if name.domain == domain and name.refused)
        if isinstance(event, AliasWritten | AliasObserved)
        else ()
    )
    return next(iter(named), event.address if isinstance(event, AliasApplied) else "")


def grant_gone(grant: Grant, event: Event, now: Iterable[Grant]) -> str:
    """What ended a grant that the fold does not remember any more."""
    match event:
        case NetworkDecided(action="revoke"):
            return f"revoked by {who(event.user_name, event.user_id)}, via {event.via} in channel {event.channel_id}"
        case NetworkDecided(action="deny"):
            return f"taken back by {who(event.user_name, event.user_id)}, who denied it after all, via {event.via}"
        case NetworkDecided():
            new = [other.grant_id for other in now if other.domain == grant.domain]
            return f"replaced by a new decision ({listed(new)})"
        case TimerFired():
            return "expired: its time was over"
        case NetworkSessionEnded():
            return f"ended with session {streams.short(grant.session_id)}"
        case _:
            return f"ended by {event.KIND}"


STANDS = "stands in the alias, not ours: "


# --- the alias ----------------------------------------------------------------------------------------------------------


def entry(old: Entry | None, new: Entry, event: Event) -> list[str]:
    """What became of an entry."""
    said: list[str] = []
    if old is None or (new.confirmed and not old.confirmed):
        said.append(_came(new, event))
    if old is not None and new.applied != old.applied and (new.applied or old.applied):
        said.append(loaded(new.applied))
    if old is not None and new.addresses and set(new.addresses) != set(old.addresses):
        said.append(f"leads to {listed(new.addresses)} now")
    return said


def _came(new: Entry, event: Event) -> str:
    if isinstance(event, AliasFailed) and not new.confirmed:
        return f"in doubt: OPNsense refused ({event.code}), perhaps behind the write"
    leads = f"; it led to {listed(new.addresses)}" if new.addresses else ""
    if not new.ours:
        return f"in the alias as it was read back, not ours: it stood there before{leads}"
    return f"written by us into the alias, and read back{leads}"


def entry_gone(old: Entry, event: Event, *, stays: bool) -> str:
    """Where an entry went."""
    if isinstance(event, AliasWritten) and old.ours:
        return "taken out of the alias by us, and read back without it"
    if stays:
        return "no decision holds it any more; it stays in the alias, for it is not ours"
    if old.confirmed:
        return "missing from the alias when it was read: somebody took it out"
    return "missing from the alias when it was read: the write in doubt never got in"
