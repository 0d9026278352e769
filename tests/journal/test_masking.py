"""No secret gets past the masker."""

from __future__ import annotations

import json
import time

import pytest
from attrs import frozen
from hypothesis import example, given
from hypothesis import strategies as st

from sm.core.events import Intent, LineReceived, MessageReceived
from sm.journal.masking import Masker

TOKEN = "tok-3n-of-mattermost"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
TWO_LINES = "first half of it\nsecond half"
ANTHROPIC = "sk-ant-api03-AbC_d-efgh"
MASKER = Masker([TOKEN, TWO_LINES, "short", "", "   \n   \t    ", 'qu"o\\te-it-well'])


@pytest.mark.parametrize(
    "secret",
    [
        TOKEN,
        ANTHROPIC,
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "ghp_xxxxxxxxxxxx",
        "github_pat_11AAAAAAA0_abcdefgh",
        KEY.strip(),
        KEY[:60],
        KEY.replace("OPENSSH", "RSA").strip(),
        KEY.replace("OPENSSH ", "").strip(),
        KEY.replace("\n", "\r\n").strip(),
        KEY.strip().replace("\n", "\\n"),
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\nx\n-----END PGP PRIVATE KEY BLOCK-----",
        TWO_LINES,
        TWO_LINES.replace("\n", "\r\n"),
        TWO_LINES.replace("\n", "\\n"),
        'qu"o\\te-it-well',
        'qu\\"o\\\\te-it-well',
    ],
)
def test_a_secret_in_a_text_is_masked(secret):
    assert MASKER.mask_text(f"a {secret}") == ("a [masked]", 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "short",
        "sk-ant-",
        "ghp_ and github_pat_",
        "BEGIN PRIVATE KEY",
        "a  \n   \t     b",
        "pk-ant-api03-x",
    ],
)
def test_what_is_no_secret_stays(text):
    assert MASKER.mask_text(text) == (text, 0)


def test_all_of_several_are_counted():
    assert MASKER.mask_text(f"{TOKEN} {ANTHROPIC}, {TOKEN}") == ("[masked] [masked], [masked]", 3)


def test_a_text_goes_on_behind_a_whole_key_but_not_behind_a_cut_one():
    assert MASKER.mask_text(f"{KEY}and more") == ("[masked]\nand more", 1)
    assert MASKER.mask_text(f"{KEY[:70]} and more") == ("[masked]", 1)


def test_the_longer_of_two_secrets_wins():
    assert Masker(["abcdefgh", "abcdefgh-ijkl"]).mask_text("abcdefgh-ijkl") == ("[masked]", 1)


def test_a_secret_that_looks_like_a_pattern_is_taken_literally():
    assert Masker(["(a+)+$.*?[x"]).mask_text("<(a+)+$.*?[x>") == ("<[masked]>", 1)


def test_the_masker_does_not_show_its_secrets():
    assert TOKEN not in repr(MASKER)


# --- lines of JSON ------------------------------------------------------------------------------------------------


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


@pytest.mark.parametrize("secret", [TOKEN, ANTHROPIC, KEY, TWO_LINES])
@pytest.mark.parametrize("write", [json.dumps, lambda text: f'"{escaped(text)}"'], ids=["plain", "escaped"])
def test_a_secret_in_a_line_is_masked_however_it_is_escaped(secret, write):
    line = '{"type":"assistant","n":1e5,"deep":[[{"text":' + write(f"see {secret}") + "}]]}"
    masked, count = MASKER.mask_json_line(line)
    assert count == 1
    assert json.loads(masked)["deep"][0][0]["text"].strip() == "see [masked]"
    assert masked.startswith('{"type":"assistant","n":1e5,"deep":')


def test_a_secret_split_by_one_escape_is_found():
    assert MASKER.mask_json_line(r'{"a":"\u0073k-ant-api03-abcdefgh"}') == ('{"a":"[masked]"}', 1)


def test_a_secret_in_a_key_is_masked():
    assert MASKER.mask_json_line(json.dumps({ANTHROPIC: 1})) == ('{"[masked]": 1}', 1)


def test_a_cut_key_takes_only_its_own_string():
    line = json.dumps({"a": KEY[:50], "b": "kept"})
    assert json.loads(MASKER.mask_json_line(line)[0]) == {"a": "[masked]", "b": "kept"}


def test_a_line_without_a_secret_stays_byte_for_byte():
    line = '{ "a" : "\\u00fc\\/ \\n", "n":1.50, "x":1E400, "deep":' + "[" * 5000 + "]" * 5000 + "}"
    assert MASKER.mask_json_line(line) == (line, 0)


def test_a_line_that_is_nested_too_deep_to_parse_is_masked_all_the_same():
    line = "[" * 100_000 + f'"{escaped(ANTHROPIC)}"'
    masked, count = MASKER.mask_json_line(line)
    assert count == 1
    assert masked.endswith('["[masked]"')


def test_a_line_that_is_cut_off_is_masked_all_the_same():
    assert MASKER.mask_json_line(f'{{"a":"{escaped(ANTHROPIC)}') == ('{"a":"[masked]"', 1)
    assert MASKER.mask_json_line(f'{{"a":"{ANTHROPIC}\\u00') == ('{"a":"[masked]"', 1)


def test_a_line_that_is_no_json_is_masked_as_text():
    assert MASKER.mask_json_line(f"Error: {TOKEN} is wrong") == ("Error: [masked] is wrong", 1)
    assert MASKER.mask_json_line(f'"\\q{ANTHROPIC}') == ('"q[masked]"', 1)


def test_wrong_escapes_do_not_hide_a_secret():
    masked, count = MASKER.mask_json_line('{"a":"\\x \\u00zz ' + escaped(ANTHROPIC) + '"}')
    assert count == 1
    assert "[masked]" in masked


@given(
    st.recursive(st.none() | st.text() | st.integers(), lambda i: st.lists(i) | st.dictionaries(st.text(), i))
)
@example({"a": [ANTHROPIC]})
def test_a_masked_line_is_json_with_the_same_shape(value):
    for ascii_only in (True, False):
        line = json.dumps({"value": value, "secret": TOKEN}, ensure_ascii=ascii_only)
        masked, count = MASKER.mask_json_line(line)
        again = json.loads(masked)
        assert count >= 1
        assert again["secret"] == "[masked]"
        if count == 1:
            assert again["value"] == value


@pytest.mark.parametrize(
    "text",
    [
        '\\"' * 500_000,
        '"' * 500_000,
        '"' + "\\" * 500_001,
        "-----BEGIN PRIVATE KEY-----" * 20_000,
        "-----BEGIN " * 50_000,
        "-----BEGIN PRIVATE KEY-----" + "-----END A" * 50_000,
        "-----BEGIN " + "A " * 300_000,
        "sk-ant-" * 100_000,
        "[" * 500_000,
        '["\\u0041",' * 50_000,
    ],
    ids=[
        "escaped quotes",
        "quotes",
        "backslashes",
        "begins",
        "half begins",
        "ends",
        "label",
        "sk",
        "nesting",
        "tokens",
    ],
)
def test_no_text_takes_more_than_linear_time(text):
    def seconds(line: str) -> float:
        started = time.process_time()
        MASKER.mask_json_line(line)
        return time.process_time() - started

    assert seconds(text) < 3


# --- events -------------------------------------------------------------------------------------------------------


@frozen
class Inner:
    note: str
    number: int = 0


@frozen
class Outer:
    text: str
    line: str
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    _hidden: str = ""


def test_every_text_of_an_event_is_masked():
    event = Outer(
        f"1 {TOKEN}",
        json.dumps({"text": f"2 {TOKEN}"}),
        Inner(f"3 {TOKEN}", 3),
        (Inner("no"), Inner(f"4 {TOKEN}")),
        (("a", f"5 {TOKEN}"),),
        f"6 {TOKEN}",
    )
    masked, count = MASKER.mask_event(event)
    assert count == 6
    assert masked == Outer(
        "1 [masked]",
        '{"text": "2 [masked]"}',
        Inner("3 [masked]", 3),
        (Inner("no"), Inner("4 [masked]")),
        (("a", "5 [masked]"),),
        "6 [masked]",
    )


def test_an_event_without_a_secret_is_the_same_object():
    event = Outer("a", "{}", Inner("b"))
    assert MASKER.mask_event(event) == (event, 0)
    assert MASKER.mask_event(event)[0] is event


def test_escapes_are_decoded_in_the_agents_line():
    event = LineReceived(generation=1, offset=0, end=10, line=f'{{"t":"{escaped(ANTHROPIC)}"}}')
    masked, count = MASKER.mask_event(event)
    assert (masked.line, masked.end, count) == ('{"t":"[masked]"}', 10, 1)


def test_a_persons_text_is_masked():
    event = MessageReceived("p", "c", "u", "james", f"use {ANTHROPIC}", 0, False, 0, 1, Intent("text"))
    masked, count = MASKER.mask_event(event)
    assert (masked.text, masked.user_name, count) == ("use [masked]", "james", 1)
