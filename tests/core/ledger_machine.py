"""The ledger against a simple model, with an alias that others edit and an effector that dies between its requests.

The model knows which grants are live: each rule says what it may change of them, and nothing else may. Whenever no
write is under way,

- each entry that a write of ours put into the alias has a live grant, and each grant traces to exactly one decision;
- each live grant is in the alias, or OPNsense refused it and its requests say so;
- what is called approved is open, as far as any read has shown;

and no entry of others that a read showed is missing after a write of ours (`LedgerWorld` asserts it at each write).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sm.core import commands as c
from sm.core import events as e
from sm.core.alias import Grant, Request

from .ledger_world import BAD, GOOD, NONE, OF_OTHERS, OF_THE_ALIAS, LedgerWorld
from .outcomes import reports
from .playbook import PYTHON, World
from .refold import refold

NAMES = [*PYTHON.domains, "a.example"]
HOUR_MS = 3_600_000
SCOPES = {"approve": "", "set": "", "session": "session", "hour": "hour"}

names = st.sampled_from(NAMES)
numbers = st.integers(0, 7)
channels = st.sampled_from(["ch1", "ch2"])
scopes = st.sampled_from(["", "hour", "session"])
codes = st.sampled_from(["forbidden", "disabled"])
few = st.integers(0, 6)  # steps: a write has seven, a reload three
users = st.sampled_from(["james", "sarah"])


class Ledger(RuleBasedStateMachine):
    """People, time, other administrators, a resolver, an effector and a reconciler, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.sut = LedgerWorld()
        self.live: dict[str, Grant] = {}  # the model
        self.sessions = {"ch1": 1, "ch2": 1}  # how many there were in each channel
        self.asked = 0
        self.world >> e.AliasConfigured(e.Policy(sets=(PYTHON,), max_pending=3))

    @property
    def world(self) -> World:
        return self.sut.world

    def session(self, channel: str) -> str:
        """The session that runs in a channel."""
        return f"session-of-{channel}-{self.sessions[channel]}"

    # --- the model --------------------------------------------------------------------------------------------------

    def now_live(self) -> dict[str, Grant]:
        return {grant.grant_id: grant for grant in self.sut.data.live()}

    def keeps(self, *, may_withdraw: bool = False) -> None:
        """No grant came, none went; by a read or a write some may have been withdrawn, each for a cause."""
        now, known = self.now_live(), self.sut.data.grants
        assert not set(now) - set(self.live), "nobody decided anything"
        for gone in set(self.live) - set(now):
            assert may_withdraw, "a grant ended for no reason"
            self.has_cause(known[gone])
        self.live = now
        self.sut.confirmed.intersection_update(grant.domain for grant in now.values())
        reports = (e.AliasWritten, e.AliasObserved)
        if may_withdraw and any(isinstance(recorded.event, reports) for recorded in self.world.recorded):
            turned = {name.domain for name in self.refused_names()}
            assert not turned & {grant.domain for grant in now.values()}, (
                "it leads where nothing may be opened"
            )

    def has_cause(self, grant: Grant) -> None:
        assert grant.state == "withdrawn"
        match grant.reason:
            case "taken_out":
                reads = (e.AliasRead, e.AliasObserved)
                read = next(r.event for r in reversed(self.world.history) if isinstance(r.event, reads))
                assert grant.domain not in read.entries
            case "not_global":
                assert grant.domain in {name.domain for name in self.refused_names()}
            case "rejected":
                assert grant.domain in self.sut.rejects
            case other:
                raise AssertionError(other)

    def refused_names(self) -> list[e.Resolved]:
        """The names of the last report that may not be opened."""
        event = next(
            r.event
            for r in reversed(self.world.history)
            if isinstance(r.event, e.AliasWritten | e.AliasApplied | e.AliasObserved)
        )
        if isinstance(event, e.AliasApplied):
            return [e.Resolved(name, "found") for name in event.added] if event.refused else []
        return [name for name in event.names if name.refused]

    def comes(self, domain: str, **what: Any) -> None:
        """Exactly one grant came, with these properties, and none went."""
        now = self.now_live()
        (new,) = set(now) - set(self.live)
        assert set(self.live) <= set(now)
        grant = now[new]
        assert {name: getattr(grant, name) for name in what} == what
        assert grant.domain == domain
        self.live = now

    def changes(self, domains: Collection[str], scope: str, ended: set[str]) -> None:
        """Each of these domains got a grant for so long, at most; where it did, these may have ended."""
        now = self.now_live()
        new = [now[grant_id] for grant_id in set(now) - set(self.live)]
        assert {grant.domain for grant in new} <= set(domains)
        assert len({grant.domain for grant in new}) == len(new)
        assert {grant.scope for grant in new} <= {scope}
        gone = {self.live[grant_id] for grant_id in set(self.live) - set(now)}
        assert {grant.grant_id for grant in gone} <= ended
        assert {grant.domain for grant in gone} <= {grant.domain for grant in new}
        self.live = now

    def replaceable(self, domains: Collection[str], scope: str) -> set[str]:
        """What failed under another decision of its own can be decided anew for how long."""
        grants = self.sut.data.grants
        failed = [request for request in self.sut.data.requests.values() if request.state == "failed"]
        own = [grants[request.grant_id] for request in failed if request.grant_id in grants]
        return {grant.grant_id for grant in own if grant.scope != scope and grant.domain in domains}

    def goes(self, ended: set[str]) -> None:
        """These grants ended, and no other."""
        assert set(self.live) - set(self.now_live()) == ended & set(self.live)
        self.live = {name: grant for name, grant in self.live.items() if name not in ended}
        self.keeps()

    # --- people -----------------------------------------------------------------------------------------------------

    @rule(channel=channels, asked=st.lists(names, min_size=1, max_size=3, unique=True), posted=st.booleans())
    def an_agent_asks(self, channel: str, asked: list[str], posted: bool) -> None:
        asks = tuple(e.Ask(f"r{self.asked}x{number}", name) for number, name in enumerate(asked))
        self.asked += 1
        self.world >> e.NetworkRequested(
            self.session(channel), channel, asks, user_id="u-james", user_name="james"
        )
        self.keeps()
        while posted and self.sut.waiting("card.resolve", "card.post"):
            self.something_else_is_reported(number=0, which=0)

    def requests(self) -> list[Request]:
        return [request for request in self.sut.data.requests.values() if request.card_id]

    @precondition(lambda self: self.requests())
    @rule(number=numbers, action=st.sampled_from(["approve", "session", "hour", "deny", "retry"]), user=users)
    def somebody_presses(self, number: int, action: e.Action, user: str) -> None:
        requests = self.requests()
        request = requests[-1 - number % len(requests)]
        own = self.sut.data.grants.get(request.grant_id)
        ended = self.replaceable([request.domain], SCOPES.get(action, ""))
        self.decide(action, request.channel_id, user, card_id=request.card_id, request_id=request.request_id)
        if request.state == "pending" and action in SCOPES:
            session = request.session_id if action == "session" else ""
            until = self.world.at_ms + HOUR_MS if action == "hour" else 0
            self.comes(
                request.domain, scope=SCOPES[action], session_id=session, until_ms=until, user_name=user
            )
        elif request.state == "pending" and action == "retry":
            self.comes(request.domain, scope="")
        elif request.state == "failed" and action in SCOPES:
            self.changes([request.domain], SCOPES[action], ended)
        elif request.state == "failed" and action == "deny":
            is_own = own is not None and own.request_id == request.request_id
            self.goes({own.grant_id} if own is not None and is_own else set())
        else:
            self.keeps()
        if request.state == "pending" and action in {"approve", "hour"}:
            assert "pending" not in {other.state for other in self.sut.data.asked(request.domain)}

    @precondition(lambda self: self.requests())
    @rule(number=numbers)
    def somebody_opens_a_set(self, number: int) -> None:
        requests = self.requests()
        request = requests[-1 - number % len(requests)]
        ended = self.replaceable(PYTHON.domains, "")
        self.decide("set", request.channel_id, "james", card_id=request.card_id, request_id="set:python")
        self.changes(PYTHON.domains, "", ended)

    @rule(name=names, scope=scopes, channel=channels)
    def somebody_approves_by_name(self, name: str, scope: Any, channel: str) -> None:
        ended = self.replaceable([name], scope)
        self.command("approve", channel, name, scope=scope, session_id=self.session(channel))
        self.changes([name], scope, ended)
        assert any(grant.domain == name for grant in self.live.values())

    @rule(name=names)
    def somebody_denies_by_name(self, name: str) -> None:
        failed = [r for r in self.sut.data.asked(name) if r.state == "failed" and r.channel_id == "ch1"]
        grants = self.sut.data.grants
        own = {
            r.grant_id
            for r in failed
            if r.grant_id in grants and grants[r.grant_id].request_id == r.request_id
        }
        self.command("deny", "ch1", name)
        self.goes(own)

    @rule(name=names)
    def somebody_revokes(self, name: str) -> None:
        self.command("revoke", "ch2", name)
        self.goes({grant_id for grant_id, grant in self.live.items() if grant.domain == name})

    @rule(name=names, steps=few, scope=scopes, refused=st.booleans())
    def somebody_revokes_and_approves_again(self, name: str, steps: int, scope: str, refused: bool) -> None:
        self.somebody_revokes(name=name)
        self.the_effector_goes_on(steps=steps)
        if refused:
            self.opnsense_refuses_a_request(steps=0, code="forbidden")
        self.somebody_approves_by_name(name=name, scope=scope, channel="ch1")

    def command(self, action: e.Action, channel: str, name: str, **other: Any) -> None:
        self.decide(action, channel, "sarah", via="command", names=(e.Verdict(name),), **other)

    def decide(self, action: e.Action, channel: str, user: str, **other: Any) -> None:
        card = self.sut.data.cards.get(other.get("card_id", ""))
        before = set(self.now_live())
        decided: dict[str, Any] = {"via": "button", "post_id": card.post_id if card else "", **other}
        self.world >> e.NetworkDecided(action, channel, f"u-{user}", user, **decided)
        now = self.now_live()
        self.sut.taken_out.difference_update(now[new].domain for new in set(now) - before)

    # --- time -------------------------------------------------------------------------------------------------------

    @rule(minutes=st.sampled_from([1, 61, 1441]))
    def time_passes(self, minutes: int) -> None:
        self.world.at_ms += minutes * 60_000
        for issued in self.sut.waiting("timer.set"):
            assert isinstance(issued.command, c.SetTimer)
            if issued.command.due_ms <= self.world.at_ms:
                self.world.settled.add(issued.id)
                self.world.alias_timer(issued.command.name)
                what, _, name = issued.command.name.partition(":")
                self.goes({name} if what == "grant" else set())

    @rule(channel=channels)
    def a_session_ends(self, channel: str) -> None:
        over = self.session(channel)
        self.sessions[channel] += 1
        self.world >> e.NetworkSessionEnded(over)
        self.goes({grant_id for grant_id, grant in self.live.items() if grant.session_id == over})

    # --- the firewall -------------------------------------------------------------------------------------------------

    @rule(steps=few)
    def the_effector_goes_on(self, steps: int) -> None:
        for _ in range(steps):
            if self.sut.waiting(*OF_THE_ALIAS):
                self.sut.step()
                self.keeps(may_withdraw=True)

    @rule()
    def the_effector_does_all_that_it_can(self) -> None:
        self.the_effector_goes_on(steps=200)
        assert not self.sut.waiting(*OF_THE_ALIAS), "the writes come to no end"

    @rule(steps=few)
    def the_service_dies(self, steps: int) -> None:
        self.the_effector_goes_on(steps=steps)
        self.sut.crash()

    @rule(steps=few, code=codes)
    def opnsense_refuses_a_request(self, steps: int, code: str) -> None:
        self.the_effector_goes_on(steps=steps)
        self.sut.refusal = code
        self.the_effector_goes_on(steps=2)

    @rule(name=names, rejected=st.booleans())
    def opnsense_takes_a_name_or_not(self, name: str, rejected: bool) -> None:
        (self.sut.rejects.add if rejected else self.sut.rejects.discard)(name)

    @rule(shows=st.sampled_from(["seen", "seen", "unseen", "unknown"]))
    def the_table_shows(self, shows: str) -> None:
        self.sut.shows = shows

    @rule(name=names, leads=st.sampled_from([GOOD, GOOD, BAD, NONE]))
    def a_name_leads(self, name: str, leads: str) -> None:
        self.sut.leads[name] = leads

    @rule(name=names | st.just("foreign.example"))
    def others_add(self, name: str) -> None:
        self.sut.others_add(name)

    @rule(name=names)
    def others_remove(self, name: str) -> None:
        self.sut.others_remove(name)

    @rule()
    def a_look_between_writes(self) -> None:
        self.the_effector_does_all_that_it_can()
        self.sut.begin_look()
        self.a_look_ends()

    @precondition(lambda self: not self.sut.data.busy)
    @rule()
    def a_look_begins(self) -> None:
        self.sut.begin_look()

    @precondition(lambda self: self.sut.look)
    @rule()
    def a_look_ends(self) -> None:
        self.sut.end_look()
        self.keeps(may_withdraw=True)

    @precondition(lambda self: not self.sut.data.busy)
    @rule()
    def the_alias_is_in_trouble(self) -> None:
        self.world >> e.AliasTroubled("disabled", "")
        self.keeps()

    @precondition(lambda self: self.sut.waiting(*OF_OTHERS))
    @rule(number=numbers, which=numbers)
    def something_else_is_reported(self, number: int, which: int) -> None:
        waiting = self.sut.waiting(*OF_OTHERS)
        issued = waiting[number % len(waiting)]
        outcomes = reports(issued.command)
        if isinstance(issued.command, c.ResolveCard):
            outcomes = [e.CardResolved(issued.command.card_id, self.sut.resolve(issued.command.domains))]
        self.world.settled.add(issued.id)
        self.world >> outcomes[which % len(outcomes)]
        self.keeps()

    # --- what holds ---------------------------------------------------------------------------------------------------

    @invariant()
    def each_grant_traces_to_exactly_one_decision(self) -> None:
        for grant in self.sut.data.grants.values():
            decision = self.world.history[int(grant.grant_id[1:].partition("x")[0]) - 1].event
            assert isinstance(decision, e.NetworkDecided)
            assert decision.action not in {"deny", "revoke"}
            assert (decision.user_id, decision.via, decision.channel_id) == (
                grant.user_id,
                grant.via,
                grant.channel_id,
            )

    @invariant()
    def each_entry_of_ours_has_a_live_grant(self) -> None:
        data = self.sut.data
        if not data.busy and not data.blocked:
            ours = self.sut.ours & set(self.sut.entries)
            assert ours <= set(data.wish()), "it is open, and nobody's wish"

    @invariant()
    def each_live_grant_is_in_the_alias_or_its_request_says_why_not(self) -> None:
        data = self.sut.data
        if data.busy:
            return
        for grant in data.live():
            if grant.domain in {*self.sut.entries, *self.sut.unnoticed}:
                continue
            assert data.blocked or grant.domain in data.held_back
            assert data.requests[grant.request_id].state == "failed"

    @invariant()
    def what_is_called_approved_is_open(self) -> None:
        data = self.sut.data
        for request in data.requests.values():
            if request.state == "approved":
                assert data.grants[request.grant_id].live
                assert data.is_open(request.domain)
                assert request.domain in {*self.sut.entries, *self.sut.unnoticed}

    @invariant()
    def each_card_shows_the_state_that_it_is_in(self) -> None:
        assert self.world.stale_cards() == []

    @invariant()
    def nothing_was_quarantined(self) -> None:
        assert self.world.of("alias:llm_approved_domains").name == "open"

    def teardown(self) -> None:
        """When all works again and nobody touches it, the alias comes to be what is wished for; a refold agrees."""
        self.sut.refusal, self.sut.shows, self.sut.leads, self.sut.rejects = "", "seen", {}, set()
        for _ in range(3):
            self.sut.run()
            self.sut.begin_look()
            self.sut.end_look()
            self.sut.run()
        wish = set(self.sut.data.wish())
        assert wish <= set(self.sut.entries)
        assert self.sut.ours & set(self.sut.entries) <= wish
        assert all(self.sut.data.is_open(name) for name in wish)
        assert self.sut.data.revocations == ()
        assert refold(self.world.history)[0] == self.world.states
