"""One line for a person about requests, cards, decisions and the alias."""

from __future__ import annotations

import pytest

from sm.core import commands as c
from sm.core import events as e
from sm.core.commands import COMMANDS
from sm.core.events import EVENTS
from sm.journal.examples import EXAMPLES
from sm.replay.summaries import MAX_SUMMARY, summary

D, F = "pypi.org", "files.example"
VIEW = c.CardView(
    "c7", "s1", "acme/webapp", "james", "pip", (c.CardRow("r1", D, "pending"), c.CardRow("r2", F, "denied"))
)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            e.NetworkRequested("abc12345-1", "ch1", (e.Ask("r1", D, "tests"), e.Ask("r2", F)), user_name="james", doing="pip"),
            "session abc12345 of @james asks for pypi.org “tests”, files.example, at “pip”",
        ),
        (
            e.NetworkDecided("session", "ch1", "u1", "james", "button", "c7", "r1"),
            "@james via button: session r1 on c7",
        ),
        (
            e.NetworkDecided("deny", "ch1", "u1", "eve", "command", names=(e.Verdict(D),), reason="no", is_member=False),
            "@eve (no member of the channel) via command: deny pypi.org “no”",
        ),
        (
            e.NetworkDecided("approve", "ch1", "u1", "james", "command", names=(e.Verdict("1.2", "an_address"),), sets=("python",), scope="hour"),
            "@james via command: approve hour 1.2 (refused), python",
        ),
        (
            e.CardResolved("c7", (e.Resolved(D, "found", ("203.0.113.1", "203.0.113.2")), e.Resolved(F, "none"))),
            "c7: pypi.org → 203.0.113.1 203.0.113.2, files.example → none",
        ),
        (e.CardPosted("c7", "p1", "ch1", copy=True), "c7 (copy): post_id p1"),
        (e.CardUpdated("c7"), "c7"),
        (e.CardFailed("c7", "too_long", "no"), "c7: code too_long, detail no"),
        (c.ResolveCard("c7", (D, F)), "c7: pypi.org, files.example"),
        (c.PostCard("c7", "ch1", VIEW), "c7: pypi.org pending, files.example denied"),
        (c.UpdateCard("c7", "ch1", "p1", VIEW), "c7: pypi.org pending, files.example denied, post_id p1"),
        (e.AliasRead((D,)), "1 entry: pypi.org"),
        (e.AliasRead(tuple(f"h{n}.example" for n in range(9))), "9 entries: h0.example, h1.example, h2.example, h3.example, h4.example, h5.example and 3 more"),
        (
            e.AliasWritten((D, F), ("x.example",), (e.Resolved(D, "found", ("203.0.113.1",)), e.Resolved(F, "found", ("10.0.0.5",), "not_global", "10.0.0.5")), True, (D,), None),
            "in pypi.org → 203.0.113.1, left out files.example → 10.0.0.5 (not_global: 10.0.0.5), out x.example, then 1 entry: pypi.org",
        ),
        (e.AliasWritten((), (D,), (), False, (), None), "nothing to change, out pypi.org, then no entries"),
        (
            e.AliasObserved((D,), (e.Resolved(D, "found", ("10.0.0.5",), "not_global", "10.0.0.5"),), None, "is_peer", "192.0.2.9"),
            "1 entry: pypi.org, pypi.org → 10.0.0.5 (not_global: 10.0.0.5), in the table 192.0.2.9 (is_peer)",
        ),
        (c.SetTimer("", "expire:c7", 0, 1_700_000_000_000), "expire:c7 at 2023-11-14T22:13:20.000Z"),
        (c.TryDomain(D, 1_700_000_000_000), "pypi.org until 2023-11-14T22:13:20.000Z"),
        (c.SayPrivately("u1", "use_strong"), "to u1: use_strong"),
    ],
    ids=lambda value: getattr(value, "KIND", ""),
)  # fmt: skip
def test_a_line_says_who_what_and_about_which(value, said):
    assert summary(value) == said


def test_each_kind_has_a_line_that_is_bounded_and_safe_for_a_terminal():
    assert {value.KIND for value in EXAMPLES} >= {*EVENTS, *COMMANDS}
    for value in EXAMPLES:
        line = summary(value)
        assert line.isprintable(), value.KIND
        assert len(line) <= MAX_SUMMARY + 1, value.KIND
