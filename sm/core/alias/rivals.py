"""Several decide about one card: where it stands, what each is about, who was first, what the others may hear of it."""

from __future__ import annotations

from collections.abc import Iterable

from sm.core.alias.data import AliasData, Card, Request
from sm.core.events import NetworkDecided

SCOPES = {"approve": "", "set": "", "session": "session", "hour": "hour"}
ON_A_CARD = (*SCOPES, "deny", "retry")
UNDECIDED = ("pending", "failed")


def stands_here(card: Card, channel_id: str, post_id: str, approval_channel: str) -> bool:
    """Whether a button or a reaction stands on the card, or on its copy in what is the approvals' channel now."""
    if channel_id == card.channel_id and post_id == (card.post_id or post_id):
        return True
    is_copy = bool(card.copy_channel) and channel_id == card.copy_channel == approval_channel
    return is_copy and post_id == (card.copy_post or post_id)


def about(data: AliasData, event: NetworkDecided) -> list[Request]:
    """The requests of its card that a decision is about; a set's are those of its domains, if it is what it was."""
    card = data.cards.get(event.card_id)
    requests = data.of_card(event.card_id) if event.action in ON_A_CARD else []
    if card is None or event.action != "set":
        return [request for request in requests if event.request_id in ("", request.request_id)]
    name = event.request_id.removeprefix("set:")
    found = next((one for one in data.policy.sets if one.name == name and one in card.sets), None)
    return [request for request in requests if found is not None and request.domain in found.domains]


def lost_to(data: AliasData, event: NetworkDecided, requests: Iterable[Request]) -> Request | None:
    """Of what a decision came too late for, one that is not as it wanted by this person's own word."""
    return next((one for one in reversed(list(requests)) if not _as_wanted(data, event, one)), None)


def _as_wanted(data: AliasData, event: NetworkDecided, request: Request) -> bool:
    """A double click: the same person chose the same before."""
    if request.user_id != event.user_id:
        return False
    if event.action == "deny":
        return request.state == "denied"
    grant = data.grants.get(request.grant_id)
    same = event.action == "retry" or (grant is not None and grant.scope == SCOPES.get(event.action))
    return request.state in {"applying", "approved"} and same


def told_of(data: AliasData, request: Request, channel_id: str) -> dict[str, str]:
    """What somebody in a channel may hear of a decision: who made it only where its card says so, too."""
    card = data.cards.get(request.card_id)
    places = {request.decided_in, data.policy.approval_channel}
    if card is not None and request.decided_in == card.copy_channel:
        places.add(card.channel_id)
    who = request.user_name if channel_id in places else ""
    return {"domain": request.domain, "state": request.state, "user": who}
