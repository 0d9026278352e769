"""The container network as a container on it sees it: what it reaches that it must not, and the rules against that.

The firewall sees nothing that stays on the VM, so nftables closes it there (`scripts/network.sh` has the rules). A start
tries them from inside each time; here they are tried on request, with more patience, and printed.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, Literal

from attrs import frozen

from sm.core.outcome import Refused, Unreachable
from sm.vm.model import VmSettings
from sm.vm.remote import Answer, Run

DOCTOR_S: Final = 120
RULES_S: Final = 60
HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")

State = Literal["closed", "open", "unknown"]
KINDS: Final = ("outside", "vm", "gateway", "sibling", "ipv6")
_STATES: Final[dict[str, State]] = {
    "shut": "closed",
    "open": "open",
    "odd": "unknown",
    "unresolved": "unknown",
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
