"""Turns: what is queued becomes one, blocks become lines, tools run, and what came meanwhile is steered in."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import frozen

from sm.sandbox.agent.cli import lines, model
from sm.sandbox.agent.cli.lines import Line
from sm.sandbox.agent.cli.tool import BashCall, result_block
from sm.sandbox.agent.cli.transcript import Transcript

_T = TypeVar("_T")
_REJECTED = (
    "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the "
    "new_string was NOT written to the file). STOP what you are doing and wait for the user to tell you how to proceed."
)
_STEERED = (
    "<system-reminder>The user sent a new message while you were working:\n{}\n\nIMPORTANT: After completing your "
    "current task, you MUST address the user's message above. Do not ignore it.</system-reminder>"
)
_RAN = {"stdout": "", "stderr": "", "interrupted": False, "isImage": False, "noOutputExpected": False}
_NOT_HERE = ("help", "model", "status", "permissions")
_FIRST_DELAY_S = 0.6
_MOST_DELAY_S = 38.0


@frozen
class Options:
    """What the command line asked for."""

    replay: bool = False
    permission_mode: str = "default"
    system_prompt: str = ""
    state_events: bool = False
    max_retries: int = 10


@frozen
class Message:
    """A user line from standard input."""

    uuid: str
    content: object
    timestamp: str

    @property
    def is_command(self) -> bool:
        """Whether it is dispatched as a slash command: no replay, a turn of its own."""
        return isinstance(self.content, str) and self.content.startswith("/")


class InterruptedTurnError(Exception):
    """The turn was interrupted; `where` is the result's `terminal_reason`."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


class Agent:
    """The conversation of one process. `emit` writes one line to standard output."""

    def __init__(self, options: Options, transcript: Transcript, emit: Callable[[Line], None]) -> None:
        self.options = options
        self.transcript = transcript
        self.queue: deque[Message] = deque()
        self.arrived = asyncio.Event()
        self.exit_code = 0
        self._emit = emit
        self._seen = set(transcript.seen)
        self._interrupt = asyncio.Event()
        self._in_turn = False
        self._unacknowledged: list[tuple[Message, object]] = []
        self._asking: model.Asking | None = None
        self._used = False
        self._began = time.monotonic()

    @property
    def session(self) -> str:
        """The id that `--resume` takes; `/clear` changes it."""
        return self.transcript.session

    def take(self, uuid: str | None, content: object) -> None:
        """Queue a user line; one whose uuid was there before is acknowledged and dropped."""
        message = Message(uuid or lines.new_id(), content, lines.now())
        if message.uuid in self._seen:
            self._replay(message, content, at=None)
            self._state("idle") if not self._in_turn else None
            return
        self._seen.add(message.uuid)
        self.queue.append(message)
        self.arrived.set()

    def control(self, request_id: object, request: Line) -> None:
        """Answer a control request at once, whatever else goes on."""
        subtype = str(request.get("subtype"))
        answers: dict[str, Callable[[], Line | None]] = {
            "initialize": lambda: {
                "commands": [{"name": "clear", "description": "Start anew", "argumentHint": ""}],
                "output_style": "default", "available_output_styles": ["default"], "models": [], "account": {},
            },
            "interrupt": self.interrupt,
            "set_model": lambda: None,
            "set_permission_mode": lambda: {"mode": request.get("mode")},
            "mcp_status": lambda: {"mcpServers": []},
            "get_context_usage": lambda: {"totalTokens": 23, "maxTokens": 1_000_000, "percentage": 0},
            "get_session_cost": lambda: {"text": "Total cost:            $0.0003"},
            "cancel_async_message": lambda: {"cancelled": self._cancel(str(request.get("message_uuid")))},
            "end_session": lambda: None,
        }  # fmt: skip
        if subtype not in answers:
            self._emit(lines.control_error(request_id, f"Unsupported control request subtype: {subtype}"))
            return
        response = answers[subtype]()
        self._emit(lines.control_success(request_id, response))

    async def run_queue(self) -> None:
        """Run turns until nothing is queued."""
        while self.queue:
            self._state("running") if not self._in_turn else None
            self._in_turn = True
            self._interrupt.clear()
            self._began = time.monotonic()
            if self.queue[0].is_command:
                self._command(str(self.queue.popleft().content))
            else:
                await self._turn(self._batch())
            if not self.queue:
                self._in_turn = False
                self._state("idle")

    def interrupt(self) -> None:
        """End the turn that runs, if any; what is queued runs next."""
        self._interrupt.set()

    def _cancel(self, uuid: str) -> bool:
        found = next((message for message in self.queue if message.uuid == uuid), None)
        if found is not None:
            self.queue.remove(found)
        return found is not None

    def _batch(self) -> list[Message]:
        """The messages that become one turn: all up to the next slash command."""
        batch: list[Message] = []
        while self.queue and not self.queue[0].is_command:
            batch.append(self.queue.popleft())
        return batch

    async def _turn(self, batch: list[Message]) -> None:
        for message in batch[:-1]:
            self._replay(message, message.content, at=None)
        last = batch[-1]
        content = last.content
        if len(batch) > 1:
            content = "\n".join(_as_text(message.content) for message in batch)
        self._emit(lines.init(self.session, self.transcript.cwd, self.options.permission_mode))
        self.transcript.add("user", content, last.uuid)
        self._unacknowledged = [(last, content)]
        turns = 0
        try:
            while True:
                turns += 1
                answer = await self._ask()
                self._acknowledge()
                if isinstance(answer, model.ApiError):
                    self._api_failed(answer, turns)
                    return
                self._say(answer)
                calls = [block for block in answer["content"] if block["type"] == "tool_use"]
                if not calls:
                    self._succeed(answer, turns)
                    return
                await self._use_tools(calls)
        except InterruptedTurnError as interrupted:
            self._acknowledge()
            self._interrupted(interrupted.where, turns)

    def _interrupted(self, where: str, turns: int) -> None:
        """Say what had come of the answer, that it was interrupted, and the end of the turn."""
        in_tool = where == "aborted_tools"
        partial = self._asking.so_far() if self._asking is not None and not in_tool else None
        if partial is not None:
            self._say(partial)
        notice = "[Request interrupted by user for tool use]" if in_tool else "[Request interrupted by user]"
        self._note([{"type": "text", "text": notice}])
        reason = "tool_use" if in_tool else None
        error = f"[ede_diagnostic] result_type=user last_content_type=n/a stop_reason={reason or 'null'}"
        self._end(
            lines.failed(
                self.session, error, turns=turns + (2 if in_tool else 1), duration_ms=self._elapsed_ms(),
                stop_reason=reason, used=in_tool, terminal_reason=where,
            )
        )  # fmt: skip

    def _say(self, message: Line) -> None:
        """One line for each block of the model's message."""
        for block in message["content"]:
            self._emit(lines.assistant(self.session, message, block))
        self.transcript.add("assistant", message["content"])

    async def _ask(self) -> dict[str, Any] | model.ApiError:
        delay_s = _FIRST_DELAY_S
        attempt = 0
        while True:
            self._asking = model.ask(self.session, self.options.system_prompt, self.transcript.messages)
            answer = await self._or_interrupt(self._asking.answer, "aborted_streaming")
            if (
                not isinstance(answer, model.ApiError)
                or not answer.is_repeated
                or attempt >= self.options.max_retries
            ):
                return answer
            attempt += 1
            self._emit(lines.system("api_retry", self.session, attempt=attempt, max_retries=self.options.max_retries,
                                    retry_delay_ms=delay_s * 1000, error_status=answer.status, error=answer.kind))  # fmt: skip
            await self._or_interrupt(asyncio.ensure_future(asyncio.sleep(delay_s)), "aborted_streaming")
            delay_s = min(delay_s * 2, _MOST_DELAY_S)

    async def _use_tools(self, calls: list[dict[str, Any]]) -> None:
        """Run each call; then what people wrote meanwhile goes along with the results, acknowledged now."""
        results: list[Line] = []
        for call in calls:
            bash = BashCall(str(call["input"].get("command", "")))
            if call["name"] == "WebSearch":
                text, is_error = await self._search(str(call["input"].get("query", "")))
            elif call["name"] != "Bash":
                text, is_error = f"No such tool available: {call['name']}", True
            elif self.options.permission_mode != "bypassPermissions":
                text, is_error = (
                    "Claude requested permissions to use Bash, but you haven't granted it yet.",
                    True,
                )
            else:
                try:
                    text, is_error = await self._or_interrupt(
                        asyncio.ensure_future(bash.run()), "aborted_tools"
                    )
                except InterruptedTurnError:
                    bash.kill()
                    block = result_block(call, _REJECTED, is_error=True)
                    rejected = "User rejected tool use"
                    self._emit(
                        lines.user(self.session, [block], timestamp=lines.now(), tool_use_result=rejected)
                    )
                    self.transcript.add("user", [*results, block])
                    raise
            block = result_block(call, text, is_error=is_error)
            results.append(block)
            shown = f"Error: {text}" if is_error else dict(_RAN, stdout=text)
            self._emit(lines.user(self.session, [block], timestamp=lines.now(), tool_use_result=shown))
        steered = self._batch()
        for message in steered:
            self._replay(message, message.content, at=message.timestamp)
            results.append({"type": "text", "text": _STEERED.format(_as_text(message.content))})
            self.transcript.seen.add(message.uuid)
        self.transcript.add("user", results, steered[-1].uuid if steered else None)

    async def _search(self, query: str) -> tuple[str, bool]:
        answer = await self._or_interrupt(model.search(self.session, query).answer, "aborted_tools")
        if isinstance(answer, model.ApiError):
            return answer.text, True
        return f'Web search results for query: "{query}"\n\n{_text_of(answer["content"])}\n\n', False

    async def _or_interrupt(self, work: asyncio.Future[_T], where: str) -> _T:
        waiting = asyncio.ensure_future(self._interrupt.wait())
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            waiting.cancel()
            return work.result()
        work.cancel()
        raise InterruptedTurnError(where)

    def _command(self, text: str) -> None:
        name = text[1:].split(maxsplit=1)[0] if text[1:].strip() else ""
        if name == "clear":
            self.transcript = Transcript(lines.new_id(), self.transcript.cwd)
        self._emit(lines.init(self.session, self.transcript.cwd, self.options.permission_mode))
        said = {
            "clear": "",
            "compact": "Not enough messages to compact.",
            "context": "## Context Usage\n\n**Tokens:** 23 / 1m (0%)",
            "cost": "Total cost:            $0.0003",
            "usage": "Total cost:            $0.0003",
        }.get(
            name,
            f"/{name} isn't available in this environment."
            if name in _NOT_HERE
            else f"Unknown command: /{name}",
        )
        self._emit(lines.synthetic(self.session, said or "(no content)"))
        self._end(lines.command_result(self.session, said, duration_ms=self._elapsed_ms(), used=self._used))

    def _succeed(self, answer: Line, turns: int) -> None:
        self._used = True
        self._end(
            lines.result(
                self.session, _text_of(answer["content"]), turns=turns, duration_ms=self._elapsed_ms(),
                stop_reason=answer.get("stop_reason"),
            )
        )  # fmt: skip

    def _api_failed(self, error: model.ApiError, turns: int) -> None:
        self._emit(lines.synthetic(self.session, error.text, error.kind_in_the_end, error.request_id))
        self._end(
            lines.result(self.session, error.text, turns=turns, duration_ms=self._elapsed_ms(), is_error=True,
                         used=False, api_error_status=error.status, stop_reason="stop_sequence")
        )  # fmt: skip

    def _end(self, line: Line) -> None:
        self.exit_code = 1 if line["is_error"] else 0
        self._emit(line)

    def _note(self, content: list[Line]) -> None:
        self._emit(lines.user(self.session, content, timestamp=lines.now()))
        self.transcript.add("user", content)

    def _acknowledge(self) -> None:
        for message, content in self._unacknowledged:
            self._replay(message, content, at=message.timestamp)
        self._unacknowledged = []

    def _replay(self, message: Message, content: object, *, at: str | None) -> None:
        """Echo a user line: with its time when a turn took it, without when it was merged or dropped."""
        if self.options.replay:
            stamp = {"timestamp": at} if at else {}
            self._emit(lines.user(self.session, content, uuid=message.uuid, **stamp, isReplay=True))

    def _state(self, state: str) -> None:
        if self.options.state_events:
            self._emit(lines.system("session_state_changed", self.session, state=state))

    def _elapsed_ms(self) -> int:
        return int((time.monotonic() - self._began) * 1000)


def _as_text(content: object) -> str:
    return content if isinstance(content, str) else json.dumps(content)


def _text_of(blocks: list[Line]) -> str:
    return "".join(str(block["text"]) for block in blocks if block["type"] == "text")
