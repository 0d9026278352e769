"""What we say: words for each message that the core can ask for, the specification's lines, and no way out of a span."""

from __future__ import annotations

import ast
import re
from importlib import resources
from importlib.resources.abc import Traversable

import pytest
from markdown_it import MarkdownIt

from sm.core import domains, grammar, markers, tables
from sm.engine import wording
from sm.engine.wording import MESSAGES, render
from sm.engine.wording.corrections import CORRECTIONS
from sm.engine.wording.places import PREPARE_ADVICE

BOT = "claude"
HOSTILE = "`" * 4 + " `x` ```\n```\n~~~\n\n# out\n\n**out** @all ![out](http://out.example/x)\n> out\n" + "`"


# --- what the core can ask for ----------------------------------------------------------------------------------------


def _core() -> list[ast.Module]:
    return [_parsed(s) for s in resources.files("sm.core").iterdir() if s.name.endswith(".py")]


def _alias() -> list[ast.Module]:
    return [_parsed(s) for s in resources.files("sm.core.alias").iterdir() if s.name.endswith(".py")]


def _parsed(source: Traversable) -> ast.Module:
    return ast.parse(source.read_text(encoding="utf-8"))


def _texts(node: ast.AST) -> set[str]:
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def _assigned(function: ast.AST, name: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == name for t in node.targets
        ):
            values = (
                [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
            )
            found |= {v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)}
    return found


def messages_of_the_core() -> dict[str, list[set[str]]]:
    """Each message that a rule says, with the names of its facts at each place where it does."""
    found: dict[str, list[set[str]]] = {}
    for module in _core():
        for function in [n for n in ast.walk(module) if isinstance(n, ast.FunctionDef)]:
            for call in [n for n in ast.walk(function) if isinstance(n, ast.Call)]:
                if isinstance(call.func, ast.Name) and call.func.id == "Say":
                    if isinstance(
                        call.args[1], ast.Constant
                    ):  # the facts are written out somewhere in the function
                        found.setdefault(str(call.args[1].value), []).append(_texts(function))
                    continue
                if not isinstance(call.func, ast.Attribute) or call.func.attr not in {
                    "say",
                    "_say",
                    "say_in",
                }:
                    continue
                first = call.args[call.func.attr == "say_in"]  # behind the thread
                names = _assigned(function, first.id) if isinstance(first, ast.Name) else _texts(first)
                facts = {k.arg for k in call.keywords if k.arg}
                if any(k.arg is None for k in call.keywords):
                    facts |= {"trouble", "exit", "err_tail"}
                if call.func.attr != "_say":
                    facts.add("repository")
                for name in names:
                    found.setdefault(name, []).append(facts)
    return found


def _keys(node: ast.AST) -> set[str]:
    """The keys of the dictionaries that are written out in it."""
    every = [key for one in ast.walk(node) if isinstance(one, ast.Dict) for key in one.keys]
    return {str(key.value) for key in every if isinstance(key, ast.Constant)}


def _facts(function: ast.AST, call: ast.Call) -> set[str]:
    """The names of the keywords, those of a dictionary that the same function or another one makes, too."""
    found = {keyword.arg for keyword in call.keywords if keyword.arg}
    spread = [keyword.value for keyword in call.keywords if keyword.arg is None]
    names = {value.id for value in spread if isinstance(value, ast.Name)}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and names & {t.id for t in node.targets if isinstance(t, ast.Name)}:
            found |= _keys(node.value)
    makers = {
        value.func.id for value in spread if isinstance(value, ast.Call) and isinstance(value.func, ast.Name)
    }
    for module in _alias():
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef) and node.name in makers:
                found |= _keys(node)
    return found


def messages_of_the_alias() -> dict[str, list[set[str]]]:
    """Each message of the alias's stream: in a channel, to an operator, to one person alone."""
    at = {"say": 1, "report": 0, "say_privately": 0, "_answer_privately": 0, "_each": 1}
    more = {"_answer_privately": {"who"}, "_each": {"domain"}}
    found: dict[str, list[set[str]]] = {}
    for module in _alias():
        for function in [n for n in ast.walk(module) if isinstance(n, ast.FunctionDef)]:
            for call in [n for n in ast.walk(function) if isinstance(n, ast.Call)]:
                if not isinstance(call.func, ast.Attribute) or call.func.attr not in at:
                    continue
                first = call.args[at[call.func.attr]]
                if isinstance(first, ast.Constant):
                    facts = _facts(function, call) | more.get(call.func.attr, set())
                    found.setdefault(str(first.value), []).append(facts)
    return found


SAID = messages_of_the_core()
for _message, _places in messages_of_the_alias().items():
    SAID.setdefault(_message, []).extend(_places)


def example(fact: str) -> str:
    examples = {
        "waiting": "2",
        "problem": "typo",
        "state": "working",
        "code": "disk_full",
        "changed_count": "3",
        "unpushed": "1",
        "sessions": "abc12345 post1 james acme/webapp",
        "expires_ms": "1795553566128",
        "resolved": "seen",
        "more": "0",
        "grants": "pypi.org\theld\thour\t1795553566128\tjames\t\t",
        "cards": "post1\tpypi.org\tacme/webapp\tabc12345\t1795553566128",
    }
    return examples.get(fact, "4" if fact == "changed" else f"<{fact}>")


def test_the_messages_of_the_core_are_found() -> None:
    assert {"preparing", "stopped", "never_ready", "gave_up", "resumed_without_memory", "help"} <= set(SAID)


@pytest.mark.parametrize("message", sorted(SAID))
def test_each_message_of_the_core_has_words_that_need_only_what_the_core_gives(message: str) -> None:
    for facts in SAID[message]:
        text = render(message, {fact: example(fact) for fact in facts}, bot=BOT)
        assert text == text.strip()
        assert len(text) > 5


def test_no_words_are_for_a_message_that_is_never_said() -> None:
    assert set(MESSAGES) == set(SAID)


def test_each_problem_that_the_grammar_finds_has_its_words() -> None:
    problems: set[str] = set()
    for name in ("__init__.py", "start_line.py", "targets.py", "decisions.py"):
        tree = ast.parse((resources.files("sm.core.grammar") / name).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "problem":
                problems |= _texts(node.value)
    assert problems == set(CORRECTIONS)


@pytest.mark.parametrize("state", tables.SESSION_STATES)
def test_each_state_of_a_session_can_be_told(state: str) -> None:
    facts = {"repository": "acme/webapp", "state": state, "waiting": "0", "started_by": "james"}
    place = {"session": "abc12345", "path": "/p", "branch": "main"}
    text = render("status", {**facts, **place}, bot=BOT)
    assert re.match(r"Session `abc12345` on \*\*acme/webapp\*\*, started by @james, (is|waits) ", text)
    assert text.endswith(" It works in `/p` on branch `main`.")


# --- the specification's own lines -------------------------------------------------------------------------------------


IN_USE = """\
⚠️ Repository **acme/webapp** is already in use by session `abc12345`.
Use `--worktree` for an isolated working directory:
`@claude start acme/webapp --worktree`"""


@pytest.mark.parametrize(
    ("message", "facts", "text"),
    [
        ("preparing", {"repository": "acme/webapp"}, "📦 Preparing **acme/webapp**..."),
        ("starting", {}, "🚀 Starting session..."),
        ("ready", {"session": "abc12345"}, "✅ Ready. Container: `claude-abc12345`"),
        ("stopped", {"waiting": "0"}, "✅ Stopped."),
        (
            "in_use",
            {"repository": "acme/webapp", "holder": "abc12345"},
            IN_USE,
        ),
    ],
)
def test_the_example_conversations_messages_stand_as_they_are(
    message: str, facts: dict[str, str], text: str
) -> None:
    assert render(message, facts, bot=BOT) == text


# --- nothing of others' words gets out of its span or fence -------------------------------------------------------------


def outside(text: str) -> str:
    """What of a post is read as Markdown: everything that is in no code span and no fence."""
    seen: list[str] = []
    for token in MarkdownIt("commonmark").parse(text):
        if token.type in {"fence", "code_block"}:
            continue
        if token.type == "heading_open":
            seen.append("HEADING out")
        for child in token.children or ():
            if child.type != "code_inline":
                seen.append(child.content or child.type)
                seen += [str(value) for value in (child.attrs or {}).values()]
    return "\n".join(seen)


FACTS = {
    "repository": "acme/webapp",
    "session": "abc12345",
    "holder": "abc12345",
    "waiting": "0",
    "code": "git_failed",
    "trouble": "ended",
    "exit": "137 0",
    "turn_was_open": "",
    "err_tail": "",
    "detail": "",
    "branch": "main",
    "path": "/p",
    "host": "github.com",
    "changed": "",
    "changed_count": "2",
    "unpushed": "0",
    "mirror": "/m",
    "runtime": "podman",
    "image": "claude-code:latest",
    "worktree": "",
}


@pytest.mark.parametrize(
    ("message", "fact"),
    [
        ("prepare_failed", "detail"),
        ("start_failed", "detail"),
        ("turn_failed", "detail"),
        ("api_retry", "detail"),
        ("project_refused", "detail"),
        ("place_note", "detail"),
        ("git_host_needed", "detail"),
        ("diff_failed", "detail"),
        ("fetch_failed", "detail"),
        ("push_refused", "detail"),
        ("push_refused", "branch"),
        ("left_behind", "changed"),
        ("left_behind", "branch"),
        ("left_unseen", "detail"),
        ("never_ready", "err_tail"),
        ("never_ready", "exit"),
        ("agent_ended", "err_tail"),
        ("agent_ended", "exit"),
        ("gave_up", "err_tail"),
        ("gave_up", "exit"),
    ],
)
@pytest.mark.parametrize("hostile", [HOSTILE, HOSTILE[1:], "\n" + HOSTILE, HOSTILE * 40, "`` out `` out"])
def test_somebody_elses_words_stay_in_their_code(message: str, fact: str, hostile: str) -> None:
    text = render(message, {**FACTS, fact: hostile}, bot=BOT)
    assert "out" not in outside(text).replace("without", "").replace("about", ""), text
    assert len(text) < 1500


@pytest.mark.parametrize(
    "body",
    [
        "stat `out",
        "strat ` **out** ` x",
        "start `**out**`",
        "start a/b `` out ``",
        "start --`out`",
        "stop ```\n# out",
    ],
)
def test_a_corrections_words_stay_in_their_code(body: str) -> None:
    intent = grammar.read(f"@{BOT} {body}", BOT).intent
    assert intent.name == "correct"
    facts = {"problem": intent.problem, "word": intent.word, "suggestion": intent.suggestion}
    text = render("correction", facts, bot=BOT)
    assert "out" not in outside(text).replace("Without", "").replace("leave out", ""), text


def test_a_message_in_doubt_is_quoted_on_one_line() -> None:
    text = render("in_doubt", {"text": "first\nsecond\r\n# third"}, bot=BOT)
    assert text.splitlines()[1:] == ["> `first second # third`"]


# --- counts, failures, corrections --------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["stopped", "prepare_failed", "start_failed", "never_ready", "gave_up"])
@pytest.mark.parametrize(
    ("waiting", "said"),
    [("0", ""), ("1", "1 message was not delivered."), ("3", "3 messages were not delivered.")],
)
def test_an_end_says_how_many_messages_were_not_delivered(message: str, waiting: str, said: str) -> None:
    text = render(message, {**FACTS, "detail": "", "waiting": waiting}, bot=BOT)
    assert said in text
    assert ("delivered" in text) == bool(said)


@pytest.mark.parametrize("code", sorted(PREPARE_ADVICE))
def test_a_failure_with_a_code_says_what_to_do(code: str) -> None:
    text = render("prepare_failed", {**FACTS, "code": code, "detail": "fatal: no"}, bot=BOT)
    assert text.startswith("❌ Could not prepare **acme/webapp**. ")
    assert text.endswith("```text\nfatal: no\n```")


def test_a_failure_without_a_known_code_still_says_what_happened() -> None:
    text = render("start_failed", {**FACTS, "code": "brand_new", "detail": "it broke"}, bot=BOT)
    assert "it broke" in text
    assert "start again" in text


@pytest.mark.parametrize(
    ("body", "suggestion"),
    [
        ("strat acme/webapp", "@claude start acme/webapp"),
        ("stpo", "@claude stop"),
        ("stop now", "@claude stop"),
        ("start", "@claude start org/repo"),
        ("start acme/webapp —worktree", "@claude start acme/webapp --worktree"),
        ("start acme/webapp@dev/", "@claude start acme/webapp@dev"),
        ("start acme/webapp other/one", "@claude start acme/webapp"),
        ("start https://github.com/acme/webapp.git", "@claude start acme/webapp"),
    ],
)
def test_a_correction_offers_a_line_that_works(body: str, suggestion: str) -> None:
    intent = grammar.read(f"@claude {body}", BOT).intent
    facts = {"problem": intent.problem, "word": intent.word, "suggestion": intent.suggestion}
    assert f"`{suggestion}`" in render("correction", facts, bot=BOT)
    assert grammar.read(suggestion, BOT).intent.name in {"start", "stop"}


def test_the_help_names_every_command_and_the_bots_real_name() -> None:
    text = render("help", {}, bot="robot")
    behind = {"start": " org/repo", "approve": " HOST", "deny": " HOST", "revoke": " HOST"}
    for command in grammar.COMMANDS:
        if command != "help":
            assert f"`@robot {command}{behind.get(command, '')}`" in text


def test_a_refused_domain_is_told_with_the_reason() -> None:
    text = render("domain_refused", {"domain": "co.uk", "code": "public_suffix", "hint": ""}, bot=BOT)
    assert text.startswith("🔒 The agent asked for `co.uk`, which can't be opened: ")
    assert domains.advice("public_suffix") in text


def test_a_request_that_names_nothing_is_told_so() -> None:
    text = render("domain_refused", {"domain": "", "code": "empty", "hint": ""}, bot=BOT)
    assert text.startswith("🔒 The agent asked for a host and named none: ")
    assert "``" not in text


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("137 0 exited 137 false", "(exit status `137`)"),
        ("137 0 exited 137 true", "(exit status `137`, out of memory)"),
        ("141 153 exited 137 false", "(exit status `141`, its output is over 256 MiB)"),
        (
            "141 1 exited 137 false",
            "(exit status `141`, its output cannot be written: is the VM's disk full?)",
        ),
    ],
)
def test_of_what_the_pump_wrote_at_its_end_only_what_helps_is_shown(written: str, said: str) -> None:
    assert f"ended {said}." in render("agent_ended", {**FACTS, "exit": written}, bot=BOT)


def test_a_reason_that_is_a_sentence_is_woven_in_without_its_full_stop() -> None:
    text = render("agent_ended", {**FACTS, "trouble": "The output file is gone.", "exit": ""}, bot=BOT)
    assert text == "⚠️ The agent was cut off: The output file is gone. Starting it again..."


def test_the_system_prompt_names_the_markers_that_are_read() -> None:
    assert re.search(r"^\[NETWORK_REQUEST: example\.com\]$", wording.SYSTEM_PROMPT, re.MULTILINE)
    for marker in ("[NETWORK_APPROVED: example.com]", "[NETWORK_DENIED: example.com]"):
        assert marker in wording.SYSTEM_PROMPT


def test_what_the_system_prompt_shows_is_what_the_markers_are() -> None:
    shown = re.findall(r"\[NETWORK_REQUEST: [^]]+\]", wording.SYSTEM_PROMPT)
    asked = [[(one.name, one.reason) for one in markers.requests(marker)] for marker in shown]
    assert asked == [
        [("example.com", "")],
        [("example.com", "install pytest"), ("files.example.com", "install pytest")],
    ]
    for marker in (
        markers.approved("example.com", reachable=False),
        markers.denied("example.com"),
        markers.denied("example.com", "why"),
    ):
        assert marker in wording.SYSTEM_PROMPT
