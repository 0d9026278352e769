"""The scripted Messages API: real HTTP and server-sent events, with words from `sm.sandbox.agent.script`.

It answers what the Claude Code CLI 2.1 asks for (observed): `HEAD /`, `POST /v1/messages` (streamed or not) and
`POST /v1/messages/count_tokens`. What people wrote is noted in the order in which it first came in a request.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any, cast

from aiohttp import web
from attrs import evolve

from sm.sandbox.agent import script as agent_script
from sm.sandbox.agent.script import Block, Reply
from sm.sandbox.faults import Faults

MAX_BODY_BYTES = 64 << 20
_HANG_S = 3600.0
_ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error",
}  # fmt: skip
_SESSION = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_USAGE = {
    "input_tokens": 11, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 1,
    "service_tier": "standard",
}  # fmt: skip


class AgentApi:
    """The model's side of the agent, on a loopback port over plain HTTP (the gate puts TLS and the name before it)."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.port = 0
        self.url = ""
        self.received: list[dict[str, str]] = []
        self.requests = 0
        self._known: dict[str, list[str]] = {}
        self._failed: Counter[str] = Counter()
        self._ids = count(1)
        self._runner: web.AppRunner | None = None
        for name, text in {
            "api_529": "the API answers 529 overloaded; the CLI tries again for about three minutes",
            "api_401": "the API refuses the key",
            "api_403": "the API refuses the request, which the CLI does not repeat",
            "die_mid_turn": "the agent's own process is killed in the middle of a turn",
            "hang": "the API takes the request and never answers",
            "cut": "the stream of the answer breaks before its end",
        }.items():
            faults.declare("agent", name, text)
        faults.declare_scale("agent.pace", "0.2 s after each word of `slow N`")

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises `OSError` when the port is taken."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes(
            [
                web.get("/", self._root),
                web.post("/v1/messages", self._messages),
                web.post("/v1/messages/count_tokens", self._count_tokens),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await runner.setup()
        self._runner = runner
        await web.TCPSite(runner, host, port).start()
        self.port = int(runner.addresses[0][1])
        self.url = f"http://{host}:{self.port}"

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def state(self) -> dict[str, object]:
        """What the agent's model was told: `texts` in order, `received` with the CLI's session, `requests` in number.

        `conversations` has by the CLI's session what people wrote in it, as its last request repeated it.
        """
        return {
            "texts": [entry["text"] for entry in self.received],
            "received": self.received,
            "conversations": self._known,
            "requests": self.requests,
        }

    async def _root(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def _count_tokens(self, request: web.Request) -> web.Response:
        return web.json_response({"input_tokens": max(1, (request.content_length or 0) // 4)})

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if not (request.headers.get("x-api-key") or request.headers.get("authorization")):
            return self._error(401, "x-api-key header is required")
        try:
            body = json.loads(await request.read())
            messages = [cast("dict[str, Any]", message) for message in body["messages"]]
        except (ValueError, KeyError, TypeError):
            return self._error(400, "messages: Field required")
        session = self._session(body)
        if not _is_search(body):
            self._note(session, agent_script.human_texts(messages))
        reply = self._with_faults(agent_script.plan(messages))
        if reply.fail_status:
            key = f"{session} {len(messages)}"
            self._failed[key] += 1
            if not reply.fail_times or self._failed[key] <= reply.fail_times:
                return self._error(reply.fail_status, f"scripted {reply.fail_status}")
            reply = agent_script.say(f"It worked after {reply.fail_times} failures.")
        if reply.hang:
            await asyncio.sleep(_HANG_S)
        blocks = [self._with_id(block) for block in reply.blocks]
        message = self._message(str(body.get("model", "claude")))
        if not body.get("stream"):
            await asyncio.sleep(sum(self._pace(reply) for block in blocks for _ in _words(block)))
            message |= {"content": blocks, "stop_reason": reply.stop_reason}
            return web.json_response(message)
        return await self._stream(request, message, blocks, reply)

    def _with_faults(self, reply: Reply) -> Reply:
        hit = self.faults.hit
        for status in (529, 401, 403):
            if hit("agent", f"api_{status}"):
                return Reply(fail_status=status)
        if hit("agent", "die_mid_turn"):
            return agent_script.bash("kill -9 $PPID", "End the agent")
        return evolve(reply, hang=reply.hang or hit("agent", "hang"), cut=reply.cut or hit("agent", "cut"))

    def _session(self, body: dict[str, Any]) -> str:
        """The CLI's session id, from the metadata that it sends along."""
        metadata = cast("dict[str, object]", body.get("metadata") or {})
        found = _SESSION.findall(str(metadata.get("user_id", "")))
        return found[-1] if found else ""

    def _note(self, session: str, texts: list[str]) -> None:
        """Note what is new. A request repeats the conversation, and a retry the request."""
        known = self._known.get(session, [])
        common = 0
        while common < min(len(known), len(texts)) and known[common] == texts[common]:
            common += 1
        self._known[session] = texts if len(texts) >= len(known) or common < len(texts) else known
        self.received += [{"session": session, "text": text} for text in texts[common:]]

    def _with_id(self, block: Block) -> Block:
        return (
            {**block, "id": f"toolu_sandbox{next(self._ids):06d}"} if block["type"] == "tool_use" else block
        )

    def _message(self, model: str) -> dict[str, Any]:
        return {
            "id": f"msg_sandbox{next(self._ids):06d}", "type": "message", "role": "assistant", "model": model,
            "content": [], "stop_reason": None, "stop_sequence": None, "usage": dict(_USAGE),
        }  # fmt: skip

    def _pace(self, reply: Reply) -> float:
        return reply.pace_s * self.faults.scale("agent.pace")

    def _error(self, status: int, message: str) -> web.Response:
        request_id = f"req_sandbox{next(self._ids):06d}"
        body = {"type": "error", "error": {"type": _ERRORS.get(status, "api_error"), "message": message}}
        headers = {"request-id": request_id, **({"retry-after": "1"} if status == 429 else {})}
        return web.json_response({**body, "request_id": request_id}, status=status, headers=headers)

    async def _stream(
        self, request: web.Request, message: dict[str, Any], blocks: list[Block], reply: Reply
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={
                "content-type": "text/event-stream; charset=utf-8",
                "cache-control": "no-cache",
                "request-id": f"req_sandbox{next(self._ids):06d}",
            }
        )
        await response.prepare(request)

        async def send(kind: str, **more: object) -> None:
            data = json.dumps({"type": kind, **more}, ensure_ascii=False)
            await response.write(f"event: {kind}\ndata: {data}\n\n".encode())

        await send("message_start", message=message)
        await send("ping")
        for index, block in enumerate(blocks):
            start, delta_kind, key = _opening(block)
            await send("content_block_start", index=index, content_block=start)
            for piece in _words(block):
                await send("content_block_delta", index=index, delta={"type": delta_kind, key: piece})
                if block["type"] == "text" and reply.pace_s:
                    await asyncio.sleep(self._pace(reply))
            await send("content_block_stop", index=index)
            if reply.cut and request.transport is not None:
                request.transport.close()
                return response
        await send(
            "message_delta",
            delta={"stop_reason": reply.stop_reason, "stop_sequence": None},
            usage={"output_tokens": 9},
        )
        await send("message_stop")
        await response.write_eof()
        return response


def _is_search(body: dict[str, Any]) -> bool:
    """Whether the CLI asks for a web search, beside its conversation: its tool WebSearch does (observed, 2.1.197)."""
    tools = cast("list[dict[str, Any]]", body.get("tools") or [])
    return any(str(tool.get("type", "")).startswith("web_search_") for tool in tools)


def _opening(block: Block) -> tuple[Block, str, str]:
    """How a block begins in a stream, and the kind and key of its pieces."""
    if block["type"] == "tool_use":
        return {**block, "input": {}}, "input_json_delta", "partial_json"
    return {"type": "text", "text": ""}, "text_delta", "text"


def _words(block: Block) -> Iterator[str]:
    """A block's content in the pieces in which it is streamed."""
    if block["type"] == "tool_use":
        text = json.dumps(block["input"])
        yield from (text[at : at + 40] for at in range(0, len(text), 40))
    else:
        yield from re.findall(r"\S+\s*|\s+", block["text"])
