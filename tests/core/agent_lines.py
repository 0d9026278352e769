"""Lines of the agent, in the shapes of Claude Code 2.1.197."""

from __future__ import annotations

from typing import Any

RUNNING = {"type": "system", "subtype": "session_state_changed", "state": "running"}
IDLE = {"type": "system", "subtype": "session_state_changed", "state": "idle"}


def init(session_id: str = "abc12345-0000-4000-8000-000000000001") -> dict[str, Any]:
    return {"type": "system", "subtype": "init", "session_id": session_id, "cwd": "/workspace"}


def replay(line_uuid: str, content: str = "?", parent: str | None = None) -> dict[str, Any]:
    message = {"role": "user", "content": content}
    return {
        "type": "user",
        "uuid": line_uuid,
        "message": message,
        "isReplay": True,
        "parent_tool_use_id": parent,
    }


def assistant(*texts: str, parent: str | None = None) -> dict[str, Any]:
    content = [{"type": "text", "text": text} for text in texts]
    message = {"role": "assistant", "content": content}
    return {"type": "assistant", "message": message, "parent_tool_use_id": parent}


def tool_use(name: str = "Bash", **given: Any) -> dict[str, Any]:
    block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": given}
    return {
        "type": "assistant",
        "message": {"role": "assistant", "content": [block]},
        "parent_tool_use_id": None,
    }


def tool_result(text: str) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": "toolu_1", "content": text}
    return {"type": "user", "message": {"role": "user", "content": [block]}, "parent_tool_use_id": None}


def result(text: str = "done", *, is_error: bool = False, subtype: str = "success") -> dict[str, Any]:
    return {"type": "result", "subtype": subtype, "is_error": is_error, "result": text, "num_turns": 1}


def api_retry(status: int | None = 529, error: str = "overloaded") -> dict[str, Any]:
    return {
        "type": "system",
        "subtype": "api_retry",
        "attempt": 1,
        "max_retries": 10,
        "error_status": status,
        "error": error,
    }


def answered(request_id: str, *, subtype: str = "success") -> dict[str, Any]:
    return {"type": "control_response", "response": {"subtype": subtype, "request_id": request_id}}
