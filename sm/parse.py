"""`sm parse`: what the service makes of a line of the chat, said without a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sm.core import grammar
from sm.core.events import Intent
from sm.engine import domain_sets
from sm.engine.wording import render
from sm.settings import load_some


def known(environment: Mapping[str, str]) -> grammar.Known:
    """What the settings say of names; all other settings may be missing. Raises `SettingsError`."""
    settings = load_some(environment, "SM_PROJECTS", "SM_DEFAULT_ORG", "SM_GIT_BASE_URL", "SM_DOMAIN_SETS")
    return grammar.Known(
        projects=tuple(settings["SM_PROJECTS"]),
        default_org=settings["SM_DEFAULT_ORG"] or "",
        git_url=settings["SM_GIT_BASE_URL"],
        sets=tuple(domain_sets.merged(settings["SM_DOMAIN_SETS"])),
    )


def parse(line: str, *, bot: str, known: grammar.Known) -> dict[str, Any]:
    """The line, with or without the bot's mention at its head, as what it asks for; or the words of the answer to it.

    `command` is `text` for a line that goes to the agent. `worktree` is true where the service chooses the name.
    `names`, `scope` and `reason` are there for a line that decides.
    """
    intent = grammar.read(line, bot, known).intent
    if intent.name == "text" and f"@{bot}".lower() not in line.lower():
        intent = grammar.read(f"@{bot} {line}", bot, known).intent
    return _answer(intent, bot) if intent.name == "correct" else _asked_for(intent)


def _asked_for(intent: Intent) -> dict[str, Any]:
    decides = {"names": list(intent.names), "scope": intent.scope or None, "reason": intent.reason or None}
    return {
        "command": intent.name,
        "org": intent.org or None,
        "repo": intent.repo or None,
        "branch": intent.branch or None,
        "worktree": intent.worktree_name or intent.worktree or None,
        "project": intent.project or None,
        "session": intent.session or None,
        **(decides if intent.names else {}),
    }


def _answer(intent: Intent, bot: str) -> dict[str, Any]:
    facts = {"problem": intent.problem, "word": intent.word, "suggestion": intent.suggestion}
    return {"answer": render("correction", facts, bot=bot)}
