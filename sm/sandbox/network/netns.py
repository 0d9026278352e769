"""Two network namespaces: the *box* that the container lives in, and the *net* that stands for the internet.

They are joined by two veth pairs, and by nothing to the host: what is in the box can reach no port of this machine.

    box  up0   ──────  up0   net     every address is local here (AnyIP); the gate listens on 443
         hole0 ──────  hole0         the box's default route; its neighbour is a MAC that nobody has

So whatever is not opened is swallowed without an answer, as a firewall that drops does it (an unresolved neighbour
would answer "no route to host" after 3 s). To open an address is one routing rule in the box, for TCP port 443
alone, that points at `up0`. Neither nftables nor a `dummy` device is needed. Unlike a stateful firewall's, a
connection that is open when its rule goes stalls. This machine's own addresses and the containers' subnet answer "no
route to host" at once, as the rules of a real VM do.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PREFIX = "smgate"
PORT = 443
TABLE = "213"
BOX_ADDRESS = "192.168.213.2"
CONTAINERS = "10.89.0.0/24"
"""The subnet that the container stand-in tells of its networks: the VM's own side, closed by rules."""
_CLONE_NEWNET = 0x40000000
_NETNS_FOLDER = Path("/run/netns")
_PROBE_OPEN = "192.0.2.1"
_PROBE_BLOCKED = "192.0.2.2"
_count = itertools.count()


class NamespaceUnavailableError(Exception):
    """No network namespaces are to be had on this machine; the text says why, as the end of a sentence."""


def _start_time(pid: int) -> int | None:
    """When a process began, in clock ticks since the boot (field 22 of its stat); None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def pid_namespace() -> int:
    """The inode of this process's pid namespace: a pid means something within it alone."""
    return Path("/proc/self/ns/pid").stat().st_ino


def _owner() -> str:
    """Who made a namespace, as the beginning of its name: nothing else has to be recorded anywhere."""
    pid = os.getpid()
    return f"{PREFIX}-{pid_namespace()}-{pid}-{_start_time(pid)}"


def stale() -> list[str]:
    """Namespaces of sandboxes of this pid namespace whose process is gone (or whose pid is another's by now)."""
    if not _NETNS_FOLDER.is_dir():
        return []
    found: list[str] = []
    for path in sorted(_NETNS_FOLDER.iterdir()):
        prefix, *numbers = path.name.split("-")[:4]
        if prefix != PREFIX or len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
            continue
        space, pid, started = (int(number) for number in numbers)
        if space == pid_namespace() and _start_time(pid) != started:
            found.append(path.name)
    return found


class BoxNetwork:
    """The two namespaces of one sandbox."""

    def __init__(self) -> None:
        name = f"{_owner()}-{next(_count)}"
        self.box = f"{name}-box"
        self.net = f"{name}-net"
        self._opened: frozenset[str] = frozenset()
        self.listener: socket.socket | None = None

    def wrap(self, argv: list[str]) -> list[str]:
        """The command that runs `argv` in the box, with its standard streams and exec semantics unchanged."""
        return ["nsenter", f"--net={_NETNS_FOLDER / self.box}", "--", *argv]

    async def start(self) -> None:
        """Make the namespaces, listen on 443 of the net, and try that the box is shut and can be opened.

        Raises `NamespaceUnavailableError`, with nothing left behind.
        """
        if os.geteuid() != 0:
            raise NamespaceUnavailableError("not root")
        for tool in ("ip", "nsenter"):
            if shutil.which(tool) is None:
                raise NamespaceUnavailableError(f"no `{tool}` on this machine")
        for name in stale():
            await _ip("netns", "del", name, check=False)
        making = asyncio.ensure_future(self._make())
        try:
            await asyncio.shield(making)
        except asyncio.CancelledError:  # no `ip` is left at work behind the removal
            await asyncio.gather(making, return_exceptions=True)
            await self.stop()
            raise
        except (OSError, RuntimeError) as error:
            await self.stop()
            raise NamespaceUnavailableError(str(error)) from error

    async def _make(self) -> None:
        await self._build()
        self.listener = await self._inside(self.net, _listen)
        await self._prove()

    async def _build(self) -> None:
        await _ip("netns", "add", self.box)
        await _ip("netns", "add", self.net)
        await _ip(
            "-batch", "-", "-n", self.box,
            lines=[
                f"link add up0 type veth peer name up0 netns {self.net}",
                f"link add hole0 type veth peer name hole0 netns {self.net}",
                "link set lo up",
                "link set up0 addrgenmode none",  # no IPv6 in the box, not even of a link
                "link set hole0 addrgenmode none",
                "link set up0 address 02:00:00:00:00:01 up",
                "link set hole0 up",
                f"address add {BOX_ADDRESS}/32 dev up0",
                "neighbour replace 169.254.0.1 lladdr 02:00:00:00:00:02 dev up0 nud permanent",
                "neighbour replace 169.254.0.2 lladdr 02:00:00:00:00:ff dev hole0 nud permanent",
                f"route add default via 169.254.0.2 dev hole0 onlink src {BOX_ADDRESS}",
                f"route add default via 169.254.0.1 dev up0 onlink src {BOX_ADDRESS} table {TABLE}",
                *(f"route add unreachable {place}" for place in (CONTAINERS, *_own_addresses())),
            ],
        )  # fmt: skip
        await _ip(
            "-batch", "-", "-n", self.net,
            lines=[
                "link set lo up",
                "link set up0 address 02:00:00:00:00:02 up",
                "link set hole0 up",
                f"route add {BOX_ADDRESS}/32 dev up0",
                f"neighbour replace {BOX_ADDRESS} lladdr 02:00:00:00:00:01 dev up0 nud permanent",
                "route add local 0.0.0.0/0 dev lo",
            ],
        )  # fmt: skip
        await self._inside(self.box, _loosen_reverse_path)

    async def open(self, addresses: Iterable[str]) -> None:
        """Let exactly these IPv4 addresses be reached on port 443 (the box has no IPv6).

        Raises `RuntimeError` when the kernel refuses a rule.
        """
        wanted = frozenset(address for address in addresses if ":" not in address)
        # 6 is TCP: its name is looked up in /etc/protocols, which a minimal machine lacks
        rule = "to {}/32 ipproto 6 dport 443 lookup " + TABLE
        lines = ["rule add " + rule.format(address) for address in sorted(wanted - self._opened)]
        lines += ["rule del " + rule.format(address) for address in sorted(self._opened - wanted)]
        if lines:
            await _ip("-batch", "-", "-n", self.box, lines=lines)
        self._opened = wanted

    async def stop(self) -> None:
        """Remove both namespaces; processes still in the box keep a network that leads nowhere."""
        if self.listener is not None:
            self.listener.close()
            self.listener = None
        for name in (self.box, self.net):
            if (_NETNS_FOLDER / name).exists():
                await _ip("netns", "del", name, check=False)

    async def _prove(self) -> None:
        await self.open([_PROBE_OPEN])
        if not await self._inside(self.box, lambda: _connects(_PROBE_OPEN, 2.0)):
            raise RuntimeError("an opened address could not be reached in a network namespace")
        if await self._inside(self.box, lambda: _connects(_PROBE_BLOCKED, 0.2)):
            raise RuntimeError("a blocked address was reached in a network namespace")
        await self.open([])

    async def _inside(self, name: str, work: Callable[[], T]) -> T:
        """Do `work` in a namespace: on a thread of its own, since the namespace is the thread's."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                _enter(_NETNS_FOLDER / name)
                result = work()
            except OSError as error:
                loop.call_soon_threadsafe(future.set_exception, error)
            else:
                loop.call_soon_threadsafe(future.set_result, result)

        thread = threading.Thread(target=run, name=name)
        thread.start()
        try:
            return await future
        finally:
            thread.join()


def _enter(path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(handle, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"setns: {os.strerror(number)}")
    finally:
        os.close(handle)


def _own_addresses() -> list[str]:
    """The IPv4 addresses of this machine, without loopback."""
    try:
        lines = Path("/proc/net/fib_trie").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    pairs = itertools.pairwise(lines)
    found = {line.split()[-1] for line, below in pairs if below.split()[:3] == ["/32", "host", "LOCAL"]}
    return sorted(address for address in found if not address.startswith("127."))


def _listen() -> socket.socket:
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", PORT))  # noqa: S104 (every address of a namespace that only the box can reach)
        server.listen(128)
        server.setblocking(False)
    except OSError:
        server.close()
        raise
    return server


def _loosen_reverse_path() -> None:
    """Answers come in by `up0` while the plain route leads to the hole: a strict check would drop them."""
    path = Path("/proc/sys/net/ipv4/conf/up0/rp_filter")
    if path.read_text(encoding="ascii").strip() != "2":
        try:
            path.write_text("2", encoding="ascii")
        except OSError:
            return  # read-only /proc/sys: whether it matters is seen by the proof that follows


def _connects(address: str, timeout_s: float) -> bool:
    try:
        socket.create_connection((address, PORT), timeout_s).close()
    except OSError:
        return False
    return True


async def _ip(*args: str, lines: Iterable[str] = (), check: bool = True) -> None:
    """Run `ip`; with `-batch -` the lines are its commands. Raises `RuntimeError` with its own complaint."""
    process = await asyncio.create_subprocess_exec(
        "ip",
        *args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate("".join(f"{line}\n" for line in lines).encode())
    if check and process.returncode != 0:
        words = " ".join(complaint.decode(errors="replace").split())[:300]
        raise RuntimeError(f"`ip` said: {words or process.returncode}")
