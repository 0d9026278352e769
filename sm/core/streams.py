"""The names of streams: `kind:id`.

A session's stream replays alone. The others coordinate: a channel (whose message is it?), a repository (who works in
its main clone and worktrees, on which branches?), a project (who works in the folder?), the alias (who was allowed
what?), a VM (which host key do we trust?).
"""

from __future__ import annotations

from typing import Literal

StreamKind = Literal["session", "channel", "repository", "project", "alias", "vm"]
KINDS: tuple[StreamKind, ...] = ("session", "channel", "repository", "project", "alias", "vm")


def session(session_id: str) -> str:
    """The stream of one session."""
    return f"session:{session_id}"


def channel(channel_id: str) -> str:
    """The coordinating stream of one Mattermost channel."""
    return f"channel:{channel_id}"


def repository(vm: str, org: str, repo: str) -> str:
    """The coordinating stream of one repository's main clone and worktrees on one VM."""
    return f"repository:{vm}/{org}/{repo}"


def project(vm: str, path: str) -> str:
    """The coordinating stream of one project's folder, by its real path on one VM."""
    return f"project:{vm}{path}"


def alias(name: str) -> str:
    """The coordinating stream of the firewall alias: requests, grants, writes."""
    return f"alias:{name}"


def vm(host: str) -> str:
    """The stream of one VM: its trusted host key."""
    return f"vm:{host}"


def kind_of(stream: str) -> StreamKind:
    """The kind of a stream; ValueError for a name that is none of ours."""
    head, colon, _ = stream.partition(":")
    for kind in KINDS:
        if colon and head == kind:
            return kind
    raise ValueError(f"{stream!r} is not the name of a stream")


def id_of(stream: str) -> str:
    """What stands behind the kind."""
    return stream.partition(":")[2]


def short(session_id: str) -> str:
    """The eight characters by which people and containers know a session."""
    return session_id[:8]
