"""Asking the Messages API for a stream: what of the answer has come, a whole message, an error, or a break."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import threading
import urllib.error
import urllib.request
from typing import Any

from attrs import frozen

from sm.sandbox.agent.cli.lines import MODEL, new_id

_TIMEOUT_S = 600
_REPEATED = (401, 408, 409, 429, 500, 502, 503, 504, 529)


@frozen
class ApiError:
    """What went wrong; `status` is None when nothing answered."""

    status: int | None
    message: str
    request_id: str = ""

    @property
    def is_repeated(self) -> bool:
        """Whether the CLI tries again (observed: 529, 500, 429, 401, refused; not 400, 403)."""
        return self.status is None or self.status in _REPEATED

    @property
    def kind(self) -> str:
        """The word in `api_retry` lines."""
        kinds = {529: "overloaded", 429: "rate_limit", 401: "authentication_failed"}
        return kinds.get(self.status or 0, "unknown" if self.status is None else "server_error")

    @property
    def kind_in_the_end(self) -> str:
        """The word in the line that the CLI says when it gives up: another one where nothing answered."""
        return "server_error" if self.status is None else self.kind

    @property
    def text(self) -> str:
        """What the CLI says in the end."""
        if self.status is None:
            return f"API Error: {self.message}"
        prefix = "Failed to authenticate. " if self.status == 401 else ""
        return f"{prefix}API Error: {self.status} {self.message}"


class Asking:
    """One request under way. `blocks` is what of the answer has come; `answer` settles when all has, or nothing will."""

    def __init__(self, body: bytes) -> None:
        self.message: dict[str, Any] = {}
        self.blocks: list[dict[str, Any]] = []
        self.request_id = ""
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[dict[str, Any] | ApiError] = self._loop.create_future()
        threading.Thread(target=self._post, args=(body,), daemon=True).start()

    def so_far(self) -> dict[str, Any] | None:
        """The message with the text that has come, or None when none has."""
        texts = [
            {"type": "text", "text": block["text"]}
            for block in self.blocks
            if block["type"] == "text" and block["text"]
        ]
        return {**self.message, "content": texts, "request_id": self.request_id} if texts else None

    def _post(self, body: bytes) -> None:
        """In a thread that may be left behind: an interrupted turn does not wait for its answer."""
        base = os.environ.get("ANTHROPIC_BASE_URL") or "https://api.anthropic.com"
        headers = {
            "content-type": "application/json", "x-api-key": os.environ.get("ANTHROPIC_API_KEY", ""),
            "anthropic-version": "2023-06-01", "user-agent": "claude-cli/stand-in", "x-client-request-id": new_id(),
        }  # fmt: skip
        request = urllib.request.Request(f"{base}/v1/messages?beta=true", body, headers)  # noqa: S310 - set by the sandbox
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
                self.request_id = response.headers.get("request-id", "")
                self._read(response)
        except urllib.error.HTTPError as error:
            self._settle(ApiError(error.code, _message(error), error.headers.get("request-id", "")))
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._settle(self._broken(error))

    def _read(self, response: http.client.HTTPResponse) -> None:
        for raw in response:
            if raw.startswith(b"data: "):
                event = json.loads(raw.removeprefix(b"data: "))
                if event["type"] == "message_stop":
                    self._settle(self._whole())
                    return
                self._take(event)
        self._settle(self._whole() if self.message else ApiError(None, _unable("ECONNRESET")))

    def _take(self, event: dict[str, Any]) -> None:
        match str(event["type"]):
            case "message_start":
                self.message = event["message"]
            case "content_block_start":
                self.blocks.append({**event["content_block"], "json": ""})
            case "content_block_delta":
                block, delta = self.blocks[int(event["index"])], event["delta"]
                if delta["type"] == "text_delta":
                    block["text"] += delta["text"]
                else:
                    block["json"] += delta.get("partial_json", "")
            case "content_block_stop":
                block = self.blocks[int(event["index"])]
                if block["type"] == "tool_use":
                    block["input"] = json.loads(block["json"] or "{}")
                block["whole"] = True
            case "message_delta":
                self.message["stop_reason"] = event["delta"].get("stop_reason")
            case _:
                return

    def _whole(self) -> dict[str, Any]:
        """The message as it is now. A stream that broke off ends it without a `stop_reason` (observed)."""
        blocks = [
            {key: value for key, value in block.items() if key not in ("json", "whole")}
            for block in self.blocks
            if block.get("whole") or block["type"] == "text"
        ]
        return {**self.message, "content": blocks, "request_id": self.request_id}

    def _broken(self, error: Exception) -> dict[str, Any] | ApiError:
        if self.message:
            return self._whole()
        reason = getattr(error, "reason", error)
        if isinstance(reason, ConnectionRefusedError):
            return ApiError(None, _unable("ConnectionRefused"))
        if isinstance(reason, ConnectionError | http.client.RemoteDisconnected):
            return ApiError(None, _unable("ECONNRESET"))
        return ApiError(None, _unable(type(reason).__name__))

    def _settle(self, answer: dict[str, Any] | ApiError) -> None:
        def settle() -> None:
            if not self.answer.done():
                self.answer.set_result(answer)

        self._loop.call_soon_threadsafe(settle)


def ask(session: str, system: str, messages: list[dict[str, Any]], **more: object) -> Asking:
    """Send a request."""
    body = {
        "model": MODEL, "max_tokens": 32000, "messages": messages, "system": system, "stream": True,
        "metadata": {"user_id": f"user_standin_account__session_{session}"}, **more,
    }  # fmt: skip
    return Asking(json.dumps(body).encode())


def search(session: str, query: str) -> Asking:
    """Have the API search the web, in a request beside the conversation, as the tool WebSearch does (2.1.197)."""
    content = [{"type": "text", "text": f"Perform a web search for the query: {query}"}]
    return ask(
        session, "You are an assistant for performing a web search tool use", [{"role": "user", "content": content}],
        tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}],
        tool_choice={"type": "tool", "name": "web_search"},
    )  # fmt: skip


def _unable(why: str) -> str:
    return f"Unable to connect to API ({why})"


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"]["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return error.reason
