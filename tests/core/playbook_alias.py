"""The alias's side of a `World`: people at its cards, the effectors that resolve, write, load and try, and the firewall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from attrs import evolve

from sm.core import commands as c
from sm.core import events as e
from sm.core import streams
from sm.core.alias import AliasData, AliasStep, Card, Grant, Request
from sm.core.step import Recorded

from .names import resolve

ALIAS = "llm_approved_domains"
BEFORE = "api.anthropic.com"  # what the alias holds before us


class AliasSide:
    """What a world does and knows beside its sessions; it has their `>>`, `commands`, `issued` and `firewall`."""

    if TYPE_CHECKING:
        commands: list[c.Command]
        firewall: list[str]
        session: str

        def __rshift__(self, event: e.Event) -> Self: ...
        def record(self, stream: str, event: e.Event) -> Self: ...
        def of(self, stream: str) -> Any: ...
        def last(self, kind: type[c.Command]) -> Any: ...
        def says(self, *texts: str) -> Self: ...

    @property
    def alias(self) -> AliasData:
        return self.of(streams.alias(ALIAS)).data

    def request(self, domain: str, session: str = "") -> Request:
        """The session's last request for a domain."""
        mine = [r for r in self.alias.requests.values() if r.session_id == (session or self.session)]
        return [r for r in mine if r.domain == domain][-1]

    def card(self, domain: str, session: str = "") -> Card:
        """The card of the session's last request for a domain."""
        return self.alias.cards[self.request(domain, session).card_id]

    def grant(self, domain: str) -> Grant:
        """The only grant of a domain."""
        (grant,) = [grant for grant in self.alias.grants.values() if grant.domain == domain]
        return grant

    def stale_cards(self) -> list[str]:
        """The posts of cards and copies that would show something else than they were told to show last."""
        step = AliasStep("open", self.alias, Recorded(0, streams.alias(ALIAS), 0, e.StreamOpened("")))
        stale: list[str] = []
        for card in self.alias.cards.values():
            if card.post_id and card.shown != step.view(card):
                stale.append(card.post_id)
            if card.copy_post and card.copy_shown != step.view(card, copy=True):
                stale.append(card.copy_post)
        return stale

    @property
    def shown(self) -> list[tuple[str, ...]]:
        """The states of the rows of each card that the last commands post or bring up to date."""
        return [tuple(row.state for row in view.rows) for view in self.views]

    @property
    def views(self) -> list[c.CardView]:
        """What the last commands have cards show, copies left out."""
        made = [k for k in self.commands if isinstance(k, c.PostCard | c.UpdateCard)]
        return [command.view for command in made if not command.copy]

    # --- people at the cards ----------------------------------------------------------------------------------------

    def press(
        self,
        domain: str,
        action: e.Action = "approve",
        *,
        user: str = "james",
        session: str = "",
        **other: Any,
    ) -> Self:
        """A member presses a button of the card of a session's request; `other` replaces what the press names."""
        request = self.request(domain, session)
        card = self.alias.cards.get(request.card_id)
        press = e.NetworkDecided(
            action=action,
            channel_id=request.channel_id,
            user_id=f"u-{user}",
            user_name=user,
            via="button",
            card_id=request.card_id,
            request_id=request.request_id,
            post_id=(card.post_id if card else "") or "early",
        )
        return self >> evolve(press, **other)

    def react(
        self,
        domain: str,
        action: e.Action = "approve",
        *,
        user: str = "james",
        session: str = "",
        **other: Any,
    ) -> Self:
        """A member reacts to the card of a session's request; a reaction names no request."""
        return self.press(domain, action, user=user, session=session, via="reaction", request_id="", **other)

    def configured(self, **policy: Any) -> Self:
        """A start found these settings for decisions."""
        return self >> e.AliasConfigured(e.Policy(**policy))

    # --- what came of cards and writes ----------------------------------------------------------------------------------

    def resolved(self, *names: e.Resolved) -> Self:
        """The names of the last card lead somewhere: each to an address of its own, or as `names` say."""
        command = self.last(c.ResolveCard)
        return self >> e.CardResolved(command.card_id, resolve(command.domains, names))

    def card_posted(self, domain: str, session: str = "", *, copy: bool = False) -> Self:
        """The card, or its copy, is in its channel."""
        card = self.card(domain, session)
        channel = card.copy_channel if copy else card.channel_id
        return self >> e.CardPosted(
            card.card_id, f"{'copy' if copy else 'post'}-of-{card.card_id}", channel, copy
        )

    def asked(self, *domains: str, reason: str = "") -> Self:
        """The agent asks in one text, the card is in the channel."""
        why = f" — {reason}" if reason else ""
        self.says(f"[NETWORK_REQUEST: {' '.join(domains)}{why}]")
        self.resolved()
        return self.card_posted(domains[0])

    def read(self) -> Self:
        """The write under way has read the alias."""
        return self >> e.AliasRead(tuple(self.firewall))

    def written(self, *names: e.Resolved, read: bool = True) -> Self:
        """The write under way did what it was to do; names that lead nowhere good were left out."""
        command = self.last(c.WriteAlias)
        found = resolve(command.add, names)
        good = [name.domain for name in found if name.status == "found" and not name.refused]
        before = list(self.firewall)
        if read:
            self.read()
        left = [entry for entry in before if entry not in command.remove]
        self.firewall[:] = [*left, *(name for name in good if name not in left)]
        changed = self.firewall != before
        return self >> e.AliasWritten(
            command.add, command.remove, found, changed, tuple(self.firewall), ("192.0.2.1",)
        )

    def applied(self, resolved: str = "seen", *, refused: str = "", address: str = "") -> Self:
        """The firewall loaded what was written."""
        command = self.last(c.ApplyAlias)
        table = None if resolved == "unknown" else ("192.0.2.1", "192.0.2.7")
        return self >> e.AliasApplied(command.added, command.removed, resolved, table, refused, address)

    def tried(self, domain: str, state: str = "reachable") -> Self:
        """A container tried to reach it."""
        return self >> e.NetworkTried(domain, state, "")

    def opened(self, *domains: str) -> Self:
        """What is being written is written, applied, and reached."""
        self.written().applied()
        for domain in domains:
            if domain in self.alias.trying:
                self.tried(domain)
        return self

    def alias_timer(self, name: str) -> Self:
        """Time to remind, to give up, or to close."""
        return self.record(streams.alias(ALIAS), e.TimerFired(name, 0))

    def alias_failed(self, step: str = "write", code: str = "forbidden") -> Self:
        return self >> e.AliasFailed(step, code, "no")

    def observed(self, *names: e.Resolved, table: tuple[str, ...] | None = (), **odd: str) -> Self:
        """A look at the alias; each wanted name leads to its own address, or as `names` say."""
        found = resolve(self.alias.wish(), names)
        return self >> e.AliasObserved(tuple(self.firewall), found, table, **odd)

    def granted(self, domain: str) -> Self:
        """Asked for, approved and open, as the agent has heard."""
        return self.asked(domain).press(domain).opened(domain)
