"""An alias that others edit, too, and an effector that may die between any two of its requests: for the ledger's model.

The effector takes the steps of the real one (read, record what was read, write, read back, report) and knows nothing
beyond the command that it carries out.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field, frozen, mutable

from sm.core import commands as c
from sm.core import events as e
from sm.core.alias import AliasData, is_news

from . import playbook as p
from .playbook import Issued, World

WRITES = 3  # as the client's: how often it writes when others undo it
GOOD, BAD, NONE = "good", "bad", "none"  # what a name leads to
OF_THE_ALIAS = ("alias.write", "alias.apply")
OF_OTHERS = ("card.resolve", "card.post", "card.update", "network.try")


@frozen
class Look:
    """A look of the reconciler that has read and not yet reported."""

    writes: int
    seen: e.AliasObserved


@mutable
class LedgerWorld:
    """The alias's stream between people and a firewall; what is true of the firewall is kept beside it."""

    world: World = field(factory=World)
    ours: set[str] = field(factory=set)  # entries that a write of ours put there, as far as anybody can tell
    unnoticed: set[str] = field(factory=set)  # taken out by others, and no read of ours has shown it yet
    confirmed: set[str] = field(factory=set)  # brought in, and read back
    taken_out: set[str] = field(factory=set)  # confirmed, then a read showed it missing; nobody decided anew
    leads: dict[str, str] = field(
        factory=dict
    )  # what a name leads to; a public address where nothing is said
    rejects: set[str] = field(factory=set)  # names that OPNsense takes for none
    doubtful: set[str] = field(factory=set)  # ours because nobody can tell whose
    reads: dict[str, int] = field(factory=dict)  # how often each write recorded what it read
    refusal: str = ""  # the code with which the next request is refused
    shows: str = "seen"  # what the firewall's table shows after a reload
    job: Iterator[None] | None = None
    look: Look | None = None

    @property
    def data(self) -> AliasData:
        return self.world.alias

    @property
    def entries(self) -> list[str]:
        """The alias's content."""
        return self.world.firewall

    # --- others -----------------------------------------------------------------------------------------------------

    def others_add(self, name: str) -> None:
        """Somebody else enters a name.

        Beside a write of ours of the same name, or one whose end nobody knows, it is ours from then on: the API names
        no author, and between our read and our write nobody sees who was first.
        """
        if name not in self.entries:
            self.entries.append(name)
            self._mark_doubtful({name})
        self.unnoticed.discard(name)

    def others_remove(self, name: str) -> None:
        """Somebody else takes a name out."""
        if name in self.entries:
            self.entries.remove(name)
            self.unnoticed.add(name)

    def _mark_doubtful(self, names: set[str]) -> None:
        entries, writing = self.data.entries.values(), self.data.writing
        self.ours.update(names & {entry.domain for entry in entries if entry.ours and not entry.confirmed})
        if writing is not None:
            self.ours.update(names & set(writing.remove))
        if writing is not None and writing.first is not None:
            coming = names & set(writing.add) - set(writing.first) - self.ours
            self.doubtful.update(coming)
            self.ours.update(coming)

    def resolve(self, names: tuple[str, ...]) -> tuple[e.Resolved, ...]:
        """What our resolver says now."""
        made = {GOOD: p.found, BAD: p.turned, NONE: p.nowhere}
        return tuple(made[self.leads.get(name, GOOD)](name) for name in names)

    # --- the effector -----------------------------------------------------------------------------------------------

    def waiting(self, *kinds: str) -> list[Issued]:
        """Commands that nobody has reported yet."""
        issued = self.world.issued
        return [i for i in issued if i.command.KIND in kinds and i.id not in self.world.settled]

    def step(self) -> None:
        """One request, or one report, of the write or the reload under way."""
        if self.job is None:
            issued = self.waiting(*OF_THE_ALIAS)[0]
            self.job = (
                self._write(issued) if isinstance(issued.command, c.WriteAlias) else self._apply(issued)
            )
        if next(self.job, "over") == "over":
            self.job = None

    def run(self, steps: int = 200) -> None:
        """So many steps, or as many as there are to do."""
        for _ in range(steps):
            if not self.waiting(*OF_THE_ALIAS):
                return
            self.step()
        assert steps < 200, "the writes come to no end"

    def crash(self) -> None:
        """The process ends: what the effector knew is gone, the command is still to be done."""
        self.job, self.look = None, None

    def _report(self, issued: Issued, event: e.Event) -> None:
        self.world.settled.add(issued.id)
        self.doubtful.clear()
        self.world >> event
        self._note(event)

    def _note(self, event: e.Event) -> None:
        """What a read has shown not to be there is nobody's any more."""
        if isinstance(event, e.AliasRead | e.AliasWritten | e.AliasObserved):
            self.ours.intersection_update(event.entries)
        if isinstance(event, e.AliasWritten):
            self.confirmed.difference_update(event.remove)
            self.confirmed.update(set(event.add) & set(event.entries))
        if isinstance(event, e.AliasObserved):
            self.unnoticed.intersection_update(event.entries)
            self._note_missing(self.confirmed - set(event.entries))

    def _note_missing(self, names: set[str]) -> None:
        self.confirmed.difference_update(names)
        self.taken_out.update(names)

    def _is_refused(self, issued: Issued, step: str) -> bool:
        code, self.refusal = self.refusal, ""
        if code:
            self._report(issued, e.AliasFailed(step, code, ""))
        return bool(code)

    def _write(self, issued: Issued) -> Iterator[None]:
        command = issued.command
        assert isinstance(command, c.WriteAlias)
        names = self.resolve(command.add)
        good = [name.domain for name in names if name.status == "found" and not name.refused]
        yield
        for write in range(WRITES + 1):
            if self._is_refused(issued, "write"):
                return
            content = tuple(self.entries)
            left = [entry for entry in content if entry not in command.remove]
            wanted = [*left, *(name for name in good if name not in left)]
            yield
            if wanted == list(content):
                changed = write > 0
                break
            if write == WRITES:
                return  # somebody undoes it each time: it is begun again
            self.reads[issued.id] = self.reads.get(issued.id, 0) + 1
            self._record_read(content, command)
            yield
            if self._is_refused(issued, "write"):
                return
            if self.rejects.intersection(good):
                if (
                    self.reads[issued.id] == 1
                ):  # no request of this write came through, so none brought them in
                    self.ours.difference_update(self.doubtful)
                self._report(issued, e.AliasFailed("write", "rejected", ""))
                return
            self._save(content, wanted)
            yield
        self._report(
            issued, e.AliasWritten(command.add, command.remove, names, changed, content, ("192.0.2.1",))
        )

    def _record_read(self, content: tuple[str, ...], command: c.WriteAlias) -> None:
        read = e.AliasRead(content)
        self.world >> read
        self._note(read)
        self.unnoticed.intersection_update({*content, *command.add, *command.remove})
        self._note_missing(self.confirmed - {*content, *command.add, *command.remove})
        self._mark_doubtful(set(self.entries) - set(content))

    def _save(self, content: tuple[str, ...], wanted: list[str]) -> None:
        """`setItem`: the whole content is replaced, whatever others did since it was read."""
        lost = [entry for entry in content if entry not in wanted and entry not in self.ours]
        assert not lost, f"{lost} stood there before our write, and no write of ours had put it there"
        back = self.taken_out & (set(wanted) - set(content))
        assert not back, f"{back} was taken out by others, and nobody decided anew"
        self.ours.update(set(wanted) - set(content))
        self.confirmed.difference_update(set(content) - set(wanted))
        self.entries[:] = wanted
        self.unnoticed.difference_update(wanted)

    def _apply(self, issued: Issued) -> Iterator[None]:
        command = issued.command
        assert isinstance(command, c.ApplyAlias)
        yield
        if self._is_refused(issued, "apply"):
            return
        odd = [name for name in self.resolve(command.added) if name.refused]
        refused, address = (odd[0].refused, odd[0].address) if odd else ("", "")
        yield
        table = None if self.shows == "unknown" else ("192.0.2.1",)
        self._report(
            issued, e.AliasApplied(command.added, command.removed, self.shows, table, refused, address)
        )

    # --- the reconciler ---------------------------------------------------------------------------------------------

    def begin_look(self) -> None:
        """It reads the alias and asks the resolver, between writes."""
        names = self.resolve(tuple(self.data.wish()))
        seen = e.AliasObserved(tuple(self.entries), names, tuple(a for name in names for a in name.addresses))
        self.look = Look(self.data.writes, seen)

    def end_look(self) -> None:
        """It reports what it found, if that is news and no write came into it."""
        look, self.look = self.look, None
        assert look is not None
        if not self.data.busy and self.data.writes == look.writes and is_news(self.data, look.seen):
            self.world >> look.seen
            self._note(look.seen)
