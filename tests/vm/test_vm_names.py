"""Names before they go to the VM: none is an option, a path or an expression of git's."""

import pytest

from sm.core.outcome import Refused
from sm.vm import names


@pytest.mark.parametrize(
    "text", ["../x", "-x", ".x", "a/b", "a b", "x.lock", "a..b", "$(id)", "a\nb", "", "x" * 65]
)
def test_a_hostile_name_of_a_worktree_is_refused(text):
    with pytest.raises(Refused, match="no name of a worktree"):
        names.worktree(text)


@pytest.mark.parametrize(
    "text",
    [
        "-x", "--upload-pack=touch pwned", "a..b", "a@{1}", ".a", "a/.b", "a.lock", "a.lock/b", "a//b", "/a", "a/", "a~1", "a^",
        "a:b", "a b", "$(id)", "x" * 201, "HEAD", "@", "a\nb", "refs/heads/a", "",
    ],
)  # fmt: skip
def test_a_hostile_name_of_a_branch_is_refused(text):
    with pytest.raises(Refused, match="no name of a branch"):
        names.asked_branch(text)


@pytest.mark.parametrize("text", ["main", "feature/login", "release-1.2+3", "issue#7", "a=b", "me@home"])
def test_a_usual_name_of_a_branch_stays_as_it_is(text):
    assert names.asked_branch(text) == text


@pytest.mark.parametrize("text", ["-7e0c8f0a-9b1c", "--resume", "a b c d e f g", "short", ""])
def test_an_id_of_the_agent_is_no_option(text):
    with pytest.raises(Refused, match="is no id"):
        names.uuid(text)
