"""The alias endpoints of the OPNsense stand-in: nearly all their failures are a 200 with the reason inside."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from aiohttp import web
from attrs import frozen

from sm.sandbox.faults import Faults
from sm.sandbox.opnsense.shapes import dump, flat, item, page, row, table_size
from sm.sandbox.opnsense.store import Alias, Store, Table, is_network
from sm.sandbox.opnsense.tables import Loader

MAX_WRITES = 2000
SLOW_RECONFIGURE_S = 120.0
LOCK_S = 4.0
ADMIN_ENTRY = "added-by-admin.example"

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
# What alias_util/add takes for an address: hex letters too, so that cafe.de slips through and api.openai.com does not.
_ADDRESS = re.compile(r"[0-9a-f:./_]+")

FAULTS: Mapping[str, str] = {
    "readonly_user": "writing endpoints answer 500: the user has user-config-readonly",
    "save_refused": "setItem answers {\"result\":\"failed\"} without a reason, and saves nothing",
    "locked": f"a writer waits {LOCK_S:g} s for the configuration's lock",
    "foreign_edit_before": f"an administrator adds {ADMIN_ENTRY} right before our setItem is carried out",
    "foreign_edit_after": "another writer, who read before our setItem, replaces its content right after it",
    "reconfigure_ignored": "reconfigure answers ok and loads nothing (another run holds the lock); the next cron minute does",
    "reconfigure_lost": "reconfigure answers ok and nothing comes of it, until the next reconfigure",
    "reconfigure_slow": f"reconfigure takes {SLOW_RECONFIGURE_S:g} s before it loads",
    "reconfigure_error": "reconfigure answers 500: the packet filter could not load the table",
}  # fmt: skip
SCALES: Mapping[str, str] = {
    "opnsense.lock": f"{LOCK_S:g} s that a locked configuration keeps a writer waiting",
    "opnsense.reconfigure": f"{SLOW_RECONFIGURE_S:g} s of a slow reconfigure",
}


@frozen
class Call:
    """One request that has been let in: its path parameters, body or query as PHP merges them, and method."""

    method: str
    endpoint: str
    params: tuple[str, ...]
    body: Mapping[str, object]
    query: Mapping[str, str]

    @property
    def is_post(self) -> bool:
        """Whether it may write."""
        return self.method == "POST"

    def get(self, key: str) -> object:
        """A value from the body, else from the query."""
        return self.body.get(key, self.query.get(key))


class UnexpectedError(Exception):
    """An exception inside the appliance: 500 with the message and, where it has one, a title."""

    def __init__(
        self, message: str = "Unexpected error, check log for details", title: str | None = None
    ) -> None:
        super().__init__(message)
        self.title = title


Endpoint = Callable[[Call], Awaitable[web.Response]]


class Api:
    """What each endpoint does, and the record of every write."""

    def __init__(self, store: Store, loader: Loader, faults: Faults) -> None:
        self._store = store
        self._loader = loader
        self._faults = faults
        self._lock = asyncio.Lock()
        self.writes: list[dict[str, object]] = []
        self.counts = {"setItem": 0, "reconfigure": 0, "add": 0, "delete": 0}
        for name, words in FAULTS.items():
            faults.declare("opnsense", name, words)
        for name, words in SCALES.items():
            faults.declare_scale(name, words)
        # (controller, action in lower case without underscores) → (least number of path parameters, endpoint)
        self.endpoints: dict[tuple[str, str], tuple[int, Endpoint]] = {
            ("alias", "getaliasuuid"): (1, self._get_uuid),
            ("alias", "getitem"): (0, self._get_item),
            ("alias", "export"): (0, self._export),
            ("alias", "searchitem"): (0, self._search),
            ("alias", "gettablesize"): (0, self._table_size),
            ("alias", "setitem"): (1, self._set_item),
            ("alias", "additem"): (0, self._add_item),
            ("alias", "delitem"): (1, self._del_item),
            ("alias", "toggleitem"): (1, self._toggle),
            ("alias", "reconfigure"): (0, self._reconfigure),
            ("alias_util", "list"): (1, self._list),
            ("alias_util", "aliases"): (0, self._aliases),
            ("alias_util", "add"): (1, self._util_add),
            ("alias_util", "delete"): (1, self._util_delete),
        }

    # Reading

    async def _get_uuid(self, call: Call) -> web.Response:
        alias = self._store.by_name(call.params[0])
        return answer({"uuid": alias.uuid} if alias else [])

    async def _get_item(self, call: Call) -> web.Response:
        return answer(item(self._store, self._store.aliases.get(call.params[0] if call.params else "")))

    async def _export(self, call: Call) -> web.Response:
        ids = call.get("ids")
        if isinstance(ids, dict):
            wanted = list(cast("dict[str, object]", ids).values())
        else:
            wanted = cast("list[object]", ids) if isinstance(ids, list) else list(self._store.aliases)
        found = {
            alias.uuid: flat(alias, self._store.tables.get(alias.name))
            for alias in self._store.aliases.values()
            if alias.uuid in wanted
        }
        return answer({"aliases": {"alias": found}}, pretty=True)

    async def _search(self, call: Call) -> web.Response:
        phrase = str(call.get("searchPhrase") or "").lower()
        rows = [row(alias, self._store.tables.get(alias.name)) for alias in self._store.aliases.values()]
        kept = [one for one in rows if any(phrase in str(value).lower() for value in one.values())]
        return answer(page(kept, {**call.query, **call.body}, total_first=False))

    async def _table_size(self, _call: Call) -> web.Response:
        return answer(table_size(self._store))

    async def _list(self, call: Call) -> web.Response:
        table = self._store.tables.get(call.params[0])
        rows: list[dict[str, object]] = [
            {"ip": ip, "out_pass_p": 12, "out_pass_b": 3456} for ip in (table.rows if table else ())
        ]
        return answer(page(rows, {**call.query, **call.body}, total_first=True))

    async def _aliases(self, _call: Call) -> web.Response:
        return answer(sorted(self._store.tables))

    # Writing

    async def _set_item(self, call: Call) -> web.Response:
        changes = _fields(call)
        if not call.is_post or changes is None or not _UUID.fullmatch(call.params[0]):
            return answer({"result": "failed"})
        self._refuse_readonly(call)
        async with self._lock:
            await self._wait_for_lock(call)
            if self._faults.hit("opnsense", "save_refused", endpoint=call.endpoint):
                return answer({"result": "failed"})
            alias = self._store.aliases.get(call.params[0])
            if alias and self._faults.hit("opnsense", "foreign_edit_before", alias=alias.name):
                self._replace(alias.uuid, [*alias.entries, ADMIN_ENTRY], "administrator")
            stale = alias.entries if alias else []
            complaints = self._save("setItem", call.params[0], changes)
            if complaints:
                return answer({"result": "failed", "validations": complaints})
            self.counts["setItem"] += 1
            if alias and self._faults.hit("opnsense", "foreign_edit_after", alias=alias.name):
                self._replace(alias.uuid, [*stale, ADMIN_ENTRY], "administrator")
        return answer({"result": "saved"})

    async def _add_item(self, call: Call) -> web.Response:
        changes = _fields(call)
        if not call.is_post or changes is None:
            return answer({"result": "failed"})
        self._refuse_readonly(call)
        async with self._lock:
            made = str(uuid.uuid4())
            complaints = self._save("addItem", made, changes)
        return answer(
            {"result": "failed", "validations": complaints}
            if complaints
            else {"result": "saved", "uuid": made}
        )

    async def _del_item(self, call: Call) -> web.Response:
        if not call.is_post:
            return answer({"result": "failed"})
        self._refuse_readonly(call)
        async with self._lock:
            alias = self._store.aliases.pop(call.params[0], None)
            if alias is not None:
                self._record("delItem", alias.name, alias.entries, [], "api")
        return answer({"result": "deleted" if alias else "not found"})

    async def _toggle(self, call: Call) -> web.Response:
        alias = self._store.aliases.get(call.params[0])
        if not call.is_post or alias is None:
            return answer({"result": "failed"})
        self._refuse_readonly(call)
        async with self._lock:
            wanted = call.params[1] if len(call.params) > 1 else str(1 - int(alias["enabled"] or 0))
            changed = wanted != alias["enabled"]
            self._save("toggleItem", alias.uuid, {"enabled": "1" if wanted == "1" else "0"})
        return answer({"result": "Enabled" if wanted == "1" else "Disabled", "changed": changed})

    async def _reconfigure(self, call: Call) -> web.Response:
        if not call.is_post:
            return answer({"status": "failed"})
        self.counts["reconfigure"] += 1
        if self._faults.hit("opnsense", "reconfigure_slow"):
            await asyncio.sleep(SLOW_RECONFIGURE_S * self._faults.scale("opnsense.reconfigure"))
        if self._faults.hit("opnsense", "reconfigure_error"):
            raise UnexpectedError(
                f"Error loading alias [{self._loader.alias}]: Cannot allocate memory. "
                "{current_size: 1, new_size: 2}",
                "Alias",
            )
        if self._faults.hit("opnsense", "reconfigure_lost"):
            return answer({"status": "ok"})
        self._store.generate()
        if not self._faults.hit("opnsense", "reconfigure_ignored"):
            await self._loader.load()
        return answer({"status": "ok"})

    # alias_util: made for addresses, changes the packet filter at once

    async def _util_add(self, call: Call) -> web.Response:
        address = call.get("address")
        if not call.is_post or not isinstance(address, str) or not address:
            return answer({"status": "failed"})
        if not _ADDRESS.fullmatch(address):
            return answer({"status": "not_an_address"})
        self._refuse_readonly(call)
        async with self._lock:
            await self._wait_for_lock(call)
            alias = self._store.by_name(call.params[0])
            if alias is None:
                return answer({"status": "failed", "status_msg": f"nonexistent alias {call.params[0]}"})
            # The real one takes index 0 of the search for "not found": its first entry is added once more.
            if alias["type"] in {"host", "network"} and address not in alias.entries[1:]:
                content = "\n".join([*alias.entries, address])
                if self._save("add", alias.uuid, {"content": content}):
                    raise UnexpectedError
                self.counts["add"] += 1
            if is_network(address):  # also for a port alias, which gets a table only so
                table = self._store.tables.setdefault(alias.name, Table([], (), 0.0, None))
                table.rows += [] if address in table.rows else [address]
        await self._loader.publish()
        return answer({"status": "done"})

    async def _util_delete(self, call: Call) -> web.Response:
        address = call.get("address")
        if not call.is_post or not isinstance(address, str):
            return answer({"status": "failed"})
        self._refuse_readonly(call)
        async with self._lock:
            alias = self._store.by_name(call.params[0])
            if alias is not None and address in alias.entries:
                content = "\n".join(entry for entry in alias.entries if entry != address)
                self._save("delete", alias.uuid, {"content": content})
                self.counts["delete"] += 1
            table = self._store.tables.get(call.params[0])
            if table is not None and address in table.rows:
                table.rows.remove(address)
        await self._loader.publish()
        return answer({"status": "done"})

    # What they share

    async def administrator_edits(self, alias: Alias, add: list[str], remove: list[str]) -> dict[str, object]:
        """Change the content as a person at the web interface does. Answers the complaints, if there are any."""
        async with self._lock:
            kept = [entry for entry in alias.entries if entry not in remove]
            return self._replace(
                alias.uuid, [*kept, *(entry for entry in add if entry not in kept)], "administrator"
            )

    def _replace(self, identifier: str, entries: list[str], who: str) -> dict[str, object]:
        return dict(self._save("edit", identifier, {"content": "\n".join(entries)}, who))

    def _save(
        self, action: str, identifier: str, changes: Mapping[str, str], who: str = "api"
    ) -> dict[str, str | list[str]]:
        before = self._store.aliases.get(identifier)
        complaints = self._store.save(identifier, changes)
        if not complaints:
            after = self._store.aliases[identifier]
            self._record(action, after.name, before.entries if before else [], after.entries, who)
        return complaints

    def _record(self, action: str, name: str, before: list[str], after: list[str], who: str) -> None:
        if len(self.writes) < MAX_WRITES:
            self.writes.append({"action": action, "by": who, "alias": name, "before": before, "after": after})

    def _refuse_readonly(self, call: Call) -> None:
        if self._faults.hit("opnsense", "readonly_user", endpoint=call.endpoint):
            raise UnexpectedError(
                "User claude-session-manager denied for write access (user-config-readonly set)",
                "General access",
            )

    async def _wait_for_lock(self, call: Call) -> None:
        if self._faults.hit("opnsense", "locked", endpoint=call.endpoint):
            await asyncio.sleep(LOCK_S * self._faults.scale("opnsense.lock"))


def answer(value: object, status: int = 200, *, pretty: bool = False) -> web.Response:
    """A body as the API writes it."""
    kind = "application/json; charset=UTF-8"
    return web.Response(
        body=dump(value, pretty=pretty).encode(), status=status, headers={"Content-Type": kind}
    )


def exception(error: UnexpectedError) -> web.Response:
    """The answer to an exception inside the appliance."""
    body = {"errorMessage": str(error)}
    if error.title:
        body |= {"errorTitle": error.title, "errorLevel": "error"}
    headers = {"Content-Type": "application/json;charset=utf-8"}
    return web.Response(body=dump(body).encode(), status=500, headers=headers)


def _fields(call: Call) -> dict[str, str] | None:
    """The fields of `{"alias": {…}}` as text; None when there is no such object.

    Raises `UnexpectedError` for a list or an object in the place of a text, as the real one does.
    """
    fields = call.body.get("alias")
    if fields == []:
        return {}
    if not isinstance(fields, dict):
        return None
    out: dict[str, str] = {}
    for key, value in cast("dict[str, object]", fields).items():
        if isinstance(value, list | dict):
            raise UnexpectedError
        out[key] = str(int(value)) if isinstance(value, bool) else str(value if value is not None else "")
    return out
