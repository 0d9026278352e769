"""Requests for domains, decisions, the alias; and what a session hears of them."""

from __future__ import annotations

from sm.core.events.registry import Event, event


@event("network.requested")
class NetworkRequested(Event):
    """A session's agent asks for a domain."""

    request_id: str
    session_id: str
    channel_id: str
    domain: str
    root_id: str = ""


@event("card.posted")
class CardPosted(Event):
    """The card is in the channel, confirmed."""

    card_id: str
    post_id: str
    channel_id: str


@event("card.updated")
class CardUpdated(Event):
    """The card shows this state, confirmed."""

    card_id: str
    status: str


@event("card.failed")
class CardFailed(Event):
    """Mattermost refused the card, or a change of it, for good."""

    card_id: str
    code: str
    detail: str


@event("card.pressed")
class CardPressed(Event):
    """A member of the channel pressed a button whose MAC was ours."""

    card_id: str
    request_id: str
    action: str
    channel_id: str
    post_id: str
    user_id: str
    user_name: str
    via: str = "button"


@event("alias.saved")
class AliasSaved(Event):
    """The alias holds the domain, read back. `table_before`: the firewall's addresses before the write (None: unknown)."""

    request_id: str
    domain: str
    changed: bool
    before: tuple[str, ...]
    after: tuple[str, ...]
    table_before: tuple[str, ...] | None


@event("alias.applied")
class AliasApplied(Event):
    """The firewall was reconfigured; `resolved` says whether its table shows it: seen, unseen or unknown."""

    request_id: str
    domain: str
    resolved: str
    table: tuple[str, ...] | None


@event("alias.failed")
class AliasFailed(Event):
    """OPNsense refused a step (`save` or `apply`)."""

    request_id: str
    domain: str
    step: str
    code: str
    detail: str


@event("network.approved")
class NetworkApproved(Event):
    """The domain is open, confirmed at the firewall."""

    request_id: str
    domain: str
    user_name: str
    already: bool = False


@event("network.denied")
class NetworkDenied(Event):
    """A person said no, or (with `reason`) the rules did."""

    request_id: str
    domain: str
    user_name: str
    reason: str = ""


@event("network.failed")
class NetworkFailed(Event):
    """Allowed by a person, but the firewall does not show it."""

    request_id: str
    domain: str
    user_name: str
    code: str
    detail: str
