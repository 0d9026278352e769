"""Cards in words: a line for each choice in the state that it is in, what one should know, and no way out of a span."""

from __future__ import annotations

import ast
from importlib import resources

import pytest
from attrs import evolve
from test_wording import BOT, HOSTILE, outside

from sm.core import tables
from sm.core.commands import CardRow, CardView
from sm.core.events import DomainSet
from sm.engine.wording import card, cards, outcomes, render
from sm.opnsense import wire

D = "pypi.org"
UNTIL = 1_795_553_566_128  # 2026-11-24 20:52:46 UTC
PENDING = CardRow("r1", D, "pending", status="found", addresses=("192.0.2.1",))
VIEW = CardView(
    "c1", "abc12345-0000", "acme/webapp", "james", "pip install pytest", (PENDING,), expires_ms=UNTIL
)


def shown(state: str, **row: object) -> str:
    decided = {"user_name": "james", "via": "button"} if state not in {"pending", "superseded"} else {}
    return card(evolve(VIEW, rows=(evolve(PENDING, state=state, **{**decided, **row}),)))


# --- the states -------------------------------------------------------------------------------------------------------


def test_the_specifications_card_stands_as_it_is() -> None:
    assert shown("pending").splitlines()[0] == "🔒 **Network Request:** `pypi.org`"
    assert shown("approved", reach="reachable") == "✅ `pypi.org` approved by @james"
    assert shown("denied") == "❌ `pypi.org` denied by @james"


@pytest.mark.parametrize("state", tables.REQUEST_STATES)
def test_each_state_has_a_line_of_its_own(state: str) -> None:
    others = {shown(other).splitlines()[0] for other in tables.REQUEST_STATES if other != state}
    assert D in shown(state)
    assert shown(state).splitlines()[0] not in others
    assert shown(state).startswith("✅") == (state == "approved")


@pytest.mark.parametrize(
    ("row", "end"),
    [
        ({"scope": "hour", "until_ms": UNTIL}, " until 2026-11-24 20:52 UTC"),
        ({"scope": "session"}, " for this session"),
        ({}, ""),
    ],
)
def test_an_approval_says_when_it_ends(row: dict[str, object], end: str) -> None:
    assert shown("approved", **row) == f"✅ `pypi.org` approved by @james{end}"


def test_an_approval_that_is_not_known_to_work_says_so() -> None:
    assert "its effect is not confirmed" in shown("approved", detail="unknown")
    assert "Not reachable yet: the agent was told to try again" in shown("approved", reach="unreachable")
    assert "could not be tried" in shown("approved", reach="unknown")


@pytest.mark.parametrize("code", sorted(outcomes.FAILURES))
def test_a_failed_card_says_what_to_do(code: str) -> None:
    text = shown("failed", detail=code)
    assert text.startswith("⚠️ `pypi.org` was approved by @james, but is not open: ")
    assert text.partition("open: ")[2] == outcomes.FAILURES[code]


def test_each_refusal_of_the_firewall_has_its_advice() -> None:
    found: set[str] = set()
    for name in ("client.py", "wire.py"):
        tree = ast.parse((resources.files("sm.opnsense") / name).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refused":
                found |= {str(one.value) for one in node.args[:1] if isinstance(one, ast.Constant)}
    assert {"rejected", "alias_missing", "certificate"} <= found
    assert found | {code for code, _ in wire.REFUSALS.values()} <= set(outcomes.FAILURES)


def test_each_end_of_a_grant_has_its_words() -> None:
    tree = ast.parse((resources.files("sm.core.alias") / "ledger.py").read_text(encoding="utf-8"))
    [ends] = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "_ENDS"
    ]
    assert isinstance(ends, ast.Dict)
    for key in ends.keys:
        assert isinstance(key, ast.Constant)
        assert "`" not in outcomes.ending(str(key.value))


@pytest.mark.parametrize(
    "code", ["revoked", "expired", "session_over", "taken_out", "not_global 10.0.0.5", "rejected"]
)
def test_a_closed_card_says_why(code: str) -> None:
    text = shown("closed", detail=code)
    assert text.startswith("🔒 `pypi.org` was approved by @james, but is not any more: ")
    assert ("`10.0.0.5`" in text) == ("10.0.0.5" in code)
    assert "_" not in text


def test_a_denial_has_its_reason_and_a_rule_has_no_person() -> None:
    assert shown("denied", detail="use the mirror") == "❌ `pypi.org` denied by @james: `use the mirror`"
    assert shown("denied", via="", user_name="", detail="not_global 10.0.0.5").startswith(
        "❌ `pypi.org` can't be opened: "
    )


@pytest.mark.parametrize("state", ["applying", "approved", "failed", "denied", "closed"])
def test_who_decided_in_another_channel_is_not_named(state: str) -> None:
    assert "another channel" in shown(state, user_name="")
    assert "@" not in shown(state, user_name="")


# --- what one should know -----------------------------------------------------------------------------------------------


def test_a_card_that_asks_says_who_wants_it_for_what_and_what_it_opens() -> None:
    text = card(evolve(VIEW, rows=(evolve(PENDING, reason="install pytest", shares=("example.org",)),)))
    for part in (
        "Session `abc12345` on **acme/webapp**, started by @james.",
        "The agent was at: `pip install pytest`",
        "The agent's own words: `install pytest`",
        "It leads to `192.0.2.1` now.",
        "It shares an address with what is open already: `example.org`",
        "open for every session on the VM",
        "Without an answer it stays closed, from 2026-11-24 20:52 UTC on.",
    ):
        assert part in text


@pytest.mark.parametrize("state", [state for state in tables.REQUEST_STATES if state != "pending"])
def test_a_card_that_is_decided_says_what_was_decided_and_no_more(state: str) -> None:
    assert "Session `abc12345`" not in shown(state)
    assert len(shown(state).splitlines()) == 1


@pytest.mark.parametrize(
    ("status", "said"), [("none", "has no address now"), ("unknown", "unknown addresses")]
)
def test_a_name_without_an_answer_is_said_to_be_so(status: str, said: str) -> None:
    assert said in shown("pending", status=status, addresses=())


def test_a_name_that_is_not_what_it_looks_like_has_a_warning_and_its_form() -> None:
    text = shown("pending", domain="xn--pypi-53d.org", warning="mixed_script", shown="pуpi.org")
    assert "`xn--pypi-53d.org`" in text
    assert "⚠️" in text
    assert "`pуpi.org`" in text


def test_several_choices_each_have_a_line_and_what_is_said_names_which() -> None:
    two = evolve(VIEW, rows=(PENDING, evolve(PENDING, request_id="r2", domain="example.org", reason="docs")))
    text = card(two)
    assert text.splitlines()[:2] == [
        "🔒 **Network Request:** `pypi.org`",
        "🔒 **Network Request:** `example.org`",
    ]
    assert "The agent's own words for `example.org`: `docs`" in text


def test_a_reason_for_all_is_said_once() -> None:
    row = evolve(PENDING, reason="install pytest")
    text = card(evolve(VIEW, rows=(row, evolve(row, request_id="r2", domain="example.org"))))
    assert text.count("The agent's own words: `install pytest`") == 1
    assert text.count("own words") == 1


def test_a_card_says_how_to_decide_without_a_button() -> None:
    assert "✅ or ❌ on this post, `@robot approve HOST` or `@robot deny HOST`" in card(VIEW, bot="robot")
    two = evolve(VIEW, rows=(PENDING, evolve(PENDING, request_id="r2", domain="example.org")))
    assert "✅ or ❌ on this post for all of it" in card(two)


@pytest.mark.parametrize("state", ["pending", "applying"])
def test_a_warning_stands_there_also_where_nobody_was_asked(state: str) -> None:
    text = shown(state, domain="xn--pypi-53d.org", warning="mixed_script", shown="pуpi.org")
    assert "\n⚠️ Look at `xn--pypi-53d.org`: it mixes letters of several scripts" in text


def many(state: str, count: int, **row: object) -> CardView:
    name = ".".join("x" * 60 for _ in range(4))
    rows = (evolve(PENDING, domain=f"h{n}.{name}", state=state, **row) for n in range(count))
    return evolve(VIEW, rows=tuple(rows))


def test_of_many_hosts_each_that_can_be_approved_is_named_and_the_post_is_not_too_long() -> None:
    text = card(
        many("pending", 20, reason="w" * 200, shares=("y" * 250,) * 5, addresses=("2001:db8::1",) * 6)
    )
    assert text.count("🔒 **Network Request:** ") == 20
    assert "lines more: ask for fewer hosts at once" in text
    assert "Without an answer it stays closed" in text
    assert len(text) < 16_383


def test_of_many_decided_ones_those_that_wait_are_not_left_out() -> None:
    decided = many("denied", 40, via="button", user_name="james", detail="d" * 300)
    text = card(evolve(decided, rows=(*decided.rows, PENDING)))
    assert "🔒 **Network Request:** `pypi.org`" in text
    assert "… and " in text
    assert len(text) < 16_383


def said_with(words: str) -> list[str]:
    row = evolve(PENDING, reason=words, shown=words, warning="unicode")
    asking = card(evolve(VIEW, doing=words, rows=(row,)))
    denied, failed = (shown(state, detail=words) for state in ("denied", "failed"))
    closed = shown("closed", detail=f"not_global {words}")
    refused = {"domain": words, "code": "a_url", "hint": ""}
    told = [render("domain_refused", {**refused, **by}, bot=BOT) for by in ({}, {"by": "person"})]
    return [outside(text) for text in (asking, denied, failed, closed, *told)]


def test_nobody_elses_words_get_out_of_their_span() -> None:
    assert said_with(HOSTILE) == said_with("words")


@pytest.mark.parametrize("code", ["not_global", "is_peer"])
def test_where_a_name_leads_is_said_and_not_taken_for_what_was_meant(code: str) -> None:
    text = render("domain_refused", {"domain": D, "code": code, "hint": "10.0.0.5"}, bot=BOT)
    assert text.endswith("(`10.0.0.5`).")
    assert "is meant" not in text


def test_a_name_that_was_perhaps_meant_is_offered() -> None:
    text = render("domain_refused", {"domain": "https://pypi.org/x", "code": "a_url", "hint": D}, bot=BOT)
    assert text.endswith("perhaps pypi.org is meant.")


@pytest.mark.parametrize(
    ("code", "who", "said"),
    [
        ("not_approver", "james sarah", "Ask @james, @sarah."),
        ("own", "", "Another person has to decide: you started this session."),
        (
            "own",
            "james sarah",
            "Another person has to decide (@james, @sarah can): you started this session.",
        ),
        ("own_unasked", "", "nobody decides about their own request here"),
        ("not_member", "", "Only people who are members of this channel can decide."),
    ],
)
def test_who_may_not_decide_hears_why_and_who_can(code: str, who: str, said: str) -> None:
    text = render("may_not_decide", {"code": code, "who": who}, bot=BOT)
    assert said in text
    assert text.endswith("Nothing was changed.")


@pytest.mark.parametrize("state", tables.REQUEST_STATES)
@pytest.mark.parametrize("user", ["james", ""])
def test_who_comes_too_late_hears_what_became_of_it(state: str, user: str) -> None:
    text = render("too_late", {"domain": D, "state": state, "user": user}, bot=BOT)
    assert "`pypi.org`" in text
    assert "@james" not in text or user


def test_a_revocation_says_what_stays_open() -> None:
    facts = {"domain": D, "user": "james", "resolved": "seen"}
    text = render("revoked", facts, bot=BOT)
    assert text == "✅ `pypi.org` is closed, revoked by @james. Connections that are open now may persist."
    assert "may stay reachable" in render("revoked", {**facts, "resolved": "unseen"}, bot=BOT)
    for granted, said in (("yes", "is revoked, but remains open"), ("", "was not opened by me")):
        assert said in render("revoked_but_foreign", {"domain": D, "granted": granted}, bot=BOT)
    text = render("revoke_failed", {"domain": D, "code": "alias_disabled"}, bot=BOT)
    assert "still open: the alias is disabled in OPNsense. I try again" in text


# --- the choices ---------------------------------------------------------------------------------------------------------


def test_a_pending_row_has_four_choices_and_a_failed_one_two() -> None:
    ((_, buttons),) = cards.choices(VIEW)
    assert [one.name for one in buttons] == ["✅ Approve", "This session", "1 hour", "❌ Deny"]
    assert [one.action for one in buttons] == ["approve", "session", "hour", "deny"]
    ((_, buttons),) = cards.choices(evolve(VIEW, rows=(evolve(PENDING, state="failed"),)))
    assert [one.action for one in buttons] == ["retry", "deny"]


@pytest.mark.parametrize(
    "state", [state for state in tables.REQUEST_STATES if state not in {"pending", "failed"}]
)
def test_what_is_decided_has_no_choice(state: str) -> None:
    assert list(cards.choices(evolve(VIEW, rows=(evolve(PENDING, state=state),)))) == []


def test_a_set_is_a_choice_that_names_what_it_opens() -> None:
    offer = DomainSet("python", (D, "files.example"))
    *_, (_, (button,)) = cards.choices(evolve(VIEW, offers=(offer,)))
    assert (button.action, button.request_id) == ("set", "set:python")
    assert button.name == "✅ Approve all of python: pypi.org, files.example"


# --- what is open --------------------------------------------------------------------------------------------------------


def test_net_lists_what_is_open_for_whom_and_until_when() -> None:
    rows = (
        "a.example\theld\t\t0\tjames\t\t",
        f"b.example\theld\thour\t{UNTIL}\t\t\t",
        "c.example\twanted\tsession\t0\tsarah\tabc12345\t",
        "d.example\twithdrawn\t\t0\tjames\t\tnot_global",
    )
    facts = {"grants": "\n".join(rows), "foreign": "api.example", "alias": "llm", "trouble": "", "more": "0"}
    assert render("net", facts, bot=BOT).splitlines() == [
        "Open by a decision:",
        "- `a.example` until it is revoked, by @james",
        "- `b.example` until 2026-11-24 20:52 UTC, by somebody in another channel",
        "- `c.example` for session `abc12345`, by @sarah, not open yet",
        "- `d.example` withdrawn: it leads to an address that is not public (was approved by @james)",
        "In the alias `llm` besides: `api.example`",
    ]


def test_net_names_what_is_on_its_way_out() -> None:
    row = "a.example\tclosing\t\t0\t\t\t"
    facts = {"grants": row, "foreign": "", "alias": "llm", "trouble": "", "more": "0"}
    assert "- `a.example` is not allowed any more, but not out of the alias yet" in render(
        "net", facts, bot=BOT
    )


def test_each_host_of_a_set_is_named_before_it_is_opened() -> None:
    hosts = tuple(f"h{n}.example" for n in range(7))
    *_, (text, _) = cards.choices(evolve(VIEW, offers=(DomainSet("many", hosts),)))
    assert all(f"`{host}`" in text for host in hosts)


def test_pending_lists_the_open_cards_with_links() -> None:
    facts = {"cards": f"post1\tpypi.org b.example\tacme/webapp\tabc12345\t{UNTIL}", "more": "0"}
    text = render("pending", facts, bot=BOT, link="https://chat.example/_redirect/pl/")
    assert text.splitlines()[1] == (
        "- `pypi.org`, `b.example`: [its card](https://chat.example/_redirect/pl/post1), for session `abc12345` on "
        "**acme/webapp**, until 2026-11-24 20:52 UTC"
    )
    assert render("pending", {"cards": "", "more": "0"}, bot=BOT) == "Nothing waits for a decision."
