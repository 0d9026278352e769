"""A table of posts and what they ask for, as `@claude` reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm.core.events import Intent
from sm.core.grammar import COMMANDS, MAX_WORD, mentions, read, repository

TEXT = Intent("text")
HELP = Intent("help")
STOP = Intent("stop")
STATUS = Intent("status")


def start(org: str = "acme", repo: str = "webapp") -> Intent:
    return Intent("start", org=org, repo=repo)


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
    # commands that say too much, or too little
    ("@claude stop now", wrong("takes_nothing", "now", "@claude stop")),
    ("@claude status of things", wrong("takes_nothing", "of things", "@claude status")),
    ("@claude help me", wrong("takes_nothing", "me", "@claude help")),
    ("@claude start", wrong("what_repository")),
    ("@claude start acme/webapp acme/other", wrong("one_repository", "acme/other", "@claude start acme/webapp")),
    ("@claude start webapp", wrong("what_repository", "webapp")),
    # one edit away
    ("@claude stpo", wrong("typo", "stpo", "@claude stop")),
    ("@claude stp", TEXT),  # three letters are too few to tell
    ("@claude sto", TEXT),
    ("@claude stopp", wrong("typo", "stopp", "@claude stop")),
    ("@claude stop?", wrong("typo", "stop?", "@claude stop")),
    ("@claude Strat acme/webapp", wrong("typo", "Strat", "@claude start acme/webapp")),
    ("@claude stat", wrong("typo", "stat", "@claude start")),
    ("@claude satus", wrong("typo", "satus", "@claude status")),
    ("@claude statuss", wrong("typo", "statuss", "@claude status")),
    ("@claude hepl", wrong("typo", "hepl", "@claude help")),
    ("@claude xtart acme/webapp", wrong("typo", "xtart", "@claude start acme/webapp")),
    ("@claude `stop`", TEXT),
    # two edits away, and other words
    ("@claude stahp", TEXT),
    ("@claude hello", TEXT),
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
    # repositories
    ("@claude start Acme-Corp/web.app_2", start("Acme-Corp", "web.app_2")),
    ("@claude start `acme/webapp`", start()),
    ('@claude start "acme/webapp"', start()),
    ("@claude start “acme/webapp”", start()),
    ("@claude start <acme/webapp>", start()),
    ("@claude start a/.github", start("a", ".github")),
    ("@claude start acme/webapp@main", wrong("no_branches_yet", "acme/webapp@main", "@claude start acme/webapp")),
    (
        "@claude start acme/webapp@--upload-pack=x",
        wrong("no_branches_yet", "acme/webapp@--upload-pack=x", "@claude start acme/webapp"),
    ),
    ("@claude start acme/webapp --worktree", wrong("no_worktrees_yet", "--worktree", "@claude start acme/webapp")),
    (
        "@claude start acme/webapp --worktree=x",
        wrong("no_worktrees_yet", "--worktree=x", "@claude start acme/webapp"),
    ),
    ("@claude start acme/webapp —worktree", wrong("no_worktrees_yet", "—worktree", "@claude start acme/webapp")),
    ("@claude start --force acme/webapp", wrong("unknown_option", "--force", "@claude start acme/webapp")),
    ("@claude start --worktree", wrong("no_worktrees_yet", "--worktree")),
    ("@claude start -o/x", wrong("unknown_option", "-o/x")),
    ("@claude start --upload-pack=touch/x", wrong("unknown_option", "--upload-pack=touch/x")),
    ("@claude start `-o/x`", wrong("what_repository", "-o/x")),
    ("@claude start https://github.com/acme/webapp", wrong("not_an_address", "https://github.com/acme/webapp", "@claude start acme/webapp")),
    ("@claude start https://github.com/acme/webapp.git", wrong("not_an_address", "https://github.com/acme/webapp.git", "@claude start acme/webapp")),
    ("@claude start https://github.com/acme/webapp/", wrong("not_an_address", "https://github.com/acme/webapp/", "@claude start acme/webapp")),
    ("@claude start git@github.com:acme/webapp.git", wrong("not_an_address", "git@github.com:acme/webapp.git", "@claude start acme/webapp")),
    ("@claude start <https://github.com/acme/webapp>", wrong("not_an_address", "https://github.com/acme/webapp", "@claude start acme/webapp")),
    ("@claude start https://evil.example/acme/webapp", wrong("what_repository", "https://evil.example/acme/webapp")),
    ("@claude start https://github.com.evil.example/a/b", wrong("what_repository", "https://github.com.evil.example/a/b")),
    ("@claude start acme/webapp.git", wrong("what_repository", "acme/webapp.git")),
    ("@claude start acme/webapp;rm", wrong("what_repository", "acme/webapp;rm")),
    ("@claude start acme/$(id)", wrong("what_repository", "acme/$(id)")),
    ("@claude start acme/webapp;rm -rf", wrong("unknown_option", "-rf")),
    ("@claude start acme/../x", wrong("what_repository", "acme/../x")),
    ("@claude start ../x", wrong("what_repository", "../x")),
    ("@claude start acme/..", wrong("what_repository", "acme/..")),
    ("@claude start acme/.", wrong("what_repository", "acme/.")),
    ("@claude start /acme/webapp", wrong("what_repository", "/acme/webapp")),
    ("@claude start acme/webapp/", wrong("what_repository", "acme/webapp/")),
    ("@claude start acme/webapp/tree", wrong("what_repository", "acme/webapp/tree")),
    ("@claude start acme//webapp", wrong("what_repository", "acme//webapp")),
    ("@claude start аcme/webapp", wrong("what_repository", "аcme/webapp")),  # a Cyrillic a
    ("@claude start acme/wéb", wrong("what_repository", "acme/wéb")),
    ("@claude start acme-/webapp", wrong("what_repository", "acme-/webapp")),
    ("@claude start ac--me/webapp", wrong("what_repository", "ac--me/webapp")),
    ("@claude start a`b/c", wrong("what_repository", "a'b/c")),
    ("@claude start ``", wrong("what_repository")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "intent"), POSTS, ids=[text.strip()[:40] for text, _ in POSTS])
def test_a_post_asks_for(text: str, intent: Intent):
    assert read(text, "claude").intent == intent


def test_no_suggestion_is_wrong_itself():
    fixed = [
        intent.suggestion for _, intent in POSTS if intent.suggestion and "org/repo" not in intent.suggestion
    ]
    for suggestion in fixed:
        assert read(suggestion, "claude").intent.name != "text"
    for suggestion in (each for each in fixed if "start " in each):
        assert read(suggestion, "claude").intent.name == "start", suggestion


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
        assert intent.name == ("correct" if len(word) >= 4 else "text"), word


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
    [("a" * 39, True), ("a" * 40, False), ("a-b", True), ("-a", False), ("a_b", False), ("", False)],
)
def test_owners_follow_githubs_rules(org: str, good: bool):
    assert (repository(f"{org}/x") is not None) is good


@pytest.mark.parametrize(
    ("repo", "good"),
    [
        *[("x" * 100, True), ("_x", True), ("gitignore", True)],
        *[(bad, False) for bad in ("x" * 101, "-x", "x.lock", "X.GIT", "x.part", "x.wiki", "x\n", "x y", "")],
    ],
)
def test_repositories_follow_githubs_rules_and_none_can_be_an_option_or_a_path(repo: str, good: bool):
    assert (repository(f"acme/{repo}") is not None) is good


def test_what_is_repeated_to_people_is_bounded_and_in_no_code_span():
    intent = read("@claude start " + "x`" * 5000, "claude").intent
    assert len(intent.word) == MAX_WORD
    assert "`" not in intent.word + intent.suggestion
    long_typo = read("@claude strat " + "x`" * 5000, "claude").intent
    assert len(long_typo.suggestion) == 200
    assert "`" not in long_typo.suggestion


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
