"""Replays what the real Claude Code CLI was fed against the stand-in: the input as recorded, the output compared.

The model's side is the recording, too: its messages and refusals are given out in their order, each when the recorded
CLI has said all that comes before it. `sleep` in a command lasts until the recording goes on.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

from aiohttp import web
from attrs import define, field
from recorded_kit import RECORDED, Comparison, Rule, exchanges

DEADLINE_S = 20.0
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@define
class Model:
    """The Messages API as the recording has it: `replies` in order, each given out once it is allowed."""

    replies: list[dict[str, Any]]
    allowed: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(0))
    begun: asyncio.Event = field(factory=asyncio.Event)
    url: str = ""
    runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/messages", self._answer)
        app.router.add_get("/", self._root)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def stop(self) -> None:
        assert self.runner is not None
        await self.runner.cleanup()

    async def _root(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        reply = self.replies.pop(0)
        if reply.get("unfinished"):
            return await self._begin(request, reply)
        await self.allowed.acquire()
        if "status" in reply:
            error = {"type": "error", "error": {"type": "error", "message": reply["text"]}}
            headers = {"request-id": reply["request_id"]}
            return web.json_response(error, status=reply["status"], headers=headers)
        return await self._stream(request, reply)

    async def _begin(self, request: web.Request, reply: dict[str, Any]) -> web.StreamResponse:
        """Say so much, and nothing more for as long as anybody listens."""
        response = await self._open(request, reply)
        await self._blocks(response, reply["message"]["content"])
        self.begun.set()
        while request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(0.01)
        return response

    async def _stream(self, request: web.Request, reply: dict[str, Any]) -> web.StreamResponse:
        message = reply["message"]
        response = await self._open(request, reply)
        await self._blocks(response, message["content"], end=True)
        delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        await _send(response, "message_delta", delta=delta, usage={"output_tokens": 9})
        await _send(response, "message_stop")
        return response

    async def _open(self, request: web.Request, reply: dict[str, Any]) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream", "request-id": reply["request_id"]}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await _send(
            response, "message_start", message={**reply["message"], "content": [], "stop_reason": None}
        )
        return response

    async def _blocks(
        self, response: web.StreamResponse, blocks: list[dict[str, Any]], *, end: bool = False
    ) -> None:
        for index, block in enumerate(blocks):
            if block["type"] == "text":
                start: dict[str, Any] = {"type": "text", "text": ""}
                delta: dict[str, Any] = {"type": "text_delta", "text": block["text"]}
            else:
                start = {**block, "input": {}}
                delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            await _send(response, "content_block_start", index=index, content_block=start)
            await _send(response, "content_block_delta", index=index, delta=delta)
            if end:
                await _send(response, "content_block_stop", index=index)


async def _send(response: web.StreamResponse, event: str, **more: Any) -> None:
    await response.write(f"event: {event}\ndata: {json.dumps({'type': event, **more})}\n\n".encode())


def replies(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The model's side of a recording, and where in it each reply is first seen (`at`)."""
    found: list[dict[str, Any]] = []
    outs = [(at, step["out"]) for at, step in enumerate(steps) if "out" in step]
    for at, line in outs:
        message = line.get("message", {})
        if line.get("subtype") == "api_retry" and line["error_status"]:
            found.append({"at": at, "status": line["error_status"], "text": "recorded", "request_id": ""})
        elif line["type"] == "assistant" and line.get("error"):
            status = next(
                (one["api_error_status"] for then, one in outs if then > at and one["type"] == "result"), None
            )
            if status:
                found.append(
                    {
                        "at": at,
                        "status": status,
                        "text": message["content"][0]["text"].split(f"{status} ")[1],
                        "request_id": line.get("request_id", ""),
                    }
                )
        elif line["type"] == "assistant" and str(message["id"]).startswith("msg_"):
            if found and found[-1].get("message", {}).get("id") == message["id"]:
                found[-1]["message"]["content"] += message["content"]
            else:
                found.append(
                    {
                        "at": at,
                        "message": json.loads(json.dumps(message)),
                        "request_id": line.get("request_id", ""),
                    }
                )
            then = next((one for later, one in outs if later > at and one["type"] == "result"), {})
            found[-1]["unfinished"] = then.get("terminal_reason") == "aborted_streaming"
            uses = any(block["type"] == "tool_use" for block in found[-1]["message"]["content"])
            found[-1]["message"]["stop_reason"] = "tool_use" if uses else "end_turn"
    return found


class WrongLineError(Exception):
    """No line came, or one of another kind than recorded."""


class Replay:
    """One recording, step by step."""

    def __init__(self, name: str, home: Path, rules: tuple[Rule, ...]) -> None:
        self.name = name
        self.steps = exchanges(f"claude-code/{name}.jsonl")
        header = json.loads(
            (RECORDED / f"claude-code/{name}.jsonl").read_text(encoding="utf-8").splitlines()[0]
        )
        self.world: dict[str, Any] = header.get("with", {})
        self.home = home
        self.model = Model(replies(self.steps))
        self.due = [reply["at"] for reply in self.model.replies if not reply.get("unfinished")]
        self.comparison = Comparison(rules, is_id=UUID)
        self.seen: list[dict[str, Any]] = []
        self.expected = 0
        self.changed = asyncio.Condition()
        self.errors = ""

    async def run(self) -> None:
        """Feed it and compare; a line of another kind than recorded ends it as a difference."""
        if "after" in self.world:
            await Replay(self.world["after"], self.home, ()).run()
        try:
            await self._run()
        except WrongLineError as error:
            self.comparison.differences.append(str(error))

    async def _run(self) -> None:
        await self.model.start()
        process = await self._start()
        reading = asyncio.gather(self._read(process), self._read_errors(process))
        assert process.stdin is not None
        try:
            for number, step in enumerate(self.steps):
                if "in" in step:
                    if self._cuts_short(number):
                        await asyncio.wait_for(self.model.begun.wait(), DEADLINE_S)
                    line = step["in"] if isinstance(step["in"], str) else json.dumps(step["in"])
                    process.stdin.write(line.encode() + b"\n")
                elif "out" in step:
                    await self._out(number, step["out"])
                elif "exit" in step:
                    await self._exit(process, step)
            if process.returncode is None:
                process.stdin.close()
            await asyncio.wait_for(process.wait(), DEADLINE_S)
            await reading
            self._compare_errors()
            if len(self.seen) != self.expected:
                self.comparison.differences.append(
                    f"{len(self.seen) - self.expected} lines more: {self.seen[self.expected :]}"
                )
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            (self.home / "on").touch()  # a tool that outlived it waits no longer
            await self.model.stop()

    async def _start(self) -> asyncio.subprocess.Process:
        work, tools = self.home / "workspace", self.home / "bin"
        work.mkdir(exist_ok=True)
        tools.mkdir(exist_ok=True)
        wait = tools / "sleep"
        wait.write_text(f"#!/bin/sh\nwhile [ ! -e {self.home}/on ]; do /bin/sleep 0.02; done\n")
        wait.chmod(0o755)
        (self.home / "on").unlink(missing_ok=True)
        argv = next(step["argv"] for step in self.steps if "argv" in step)
        url = "http://127.0.0.1:9" if self.world.get("api") == "away" else self.model.url
        env = {
            "PATH": f"{tools}:/usr/bin:/bin",
            "HOME": str(self.home),
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "k",
            "IS_SANDBOX": "1",
        }
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sm.sandbox.agent.cli", *argv, cwd=work, limit=1 << 24,
            env={**env, **self.world.get("env", {})},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            async with self.changed:
                self.seen.append(json.loads(line))
                self.changed.notify_all()

    async def _read_errors(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        self.errors = (await process.stderr.read()).decode()

    async def _out(self, number: int, recorded: dict[str, Any]) -> None:
        while self.due and self._just_before(self.due[0], number):
            self.due.pop(0)
            self.model.allowed.release()
        if recorded["type"] == "user" and "tool_result" in json.dumps(recorded["message"]["content"]):
            (self.home / "on").touch()
        where = f"line {number + 2} {_name(recorded)}"
        self.expected += 1
        try:
            async with asyncio.timeout(DEADLINE_S), self.changed:
                await self.changed.wait_for(lambda: len(self.seen) >= self.expected)
        except TimeoutError:
            raise WrongLineError(
                f"{where} does not come; there came {[_name(line) for line in self.seen]}; {self.errors}"
            ) from None
        ours = self.seen[self.expected - 1]
        if _name(ours) != _name(recorded):
            raise WrongLineError(f"{where}: ours is {_name(ours)} of {[_name(line) for line in self.seen]}")
        self.comparison.compare(where, recorded, ours)

    def _cuts_short(self, number: int) -> bool:
        """Whether this input interrupts an answer that had begun."""
        step = self.steps[number]["in"]
        unfinished = any(reply.get("unfinished") for reply in replies(self.steps))
        return unfinished and isinstance(step, dict) and step["type"] == "control_request"

    def _just_before(self, at: int, number: int) -> bool:
        """Whether nothing is between here and the reply but lines that the CLI says by itself."""
        return at <= number or all("out" in step for step in self.steps[number:at])

    async def _exit(self, process: asyncio.subprocess.Process, step: dict[str, Any]) -> None:
        assert process.stdin is not None
        if step["signal"]:
            process.send_signal(step["signal"])
        process.stdin.close()
        code = await asyncio.wait_for(process.wait(), DEADLINE_S)
        self.comparison.compare("exit", step["exit"], code)

    def _compare_errors(self) -> None:
        recorded = "".join(step["err"] + "\n" for step in self.steps if "err" in step)
        self.comparison.compare("standard error", recorded, self.errors)


def _name(line: dict[str, Any]) -> str:
    name = str(line.get("subtype") or line["type"])
    if line["type"] in ("user", "assistant"):
        content = line["message"]["content"]
        name = f"{line['type']} {'text' if isinstance(content, str) else content[0]['type']}"
    return f"{name} (replay)" if line.get("isReplay") else name
