"""Events out of nowhere: any of each class, and a few of each."""

from __future__ import annotations

import json
from typing import Any

import attrs
from hypothesis import strategies as st

from sm.core import events as e

from . import playbook as p
from .pools import (
    ACTIONS,
    ASKS,
    CHANNELS,
    DOMAINS,
    INTENTS,
    LINES,
    PLACES,
    POLICIES,
    RESOLVED,
    SESSIONS,
    TEXTS,
    UUIDS,
    VERDICTS,
)

_TEXT = st.text(max_size=8)
_NAMED: dict[str, st.SearchStrategy[Any]] = {
    "session_id": st.sampled_from(SESSIONS),
    "holder": st.sampled_from([*SESSIONS, ""]),
    "channel_id": st.sampled_from(CHANNELS),
    "generation": st.integers(0, 3),
    "domain": st.sampled_from(DOMAINS),
    "uuid": st.sampled_from(UUIDS),
    "name": st.sampled_from(["ready", "stop", "git", "of tomorrow"])
    | st.builds("{}:c{}".format, st.sampled_from(["remind", "expire"]), st.integers(1, 30))
    | st.builds("grant:g{}x0".format, st.integers(1, 30)),
    "action": st.sampled_from(ACTIONS),
    "via": st.sampled_from(["button", "reaction", "command"]),
    "scope": st.sampled_from(["", "session", "hour"]),
    "policy": st.sampled_from(POLICIES),
    "asks": st.lists(st.sampled_from(ASKS), max_size=3).map(tuple),
    "names": st.lists(st.sampled_from(RESOLVED), max_size=3).map(tuple),
    "sets": st.sampled_from([(), ("python",)]),
    "entries": st.lists(st.sampled_from([*DOMAINS, p.BEFORE]), max_size=4, unique=True).map(tuple),
    "add": st.lists(st.sampled_from(DOMAINS), max_size=2, unique=True).map(tuple),
    "remove": st.lists(st.sampled_from(DOMAINS), max_size=2, unique=True).map(tuple),
    "resolved": st.sampled_from(["seen", "unseen", "unknown"]),
    "step": st.sampled_from(["write", "apply"]),
    "refused": st.sampled_from(["", "", "not_global", "is_peer"]),
    "code": st.sampled_from(["forbidden", "rejected", "network_unreachable", "disabled"]),
    "state": st.sampled_from(["reachable", "unreachable", "unknown"]),
    "alias": st.sampled_from(["", p.ALIAS]),
    "request_id": st.integers(1, 30).map(lambda seq: f"r{seq}x0"),
    "card_id": st.integers(1, 30).map(lambda seq: f"c{seq}"),
    "text": st.sampled_from(TEXTS) | _TEXT,
    "user_name": st.sampled_from(["james", "sarah"]),
    "org": st.just("acme"),
    "repo": st.sampled_from(["webapp", "other"]),
    "vm": st.just(p.VM),
    "rules": st.just(p.RULES),
    "intent": st.sampled_from(INTENTS),
    "placement": st.none() | st.sampled_from(PLACES),
    "body_at": st.integers(0, 9),
    "worktree": st.sampled_from(["", "feature"]),
    "branch": st.sampled_from(["", "main", "feature"]),
    "project": st.sampled_from(["", "", "myproject"]),
    "root_id": st.sampled_from(["", "post1"]),
    "notes": st.lists(st.builds(e.Note, st.sampled_from(["lfs", "fetch_network"]), _TEXT), max_size=2).map(
        tuple
    ),
    "line": st.sampled_from(LINES).map(json.dumps) | _TEXT,
    "verdicts": st.lists(
        st.sampled_from(VERDICTS) | st.builds(e.Verdict, _TEXT, st.sampled_from(["no_dot", "too_many"])),
        max_size=3,
    ).map(tuple),
}
# Where one name means something else in one class.
_OF: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("NetworkDecided", "names"): st.lists(st.sampled_from(VERDICTS), max_size=3).map(tuple),
    ("NetworkListRequested", "what"): st.sampled_from(["net", "pending"]),
    ("RepositoryRefused", "what"): st.sampled_from(["main", "worktree", "branch", "project"]),
    ("PushDecided", "action"): st.sampled_from(["approve", "deny", "explode"]),
    ("SessionRequested", "alias"): st.just(p.ALIAS),
}


def _type_name(attribute: attrs.Attribute[Any]) -> str:
    """The type as it is written, whether or not somebody resolved the class's annotations."""
    return str(attribute.type).removeprefix("<class '").removesuffix("'>")


def _value(kind_of: type[e.Event], attribute: attrs.Attribute[Any]) -> st.SearchStrategy[Any]:
    named = _OF.get((kind_of.__name__, attribute.name), _NAMED.get(attribute.name))
    if named is not None:
        return named
    kind = _type_name(attribute)
    if "tuple[str, ...]" in kind:
        several = st.lists(_TEXT, max_size=2).map(tuple)
        return st.none() | several if "None" in kind else several
    plain = {"str": _TEXT, "int": st.integers(0, 10_000), "bool": st.booleans()}
    chosen = [plain[word] for word in plain if word in kind.replace("|", " ").split()]
    return st.one_of(*chosen, *([st.none()] if "None" in kind else []))


def events(kind: type[e.Event]) -> st.SearchStrategy[e.Event]:
    """Events of one class."""
    return st.builds(kind, **{attribute.name: _value(kind, attribute) for attribute in attrs.fields(kind)})


any_event = st.sampled_from(sorted(e.EVENTS)).flatmap(lambda kind: events(e.EVENTS[kind]))


# --- one of each ----------------------------------------------------------------------------------------------------------

_SAMPLES: dict[str, list[Any]] = {
    "session_id": SESSIONS,
    "holder": [p.OTHER, ""],
    "channel_id": CHANNELS,
    "generation": [1, 2, 0],
    "domain": DOMAINS,
    "uuid": UUIDS,
    "name": ["ready", "stop", "git", "of tomorrow"],
    "via": ["button", "reaction", "command"],
    "policy": POLICIES,
    "asks": [tuple(ASKS), ()],
    "names": [tuple(map(p.found, DOMAINS)), tuple(map(p.turned, DOMAINS)), (), (p.nowhere("pypi.org"),)],
    "sets": [(), ("python",)],
    "entries": [(), (p.BEFORE, "pypi.org"), (p.BEFORE, "evil.example")],
    "add": [("pypi.org",), ()],
    "remove": [(), ("pypi.org",)],
    "step": ["write", "apply"],
    "refused": ["", "not_global"],
    "copy": [False, True],
    "state": ["reachable", "unreachable", "unknown"],
    "resolved": ["seen", "unseen", "unknown"],
    "intent": INTENTS,
    "placement": [*PLACES, None],
    "text": TEXTS,
    "body_at": [0],
    "line": [json.dumps(line) for line in LINES],
    "verdicts": [(), (e.Verdict("pypi.org"), e.Verdict("co.uk", "public_suffix"))],
    "scope": ["", "session", "hour"],
    "alias": ["", p.ALIAS],
    "found": [True, False, None],
    "table": [("192.0.2.1",), None],
    "table_before": [("192.0.2.1",), None],
    "after_post_id": ["p1", None],
    "worktree": ["", "feature"],
    "project": ["", "myproject"],
    "code": ["network_unreachable", "no_access", "rejected"],
    "notes": [(), (e.Note("fetch_network", "no route"),)],
}
_SAMPLES_OF: dict[tuple[str, str], list[Any]] = {
    ("NetworkDecided", "action"): ACTIONS,
    ("NetworkDecided", "names"): [tuple(VERDICTS), (), (e.Verdict("pypi.org"),)],
    ("NetworkListRequested", "what"): ["net", "pending"],
    ("PushDecided", "action"): ["approve", "deny", "explode"],
    ("SessionRequested", "alias"): [p.ALIAS],
}


def samples(kind: type[e.Event]) -> list[e.Event]:
    """A few events of one class: as many as its richest field has samples."""
    pools = {
        field.name: _SAMPLES_OF.get((kind.__name__, field.name))
        or _SAMPLES.get(field.name)
        or _plain(_type_name(field), field.name)
        for field in attrs.fields(kind)
    }
    count = max((len(pool) for pool in pools.values()), default=1)
    return [kind(**{name: pool[n % len(pool)] for name, pool in pools.items()}) for n in range(count)]


def _plain(kind: str, name: str) -> list[Any]:
    if "tuple" in kind:
        return [(), ("one", "two")]
    return {"int": [0, 7], "bool": [True, False]}.get(kind, [f"a {name}", ""])
