"""What is known of a domain's way into the alias and out of it: requests, grants, entries, each with its facts."""

from __future__ import annotations

from attrs import define, field, frozen

from sm.core.alias import Grant, Request
from sm.core.events import NetworkDecided


@frozen
class Fact:
    """Something that an event made of a record, in words. `grant_id`: by which grant, of a request that had several."""

    seq: int
    at_ms: int
    text: str
    grant_id: str = ""


@define
class EntryRecord:
    """A domain of a grant in the alias, from its coming in to its end. `ours`: a write of ours put it there."""

    ours: bool
    facts: list[Fact] = field(factory=list[Fact])


@define
class GrantRecord:
    """A decision that a domain be open. `grant` is as it was last seen; `ended` what took it back, or out."""

    grant: Grant
    decision: NetworkDecided
    made: Fact
    facts: list[Fact] = field(factory=list[Fact])
    entries: list[EntryRecord] = field(factory=list[EntryRecord])
    ended: Fact | None = None


@define
class AskRecord:
    """One request for one domain, also where no card came of it.

    `asked` says who asked, `reason`, `doing` and `wanted` what for; `line_seq` is the session's event that asked (None: no session did), `by_person`: nobody
    asked but who decided.
    `resolved` is what its name led to when its card was made. `state` is the request's last one, empty where none was remembered; `answers` are the ends without a grant.
    """

    request_id: str
    domain: str
    shown: str
    session_id: str
    card_id: str
    asked: Fact
    reason: str = ""
    doing: str = ""
    wanted: list[Fact] = field(factory=list[Fact])
    line_seq: int | None = None
    by_person: bool = False
    state: str = ""
    request: Request | None = None
    resolved: list[Fact] = field(factory=list[Fact])
    facts: list[Fact] = field(factory=list[Fact])
    answers: list[Fact] = field(factory=list[Fact])

    @property
    def was_granted(self) -> bool:
        """Whether somebody allowed it, once."""
        return any(fact.grant_id for fact in self.facts)

    def facts_of(self, grant_id: str) -> list[Fact]:
        """What came of it by this grant (empty: without any)."""
        return [fact for fact in self.facts if fact.grant_id == grant_id]
