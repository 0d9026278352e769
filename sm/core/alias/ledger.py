"""The ledger: which domains are open, by whose word, until when; and what the alias holds of it.

The grants say what is wanted, the entries what is there. One write is under way at a time; when it is over, the next
is whatever then still differs. What others put into the alias stays. What they take out is not put back: before our
write was read back it is ours to write again, after that the grant is withdrawn.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast

from attrs import evolve

from sm.core.alias.data import Applying, Entry, Grant, Request, Revocation, Writing
from sm.core.alias.requests import RequestsStep, RequestStep
from sm.core.commands import ApplyAlias, SetTimer, TryDomain, WriteAlias
from sm.core.events import (
    AliasApplied,
    AliasFailed,
    AliasObserved,
    AliasRead,
    AliasTroubled,
    AliasWritten,
    NetworkDecided,
    NetworkTried,
)
from sm.core.step import Folded

HOUR_MS = 3_600_000
REACHED_WITHIN_MS = 90_000  # from saved to the last try
MAX_NAMED = 20  # entries named in one message


class LedgerStep(RequestsStep):
    """Grants, and the writes that follow from them."""

    def folded(self, rules: str, moved: bool) -> Folded:
        """Whatever happened: write what now differs, unless a write is under way."""
        if self.state == "open" and moved:
            self._plan()
        return super().folded(rules, moved)

    # --- grants come and go -----------------------------------------------------------------------------------------

    def make_grant(self, request: Request, scope: str) -> Grant:
        """A decision for a request becomes a grant; its domain is tried again if it was held back."""
        event = cast("NetworkDecided", self.event)
        number = sum(name.startswith(f"g{self.seq}x") for name in self.data.grants)
        grant = Grant(
            grant_id=f"g{self.seq}x{number}",
            domain=request.domain,
            request_id=request.request_id,
            channel_id=event.channel_id,
            user_id=event.user_id,
            user_name=event.user_name,
            via=event.via,
            at_ms=self.at_ms,
            scope=scope,
            session_id=request.session_id if scope == "session" else "",
            until_ms=self.at_ms + HOUR_MS if scope == "hour" else 0,
            state="held" if self.data.is_held(request.domain) else "wanted",
        )
        # What was withdrawn has its new decision.
        grants = {n: g for n, g in self.data.grants.items() if g.live or g.domain != request.domain}
        self.data = evolve(self.data, grants={**grants, grant.grant_id: grant})
        if grant.until_ms:
            self.issue(SetTimer("", f"grant:{grant.grant_id}", 0, grant.until_ms))
        self.try_again(request.domain)
        return grant

    def try_again(self, domain: str) -> None:
        """Nothing holds this domain back any more; what was written but not seen is applied once more."""
        data = self.data
        held = {name: code for name, code in data.held_back.items() if name != domain}
        entry = data.entries.get(domain)
        self.data = evolve(data, blocked="", held_back=held)
        if entry is not None and entry.confirmed and not self.data.is_open(domain):
            self.data = self.data.with_entry(evolve(entry, applied=""))

    def end_grant(self, grant: Grant, reason: str, *, address: str = "", withdrawn: bool = False) -> None:
        """Take a grant back: for good, or (`withdrawn`) so that it stays to be seen until there is a new decision."""
        if withdrawn:
            self.data = self.data.with_grant(evolve(grant, state="withdrawn", reason=reason))
        else:
            left = {name: g for name, g in self.data.grants.items() if name != grant.grant_id}
            self.data = evolve(self.data, grants=left)
        code = f"{reason} {address}".strip()
        for request in list(self.data.requests.values()):
            if request.grant_id == grant.grant_id:
                self.fire(request, "grant_ended", code=code, reason=_ENDS.get(reason, "it was taken back"))

    def withdraw(self, domain: str, reason: str, address: str = "") -> None:
        """A domain is not to be open any more, whatever was decided; it is said once."""
        grants = self.data.live(domain)
        for grant in grants:
            self.end_grant(grant, reason, address=address, withdrawn=True)
        if grants:
            entry = self.data.entries.get(domain)
            stays = "yes" if entry is not None and not entry.ours else ""
            channels = [grant.channel_id for grant in grants]
            self.report("withdrawn", channels, domain=domain, reason=reason, address=address, stays=stays)

    # --- what is to be written --------------------------------------------------------------------------------------

    def _plan(self) -> None:
        data = self.data
        wish = data.wish()
        stale = [e.domain for e in data.entries.values() if not e.ours and e.domain not in wish]
        if not data.busy:
            for domain in stale:
                self.data = self.data.without_entry(domain)
            self._settle_revocations()
        if data.busy or data.blocked:
            return
        data = self.data
        known = data.entries
        add = [d for d in wish if not (d in known and known[d].confirmed) and d not in data.held_back]
        remove = sorted(e.domain for e in known.values() if e.ours and e.domain not in wish)
        if data.one_by_one:
            add = add[:1]
        if add or remove:
            self.data = evolve(data, writing=Writing(tuple(add), tuple(remove)))
            self.issue(WriteAlias(data.alias, tuple(add), tuple(remove)))
            return
        unseen = tuple(d for d in wish if d in known and known[d].confirmed and not known[d].applied)
        if unseen or data.unapplied.removed:
            self._apply(Applying(unseen), None)

    def _apply(self, new: Applying, table_before: tuple[str, ...] | None) -> None:
        """Have the firewall load it, and what it did not load before."""
        data, late = self.data, self.data.unapplied
        removed = dict.fromkeys(d for d in (*new.removed, *late.removed) if d not in data.entries)
        staying = {a for entry in data.entries.values() for a in entry.addresses}
        gone = {*new.gone, *late.gone} - staying
        applying = Applying(new.added, tuple(removed), tuple(sorted(gone)), again=late.again)
        self.data = evolve(data, applying=applying, unapplied=Applying())
        self.issue(ApplyAlias(data.alias, applying.added, applying.removed, applying.gone, table_before))

    def _settle_revocations(self) -> None:
        """Whoever took back what never got in hears it now; what was approved again meanwhile is no matter any more."""
        wish, waits = self.data.wish(), list[Revocation]()
        for wanted in self.data.revocations:
            if wanted.domain in wish:
                continue
            if wanted.domain in self.data.entries or self.data.is_on_its_way(wanted.domain):
                waits.append(wanted)
            else:
                self._say_revoked(wanted, "seen")
        self.data = evolve(self.data, revocations=tuple(waits))

    # --- what came of it --------------------------------------------------------------------------------------------

    def take_read(self) -> None:
        """What stood there before our write; what each such reading shows is not ours."""
        event, writing = cast("AliasRead", self.event), self.data.writing
        if writing is None:
            return
        first = event.entries
        if writing.first is not None:
            first = tuple(entry for entry in writing.first if entry in event.entries)
        read = evolve(writing, first=first, again=writing.first is not None)
        self.data = evolve(self.data, writing=read)
        self._compare(event.entries, {*writing.add, *writing.remove})

    def take_written(self) -> None:
        """The alias was read back: what is in it is confirmed, what was left out says why."""
        event, writing = cast("AliasWritten", self.event), self.data.writing
        if writing is None:
            return
        self.data = evolve(self.data, writing=None, writes=self.data.writes + 1)
        leaving = {a for d in writing.remove for a in self._addresses(d)}
        for domain in writing.remove:
            if domain not in event.entries:
                self.data = self.data.without_entry(domain)
        added = tuple(d for d in writing.add if self._take_entry(d, event, writing))
        self._note_foreign(event.entries)
        if event.changed or added or writing.remove:
            self._apply(Applying(added, writing.remove, tuple(leaving)), event.table_before)

    def _addresses(self, domain: str) -> tuple[str, ...]:
        entry = self.data.entries.get(domain)
        return entry.addresses if entry else ()

    def _take_entry(self, domain: str, event: AliasWritten, writing: Writing) -> bool:
        """Whether it is in the alias and may be; an earlier try may have brought in what may not be open now."""
        resolved = next((name for name in event.names if name.domain == domain), None)
        if domain in event.entries:
            before, first = self.data.entries.get(domain), writing.first
            ours = (before is not None and before.ours) or (first is not None and domain not in first)
            addresses = resolved.addresses if resolved else ()
            entry = Entry(domain, ours, confirmed=True, saved_ms=self.at_ms, addresses=addresses)
            self.data = self.data.with_entry(entry)
        if resolved is not None and resolved.refused:
            self.withdraw(domain, resolved.refused, resolved.address)
            return False
        if domain not in event.entries:
            self.data = evolve(self.data, held_back={**self.data.held_back, domain: "unresolved"})
            self._fail(domain, "unresolved")
            return False
        for grant in self.data.live(domain):
            self.data = self.data.with_grant(evolve(grant, state="held"))
        return True

    def take_applied(self) -> None:
        """`unseen` is no approval: OPNsense says ok also when it did nothing."""
        event, applying = cast("AliasApplied", self.event), self.data.applying
        if applying is None:
            return
        missed = event.resolved == "unseen" and applying.removed and not applying.again
        unseen = evolve(applying, added=(), again=True) if missed else self.data.unseen
        self.data = evolve(self.data, applying=None, unseen=unseen, one_by_one=False)
        suspects = self._suspects(applying.added, event.table or ()) if event.refused else ()
        for domain in applying.added:
            entry = self.data.entries.get(domain)
            if domain in suspects:
                self.withdraw(domain, event.refused, event.address)
            elif entry is not None:
                self.data = self.data.with_entry(evolve(entry, applied=event.resolved))
                self._take_effect(domain)
        self._answer_revocations(applying.removed, event.resolved)

    def _suspects(self, added: Collection[str], table: Collection[str]) -> Collection[str]:
        """Whose an address can be that came with them: theirs of whom the table has none that we know, or anybody's."""
        unlike = [domain for domain in added if not set(self._addresses(domain)) & set(table)]
        return unlike or added

    def _take_effect(self, domain: str) -> None:
        applied = self.data.entries[domain].applied
        if not self.data.live(domain):
            return
        if applied == "unseen":
            self._fail(domain, "unseen")
        else:
            self.open_all(domain)

    def open_all(self, domain: str) -> None:
        """The firewall has it: whoever waits for it has it, too, once it was tried."""
        applied = self.data.entries[domain].applied
        for request in self.data.asked(domain):
            grant = self.data.grants.get(request.grant_id)
            if grant is not None and grant.live:
                self.fire(request, "opened", code="unknown" if applied == "unknown" else "")
        self.try_untold(domain)

    def try_untold(self, domain: str) -> None:
        """Try whether a container reaches it, if anybody waits to hear of it."""
        waits = any(r.state == "approved" and not r.told for r in self.data.asked(domain))
        if not waits or domain in self.data.trying:
            return
        saved_ms = self.data.entries[domain].saved_ms
        since_ms = saved_ms if self.at_ms - saved_ms < REACHED_WITHIN_MS else self.at_ms
        self.data = evolve(self.data, trying=(*self.data.trying, domain))
        self.issue(TryDomain(domain, since_ms + REACHED_WITHIN_MS))

    def take_tried(self) -> None:
        """Whoever waits for the domain hears of it, and what is true of it."""
        event = cast("NetworkTried", self.event)
        self.data = evolve(self.data, trying=tuple(d for d in self.data.trying if d != event.domain))
        for request in self.data.asked(event.domain):
            if request.state == "approved" and not request.told:
                told = evolve(request, told=True, reach=event.state)
                self.data = self.data.with_request(told)
                RequestStep(self, told).tell_approved(
                    reachable=event.state == "reachable", already=request.via == "grant"
                )

    def take_failed(self) -> None:
        """OPNsense said no. A name that it does not take must not keep out the others."""
        event, data = cast("AliasFailed", self.event), self.data
        writing = data.writing
        if writing is None and data.applying is None:
            return
        late = evolve(data.applying, added=()) if data.applying is not None else data.unapplied
        self.data = evolve(data, writing=None, applying=None, unapplied=late, writes=data.writes + 1)
        if writing is not None and writing.first is not None and (writing.again or event.code != "rejected"):
            self._doubt(writing, writing.first)
        rejected = writing.add if writing is not None and event.code == "rejected" else ()
        if rejected:
            self._take_rejected(rejected, event.detail)
            return
        self.data = evolve(self.data, blocked=event.code)
        for domain in self.data.wish():
            if not self.data.is_open(domain):
                self._fail(domain, event.code, event.detail)
        for wanted in self.data.revocations:
            if not wanted.told:
                facts = {"domain": wanted.domain, "code": event.code}
                self.say(wanted.channel_id, "revoke_failed", wanted.root_id, **facts)
        told = tuple(evolve(wanted, told=True) for wanted in self.data.revocations)
        self.data = evolve(self.data, revocations=told)

    def _take_rejected(self, domains: Sequence[str], detail: str) -> None:
        """OPNsense says which names it does not take; else one is tried after the other."""
        named = [d for d in domains if f'"{d}"' in detail or repr(d) in detail]
        if not named and len(domains) > 1:
            self.data = evolve(self.data, one_by_one=True)
            return
        for domain in named or domains:
            self.withdraw(domain, "rejected")

    def _doubt(self, writing: Writing, first: Collection[str]) -> None:
        """The refusal may have come behind a request of this write: what that would have changed is ours, if it is there."""
        for domain in (*writing.add, *writing.remove):
            if domain in writing.remove or domain not in first:
                self.data = self.data.with_entry(Entry(domain, True, addresses=self._addresses(domain)))

    def _fail(self, domain: str, code: str, detail: str = "") -> None:
        for request in self.data.asked(domain):
            self.fire(request, "refused", code=code, reason=detail)

    def _answer_revocations(self, removed: Collection[str], resolved: str) -> None:
        for wanted in self.data.revocations:
            if wanted.domain in removed:
                self._say_revoked(wanted, resolved)
        left = tuple(one for one in self.data.revocations if one.domain not in removed)
        self.data = evolve(self.data, revocations=left)

    def _say_revoked(self, wanted: Revocation, resolved: str) -> None:
        if wanted.domain in {entry.lower() for entry in self.data.foreign or ()}:  # OPNsense takes capitals
            facts = {"domain": wanted.domain, "granted": "yes"}
            self.say(wanted.channel_id, "revoked_but_foreign", wanted.root_id, **facts)
            return
        facts = {"domain": wanted.domain, "user": wanted.user_name, "resolved": resolved}
        self.say(wanted.channel_id, "revoked", wanted.root_id, **facts)

    # --- what a look finds ------------------------------------------------------------------------------------------

    def take_observed(self) -> None:
        """Others changed the alias, a name turned, or what did not show before shows now."""
        event = cast("AliasObserved", self.event)
        if self.data.busy:
            return
        if self.data.trouble:
            self.report("alias_well", self._channels(), alias=self.data.alias)
        self.data = evolve(self.data, blocked="", trouble="", held_back={})
        if self.data.unseen.removed:
            self.data = evolve(self.data, unapplied=self.data.unseen, unseen=Applying())
        self._compare(event.entries, ())
        self._note_foreign(event.entries)
        for name in event.names:
            entry = self.data.entries.get(name.domain)
            if name.refused:
                self.withdraw(name.domain, name.refused, name.address)
            elif entry is not None and name.status == "found":
                self.data = self.data.with_entry(evolve(entry, addresses=name.addresses))
        if event.refused and event.address != self.data.table_trouble:
            self.report("table_odd", self._channels(), reason=event.refused, address=event.address)
        self.data = evolve(self.data, table_trouble=event.address if event.refused else "")
        self._look_again(set(event.table or ()))

    def _look_again(self, table: set[str]) -> None:
        """What was saved and not seen is open by now, or is applied once more."""
        for domain in self.data.wish():
            entry = self.data.entries.get(domain)
            if entry is None or not entry.confirmed or self.data.is_open(domain):
                continue
            seen = bool(table & set(entry.addresses))
            self.data = self.data.with_entry(evolve(entry, applied="seen" if seen else ""))
            if seen:
                self.open_all(domain)

    def take_troubled(self) -> None:
        """Said once; nothing is written before the next look."""
        event, data = cast("AliasTroubled", self.event), self.data
        if data.busy or event.code == data.trouble:
            return
        self.report("alias_troubled", self._channels(), alias=data.alias, code=event.code)
        self.data = evolve(data, trouble=event.code, blocked=event.code)

    def _channels(self) -> list[str]:
        return [grant.channel_id for grant in self.data.live()]

    def _compare(self, entries: Collection[str], ours_to_change: Collection[str]) -> None:
        """What was confirmed and is missing was taken out by somebody: it is not put back.

        What was in doubt and is missing never got in.
        """
        for entry in list(self.data.entries.values()):
            if entry.domain in entries or entry.domain in ours_to_change:
                continue
            self.data = self.data.without_entry(entry.domain)
            if entry.confirmed:
                self.withdraw(entry.domain, "taken_out")

    def _note_foreign(self, entries: Collection[str]) -> None:
        """An entry that nobody granted is said once; the first reading is what the alias held before us."""
        ours = {entry.domain for entry in self.data.entries.values() if entry.ours}
        foreign = tuple(entry for entry in entries if entry not in ours)
        before = self.data.foreign
        wish = self.data.wish()
        new = [entry for entry in foreign if before is not None and entry not in before and entry not in wish]
        self.data = evolve(self.data, foreign=foreign)
        audit = self.data.policy.audit_channel
        if new and audit:
            more = str(len(new) - MAX_NAMED) if len(new) > MAX_NAMED else ""
            self.say(
                audit, "alias_foreign", alias=self.data.alias, entries="\n".join(new[:MAX_NAMED]), more=more
            )


_ENDS = {
    "revoked": "it was taken back",
    "expired": "its time is over",
    "session_over": "it was open for a session that is over",
    "taken_out": "an administrator closed it at the firewall",
    "not_global": "it leads to an address that is not public",
    "is_peer": "it leads to an address of this system",
    "rejected": "the firewall does not take this name",
}
"""What the agent hears of a grant's end, where it waits for it."""
