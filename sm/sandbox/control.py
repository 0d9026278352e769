"""The control server: from outside, arm faults, scale waits, and read what an observer of the peers would compare.

Plain JSON over HTTP on loopback:

- `GET /state`: `{section: …}` of every peer, or one alone at `GET /state/{section}`.
- `GET /faults`: `{peer: {fault: {"description", "hits", "armed"}}}`.
- `POST /faults` `{"peer", "fault", "times": 1 | N | null, "match": {}, "after": 0}` → `{"id": N}`.
- `DELETE /faults` (optionally `?peer=&fault=&id=`) → `{"cleared": N}`.
- `GET /scale`, `POST /scale` `{"mattermost.deduplication": 0.1}`.
- `POST /{action}` with a JSON object: what a peer offers beside, such as `/drop`; `GET /` lists them.

What cannot be done answers 400 with `{"error": sentence}`.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from aiohttp import web

from sm.sandbox.faults import Faults, UnknownFaultError

MAX_BODY_BYTES = 1 << 20

Section = Callable[[], object]
Action = Callable[[dict[str, object]], Awaitable[object]]


class ActionError(ValueError):
    """An action could not be done as asked; the text is a sentence for whoever asked."""


class ControlServer:
    """Serves one `Faults`, the sections of the state, and the actions of the peers.

    A section is called at each `GET /state` and may answer an awaitable; an action gets the request's JSON object and
    answers what is sent back (None: `{"status": "OK"}`), or raises `ActionError` (400).
    """

    def __init__(
        self,
        faults: Faults,
        sections: Mapping[str, Section] | None = None,
        actions: Mapping[str, Action] | None = None,
    ) -> None:
        self.faults = faults
        self.sections: dict[str, Section] = dict(sections or {})
        self.actions: dict[str, Action] = dict(actions or {})
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises `OSError` when the port is taken."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_errors_as_json])
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/state", self._state),
                web.get("/state/{section}", self._state),
                web.get("/faults", self._list_faults),
                web.post("/faults", self._arm),
                web.delete("/faults", self._clear),
                web.get("/scale", self._list_scales),
                web.post("/scale", self._set_scales),
                web.post("/{action:.+}", self._act),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        self._runner = runner
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0]
        self.url = f"http://{host}:{bound[1]}"

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _index(self, _request: web.Request) -> web.Response:
        return _json(
            {
                "sections": sorted(self.sections),
                "actions": sorted(self.actions),
                "faults": self.faults.names(),
                "scales": sorted(self.faults.scales()),
            }
        )

    async def _state(self, request: web.Request) -> web.Response:
        name = request.match_info.get("section")
        if name is None:
            return _json({key: await _value(section) for key, section in self.sections.items()})
        if name not in self.sections:
            raise ActionError(
                f"No section {name!r}. Known are: {', '.join(sorted(self.sections)) or 'none'}."
            )
        return _json(await _value(self.sections[name]))

    async def _list_faults(self, _request: web.Request) -> web.Response:
        return _json(self.faults.describe())

    async def _arm(self, request: web.Request) -> web.Response:
        body = await _object(request)
        unknown = sorted(set(body) - {"peer", "fault", "times", "match", "after"})
        if unknown:
            raise ActionError(f"Unknown keys {', '.join(unknown)}: give peer, fault, times, match, after.")
        times = body.get("times", 1)
        after = body.get("after", 0)
        match: object = body.get("match") or {}
        if not (times is None or _is_int(times)) or not _is_int(after) or not isinstance(match, dict):
            raise ActionError("times is a number or null, after a number, match an object.")
        number = self.faults.arm(
            str(body.get("peer")),
            str(body.get("fault")),
            times=cast("int | None", times),
            match=cast("dict[str, object]", match),
            after=cast("int", after),
        )
        return _json({"id": number})

    async def _clear(self, request: web.Request) -> web.Response:
        query = request.query
        number = query.get("id")
        if number is not None and not number.isdecimal():
            raise ActionError("id is the number that arming the fault answered.")
        cleared = self.faults.clear(query.get("peer"), query.get("fault"), int(number) if number else None)
        return _json({"cleared": cleared})

    async def _list_scales(self, _request: web.Request) -> web.Response:
        return _json(self.faults.scales())

    async def _set_scales(self, request: web.Request) -> web.Response:
        body = await _object(request)
        for name, factor in body.items():
            if isinstance(factor, bool) or not isinstance(factor, int | float):
                raise ActionError(f"{name}: the factor is a number.")
            self.faults.set_scale(name, float(factor))
        return _json(self.faults.scales())

    async def _act(self, request: web.Request) -> web.Response:
        name = request.match_info["action"]
        action = self.actions.get(name)
        if action is None:
            raise ActionError(f"No action {name!r}. Known are: {', '.join(sorted(self.actions)) or 'none'}.")
        answer = await action(await _object(request))
        return _json({"status": "OK"} if answer is None else answer)


async def _value(section: Section) -> object:
    value = section()
    return await value if inspect.isawaitable(value) else value


async def _object(request: web.Request) -> dict[str, object]:
    text = await request.text()
    try:
        body: object = json.loads(text) if text.strip() else {}
    except json.JSONDecodeError as error:
        raise ActionError(f"The body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise ActionError("The body must be a JSON object.")
    return cast("dict[str, object]", body)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _json(value: object, status: int = 200) -> web.Response:
    return web.json_response(value, status=status)


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except (ActionError, UnknownFaultError) as error:
        return _json({"error": str(error)}, status=400)
