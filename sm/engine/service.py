"""The service put together: journal and claim first, then recovery, then everything that acts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import NoReturn

import aiohttp
import structlog
from attrs import frozen

from sm.core import streams
from sm.core.commands import (
    AppendLine,
    ApplyAlias,
    CancelPrepare,
    Command,
    DiffWorkspace,
    FetchMirror,
    InspectWorkspace,
    PostCard,
    PostPushCard,
    PreparePush,
    PrepareRepository,
    ProbeMessage,
    PushBranch,
    Relay,
    ResolveCard,
    ResolveProject,
    Say,
    SayPrivately,
    SetTimer,
    ShowDiff,
    StartAgent,
    StopAgent,
    TryDomain,
    UpdateCard,
    UpdatePushCard,
    WriteAlias,
)
from sm.core.events import AliasConfigured, StreamQuarantined
from sm.engine.approvals import Approvals
from sm.engine.clock import Clock, SystemClock, random_session_id
from sm.engine.dispatch import Dispatcher, Effector
from sm.engine.effectors.agent import AgentEffectors
from sm.engine.effectors.alias import AliasEffectors
from sm.engine.effectors.chat import ChatEffectors
from sm.engine.effectors.place import PlaceEffectors
from sm.engine.effectors.timers import TimerEffectors
from sm.engine.faultpoints import FaultPoints
from sm.engine.fenced_vm import FencedVm
from sm.engine.followers import Followers
from sm.engine.identity import Identity
from sm.engine.ingress import Ingress, Place
from sm.engine.intake import Intake
from sm.engine.names import Names, addresses_of
from sm.engine.outages import Outages
from sm.engine.policy import peer_hosts, policy
from sm.engine.reconciler import Reconciler
from sm.engine.recovery import Recovered, recover
from sm.engine.vm_settings import vm_settings
from sm.engine.writer import Committed, Issued, Submission, Writer
from sm.journal.claim import RENEW_EVERY_MS, this_process
from sm.journal.errors import Fenced
from sm.journal.masking import Masker
from sm.journal.protocol import Journal
from sm.journal.sqlite import open_journal
from sm.mattermost.client import MattermostClient
from sm.mattermost.socket import MattermostSocket
from sm.opnsense.client import OPNsenseClient
from sm.resolver import Resolver
from sm.settings import Settings
from sm.tls import pin, trust
from sm.vm.client import Vm
from sm.web.secret import callback_secret
from sm.web.server import WebServer

log = structlog.get_logger(__name__)

EXIT_FATAL = 1
EXIT_HELD = 3
STOP_WITHIN_S = 8.0
TERMINATION_LOG = Path("/dev/termination-log")  # Kubernetes shows its text as the reason


@frozen
class Peers:
    """The clients of the neighbours."""

    mattermost: MattermostClient
    socket: Callable[[str], MattermostSocket]
    vm: Vm
    opnsense: OPNsenseClient
    resolver: Resolver


def fatal(error: BaseException) -> NoReturn:
    """End the process at once: what was being committed may or may not be stored; the next start finds out."""
    reason = f"fatal: {str(error) or type(error).__name__}"
    print(reason, file=sys.stderr, flush=True)  # noqa: T201
    with suppress(OSError):
        if TERMINATION_LOG.exists():
            TERMINATION_LOG.write_text(reason + "\n", encoding="utf-8")
    os._exit(EXIT_HELD if isinstance(error, Fenced) else EXIT_FATAL)


async def serve(settings: Settings, *, faults: FaultPoints) -> None:
    """Run until SIGTERM or SIGINT, which count from the first moment on: also while a claim is watched.

    Raises `JournalError` (`Held` when another copy writes), `SettingsError`, `CannotListen`,
    `CallbackSecretError` before anything acted.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        starting = asyncio.create_task(_start(settings, faults, stack), name="start")
        asked = asyncio.create_task(stopped.wait(), name="asked to stop")
        await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if starting.done():
            await starting.result().run(stopped)
        else:
            log.info("stopping before the start was done")
            starting.cancel()
            with suppress(asyncio.CancelledError):
                await starting


async def _start(settings: Settings, faults: FaultPoints, stack: AsyncExitStack) -> Service:
    journal = await open_journal(settings.journal)
    stack.push_async_callback(journal.close)
    claim = await journal.claim(this_process())
    stack.push_async_callback(_release, journal, claim.epoch)
    secret = callback_secret(settings.callback_secret, settings.journal)
    recovered = await recover(journal)
    peers = await _connect(settings, stack)
    masker = Masker((*settings.secret_values(), secret.decode("latin-1")))
    return Service(
        settings,
        journal,
        epoch=claim.epoch,
        recovered=recovered,
        peers=peers,
        masker=masker,
        secret=secret,
        clock=SystemClock(),
        faults=faults,
    )


async def _release(journal: Journal, epoch: int) -> None:
    with suppress(Fenced):
        await journal.release(epoch)


async def _connect(settings: Settings, stack: AsyncExitStack) -> Peers:
    chat_tls, wall_tls = trust(settings.ca_file), pin(settings.opnsense_fingerprint, settings.ca_file)
    chat_http = await stack.enter_async_context(aiohttp.ClientSession())
    wall_http = await stack.enter_async_context(aiohttp.ClientSession())
    url, token = settings.mattermost_url, settings.mattermost_token
    vm = Vm(vm_settings(settings), accept_host_key=None)
    stack.push_async_callback(vm.close)
    resolver = Resolver(settings.resolver)
    return Peers(
        resolver=resolver,
        mattermost=MattermostClient(chat_http, url, token, ssl=chat_tls),
        socket=lambda bot_id: MattermostSocket(chat_http, url, token, bot_id=bot_id, ssl=chat_tls),
        vm=vm,
        opnsense=OPNsenseClient(
            wall_http,
            settings.opnsense_url,
            settings.opnsense_key,
            settings.opnsense_secret,
            alias=settings.opnsense_alias,
            ssl=wall_tls,
            resolve=addresses_of(resolver),
        ),
    )


class Service:
    """One running copy."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        *,
        epoch: int,
        recovered: Recovered,
        peers: Peers,
        masker: Masker,
        secret: bytes,
        clock: Clock,
        faults: FaultPoints,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._epoch = epoch
        self._recovered = recovered
        self._peers = peers
        self._masker = masker
        self._clock = clock
        self._ready = False
        self._owed: list[Issued] | None = list(
            recovered.outstanding
        )  # until the outbox is taken up, in order
        self._host = str(settings.vm_host)
        self.writer = Writer(
            journal,
            epoch=epoch,
            clock=clock,
            masker=masker,
            states=recovered.states,
            last_seq=recovered.last_seq,
            last_ms=recovered.last_ms,
            on_fatal=fatal,
        )
        self._identity = Identity(peers.mattermost, clock)
        self._vm = FencedVm(
            peers.vm,
            host=self._host,
            epoch=epoch,
            writer=self.writer,
            key_is_configured=bool(settings.vm_host_key or settings.vm_known_hosts),
        )
        self._names = Names(peers.resolver, peer_hosts(settings), clock)
        outages = Outages(self.writer, clock)
        self._dispatcher = Dispatcher(
            self.writer,
            self._effectors(secret, faults),
            clock=clock,
            faults=faults,
            outages=outages,
            on_fatal=fatal,
        )
        self._ingress = self._make_ingress("")
        self._followers = Followers(
            self.writer, self._vm, self._ingress, clock=clock, outages=outages, on_fatal=fatal
        )
        self._approvals = Approvals(
            self.writer,
            peers.mattermost,
            alias=settings.opnsense_alias,
            identity=self._identity,
            clock=clock,
        )
        self._reconciler = Reconciler(
            self.writer,
            peers.opnsense,
            self._names,
            alias=settings.opnsense_alias,
            interval_s=settings.reconcile_interval_s,
            clock=clock,
        )
        self._web = WebServer(
            callback_path=settings.callback_path,
            on_press=self._approvals.press,
            ready=lambda: self._ready,
            secret=secret,
        )

    async def run(self, stopped: asyncio.Event) -> None:
        """Act until asked to stop."""
        tasks = [asyncio.create_task(self.writer.run(), name="writer")]
        self.writer.listen(self._committed)
        await self._adopt_rules()
        await self._adopt_policy()  # before anything can be pressed: nobody decides by former settings
        await self._web.start(self._settings.listen_addr.host, self._settings.listen_addr.port)
        owed, self._owed = self._owed or [], None
        self._dispatcher.take(owed, doubtful=True)
        self._followers.start_all()
        self._ready = True
        log.info(
            "ready",
            listen=str(self._settings.listen_addr),
            epoch=self._epoch,
            events=self._recovered.last_seq,
        )
        tasks.append(asyncio.create_task(self._keep_claim(), name="claim"))
        tasks.append(asyncio.create_task(self._take_posts(), name="intake"))
        tasks.append(asyncio.create_task(self._reconciler.run(), name="reconciler"))
        for task in tasks:
            task.add_done_callback(_fatal_if_failed)
        await stopped.wait()
        log.info("stopping")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop(tasks), STOP_WITHIN_S)

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        self._ready = False
        await self._web.stop()
        await self._dispatcher.stop()
        await self._followers.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _committed(self, committed: Committed) -> None:
        for recorded in committed.events:
            self._recovered.positions.note(recorded.event)
        if self._owed is None:
            self._dispatcher.take(committed.commands)
        else:
            self._owed.extend(committed.commands)
        self._followers.committed(committed)
        self._reconciler.committed(committed)

    async def _adopt_rules(self) -> None:
        """Quarantine what the rules of now would have answered otherwise, loudly."""
        for stream, why in self._recovered.diverged.items():
            log.error("quarantined: the rules changed under an open stream", stream=stream, why=why)
            event = StreamQuarantined(why[:1000], self._recovered.last_seq)
            await self.writer.submit(Submission(stream, lambda _, made=event: made))
        await self._journal.set_meta(self._epoch, "rules_hash", self._recovered.rules_hash)

    async def _adopt_policy(self) -> None:
        """The settings for decisions enter by an event, where they are others than the last ones."""
        for stream, state in self.writer.states.items():
            former = (
                streams.kind_of(stream) == "alias" and streams.id_of(stream) != self._settings.opnsense_alias
            )
            if former and (open_there := state.data.wish()):
                log.error(
                    "what was approved for the alias of former settings stays there; take it out in OPNsense",
                    alias=streams.id_of(stream),
                    domains=open_there,
                )
        configured = AliasConfigured(policy(self._settings))
        await self.writer.submit(
            Submission(
                streams.alias(self._settings.opnsense_alias),
                lambda state: configured if state.data.policy != configured.policy else None,
            )
        )

    async def _keep_claim(self) -> None:
        while True:
            await self._clock.sleep(RENEW_EVERY_MS / 1000)
            await self._journal.renew(self._epoch, self._clock.now_ms())

    async def _take_posts(self) -> None:
        bot = await self._identity.get()
        intake = Intake(
            self.writer,
            self._peers.mattermost,
            self._peers.socket(bot.id),
            self._make_ingress(bot.username),
            bot_id=bot.id,
            positions=self._recovered.positions,
            clock=self._clock,
            approvals=self._approvals,
        )
        log.info("listening in Mattermost", bot=bot.username)
        await intake.run()

    async def _still_ours(self) -> None:
        """Mattermost and OPNsense cannot fence: read the claim again right before a request to them."""
        current = await self._journal.current_epoch()
        if current != self._epoch:
            fatal(Fenced(mine=self._epoch, current=current))

    def _make_ingress(self, bot_name: str) -> Ingress:
        settings = self._settings
        place = Place(
            vm=self._host,
            alias=settings.opnsense_alias,
            runtime=settings.container_runtime,
            image=settings.container_image,
            network=settings.container_network,
            permission_mode=settings.permission_mode,
            projects=settings.projects,
            default_org=settings.default_org or "",
            auto_pull=settings.auto_pull,
            git_url=settings.git_base_url,
            sets=tuple(one.name for one in policy(settings).sets),
        )
        return Ingress(bot_name=bot_name, place=place, masker=self._masker, new_session_id=random_session_id)

    def _effectors(self, secret: bytes, faults: FaultPoints) -> dict[type[Command], Effector]:
        chat = ChatEffectors(
            self._peers.mattermost,
            identity=self._identity,
            link=f"{self._settings.mattermost_url}/_redirect/pl/",
            callback_url=self._settings.callback_url,
            callback_secret=secret,
            journal=self._journal,
            writer=self.writer,
            positions=self._recovered.positions,
            still_ours=self._still_ours,
        )
        agent = AgentEffectors(self._vm)
        place = PlaceEffectors(self._vm, self.writer, self._clock)
        alias = AliasEffectors(
            self._peers.opnsense,
            names=self._names,
            reach=self._vm.reach,
            clock=self._clock,
            still_ours=self._still_ours,
            writer=self.writer,
            faults=faults,
        )
        return {
            Say: chat.say,
            SayPrivately: chat.say_privately,
            Relay: chat.relay,
            PostCard: chat.post_card,
            UpdateCard: chat.update_card,
            ShowDiff: chat.show_diff,
            PostPushCard: chat.post_push_card,
            UpdatePushCard: chat.update_push_card,
            ResolveProject: place.resolve_project,
            PrepareRepository: place.prepare,
            CancelPrepare: place.cancel,
            InspectWorkspace: place.inspect,
            DiffWorkspace: place.diff,
            FetchMirror: place.fetch,
            PreparePush: place.prepare_push,
            PushBranch: place.push,
            StartAgent: agent.start,
            AppendLine: agent.append,
            StopAgent: agent.stop,
            ProbeMessage: agent.probe,
            SetTimer: TimerEffectors(self._clock, lambda: self.writer.recorded_ms).wait,
            ResolveCard: alias.resolve_card,
            WriteAlias: alias.write,
            ApplyAlias: alias.apply,
            TryDomain: alias.try_domain,
        }


def _fatal_if_failed(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        fatal(error)
