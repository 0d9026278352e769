"""What the settings say of decisions, in the form in which it is recorded."""

from __future__ import annotations

from urllib.parse import urlsplit

from sm.core.events import DomainSet, Policy
from sm.engine.domain_sets import merged
from sm.engine.judging import judge
from sm.settings import Settings


def policy(settings: Settings) -> Policy:
    """Who decides, how, and how long a card waits. A set is left out with a name in it that can't be opened."""
    sets = {
        name: tuple(judge(domain) for domain in domains)
        for name, domains in merged(settings.domain_sets).items()
    }
    return Policy(
        approvers=settings.approvers,
        approve_own=settings.approve_own,
        strong=settings.approval_strong,
        remind_ms=settings.approval_remind_s * 1000,
        ttl_ms=settings.approval_ttl_s * 1000,
        max_pending=settings.approval_max_pending,
        approval_channel=settings.approval_channel or "",
        audit_channel=settings.audit_channel or "",
        sets=tuple(
            DomainSet(name, tuple(verdict.domain for verdict in verdicts))
            for name, verdicts in sorted(sets.items())
            if not any(verdict.refused for verdict in verdicts)
        ),
    )


def peer_hosts(settings: Settings) -> tuple[str, ...]:
    """The hosts of our neighbours, by name or address: nothing of theirs is opened to agents."""
    urls = (settings.mattermost_url, settings.opnsense_url)
    return (*(urlsplit(url).hostname or "" for url in urls), settings.vm_host.host)
