"""Asking the Messages API, without streaming: the answer is one message, an error, or a break."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
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
    def text(self) -> str:
        """What the CLI says in the end."""
        if self.status is None:
            return f"API Error: {self.message}"
        prefix = "Failed to authenticate. " if self.status == 401 else ""
        return f"{prefix}API Error: {self.status} {self.message}"


def ask(
    session: str, system: str, messages: list[dict[str, Any]], **more: object
) -> asyncio.Future[dict[str, Any] | ApiError]:
    """Send a request in a thread that may be left behind: an interrupted turn does not wait for its answer."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[dict[str, Any] | ApiError] = loop.create_future()
    body = json.dumps(
        {
            "model": MODEL, "max_tokens": 32000, "messages": messages, "system": system,
            "metadata": {"user_id": f"user_standin_account__session_{session}"}, **more,
        }
    ).encode()  # fmt: skip

    def settle(answer: dict[str, Any] | ApiError) -> None:
        if not future.done():
            future.set_result(answer)

    def done(answer: dict[str, Any] | ApiError) -> None:
        loop.call_soon_threadsafe(settle, answer)

    threading.Thread(target=_post, args=(body, done), daemon=True).start()
    return future


def search(session: str, query: str) -> asyncio.Future[dict[str, Any] | ApiError]:
    """Have the API search the web, in a request beside the conversation, as the tool WebSearch does (2.1.197)."""
    content = [{"type": "text", "text": f"Perform a web search for the query: {query}"}]
    return ask(
        session, "You are an assistant for performing a web search tool use", [{"role": "user", "content": content}],
        tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}],
        tool_choice={"type": "tool", "name": "web_search"},
    )  # fmt: skip


def _post(body: bytes, done: Callable[[dict[str, Any] | ApiError], object]) -> None:
    base = os.environ.get("ANTHROPIC_BASE_URL") or "https://api.anthropic.com"
    headers = {
        "content-type": "application/json", "x-api-key": os.environ.get("ANTHROPIC_API_KEY", ""),
        "anthropic-version": "2023-06-01", "user-agent": "claude-cli/stand-in", "x-client-request-id": new_id(),
    }  # fmt: skip
    request = urllib.request.Request(f"{base}/v1/messages?beta=true", body, headers)  # noqa: S310 - set by the sandbox
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            done(json.loads(response.read()))
    except urllib.error.HTTPError as error:
        done(ApiError(error.code, _message(error)))
    except (OSError, ValueError, http.client.HTTPException) as error:
        done(
            ApiError(
                None, f"Unable to connect to API ({getattr(error, 'reason', None) or type(error).__name__})"
            )
        )


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"]["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return error.reason
