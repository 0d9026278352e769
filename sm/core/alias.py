"""The alias's stream: which domains were asked for, who decided, what the firewall holds by our hand.

A request is (session, domain) with a state of its own; its rows are the table REQUEST. A decision makes a grant:
the wish that the domain be in the alias. The grant is confirmed when the firewall showed it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from attrs import evolve, field, frozen

from sm.core import domains, streams
from sm.core.commands import ApplyAlias, PostCard, SaveAlias, UpdateCard
from sm.core.events import (
    AliasApplied,
    AliasFailed,
    AliasSaved,
    CardFailed,
    CardPosted,
    CardPressed,
    Event,
    NetworkApproved,
    NetworkDenied,
    NetworkFailed,
    NetworkRequested,
)
from sm.core.step import Step, fire
from sm.core.tables import ALIAS_MACHINE, REQUEST_MACHINE

MAX_PENDING = 20  # open requests a session


@frozen
class Request:
    """One session's wish for one domain."""

    request_id: str
    session_id: str
    channel_id: str
    domain: str
    root_id: str = ""
    state: str = "pending"
    card_id: str = ""
    post_id: str = ""  # of the card, once it is confirmed
    user_id: str = ""  # who decided
    user_name: str = ""
    via: str = ""
    shown: str = "pending"  # the state for which the card was last made or updated
    detail: str = ""


@frozen
class Grant:
    """A domain that a person allowed. `confirmed`: the firewall showed it."""

    domain: str
    request_id: str
    user_name: str
    confirmed: bool = False


@frozen
class AliasData:
    """Requests by id, grants by domain; the alias's name."""

    alias: str = ""
    requests: Mapping[str, Request] = field(factory=dict[str, Request])
    grants: Mapping[str, Grant] = field(factory=dict[str, Grant])

    def of_card(self, card_id: str) -> Request | None:
        """The request that a card asks for."""
        return next((request for request in self.requests.values() if request.card_id == card_id), None)


class AliasStep(Step[AliasData]):
    """One event of the alias."""

    machine = ALIAS_MACHINE

    def take_request(self) -> None:
        """Ask a person, unless the answer is known or already asked for."""
        event = cast("NetworkRequested", self.event)
        mine = [r for r in self.data.requests.values() if r.session_id == event.session_id]
        if any(r.domain == event.domain and r.state in {"pending", "applying"} for r in mine):
            return
        request = Request(event.request_id, event.session_id, event.channel_id, event.domain, event.root_id)
        grant = self.data.grants.get(event.domain)
        if grant is not None and grant.confirmed:
            self.put(request)
            self.step(request, "already_granted")
        elif sum(r.state == "pending" for r in mine) >= MAX_PENDING:
            self.refuse_request("too_many")
        else:
            self.put(self.with_card(request))

    def with_card(self, request: Request) -> Request:
        """Post a card that asks for the domain."""
        card_id = f"c{self.seq}"
        self.issue(
            PostCard(
                card_id,
                request.request_id,
                request.channel_id,
                request.session_id,
                request.domain,
                request.root_id,
            )
        )
        return evolve(request, card_id=card_id)

    def refuse_request(self, code: str = "") -> None:
        """No card; the agent hears why."""
        event = cast("NetworkRequested", self.event)
        reason = domains.advice(code) if code else "approvals are closed until an operator has looked"
        denied = NetworkDenied(event.request_id, event.domain, "", reason)
        self.notify(streams.session(event.session_id), denied)

    def note_card(self) -> None:
        """The card is in the channel; bring it up to date if more happened meanwhile."""
        event = cast("CardPosted", self.event)
        request = self.data.of_card(event.card_id)
        if request is not None:
            self.put(evolve(request, post_id=event.post_id))
            self.show(request.request_id)

    def take_card_failed(self) -> None:
        """A card that nobody sees cannot be pressed: the agent goes on without."""
        request = self.data.of_card(cast("CardFailed", self.event).card_id)
        if request is not None and not request.post_id:
            self.step(request, "cardless")

    def take_press(self) -> None:
        """One decision, whatever the number of presses: a pair without a row is ignored."""
        event = cast("CardPressed", self.event)
        request = self.data.requests.get(event.request_id)
        if request is None or request.card_id != event.card_id or request.channel_id != event.channel_id:
            return
        if event.action in {"approve", "deny"}:
            self.step(request, event.action)

    def take_saved(self) -> None:
        """The alias holds the domain; now the firewall must load it, unless it is known to have."""
        event = cast("AliasSaved", self.event)
        request = self.data.requests.get(event.request_id)
        if request is None:
            return
        grant = self.data.grants.get(event.domain)
        if not event.changed and grant is not None and grant.confirmed:
            self.step(request, "confirmed")
        else:
            self.issue(ApplyAlias(self.data.alias, request.request_id, request.domain, event.table_before))

    def take_applied(self) -> None:
        """`unseen` is no approval: OPNsense says ok also when it did nothing."""
        event = cast("AliasApplied", self.event)
        request = self.data.requests.get(event.request_id)
        if request is not None:
            self.put(evolve(request, detail=event.resolved))
            self.step(
                self.data.requests[event.request_id], "refused" if event.resolved == "unseen" else "confirmed"
            )

    def take_failed(self) -> None:
        """OPNsense said no."""
        event = cast("AliasFailed", self.event)
        request = self.data.requests.get(event.request_id)
        if request is not None:
            self.put(evolve(request, detail=event.code))
            self.step(self.data.requests[event.request_id], "refused")

    def step(self, request: Request, trigger: str) -> None:
        """Fire a row of the table REQUEST."""
        RequestStep(self, request).run(trigger)

    def put(self, request: Request) -> None:
        """Remember a request as it is now."""
        self.data = evolve(self.data, requests={**self.data.requests, request.request_id: request})

    def show(self, request_id: str) -> None:
        """Have the card show the request's state, if there is a card and it shows another."""
        request = self.data.requests[request_id]
        if not request.post_id or request.shown == request.state:
            return
        self.put(evolve(request, shown=request.state))
        self.issue(
            UpdateCard(
                card_id=request.card_id,
                request_id=request.request_id,
                channel_id=request.channel_id,
                post_id=request.post_id,
                session_id=request.session_id,
                domain=request.domain,
                status=request.state,
                user_name=request.user_name,
                detail=request.detail,
            )
        )


class RequestStep:
    """One request passing through its table, as part of an event of the alias."""

    def __init__(self, alias: AliasStep, request: Request) -> None:
        self.alias = alias
        self.request = request
        self.state = request.state

    def run(self, trigger: str) -> None:
        """Change the request's state, do what the row says, and have the card show it."""
        fire(REQUEST_MACHINE, self, trigger)

    def decide(self) -> None:
        """Record who decided, and how; an approval is a grant from here on."""
        press = cast("CardPressed", self.alias.event)
        self.request = evolve(
            self.request, user_id=press.user_id, user_name=press.user_name, via=press.via, detail=""
        )
        if press.action == "approve":
            self._put_grant(confirmed=False)

    def take_grant(self) -> None:
        """Somebody decided this domain before."""
        grant = self.alias.data.grants[self.request.domain]
        self.request = evolve(self.request, user_name=grant.user_name, via="grant")

    def save(self) -> None:
        """Have the alias hold the domain."""
        self.alias.issue(SaveAlias(self.alias.data.alias, self.request.request_id, self.request.domain))

    def grant(self) -> None:
        """The firewall showed it."""
        self._put_grant(confirmed=True)

    def _put_grant(self, *, confirmed: bool) -> None:
        request, data = self.request, self.alias.data
        known = data.grants.get(request.domain)
        if known is None:
            grant = Grant(request.domain, request.request_id, request.user_name, confirmed)
        else:
            grant = evolve(known, confirmed=known.confirmed or confirmed)
        self.alias.data = evolve(data, grants={**data.grants, request.domain: grant})

    def tell_approved(self) -> None:
        """The agent may try again."""
        request = self.request
        self._tell(
            NetworkApproved(request.request_id, request.domain, request.user_name, request.via == "grant")
        )

    def tell_denied(self) -> None:
        """The agent goes on without."""
        request = self.request
        self._tell(NetworkDenied(request.request_id, request.domain, request.user_name))

    def tell_cardless(self) -> None:
        """Nobody could be asked."""
        request, event = self.request, cast("CardFailed", self.alias.event)
        reason = f"nobody could be asked, Mattermost refuses the card ({event.code})"
        self._tell(NetworkDenied(request.request_id, request.domain, "", reason))

    def tell_failed(self) -> None:
        """Allowed, but not open. Without a card (an old grant) one is posted, so that a person hears and decides."""
        if not self.request.card_id:
            self.request = self.alias.with_card(self.request)
        request, event = self.request, self.alias.event
        detail = event.detail if isinstance(event, AliasFailed) else ""
        code = event.code if isinstance(event, AliasFailed) else "unseen"
        self._tell(NetworkFailed(request.request_id, request.domain, request.user_name, code, detail))

    def show(self) -> None:
        """Keep the request as it is now, and have its card show it."""
        self.alias.put(evolve(self.request, state=self.state))
        self.alias.show(self.request.request_id)

    def _tell(self, event: Event) -> None:
        self.alias.notify(streams.session(self.request.session_id), event)
