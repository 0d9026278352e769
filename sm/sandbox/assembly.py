"""All peers of one sandbox, around one `Faults` and one folder.

sandbox = Sandbox(folder)
await sandbox.start()
sandbox.environment()      # what `sm serve` needs against them, and SANDBOX_*
sandbox.announcements()    # which gate, which agent, whether mounts are real
await sandbox.stop()       # leaves no process, namespace or mount
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from attrs import frozen

from sm.sandbox.agent.api import AgentApi
from sm.sandbox.control import Action, ActionError, ControlServer, Section
from sm.sandbox.faults import Faults
from sm.sandbox.git.host import GitHost
from sm.sandbox.mattermost.peer import MattermostPeer
from sm.sandbox.network.dns import NameServer
from sm.sandbox.network.gate import Gate, Mode
from sm.sandbox.network.index import HOSTS, PackageIndex
from sm.sandbox.network.names import Names
from sm.sandbox.opnsense.peer import OPNsensePeer
from sm.sandbox.vm.home import Layout
from sm.sandbox.vm.peer import VmPeer

HOST = "127.0.0.1"
ALIAS = "llm_approved_domains"
AGENT_API = "api.anthropic.com"
MARK = ".session-manager-sandbox"
_SECRET = "callback-secret"  # noqa: S105 - the name of a file
# Below the range from which Linux takes ports for outgoing connections: what is bound late must still be free then.
_PORTS = range(20000, 32000)


class NotOurFolderError(Exception):
    """The folder given for the state cannot be one; the text is a sentence for whoever gave it."""


class VirtualMachine(Protocol):
    """What a sandbox needs of its VM; `VmPeer` is the one it makes itself."""

    @property
    def notes(self) -> list[str]:
        """Lines for a person: which agent, what is real and what stands in for it."""
        ...

    async def start(self, host: str = ..., port: int = ...) -> None:
        """Listen for SSH; port 0 takes a free one."""
        ...

    async def stop(self) -> None:
        """Stop listening, and end every process that ran on it."""
        ...

    async def kill_everything(self) -> None:
        """What a power cut does to processes."""
        ...

    def environment(self) -> dict[str, str]:
        """The `SM_*` variables by which the service reaches it."""
        ...

    def state(self) -> object:
        """What an observer compares; may answer an awaitable."""
        ...


MakeVm = Callable[[Faults, Gate], VirtualMachine]


@frozen
class Ports:
    """Where the peers listen; 0 takes a free port. `callback` is the service's own."""

    mattermost: int = 0
    opnsense: int = 0
    vm: int = 0
    control: int = 0
    agent: int = 0
    callback: int = 0
    dns: int = 0


@frozen
class Choices:
    """What is otherwise found out at the start: each None takes the best that works here."""

    gate: Mode | None = None
    mounts: bool | None = None
    claude: str | None = None
    """Path of the real CLI; empty takes the stand-in."""
    git_open: bool = True
    """Whether the firewall lets the VM's git reach github.com beside what the alias holds."""
    vm: MakeVm | None = None
    """Makes another VM behind the gate; without it a `VmPeer`, for which alone `mounts` and `claude` are meant."""


def claim_folder(folder: Path) -> Path:
    """Make the folder of a sandbox, or find an earlier one there; answers its real path.

    Raises `NotOurFolderError` for a folder with other things in it, and for a path that no mount can carry; `OSError`
    when it cannot be made.
    """
    if not str(folder.resolve()).isprintable() or set(str(folder.resolve())) & {":", ","}:
        raise NotOurFolderError(
            f"{folder} has a colon, a comma or a control character in its path: give another folder."
        )
    if folder.exists() and not folder.is_dir():
        raise NotOurFolderError(f"{folder} is not a folder: give one that is empty or doesn't exist yet.")
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / MARK
    if not mark.exists():
        if any(folder.iterdir()):
            raise NotOurFolderError(
                f"{folder} holds files that are not of a sandbox, and nothing there is touched: "
                "give a folder that is empty or doesn't exist yet."
            )
        mark.write_text(
            "Made by the sandbox of Session Manager. Remove the whole folder when it is not needed.\n"
        )
    return folder.resolve()


class Sandbox:
    """The peers. `start` and `stop` may each be called once."""

    def __init__(self, folder: Path, ports: Ports | None = None, choices: Choices | None = None) -> None:
        """Take the folder (see `claim_folder`, whose errors it raises) and make the peers, none of which listens yet."""
        self.folder = claim_folder(folder)
        self._ports = ports or Ports()
        chosen = choices or Choices()
        self.faults = Faults()
        self._key, self._secret = secrets.token_urlsafe(40), secrets.token_urlsafe(40)
        names = Names()
        self.mattermost = MattermostPeer.create(self.faults, self.folder)
        self.gate = Gate(self.folder / "gate", names, mode=chosen.gate)
        self.dns = NameServer(names)
        self.index = PackageIndex()
        self.git = GitHost(Layout(self.folder).upstream, self.faults, self.gate, is_open=chosen.git_open)
        self.agent_api = AgentApi(self.faults)
        self.opnsense = OPNsensePeer(
            self.faults, names, key=self._key, secret=self._secret, alias_name=ALIAS, entries=(AGENT_API,),
            on_table=self.gate.table_changed, port=self._ports.opnsense, tls_folder=self.folder / "opnsense",
        )  # fmt: skip
        self.vm: VirtualMachine = (
            chosen.vm(self.faults, self.gate)
            if chosen.vm is not None
            else VmPeer(
                self.folder, self.faults, gate=self.gate, mounts=chosen.mounts, claude=chosen.claude,
                gh_token=self.git.token, git_settings=self.git.settings,
            )
        )  # fmt: skip
        self.control = ControlServer(self.faults)
        self._callback_port = 0
        self._undo = contextlib.AsyncExitStack()

    @property
    def journal(self) -> Path:
        """Where the service keeps its journal."""
        return self.folder / "journal.db"

    async def start(self) -> None:
        """Start every peer, those first that others lean on. What had started is stopped again when one fails.

        Raises `OSError` for a port that is taken, `RuntimeError` where git, venv or the kernel refuse.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        await self._enter(self.agent_api.start(HOST, self._ports.agent), self.agent_api.stop)
        await self._enter(self.dns.start(self._ports.dns), self.dns.stop)
        await self._enter(self.index.start(), self.index.stop)
        await self._enter(self.gate.start(), self.gate.stop)
        self.gate.serve(AGENT_API, self.agent_api.port)
        for name in HOSTS:
            self.gate.serve(name, self.index.port)
        await self._enter(self.git.start(), self.git.stop)
        await self._enter(self.opnsense.start(), self.opnsense.stop)
        await self._enter(self.vm.start(HOST, self._ports.vm), self.vm.stop)
        await self._enter(self.mattermost.start(HOST, self._ports.mattermost), self.mattermost.stop)
        self.control.sections.update(self._sections())
        self.control.actions.update(self._actions())
        await self._enter(self.control.start(HOST, self._ports.control), self.control.stop)
        self._callback_port = self._ports.callback or _free_port()

    async def _enter(self, start: Awaitable[None], stop: Callable[[], Awaitable[None]]) -> None:
        self._undo.push_async_callback(stop)
        await start

    async def stop(self) -> None:
        """Stop what was started, in the opposite order; one that fails keeps none of the others up."""
        await self._undo.aclose()

    def environment(self) -> dict[str, str]:
        """The `SM_*` variables that `sm serve` needs against these peers, and `SANDBOX_*` for whoever plays a person.

        Call it after `start`.
        """
        return {
            "SM_MATTERMOST_URL": self.mattermost.url,
            "SM_MATTERMOST_TOKEN": self.mattermost.bot_token,
            **self.vm.environment(),
            "SM_OPNSENSE_URL": self.opnsense.url,
            "SM_OPNSENSE_KEY": self._key,
            "SM_OPNSENSE_SECRET": self._secret,
            "SM_OPNSENSE_ALIAS": ALIAS,
            "SM_OPNSENSE_FINGERPRINT": self.opnsense.fingerprint,
            "SM_RESOLVER": self.dns.address,
            "SM_LISTEN_ADDR": f"{HOST}:{self._callback_port}",
            "SM_CALLBACK_URL": f"http://{HOST}:{self._callback_port}/callback",
            "SM_CALLBACK_SECRET": self._callback_secret(),
            "SM_JOURNAL": str(self.journal),
            "SANDBOX_CHANNEL_ID": self.mattermost.channel_id,
            "SANDBOX_TOKEN_JAMES": self.mattermost.james_token,
            "SANDBOX_TOKEN_SARAH": self.mattermost.sarah_token,
            "SANDBOX_CONTROL_URL": self.control.url,
        }

    def announcements(self) -> list[str]:
        """Sentences about what is real here and what stands in for it."""
        lines = [self.gate.description, *self.vm.notes]
        if not any(line.startswith("Containers:") for line in lines):
            lines.append("Containers: real mounts and processes of their own, in namespaces of each.")
        return lines

    def _callback_secret(self) -> str:
        """Made once a folder: cards of an earlier run in it stay ours."""
        path = self.folder / _SECRET
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(32))
        return path.read_text()

    def _sections(self) -> dict[str, Section]:
        return {
            **self.mattermost.sections(),
            "opnsense": self.opnsense.state,
            "dns": self.dns.state,
            "vm": self.vm.state,
            "agent": self.agent_api.state,
            "index": self.index.state,
            "git": self.git.state,
            "sandbox": lambda: {"pid": os.getpid(), "announcements": self.announcements()},
        }

    def _actions(self) -> dict[str, Action]:
        return {
            **self.mattermost.actions(),
            **self.opnsense.actions,
            **self.dns.actions,
            "vm/power-cut": self._power_cut,
            "git/firewall": self._git_firewall,
        }

    async def _git_firewall(self, body: dict[str, object]) -> object:
        """`{"open": false}`: the VM's git reaches github.com only when the alias holds it."""
        is_open = body.get("open")
        if not isinstance(is_open, bool):
            raise ActionError("open is true or false.")
        self.git.open = is_open
        return None

    async def _power_cut(self, _body: dict[str, object]) -> object:
        """End every process of the VM at once; its disk and its SSH server stay."""
        await self.vm.kill_everything()
        return None


def _free_port() -> int:
    """A port that nobody listens on, and that no outgoing connection will take meanwhile."""
    for port in random.sample(_PORTS, 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise OSError("No free port was found for the service: give one with --callback-port.")
