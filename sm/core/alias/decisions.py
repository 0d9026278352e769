"""Deciding: what a person's button, reaction or command does, and what everybody hears whom it was too late for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from attrs import evolve

from sm.core import streams
from sm.core.alias.cards import CardStep
from sm.core.alias.data import Card, Grant, Request, Revocation, may_not_decide
from sm.core.alias.rivals import SCOPES, UNDECIDED, about, lost_to, stands_here, told_of
from sm.core.events import NetworkDecided, NetworkDenied, NetworkListRequested

REASON_WITHIN_MS = 300_000  # after a denial, for saying why
MAX_LISTED = 50


class DecisionStep(CardStep):
    """What people decide, and ask about."""

    @property
    def decision(self) -> NetworkDecided:
        """The event of the rows that answer a decision."""
        return cast("NetworkDecided", self.event)

    def take_decision(self) -> None:
        """One decision wins, whatever the number of tries; the others hear which."""
        if self.decision.via == "command":
            self._by_command()
        else:
            self._by_card()

    # --- on a card --------------------------------------------------------------------------------------------------

    def _by_card(self) -> None:
        event, policy = self.decision, self.data.policy
        card = self.data.cards.get(event.card_id)
        if card is None or not stands_here(card, event.channel_id, event.post_id, policy.approval_channel):
            return
        if code := self._may_not(card.user_id):
            self._refuse(code)
            return
        if event.via == "button" and policy.strong:
            self._answer_privately("use_strong", event.privately)
            return
        meant = about(self.data, event)
        open_now = [request for request in meant if request.state in UNDECIDED]
        if not open_now:
            self._say_who_won(meant)
        elif event.action == "set":
            self._approve_set(card, event.request_id.removeprefix("set:"))
        else:
            for request in open_now:
                if event.action == "deny":
                    self._deny(request)
                else:
                    self._approve(request, SCOPES.get(event.action, ""))

    def _say_who_won(self, meant: Sequence[Request]) -> None:
        event = self.decision
        other = lost_to(self.data, event, meant)
        if other is not None and (event.via == "reaction" or event.privately):
            self.say_privately("too_late", **told_of(self.data, other, event.channel_id))

    def _approve_set(self, card: Card, name: str) -> None:
        """Open what an operator named together: what was asked for, and the rest with it."""
        found = next(one for one in self.data.policy.sets if one.name == name)
        asked = {request.domain: request for request in self.data.of_card(card.card_id)}
        for number, domain in enumerate(found.domains):
            request = asked.get(domain)
            if request is None:
                request = Request(
                    f"r{self.seq}s{number}", card.card_id, card.session_id, card.channel_id, domain
                )
                self.data = self.data.with_request(request)
                now = self.data.cards[card.card_id]
                self.data = self.data.with_card(evolve(now, requests=(*now.requests, request.request_id)))
            if request.state in UNDECIDED:
                self._approve(request, "")

    # --- by a command -----------------------------------------------------------------------------------------------

    def _by_command(self) -> None:
        event = self.decision
        if code := self._may_not("", approvers_only=True):
            self._refuse(code)
            return
        for verdict in event.names:
            if verdict.refused:
                self.say(
                    event.channel_id,
                    "domain_refused",
                    event.root_id,
                    domain=verdict.domain,
                    code=verdict.refused,
                    hint=verdict.hint,
                    by="person",
                )
        match event.action:
            case "revoke":
                self._each(self._revoke, "not_granted")
            case "deny":
                self._each(self._deny_named, "nothing_to_deny")
            case _ if event.scope == "session" and not event.session_id:
                self.say(event.channel_id, "which_session_scope", event.root_id)
            case _:
                unasked: list[str] = []
                self._each(lambda domain: self._approve_named(domain, unasked), "already_open")
                if unasked:
                    self._ask_and_approve(unasked)

    def _each(self, act: Callable[[str], bool], nothing: str) -> None:
        """Act on each name, and on all of a set; what there was nothing to do for is said, of a set as one."""
        event = self.decision
        names = dict.fromkeys(verdict.domain for verdict in event.names if not verdict.refused)
        sets = [one for one in self.data.policy.sets if one.name in event.sets]
        members = [(one.name, [name for name in one.domains if name not in names]) for one in sets]
        for called, domains in [*((name, [name]) for name in names), *members]:
            if domains and not sum(act(domain) for domain in domains):
                self.say(event.channel_id, nothing, event.root_id, domain=called)

    def _approve_named(self, domain: str, unasked: list[str]) -> bool:
        """Whether there was something to decide; what nobody asked for is put to the others."""
        event = self.decision
        asked = self._within_reach(domain, UNDECIDED) or self._to_reopen(domain)
        if event.scope == "session":  # for the one that is meant, whoever else asks
            asked = [request for request in asked if request.session_id == event.session_id]
        allowed = [request for request in asked if not self._may_not(self._starter(request))]
        if asked and not allowed:
            self._refuse("own")
        elif asked:
            self._approve(allowed[0], event.scope)
        elif self._is_open_for_good(domain) and not event.scope:
            return False
        elif others := [r for r in self._within_reach(domain, ("applying",)) if self._is_so_decided(r)]:
            self._tell_who_won(others[-1])
        elif not self.data.policy.approve_own:
            self._refuse("own_unasked")
        else:
            unasked.append(domain)
        return True

    def _is_so_decided(self, request: Request) -> bool:
        """Whether somebody just chose for it what is chosen now."""
        event, grant = self.decision, self.data.grants.get(request.grant_id)
        same = grant is not None and grant.live and grant.scope == event.scope
        return same and (event.scope != "session" or request.session_id == event.session_id)

    def _tell_who_won(self, request: Request) -> None:
        self.say_privately("too_late", **told_of(self.data, request, self.decision.channel_id))

    def _is_open_for_good(self, domain: str) -> bool:
        return self.data.is_open(domain) and any(not grant.scope for grant in self.data.live(domain))

    def _within_reach(self, domain: str, states: Sequence[str]) -> list[Request]:
        """The channel's requests for a domain (the approvals' channel has all), those of the session meant first."""
        event = self.decision
        everywhere = event.channel_id == self.data.policy.approval_channel
        asked = [
            request
            for request in self.data.asked(domain)
            if request.state in states and (everywhere or request.channel_id == event.channel_id)
        ]
        own = [request for request in asked if event.session_id and request.session_id == event.session_id]
        return own or asked

    def _to_reopen(self, domain: str) -> list[Request]:
        """What was denied or is over, when its session still runs and its card can show that a person says otherwise."""
        over, cards = {*self.data.over, ""}, self.data.cards
        asked = self._within_reach(domain, ("denied", "expired", "closed"))
        return [one for one in asked if one.session_id not in over and one.card_id in cards][-1:]

    def _starter(self, request: Request) -> str:
        card = self.data.cards.get(request.card_id)
        return card.user_id if card is not None else ""

    def _ask_and_approve(self, domains: Sequence[str]) -> None:
        """Nobody asked: request and decision are one person's, and both are on record."""
        event = self.decision
        card = Card(
            card_id=f"c{self.seq}",
            session_id=event.session_id,
            channel_id=event.channel_id,
            root_id=event.root_id,
            title="",
            user_id=event.user_id,
            user_name=event.user_name,
            doing="",
            requests=tuple(f"r{self.seq}u{number}" for number in range(len(domains))),
        )
        shown = {verdict.domain: verdict for verdict in event.names}
        for request_id, domain in zip(card.requests, domains, strict=True):
            verdict = shown.get(domain)
            request = Request(
                request_id,
                card.card_id,
                event.session_id,
                event.channel_id,
                domain,
                warning=verdict.warning if verdict else "",
                shown=verdict.shown if verdict else "",
            )
            self.data = self.data.with_request(request)
        self.add_card(card)
        for request_id in card.requests:
            self._approve(self.data.requests[request_id], event.scope)

    def _deny_named(self, domain: str) -> bool:
        """Whether there was something to deny, or a reason to add."""
        asked = self._within_reach(domain, UNDECIDED)
        allowed = [request for request in asked if not self._may_not(self._starter(request))]
        for request in allowed:
            self._deny(request)
        if asked and not allowed:
            self._refuse("own")
        if asked or self._add_reason(domain):
            return True
        decided = self._within_reach(domain, ("applying", "approved", "denied"))
        other = lost_to(self.data, self.decision, decided[-1:])
        if other is not None and other.session_id not in self.data.over:
            self._tell_who_won(other)
        return False

    def _add_reason(self, domain: str) -> bool:
        """A denial may be given its reason for some minutes more; the agent hears it."""
        event = self.decision
        late = [
            request
            for request in self._within_reach(domain, ("denied",))
            if not request.detail
            and self.at_ms - request.decided_ms <= REASON_WITHIN_MS
            and not self._may_not(self._starter(request))
        ]
        if not late or not event.reason:
            return False
        for request in late:
            # The card says who denied it: another person's words are not put into that one's mouth.
            whose = "" if request.user_id == event.user_id else f" (@{event.user_name})"
            self.data = self.data.with_request(evolve(request, detail=event.reason + whose))
            if request.session_id:
                denied = NetworkDenied(request.request_id, domain, event.user_name, event.reason)
                self.notify(streams.session(request.session_id), denied)
        return True

    def _revoke(self, domain: str) -> bool:
        """Whether it was open, or is by another's hand."""
        event, grants, entry = self.decision, self.data.live(domain), self.data.entries.get(domain)
        for grant in grants:
            self.end_grant(grant, "revoked")
        # What was withdrawn is not wanted back.
        left = {name: grant for name, grant in self.data.grants.items() if grant.domain != domain}
        self.data = evolve(self.data, grants=left, blocked="")
        where = (event.channel_id, event.root_id)
        if domain in (self.data.foreign or ()) and not (entry is not None and entry.ours):
            facts = {"domain": domain, "granted": "yes" if grants else ""}
            self.say(where[0], "revoked_but_foreign", where[1], **facts)
        elif not grants and entry is None and not self.data.is_on_its_way(domain):
            return False
        else:  # answered when it is out
            waits = Revocation(domain, *where, event.user_name)
            self.data = evolve(self.data, revocations=(*self.data.revocations, waits))
        return True

    # --- one request ------------------------------------------------------------------------------------------------

    def _approve(self, request: Request, scope: str) -> None:
        """A grant is made, for every card that waits for the domain where it is for all; a retry makes none."""
        before = self.data.grants.get(request.grant_id)
        failed = before if request.state == "failed" and before is not None and before.live else None
        if failed is not None and (self._is_retry() or failed.scope == scope):
            self.fire(request, "retry")
            self.try_again(request.domain)
            return
        grant = self.make_grant(request, scope)
        self.fire(request, "approve", grant=grant, decision=self.decision)
        if failed is not None:
            self._replace(failed, grant)
        if not grant.session_id:
            for other in self.data.asked(request.domain):
                if other.state == "pending":
                    self.fire(other, "approve", grant=grant, decision=self.decision)
        if self.data.is_open(request.domain):
            self.open_all(request.domain)

    def _is_retry(self) -> bool:
        """Whether it says nothing of how long: what was decided stands."""
        return self.decision.action == "retry" or self.decision.via == "reaction"

    def _replace(self, old: Grant, new: Grant) -> None:
        """Of what could not be opened, it was decided anew for how long: for all, or for the session that has it alone."""
        whose = {"user_id": new.user_id, "user_name": new.user_name, "decided_in": new.channel_id}
        for other in self.data.asked(new.domain):
            if other.grant_id != old.grant_id or new.session_id:
                continue
            if not self.fire(other, "approve", grant=new, decision=self.decision):  # it is applying yet
                self.data = self.data.with_request(evolve(other, grant_id=new.grant_id, **whose))
        if old.request_id == new.request_id or not new.session_id:
            self.end_grant(old, "revoked")

    def _deny(self, request: Request) -> None:
        grant = self.data.grants.get(request.grant_id)
        self.fire(request, "deny", decision=self.decision, reason=self.decision.reason)
        if grant is not None and grant.live and grant.request_id == request.request_id:
            self.end_grant(grant, "revoked")

    # --- who may ----------------------------------------------------------------------------------------------------

    def _may_not(self, starter_id: str, *, approvers_only: bool = False) -> str:
        event = self.decision
        if not event.is_member:
            return "not_member"
        code = may_not_decide(
            self.data.policy, user_id=event.user_id, user_name=event.user_name, starter_id=starter_id
        )
        return "" if approvers_only and code == "own" else code

    def _refuse(self, code: str) -> None:
        self._answer_privately("may_not_decide", self.decision.via != "button", code=code)

    def _answer_privately(self, message: str, is_owed: bool, **facts: str) -> None:
        """Where the callback's own answer can't hold it any more, or there was none."""
        if is_owed or self.decision.privately:
            who = " ".join(self.data.policy.approvers)
            self.say_privately(message, who=who, **facts)

    # --- what people ask about --------------------------------------------------------------------------------------

    def list_requested(self) -> None:
        """What is open, or what waits."""
        event = cast("NetworkListRequested", self.event)
        if event.what == "net":
            self._list_open(event)
        else:
            self._list_pending(event)

    def _list_open(self, event: NetworkListRequested) -> None:
        everywhere = event.channel_id == self.data.policy.approval_channel
        lines: list[str] = []
        for grant in sorted(self.data.grants.values(), key=lambda g: (g.domain, g.at_ms)):
            here = everywhere or grant.channel_id == event.channel_id
            name, session = (grant.user_name, streams.short(grant.session_id)) if here else ("", "")
            lines.append(
                f"{grant.domain}\t{grant.state}\t{grant.scope}\t{grant.until_ms}\t{name}\t{session}\t{grant.reason}"
            )
        wish = self.data.wish()
        leaving = sorted(e.domain for e in self.data.entries.values() if e.ours and e.domain not in wish)
        lines += [f"{domain}\tclosing\t\t0\t\t\t" for domain in leaving]
        foreign = self.data.foreign or ()
        self.say(
            event.channel_id,
            "net",
            event.root_id,
            grants="\n".join(lines[:MAX_LISTED]),
            foreign="\n".join(foreign[:MAX_LISTED]),
            alias=self.data.alias,
            trouble=self.data.trouble or self.data.blocked,
            more=str(max(0, len(lines) - MAX_LISTED) + max(0, len(foreign) - MAX_LISTED)),
        )

    def _list_pending(self, event: NetworkListRequested) -> None:
        everywhere = event.channel_id == self.data.policy.approval_channel
        lines: list[str] = []
        for card in self.data.cards.values():
            waiting = [r.domain for r in self.data.of_card(card.card_id) if r.state == "pending"]
            if not waiting or not (everywhere or card.channel_id == event.channel_id):
                continue
            post = card.copy_post if everywhere and card.copy_post else card.post_id
            lines.append(
                f"{post}\t{' '.join(waiting)}\t{card.title}\t{streams.short(card.session_id)}\t{card.expires_ms}"
            )
        more = str(max(0, len(lines) - MAX_LISTED))
        self.say(event.channel_id, "pending", event.root_id, cards="\n".join(lines[:MAX_LISTED]), more=more)

    def awaits_an_answer(self) -> bool:
        """Who presses is answered elsewhere."""
        return self.decision.via != "button"

    def say_closed(self) -> None:
        """The stream is quarantined: nothing is decided, and whoever asked hears it."""
        if isinstance(self.event, NetworkDecided) and self.event.via == "reaction":
            self.say_privately("approvals_closed")
        else:
            self.say(self.event.channel_id, "approvals_closed", self.event.root_id)
