"""Asking: from what an agent asks for to a card in the channel, and what becomes of a card that nobody answers."""

from __future__ import annotations

from typing import cast

from attrs import evolve

from sm.core import streams
from sm.core.alias.data import Card, Grant, Request
from sm.core.alias.ledger import LedgerStep
from sm.core.alias.requests import rule
from sm.core.commands import PostCard, ResolveCard, SetTimer
from sm.core.events import (
    AliasConfigured,
    Ask,
    CardFailed,
    CardPosted,
    CardResolved,
    NetworkDenied,
    NetworkRequested,
    NetworkSessionEnded,
)
from sm.core.tables import REQUEST_FINAL


class CardStep(LedgerStep):
    """Cards, from the request to their end."""

    def configure(self) -> None:
        """The settings for decisions are others now."""
        self.data = evolve(self.data, policy=cast("AliasConfigured", self.event).policy)

    # --- asked ------------------------------------------------------------------------------------------------------

    def take_request(self) -> None:
        """One card for what a person has to decide; the rest is answered from what is known."""
        event = cast("NetworkRequested", self.event)
        new = [ask for ask in event.asks if not self._is_answered(ask)]
        if not new:
            return
        if self._open_cards(event.session_id) >= self.data.policy.max_pending:
            for ask in new:
                self._answer(ask, rule("too_many"))
            names = {"domain": new[0].domain, "code": "too_many", "hint": ""}
            self.say(event.channel_id, "domain_refused", event.root_id, **names)
            return
        card = Card(
            card_id=f"c{self.seq}",
            session_id=event.session_id,
            channel_id=event.channel_id,
            root_id=event.root_id,
            title=event.title,
            user_id=event.user_id,
            user_name=event.user_name,
            doing=event.doing,
            requests=tuple(ask.request_id for ask in new),
        )
        for ask in new:
            request = Request(
                ask.request_id,
                card.card_id,
                event.session_id,
                event.channel_id,
                ask.domain,
                ask.reason,
                ask.warning,
                ask.shown,
            )
            self.data = self.data.with_request(request)
        self.add_card(card)
        for request in self.data.of_card(card.card_id):
            if self._grants(request.domain):  # decided, and not open yet: this card shows what comes of it
                self._join(request)

    def add_card(self, card: Card) -> None:
        """Its names are resolved first, so that the card can say what they lead to."""
        self.data = self.data.with_card(evolve(card, sets=self.data.policy.sets))
        domains = tuple(request.domain for request in self.data.of_card(card.card_id))
        self.issue(ResolveCard(card.card_id, domains))

    def _open_cards(self, session_id: str) -> int:
        waiting = {r.card_id for r in self.data.requests.values() if r.state == "pending"}
        return sum(c.session_id == session_id and c.card_id in waiting for c in self.data.cards.values())

    def _is_answered(self, ask: Ask) -> bool:
        """Whether the session's agent needs no card: one is awaited, or the answer is known."""
        event = cast("NetworkRequested", self.event)
        mine = [r for r in self.data.asked(ask.domain) if r.session_id == event.session_id]
        last = mine[-1] if mine else None
        state = last.state if last is not None else ""
        if state in {"pending", "applying"}:
            return True
        if last is not None and state == "failed":
            self.fire(last, "retry")
            self.try_again(ask.domain)
        elif self.data.is_open(ask.domain) and self._grants(ask.domain):
            self._tell_again(ask, last)
        elif last is not None and state == "denied" and last.user_id:
            self._answer(ask, last.detail or rule("denied_before"))
            self.say(event.channel_id, "asked_again", event.root_id, domain=ask.domain, user=last.user_name)
        else:
            return False
        return True

    def _grants(self, domain: str) -> list[Grant]:
        """Decisions of before that hold for this session, too."""
        session_id = cast("NetworkRequested", self.event).session_id
        return [grant for grant in self.data.live(domain) if grant.session_id in ("", session_id)]

    def _tell_again(self, ask: Ask, last: Request | None) -> None:
        """It is open: no card, but it is tried before the agent is told."""
        if last is not None and last.state == "approved":
            self.data = self.data.with_request(evolve(last, told=False))
        else:
            event = cast("NetworkRequested", self.event)
            request = Request(ask.request_id, "", event.session_id, event.channel_id, ask.domain, ask.reason)
            self.data = self.data.with_request(request)
            self._join(request)
        self.open_all(ask.domain)

    def _join(self, request: Request) -> None:
        """Somebody decided this domain before."""
        grant = self._grants(request.domain)[0]
        self.fire(request, "approve", grant=evolve(grant, via="grant"))

    def _answer(self, ask: Ask, reason: str) -> None:
        event = cast("NetworkRequested", self.event)
        denied = NetworkDenied(ask.request_id, ask.domain, "", reason)
        self.notify(streams.session(event.session_id), denied)

    def refuse_request(self) -> None:
        """The stream is quarantined: no card; the agent hears why."""
        for ask in cast("NetworkRequested", self.event).asks:
            self._answer(ask, rule("closed"))

    # --- in the channel ---------------------------------------------------------------------------------------------

    def take_resolved(self) -> None:
        """What leads nowhere that may be opened is answered; the rest goes into the channel."""
        event = cast("CardResolved", self.event)
        card = self.data.cards.get(event.card_id)
        if card is None or card.issued:
            return
        self.data = self.data.with_card(evolve(card, names=event.names))
        codes = {name.domain: (name.refused, name.address) for name in event.names if name.refused}
        for request in self.data.of_card(card.card_id):
            code, address = codes.get(request.domain, ("", ""))
            if code and self.fire(request, "rule_out", code=f"{code} {address}".strip(), reason=rule(code)):
                self.say(
                    card.channel_id,
                    "domain_refused",
                    card.root_id,
                    domain=request.domain,
                    code=code,
                    hint=address,
                )
        self._post(card.card_id)

    def _post(self, card_id: str) -> None:
        requests = self.data.of_card(card_id)
        if all(request.state == "denied" and not request.user_id for request in requests):
            self._drop(card_id)
            return
        policy = self.data.policy
        copy_channel = policy.approval_channel if self.data.cards[card_id].session_id else ""
        card = evolve(
            self.data.cards[card_id],
            issued=True,
            expires_ms=self.at_ms + policy.ttl_ms,
            copy_channel=copy_channel if copy_channel != self.data.cards[card_id].channel_id else "",
        )
        view = self.view(card)
        card = evolve(card, shown=view)
        self.issue(PostCard(card_id, card.channel_id, view, card.root_id))
        if card.copy_channel:
            view = self.view(card, copy=True)
            card = evolve(card, copy_shown=view)
            self.issue(PostCard(card_id, card.copy_channel, view, copy=True))
        if any(request.state == "pending" for request in requests):
            if 0 < policy.remind_ms < policy.ttl_ms:
                self.issue(SetTimer("", f"remind:{card_id}", 0, self.at_ms + policy.remind_ms))
            self.issue(SetTimer("", f"expire:{card_id}", 0, card.expires_ms))
        self.data = self.data.with_card(card)

    def _drop(self, card_id: str) -> None:
        """A card that never was in the channel; what was ruled out is not remembered."""
        data = self.data
        self.data = evolve(
            data,
            requests={name: r for name, r in data.requests.items() if r.card_id != card_id},
            cards={name: c for name, c in data.cards.items() if name != card_id},
        )

    def note_card(self) -> None:
        """It is in the channel; if more happened meanwhile, it is brought up to date."""
        event = cast("CardPosted", self.event)
        card = self.data.cards.get(event.card_id)
        if card is not None:
            place = {"copy_post": event.post_id} if event.copy else {"post_id": event.post_id}
            self.data = self.data.with_card(evolve(card, **place))

    def take_card_failed(self) -> None:
        """A card that nobody sees cannot be pressed: the agent goes on without."""
        event = cast("CardFailed", self.event)
        card = self.data.cards.get(event.card_id)
        if card is None or (card.copy_post if event.copy else card.post_id):
            return  # a change of a card that is there
        card = evolve(card, copy_channel="") if event.copy else evolve(card, refused=True)
        self.data = self.data.with_card(card)
        if not card.refused or card.copy_channel:
            return
        reason = f"nobody could be asked, Mattermost refuses the card ({event.code})"
        for request in self.data.of_card(card.card_id):
            self.fire(request, "rule_out", reason=reason, code="cardless")

    # --- nobody answers ---------------------------------------------------------------------------------------------

    def take_timer(self) -> None:
        """Time to remind, to give up, or to close what was open for a time."""
        what, _, name = self.event.name.partition(":")
        card, grant = self.data.cards.get(name), self.data.grants.get(name)
        if what == "grant" and grant is not None:
            self.end_grant(grant, "expired")
        elif what == "remind" and card is not None:
            self._remind(card)
        elif what == "expire" and card is not None:
            for request in self.data.of_card(name):
                self.fire(request, "expire", reason=rule("expired"), code="expired")

    def _remind(self, card: Card) -> None:
        waiting = [r.domain for r in self.data.of_card(card.card_id) if r.state == "pending"]
        if not waiting:
            return
        facts = {"domains": "\n".join(waiting), "expires_ms": str(card.expires_ms)}
        self.say(card.channel_id, "card_waits", card.root_id, post=card.post_id, **facts)
        if card.copy_post:
            self.say(card.copy_channel, "card_waits", post=card.copy_post, **facts)

    def end_session(self) -> None:
        """Nobody asks any more, and what was open for this session alone is closed."""
        session_id = cast("NetworkSessionEnded", self.event).session_id
        mine = [r for r in self.data.requests.values() if r.session_id == session_id]
        if mine:
            self.data = evolve(self.data, over=(*self.data.over, session_id))
        for request in mine:
            grant = self.data.grants.get(request.grant_id)
            stays = grant is not None and grant.live and grant.session_id != session_id
            if not stays:  # what was allowed for all may be open yet, and its card shows it
                self.fire(request, "supersede", code="session_over")
        for grant in list(self.data.grants.values()):
            if grant.session_id == session_id:
                self.end_grant(grant, "session_over")
        for card in list(self.data.cards.values()):
            states = {request.state for request in self.data.of_card(card.card_id)}
            if card.session_id == session_id and not card.issued and states <= set(REQUEST_FINAL):
                self._drop(card.card_id)
