"""Requests passing through their table, and the cards that show them: the ground of the alias's step."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from sm.core import streams
from sm.core.alias.data import AliasData, Card, Grant, Request
from sm.core.commands import CardRow, CardView, Say, SayPrivately, UpdateCard
from sm.core.events import DomainSet, Event, NetworkApproved, NetworkDecided, NetworkDenied, NetworkFailed
from sm.core.step import Folded, Recorded, Step, fire
from sm.core.tables import ALIAS_MACHINE, REQUEST_FINAL, REQUEST_MACHINE


class RequestsStep(Step[AliasData]):
    """Fires requests, and has each card that an event touched show what it is now."""

    machine = ALIAS_MACHINE

    def __init__(self, name: str, data: AliasData, recorded: Recorded) -> None:
        super().__init__(name, data, recorded)
        self._before = data

    def fire(
        self,
        request: Request,
        trigger: str,
        *,
        grant: Grant | None = None,
        decision: NetworkDecided | None = None,
        reason: str = "",
        code: str = "",
    ) -> bool:
        """Fire a row of the table REQUEST; False when the request's state has none."""
        step = RequestStep(self, self.data.requests[request.request_id])
        step.grant, step.decision, step.reason, step.code = grant, decision, reason, code
        moved = fire(REQUEST_MACHINE, step, trigger)
        if moved:
            self.data = self.data.with_request(evolve(step.request, state=step.state))
        return moved

    def folded(self, rules: str, moved: bool) -> Folded:
        """Last of all, cards show what became of their requests, and what nobody will ask about is forgotten."""
        if self.state == "open" and moved:
            for card in list(self.data.cards.values()):
                if self._is_touched(card):
                    self._show(card.card_id)
            if not self._same("requests", "cards", "over"):
                self._forget()
        return super().folded(rules, moved)

    def _same(self, *names: str) -> bool:
        """Whether these parts of the data are the very ones of before: so the price of an event is what it changes."""
        return all(getattr(self._before, name) is getattr(self.data, name) for name in names)

    def _is_touched(self, card: Card) -> bool:
        """Whether the event changed anything that the card could show."""
        before, now = self._before, self.data
        if before.cards.get(card.card_id) is not card:
            return True
        if self._same("requests", "grants", "entries", "policy"):
            return False
        waits = False
        for name in card.requests:
            request = now.requests[name]
            waits = waits or request.state == "pending"
            if before.requests.get(name) is not request:
                return True
            if before.grants.get(request.grant_id) is not now.grants.get(request.grant_id):
                return True
        return waits and not self._same("entries", "policy")

    def _show(self, card_id: str) -> None:
        card = self.data.cards[card_id]
        if card.post_id and (view := self.view(card)) != card.shown:
            card = evolve(card, shown=view)
            self.data = self.data.with_card(card)
            self.issue(UpdateCard(card_id, card.channel_id, card.post_id, view))
        if card.copy_post and (view := self.view(card, copy=True)) != card.copy_shown:
            self.data = self.data.with_card(evolve(card, copy_shown=view))
            self.issue(UpdateCard(card_id, card.copy_channel, card.copy_post, view, copy=True))

    def _forget(self) -> None:
        data = self.data
        over = {*data.over, ""}
        stays = {
            r.request_id
            for r in data.requests.values()
            if r.state not in REQUEST_FINAL or r.session_id not in over or not self._is_seen(r)
        }
        if len(stays) == len(data.requests):
            return
        requests = {name: r for name, r in data.requests.items() if name in stays}
        cards = {name: c for name, c in data.cards.items() if any(r in stays for r in c.requests)}
        left = {request.session_id for request in requests.values()}
        # A card with one request left keeps the others: it goes on showing them.
        kept = {r for c in cards.values() for r in c.requests}
        requests = {name: r for name, r in data.requests.items() if name in stays or name in kept}
        self.data = evolve(
            data, requests=requests, cards=cards, over=tuple(s for s in data.over if s in left)
        )

    def _is_seen(self, request: Request) -> bool:
        """Its card and the copy are in their channels, or will never be."""
        card = self.data.cards.get(request.card_id)
        if card is None or not card.issued:
            return True
        return bool(card.post_id or card.refused) and bool(card.copy_post or not card.copy_channel)

    # --- what a card shows ------------------------------------------------------------------------------------------

    def view(self, card: Card, *, copy: bool = False) -> CardView:
        """A card as it is to be shown. Nothing of another channel is named, but on the copy for the approvals'."""
        requests = self.data.of_card(card.card_id)
        waits = any(request.state == "pending" for request in requests)
        return CardView(
            card_id=card.card_id,
            session_id=card.session_id,
            title=card.title,
            user_name=card.user_name,
            doing=card.doing,
            rows=tuple(self._row(card, request, copy=copy) for request in requests),
            offers=self._offers(card, requests) if waits else (),
            expires_ms=card.expires_ms if waits else 0,
        )

    def _offers(self, card: Card, requests: Iterable[Request]) -> tuple[DomainSet, ...]:
        """What a restart made another is not offered: an old button, still to be seen, must not open the new one."""
        return tuple(one for one in self.data.offers(r.domain for r in requests) if one in card.sets)

    def _row(self, card: Card, request: Request, *, copy: bool) -> CardRow:
        resolved = next((one for one in card.names if one.domain == request.domain), None)
        grant = self.data.grants.get(request.grant_id)
        named = copy or request.decided_in in (card.channel_id, card.copy_channel)
        addresses = resolved.addresses if resolved else ()
        return CardRow(
            request_id=request.request_id,
            domain=request.domain,
            state=request.state,
            reason=request.reason,
            warning=request.warning,
            shown=request.shown,
            status=resolved.status if resolved else "",
            addresses=addresses,
            shares=self._sharing(request.domain, addresses) if request.state == "pending" else (),
            user_name=request.user_name if named else "",
            via=request.via,
            scope=grant.scope if grant else "",
            until_ms=grant.until_ms if grant else 0,
            detail=request.detail,
            reach=request.reach,
        )

    def _sharing(self, domain: str, addresses: Iterable[str]) -> tuple[str, ...]:
        here = set(addresses)
        entries = self.data.entries.values()
        return tuple(sorted(e.domain for e in entries if e.domain != domain and here & set(e.addresses)))

    # --- what is said -----------------------------------------------------------------------------------------------

    def say(self, channel_id: str, message: str, root_id: str = "", **facts: str) -> None:
        """Say something of our own in a channel."""
        self.issue(Say(channel_id, message, tuple(sorted(facts.items())), root_id))

    def say_privately(self, message: str, **facts: str) -> None:
        """Say something to whoever decided, or tried to."""
        said = SayPrivately(self.event.user_id, message, tuple(sorted(facts.items())))
        if said not in self.commands:  # of several names, the same is true at once
            self.issue(said)

    def report(self, message: str, channels: Iterable[str], **facts: str) -> None:
        """Say what an operator should know: in the audit channel, without one where it was decided."""
        audit = self.data.policy.audit_channel
        for channel_id in [audit] if audit else dict.fromkeys(channels):
            self.say(channel_id, message, **facts)


class RequestStep:
    """One request passing through its table, as part of an event of the alias."""

    grant: Grant | None
    decision: NetworkDecided | None
    reason: str  # for the agent and the card, in a person's words or by a rule
    code: str  # for the card

    def __init__(self, alias: RequestsStep, request: Request) -> None:
        self.alias = alias
        self.request = request
        self.state = request.state

    def hold_grant(self) -> None:
        """It waits for what was decided, here or on another card."""
        grant = self.grant
        if grant is not None:
            self.request = evolve(
                self.request,
                grant_id=grant.grant_id,
                user_id=grant.user_id,
                user_name=grant.user_name,
                via=grant.via,
                decided_in=grant.channel_id,
                decided_ms=self.alias.at_ms,
                detail="",
                told=False,
                reach="",
            )

    def try_again(self) -> None:
        """What was decided stands; the firewall is asked once more."""
        self.request = evolve(self.request, detail="")

    def note_denier(self) -> None:
        """Who said no, and why, if they said."""
        decision = self.decision
        if decision is not None:
            self.request = evolve(
                self.request,
                user_id=decision.user_id,
                user_name=decision.user_name,
                via=decision.via,
                decided_in=decision.channel_id,
                decided_ms=self.alias.at_ms,
                detail=self.reason,
            )

    def note_code(self) -> None:
        """Why it is as it is now."""
        self.request = evolve(self.request, detail=self.code)

    def tell_denied(self) -> None:
        """The agent goes on without."""
        request = self.request
        name = request.user_name if self.decision is not None else ""
        self._tell(NetworkDenied(request.request_id, request.domain, name, self.reason))

    def tell_if_untold(self) -> None:
        """It was open for so short a time that the agent has not heard of it."""
        if not self.request.told:
            self.tell_denied()

    def tell_failed(self) -> None:
        """Allowed, but not open: the agent waits, its card says why."""
        request = self.request
        self._tell(
            NetworkFailed(request.request_id, request.domain, request.user_name, self.code, self.reason)
        )

    def tell_approved(self, *, reachable: bool, already: bool = False) -> None:
        """The agent may try again."""
        request = self.request
        self._tell(NetworkApproved(request.request_id, request.domain, request.user_name, already, reachable))

    def _tell(self, event: Event) -> None:
        if self.request.session_id and self.request.session_id not in self.alias.data.over:
            self.alias.notify(streams.session(self.request.session_id), event)


def rule(code: str) -> str:
    """The words of a rule for the agent."""
    return _RULES.get(code, "it cannot be opened")


_RULES = {
    "too_many": "too many open requests; wait for an answer to the others",
    "closed": "approvals are closed until an operator has looked",
    "denied_before": "it was denied in this session; ask only when a person tells you to",
    "expired": "nobody answered in time",
    "not_global": "it leads to an address that is not public",
    "is_peer": "it leads to an address of this system",
}
