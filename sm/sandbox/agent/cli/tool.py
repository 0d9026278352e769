"""The one tool: Bash, run for real. A command's children outlive the CLI, as they do with the real one."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

_TIMEOUT_S = 120.0
_MOST_CHARS = 30_000


class BashCall:
    """One command that is running or has run."""

    def __init__(self, command: str) -> None:
        self.command = command
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> tuple[str, bool]:
        """The tool's result as text, and whether it is an error."""
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", self.command, start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        self._process = process
        try:
            said, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT_S)
        except TimeoutError:
            self.kill()
            return f"Command timed out after {_TIMEOUT_S:.0f}s", True
        text = said.decode(errors="replace").strip()[:_MOST_CHARS]
        if process.returncode:
            code = process.returncode if process.returncode > 0 else 128 - process.returncode
            return f"Exit code {code}\n{text}".strip(), True
        return text, False

    def kill(self) -> None:
        """End the command and its process group."""
        if self._process is not None and self._process.returncode is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return


def result_block(call: dict[str, Any], text: str, *, is_error: bool) -> dict[str, Any]:
    """The block that carries a result back to the model."""
    return {"tool_use_id": call["id"], "type": "tool_result", "content": text, "is_error": is_error}
