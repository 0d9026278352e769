"""How the OPNsense stand-in gets from a generated table to addresses in the packet filter, and when."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from sm.sandbox.faults import Faults
from sm.sandbox.network.names import Names
from sm.sandbox.opnsense.store import Store, Table, address_range, expand, is_network, now_text, ordered

OnTable = Callable[[frozenset[str]], Awaitable[None]]

CRON_S = 60.0
REFRESH_S = 300.0
UNANSWERED_S = 5.0
_TICK_S = 0.05
_MAX_NESTING = 10


class Loader:
    """Loads tables, one run at a time; whoever comes while another run holds the lock is turned away silently."""

    def __init__(
        self, store: Store, names: Names, faults: Faults, alias: str, on_table: OnTable | None
    ) -> None:
        self._store = store
        self._names = names
        self._faults = faults
        self.alias = alias
        self._on_table = on_table
        self._published: frozenset[str] | None = None
        self._running = False
        self._cron: asyncio.Task[None] | None = None
        self.cron_runs = 0

    @property
    def applied(self) -> frozenset[str]:
        """The addresses that the alias under watch lets through now."""
        table = self._store.tables.get(self.alias)
        return expand(table.rows) if table else frozenset()

    async def load(self) -> bool:
        """Load every table whose lines changed or whose names are due; False when another run is under way."""
        if self._running:
            return False
        self._running = True
        try:
            now_s = asyncio.get_running_loop().time()
            due_s = REFRESH_S * self._faults.scale("opnsense.refresh")
            for name, lines in self._store.generated.items():
                table = self._store.tables.get(name)
                if table is None or table.lines != lines or now_s - table.resolved_at_s >= due_s:
                    await self._load(name, lines, now_s)
        finally:
            self._running = False
        await self.publish()
        return True

    async def _load(self, name: str, lines: tuple[str, ...], now_s: float) -> None:
        alias, old = self._store.by_name(name), self._store.tables.get(name)
        if alias is not None and alias["type"] == "external":
            self._store.tables[name] = old or Table([], lines, now_s, None)
            return
        if any(self._names.answer(line) == "hang" for line in lines):
            await asyncio.sleep(UNANSWERED_S * self._faults.scale("opnsense.resolver"))
        self._store.tables[name] = Table(ordered(self._rows(lines)), lines, now_s, now_text())

    def _rows(self, lines: tuple[str, ...], depth: int = 0) -> list[str]:
        """What the lines are in addresses; a name without an answer is only logged by the real one, and dropped."""
        rows: list[str] = []
        for line in lines:
            nested = self._store.by_name(line)
            if nested is not None:
                rows += self._rows(tuple(nested.entries), depth + 1) if depth < _MAX_NESTING else []
            elif is_network(line):
                rows.append(line)
            else:
                found = address_range(line)
                rows += found if found is not None else self._names.lookup(_ascii(line))
        return rows

    async def publish(self) -> None:
        """Tell the gate, when what is applied has changed."""
        if self._on_table is not None and self.applied != self._published:
            self._published = self.applied
            await self._on_table(self.applied)

    async def run_cron(self) -> bool:
        """One cron minute: loads what was generated, which a saved but never reconfigured content is not."""
        self.cron_runs += 1
        return await self.load()

    async def start(self) -> None:
        """Load everything once, and begin the cron minutes."""
        self._store.generate()
        await self.load()
        self._cron = asyncio.create_task(self._every_minute(), name="opnsense cron")

    async def stop(self) -> None:
        """End the cron minutes."""
        if self._cron is not None:
            self._cron.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._cron
            self._cron = None

    async def _every_minute(self) -> None:
        """Look at the clock often, so that a changed scale holds at once."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while True:
            await asyncio.sleep(_TICK_S)
            if loop.time() - began_s >= CRON_S * self._faults.scale("opnsense.cron"):
                began_s = loop.time()
                await self.run_cron()


def _ascii(name: str) -> str:
    """The name as it is asked for: Unicode labels in their ASCII form."""
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name
