"""The state machines as Mermaid diagrams, drawn from their tables; `scripts/diagram` puts them into the README."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sm.core.tables import (
    REQUEST,
    REQUEST_FINAL,
    REQUEST_STATES,
    SESSION,
    SESSION_ENDED,
    SESSION_STATES,
    Row,
)

# What a trigger is called between two states; derived triggers and kinds of events alike.
_SESSION_LABELS: Mapping[str, str] = {
    "session.requested": "start",
    "project.resolved": "folder found",
    "project.refused": "no such folder",
    "repository.granted": "place is free",
    "repository.refused": "place is in use",
    "repository.prepared": "prepared",
    "repository.prepare_failed": "not prepared",
    "git_allowed": "git host allowed",
    "git_denied": "git host denied",
    "agent.start_failed": "not started",
    "initialized": "agent answers",
    "line_delivered": "message goes in",
    "turn_opened": "running",
    "turn_closed": "idle",
    "session.stop_requested": "stop",
    "timer.fired": "time is up",
    "agent.append_refused": "input differs",
    "agent.output_broken": "output breaks",
    "agent.ended": "agent ends",
    "generation_over": "container gone",
    "agent.message_probed": "probed",
    "workspace.inspected": "looked at",
    "workspace.inspect_failed": "not to be seen",
    "stream.quarantined": "cannot be folded",
}
_GUARDS: Mapping[str, str] = {
    "asks_for_project": "a project",
    "is_project": "a project",
    "may_ask_for_git_host": "no network",
    "git_host_was_just_allowed": "no network yet",
    "cannot_go_on": "never ready, or too often",
    "message_is_unacknowledged": "a message in doubt",
    "nothing_waits": "nothing waits",
}
_REQUEST_LABELS: Mapping[str, str] = {
    "approve": "allowed",
    "retry": "Retry",
    "deny": "denied",
    "rule_out": "may not be opened, or no card",
    "expire": "nobody answered",
    "supersede": "session over",
    "opened": "seen at the firewall",
    "refused": "refused, or unseen",
    "grant_ended": "taken back, or over",
}


def session_diagram() -> str:
    """A session's states. What may happen in any state (status, quarantine) is left out."""
    rows = [row for row in SESSION if row.trigger != "stream.quarantined"]
    states = [state for state in SESSION_STATES if state != "quarantined"]
    ended = [state for state in SESSION_ENDED if state != "quarantined"]
    return _draw(states, ended, rows, _SESSION_LABELS)


def request_diagram() -> str:
    """The states of a request for a domain; one that is over can be allowed after all."""
    return _draw(REQUEST_STATES, REQUEST_FINAL, REQUEST, _REQUEST_LABELS)


def _draw(states: Iterable[str], ended: Iterable[str], rows: Iterable[Row], labels: Mapping[str, str]) -> str:
    """Arrows in the order of the states; one arrow a pair of states, rows that stay where they are left out."""
    order = list(states)
    arrows: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for source in row.source:
            if row.dest is not None and row.dest != source:
                said = arrows.setdefault((source, row.dest), [])
                said.extend([label] if (label := _label(row, labels)) not in said else [])
    lines = ["stateDiagram-v2", f"    [*] --> {order[0]}"]
    for source, dest in sorted(arrows, key=lambda pair: (order.index(pair[0]), order.index(pair[1]))):
        lines.append(f"    {source} --> {dest}: {', '.join(arrows[source, dest])}")
    lines.extend(f"    {state} --> [*]" for state in ended)
    return "\n".join(lines) + "\n"


def _label(row: Row, labels: Mapping[str, str]) -> str:
    guards = [_GUARDS[guard] for guard in row.when if guard in _GUARDS]
    return f"{labels[row.trigger]} ({', '.join(guards)})" if guards else labels[row.trigger]


def rewritten(text: str) -> str:
    """A text with the diagrams between its markers (`<!-- diagram: NAME -->` … `<!-- end -->`) drawn anew.

    Raises ValueError for a marker without an end or with a name that is none.
    """
    done, rest = "", text
    while True:
        before, begin, after = rest.partition("<!-- diagram: ")
        done += before
        if not begin:
            return done
        name, closed, body = after.partition(" -->")
        _, end, rest = body.partition("<!-- end -->")
        if not closed or not end or name not in _DIAGRAMS:
            raise ValueError(f"The diagram {name[:40]!r} has no end or is none of {', '.join(_DIAGRAMS)}.")
        done += f"{begin}{name} -->\n```mermaid\n{_DIAGRAMS[name]()}```\n{end}"


_DIAGRAMS = {"session": session_diagram, "request": request_diagram}
