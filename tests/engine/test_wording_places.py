"""What we say about places, diffs and pushes: what happened, what to do next, nothing too much."""

from __future__ import annotations

import pytest

from sm.engine.wording import places, render
from sm.engine.wording.places import MAX_DIFF_SHOWN, PUSH_ADVICE, push_card

BOT = "claude"
LEFT = {
    "repository": "acme/webapp",
    "path": "/w/webapp-feature",
    "branch": "sm/feature",
    "changed": "",
    "changed_count": "0",
    "unpushed": "0",
    "mirror": "/m.git",
    "runtime": "podman",
    "image": "claude-code:latest",
    "worktree": "feature",
}
PUSH = {
    "repository": "acme/webapp",
    "target": "sm/abc12345",
    "commit": "c" * 40,
    "commits": "2",
    "new_branch": "yes",
    "stat": " a.py | 2 +-\n",
    "workflows": "",
    "status": "asked",
}


def test_the_second_conversations_line_stands_as_it_is() -> None:
    text = render("worktree_new", {"repository": "acme/webapp"}, bot=BOT)
    assert text == "🌿 Creating worktree for **acme/webapp**..."


@pytest.mark.parametrize("message", ["worktree_in_use", "branch_in_use", "project_in_use"])
def test_a_place_in_use_names_its_session(message: str) -> None:
    facts = {"repository": "acme/webapp", "worktree": "feature", "branch": "next", "holder": "abc12345"}
    text = render(message, facts, bot=BOT)
    assert text.startswith("⚠️ ")
    assert "already in use by session `abc12345`." in text


def test_a_stop_with_nothing_left_is_short() -> None:
    text = render("left_behind", LEFT, bot=BOT)
    assert text == "📁 `/w/webapp-feature` on branch `sm/feature`: nothing uncommitted, nothing unpushed."


def test_a_stop_names_what_is_left_how_to_go_on_and_the_container_for_git() -> None:
    changed = "\n".join(f" M {n}.py" for n in range(20))
    facts = {**LEFT, "changed": changed, "changed_count": "25", "unpushed": "1"}
    text = render("left_behind", facts, bot=BOT)
    assert "25 uncommitted changes, 1 unpushed commit." in text
    assert "… and 5 more" in text
    assert "`@claude start acme/webapp --worktree=feature`" in text
    assert (
        "podman run --rm -it --network none --userns=keep-id -v /m.git:/m.git:ro "
        "-v /w/webapp-feature:/workspace -w /workspace claude-code:latest bash" in text
    )


def test_a_short_diff_stands_in_the_message_and_a_long_or_cut_one_in_a_file() -> None:
    assert places.diff("+a", cut=False, files=1, insertions=1, deletions=0) == (
        "📄 The change so far: 1 file, +1 −0.\n```diff\n+a\n```",
        False,
    )
    assert places.diff("+" * (MAX_DIFF_SHOWN + 1), cut=False, files=2, insertions=1, deletions=0)[1]
    text, file = places.diff("+a", cut=True, files=2, insertions=1, deletions=0)
    assert file
    assert "holds its beginning" in text


def test_a_diff_cannot_leave_its_fence() -> None:
    text, _ = places.diff("+```\n+````\n", cut=False, files=1, insertions=1, deletions=0)
    assert text.splitlines()[1] == "`````diff"
    assert text.splitlines()[-1] == "`````"


def test_a_push_card_shows_commit_target_and_diffstat_and_asks() -> None:
    text = push_card(PUSH)
    assert text == (
        "⬆️ **Push** 2 commits up to `cccccccccccc` to **acme/webapp** `sm/abc12345`, a new branch?"
        "\n```text\n a.py | 2 +-\n```"
    )


def test_a_push_that_changes_workflows_warns() -> None:
    assert "⚠️ It changes `.github/workflows`" in push_card({**PUSH, "workflows": "yes"})


def test_a_pushed_card_has_the_link_for_a_pull_request() -> None:
    link = "https://github.com/acme/webapp/compare/main...sm/abc12345"
    text = push_card({**PUSH, "status": "done", "user_name": "james", "compare_url": link})
    assert text.startswith("✅ Pushed `cccccccccccc` to **acme/webapp** `sm/abc12345`, allowed by @james.")
    assert f"[Open a pull request]({link})" in text


@pytest.mark.parametrize("code", sorted(PUSH_ADVICE))
def test_a_push_that_failed_says_what_to_do(code: str) -> None:
    failed = push_card({**PUSH, "status": "failed", "code": code, "detail": "! [rejected]"})
    assert failed.startswith("❌ Not pushed: ")
    assert PUSH_ADVICE[code] in failed
    assert PUSH_ADVICE[code] in render(
        "push_refused", {"branch": "main", "code": code, "detail": "", "repository": "a/b"}, bot=BOT
    )


@pytest.mark.parametrize("status", ["asked", "pushing", "cancelled", "over", "failed"])
def test_pushed_is_said_of_nothing_that_is_not(status: str) -> None:
    text = push_card({**PUSH, "status": status, "user_name": "james", "code": "", "detail": ""})
    assert not text.startswith("✅")


def test_sessions_are_listed_with_links() -> None:
    sessions = "abc12345 post1 james acme/webapp\ndef67890 post2 sarah my project"
    text = render(
        "which_session",
        {"command": "stop", "sessions": sessions},
        bot=BOT,
        link="https://chat.example/_redirect/pl/",
    )
    assert text.splitlines() == [
        "Which session? Write `@claude stop ID`:",
        "- [`abc12345`](https://chat.example/_redirect/pl/post1) on **acme/webapp**, started by @james",
        "- [`def67890`](https://chat.example/_redirect/pl/post2) on **my project**, started by @sarah",
    ]


@pytest.mark.parametrize(
    "code",
    ["fetch_failed", "fetch_network", "submodules", "lfs", "dirty", "diverged", "unrelated", "updated"],
)
def test_each_note_has_a_sentence_of_its_own(code: str) -> None:
    text = render("place_note", {"repository": "a/b", "branch": "main", "code": code, "detail": "x"}, bot=BOT)
    assert text.endswith("`x`")
    assert not text.startswith("⚠️ **a/b**: ")
