"""github.com of a sandbox: the server, and the way of the VM's git to it, which the firewall may close.

    host = GitHost(folder, faults, gate)
    await host.start()
    VmPeer(…, gh_token=host.token, git_settings=host.settings)

The VM stands behind the same firewall as its containers: its git reaches the host when the alias has opened one of its
addresses. As an administrator does it who sets the VM up, the sandbox has `github.com` open from the beginning, beside the
alias; `open = False` (`POST /git/firewall {"open": false}` of the control server) takes that back. What is closed takes the
connection, stays silent and gives up, as the time-out of a dropped one does, only sooner.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from sm.sandbox.faults import Faults
from sm.sandbox.git.server import GitServer
from sm.sandbox.network.front import Front, Proxy
from sm.sandbox.network.gate import Gate

NAME = "github.com"
GIVE_UP_S = 2.0
SCALE = "git.firewall"


class GitHost:
    """`server` serves the folder's repositories; `token` is what its owner gave to the VM."""

    def __init__(self, folder: Path, faults: Faults, gate: Gate, *, is_open: bool = True) -> None:
        self.open = is_open
        self.token = f"ghp_{secrets.token_hex(18)}"
        self.server = GitServer(folder, faults, token=self.token)
        self._gate = gate
        self._faults = faults
        self._front = Front(gate.ca, gate.names)
        self._proxy: Proxy | None = None
        faults.declare_scale(SCALE, f"{GIVE_UP_S:.0f} s after which the VM's git gives up a closed host")

    async def start(self) -> None:
        """Listen, and stand behind the gate for containers, too. The gate must be up."""
        await self.server.start()
        self._gate.serve(NAME, self.server.port)
        self._front.serve(NAME, self.server.port)
        await self._front.start(None)
        self._proxy = Proxy(self._front.port, self._gate.names, self._table, self._patience_s)
        await self._proxy.start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._proxy is not None:
            await self._proxy.stop()
            self._proxy = None
        await self._front.stop()
        await self.server.stop()

    def settings(self) -> str:
        """What the VM user's `.gitconfig` says about the way to the host."""
        if self._proxy is None:
            raise RuntimeError("The way to the git host is known once it is started.")
        return (
            f'[http "https://{NAME}/"]\n\tproxy = {self._proxy.url}\n\tsslCAInfo = {self._gate.ca.pem_file}\n'
        )

    def state(self) -> dict[str, object]:
        """What an observer compares."""
        return {"open": self.open, **self.server.state()}

    def _table(self) -> frozenset[str]:
        own = self._gate.names.lookup(NAME) if self.open else ()
        return self._gate.table.union(own)

    def _patience_s(self) -> float:
        return GIVE_UP_S * self._faults.scale(SCALE)
