"""Has an approved name arrived in the packet filter's table?"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable

Resolve = Callable[[str], Awaitable[frozenset[str]]]


def canonical(address: str) -> str:
    """The one spelling of an address; text that is none (a network, `!`-negation) stays as it is."""
    try:
        return str(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return address


class Resolutions:
    """What our own resolver has said so far about some names, asked again and again while it is watched.

    One question a name is under way at a time: a resolver that hangs holds a thread, and must not gather them.
    """

    def __init__(self, domains: Iterable[str], resolve: Resolve) -> None:
        self._resolve = resolve
        self._known: dict[str, set[str]] = {domain: set() for domain in domains}
        self._asked: dict[str, asyncio.Task[frozenset[str]]] = {}

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
