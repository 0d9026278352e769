"""The firewall alias: read it, change our entries in it, have it applied, see the addresses appear.

The flow is the one that works on OPNsense (27.1, observed): `alias_util/add` cannot add a name, failures answer
200, `setItem` replaces the whole content without a version check, and `reconfigure` says ok when nothing was
applied. So *saved*, *applied* and *resolved* are separate facts here, each read back.
"""

from __future__ import annotations

import asyncio
import copy
import re
import ssl as tls
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, Literal, cast

import aiohttp
from attrs import frozen

from sm.core.outcome import Refused, Unreachable
from sm.opnsense.table import Resolutions, Resolve, differs, left
from sm.opnsense.wire import Wire, system_resolver

TIMEOUT_S = 20.0
# A reconfigure resolves every name and may take minutes.
RECONFIGURE_TIMEOUT_S = 150.0
# Where another refresh holds the lock, the next minute's cron applies what reconfigure left out.
SEEN_WITHIN_S = 75.0
POLL_EVERY_S = 2.0
RESOLVER_WAIT_S = 3.0
WRITES = 4

_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# Stricter than the server, which takes single labels, capitals, `!ip`, ranges and names of other aliases.
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z)({_LABEL}\.)+(?!\d+\Z){_LABEL}")

# Called with the entries that were just read, directly before they are written over; stops the write by raising.
BeforeWrite = Callable[[tuple[str, ...]], Awaitable[None]]
# Called directly before the firewall is told to apply; stops it by raising.
BeforeApply = Callable[[], Awaitable[None]]


@frozen
class AliasContent:
    """What stands in the alias: its entries in their order, of other writers too."""

    uuid: str
    entries: tuple[str, ...]


@frozen
class Look:
    """The alias as it is: its entries, and the addresses of the packet filter's table, None without the privilege
    to see them.
    """

    entries: tuple[str, ...]
    table: tuple[str, ...] | None


@frozen
class Saved:
    """The alias holds what was asked for; nothing is applied yet.

    `changed` is whether this call wrote; when not, an earlier one may have, so apply all the same. `table_before`
    has the addresses of the packet filter's table directly before, None when the privilege to see them is missing.
    """

    changed: bool
    before: tuple[str, ...]
    after: tuple[str, ...]
    table_before: tuple[str, ...] | None


@frozen
class Applied:
    """The firewall was told to apply. `resolved`: whether addresses were seen to arrive, or to leave; `unknown`
    without the privilege to look. `table` is what was seen last.
    """

    resolved: Literal["seen", "unseen", "unknown"]
    table: tuple[str, ...] | None


class OPNsenseClient:
    """Writes one alias, the one it was made for, and no other.

    Every method raises `Unreachable` (outcome unknown: call it again, it reads first) or `Refused`.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        key: str,
        secret: str,
        *,
        alias: str,
        ssl: tls.SSLContext | aiohttp.Fingerprint | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        resolve: Resolve = system_resolver,
        monotonic: Callable[[], float] = time.monotonic,
        timeout_s: float = TIMEOUT_S,
        reconfigure_timeout_s: float = RECONFIGURE_TIMEOUT_S,
    ) -> None:
        if not _ALIAS.fullmatch(alias):
            raise ValueError("the alias's name is not one that OPNsense allows")
        self._wire = Wire(http, url.rstrip("/"), key, secret, True if ssl is None else ssl)
        self._alias = alias
        self._sleep = sleep
        self._resolve = resolve
        self._monotonic = monotonic
        self._timeout_s = timeout_s
        self._reconfigure_timeout_s = reconfigure_timeout_s
        self._resolver_wait_s = RESOLVER_WAIT_S
        # One of us speaks at a time: so writers take turns, no request of ours lies between a read and its write, and
        # two reconfigures never run at once (the second one would answer ok and do nothing).
        self._turn = asyncio.Lock()

    def of(self, alias: str) -> OPNsenseClient:
        """The client of an alias of the same firewall, which takes turns with this one."""
        if alias == self._alias:
            return self
        if not _ALIAS.fullmatch(alias):
            raise ValueError("the alias's name is not one that OPNsense allows")
        other = copy.copy(self)
        other._alias = alias  # noqa: SLF001  # one of us
        return other

    def __repr__(self) -> str:
        return f"<OPNsenseClient of alias {self._alias} at {self._wire.url}>"

    async def check(self) -> None:
        """Probe, changing nothing: key, privilege, and that the alias is there, enabled and of the type host."""
        await self.read()

    async def read(self) -> AliasContent:
        """The alias's content. Refused with `alias_missing`, `alias_disabled`, `alias_wrong_type`, `unauthorized`,
        `forbidden`: a write to a disabled alias would be saved and apply nothing, silently.
        """
        async with self._turn:
            return await self._read()

    async def _read(self) -> AliasContent:
        found = await self._get(f"alias/getAliasUUID/{self._alias}")
        if found == []:
            raise self._missing()
        uuid = _text(found, "uuid")
        if uuid is None or not _UUID.fullmatch(uuid):
            raise self._odd("where the alias is")
        exported = await self._post("alias/export", {"ids": [uuid]})
        aliases = _under(_under(exported, "aliases"), "alias")
        item = _under(aliases, uuid)
        if item is None:
            if aliases in ([], {}):
                raise self._missing()
            raise self._odd("the alias's content")
        if _text(item, "name") != self._alias:
            raise self._missing()
        if _text(item, "type") != "host":
            raise Refused(
                "alias_wrong_type",
                f"The firewall alias {self._alias} is not of the type Host(s), so it cannot hold names: "
                "make it one (Firewall, Aliases), or name another in SM_OPNSENSE_ALIAS.",
            )
        if _text(item, "enabled") != "1":
            raise Refused(
                "alias_disabled",
                f"The firewall alias {self._alias} is disabled, so nothing in it takes effect: "
                "enable it (Firewall, Aliases).",
            )
        content = _text(item, "content")
        if content is None:
            raise self._odd("the alias's content")
        return AliasContent(uuid, tuple(line for raw in content.split("\n") if (line := raw.strip())))

    async def look(self) -> Look:
        """Entries and table, none of our own writes under way; refused as `read` is.

        The table comes first: what others enter meanwhile has its entry here before its address, never the other way.
        """
        async with self._turn:
            table = await self._table()
            return Look((await self._read()).entries, table)

    async def save(
        self, *, add: Iterable[str], remove: Iterable[str] = (), before_write: BeforeWrite
    ) -> Saved:
        """Bring our entries into the alias, or out of it; what others put there stays, in its order.

        Writes only when something is missing or too much. `before_write` gets the entries that were read by the last
        request, runs directly before each write, and stops it by raising. After a write the alias is read again; when
        another writer has undone ours in between, once more, `WRITES` times at most. What is saved between that read
        and our write is lost, for OPNsense checks no version: no request of ours lies between the two. A write whose
        outcome is unknown is not repeated here: `Unreachable`, call again.
        """
        adds, removes = tuple(dict.fromkeys(add)), frozenset(remove)
        if removes.intersection(adds):
            raise ValueError("an entry cannot be both added and removed")
        if bad := [entry for entry in adds if not _DOMAIN.fullmatch(entry)]:
            raise Refused(
                "rejected", f"{self._wire.safe(repr(bad[0]))} is not a domain name that may enter the alias."
            )
        async with self._turn:
            table_before = await self._table()
            before = content = await self._read()
            for write in range(WRITES + 1):
                wanted = _changed(content.entries, adds, removes)
                if wanted == content.entries:
                    return Saved(write > 0, before.entries, content.entries, table_before)
                if write == WRITES:
                    break
                await before_write(content.entries)
                await self._set(content.uuid, wanted)
                content = await self._read()
        raise Unreachable(
            f"The firewall alias {self._alias} was changed by someone else after each of {WRITES} writes; "
            "what is ours did not stay in it."
        )

    async def apply(
        self,
        domains: Iterable[str],
        table_before: tuple[str, ...] | None,
        *,
        gone: Collection[str] = (),
        before_write: BeforeApply,
    ) -> Applied:
        """Have the saved content take effect, then watch the table for up to 75 s.

        `domains` came into the alias, the addresses `gone` belonged to what left it. `seen`: the table differs from
        `table_before`, or holds addresses that our own resolver has for each of `domains`; where something had to
        leave, only once the `gone` have, or those of them that no other entry keeps (and `domains`, if any, are
        there). Nothing else proves it, for `reconfigure` answers ok in either case.
        """
        async with self._turn:
            await before_write()
            answer = await self._wire.post("alias/reconfigure", {}, timeout_s=self._reconfigure_timeout_s)
        if _text(answer, "status") != "ok":
            raise Unreachable(
                "OPNsense did not confirm that it applies the alias (reconfigure did not answer ok)."
            )
        resolutions = Resolutions(domains, self._resolve)
        try:
            return await self._watch(resolutions, table_before, gone)
        finally:
            resolutions.close()

    async def _watch(
        self, resolutions: Resolutions, table_before: tuple[str, ...] | None, gone: Collection[str]
    ) -> Applied:
        deadline = self._monotonic() + SEEN_WITHIN_S
        last: tuple[str, ...] | None = None
        while True:
            try:
                async with self._turn:
                    table = await self._table()
                if table is None:
                    return Applied("unknown", None)
                last = table
            except Unreachable:
                table = None
            if table is not None:
                has_left = left(gone, table, table_before)
                if (has_left and not resolutions) or (not gone and differs(table, table_before)):
                    return Applied("seen", table)
                await resolutions.refresh(self._resolver_wait_s)
                if resolutions.meet(table) and (has_left or not gone):
                    return Applied("seen", table)
            if self._monotonic() >= deadline:
                return Applied("unknown" if last is None else "unseen", last)
            await self._sleep(POLL_EVERY_S)

    async def _table(self) -> tuple[str, ...] | None:
        try:
            answer = await self._get(f"alias_util/list/{self._alias}")
        except Refused as refused:
            # Seeing the table is a privilege of its own ("Diagnostics: PF Table IP addresses"), and a luxury.
            if refused.code == "forbidden":
                return None
            raise
        rows = _under(answer, "rows")
        if not isinstance(rows, list):
            raise self._odd("the table's addresses")
        return tuple(ip for row in cast("list[Any]", rows) if (ip := _text(row, "ip")) is not None)

    async def _set(self, uuid: str, entries: tuple[str, ...]) -> None:
        # `content` only: a body with `name` could rename the alias. No newline at the end: that is an empty entry.
        answer = await self._post(f"alias/setItem/{uuid}", {"alias": {"content": "\n".join(entries)}})
        match _text(answer, "result"):
            case "saved":
                return
            case "failed":
                reason = self._wire.safe("; ".join(_strings(_under(answer, "validations"))))
                raise Refused(
                    "rejected",
                    f"OPNsense does not take the alias's new content: {reason or 'no reason given'}",
                )
            case _:
                raise self._odd("whether the alias was saved")

    async def _get(self, path: str) -> Any:
        return await self._wire.get(path, timeout_s=self._timeout_s)

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        return await self._wire.post(path, body, timeout_s=self._timeout_s)

    def _missing(self) -> Refused:
        return Refused(
            "alias_missing",
            f"The firewall has no alias {self._alias}: create it (Firewall, Aliases; type Host(s), with "
            "api.anthropic.com in it), or name another in SM_OPNSENSE_ALIAS.",
        )

    def _odd(self, about: str) -> Unreachable:
        return Unreachable(f"OPNsense's answer does not tell {about}; it has a shape that is not known here.")


def _changed(entries: tuple[str, ...], add: tuple[str, ...], remove: frozenset[str]) -> tuple[str, ...]:
    kept = tuple(entry for entry in entries if entry not in remove)
    return kept + tuple(entry for entry in add if entry not in kept)


def _under(value: Any, key: str) -> Any:
    return cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None


def _text(value: Any, key: str) -> str | None:
    found = _under(value, key)
    return found if isinstance(found, str) else None


def _strings(value: Any) -> list[str]:
    """Every text in `validations`, which has a text or a list of texts a field."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(cast("dict[str, Any]", value).values())
    return (
        [text for part in cast("list[Any]", value) for text in _strings(part)]
        if isinstance(value, list)
        else []
    )
