"""Requests for domains, cards, decisions, the alias; and what a session hears of them."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from sm.core.events.chat import Scope
from sm.core.events.registry import Event, event
from sm.core.events.session import Verdict

Action = Literal["approve", "session", "hour", "set", "deny", "retry", "revoke"]
Via = Literal["button", "reaction", "command"]

# --- the settings, as far as decisions depend on them ----------------------------------------------------------------


@frozen
class DomainSet:
    """Domains that belong together, by the operator's word."""

    name: str
    domains: tuple[str, ...]


@frozen
class Policy:
    """Who decides, how, and how long a card waits. Times are milliseconds, 0 is never; channels are ids."""

    approvers: tuple[str, ...] = ()  # user names or ids; none: every member of the channel
    approve_own: bool = True  # whoever started the session may decide, too
    strong: bool = False  # a button only asks for the reaction or command that decides
    remind_ms: int = 3_600_000
    ttl_ms: int = 86_400_000
    max_pending: int = 20  # open cards of a session
    approval_channel: str = ""
    audit_channel: str = ""
    sets: tuple[DomainSet, ...] = ()


@event("alias.configured")
class AliasConfigured(Event):
    """The settings for decisions, as of a start that found others."""

    policy: Policy


# --- requests and cards ----------------------------------------------------------------------------------------------


@frozen
class Ask:
    """A domain of a request. `reason` has the agent's own words; `warning` and `shown` are a verdict's."""

    request_id: str
    domain: str
    reason: str = ""
    warning: str = ""
    shown: str = ""


@event("network.requested")
class NetworkRequested(Event):
    """A session asks for domains: what is asked for together becomes one card.

    `user_id` and `user_name` are who started the session; `doing` is what its agent did last.
    """

    session_id: str
    channel_id: str
    asks: tuple[Ask, ...]
    root_id: str = ""
    title: str = ""
    user_id: str = ""
    user_name: str = ""
    doing: str = ""


@frozen
class Resolved:
    """What our own resolver says of a name.

    `status`: found, none (it has no address), unknown (no answer). `refused` is the code of why an address of it may
    not be opened (`not_global`, `is_peer`), `address` that one.
    """

    domain: str
    status: str
    addresses: tuple[str, ...] = ()
    refused: str = ""
    address: str = ""


@event("card.resolved")
class CardResolved(Event):
    """What the names of a card resolve to, before it is posted."""

    card_id: str
    names: tuple[Resolved, ...]


@event("card.posted")
class CardPosted(Event):
    """The card, or its copy in the approvals' channel, is there, confirmed."""

    card_id: str
    post_id: str
    channel_id: str
    copy: bool = False


@event("card.updated")
class CardUpdated(Event):
    """The card shows the state that it was to show, confirmed."""

    card_id: str
    copy: bool = False


@event("card.failed")
class CardFailed(Event):
    """Mattermost refused the card, or a change of it, for good."""

    card_id: str
    code: str
    detail: str
    copy: bool = False


# --- decisions -------------------------------------------------------------------------------------------------------


@event("network.decided")
class NetworkDecided(Event):
    """A person decided, or tried to. Who it is was looked up at Mattermost; whether they may, the policy says.

    A button names card and request (`set` names the set in `request_id`), a reaction the card alone, a command the
    names (those of sets in `sets`) and the session that it stood beside, where that is clear. `privately`: the answer
    can't go into the callback's any more.
    """

    action: Action
    channel_id: str
    user_id: str
    user_name: str
    via: Via
    card_id: str = ""
    request_id: str = ""
    names: tuple[Verdict, ...] = ()
    sets: tuple[str, ...] = ()
    scope: Scope = ""
    session_id: str = ""
    reason: str = ""
    post_id: str = ""
    root_id: str = ""
    privately: bool = False
    is_member: bool = True  # of the channel


@event("network.list_requested")
class NetworkListRequested(Event):
    """Somebody asked what is open (`net`), or which cards are (`pending`)."""

    what: Literal["net", "pending"]
    channel_id: str
    user_name: str
    root_id: str = ""


@event("network.session_ended")
class NetworkSessionEnded(Event):
    """A session is over: what was open for it alone is not any more."""

    session_id: str


# --- the alias -------------------------------------------------------------------------------------------------------


@event("alias.read")
class AliasRead(Event):
    """What stood in the alias directly before a write of ours."""

    entries: tuple[str, ...]


@event("alias.written")
class AliasWritten(Event):
    """The alias is as it was to be, read back. `names` holds what the names to be added resolved to.

    A name that resolved to what may not be opened, or to nothing, was left out. `table_before`: the firewall's
    addresses before the write (None: unknown).
    """

    add: tuple[str, ...]
    remove: tuple[str, ...]
    names: tuple[Resolved, ...]
    changed: bool
    entries: tuple[str, ...]
    table_before: tuple[str, ...] | None


@event("alias.applied")
class AliasApplied(Event):
    """The firewall was reconfigured; `resolved` says whether its table shows it: seen, unseen or unknown.

    `refused` and `address` say of an address that came into the table and may not be opened.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    resolved: str
    table: tuple[str, ...] | None
    refused: str = ""
    address: str = ""


@event("alias.failed")
class AliasFailed(Event):
    """OPNsense refused a step (`write` or `apply`)."""

    step: str
    code: str
    detail: str


@event("alias.observed")
class AliasObserved(Event):
    """A look at the alias that found something else than is recorded: what it holds, and what names resolve to now.

    `refused` and `address` say of an address in the firewall's table that no name's answer explains.
    """

    entries: tuple[str, ...]
    names: tuple[Resolved, ...]
    table: tuple[str, ...] | None
    refused: str = ""
    address: str = ""


@event("alias.troubled")
class AliasTroubled(Event):
    """A look at the alias found that it can't work: disabled, of another type, gone, or closed to us."""

    code: str
    detail: str


@event("network.tried")
class NetworkTried(Event):
    """A container on the sessions' network tried to reach the domain: reachable, unreachable or unknown."""

    domain: str
    state: str
    detail: str


# --- what a session hears --------------------------------------------------------------------------------------------


@event("network.approved")
class NetworkApproved(Event):
    """The domain is open, confirmed at the firewall; `reachable`: a container reached it."""

    request_id: str
    domain: str
    user_name: str
    already: bool = False
    reachable: bool = True


@event("network.denied")
class NetworkDenied(Event):
    """A person said no, or (without a name) the rules did; `reason` says why."""

    request_id: str
    domain: str
    user_name: str
    reason: str = ""


@event("network.failed")
class NetworkFailed(Event):
    """Allowed by a person, but not open: the card says why, and a person decides again."""

    request_id: str
    domain: str
    user_name: str
    code: str
    detail: str
