"""The stand-in's command line and its standard input."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, cast

from sm.sandbox.agent.cli import lines
from sm.sandbox.agent.cli.transcript import Transcript
from sm.sandbox.agent.cli.turns import Agent, Options

# option → whether it takes a value
_OPTIONS = {
    "-p": False, "--print": False, "--verbose": False, "--replay-user-messages": False,
    "--dangerously-skip-permissions": False, "--input-format": True, "--output-format": True, "--session-id": True,
    "--resume": True, "-r": True, "--append-system-prompt": True, "--permission-mode": True, "--model": True,
    "--settings": True, "--max-turns": True, "--setting-sources": True, "--disallowedTools": True,
    "--allowedTools": True, "--strict-mcp-config": False,
}  # fmt: skip
_SIGNALS = {signal.SIGTERM: 143, signal.SIGHUP: 129}


def main(words: list[str]) -> NoReturn:
    """Run until standard input ends; the exit code follows the last result's `is_error`."""
    if words == ["--version"]:
        sys.stdout.write(f"{lines.VERSION} (Claude Code, the sandbox's stand-in)\n")
        _leave(0)
    options = _parse(words)
    session = options.get("--resume") or options.get("-r") or options.get("--session-id") or lines.new_id()
    transcript = Transcript(session, str(Path.cwd()))
    if "--resume" in options or "-r" in options:
        if not transcript.exists:
            error = f"No conversation found with session ID: {session}"
            sys.stderr.write(error + "\n")
            _emit(lines.failed(session, error))
            _leave(1)
        transcript.load()
    elif transcript.exists:
        _refuse(f"Error: Session ID {session} is already in use.")
    bypass = "--dangerously-skip-permissions" in options
    mode = "bypassPermissions" if bypass else options.get("--permission-mode", "default")
    if mode == "bypassPermissions" and os.getuid() == 0 and os.environ.get("IS_SANDBOX") != "1":
        _refuse(
            "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons"
        )
    settings = Options(
        replay="--replay-user-messages" in options,
        permission_mode=mode,
        system_prompt=options.get("--append-system-prompt", ""),
        state_events=os.environ.get("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS") == "1",
        max_retries=int(os.environ.get("CLAUDE_CODE_MAX_RETRIES", "10")),
    )
    _leave(asyncio.run(_converse(settings, transcript)))


def _parse(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    index = 0
    while index < len(words):
        name, has_value, value = (
            words[index].partition("=") if words[index].startswith("--") else (words[index], "", "")
        )
        index += 1
        if name not in _OPTIONS:
            _refuse(f"error: unknown option '{name}'")
        if _OPTIONS[name] and not has_value:
            if index >= len(words):
                _refuse(f"error: option '{name}' argument missing")
            value = words[index]
            index += 1
        found[name] = value
    if "-p" not in found and "--print" not in found:
        _refuse("Error: this stand-in speaks stream-json only: use -p")
    if found.get("--output-format") == "stream-json" and "--verbose" not in found:
        _refuse("Error: When using --print, --output-format=stream-json requires --verbose")
    if (found.get("--input-format"), found.get("--output-format")) != ("stream-json", "stream-json"):
        _refuse("Error: this stand-in speaks stream-json only: give --input-format and --output-format")
    return found


async def _converse(options: Options, transcript: Transcript) -> int:
    loop = asyncio.get_running_loop()
    for number, code in _SIGNALS.items():
        loop.add_signal_handler(number, _leave, code)
    agent = Agent(options, transcript, _emit)
    loop.add_signal_handler(signal.SIGINT, agent.interrupt)
    ended = False

    def arrived(text: bytes | None) -> None:
        nonlocal ended
        if text is None:
            ended = True
            agent.arrived.set()
        else:
            _dispatch(agent, text)

    def pass_on(text: bytes | None) -> None:
        loop.call_soon_threadsafe(arrived, text)

    threading.Thread(target=_read_input, args=(pass_on,), daemon=True).start()
    while True:
        await agent.arrived.wait()
        agent.arrived.clear()
        await agent.run_queue()
        if ended and not agent.queue:
            return agent.exit_code


def _read_input(arrived: Callable[[bytes | None], object]) -> None:
    for text in sys.stdin.buffer:
        arrived(text)
    arrived(None)


def _dispatch(agent: Agent, text: bytes) -> None:
    """One input line. A malformed one is fatal; blank lines and unknown types are ignored (observed)."""
    if not text.strip():
        return
    try:
        line = cast("dict[str, Any]", json.loads(text))
        kind = line.get("type")
        if kind == "user":
            agent.take(line.get("uuid"), line["message"]["content"])
        elif kind == "control_request":
            agent.control(line["request_id"], line["request"])
            if line["request"].get("subtype") == "end_session":
                _leave(0)
        elif kind == "assistant":
            _emit(line)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        shown = text.decode(errors="replace").rstrip("\n")[:200]
        sys.stderr.write(f"Error parsing streaming input line: {shown}: {type(error).__name__}: {error}\n")
        _leave(1)


def _emit(line: dict[str, Any]) -> None:
    data = memoryview(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    try:
        while data:
            data = data[os.write(1, data) :]
    except BrokenPipeError:
        _leave(1)


def _refuse(text: str) -> NoReturn:
    sys.stderr.write(text + "\n")
    _leave(1)


def _leave(code: int) -> NoReturn:
    """End at once: the threads that read or wait for an answer are left behind."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
