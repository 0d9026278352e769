"""What the sandbox's model says: a pure function from the messages of a request to the reply.

It plays the specification's example from its plain words, and a few others that tests and people like:

    add PACKAGE to the project     pip install, and a [NETWORK_REQUEST: …] when that fails
    [NETWORK_APPROVED: DOMAIN]     the install again       [NETWORK_DENIED: DOMAIN]   goes on without, for the reason given
    please open DOMAIN             a [NETWORK_REQUEST: …] for any domain (also: fetch DOMAIN)
    search WORDS                   a web search, which the API itself does for the CLI in a request of its own
    say WORDS · long N · slow N · sleep N · run COMMAND · fail STATUS [TIMES] · hang · cut · die

Anything else is echoed. Nothing is remembered between requests: the history of the conversation is the memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from attrs import field, frozen

Block = dict[str, Any]
Message = Mapping[str, Any]

INDEX = "pypi.org"
MAX_LONG = 1_000_000
MAX_SLOW = 3000
_AGAIN = f"{INDEX} is open"
_FOUND = "Found about"
_DENIED = "Understood: I go on without"
_STEERED = re.compile(r"The user sent a new message while you were working:\n(.*?)\n\nIMPORTANT: ", re.DOTALL)
_MARKER_LINE = re.compile(r"\[NETWORK_(APPROVED|DENIED): ([^\]\s]+)(?: — ([^\]]+))?\]")
_NOT_A_PERSON = ("<system-reminder>", "[Request interrupted", "<local-command", "<command-")


@frozen
class Reply:
    """Blocks of one assistant message. `pace_s` is the wait after each word of text.

    `fail_status` answers an HTTP error instead, the first `fail_times` times (0: always); `hang` never answers; `cut`
    breaks the stream before its end.
    """

    blocks: tuple[Block, ...] = ()
    pace_s: float = 0.0
    fail_status: int = 0
    fail_times: int = 0
    hang: bool = False
    cut: bool = False

    @property
    def stop_reason(self) -> str:
        """`tool_use` when a tool is to run, else `end_turn`."""
        return "tool_use" if any(block["type"] == "tool_use" for block in self.blocks) else "end_turn"


@frozen
class Tail:
    """What is new in a request since the model last spoke: results of its tools, and what people wrote."""

    results: tuple[Block, ...] = ()
    texts: tuple[str, ...] = ()
    calls: Mapping[str, Block] = field(factory=dict[str, Block])


def plan(messages: Sequence[Message]) -> Reply:
    """The reply to a conversation so far."""
    tail = read_tail(messages)
    replies = [
        _after_tool(tail.calls.get(str(result.get("tool_use_id")), {}), result) for result in tail.results
    ]
    replies += [_answer(text, messages) for text in tail.texts]
    if not replies:
        return say("I have nothing to answer.")
    special = next((reply for reply in replies if reply.fail_status or reply.hang or reply.cut), None)
    if special is not None:
        return special
    blocks = [block for reply in replies for block in reply.blocks]
    blocks.sort(key=lambda block: block["type"] == "tool_use")  # text before tools, as models have it
    return Reply(tuple(blocks), max(reply.pace_s for reply in replies))


def human_texts(messages: Sequence[Message]) -> list[str]:
    """Everything that people wrote in a conversation, in order, what was sent during a tool's run included."""
    return [text for message in messages for text in _texts(message)]


def read_tail(messages: Sequence[Message]) -> Tail:
    """Split off what came after the last assistant message.

    A person's text newer than a tool's refused result replaces it: the turn was interrupted.
    """
    last = max((at for at, message in enumerate(messages) if message.get("role") == "assistant"), default=-1)
    calls = (
        {block["id"]: block for block in _blocks(messages[last]) if block.get("type") == "tool_use"}
        if last >= 0
        else {}
    )
    results: list[Block] = []
    texts: list[str] = []
    interrupted = False
    for message in messages[last + 1 :]:
        for block in _blocks(message):
            if block.get("type") == "tool_result" and message.get("role") == "user":
                results.append(block)
            interrupted |= str(block.get("text", "")).startswith("[Request interrupted")
        texts += _texts(message)
    return Tail(() if interrupted else tuple(results), tuple(texts[-1:] if interrupted else texts), calls)


def say(text: str, pace_s: float = 0.0) -> Reply:
    """A reply of one text."""
    return Reply(({"type": "text", "text": text},), pace_s)


def bash(command: str, description: str, text: str = "") -> Reply:
    """A reply that runs a command, with a text before it. The API gives the call its id."""
    words = [{"type": "text", "text": text}] if text else []
    call = {"type": "tool_use", "name": "Bash", "input": {"command": command, "description": description}}
    return Reply((*words, call))


def _blocks(message: Message) -> list[Block]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return cast("list[Block]", content) if isinstance(content, list) else []


def _texts(message: Message) -> Iterator[str]:
    if message.get("role") not in ("user", "system"):
        return
    for block in _blocks(message):
        text = str(block.get("text", "")) if block.get("type") == "text" else ""
        steered = _STEERED.findall(text)
        if steered:
            yield from (found.strip() for found in steered)
        elif message.get("role") == "user" and text.strip() and not text.lstrip().startswith(_NOT_A_PERSON):
            yield text.strip()


def _answer(text: str, messages: Sequence[Message]) -> Reply:
    """The reply to one text of a person (or of the service): decisions line by line, then the words."""
    lines = text.splitlines()
    decisions = [match for line in lines if (match := _MARKER_LINE.fullmatch(line.strip()))]
    words = "\n".join(line for line in lines if not _MARKER_LINE.fullmatch(line.strip())).strip()
    replies = [_decided(match[1], match[2], match[3] or "", messages) for match in decisions]
    if words:
        replies.append(_play(words))
    special = next((reply for reply in replies if reply.fail_status or reply.hang or reply.cut), None)
    return special or Reply(
        tuple(block for reply in replies for block in reply.blocks), max(reply.pace_s for reply in replies)
    )


def _decided(decision: str, domain: str, reason: str, messages: Sequence[Message]) -> Reply:
    if decision == "DENIED":
        return say(f"{_DENIED} {domain}, since: {reason}." if reason else f"{_DENIED} {domain}.")
    package = next(
        (
            command.removeprefix("pip install ")
            for message in reversed(messages)
            for block in _blocks(message)
            if block.get("type") == "tool_use" and (command := _command(block)).startswith("pip install ")
        ),
        "",
    )
    if package and domain == INDEX:
        return bash(f"pip install {package}", f"Install {package} again: {_AGAIN}")
    if reason:
        return say(f"{domain} is open, but {reason}.")
    return say(f"[NETWORK_APPROVED: {domain}]\n\nThank you, {domain} is open now.")


def _command(call: Block) -> str:
    value = cast("Mapping[str, object]", call.get("input") or {}).get("command", "")
    return value if isinstance(value, str) else ""


def _long(size: int) -> Reply:
    """A text of exactly `size` characters: paragraphs, and code in fences, so that it has to be split with care."""
    parts: list[str] = []
    length = number = 0
    while length < size:
        number += 1
        code = "\n".join(f"line_{number}_{row} = {row}  # äöü ✅" for row in range(40))
        part = f"Paragraph {number}. " + "All of it is wanted. " * 20 + f"\n\n```python\n{code}\n```\n\n"
        parts.append(part)
        length += len(part)
    return say("".join(parts)[:size])


def _bounded(text: str, most: int) -> int:
    return min(int(text), most)


# what the words say → the reply
_WORDS: tuple[tuple[str, Callable[[re.Match[str]], Reply]], ...] = (
    (
        r"add ([\w.-]+) to the project\b.*",
        lambda m: bash(
            f"pip install {m[1]}", f"Install {m[1]}", f"I'll add {m[1]} to the project dependencies..."
        ),
    ),
    (
        r"(?:please open|fetch) (\S+).*",
        lambda m: say(f"I need {m[1]} for that.\n\n[NETWORK_REQUEST: {m[1]}]"),
    ),
    (r"search (.+)", lambda m: Reply(({"type": "tool_use", "name": "WebSearch", "input": {"query": m[1]}},))),
    (r"perform a web search for the query: (.+)", lambda m: say(f"{_FOUND} {m[1]}: https://example.com/")),
    (r"say (.+)", lambda m: say(m[1])),
    (r"long (\d+)", lambda m: _long(_bounded(m[1], MAX_LONG))),
    (r"slow (\d+)", lambda m: say(" ".join(f"w{n}" for n in range(_bounded(m[1], MAX_SLOW))), 0.2)),
    (r"sleep (\d+)", lambda m: bash(f"sleep {m[1]}; echo slept {m[1]}", "Sleep")),
    (r"run (.+)", lambda m: bash(m[1], "Run it")),
    (r"fail (\d{3})(?: (\d+))?", lambda m: Reply(fail_status=int(m[1]), fail_times=int(m[2] or 0))),
    (r"hang", lambda _: Reply(hang=True)),
    (r"cut", lambda _: Reply(({"type": "text", "text": "This is where it"},), cut=True)),
    (r"die", lambda _: bash("kill -9 $PPID", "End the agent", "Goodbye.")),
)


def _play(words: str) -> Reply:
    for pattern, make in _WORDS:
        if match := re.fullmatch(pattern, words, re.IGNORECASE | re.DOTALL):
            return make(match)
    short = words if len(words) <= 200 else f"{words[:200]}…"
    return say(f"You said: {short}")


def _after_tool(call: Block, result: Block) -> Reply:
    """What the model says once its tool has run."""
    command, output = _command(call), _result_text(result)
    if call.get("name") == "WebSearch":
        found = [line for line in output.splitlines() if line.startswith(_FOUND)]
        return say("\n".join(found) or f"The search failed: {output[:1000]}")
    failed = bool(result.get("is_error"))
    if command.startswith("pip install "):
        description = str(cast("Mapping[str, object]", call["input"]).get("description", ""))
        return say(_installed(command, output, failed=failed, again=_AGAIN in description))
    if command.startswith("sleep "):
        return say(output or "I woke up.")
    if not command:
        return say(f"The tool answered: {output[:1000]}")
    return say(f"$ {command}\n{output[:4000]}")


def _installed(command: str, output: str, *, failed: bool, again: bool) -> str:
    prefix = f"[NETWORK_APPROVED: {INDEX}]\n\n" if again else ""
    done = re.search(r"^(Successfully installed .+|Requirement already satisfied: \S+)", output, re.MULTILINE)
    if done and not failed:
        return f"{prefix}$ {command}\n{done[1].strip()}"
    if not again:
        return f"$ {command}\nERROR: Connection timed out to {INDEX}\n\n[NETWORK_REQUEST: {INDEX}]"
    errors = [line for line in output.splitlines() if line.startswith("ERROR:")]
    return f"{prefix}$ {command}\n{(errors or output.splitlines() or ['no output'])[-1]}\n\nIt still does not work."


def _result_text(result: Block) -> str:
    content = result.get("content")
    if isinstance(content, str):
        return content.strip()
    blocks = cast("list[Block]", content) if isinstance(content, list) else []
    return "\n".join(str(block.get("text", "")) for block in blocks).strip()
