"""A table of posts and what they ask for, as `@claude` reads them."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm.core.events import Intent
from sm.core.grammar import COMMANDS, Known, mentions, names, read, repository
from sm.core.grammar.words import MAX_WORD
from sm.engine.wording.corrections import CORRECTIONS

TEXT = Intent("text")
HELP = Intent("help")
STOP = Intent("stop")
STATUS = Intent("status")


def start(org: str = "acme", repo: str = "webapp", **more: Any) -> Intent:
    return Intent("start", org=org, repo=repo, **more)


def wrong(problem: str, word: str = "", suggestion: str = "@claude start org/repo") -> Intent:
    return Intent("correct", problem=problem, word=word, suggestion=suggestion)


POSTS = [
    # commands
    ("@claude start acme/webapp", start()),
    ("@claude stop", STOP),
    ("@claude status", STATUS),
    ("@claude help", HELP),
    ("@claude", HELP),
    ("@claude   ", HELP),
    ("@Claude stop", STOP),
    ("@CLAUDE STOP", STOP),
    ("  @claude stop", STOP),
    ("\n@claude stop\n", STOP),
    ("@claude, stop", STOP),
    ("@Claude, start acme/webapp", start()),
    ("@claude: stop", STOP),
    ("@claude. stop", STOP),
    ("@claude Stop!", STOP),
    ("@claude stop.", STOP),
    ("@claude\tstart\tacme/webapp", start()),
    ("@claude\nstart acme/webapp", start()),
    ("@claude start  acme/webapp  ", start()),
    # commands that take a session
    ("@claude stop abc12345", Intent("stop", session="abc12345")),
    ("@claude Stop abc1", Intent("stop", session="abc1")),
    ("@claude status `abc12345`", Intent("status", session="abc12345")),
    ("@claude stop claude-abc12345", Intent("stop", session="abc12345")),
    ("@claude stop `claude-abc12345`", Intent("stop", session="abc12345")),
    ("@claude diff", Intent("diff")),
    ("@claude push", Intent("push")),
    ("@claude fetch", Intent("fetch")),
    ("@claude push 0198a7c4-5d1e-7f00-8a3b-0123456789ab", Intent("push", session="0198a7c4-5d1e-7f00-8a3b-0123456789ab")),
    ("@claude stop now", wrong("takes_session", "now", "@claude stop")),
    ("@claude status of things", wrong("takes_session", "of things", "@claude status")),
    ("@claude stop ABC12345", wrong("takes_session", "ABC12345", "@claude stop abc12345")),
    ("@claude stop abc12345.", wrong("takes_session", "abc12345.", "@claude stop abc12345")),
    ("@claude stop session abc12345 now", wrong("takes_session", "session abc12345 now", "@claude stop abc12345")),
    ("@claude stop abc", wrong("takes_session", "abc", "@claude stop")),
    ("@claude stop `abc12345", wrong("takes_session", "'abc12345", "@claude stop abc12345")),
    ("@claude stop ----", wrong("takes_session", "----", "@claude stop")),
    ("@claude stop -abc12345", wrong("takes_session", "-abc12345", "@claude stop abc12345")),
    ("@claude stop " + "a" * 37, wrong("takes_session", "a" * 37, "@claude stop")),
    ("@claude push --force", wrong("takes_session", "--force", "@claude push")),
    ("@claude push to main", wrong("takes_session", "to main", "@claude push")),
    ("@claude help me", wrong("takes_nothing", "me", "@claude help")),
    # one edit away
    ("@claude stpo", wrong("typo", "stpo", "@claude stop")),
    ("@claude stp", TEXT),  # three letters are too few to tell
    ("@claude sto", TEXT),
    ("@claude stopp", wrong("typo", "stopp", "@claude stop")),
    ("@claude stop?", wrong("typo", "stop?", "@claude stop")),
    ("@claude Strat acme/webapp", wrong("typo", "Strat", "@claude start acme/webapp")),
    ("@claude strat acme/webapp@dev —worktree=x", wrong("typo", "strat", "@claude start acme/webapp@dev --worktree=x")),
    ("@claude stat", wrong("typo", "stat", "@claude start org/repo")),
    ("@claude satus", wrong("typo", "satus", "@claude status")),
    ("@claude statuss now", wrong("typo", "statuss", "@claude status")),
    ("@claude hepl", wrong("typo", "hepl", "@claude help")),
    ("@claude psuh abc12345", wrong("typo", "psuh", "@claude push abc12345")),
    ("@claude fecth", wrong("typo", "fecth", "@claude fetch")),
    ("@claude xtart acme/webapp", wrong("typo", "xtart", "@claude start acme/webapp")),
    # in quotes as a whole
    ("@claude `stop`", wrong("quoted", "'stop'", "@claude stop")),
    ("@claude “start acme/webapp --worktree”", wrong("quoted", "“start acme/webapp --worktree”", "@claude start acme/webapp --worktree")),
    ("@claude `@claude start acme/webapp --worktree`", wrong("quoted", "'@claude start acme/webapp --worktree'", "@claude start acme/webapp --worktree")),
    ("@claude `stop` is what I typed", TEXT),
    ('@claude "hello"', TEXT),
    ("@claude ``", TEXT),
    ("@claude (help me with this)", TEXT),
    ("@claude ```\ndiff --git a/x b/x\n```", TEXT),
    # two edits away, and other words
    ("@claude stahp", TEXT),
    ("@claude hello", TEXT),
    ("@claude pull", TEXT),
    ("@claude restart acme/webapp", TEXT),
    ("@claude please stop", TEXT),
    ("@claude add pytest to the project", TEXT),
    ("@claude /clear", TEXT),
    # not for this bot, or not at its head
    ("stop", TEXT),
    ("start acme/webapp", TEXT),
    ("please @claude stop", TEXT),
    ("@claude-bot stop", TEXT),
    ("@claude.bot stop", TEXT),
    ("@claude_2 stop", TEXT),
    ("@claude2 stop", TEXT),
    ("@@claude stop", TEXT),
    ("`@claude stop`", TEXT),
    ("> @claude stop", TEXT),
    ("@claud stop", TEXT),
    ("@claudé stop", TEXT),
    ("@сlaude stop", TEXT),  # a Cyrillic es
]  # fmt: skip


@pytest.mark.parametrize(("text", "intent"), POSTS, ids=[text.strip()[:40] for text, _ in POSTS])
def test_a_post_asks_for(text: str, intent: Intent):
    assert read(text, "claude").intent == intent


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("edit", ["more", "less", "other", "swapped"])
def test_each_word_of_four_letters_one_edit_away_is_corrected(command: str, edit: str):
    for at in range(len(command)):
        head, rest = command[:at], command[at:]
        word = {
            "more": head + "x" + rest,
            "less": head + rest[1:],
            "other": head + "x" + rest[1:],
            "swapped": head + rest[:2][::-1] + rest[2:],
        }[edit]
        intent = read(f"@claude {word}", "claude").intent
        if word in COMMANDS:
            continue
        assert intent.name == ("correct" if len(word) >= 4 and len(command) >= 4 else "text"), word


MENTIONS = [
    ("hello @claude", True),
    ("hello @claude!", True),
    ("(@claude)", True),
    ("ask @Claude.", True),
    ("@claude", True),
    ("hello claude", False),
    ("mail james@claude", False),
    ("hello @claude-bot", False),
    ("hello @claude.bot", False),
    ("hello @claude_bot", False),
    ("hello @claude2", False),
    ("`@claude`", False),
    ("a `b` @claude `c`", True),
    ("```\n@claude\n```", False),
    ("```\n@claude", False),
    ("```\nx\n``` @claude", True),
    ("@@claude", False),
]


@pytest.mark.parametrize(("text", "mentioned"), MENTIONS)
def test_a_mention_is_recognized(text: str, mentioned: bool):
    assert mentions(text, "claude") is mentioned
    assert read(text, "claude").mentioned is mentioned


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("@claude add pytest", "add pytest"),
        ("  @claude,\n\n  add pytest ", "add pytest "),
        ("add pytest, @claude", "add pytest, @claude"),
        ("@claude", ""),
        ("@claude-bot hi", "@claude-bot hi"),
        ("@claude: # heading", "# heading"),
    ],
)
def test_the_body_begins_behind_a_leading_mention(text: str, body: str):
    assert text[read(text, "claude").body_at :] == body


def test_a_bots_name_is_no_pattern():
    assert read("@a.b stop", "a.b").intent == STOP
    assert read("@axb stop", "a.b").intent == TEXT


@pytest.mark.parametrize(
    ("org", "good"),
    [
        ("a" * 39, True),
        ("a" * 40, False),
        ("a-" * 19 + "a", True),
        ("a-" * 19 + "aa", False),
        ("a-b", True),
        ("-a", False),
        ("a_b", False),
        ("", False),
    ],
)
def test_owners_follow_githubs_rules(org: str, good: bool):
    assert (repository(f"{org}/x") is not None) is good


@pytest.mark.parametrize(
    ("repo", "good"),
    [
        *[("x" * 100, True), ("_x", True), ("gitignore", True)],
        *[
            (bad, False)
            for bad in ("x" * 101, "-x", "x.lock", "X.GIT", "x.part", "x.wiki", "x.", "x\n", "x y", "")
        ],
    ],
)
def test_repositories_follow_githubs_rules_and_none_can_be_an_option_or_a_path(repo: str, good: bool):
    assert (repository(f"acme/{repo}") is not None) is good


def test_what_is_repeated_to_people_is_bounded_and_in_no_code_span():
    for line in (
        "start x{}",
        "start a/b --x{}",
        "start a/b@x{}",
        "stop x{}",
        "help {}",
        "start a/b --worktree={}",
    ):
        intent = read("@claude " + line.format("x`" * 5000), "claude").intent
        assert len(intent.word) == MAX_WORD
        assert "`" not in intent.word + intent.suggestion
        assert len(intent.suggestion) < 500


def test_what_would_hide_or_turn_letters_around_is_not_repeated():
    intent = read("@claude start a/b --x\u202e\x00y", "claude").intent
    assert intent.word == "--x��y"


@pytest.mark.parametrize(
    ("name", "good"),
    [
        *[
            (good, True)
            for good in ("main", "feature/x", "release-1.0", "_x", "a@b", "#1", "=x", "+x", "@x", "x" * 200)
        ],
        *[
            (bad, False)
            for bad in ("", "-x", "--upload-pack=x", "/x", "x/", "a//b", "a..b", "x.", "a./b", ".x", "a/.x")
        ],
        *[
            (bad, False)
            for bad in ("x.lock", "x.lock/y", "HEAD", "@", "refs/heads/x", "x" * 201, "a@{1}", "a b", "a\nb")
        ],
        *[
            (bad, False)
            for bad in ("a~1", "a^", "a:b", "a?b", "a*b", "a[b", "a\\b", "ä", "x\n", "$(id)", "a;b", "a'b")
        ],
    ],
)
def test_a_branchs_name_is_one_for_git_and_nothing_else(name: str, good: bool):
    assert names.is_branch(name) is good
    assert (read(f"@claude start a/b@{name}", "claude").intent == start("a", "b", branch=name)) is good


@pytest.mark.parametrize(
    ("name", "good"),
    [
        *[(good, True) for good in ("feature", "1", "a.b", "a-b_c", "x" * 64)],
        *[
            (bad, False)
            for bad in ("", "-x", ".x", "_x", "a..b", "x.", "x.lock", "x.part", "x.git", "X.GIT", "x" * 65)
        ],
        *[(bad, False) for bad in ("a/b", "../x", "a b", "a@b", "a=b", "ä", "x\n", "$x")],
    ],
)
def test_a_worktrees_name_is_a_folders_and_a_branchs(name: str, good: bool):
    assert names.is_worktree(name) is good
    wanted = start("a", "b", worktree=True, worktree_name=name)
    assert (read(f"@claude start a/b --worktree={name}", "claude").intent == wanted) is good


# --- nothing gets through that is not strictly named, and each answer offers a line that works -----------------------

KNOWN = Known(projects=("myproject", "My.other"), default_org="acme")
HOSTILE = st.one_of(
    st.text(),
    st.text(alphabet="ab/@-—–=.:#~^{}[]*?\\$;|&`'\"“” \t\n0"),
    st.sampled_from(
        ["--upload-pack=x", "-o", "../..", "..", "HEAD", "refs/heads/x", "x.lock", "a@{1}", "@", "x.git"]
    ),
    st.sampled_from(
        ["org/repo", "myproject", "MYPROJECT", "webapp", "github.com/a/b", "https://github.com/a/b", "x"]
    ),
)
PIECES = st.sampled_from(
    ["start", "stop", "push", "strat", "a/b", "@", "/", "=", ":", " ", "--", "—", "worktree", "--worktree"]
)
LINES = st.one_of(
    st.builds("start {}".format, HOSTILE),
    st.builds("start {}/{}".format, HOSTILE, HOSTILE),
    st.builds("start a/b@{}".format, HOSTILE),
    st.builds("start a/b --worktree={}".format, HOSTILE),
    st.builds("start --{} a/b {}".format, HOSTILE, HOSTILE),
    st.builds("start https://github.com/{}".format, HOSTILE),
    st.builds(
        "{} {}".format,
        st.sampled_from(["stop", "status", "diff", "push", "fetch", "help", "pending", "net", "statt"]),
        HOSTILE,
    ),
    st.lists(st.one_of(PIECES, HOSTILE), max_size=8).map("".join),
    st.lists(st.one_of(PIECES, HOSTILE), max_size=8).map(" ".join),
)


@settings(max_examples=400, deadline=None)
@given(LINES, st.sampled_from([Known(), KNOWN]))
def test_what_is_asked_for_is_strictly_named_and_a_suggestion_is_a_line_that_works(line: str, known: Known):
    intent = read(f"@claude {line}", "claude", known).intent
    if intent.name == "correct":
        assert intent.problem in CORRECTIONS
        meant = read(intent.suggestion, "claude", known).intent
        assert meant.name not in {"correct", "text"}, intent
        assert "\n" not in intent.suggestion
        intent = meant
    assert re.fullmatch(r"([A-Za-z0-9](-?[A-Za-z0-9]){0,38})?", intent.org)
    assert re.fullmatch(r"([A-Za-z0-9_.][A-Za-z0-9_.-]{0,99})?", intent.repo)
    assert intent.repo not in {".", ".."}
    assert not intent.branch or names.is_branch(intent.branch)
    assert re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})?", intent.worktree_name)
    assert intent.worktree or not intent.worktree_name
    assert intent.project in {"", *known.projects}
    assert re.fullmatch(r"([0-9a-f][0-9a-f-]{3,35})?", intent.session)
    assert not intent.problem
    if intent.name == "start":
        assert bool(intent.project) != bool(intent.org and intent.repo)
    else:
        assert intent == Intent(intent.name, session=intent.session)


@given(st.text())
def test_reading_is_total(text: str):
    reading = read(text, "claude")
    assert 0 <= reading.body_at <= len(text)
    assert reading.mentioned or reading.body_at == 0


@given(st.text(alphabet=" @claude`stroph/-.,:\n"))
def test_reading_what_looks_like_commands_is_total(text: str):
    reading = read("@claude " + text, "claude")
    assert reading.mentioned or text[:1] not in {" ", ""}
    if reading.intent.name == "start":
        assert repository(f"{reading.intent.org}/{reading.intent.repo}") is not None


@pytest.mark.parametrize("unit", ["@claude.", "`", "```", "@claude ", "@claude-", " ", "\n"])
def test_a_post_of_a_megabyte_is_read(unit: str):
    read(unit * (1_000_000 // len(unit)), "claude")


@pytest.mark.parametrize(
    "unit", ["a/b", "a", "a ", "- ", "--worktree ", "/", "@", "a@", "'", ".", "worktree=", "=", "1 "]
)
@pytest.mark.parametrize("command", ["start ", "start a/b@", "start a/b --worktree=", "stop ", "'start "])
def test_a_command_of_a_megabyte_is_answered(command: str, unit: str):
    began = time.process_time()
    assert read(f"@claude {command}" + unit * (1_000_000 // len(unit)), "claude", KNOWN).intent.name in {
        "correct",
        "text",
    }
    assert time.process_time() - began < 2
