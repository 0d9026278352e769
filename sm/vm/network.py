"""The container network as a container on it sees it: what it reaches that it must not, and the rules against that.

The firewall sees nothing that stays on the VM, so nftables closes it there (`scripts/network.sh` has the rules). A start
tries them from inside each time; here they are tried on request, with more patience, and printed.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
import re
from typing import Final, Literal

from attrs import frozen

from sm.core.outcome import Refused, Unreachable
from sm.vm import names
from sm.vm.model import VmSettings
from sm.vm.remote import Answer, Run

DOCTOR_S: Final = 120
RULES_S: Final = 60
AROUND_S: Final = 150
"""What a reach takes at most beside the asking: the container's start and end, the rules, their trial."""
MAX_REACH_S: Final = 600
AT_A_TIME: Final = 6
"""So many containers ask at the same time; each is one of the VM's processes and a channel of ours."""
HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")

State = Literal["closed", "open", "unknown"]
KINDS: Final = ("outside", "vm", "gateway", "sibling", "ipv6")
_STATES: Final[dict[str, State]] = {
    "shut": "closed",
    "open": "open",
    "odd": "unknown",
    "unresolved": "unknown",
}


# Refused codes that tell of this VM and not of the host: it could not be tried.
UNTRIED: Final = frozenset(
    ["network_missing", "network_unfit", "network_open", "network_unchecked", "nft_missing", "image_missing"]
)
# curl's status → what it means, in our own words: its text may quote the other side.
ANSWERED: Final = {
    "28": "It took the connection, but finished no request in time.",
    "35": "It took the connection, but no TLS came about.",
    "52": "It took the connection, but answered nothing.",
    "56": "It took the connection, and broke it off.",
    "60": "It took the connection, but its certificate is not trusted there.",
}
UNANSWERED: Final = {
    "5": "The name of the proxy could not be resolved in the container.",
    "6": "Its name could not be resolved in the container (to an IPv4 address).",
    "7": "The connection was refused, or there is no way to it.",
    "28": "Nothing answered on port 443.",
    "56": "The proxy of the container did not let it through.",
}


@frozen
class Finding:
    """One thing that must be closed. `kind` is one of `KINDS`; `text` is for a person."""

    kind: str
    state: State
    text: str


@frozen
class Probed:
    """What a container on the network reaches; `advice` says what closes what was found open."""

    findings: tuple[Finding, ...]
    advice: str


@frozen
class Reach:
    """Whether a container on the network reached a host's port 443; `detail` is our own sentence, empty when it is plain."""

    state: Literal["reachable", "unreachable", "unknown"]
    detail: str


@frozen
class Rules:
    """The network's rules as text for `nft -f`: `whole`, or `plain` for a kernel that does not know a frame's bridge.

    `rootless` says that they belong into podman's own namespace, where every start loads them by itself.
    """

    rootless: bool
    bridge: str
    whole: str
    plain: str


class Network:
    """Changes nothing that is anybody's but the rules themselves, which rootless podman is given as at a start."""

    def __init__(self, run: Run, settings: VmSettings) -> None:
        self._run = run
        self._settings = settings
        self._places = asyncio.Semaphore(AT_A_TIME)

    async def probe(self, host: str, port: int) -> Probed:
        """Try from a container whether everything is closed that must be, and `host` outside, which is in no alias.

        Refused codes: network_missing, network_unfit, network_unchecked, nft_missing, image_missing, bad_name.
        """
        if not HOST.fullmatch(host) or not 0 < port < 65536:
            raise Refused("bad_name", f"{host[:100]!r} and port {port} are no host to try.")
        s = self._settings
        answer = await self._run("doctor", [s.runtime, s.image, s.network, host, port], DOCTOR_S)
        found = (_finding(word, rest) for word, rest in answer.lines if word in _STATES)
        findings = tuple(sorted(found, key=lambda one: (KINDS.index(one.kind), one.text)))
        if not findings:
            raise Unreachable("The VM's answer does not say what was tried.")
        return Probed(findings, answer.get("advice"))

    async def rules(self) -> Rules:
        """The rules for the network as it is now.

        Refused codes: network_missing, network_unfit.
        """
        s = self._settings
        answer = await self._run("rules", [s.runtime, s.network], RULES_S)
        return Rules(
            rootless=answer.get("rootless") == "1",
            bridge=answer.get("bridge"),
            whole=_text(answer, "whole"),
            plain=_text(answer, "plain"),
        )

    async def reach(self, domain: str, *, within_s: float, session: str = "") -> Reach:
        """Ask port 443 of a host with `curl`, as an agent would, until something answers or `within_s` (to 600) is over.

        The container is a fresh one of the agent's image, with nothing of the session's; it is gone when this returns, and
        ends by itself when this is cancelled or the connection breaks. Something answers when TCP is connected, whatever TLS
        and HTTP say then. What can't be tried on this VM (no curl in the image, a network that is not closed) is `unknown`.
        Raises Unreachable when the VM gives no answer, Refused for a name that is no host's (bad_name, bad_session).
        """
        names.domain(domain)
        label = names.session(session) if session else "reach"
        seconds = min(max(within_s, 1.0), MAX_REACH_S)
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        try:
            async with asyncio.timeout_at(until):
                await self._places.acquire()
        except TimeoutError:
            return Reach("unknown", "It was not tried: too many others were being tried at the same time.")
        try:
            return await self._reach(domain, max(1, math.ceil(until - loop.time())), label)
        finally:
            self._places.release()

    async def _reach(self, domain: str, seconds: int, label: str) -> Reach:
        s = self._settings
        try:
            answer = await self._run(
                "reach", [s.runtime, s.image, s.network, domain, seconds, label], seconds + AROUND_S
            )
        except Refused as error:
            if error.code in UNTRIED:
                return Reach("unknown", str(error))
            raise
        for word, rest in answer.lines:
            match word:
                case "reached":
                    return Reach("reachable", "" if rest == "0" else ANSWERED.get(rest, ""))
                case "unanswered":
                    return Reach("unreachable", UNANSWERED.get(rest, f"curl ended with {rest[:10]}."))
                case "nocurl":
                    return Reach("unknown", f"There is no curl in the image {s.image}, so it can't be tried.")
                case _:
                    continue
        raise Unreachable("The VM's answer does not say whether the host was reached.")


def _finding(word: str, rest: str) -> Finding:
    kind, _, text = rest.partition(" ")
    if kind not in KINDS:
        raise Unreachable(f"The VM's answer tells of {kind[:40]!r}, which was not tried.")
    if word == "unresolved":
        text += " (its name could not be resolved there)"
    return Finding(kind, _STATES[word], text)


def _text(answer: Answer, word: str) -> str:
    try:
        return base64.b64decode(answer.get(word), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unreachable(f"The VM's answer has no {word} rules.") from error
