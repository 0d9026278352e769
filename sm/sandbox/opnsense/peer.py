"""A stand-in for OPNsense's firewall alias API: a real server, with every trap that the real one was seen to have.

    peer = OPNsensePeer(faults, names, key="k", secret="s", on_table=gate.table_changed)
    await peer.start()
    control.sections["opnsense"] = peer.state
    control.actions.update(peer.actions)

What it copies was observed against the real PHP controllers of a 27.1 development tree: routing and its ACL, the 401
after two seconds, the 302 without an Authorization header, the 200s that mean failure, partial and blind writes, and
the three steps from saved to loaded.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import fnmatch
import hmac
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from aiohttp import web

from sm.sandbox.control import Action, ActionError
from sm.sandbox.faults import Faults
from sm.sandbox.network.names import Answer, BadNameError, Names
from sm.sandbox.network.tls import self_signed
from sm.sandbox.opnsense.api import Api, Call, UnexpectedError, answer, exception
from sm.sandbox.opnsense.shapes import parse_form
from sm.sandbox.opnsense.store import Alias, Store, alias
from sm.sandbox.opnsense.tables import CRON_S, REFRESH_S, UNANSWERED_S, Loader, OnTable

ALIAS_UUID = "11111111-1111-4111-8111-111111111111"
#: What each privilege covers: patterns of the literal path below /api/, as the ACL matches them, case and all.
PRIVILEGES: Mapping[str, tuple[str, ...]] = {
    "alias": ("firewall/alias/*",),  # page-firewall-alias-edit
    "alias_util": ("firewall/alias_util/*",),  # page-diagnostics-tables
    "alias_view": (
        "firewall/alias/get*",
        "firewall/alias/search*",
        "firewall/alias/list*",
    ),  # page-firewall-aliases
    "all": ("*",),  # page-all
}
MAX_BODY_BYTES = 1 << 20
MAX_REQUESTS = 2000
WRONG_KEY_S = 2.0
DAEMON_DOWN_S = 170.0

_FAULTS: Mapping[str, str] = {
    "lost_request": "closes the connection and does nothing",
    "lost_reply": "does what was asked and closes the connection before the answer",
    "daemon_down": f"the backend daemon is away: the call takes {DAEMON_DOWN_S:g} s",
    "unauthorized": f"answers 401 after {WRONG_KEY_S:g} s, as if key or secret were wrong",
    "forbidden": 'answers 403, as if the privilege were lacking (match "group": "alias" or "alias_util")',
    "server_error": "answers 500 and does nothing",
    "unavailable": "answers 503 with a page of HTML and does nothing",
}
_SCALES: Mapping[str, str] = {
    "opnsense.authentication": f"{WRONG_KEY_S:g} s until a wrong key is answered",
    "opnsense.daemon": f"{DAEMON_DOWN_S:g} s that a call takes while the backend daemon is away",
    "opnsense.cron": f"{CRON_S:g} s between two runs that load what was generated",
    "opnsense.refresh": f"{REFRESH_S:g} s after which names are resolved again",
    "opnsense.resolver": f"{UNANSWERED_S:g} s that a resolver which doesn't answer takes",
}


class OPNsensePeer:
    """The server, its control actions, and what an observer sees of it."""

    def __init__(
        self,
        faults: Faults,
        names: Names,
        *,
        key: str,
        secret: str,
        alias_name: str = "llm_approved_domains",
        entries: Iterable[str] = ("api.anthropic.com",),
        on_table: OnTable | None = None,
        privileges: frozenset[str] = frozenset({"alias", "alias_util"}),
        port: int = 0,
        tls_folder: Path | None = None,
    ) -> None:
        """With `tls_folder` it speaks https with a self-signed certificate made there, else plain http."""
        self.port = port
        self.url = ""
        self.fingerprint = ""
        self.alias_name = alias_name
        self.privileges = privileges
        self._faults = faults
        self._names = names
        self._credentials = f"{key}:{secret}".encode()
        self._tls_folder = tls_folder
        self._runner: web.AppRunner | None = None
        self._requests: list[dict[str, object]] = []
        self._store = Store(
            [
                alias(ALIAS_UUID, alias_name, "host", "\n".join(entries)),
                alias("22222222-2222-4222-8222-222222222222", "llm_disabled", "host", "api.anthropic.com", enabled=False),
                alias("33333333-3333-4333-8333-333333333333", "llm_net", "network", "10.9.0.0/24"),
                alias("44444444-4444-4444-8444-444444444444", "llm_ext", "external"),
                alias("55555555-5555-4555-8555-555555555555", "llm_ports", "port", "443"),
            ]
        )  # fmt: skip
        self._loader = Loader(self._store, names, faults, alias_name, on_table)
        self._api = Api(self._store, self._loader, faults)
        for name, words in _FAULTS.items():
            faults.declare("opnsense", name, words)
        for name, words in _SCALES.items():
            faults.declare_scale(name, words)
        self.actions: dict[str, Action] = {
            "opnsense/edit": self._edit,
            "opnsense/alias": self._change_alias,
            "opnsense/dns": self._change_dns,
            "opnsense/cron": self._run_cron,
        }

    async def start(self) -> None:
        """Load the first table and listen on 127.0.0.1. Raises `OSError` when the port is taken."""
        context = None
        if self._tls_folder is not None:
            context, self.fingerprint = self_signed(
                self._tls_folder, "127.0.0.1", "localhost", "opnsense.internal"
            )
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        self._runner = runner
        await web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=context).start()
        self.port = int(runner.addresses[0][1])
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        await self._loader.start()

    async def stop(self) -> None:
        """Stop listening and end the cron minutes."""
        await self._loader.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def applied(self) -> frozenset[str]:
        """The addresses that are open now."""
        return self._loader.applied

    def state(self) -> dict[str, object]:
        """Everything an observer would compare: contents, tables, each write with before and after, and counts."""
        counts = self._api.counts
        return {
            "aliases": {
                one.name: {
                    "uuid": one.uuid, "enabled": one["enabled"] == "1", "type": one["type"], "content": one.entries,
                }
                for one in self._store.aliases.values()
            },
            "tables": {name: list(table.rows) for name, table in sorted(self._store.tables.items())},
            "set_item": counts["setItem"],
            "reconfigure": counts["reconfigure"],
            "add": counts["add"],
            "delete": counts["delete"],
            "writes": list(self._api.writes),
            "requests": list(self._requests),
            "cron_runs": self._loader.cron_runs,
            "dns": self._names.table(),
        }  # fmt: skip

    # One request

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        endpoint = request.path.removeprefix("/api/firewall/")
        response = None
        if not self._faults.hit("opnsense", "lost_request", method=request.method, endpoint=endpoint):
            response = await self._answer(request, endpoint)
        if len(self._requests) < MAX_REQUESTS:
            status = response.status if response else 0
            self._requests.append({"method": request.method, "path": request.path[:500], "status": status})
        if response is None or self._faults.hit(
            "opnsense", "lost_reply", method=request.method, endpoint=endpoint
        ):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=503)
        return response

    async def _answer(self, request: web.Request, endpoint: str) -> web.Response:
        """Route, authenticate, authorise, read the body, act: in this order, so that a 404 needs no key."""
        context: dict[str, object] = {"method": request.method, "endpoint": endpoint}
        if self._faults.hit("opnsense", "unavailable", **context):
            return web.Response(
                status=503, text="<html><h1>503 Service Unavailable</h1></html>", content_type="text/html"
            )
        parts = [part for part in request.path.split("/") if part]
        found = self._route(parts)
        if found is None:
            body = json.dumps({"errorMessage": "Endpoint not found"}, separators=(",", ":"))
            return web.Response(
                status=404, body=body, headers={"Content-Type": "application/json;charset=utf-8"}
            )
        if self._faults.hit("opnsense", "daemon_down", **context):
            await asyncio.sleep(DAEMON_DOWN_S * self._faults.scale("opnsense.daemon"))
        refused = await self._refusal(request, context)
        if refused is not None:
            return refused
        if self._faults.hit("opnsense", "server_error", **context):
            return exception(UnexpectedError())
        text = await request.text()
        if request.headers.get("Content-Type", "").startswith("application/json") and not text:
            return answer({"status": 400, "message": "Invalid JSON syntax"}, status=400)
        call = Call(request.method, endpoint, tuple(parts[4:]), _body(request, text), dict(request.query))
        try:
            return await self._api.endpoints[found][1](call)
        except UnexpectedError as error:
            return exception(error)

    def _route(self, parts: list[str]) -> tuple[str, str] | None:
        """The endpoint of a path: camelCase and snake_case both lead there."""
        if len(parts) < 4 or (parts[0], parts[1].lower()) != ("api", "firewall"):
            return None
        controller = {"alias": "alias", "alias_util": "alias_util", "aliasUtil": "alias_util"}.get(
            parts[2], ""
        )
        key = (controller, parts[3].replace("_", "").lower())
        needed = self._api.endpoints.get(key)
        return key if needed is not None and len(parts) - 4 >= needed[0] else None

    async def _refusal(self, request: web.Request, context: Mapping[str, object]) -> web.Response | None:
        """302 without a key, 401 for a wrong one after a while, 403 where the literal path is not covered."""
        header = request.headers.get("Authorization")
        if header is None:
            kind = "text/html; charset=UTF-8"
            headers = {"Location": f"/?url={request.path}", "Content-Type": kind}
            return web.Response(status=302, headers=headers)
        if not self._is_known(header) or self._faults.hit("opnsense", "unauthorized", **context):
            await asyncio.sleep(WRONG_KEY_S * self._faults.scale("opnsense.authentication"))
            return answer({"status": 401, "message": "Authentication Failed"}, status=401)
        group = self._covering(request.path.removeprefix("/api/"))
        if group is None or self._faults.hit("opnsense", "forbidden", group=group, **context):
            return answer({"status": 403, "message": "Forbidden"}, status=403)
        return None

    def _covering(self, path: str) -> str | None:
        """The privilege that covers this path."""
        return next(
            (
                name
                for name in sorted(self.privileges)
                if any(fnmatch.fnmatchcase(path, pattern) for pattern in PRIVILEGES[name])
            ),
            None,
        )

    def _is_known(self, header: str) -> bool:
        scheme, _, encoded = header.partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(given, self._credentials)

    # Control

    async def _edit(self, body: dict[str, object]) -> object:
        """`{"add": […], "remove": […], "alias": name, "apply": true}`: an administrator edits the content."""
        complaints = await self._api.administrator_edits(
            self._alias(body), _texts(body, "add"), _texts(body, "remove")
        )
        if complaints:
            raise ActionError(f"The firewall refuses that: {complaints}.")
        if body.get("apply", True):
            self._store.generate()
            await self._loader.load()
        return {"content": self._alias(body).entries}

    async def _change_alias(self, body: dict[str, object]) -> object:
        """`{"enabled": false, "type": "network", "name": "other", "missing": true}`: change or remove the alias."""
        one = self._alias(body)
        if body.get("missing"):
            del self._store.aliases[one.uuid]
        fields = {key: str(body[key]) for key in ("type", "name") if key in body}
        if "enabled" in body:
            fields["enabled"] = "1" if body["enabled"] else "0"
        one.fields.update(fields)
        if body.get("apply", True):
            self._store.generate()
            await self._loader.load()
        return None

    async def _change_dns(self, body: dict[str, object]) -> object:
        """`{"name": …, "addresses": […], "answer": "ok|nxdomain|servfail|hang"}` or `{"outage": true}`."""
        if "outage" in body:
            self._names.outage = bool(body["outage"])
        if "name" in body:
            try:
                kind = cast("Answer", str(body.get("answer", "ok")))
                self._names.set(str(body["name"]), _texts(body, "addresses"), kind)
            except BadNameError as error:
                raise ActionError(str(error)) from error
        return None

    async def _run_cron(self, _body: dict[str, object]) -> object:
        """Run one cron minute now."""
        return {"loaded": await self._loader.run_cron()}

    def _alias(self, body: Mapping[str, object]) -> Alias:
        name = str(body.get("alias", self.alias_name))
        found = self._store.by_name(name)
        if found is None:
            raise ActionError(f"There is no alias {name[:60]!r}.")
        return found


def _texts(body: Mapping[str, object], key: str) -> list[str]:
    value = body.get(key, [])
    if not isinstance(value, list):
        raise ActionError(f"{key} is a list of texts.")
    return [str(one) for one in cast("list[object]", value)]


def _body(request: web.Request, text: str) -> dict[str, object]:
    """What PHP sees of a body: nothing of another content type, nor of broken JSON, nor of a GET or PUT's form."""
    if request.content_type == "application/json":
        try:
            value = json.loads(text)
        except ValueError:
            return {}
        return cast("dict[str, object]", value) if isinstance(value, dict) else {}
    if request.content_type == "application/x-www-form-urlencoded" and request.method == "POST":
        try:
            return parse_form(text)
        except ValueError:
            return {}
    return {}
