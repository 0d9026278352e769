"""The stand-in for the Claude Code CLI says what the real one was recorded saying, line by line."""

from __future__ import annotations

import asyncio
import os

import pytest
from claude_replay import Replay
from recorded_kit import RECORDED, Rule

NAMES = sorted(path.stem for path in (RECORDED / "claude-code").glob("*.jsonl"))
AT_ONCE = 2
OVERTAKEN = "interrupted-text"
TRIES = 5
"""From outside nobody sees that the CLI has read what the API sent: its interrupt may overtake that, then once more."""

_OWN = "what this CLI can do, and where it runs, is its own"
_READ = "nobody here reads it"
_MADE_UP = "made up"
RULES = (
    *(Rule(f"*init.{key}*", "value", _OWN) for key in ("cwd", "tools", "slash_commands", "agents", "skills")),
    Rule("*init.model", "value", "one recording was made with a smaller context window"),
    *(
        Rule(f"*.{key}", "absent", _READ)
        for key in (
            "analytics_disabled", "product_feedback_disabled", "memory_paths", "fast_mode_state", "ttft_ms",
            "ttft_stream_ms", "time_to_request_ms", "modelUsage.claude-*", "usage.server_tool_use",
            "usage.cache_creation", "usage.inference_geo", "usage.iterations", "usage.speed", "usage.service_tier",
            "message.usage.cache_creation_input_tokens", "message.usage.cache_read_input_tokens",
        )
    ),
    Rule("*.timestamp", "value", "a time as text"),
    Rule("*.duration_ms", "value", "a duration"),
    Rule("*.duration_api_ms", "value", "a duration"),
    Rule("*.total_cost_usd", "value", _MADE_UP),
    *(
        Rule(f"*.usage.{key}", "value", "made up, and not summed over the requests of a turn")
        for key in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    ),
    Rule("*.retry_delay_ms", "value", "drawn by lot around a doubling one"),
    Rule("*control_response.response.response.text", "value", "costs, in more lines"),
    Rule("standard error", "value", "a malformed line is named by another parser"),
)  # fmt: skip


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Replay]:
    """Every recording replayed, two at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> Replay:
        async with gate:
            for _ in range(TRIES if name == OVERTAKEN else 1):
                replay = Replay(name, tmp_path_factory.mktemp(name), RULES)
                await replay.run()
                if not replay.comparison.differences:
                    break
            return replay

    async def every() -> list[Replay]:
        names = [name for name in NAMES if name != "root" or os.getuid() == 0]  # recorded as root
        return await asyncio.gather(*map(one, names))

    return {replay.name: replay for replay in asyncio.run(every())}


@pytest.mark.parametrize("name", NAMES)
def test_each_line_is_as_recorded(name: str, replayed: dict[str, Replay]) -> None:
    if name not in replayed:
        pytest.skip("only root is refused")
    assert replayed[name].comparison.differences == []


def test_each_exception_is_needed(replayed: dict[str, Replay]) -> None:
    used = set[Rule]().union(*(replay.comparison.used for replay in replayed.values()))
    assert [rule for rule in RULES if rule not in used] == []
