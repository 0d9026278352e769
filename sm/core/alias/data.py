"""What the alias's stream remembers: cards, requests, grants, and what the alias holds by our hand."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from attrs import evolve, field, frozen

from sm.core.commands import CardView
from sm.core.events import AliasObserved, AliasTroubled, DomainSet, Policy, Resolved

_ID = re.compile(r"[a-z0-9]{26}")  # as Mattermost makes them


@frozen
class Request:
    """One session's wish for one domain; its states are the table REQUEST. `session_id` may be empty: nobody asked."""

    request_id: str
    card_id: str
    session_id: str
    channel_id: str
    domain: str
    reason: str = ""
    warning: str = ""
    shown: str = ""
    state: str = "pending"
    grant_id: str = ""
    user_id: str = ""  # who denied it, or whose grant it has
    user_name: str = ""
    via: str = ""
    decided_in: str = ""  # the channel
    decided_ms: int = 0
    detail: str = ""
    told: bool = False  # the session has heard of an approval
    reach: str = ""


@frozen
class Card:
    """What was asked for together. `shown` is what the post shows when all that we issued is done."""

    card_id: str
    session_id: str
    channel_id: str
    root_id: str
    title: str
    user_id: str
    user_name: str
    doing: str
    requests: tuple[str, ...]
    names: tuple[Resolved, ...] = ()
    sets: tuple[DomainSet, ...] = ()  # as it was asked: a button opens what it names
    expires_ms: int = 0
    issued: bool = False
    post_id: str = ""  # once it is confirmed
    refused: bool = False  # Mattermost does not take it
    shown: CardView | None = None
    copy_channel: str = ""
    copy_post: str = ""
    copy_shown: CardView | None = None


@frozen
class Grant:
    """A decision that a domain be open: for one session or for all, until a time (0: until it is taken back).

    `state`: wanted, held (the alias was read back with it), withdrawn (it is not written any more; `reason` says why).
    """

    grant_id: str
    domain: str
    request_id: str
    channel_id: str
    user_id: str
    user_name: str
    via: str
    at_ms: int
    scope: str = ""
    session_id: str = ""
    until_ms: int = 0
    state: str = "wanted"
    reason: str = ""

    @property
    def live(self) -> bool:
        """It wants its domain in the alias."""
        return self.state != "withdrawn"


@frozen
class Entry:
    """A domain of a grant as the alias has it. `ours`: a write of ours put it there."""

    domain: str
    ours: bool = False
    confirmed: bool = False  # read back
    saved_ms: int = 0
    applied: str = ""  # seen, unseen or unknown in the firewall's table
    addresses: tuple[str, ...] = ()


@frozen
class Writing:
    """A write under way. `first`: what stood in the alias before each of its requests, once that was read.

    `again`: it was read more than once, so an earlier request of this write may have come through.
    """

    add: tuple[str, ...]
    remove: tuple[str, ...]
    first: tuple[str, ...] | None = None
    again: bool = False


@frozen
class Applying:
    """What the firewall is loading, or has yet to load. `gone`: addresses that should leave its table.

    `again`: what it was not seen to lose when it loaded the alias before.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    again: bool = False


@frozen
class Revocation:
    """Somebody took a domain back, and waits to hear that it is gone. `told`: that it could not be done so far."""

    domain: str
    channel_id: str
    root_id: str
    user_name: str
    told: bool = False


@frozen
class AliasData:
    """All of it, by ids; `entries` and `held_back` by domain."""

    alias: str = ""
    policy: Policy = field(factory=Policy)
    cards: Mapping[str, Card] = field(factory=dict[str, Card])
    requests: Mapping[str, Request] = field(factory=dict[str, Request])
    grants: Mapping[str, Grant] = field(factory=dict[str, Grant])
    entries: Mapping[str, Entry] = field(factory=dict[str, Entry])
    foreign: tuple[str, ...] | None = None  # entries that are not ours; None: the alias was never read
    writing: Writing | None = None
    applying: Applying | None = None
    # taken out of the alias, but the firewall did not load that; or was not seen to, and does once more at a look
    unapplied: Applying = field(factory=Applying)
    unseen: Applying = field(factory=Applying)
    writes: int = 0  # how many ended: a look that began before the last one is stale
    blocked: str = ""  # why nothing is written until the next look or decision
    trouble: str = ""  # what is wrong with the alias, as was said
    table_trouble: str = ""
    one_by_one: bool = False  # a name was rejected among several
    held_back: Mapping[str, str] = field(factory=dict[str, str])  # why a name is not written for now
    trying: tuple[str, ...] = ()
    revocations: tuple[Revocation, ...] = ()
    over: tuple[str, ...] = ()  # sessions that ended and still have requests here

    @property
    def busy(self) -> bool:
        """A write is under way, or its effect is awaited."""
        return self.writing is not None or self.applying is not None

    def live(self, domain: str = "") -> list[Grant]:
        """The live grants, of one domain or of all."""
        return [g for g in self.grants.values() if g.live and domain in ("", g.domain)]

    def wish(self) -> list[str]:
        """The domains that are to be open."""
        return sorted({grant.domain for grant in self.live()})

    def is_held(self, domain: str) -> bool:
        """The alias was read back with it, and no write of ours is taking it out."""
        entry = self.entries.get(domain)
        leaves = self.writing is not None and domain in self.writing.remove
        return entry is not None and entry.confirmed and not leaves

    def is_open(self, domain: str) -> bool:
        """The alias holds it, and the firewall showed that it took it."""
        return self.is_held(domain) and self.entries[domain].applied in {"seen", "unknown"}

    def is_on_its_way(self, domain: str) -> bool:
        """It is being brought in or, out of the alias already, the firewall has yet to lose it."""
        coming = self.writing.add if self.writing is not None else ()
        leaving = self.applying.removed if self.applying is not None else ()
        return domain in (*coming, *leaving, *self.unapplied.removed)

    def of_card(self, card_id: str) -> list[Request]:
        """The requests of a card, in its order."""
        card = self.cards.get(card_id)
        return [self.requests[name] for name in card.requests] if card else []

    def asked(self, domain: str) -> list[Request]:
        """The requests for a domain, oldest first."""
        return [request for request in self.requests.values() if request.domain == domain]

    def card_of_post(self, post_id: str) -> Card | None:
        """The card that a post shows, as its original or its copy."""
        return next((c for c in self.cards.values() if post_id and post_id in (c.post_id, c.copy_post)), None)

    def offers(self, domains: Iterable[str]) -> tuple[DomainSet, ...]:
        """The sets that have one of these domains and more."""
        asked = set(domains)
        return tuple(s for s in self.policy.sets if asked & set(s.domains) and not asked >= set(s.domains))

    def with_request(self, request: Request) -> AliasData:
        """The same with a request as it is now."""
        return evolve(self, requests={**self.requests, request.request_id: request})

    def with_card(self, card: Card) -> AliasData:
        """The same with a card as it is now."""
        return evolve(self, cards={**self.cards, card.card_id: card})

    def with_grant(self, grant: Grant) -> AliasData:
        """The same with a grant as it is now."""
        return evolve(self, grants={**self.grants, grant.grant_id: grant})

    def with_entry(self, entry: Entry) -> AliasData:
        """The same with an entry as it is now."""
        return evolve(self, entries={**self.entries, entry.domain: entry})

    def without_entry(self, domain: str) -> AliasData:
        """The same without an entry."""
        return evolve(self, entries={name: e for name, e in self.entries.items() if name != domain})


def may_not_decide(policy: Policy, *, user_id: str, user_name: str, starter_id: str) -> str:
    """The code of why somebody may not decide about a session's request, or an empty string."""
    if policy.approvers and not _is_among(policy.approvers, user_id, user_name):
        return "not_approver"
    return "own" if not policy.approve_own and user_id == starter_id else ""


def _is_among(approvers: Collection[str], user_id: str, user_name: str) -> bool:
    """Whether it is one of them. What can be an id is no name: anybody may take another's id for a name."""
    return user_id in approvers or (user_name in approvers and not _ID.fullmatch(user_name))


def is_news(data: AliasData, seen: AliasObserved | AliasTroubled) -> bool:
    """Whether a look found something else than is recorded, or something to do."""
    if isinstance(seen, AliasTroubled):
        return seen.code != data.trouble
    entries = data.entries.values()
    missing = any(entry.confirmed and entry.domain not in seen.entries for entry in entries)
    ours = {entry.domain for entry in entries if entry.ours}
    foreign = tuple(entry for entry in seen.entries if entry not in ours)
    waits = any(not data.is_open(domain) for domain in data.wish())
    turned = any(name.refused and data.live(name.domain) for name in seen.names)
    waits = waits or bool(data.unseen.removed)
    told = (data.table_trouble, data.trouble, data.blocked) == (seen.address, "", "")
    return missing or foreign != data.foreign or waits or turned or not told
