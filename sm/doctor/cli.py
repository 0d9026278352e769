"""`sm doctor network`, `sm doctor rules`: over SSH, with the settings of `sm serve`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, NoReturn, TypeVar

from attrs import asdict
from cyclopts import App, Parameter

from sm.core.outcome import Refused, Unreachable
from sm.doctor.installer import installer
from sm.engine.vm_settings import vm_settings
from sm.settings import Settings, SettingsError, load
from sm.vm import HostKey, Vm
from sm.vm.network import Finding, Probed

EXIT_OPEN = 1
EXIT_UNKNOWN = 2
WORDS = {"closed": "closed", "open": "OPEN", "unknown": "?"}

T = TypeVar("T")
app = App(name="doctor", help="Look whether the VM keeps the agents in.")


@app.command
def network(
    *,
    host: Annotated[str, Parameter(help="a host outside of the alias, with its port")] = "example.com:443",
    as_json: Annotated[bool, Parameter(name="--json", negative="", help="one JSON object")] = False,
) -> int:
    """Try, from a container on the session network, whether everything is closed that must be.

    A host outside of the alias, the VM itself, the network's gateway, another container, IPv6: one line each. Ends with 0
    when all are closed, 1 when one is open, 2 when it could not be told.
    """
    name, _, port = host.rpartition(":") if ":" in host else (host, "", "443")
    try:
        number = int(port)
    except ValueError:
        _complain(f"--host is HOST:PORT, such as example.com:443, not {host!r}.")
    try:
        probed = _on_vm(lambda vm: vm.network.probe(name.strip("[]"), number))
    except (Refused, Unreachable) as error:
        code = error.code if isinstance(error, Refused) else "unreachable"
        if as_json:
            print(json.dumps({"closed": None, "findings": [], "problem": {"code": code, "text": str(error)}}))
        _complain(f"The network could not be tried. {error}")
    if as_json:
        states = {finding.state for finding in probed.findings}
        closed = False if "open" in states else None if "unknown" in states else True
        print(
            json.dumps(
                {"closed": closed, "findings": [asdict(one) for one in probed.findings], "problem": None}
            )
        )
    return _verdict(probed, quiet=as_json)


@app.command
def rules() -> None:
    """Print the network's rules, as a script that root runs on the VM to install them."""
    settings = _settings()
    try:
        found = _on_vm(lambda vm: vm.network.rules(), settings)
    except (Refused, Unreachable) as error:
        _complain(str(error))
    print(installer(found, settings.container_network, settings.vm_host.host), end="")


def _verdict(probed: Probed, *, quiet: bool) -> int:
    def those(state: str) -> list[Finding]:
        return [finding for finding in probed.findings if finding.state == state]

    if not quiet:
        for finding in probed.findings:
            print(f"{WORDS[finding.state]:7} {finding.text}")
    if found := those("open"):
        what = "; ".join(finding.text for finding in found)
        print(f"\nOPEN: the agents reach what they must not: {what}.", file=sys.stderr)
        inside = any(finding.kind != "outside" for finding in found)
        if inside:
            print(f"To close it: {probed.advice}.", file=sys.stderr)
        if any(finding.kind == "outside" for finding in found):
            print(
                "To close what is outside: mend the rules of the OPNsense for the VM's network.",
                file=sys.stderr,
            )
        return EXIT_OPEN
    if those("unknown"):
        print("\nNot everything could be told; --host names another host to try.", file=sys.stderr)
        return EXIT_UNKNOWN
    if not quiet:
        print("All closed.")
    return 0


def _on_vm(ask: Callable[[Vm], Awaitable[T]], settings: Settings | None = None) -> T:
    """Connect, ask, close. Raises Refused, Unreachable."""
    chosen = settings or _settings()

    async def asking() -> T:
        vm = Vm(vm_settings(chosen), accept_host_key=_shown)
        try:
            return await ask(vm)
        finally:
            await vm.close()

    return asyncio.run(asking())


def _shown(key: HostKey) -> bool:
    """Nothing secret is told to the VM here, so a key that nobody has pinned is shown and taken, this once."""
    print(f"The VM shows the host key {key.fingerprint}; SM_VM_HOST_KEY would pin it.", file=sys.stderr)
    return True


def _settings() -> Settings:
    try:
        return load(os.environ)
    except SettingsError as error:
        _complain(str(error))


def _complain(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    raise SystemExit(EXIT_UNKNOWN)
