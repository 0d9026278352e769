"""The stand-in CLI, held to what was observed with the real one; the scripted API behind it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from vm_kit import CLAUDE, until

from sm.sandbox.agent.api import AgentApi
from sm.sandbox.faults import Faults

SESSION = "22222222-2222-4222-8222-222222222222"


class Cli:
    """One process of the stand-in."""

    def __init__(self, home: Path, api: AgentApi) -> None:
        self.home, self.api = home, api
        self.lines: list[dict[str, object]] = []
        self.errors = ""

    async def start(self, *words: str, **env: str) -> None:
        work = self.home / "w"
        work.mkdir(exist_ok=True)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sm.sandbox.agent.cli", *CLAUDE[1:], *words, cwd=work, limit=1 << 24,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={
                "PATH": "/usr/bin:/bin", "HOME": str(self.home), "ANTHROPIC_BASE_URL": self.api.url, "ANTHROPIC_API_KEY": "k",
                "IS_SANDBOX": "1", "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1", **env,
            },
        )  # fmt: skip
        self._reading = asyncio.gather(self._read(), self._read_errors())

    async def _read(self) -> None:
        async for line in self.process.stdout:
            self.lines.append(json.loads(line))

    async def _read_errors(self) -> None:
        self.errors = (await self.process.stderr.read()).decode()

    def raw(self, text: str) -> None:
        self.process.stdin.write(text.encode() + b"\n")

    def say(self, text: str, number: int = 1) -> None:
        uuid = f"aaaaaaaa-0000-4000-8000-{number:012d}"
        self.raw(json.dumps({"type": "user", "uuid": uuid, "message": {"role": "user", "content": text}}))

    def control(self, subtype: str, **more: object) -> None:
        self.raw(
            json.dumps(
                {"type": "control_request", "request_id": subtype, "request": {"subtype": subtype, **more}}
            )
        )

    async def seen(self, what: str, count: int = 1) -> dict[str, object]:
        """The `count`-th line of this kind."""
        await until(
            lambda: len([line for line in self.lines if kind(line) == what]) >= count,
            f"{what} in {self.story()}",
        )
        return [line for line in self.lines if kind(line) == what][count - 1]

    def story(self) -> list[str]:
        return [kind(line) for line in self.lines]

    async def end(self) -> int:
        self.process.stdin.close()
        code = await asyncio.wait_for(self.process.wait(), 10)
        await self._reading
        return code


def kind(line: dict[str, object]) -> str:
    """A short word for a line: init, replay, text, tool, tool_result, notice, result, running, idle, control…"""
    match line["type"]:
        case "system":
            return str(line.get("state", line["subtype"]))
        case "user" if line.get("isReplay"):
            return "replay"
        case "user" | "assistant":
            block = line["message"]["content"][0]
            return {"tool_use": "tool"}.get(block["type"], block["type"] if line["type"] == "assistant" else
                                            block["type"].replace("text", "notice"))  # fmt: skip
        case other:
            return str(other).replace("control_response", "control")


@pytest.fixture
async def api():
    api = AgentApi(Faults())
    await api.start()
    yield api
    await api.stop()


@pytest.fixture
async def cli(tmp_path: Path, api: AgentApi):
    cli = Cli(tmp_path, api)
    yield cli
    if cli.process.returncode is None:
        cli.process.kill()
        await cli.process.wait()


async def test_a_turn_has_the_observed_lines_in_the_observed_order(cli: Cli):
    await cli.start()
    cli.control("initialize")
    cli.say("run echo hi")
    await cli.seen("idle")
    assert cli.story() == [
        "control", "running", "init", "replay", "tool", "tool_result", "text", "result", "idle",
    ]  # fmt: skip
    assert (await cli.seen("result"))["num_turns"] == 2
    assert await cli.end() == 0


async def test_messages_queued_during_a_text_turn_become_one(cli: Cli):
    await cli.start()
    cli.say("slow 4")
    await cli.seen("init")
    cli.say("say a", 2)
    cli.say("say b", 3)
    await cli.seen("result", 2)
    replays = [line for line in cli.lines if kind(line) == "replay"]
    assert [line["message"]["content"] for line in replays] == ["slow 4", "say a", "say a\nsay b"]
    assert replays[2]["uuid"].endswith("3")
    assert "timestamp" not in replays[1]
    assert cli.story().count("running") == 1


async def test_a_message_during_a_tool_is_steered_in_and_acknowledged_after_its_result(cli: Cli):
    await cli.start()
    cli.say("sleep 1")
    await cli.seen("tool")
    cli.say("say steered", 2)
    await cli.seen("idle")
    assert (
        cli.story()[4:] == ["tool", "tool_result", "replay", "text", "text", "result", "idle"][0:]
        or cli.story()
    )
    assert cli.story()[2:] == ["replay", "tool", "tool_result", "replay", "text", "text", "result", "idle"]
    assert cli.api.state()["texts"] == ["sleep 1", "say steered"]


async def test_a_uuid_seen_before_is_acknowledged_and_dropped(cli: Cli):
    await cli.start()
    cli.say("say one")
    await cli.seen("idle")
    cli.say("say one")
    await cli.seen("replay", 2)
    await cli.end()
    assert cli.story().count("result") == 1


@pytest.mark.parametrize(
    ("words", "reached", "reason", "lines"),
    [
        ("sleep 30", "tool", "aborted_tools", ["control", "tool_result", "notice", "result", "idle"]),
        ("slow 99", "init", "aborted_streaming", ["control", "replay", "notice", "result", "idle"]),
    ],
)
async def test_an_interrupt_ends_the_turn(cli: Cli, words: str, reached: str, reason: str, lines: list[str]):
    await cli.start()
    cli.say(words)
    await cli.seen(reached)
    cli.control("interrupt")
    result = await cli.seen("result")
    await cli.seen("idle")
    assert (result["subtype"], result["is_error"], result["terminal_reason"]) == (
        "error_during_execution",
        True,
        reason,
    )
    told = [
        line for line in cli.story() if line != "text"
    ]  # what of the answer had come by then, if anything
    assert told[-5:] == lines
    cli.say("say after", 2)
    assert (await cli.seen("result", 2))["result"] == "after"


@pytest.mark.parametrize(
    "line", ['{"type":"user","message":{"role":"user","cont', "not json", '{"type":"user"}']
)
async def test_a_malformed_line_is_fatal(cli: Cli, line: str):
    await cli.start()
    cli.raw(line)
    assert await asyncio.wait_for(cli.process.wait(), 10) == 1
    await cli.end()
    assert "Error parsing streaming input line" in cli.errors


async def test_blank_lines_and_unknown_types_are_ignored(cli: Cli):
    await cli.start()
    cli.raw("")
    cli.raw('{"type":"keep_alive"}')
    cli.say("say still here")
    assert (await cli.seen("result"))["result"] == "still here"


async def test_resume_continues_and_an_unknown_session_is_an_error_result(
    cli: Cli, tmp_path: Path, api: AgentApi
):
    await cli.start("--session-id", SESSION)
    cli.say("say one")
    await cli.seen("idle")
    await cli.end()
    again = Cli(tmp_path, api)
    await again.start("--session-id", SESSION)
    assert await again.end() == 1
    assert "already in use" in again.errors
    resumed = Cli(tmp_path, api)
    await resumed.start("--resume", SESSION)
    resumed.say("say two", 2)
    assert (await resumed.seen("result"))["session_id"] == SESSION
    await resumed.end()
    unknown = Cli(tmp_path, api)
    await unknown.start("--resume", SESSION.replace("2222", "3333", 1))
    assert await unknown.end() == 1
    assert unknown.lines[0]["subtype"] == "error_during_execution"
    assert "No conversation found with session ID" in unknown.errors


async def test_sigterm_ends_it_at_once_without_a_result(cli: Cli):
    await cli.start()
    cli.say("sleep 30")
    await cli.seen("tool")
    cli.process.send_signal(signal.SIGTERM)
    assert await cli.end() == 143
    assert "result" not in cli.story()


async def test_the_end_of_input_lets_the_turn_finish(cli: Cli):
    await cli.start()
    cli.say("run sleep .3; echo done")
    await cli.seen("tool")
    assert await cli.end() == 0
    assert cli.story()[-2:] == ["result", "idle"]


async def test_api_errors_are_retried_or_said(cli: Cli):
    await cli.start()
    cli.say("fail 529 1")
    retry = await cli.seen("api_retry")
    assert (retry["attempt"], retry["error_status"], retry["error"]) == (1, 529, "overloaded")
    assert (await cli.seen("result"))["is_error"] is False
    cli.say("fail 403", 2)
    failed = await cli.seen("result", 2)
    assert (failed["subtype"], failed["is_error"], failed["api_error_status"]) == ("success", True, 403)
    assert cli.story().count("api_retry") == 1
    assert await cli.end() == 1


async def test_a_stream_that_breaks_off_is_a_success_without_a_stop_reason(cli: Cli):
    await cli.start()
    cli.say("cut")
    result = await cli.seen("result")
    assert (result["subtype"], result["is_error"], result["result"]) == ("success", False, "This is where it")
    assert result["stop_reason"] is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root is refused")
async def test_root_needs_the_sandbox_variable(cli: Cli):
    await cli.start(IS_SANDBOX="")
    assert await cli.end() == 1
    assert "cannot be used with root/sudo" in cli.errors


async def test_a_slash_command_has_no_replay_and_clear_changes_the_session(cli: Cli):
    await cli.start("--session-id", SESSION)
    cli.say("/clear")
    assert (await cli.seen("result"))["session_id"] != SESSION
    cli.say("/help", 2)
    assert "isn't available" in (await cli.seen("result", 2))["result"]
    assert "replay" not in cli.story()


async def test_a_turn_can_kill_the_agent(cli: Cli):
    cli.api.faults.arm("agent", "die_mid_turn")
    await cli.start()
    cli.say("say never")
    assert await asyncio.wait_for(cli.process.wait(), 10) == -9
    assert "result" not in cli.story()


async def test_the_api_streams_as_the_real_one_does(api: AgentApi):
    body = {
        "model": "m",
        "stream": True,
        "messages": [{"role": "user", "content": "add pytest to the project"}],
    }
    async with aiohttp.ClientSession() as http:
        async with http.head(api.url) as response:
            assert response.status == 200
        async with http.post(f"{api.url}/v1/messages?beta=true", json=body) as response:
            assert response.status == 401
        async with http.post(
            f"{api.url}/v1/messages?beta=true", json=body, headers={"x-api-key": "k"}
        ) as response:
            events = [
                line.split(": ", 1)[1]
                for line in (await response.text()).splitlines()
                if line.startswith("event")
            ]
    assert events[:3] == ["message_start", "ping", "content_block_start"]
    assert events[-2:] == ["message_delta", "message_stop"]
    assert events.count("content_block_stop") == 2
