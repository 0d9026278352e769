"""The shapes of the lines that the CLI prints, as observed with version 2.1.197; what nobody reads is left out."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

Line = dict[str, Any]

VERSION = "2.1.197"
MODEL = "claude-opus-4-8"
_USAGE = {
    "input_tokens": 11, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 9,
    "service_tier": "standard",
}  # fmt: skip


def new_id() -> str:
    """A fresh uuid."""
    return str(uuid.uuid4())


def now() -> str:
    """The time as the CLI writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def system(subtype: str, session: str, **more: object) -> Line:
    """A line of the CLI about itself."""
    return {"type": "system", "subtype": subtype, **more, "uuid": new_id(), "session_id": session}


def init(session: str, cwd: str, permission_mode: str) -> Line:
    """The first line of each turn."""
    return {
        "type": "system", "subtype": "init", "cwd": cwd, "session_id": session, "tools": ["Bash"], "mcp_servers": [],
        "model": f"{MODEL}[1m]", "permissionMode": permission_mode, "slash_commands": ["clear", "compact", "context", "usage"],
        "apiKeySource": "ANTHROPIC_API_KEY", "claude_code_version": VERSION, "output_style": "default", "agents": [],
        "skills": [], "plugins": [], "uuid": new_id(),
    }  # fmt: skip


def user(session: str, content: object, **more: object) -> Line:
    """A user line: a tool's result, a notice, or with `isReplay` an acknowledgement."""
    return {
        "type": "user", "message": {"role": "user", "content": content}, "session_id": session,
        "parent_tool_use_id": None, "uuid": new_id(), **more,
    }  # fmt: skip


def assistant(session: str, message: Line, block: Line) -> Line:
    """One content block of the model's message."""
    left_out = ("content", "stop_reason", "request_id")
    shown = {key: value for key, value in message.items() if key not in left_out}
    return {
        "type": "assistant", "message": {**shown, "content": [block], "stop_reason": None},
        "parent_tool_use_id": None, "session_id": session, "uuid": new_id(), **_asked(message.get("request_id")),
    }  # fmt: skip


def _asked(request_id: object) -> Line:
    return {"request_id": request_id} if request_id else {}


def synthetic(session: str, text: str, error: str = "", request_id: str = "") -> Line:
    """A text that the CLI says itself, in the model's place."""
    message = {
        "container": None, "stop_details": None, "context_management": None, "id": new_id(), "type": "message", "role": "assistant", "model": "<synthetic>", "stop_reason": "stop_sequence",
        "stop_sequence": "", "usage": dict.fromkeys(("input_tokens", "output_tokens"), 0),
        "content": [{"type": "text", "text": text}],
    }  # fmt: skip
    line: Line = {
        "type": "assistant", "message": message, "parent_tool_use_id": None, "session_id": session, "uuid": new_id(),
    }  # fmt: skip
    return {**line, **({"error": error} if error else {}), **_asked(request_id)}


def result(
    session: str,
    text: str,
    *,
    turns: int,
    duration_ms: int,
    is_error: bool = False,
    used: bool = True,
    **more: object,
) -> Line:
    """The end of a turn that came to its end. An API error is a `success` with `is_error` too (observed)."""
    return {
        "type": "result", "subtype": "success", "is_error": is_error, "api_error_status": None,
        "duration_ms": duration_ms, "duration_api_ms": duration_ms, "num_turns": turns, "result": text,
        "stop_reason": "end_turn", "session_id": session, **_costs(used=used), "permission_denials": [],
        "terminal_reason": "completed", "uuid": new_id(), **more,
    }  # fmt: skip


def command_result(session: str, text: str, *, duration_ms: int, used: bool) -> Line:
    """The end of a slash command, which the API had no part in; its costs are those of the turns before (`used`)."""
    line = result(session, text, turns=0, duration_ms=duration_ms, used=False, stop_reason=None)
    line["total_cost_usd"] = _costs(used=used)["total_cost_usd"]
    return {key: value for key, value in line.items() if key not in ("api_error_status", "terminal_reason")}


def failed(
    session: str, error: str, *, turns: int = 0, duration_ms: int = 0, used: bool = False, **more: object
) -> Line:
    """The end of a turn that was interrupted or could not begin."""
    return {
        "type": "result", "subtype": "error_during_execution", "duration_ms": duration_ms, "duration_api_ms": 0,
        "is_error": True, "num_turns": turns, "stop_reason": None, "session_id": session, **_costs(used=used),
        "permission_denials": [], "uuid": new_id(), **more, "errors": [error],
    }  # fmt: skip


def _costs(*, used: bool) -> Line:
    """What the turn used of the API: nothing, or always the same."""
    numbers = {"input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"}
    usage = {key: value if used or key not in numbers else 0 for key, value in _USAGE.items()}
    return {"total_cost_usd": 0.0003 if used else 0, "usage": usage, "modelUsage": {}}


def control_success(request_id: object, response: Line | None = None) -> Line:
    """The answer to a control request."""
    inner: Line = {"subtype": "success", "request_id": request_id}
    return {
        "type": "control_response",
        "response": inner if response is None else {**inner, "response": response},
    }


def control_error(request_id: object, error: str) -> Line:
    """The refusal of a control request."""
    return {
        "type": "control_response",
        "response": {"subtype": "error", "request_id": request_id, "error": error},
    }
