"""Splitting a text into posts: the law of its docstring, held against texts that hypothesis makes up."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from sm.mattermost.graphemes import is_boundary
from sm.mattermost.models import wellformed
from sm.mattermost.splitting import POST_LIMIT, pieces, split_message

PARSER = MarkdownIt("commonmark").disable("html_block")
FENCE_LINE = re.compile(r"[\s>]*(`{3,}|~{3,})\Z")

words = st.text(st.sampled_from("ab `~>-*1.\t\u0301\U0001f469\u200d\U0001f1e9é\r\u2028漢"), max_size=12)
markers = st.sampled_from(
    ["```", "~~~", "````", "~~~~~", "```py", "~~~ a`b", "``` x", "  ```", "   ~~~", "    ```"]
)
quotes = st.sampled_from(["", "", "", "> ", ">", "- ", "  ", "1. ", "   ", "> > ", "- > ", "    "])
lines = st.builds(lambda q, body: q + body, quotes, st.one_of(words, words, markers))
documents = st.lists(lines, max_size=60).map("\n".join)
limits = st.integers(40, 200)


@st.composite
def fenced(draw: st.DrawFn) -> tuple[str, str, str]:
    """A closed fence with its prefix (quote or list) on each line, the line that opens it, and its code."""
    markup = draw(st.sampled_from(["```", "~~~", "````", "~~~~~~"]))
    prefix = draw(st.sampled_from(["", "", "> ", " ", "   "]))
    info = draw(st.sampled_from(["", "py", "text x=1"]))
    inner = st.one_of(
        st.text(st.sampled_from("abc =()é"), max_size=30),
        st.sampled_from(["", "```"[: len(markup) - 1], "~~~" if markup[0] == "`" else "```"]),
    )
    code = draw(st.lists(inner, min_size=0, max_size=20))
    block = [markup + info, *code, markup]
    return "\n".join(prefix + line for line in block), prefix + markup + info, markup


paragraphs = st.lists(
    st.text(st.sampled_from("abcd é,"), min_size=1, max_size=40), min_size=1, max_size=4
).map("\n".join)


@st.composite
def articles(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Paragraphs and closed fences with blank lines between, and the fences."""
    parts: list[str] = []
    blocks: list[str] = []
    for _ in range(draw(st.integers(1, 8))):
        if draw(st.booleans()):
            block, _opening, _markup = draw(fenced())
            blocks.append(block)
            parts.append(block)
        else:
            parts.append(draw(paragraphs))
    return "\n\n".join(parts), blocks


@given(documents, st.integers(1, 200))
@example("\r\n" * 30, 1)
@settings(max_examples=150)
def test_no_post_is_over_the_limit_and_none_is_blank(text: str, limit: int) -> None:
    for post in split_message(text, limit):
        assert 0 < len(post) <= limit
        assert post.strip()


@given(st.one_of(documents, st.text(max_size=300)), st.integers(1, 200))
@settings(max_examples=150)
def test_the_stretches_joined_are_the_text(text: str, limit: int) -> None:
    whole = wellformed(text)
    found = list(pieces(whole, limit))
    assert "".join(piece.text for piece in found) == whole
    assert split_message(text, limit) == [piece.post for piece in found if piece.post.strip()]


@given(documents, limits)
@settings(max_examples=150)
def test_what_is_added_are_fence_lines_and_nothing_else(text: str, limit: int) -> None:
    whole = wellformed(text)
    found = list(pieces(whole, limit))
    for piece, following in itertools.zip_longest(found, found[1:]):
        assert bool(piece.closed) == bool(following is not None and following.opened)
        if piece.closed:
            assert FENCE_LINE.fullmatch(piece.closed)
            assert piece.closed.startswith("\n") != piece.text.endswith(("\n", "\r"))
        if piece.opened:
            assert piece.opened[:-1] in re.split(r"\r\n?|\n", whole)


@given(articles(), limits)
@settings(max_examples=150)
def test_every_post_but_the_last_leaves_no_block_open(article: tuple[str, list[str]], limit: int) -> None:
    for post in split_message(article[0], limit):
        tokens = PARSER.parse(post + "\n\nsentinel")
        assert tokens[-2].content == "sentinel"
        assert tokens[-2].type == "inline"


@given(documents, limits)
@settings(max_examples=150)
def test_in_any_text_no_post_that_is_continued_leaves_a_block_open(text: str, limit: int) -> None:
    for post in split_message(text, limit)[:-1]:
        tokens = PARSER.parse(post + "\n\nsentinel")
        assert not (tokens[-1].type == "fence" and "sentinel" in tokens[-1].content)


@given(articles(), limits)
@settings(max_examples=150)
def test_a_block_that_fits_in_a_post_is_in_one_post(article: tuple[str, list[str]], limit: int) -> None:
    text, blocks = article
    posts = split_message(text, limit)
    for block in blocks:
        if len(block) <= limit:
            assert any(block in post for post in posts)


@given(fenced(), st.integers(70, 200))  # each line fits beside the two fence lines
@settings(max_examples=150)
def test_a_block_longer_than_a_post_is_closed_and_opened_again_between_lines(
    block: tuple[str, str, str], limit: int
) -> None:
    text, opening, markup = block
    posts = split_message(text, limit)
    lines_of_code = text.split("\n")[1:-1]
    assert [line for post in posts for line in post.split("\n")[1:-1]] == lines_of_code
    for post in posts:
        assert post.split("\n")[0] == opening
        assert post.split("\n")[-1].strip("> ") == markup


@given(
    st.text(
        st.sampled_from("a\u0301\u200d\U0001f469\U0001f3fd\U0001f1e9\U0001f1ea\u1100\u1161\u11a8\r\n"),
        max_size=80,
    )
)
@settings(max_examples=150)
def test_no_character_is_cut(text: str) -> None:
    at = 0
    for piece in pieces(text, 20):
        at += len(piece.text)
        cluster = text[max(0, at - 20) : at]
        too_long = not any(is_boundary(text, at - len(cluster) + i) for i in range(1, len(cluster)))
        assert is_boundary(text, at) or too_long


@pytest.mark.parametrize(
    "cluster",
    ["e\u0301", "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea", "\r\n", "각", "\u1100\u1161\u11a8", "क्ष", "☁\ufe0f", "\U0001f3f4\U000e0067\U000e0062\U000e007f"],
)  # fmt: skip
def test_a_cluster_at_the_limit_goes_whole_to_the_next_post(cluster: str) -> None:
    text = "x" * (POST_LIMIT - len(cluster) + 1 if len(cluster) > 1 else POST_LIMIT) + cluster + "y" * 10
    first, second = split_message(text)
    assert first.strip("x").strip() == ""
    assert (first + second) == text
    assert second == cluster + "y" * 10


def test_two_flags_are_parted_between_them() -> None:
    assert split_message("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", 3) == [
        "\U0001f1e9\U0001f1ea",
        "\U0001f1eb\U0001f1f7",
    ]


def test_whitespace_only_gives_no_post() -> None:
    assert split_message("") == []
    assert split_message(" \n\t\n") == []
    assert split_message("\n" * 40_000) == []


def test_a_text_at_the_limit_is_one_post_and_one_more_code_point_makes_two() -> None:
    assert split_message("é" * POST_LIMIT) == ["é" * POST_LIMIT]
    assert [len(post) for post in split_message("\U0001f600" * (POST_LIMIT + 1))] == [POST_LIMIT, 1]


def test_lone_surrogates_and_nul_become_the_replacement_character() -> None:
    assert split_message("a\ud83db\x00c") == ["a\ufffdb\ufffdc"]
    assert split_message("\ud83d\ude00") == ["\U0001f600"]


def test_a_blank_line_is_preferred_to_a_line_end_and_that_to_a_space() -> None:
    assert split_message("a" * 12 + "\n\n" + "b b\nb", 18) == ["a" * 12 + "\n\n", "b b\nb"]
    assert split_message("a" * 12 + "\n" + "bb b bb", 18) == ["a" * 12 + "\n", "bb b bb"]
    assert split_message("a" * 12 + " " + "b" * 8, 18) == ["a" * 12 + " ", "b" * 8]


def test_a_line_of_code_longer_than_a_post_is_cut_inside_the_fence() -> None:
    posts = split_message("```py\n" + "x" * 200 + "\n```", 60)
    assert all(post.startswith("```py\nx") and post.endswith("\n```") for post in posts)
    assert "".join(post.split("\n")[1] for post in posts) == "x" * 200


def test_a_cut_never_makes_a_closing_fence_of_the_middle_of_a_line() -> None:
    for pad in range(30):
        posts = split_message("```\n" + "x" * (20 + pad) + "``` \n" + "y" * 30 + "\n```", 50)
        assert all(post.count("\n```") == 1 for post in posts)


def test_a_cut_in_prose_never_makes_an_opening_fence_of_the_middle_of_a_line() -> None:
    for pad in range(30):
        text = "w" * (10 + pad) + " ```code` " + "v" * 30
        assert not any(post.lstrip().startswith("```") for post in split_message(text, 40))


@pytest.mark.parametrize("container", ["> ", "- ", "1. ", "> > ", "- > ", "- - ", "  "])
def test_a_block_in_a_quote_or_list_is_never_cut(container: str) -> None:
    inside = re.sub(r"[^\s>]", " ", container)
    block = f"{container}```py\n" + f"{inside}one\n{inside}\n{inside}two\n" + f"{inside}```"
    for pad in range(5, 60):
        text = "p" * pad + "\n\n" + block + "\n\n" + "q" * 30
        assert any(block in post for post in split_message(text, 60))


@pytest.mark.parametrize("container", ["> ", "- ", "1. ", "- > "])
def test_a_long_block_in_a_quote_or_list_is_opened_again_with_its_marks(container: str) -> None:
    inside = re.sub(r"[^\s>]", " ", container)
    code = [f"{inside}line {number}" for number in range(30)]
    text = "\n".join([f"{container}```py", *code, f"{inside}```"])
    posts = split_message(text, 100)
    assert len(posts) > 2
    assert [line for post in posts for line in post.split("\n")[1:-1]] == code
    for post in posts:
        assert [token.type for token in PARSER.parse(post) if token.type == "fence"] == ["fence"]


def test_an_unclosed_block_stays_open_at_the_end_and_only_there() -> None:
    posts = split_message("~~~\n" + "code\n" * 50, 60)
    assert all(post.startswith("~~~\ncode\n") for post in posts)
    assert all(post.endswith("\n~~~") for post in posts[:-1])
    assert posts[-1].endswith("code\n")


def test_a_longer_fence_keeps_shorter_ones_inside_it() -> None:
    text = "````md\n" + "```py\nx\n```\n" * 20 + "````"
    posts = split_message(text, 80)
    assert all(post.startswith("````md\n") and post.endswith("\n````") for post in posts)


def test_a_block_of_exactly_the_limit_is_one_post() -> None:
    block = "```\n" + "x" * 92 + "\n```"
    assert len(block) == 100
    assert block in split_message("before\n\n" + block + "\nafter", 100)


def test_a_megabyte_is_split_in_seconds() -> None:
    text = ("word " * 200 + "\n\n```js\n" + "x=1\n" * 50 + "```\n\n") * 800
    started = time.monotonic()
    posts = split_message(text)
    assert "".join(posts) == text
    assert time.monotonic() - started < 20
