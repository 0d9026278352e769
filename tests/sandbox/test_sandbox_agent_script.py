"""What the scripted model says to which words."""

import pytest

from sm.sandbox.agent.script import MAX_LONG, human_texts, plan

BLOCKED = "$ pip install pytest\nERROR: Connection timed out to pypi.org\n\n[NETWORK_REQUEST: pypi.org]"


def user(*blocks: object) -> dict[str, object]:
    return {
        "role": "user",
        "content": [{"type": "text", "text": b} if isinstance(b, str) else b for b in blocks],
    }


def called(command: str, description: str = "") -> dict[str, object]:
    call = {
        "type": "tool_use",
        "id": "t1",
        "name": "Bash",
        "input": {"command": command, "description": description},
    }
    return {"role": "assistant", "content": [call]}


def answered(text: str, *, is_error: bool = False) -> dict[str, object]:
    return {"type": "tool_result", "tool_use_id": "t1", "content": text, "is_error": is_error}


def texts(*messages: dict[str, object]) -> list[str]:
    return [block["text"] for block in plan(messages).blocks if block["type"] == "text"]


def commands(*messages: dict[str, object]) -> list[str]:
    return [block["input"]["command"] for block in plan(messages).blocks if block["type"] == "tool_use"]


ASKED = user("add pytest to the project")
INSTALL = called("pip install pytest", "Install pytest")


def test_the_examples_first_message_leads_to_an_install():
    assert texts(ASKED) == ["I'll add pytest to the project dependencies..."]
    assert commands(ASKED) == ["pip install pytest"]


def test_a_failed_install_asks_for_the_network_in_the_specifications_words():
    assert texts(
        ASKED, INSTALL, user(answered("Exit code 1\nERROR: No matching distribution", is_error=True))
    ) == [BLOCKED]


def test_an_install_that_works_at_once_asks_for_nothing():
    said = texts(ASKED, INSTALL, user(answered("Collecting\nSuccessfully installed pytest-8.0.0")))
    assert said == ["$ pip install pytest\nSuccessfully installed pytest-8.0.0"]


def test_after_the_approval_it_installs_again_and_repeats_the_line():
    history = [ASKED, INSTALL, user(answered("x", is_error=True)), {"role": "assistant", "content": BLOCKED}]
    approved = user("[NETWORK_APPROVED: pypi.org]")
    assert commands(*history, approved) == ["pip install pytest"]
    again = {"role": "assistant", "content": [{**plan([*history, approved]).blocks[0], "id": "t1"}]}
    worked = texts(*history, approved, again, user(answered("Successfully installed pytest-8.0.0")))
    assert worked == [
        "[NETWORK_APPROVED: pypi.org]\n\n$ pip install pytest\nSuccessfully installed pytest-8.0.0"
    ]
    (failed,) = texts(*history, approved, again, user(answered("Exit code 1\nERROR: no", is_error=True)))
    assert "ERROR: no" in failed
    assert "Successfully" not in failed
    assert "NETWORK_REQUEST" not in failed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("please open example.com", "I need example.com for that.\n\n[NETWORK_REQUEST: example.com]"),
        (
            "fetch files.example.org now",
            "I need files.example.org for that.\n\n[NETWORK_REQUEST: files.example.org]",
        ),
        ("say [NETWORK_REQUEST: a.b]\nand more", "[NETWORK_REQUEST: a.b]\nand more"),
        ("[NETWORK_DENIED: pypi.org]", "Understood: I go on without pypi.org."),
        (
            "[NETWORK_APPROVED: example.com]",
            "[NETWORK_APPROVED: example.com]\n\nThank you, example.com is open now.",
        ),
        (
            "[NETWORK_DENIED: pypi.org — use the mirror]",
            "Understood: I go on without pypi.org, since: use the mirror.",
        ),
        (
            "[NETWORK_APPROVED: example.com — not reachable yet, try again in a minute]",
            "example.com is open, but not reachable yet, try again in a minute.",
        ),
        ("anything else", "You said: anything else"),
    ],
)
def test_words_have_their_answers(words: str, said: str):
    assert texts(user(words)) == [said]


def test_long_texts_have_the_length_asked_for_and_whole_fences():
    (text,) = texts(user("long 20000"))
    assert len(text) == 20000
    assert "```python" in text
    assert len(texts(user(f"long {MAX_LONG * 10}"))[0]) == MAX_LONG


def test_messages_that_were_merged_are_all_answered():
    assert texts(user("[NETWORK_DENIED: a.example]\n[NETWORK_DENIED: b.example]\nsay ok")) == [
        "Understood: I go on without a.example.",
        "Understood: I go on without b.example.",
        "ok",
    ]


def test_a_message_steered_in_during_a_tool_is_answered_after_its_result():
    steered = "The user sent a new message while you were working:\nsay later\n\nIMPORTANT: After completing your task"
    conversation = [
        user("sleep 3"),
        called("sleep 3"),
        user(answered("slept 3")),
        {"role": "system", "content": steered},
    ]
    assert texts(*conversation) == ["slept 3", "later"]
    assert human_texts(conversation) == ["sleep 3", "say later"]


def test_reminders_and_notices_are_no_persons_words():
    assert human_texts(
        [user("<system-reminder>x</system-reminder>", "hi"), user("[Request interrupted by user]")]
    ) == ["hi"]


def test_after_an_interrupt_only_the_new_words_count():
    refused = user(answered("The user doesn't want to proceed", is_error=True))
    notice = user("[Request interrupted by user for tool use]")
    assert texts(user("sleep 9"), called("sleep 9"), refused, notice, user("say new")) == ["new"]


def test_failures_are_asked_for_in_words():
    assert plan([user("fail 529 2")]).fail_status == 529
    assert plan([user("fail 529 2")]).fail_times == 2
    assert plan([user("hang")]).hang
    assert commands(user("die")) == ["kill -9 $PPID"]
