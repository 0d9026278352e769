"""The gate between the container and the sandbox's internet: it lets through what the firewall's table holds.

    gate = Gate(folder, names)
    await gate.start()
    gate.serve("pypi.org", index.port)          # https://pypi.org/ is now what listens on 127.0.0.1:port
    opnsense = OPNsensePeer(…, on_table=gate.table_changed)
    argv, env = gate.wrap(argv), {"PATH": …, **gate.environment}    # and bind gate.hosts_file over /etc/hosts

Port 443 alone passes, and TLS ends at the gate, with certificates of the sandbox's own authority; behind it the plain
HTTP of a loopback server answers. What is blocked gets no answer at all.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

from sm.sandbox.network.front import Front, Proxy
from sm.sandbox.network.names import Names
from sm.sandbox.network.netns import BoxNetwork, NamespaceUnavailableError
from sm.sandbox.network.tls import SandboxCA

Mode = Literal["namespace", "proxy"]

# Of a documentation range (RFC 5737), which is routed nowhere. Behind the proxy, whose clients ask for names, every
# name stands for it: a program that goes past the proxy must not reach what the names' addresses are outside.
NOWHERE = "192.0.2.1"


class Gate:
    """Blocks by network namespaces where it can, else by a proxy that the container's environment names.

    `mode` and `description` (one line for a person, with the reason) are there after `start`.
    """

    def __init__(self, folder: Path, names: Names, *, mode: Mode | None = None, proxy_port: int = 0) -> None:
        """Make the authority and the hosts file in `folder`. `mode` None takes namespaces where they work."""
        folder.mkdir(parents=True, exist_ok=True)
        self.names = names
        self.ca = SandboxCA(folder)
        self.hosts_file = folder / "hosts"
        self.mode: Mode = "proxy"
        self.description = "The network gate has not been started."
        self._wanted_mode = mode
        self._proxy_port = proxy_port
        self._table: frozenset[str] = frozenset()
        self._changing = asyncio.Lock()
        self._front = Front(self.ca, names)
        self._network: BoxNetwork | None = None
        self._proxy: Proxy | None = None
        self._write_hosts()
        names.subscribe(self._write_hosts)

    @property
    def table(self) -> frozenset[str]:
        """The addresses that are open."""
        return self._table

    @property
    def environment(self) -> dict[str, str]:
        """What the container's environment needs; nothing named `*PROXY*`, `PIP_*` or `*CERT*` may be inherited."""
        ca = str(self.ca.pem_file)
        env = {
            "PIP_CERT": ca,
            "SSL_CERT_FILE": ca,
            "REQUESTS_CA_BUNDLE": ca,
            "CURL_CA_BUNDLE": ca,
            "NODE_EXTRA_CA_CERTS": ca,
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_INDEX_URL": "https://pypi.org/simple",
            "PIP_DEFAULT_TIMEOUT": "2",
            "PIP_RETRIES": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        if self._proxy is not None:
            for key in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
                env[key] = self._proxy.url
            env["NO_PROXY"] = env["no_proxy"] = "localhost,127.0.0.1"
        return env

    def serve(self, name: str, port: int) -> None:
        """Let `https://name/` be answered by the plain HTTP server at 127.0.0.1:port."""
        self._front.serve(name, port)

    def wrap(self, argv: list[str]) -> list[str]:
        """The command that runs `argv` behind the gate; streams, status and exec semantics stay as they are."""
        return self._network.wrap(argv) if self._network is not None else list(argv)

    async def start(self) -> None:
        """Put the gate up, shut but for the table known so far.

        Raises `NamespaceUnavailableError` only when namespaces were asked for, else takes the proxy.
        """
        why = "asked for"
        if self._wanted_mode != "proxy":
            try:
                await self._start_namespace()
            except NamespaceUnavailableError as error:
                if self._wanted_mode == "namespace":
                    raise
                why = f"no network namespace here: {error}"
        if self._network is None:
            await self._front.start(None)
            self._proxy = Proxy(self._front.port, self.names, lambda: self._table)
            await self._proxy.start(self._proxy_port)
            self.mode = "proxy"
            self.description = (
                f"Network gate: a proxy at {self._proxy.url} in the container's environment ({why})."
            )

    async def _start_namespace(self) -> None:
        network = BoxNetwork()
        await network.start()
        try:
            await self._front.start(network.listener)
            await network.open(self._table)
        except BaseException:
            await network.stop()
            raise
        self._network = network
        self._write_hosts()
        self.mode = "namespace"
        self.description = (
            "Network gate: a network namespace that drops whatever the firewall's table does not hold."
        )

    async def stop(self) -> None:
        """Take everything down and cut what still runs through it."""
        if self._proxy is not None:
            await self._proxy.stop()
            self._proxy = None
        await self._front.stop()
        if self._network is not None:
            await self._network.stop()
            self._network = None

    async def table_changed(self, addresses: frozenset[str]) -> None:
        """Open exactly these addresses: the firewall's applied table. Done when it returns."""
        self._table = addresses
        async with self._changing:
            if self._network is not None:
                await self._network.open(self._table)

    def _write_hosts(self) -> None:
        """Write the file in place: it is mounted by its inode. Nothing but a namespace keeps its addresses in."""
        at = NOWHERE if self._network is None else ""
        self.hosts_file.write_text(self.names.hosts(at), encoding="utf-8")
        self.hosts_file.chmod(0o644)
