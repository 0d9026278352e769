"""What may come of a command: each outcome that its effector may report."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from sm.core import commands as c
from sm.core import events as e
from sm.core.commands import Command

from . import playbook as p


def reports(command: Command, entries: Sequence[str] = (p.BEFORE,)) -> list[e.Event]:
    """Each outcome that an effector may report for a command. `entries`: what the alias holds."""
    match command:
        case c.PrepareRepository():
            offline = e.RepositoryPrepareFailed("network_unreachable", "no route")
            unfetched = evolve(p.PREPARED, notes=(e.Note("fetch_network", "no route"),))
            return [p.PREPARED, e.RepositoryPrepareFailed("disk_full", "no space"), offline, unfetched]
        case c.CancelPrepare():
            return [e.RepositoryPrepareCancelled()]
        case c.ResolveProject(path=path):
            return [e.ProjectResolved(path, "main", "f" * 40), e.ProjectRefused("project_missing", path)]
        case c.InspectWorkspace():
            return [
                e.WorkspaceInspected("main", "f" * 40, ("M a.py",), 1, 2),
                e.WorkspaceInspectFailed("container_failed", ""),
            ]
        case c.DiffWorkspace():
            return [e.WorkspaceDiffed("a diff", False, 1, 1, 0), e.WorkspaceDiffFailed("not_git", "")]
        case c.FetchMirror():
            failed = [e.MirrorFetchFailed(code, "") for code in ("network_unreachable", "no_access")]
            return [e.MirrorFetched(1), *failed]
        case c.PreparePush():
            return [p.PUSH_PREPARED, e.PushRefused("nothing_to_push", "")]
        case c.PostPushCard(card_id=card, channel_id=channel):
            return [e.CardPosted(card, f"post-of-{card}", channel), e.CardFailed(card, "no_permission", "")]
        case c.UpdatePushCard(card_id=card):
            return [e.CardUpdated(card), e.CardFailed(card, "gone", "")]
        case c.PushBranch(commit=commit, target=target):
            failed = [e.PushFailed(code, "") for code in ("network_unreachable", "push_rejected")]
            return [e.PushDone(commit, target), *failed]
        case c.StartAgent(generation=n):
            return [e.AgentStarted(n, f"container{n}"), e.AgentStartFailed(n, "image_missing", "")]
        case c.AppendLine(generation=n, expected=expected, line=line):
            return [e.LineAppended(n, expected + len(line)), e.AppendRefused(n, expected, expected + 3)]
        case c.StopAgent(generation=n):
            return [e.AgentStopped(n, "ended", "143 0")]
        case c.ProbeMessage(generation=n, uuid=uuid):
            return [e.MessageProbed(n, uuid, found) for found in (True, False, None)]
        case c.SetTimer(generation=n, name=name):
            return [e.TimerFired(name, n)]
        case c.ResolveCard(card_id=card, domains=names):
            answers = [p.resolve(names), (p.turned(names[0]),), tuple(map(p.nowhere, names))]
            return [e.CardResolved(card, answer) for answer in answers]
        case c.PostCard(card_id=card, channel_id=channel, copy=copy):
            posted = e.CardPosted(card, f"{'copy' if copy else 'post'}-of-{card}", channel, copy)
            return [posted, e.CardFailed(card, "no_permission", "", copy)]
        case c.UpdateCard(card_id=card, copy=copy):
            return [e.CardUpdated(card, copy), e.CardFailed(card, "gone", "", copy)]
        case c.WriteAlias():
            return _writes(command, entries)
        case c.ApplyAlias(added=added, removed=removed):
            applied = [e.AliasApplied(added, removed, how, None) for how in ("seen", "unseen", "unknown")]
            odd = evolve(applied[0], refused="not_global", address="10.0.0.5")
            return [*applied, odd, e.AliasFailed("apply", "unauthorized", "")]
        case c.TryDomain(domain=domain):
            return [e.NetworkTried(domain, state, "") for state in ("reachable", "unreachable", "unknown")]
        case c.SayPrivately(user_id=user):
            return [e.PostSent("id", f"direct-{user}", "post"), e.PostFailed("id", "", "not_found", "")]
        case _:
            return [e.PostSent("id", "ch1", "post"), e.PostFailed("id", "ch1", "too_long", "")]


def _writes(command: c.WriteAlias, entries: Sequence[str]) -> list[e.Event]:
    left = tuple(entry for entry in entries if entry not in command.remove)
    whole = (*left, *(name for name in command.add if name not in left))
    names = p.resolve(command.add)
    written = e.AliasWritten(command.add, command.remove, names, True, whole, None)
    turned = tuple(map(p.turned, command.add))
    return [
        written,
        evolve(written, changed=False),
        evolve(written, names=turned, entries=left),
        evolve(written, names=tuple(map(p.nowhere, command.add)), entries=left),
        *[e.AliasFailed("write", code, "") for code in ("forbidden", "rejected", "network_unreachable")],
    ]
