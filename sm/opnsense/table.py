"""Has an approved name arrived in the packet filter's table?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable

from sm.core.addresses import canonical

Resolve = Callable[[str], Awaitable[frozenset[str]]]


def differs(table: Iterable[str], before: Iterable[str] | None) -> bool:
    """Whether two looks at the table saw other addresses; their order says nothing. No, where one did not see."""
    if before is None:
        return False
    return {canonical(address) for address in table} != {canonical(address) for address in before}


def left(gone: Collection[str], table: Iterable[str], before: Iterable[str] | None) -> bool:
    """Whether addresses that were to leave did: all of them, or some that were there before.

    An address that stays may be another entry's, too. Where none of them was there before, the firewall has others for
    what was taken out, which nobody told us: then any change of the table counts.
    """
    wanted = {canonical(address) for address in gone}
    still = wanted.intersection(canonical(address) for address in table)
    if before is None:
        return bool(wanted) and not still
    there = wanted.intersection(canonical(address) for address in before)
    if wanted and not there:
        return not still and differs(table, before)
    return bool(there - still)


class Resolutions:
    """What our own resolver has said so far about some names, asked again and again while it is watched.

    One question a name is under way at a time: a resolver that hangs holds a thread, and must not gather them.
    """

    def __init__(self, domains: Iterable[str], resolve: Resolve) -> None:
        self._resolve = resolve
        self._known: dict[str, set[str]] = {domain: set() for domain in domains}
        self._asked: dict[str, asyncio.Task[frozenset[str]]] = {}

    def __bool__(self) -> bool:
        """Whether there are names to ask for."""
        return bool(self._known)

    async def refresh(self, wait_s: float) -> None:
        """Ask for every name anew and take in what answers within `wait_s` seconds; a failure is no answer."""
        for domain in self._known:
            if domain not in self._asked:
                self._asked[domain] = asyncio.ensure_future(self._resolve(domain))
        if self._asked:
            await asyncio.wait(self._asked.values(), timeout=wait_s)
        for domain, task in list(self._asked.items()):
            if task.done():
                del self._asked[domain]
                if not task.cancelled() and task.exception() is None:
                    self._known[domain] |= {canonical(address) for address in task.result()}

    def meet(self, table: Iterable[str]) -> bool:
        """Whether every name that resolves has an address in the table, and one does resolve."""
        addresses = {canonical(address) for address in table}
        resolved = [found for found in self._known.values() if found]
        return bool(resolved) and all(found & addresses for found in resolved)

    def close(self) -> None:
        """Give up what is still being asked."""
        for task in self._asked.values():
            task.cancel()
