"""The agent's stream-json: reading the lines of `out`, making the lines of `in`.

Shapes as observed on Claude Code 2.1.197. A line of `out` is the agent's claim and no more: reading is total,
and what is not known is `other`.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any, Literal, cast

from attrs import frozen

LineKind = Literal[
    "init", "running", "idle", "replay", "text", "retry", "result", "control_response", "other"
]
MAX_DETAIL = 2000  # characters of an error text that are kept for people
MAX_DOING = 300  # characters of a command that are kept
# What can be resumed. An id that is none would end the session at its next start, one with a dash first is an option.
_CONVERSATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{7,63}")


@frozen
class Reading:
    """What one line says. Only the fields of its kind are filled."""

    kind: LineKind
    texts: tuple[str, ...] = ()  # text: the top-level text blocks
    doing: str = ""  # of an assistant's line: the last command that it runs, else the last tool that it uses
    uuid: str = ""  # replay: the message that is acknowledged
    session_id: str = ""  # init: the conversation's id now
    request_id: str = ""  # control_response
    is_error: bool = False  # result, control_response
    detail: str = ""  # result: its text; retry: status and error


OTHER = Reading("other")


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def parse(line: str) -> dict[str, Any]:
    """The JSON object of a line, or an empty one when it is none (torn, too deep, not an object, NaN)."""
    try:
        return _mapping(json.loads(line, parse_constant=_refuse_constant))
    except (ValueError, RecursionError):
        return {}


def read_line(line: str) -> Reading:
    """What a line of `out` says; total over all texts."""
    value = parse(line)
    match value.get("type"):
        case "system":
            return _read_system(value)
        case "user":
            if value.get("isReplay") is True and value.get("parent_tool_use_id") is None:
                return Reading("replay", uuid=_text(value.get("uuid")))
            return OTHER
        case "assistant":
            return _read_assistant(value)
        case "result":
            return Reading(
                "result",
                is_error=value.get("is_error") is True,
                detail=_text(value.get("result"))[:MAX_DETAIL] or _text(value.get("subtype"))[:MAX_DETAIL],
            )
        case "control_response":
            response = _mapping(value.get("response"))
            return Reading(
                "control_response",
                request_id=_text(response.get("request_id")),
                is_error=response.get("subtype") != "success",
                detail=_text(response.get("error"))[:MAX_DETAIL],
            )
        case _:
            return OTHER


def _read_system(value: dict[str, Any]) -> Reading:
    match value.get("subtype"):
        case "init":
            conversation = _text(value.get("session_id"))
            return (
                Reading("init", session_id=conversation) if _CONVERSATION.fullmatch(conversation) else OTHER
            )
        case "session_state_changed":
            match value.get("state"):
                case "running" | "idle" as state:
                    return Reading(state)
                case _:
                    return OTHER
        case "api_retry":
            status, error = value.get("error_status"), _text(value.get("error"))[:200]
            shown = str(status) if isinstance(status, int) else ""
            return Reading("retry", detail=f"{shown} {error}".strip() or "no answer")
        case _:
            return OTHER


def _read_assistant(value: dict[str, Any]) -> Reading:
    if value.get("parent_tool_use_id") is not None:
        return OTHER
    content = _mapping(value.get("message")).get("content")
    blocks = [_mapping(block) for block in cast("list[object]", content)] if isinstance(content, list) else []
    texts = tuple(_text(block.get("text")) for block in blocks if block.get("type") == "text")
    texts = tuple(text for text in texts if text.strip())
    used = [block for block in blocks if block.get("type") == "tool_use"]
    doing = _doing(used[-1]) if used else ""
    return Reading("text" if texts else "other", texts=texts, doing=doing)


def _doing(block: dict[str, Any]) -> str:
    """A command as it is run, cut with a mark; of any other tool its name."""
    command = " ".join(_text(_mapping(block.get("input")).get("command")).split())
    shown = command or _text(block.get("name"))
    return shown if len(shown) <= MAX_DOING else shown[: MAX_DOING - 1] + "…"


def message_uuid(stream: str, seq: int, index: int = 0) -> str:
    """The uuid of the user line that the event `seq` queued: the same whenever it is folded."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{stream}/{seq}/{index}"))


def agent_session_uuid(session_id: str, generation: int) -> str:
    """The conversation id of a generation that starts without one to resume."""
    return (
        session_id if generation == 1 else str(uuid.uuid5(uuid.NAMESPACE_OID, f"{session_id}/{generation}"))
    )


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n"


def user_line(text: str, line_uuid: str) -> str:
    """A message for the agent, whole, with its newline; ASCII, so that characters are bytes."""
    return _line({"type": "user", "uuid": line_uuid, "message": {"role": "user", "content": text}})


def initialize_line(generation: int) -> str:
    """The first line of each generation; Ready is its answer."""
    return _line(
        {
            "type": "control_request",
            "request_id": initialize_id(generation),
            "request": {"subtype": "initialize"},
        }
    )


def initialize_id(generation: int) -> str:
    """The request id by which the answer to `initialize_line` is known."""
    return f"initialize-{generation}"


def interrupt_line(generation: int) -> str:
    """Ends the open turn; a result follows within milliseconds."""
    return _line(
        {
            "type": "control_request",
            "request_id": f"interrupt-{generation}",
            "request": {"subtype": "interrupt"},
        }
    )
