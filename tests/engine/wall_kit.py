"""The engine before the sandbox's firewall, wired as the service does; names, people and time are the test's own.

The wall stays while copies of the engine come and go before it: `crash` and `start` are what a killed process sees.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
from attrs import frozen
from chat_kit import forever
from engine_kit import ALIAS, ALIAS_STREAM, CHANNEL, JAMES, SARAH, Engine, ManualClock, settled, until

from sm.core.alias import AliasData, Entry, Grant, Request
from sm.core.commands import (
    COMMANDS,
    ApplyAlias,
    PostCard,
    ResolveCard,
    Say,
    SayPrivately,
    SetTimer,
    TryDomain,
    UpdateCard,
    WriteAlias,
)
from sm.core.events import (
    AliasConfigured,
    Ask,
    CardPosted,
    CardUpdated,
    Event,
    NetworkDecided,
    NetworkRequested,
    NetworkSessionEnded,
    Policy,
    PostSent,
    Verdict,
)
from sm.engine.dispatch import Dispatcher, Job
from sm.engine.effectors.alias import AliasEffectors
from sm.engine.effectors.timers import TimerEffectors
from sm.engine.names import Names, addresses_of
from sm.engine.outages import Outages
from sm.engine.reconciler import BUSY_S, Reconciler
from sm.mattermost.client import User
from sm.opnsense.client import OPNsenseClient
from sm.resolver import Resolution
from sm.sandbox.faults import Faults
from sm.sandbox.network.names import Names as Zone
from sm.sandbox.opnsense.peer import OPNsensePeer

KEY, SECRET = "k" * 20, "s" * 20
PYPI = "192.52.193.20"
VM = "192.175.48.200"
PEERS = ("192.175.48.201", "192.175.48.202", VM)
AUDIT = "a" * 26
INTERVAL_S = 300
HELD = "api.anthropic.com"  # what the alias holds before us

_posts = itertools.count(1)
_asks = itertools.count(1)


class Killed(BaseException):
    """The process dies here. No rule for errors catches it."""


Hook = Callable[[], Awaitable[None]]


async def die() -> None:
    """Be killed at this point."""
    raise Killed


class Line:
    """The client's way to the firewall; at a chosen request a hook runs, before it leaves or after its effect."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._hooks: list[list[Any]] = []
        self.wire: list[str] = []

    def at(self, when: str, endpoint: str, hook: Hook, nth: int = 1) -> None:
        """Run `hook` once, "before" or "after" the nth request from now on to this endpoint."""
        self._hooks.append([when, endpoint, nth, hook])

    def request(self, method: str, url: Any, **how: Any) -> Any:
        return self._exchange(method, url, how)

    @asynccontextmanager
    async def _exchange(self, method: str, url: Any, how: dict[str, Any]) -> AsyncIterator[Any]:
        endpoint = "/".join(url.path.split("/")[3:5])
        self.wire.append(endpoint)
        await self._reach("before", endpoint)
        async with self._http.request(method, url, **how) as response:
            await self._reach("after", endpoint)
            yield response

    async def _reach(self, when: str, endpoint: str) -> None:
        for hook in list(self._hooks):
            if hook[:2] == [when, endpoint]:
                hook[2] -= 1
                if hook[2] == 0:
                    self._hooks.remove(hook)
                    await hook[3]()


class Dns:
    """Our own resolver: what the firewall's has, where it was not told otherwise."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._said: dict[str, Resolution] = {}
        self.asked: list[str] = []
        self.hold: asyncio.Event | None = None

    def says(self, name: str, *addresses: str, unknown: bool = False) -> None:
        status = "unknown" if unknown else "found" if addresses else "none"
        self._said[name] = Resolution(tuple(addresses), cast("Any", status))

    async def resolve(self, name: str) -> Resolution:
        self.asked.append(name)
        if self.hold is not None:
            hold, self.hold = self.hold, None
            await hold.wait()
        if name in self._said:
            return self._said[name]
        answer = self._zone.answer(name)
        found = self._zone.lookup(name)
        status = "found" if found else "none" if answer in ("ok", "nxdomain") else "unknown"
        return Resolution(found, cast("Any", status))


class HastyClock:
    """The dispatcher's: what it waits for between two tries is over at once."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return self._clock.now_ms()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0.002)


class DieAt:
    """A fault point of the engine's own."""

    def __init__(self, point: str, kind: str) -> None:
        self._at: tuple[str, str] | None = (point, kind)

    def reached(self, point: str, kind: str) -> None:
        if (point, kind) == self._at:
            self._at = None
            raise Killed


@frozen
class Reached:
    state: str
    detail: str = ""


class Wall:
    """The firewall, its names, and the one engine that is at work before it."""

    def __init__(self, http: aiohttp.ClientSession, path: Path | str = ":memory:") -> None:
        self.path = path
        self.faults, self.zone = Faults(), Zone()
        self.dns = Dns(self.zone)
        self.peer = OPNsensePeer(self.faults, self.zone, key=KEY, secret=SECRET)
        for scale, factor in (("authentication", 0), ("cron", 1000), ("daemon", 0.01), ("resolver", 0)):
            self.faults.set_scale(f"opnsense.{scale}", factor)
        self.line = Line(http)
        self.clock = ManualClock()
        self.reaches: dict[str, str] = {}  # by domain; reachable where nothing is said
        self.tried: list[tuple[str, float]] = []
        self.claims: list[int] = []  # how many requests had left when each claim was asked
        self.now_s = 0.0
        self.timeout_s = 5.0
        self.cron = True
        self.running: asyncio.Task[None] | None = None

    # --- copies of the engine ---------------------------------------------------------------------------------------

    async def start(
        self, *, alias: str = ALIAS, look: bool = False, policy: Policy | None = None, faults: Any = None
    ) -> Engine:
        """Begin where the journal stands. `look`: the reconciler is at work, too."""
        self.alias = alias
        self.engine = engine = await Engine.start(self.path, clock=self.clock)
        names = Names(cast("Any", self.dns), PEERS, self.clock)
        self.client = OPNsenseClient(
            cast("Any", self.line),
            self.peer.url,
            KEY,
            SECRET,
            alias=alias,
            sleep=self._sleep,
            resolve=addresses_of(cast("Any", self.dns)),
            monotonic=lambda: self.now_s,
            timeout_s=self.timeout_s,
            reconfigure_timeout_s=self.timeout_s,
        )
        self.effectors = AliasEffectors(
            self.client,
            names=names,
            reach=self._reach,
            clock=self.clock,
            still_ours=self._still_ours,
            writer=engine.writer,
            faults=faults or DieAt("", ""),
        )
        if policy is not None:
            await engine.happen(ALIAS_STREAM, AliasConfigured(policy))
        self.hasty = HastyClock(self.clock)
        engine.dispatcher = Dispatcher(
            engine.writer,
            self._all_effectors(),
            clock=self.hasty,
            faults=faults or DieAt("", ""),
            outages=Outages(engine.writer, self.clock),
            on_fatal=engine.fatal.append,
        )
        engine.dispatcher.take(engine.recovered.outstanding, doubtful=True)
        self.watch = ManualClock()
        self.reconciler = Reconciler(
            engine.writer, self.client, names, alias=alias, interval_s=INTERVAL_S, clock=self.watch
        )
        engine.writer.listen(self.reconciler.committed)
        if look:
            self.running = asyncio.create_task(self.reconciler.run(), name="reconciler")
        return engine

    def _all_effectors(self) -> dict[Any, Any]:
        effectors: dict[Any, Any] = dict.fromkeys(COMMANDS.values(), forever)
        alias = self.effectors
        return effectors | {
            Say: self._post,
            SayPrivately: self._post,
            PostCard: self._post_card,
            UpdateCard: self._update_card,
            SetTimer: TimerEffectors(self.clock).wait,
            ResolveCard: alias.resolve_card,
            WriteAlias: alias.write,
            ApplyAlias: alias.apply,
            TryDomain: alias.try_domain,
        }

    async def crash(self) -> None:
        """Stop where it stands."""
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)
            self.running = None
        await self.engine.crash()

    async def killed(self) -> None:
        """Wait for the death that a test has prepared, and clear away what is left of the process."""
        await until(lambda: any(isinstance(error, Killed) for error in self.engine.fatal), "the kill")
        await self.crash()

    async def _post(self, job: Job) -> Event:
        return PostSent(job.id, getattr(job.command, "channel_id", "d" * 26), f"post{next(_posts):022d}")

    async def _post_card(self, job: Job) -> Event:
        command: PostCard = job.command
        return CardPosted(command.card_id, f"card{next(_posts):022d}", command.channel_id, copy=command.copy)

    async def _update_card(self, job: Job) -> Event:
        return CardUpdated(job.command.card_id, copy=job.command.copy)

    async def _reach(self, domain: str, within_s: float) -> Reached:
        self.tried.append((domain, within_s))
        return Reached(self.reaches.get(domain, "reachable"))

    async def _still_ours(self) -> None:
        self.claims.append(len(self.line.wire))

    async def _sleep(self, seconds: float) -> None:
        """The client waits: its time passes, and with each minute of it a cron minute of the firewall."""
        minute = self.now_s // 60
        self.now_s += seconds
        if self.cron and self.now_s // 60 > minute:
            await self.peer.actions["opnsense/cron"]({})
        await asyncio.sleep(0)

    # --- the firewall ------------------------------------------------------------------------------------------------

    @property
    def content(self) -> list[str]:
        aliases = cast("Mapping[str, Mapping[str, list[str]]]", self.peer.state()["aliases"])
        return aliases[ALIAS]["content"]

    @property
    def ours(self) -> list[dict[str, Any]]:
        """What we wrote, in order."""
        writes = cast("list[dict[str, Any]]", self.peer.state()["writes"])
        return [write for write in writes if write["by"] == "api"]

    @property
    def reconfigures(self) -> int:
        return cast("int", self.peer.state()["reconfigure"])

    @property
    def open(self) -> frozenset[str]:
        return self.peer.applied

    def arm(self, fault: str, times: int | None = 1, after: int = 0, **match: object) -> None:
        self.faults.arm("opnsense", fault, times=times, after=after, match=match or None)

    async def edit(self, *add: str, remove: Iterable[str] = (), apply: bool = True) -> None:
        """What an administrator saves at the web interface."""
        body: dict[str, object] = {"add": list(add), "remove": list(remove), "apply": apply}
        await self.peer.actions["opnsense/edit"](body)

    async def change(self, **fields: object) -> None:
        """What an administrator changes of the alias itself."""
        await self.peer.actions["opnsense/alias"](fields)

    async def refresh(self) -> None:
        """The firewall resolves its names again, as it does every few minutes."""
        self.faults.set_scale("opnsense.refresh", 0)
        await self.peer.actions["opnsense/cron"]({})
        self.faults.set_scale("opnsense.refresh", 1)

    # --- what people and agents do ----------------------------------------------------------------------------------

    async def ask(
        self, *domains: str, session: str = "s1", channel: str = CHANNEL, user: User = JAMES
    ) -> list[Request]:
        """An agent asks; answers its requests when their card is in the channel, or there is none to be."""
        asks = tuple(Ask(f"r{next(_asks)}", domain) for domain in domains)
        event = NetworkRequested(
            session, channel, asks, title="acme/webapp", user_id=user.id, user_name=user.username
        )
        await self.engine.happen(ALIAS_STREAM, event)
        await self.quiet()
        known = self.data.requests
        return [known[ask.request_id] for ask in asks if ask.request_id in known]

    async def press(
        self, request: Request, action: str = "approve", *, user: User = SARAH, wait: bool = True
    ) -> None:
        """Somebody presses a button of a request's card."""
        decided = NetworkDecided(
            cast("Any", action),
            request.channel_id,
            user.id,
            user.username,
            "button",
            card_id=request.card_id,
            request_id=request.request_id,
            post_id=self.data.cards[request.card_id].post_id,
        )
        await self.decide(decided, wait=wait)

    async def command(
        self,
        action: str,
        *names: str,
        channel: str = CHANNEL,
        user: User = SARAH,
        wait: bool = True,
        **more: Any,
    ) -> None:
        """Somebody says it in a channel."""
        verdicts = tuple(Verdict(name) for name in names)
        decided = NetworkDecided(
            cast("Any", action), channel, user.id, user.username, "command", names=verdicts, **more
        )
        await self.decide(decided, wait=wait)

    async def decide(self, decided: NetworkDecided, *, wait: bool = True) -> None:
        await self.engine.happen(ALIAS_STREAM, decided)
        if wait:
            await self.quiet()

    async def approve(
        self, *domains: str, action: str = "approve", session: str = "s1", **how: Any
    ) -> list[Request]:
        """Asked for and decided; answers the requests as they were asked."""
        requests = await self.ask(*domains, session=session, **how)
        for request in requests:
            await self.press(request, action, wait=False)
        await self.quiet()
        return requests

    async def end(self, session: str = "s1") -> None:
        await self.engine.happen(ALIAS_STREAM, NetworkSessionEnded(session))
        await self.quiet()

    async def pass_s(self, seconds: float) -> None:
        """Time passes for everything but the reconciler."""
        await self.clock.pass_s(seconds)
        await self.quiet()

    async def look(self) -> None:
        """The reconciler looks once more, as it does every few minutes, and all that comes of it is done."""
        if self.running is None:
            self.running = asyncio.create_task(self.reconciler.run(), name="reconciler")
        else:
            await self.resting()
            await self.watch.pass_s(INTERVAL_S)
        await self.resting()

    async def resting(self) -> None:
        """The reconciler has looked and waits for the next time; nothing else is to be done."""
        await self.quiet()

        async def rests() -> bool:
            if not self.watch.sleepers:
                return False
            if self.watch.slept[-1] == BUSY_S:
                await self.watch.pass_s(BUSY_S)
                return False
            return not self.outstanding()

        for _ in range(2000):
            assert self.running is not None
            if self.running.done():
                self.running.result()
            if await rests():
                return
            await asyncio.sleep(0.004)
        raise AssertionError("the reconciler does not come to rest")

    async def quiet(self) -> None:
        """Everything that was asked for is done, but for timers."""
        for _ in range(2000):
            await settled(3)
            if self.engine.fatal or not self.outstanding():
                assert not self.engine.fatal, self.engine.fatal
                return
            await asyncio.sleep(0.004)
        raise AssertionError(f"still to be done: {self.outstanding()}")

    def outstanding(self) -> list[str]:
        """The lanes in which something waits, or is under way, but for timers."""
        assert self.engine.dispatcher is not None
        return [lane for lane in self.engine.dispatcher._lanes if not lane.startswith("timer:")]

    # --- what came of it --------------------------------------------------------------------------------------------

    @property
    def data(self) -> AliasData:
        return self.engine.writer.state(ALIAS_STREAM).data

    def state(self, request: Request) -> str:
        return self.data.requests[request.request_id].state

    def detail(self, request: Request) -> str:
        return self.data.requests[request.request_id].detail

    def grant(self, domain: str) -> Grant:
        """The one grant of a domain."""
        (found,) = [grant for grant in self.data.grants.values() if grant.domain == domain]
        return found

    def entry(self, domain: str) -> Entry | None:
        return self.data.entries.get(domain)

    def is_ours(self, domain: str) -> bool:
        entry = self.entry(domain)
        return entry is not None and entry.ours

    def said(self, message: str) -> list[dict[str, str]]:
        """The facts of each such message since this start, with the channel that it went to."""
        return [
            {**dict(issued.command.facts), "channel": getattr(issued.command, "channel_id", "")}  # type: ignore[attr-defined]
            for kind in ("chat.say", "chat.say_privately")
            for issued in self.engine.issued(kind)
            if issued.command.message == message  # type: ignore[attr-defined]
        ]

    def last(self, kind: str) -> Any:
        """The last event of a kind since this start."""
        return self.engine.recorded(kind)[-1].event

    def heard(self, session: str = "s1") -> list[tuple[str, str]]:
        """What a session's agent was told, in order: (kind, domain)."""
        kinds = ("network.approved", "network.denied", "network.failed")
        return [
            (recorded.event.KIND.removeprefix("network."), recorded.event.domain)  # type: ignore[attr-defined]
            for commit in self.engine.commits
            for recorded in commit.events
            if recorded.event.KIND in kinds and recorded.stream == f"session:{session}"
        ]

    def is_whole(self) -> None:
        """The ledger's invariant, with no write under way."""
        data = self.data
        assert not data.busy
        for entry in data.entries.values():
            assert not entry.ours or data.live(entry.domain), f"{entry.domain} is ours and nobody's wish"
            assert not entry.confirmed or entry.domain in self.content, f"{entry.domain} is gone"
        for domain in data.wish():
            held_back = data.blocked or data.held_back.get(domain)
            assert domain in self.content or held_back, f"{domain} is granted and missing"
        assert HELD in self.content
