"""What the settings of requests and approvals may look like: durations, people, channels, named sets of hosts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from sm.core import domains
from sm.core.grammar.decisions import RESERVED
from sm.settings.syntax import Pairs, Unfit, host_port, pairs, shown_name

DNS_PORT = 53
APPROVERS = 100
SETS = 50
SET_HOSTS = 20
SETS_CHARACTERS = 64 * 1024
# Mentions of Mattermost's that are no user.
EVERYBODY = frozenset({"all", "channel", "here"})

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SET_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def duration(text: str) -> int:
    """Seconds, from `90`, `90s`, `5m`, `24h` or `1d`."""
    found = re.fullmatch(r"([0-9]{1,9})\s?([smhd]?)", text.lower())
    if not found:
        raise Unfit("is not a duration", "set it to one such as 90s, 5m, 24h or 1d")
    return int(found.group(1)) * _UNITS_S[found.group(2)]


def lasting(longest: str, *, never: bool = False) -> Callable[[str], int]:
    """A reader for durations from one second to `longest`, in seconds; with `never` also for 0."""

    def read(text: str) -> int:
        seconds = duration(text)
        if seconds == 0 and not never:
            raise Unfit("is 0, which is no duration")
        if seconds > duration(longest):
            raise Unfit(f"is longer than {longest}")
        return seconds

    return read


def number(least: int, most: int) -> Callable[[str], int]:
    """A reader for whole numbers, both ends included."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise Unfit(f"is not a whole number from {least} to {most}")
        return int(text)

    return read


def resolver(text: str) -> str:
    """A DNS server as `host:port` or `[v6]:port`; port 53 unless said."""
    return str(host_port(text, default_port=DNS_PORT))


def channel_id(text: str) -> str:
    """The id of a channel of Mattermost's, which is not its name."""
    if not re.fullmatch(r"[a-z0-9]{26}", text):
        raise Unfit("is not the id of a channel (26 lower-case letters and digits)")
    return text


def approvers(text: str) -> tuple[str, ...]:
    """User names or ids, each once, lower-case and without the `@`; at least one."""
    names = [word.removeprefix("@").lower() for word in re.split(r"[\s,;]+", text) if word]
    if not names:
        raise Unfit("names nobody", "name at least one user, or unset it: then every member can decide")
    if len(names) > APPROVERS:
        raise Unfit(f"names more than {APPROVERS} users")
    for name in names:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
            raise Unfit(f"names {shown_name(name)}, which is not a user name or a user's id")
        if name in EVERYBODY:
            raise Unfit(
                f"names @{name}, which is no user", "name users, or unset it: then every member can decide"
            )
    return tuple(dict.fromkeys(names))


def domain_sets(text: str) -> dict[str, tuple[str, ...]]:
    """A JSON object of names to lists of hosts; an empty list takes a shipped set away.

    A name is one word that no host can be (no dot) and that says nothing else behind `approve`. The hosts are judged
    here by their syntax only.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, hosts in pairs(text, characters=SETS_CHARACTERS, most=SETS, what="sets"):
        _set_name(name)
        if name in found:
            raise Unfit(f"names the set {shown_name(name)} twice", "leave one of them out")
        found[name] = _set_hosts(name, hosts)
    return found


def _set_name(name: str) -> None:
    shown = shown_name(name)
    if not _SET_NAME.fullmatch(name):
        raise Unfit(
            f"names a set {shown}, which is not one word in lower case",
            "use letters, digits, dashes and underscores, a letter first, 32 at most",
        )
    if name in RESERVED:
        raise Unfit(
            f"names a set {shown}, which says something else behind `approve`", "give the set another name"
        )


def _set_hosts(name: str, hosts: Any) -> tuple[str, ...]:
    shown = shown_name(name)
    if not isinstance(hosts, list) or isinstance(hosts, Pairs):
        raise Unfit(f"has no list of hosts for the set {shown}")
    listed = cast("list[Any]", hosts)
    if len(listed) > SET_HOSTS:
        raise Unfit(f"has more than {SET_HOSTS} hosts in the set {shown}")
    return tuple(dict.fromkeys(_set_host(shown, host) for host in listed))


def _set_host(shown: str, host: Any) -> str:
    if not isinstance(host, str):
        raise Unfit(f"has something other than a text among the hosts of the set {shown}")
    plain = host.lower().removesuffix(".")
    if code := domains.refusal(plain):
        raise Unfit(f"has {shown_name(host)} in the set {shown}, which can't be opened", domains.advice(code))
    return plain
