"""Approvals through the shipped commands, as people, an administrator of the firewall and the agent see them."""

from __future__ import annotations

import asyncio
import itertools
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from attrs import define
from outside_kit import Chat, Peers, Service, channel, until
from schema_kit import check_journal

from sm.journal.sqlite import open_journal
from sm.replay.verify import verify

pytestmark = [pytest.mark.real_peers, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

ALIAS = "llm_approved_domains"
THEIRS = "intranet.example.org"  # an administrator's own entry in the alias, all the time
YES, NO = "white_check_mark", "x"

_numbers = itertools.count(1)


@define
class Scene:
    """A service and a channel with an agent in it that asks for what it is told to."""

    peers: Peers
    chat: Chat
    sarah: Chat
    service: Service
    session: str = ""

    async def start(self, line: str = "@claude start acme/webapp") -> None:
        """Start a session, and remember its short id."""
        await self.chat.say(line)
        ready = await self.chat.sees("✅ Ready. Container: `claude-")
        self.session = ready["message"].split("claude-")[1][:8]

    async def name(self) -> str:
        """A new domain that leads somewhere."""
        number = next(_numbers)
        domain = f"n{number}.example.com"
        await self.leads(domain, f"192.52.193.{100 + number}")
        return domain

    async def leads(self, domain: str, *addresses: str) -> None:
        """From now on this name leads there, for the firewall and for us."""
        await self.peers.control("POST", "opnsense/dns", {"name": domain, "addresses": list(addresses)})

    async def asks(self, *domains: str, reason: str = "") -> dict[str, Any]:
        """Have the agent ask; answers the card."""
        why = f" — {reason}" if reason else ""
        await self.chat.say(f"say I need it.\n[NETWORK_REQUEST: {', '.join(domains)}{why}]")
        return await self.chat.card(*domains)

    async def hears(self, marker: str) -> None:
        """Wait until the agent was told this."""

        async def told() -> bool:
            return any(marker in text for text in await self.told())

        await until(f"the agent hears {marker}", told)

    async def told(self) -> list[str]:
        """What the agent was told so far."""
        return (await self.peers.control("GET", "state/agent"))["texts"]

    async def alias(self) -> list[str]:
        """What the firewall's alias holds."""
        return (await self.peers.control("GET", "state/opnsense"))["aliases"][ALIAS]["content"]

    async def is_open(self, domain: str, *, wanted: bool = True) -> None:
        """Wait until the alias holds a domain, or holds it no more."""

        async def look() -> bool:
            return (domain in await self.alias()) is wanted

        await until(f"{domain} is in the alias: {wanted}", look)

    async def looks(self, times: int = 1) -> None:
        """Wait until the service has begun and ended a look at the firewall, or so many of them."""

        async def so_far() -> int:
            requests = (await self.peers.control("GET", "state/opnsense"))["requests"]
            return sum("/alias_util/list/" in one["path"] for one in requests)

        before = await so_far()

        async def enough() -> bool:
            return await so_far() > before + times

        await until("the service looks at the alias", enough)

    async def edits(self, **changes: list[str]) -> None:
        """Change the alias as its administrator does."""
        await self.peers.control("POST", "opnsense/edit", changes)

    async def says(self, text: str) -> str:
        """Write a command; answers the bot's next words of its own."""
        before = {post["id"] for post in await self.chat.posts()}
        await self.chat.say(text)

        async def answered() -> str | None:
            posts = [post for post in await self.chat.posts() if post["id"] not in before]
            ours = [p for p in posts if p["props"].get("sm_command", "session:").startswith("alias:")]
            return ours[0]["message"] if ours else None

        return await until(f"an answer to {text!r}", answered)

    async def restart(self, **settings: str) -> None:
        """End the service in order, and start it with other settings."""
        await self.service.stop()
        self.service.variables = {**self.service.variables, **settings}
        await self.service.start()
        await self.service.answers()

    async def count(self, text: str) -> int:
        """How many posts hold this."""
        return sum(text in post["message"] for post in await self.chat.posts())

    async def holds(self) -> None:
        """The record so far can be proven, and each row of it fits its schema."""
        async with await open_journal(self.service.journal, read_only=True) as journal:
            report = await verify(journal)
        assert report.exit_code == 0, "\n".join(report.lines())
        await check_journal(self.service.journal)

    async def replay(self, *question: str) -> str:
        """What `sm-replay` says to a question about the record, while the service writes it."""
        command = [sys.executable, "-m", "sm.replay", str(self.service.journal), *question]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said = (await process.communicate())[0].decode()
        assert process.returncode == 0, said
        return said


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def peers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Peers]:
    made = Peers(tmp_path_factory.mktemp("approvals"))
    await made.start()
    await made.control("POST", "opnsense/dns", {"name": THEIRS, "addresses": ["192.52.193.99"]})
    await made.control("POST", "opnsense/edit", {"add": [THEIRS]})
    yield made
    await made.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(peers: Peers) -> AsyncIterator[Scene]:
    """A session on a service that looks at the firewall every second."""
    service = Service({**peers.variables, "SM_RECONCILE_INTERVAL": "1s"}, peers.folder / "approvals.db")
    async with channel(peers, "approvals") as chat, chat.of("sarah") as sarah:
        scene = Scene(peers, chat, sarah, service)
        await service.start()
        try:

            async def listens() -> bool:
                assert service.alive, service.said()
                return bool((await peers.control("GET", "state/websockets")).get("claude"))

            await until("the service listens", listens)
            await scene.start()
            yield scene
            await scene.chat.say("@claude stop")
            await scene.chat.sees("✅ Stopped.")
            await service.drained()
            await scene.replay("verify")
        finally:
            await service.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def scene(stage: Scene) -> AsyncIterator[Scene]:
    """The one with the default settings. What it leaves can be proven, and what others put into the alias is there."""
    yield stage
    await stage.peers.control("DELETE", "faults")
    assert {THEIRS, "api.anthropic.com"} <= set(await stage.alias())
    await stage.holds()


async def test_where_the_callback_leads_nowhere_a_reaction_decides(scene: Scene) -> None:
    domain = await scene.name()
    card = await scene.asks(domain)
    await scene.peers.control(
        "POST", "faults", {"peer": "mattermost", "fault": "press_not_delivered", "times": None}
    )
    assert await scene.chat.tap(card, "approve") == 400
    await scene.chat.react(card, YES)
    await scene.chat.shows(card, f"✅ `{domain}` approved by @james")
    await scene.hears(f"[NETWORK_APPROVED: {domain}]")
    await scene.is_open(domain)
    why = await scene.replay("why", domain)
    assert why.startswith(f"{domain} is open: ")
    assert re.search(r"@james \(\w+\), via reaction on ", why)


async def test_where_the_callback_leads_nowhere_a_command_decides(scene: Scene) -> None:
    first, second = await scene.name(), await scene.name()
    cards = await scene.asks(first), await scene.asks(second)
    await scene.peers.control(
        "POST", "faults", {"peer": "mattermost", "fault": "press_not_delivered", "times": None}
    )
    assert [await scene.sarah.tap(card, "deny") for card in cards] == [400, 400]
    await scene.sarah.say(f"@claude approve {first}")
    await scene.chat.shows(cards[0], f"✅ `{first}` approved by @sarah")
    await scene.hears(f"[NETWORK_APPROVED: {first}]")
    await scene.sarah.react(cards[1], NO)
    await scene.chat.shows(cards[1], f"❌ `{second}` denied by @sarah")
    await scene.hears(f"[NETWORK_DENIED: {second}]")
    assert second not in await scene.alias()


async def test_a_denial_may_carry_its_reason_at_once_or_afterwards(scene: Scene) -> None:
    first, second = await scene.name(), await scene.name()
    card = await scene.asks(first)
    await scene.chat.say(f"@claude deny {first} the mirror in the office has it")
    await scene.chat.shows(card, f"❌ `{first}` denied by @james: `the mirror in the office has it`")
    await scene.hears(f"[NETWORK_DENIED: {first} — the mirror in the office has it]")
    card = await scene.asks(second)
    assert await scene.chat.tap(card, "deny") == 200
    await scene.hears(f"[NETWORK_DENIED: {second}]")
    await scene.chat.say(f"@claude deny {second} ask me tomorrow")
    await scene.chat.shows(card, f"❌ `{second}` denied by @james: `ask me tomorrow`")
    await scene.hears(f"[NETWORK_DENIED: {second} — ask me tomorrow]")
    assert not {first, second} & set(await scene.alias())


async def test_an_hour_says_when_it_ends(scene: Scene) -> None:
    domain = await scene.name()
    card = await scene.asks(domain)
    began = datetime.now(UTC)
    assert await scene.chat.tap(card, "hour") == 200
    shown = await scene.chat.shows(card, f"✅ `{domain}` approved by @james until ")
    found = re.search(r"until (\d{4}-\d\d-\d\d \d\d:\d\d) UTC", shown["message"])
    assert found
    until_then = datetime.strptime(f"{found[1]} +0000", "%Y-%m-%d %H:%M %z")
    assert timedelta(minutes=59) <= until_then - began <= timedelta(minutes=61)
    assert f"- `{domain}` until {found[1]} UTC, by @james" in await scene.says("@claude net")
    await scene.hears(f"[NETWORK_APPROVED: {domain}]")


async def test_what_is_open_for_a_session_is_closed_with_it(scene: Scene) -> None:
    domain = await scene.name()
    async with channel(scene.peers, "another") as chat, chat.of("sarah") as sarah:
        other = Scene(scene.peers, chat, sarah, scene.service)
        await other.start("@claude start acme/webapp --worktree")
        card = await other.asks(domain)
        assert await sarah.tap(card, "session") == 200
        await chat.shows(card, f"✅ `{domain}` approved by @sarah for this session")
        await other.hears(f"[NETWORK_APPROVED: {domain}]")
        assert domain in await other.alias()
        said = await scene.says("@claude net")
        assert f"- `{domain}` for one session, by somebody in another channel" in said
        await chat.say("@claude stop")
        await chat.sees("✅ Stopped.")
        await other.is_open(domain, wanted=False)
        await chat.shows(
            card, f"🔒 `{domain}` was approved by @sarah, but is not any more: the session is over."
        )


async def test_pending_net_and_revoke(scene: Scene) -> None:
    waiting, opened = await scene.name(), await scene.name()
    card = await scene.asks(waiting)
    said = await scene.says("@claude pending")
    link = f"{scene.peers.variables['SM_MATTERMOST_URL']}/_redirect/pl/{card['id']}"
    assert f"- `{waiting}`: [its card]({link}), for session `{scene.session}` on **acme/webapp**" in said
    other = await scene.asks(opened)
    assert await scene.chat.tap(other, "approve") == 200
    await scene.chat.shows(other, f"✅ `{opened}` approved by @james")
    await scene.hears(f"[NETWORK_APPROVED: {opened}]")
    net = await scene.says("@claude net")
    assert f"- `{opened}` until it is revoked, by @james" in net
    assert waiting not in net
    assert f"In the alias `{ALIAS}` besides: `api.anthropic.com`, `{THEIRS}`" in net
    assert f"`{opened}` is closed, revoked by @sarah." in await _answer(
        scene, scene.sarah, f"@claude revoke {opened}"
    )
    assert opened not in await scene.alias()
    await scene.chat.shows(other, f"🔒 `{opened}` was approved by @james, but is not any more")
    assert opened not in await scene.says("@claude net")
    said = await scene.says(f"@claude revoke {THEIRS}")
    assert "remains open" in said
    assert await scene.chat.tap(card, "deny") == 200
    await scene.chat.shows(card, f"❌ `{waiting}` denied by @james")
    assert await scene.says("@claude pending") == "Nothing waits for a decision."


async def _answer(scene: Scene, chat: Chat, text: str) -> str:
    return await Scene(scene.peers, chat, chat, scene.service).says(text)


async def test_a_set_is_offered_and_one_press_opens_it(scene: Scene) -> None:
    card = await scene.asks("pypi.org", reason="install pytest")
    assert "`install pytest`" in card["message"]
    assert "files.pythonhosted.org" not in await scene.alias()
    offers = [action["name"] for one in card["props"]["attachments"] for action in one["actions"]]
    assert offers[-1] == "✅ Approve all of python: pypi.org, files.pythonhosted.org"
    assert await scene.chat.tap(card, "setpython") == 200
    await scene.chat.shows(
        card, "✅ `pypi.org` approved by @james", "✅ `files.pythonhosted.org` approved by @james"
    )
    await scene.hears("[NETWORK_APPROVED: pypi.org]")
    assert {"pypi.org", "files.pythonhosted.org"} <= set(await scene.alias())


async def test_two_domains_of_one_marker_are_decided_each_for_itself(scene: Scene) -> None:
    good, bad = await scene.name(), await scene.name()
    card = await scene.asks(good, bad)
    rows = [one["text"] for one in card["props"]["attachments"]]
    assert rows == [f"`{good}`", f"`{bad}`"]
    assert await scene.sarah.tap(card, "approve") == 200
    await scene.chat.shows(card, f"✅ `{good}` approved by @sarah", f"🔒 **Network Request:** `{bad}`")
    assert await scene.chat.tap(card, "deny1") == 200  # the button's id is the one that he saw at first
    await scene.chat.shows(card, f"✅ `{good}` approved by @sarah", f"❌ `{bad}` denied by @james")
    await scene.hears(f"[NETWORK_DENIED: {bad}]")
    await scene.hears(f"[NETWORK_APPROVED: {good}]")
    alias = await scene.alias()
    assert good in alias
    assert bad not in alias


async def _turn(scene: Scene, domain: str, whose: str) -> None:
    """Have a name lead to a private address: for everybody, or in the answers to one side alone."""
    if whose == "our resolver's":
        await scene.peers.control("POST", "resolver/dns", {"name": domain, "addresses": ["10.0.0.5"]})
        return
    if whose == "the firewall's":
        (before,) = (await scene.peers.control("GET", "state/opnsense"))["dns"][domain]["addresses"]
        await scene.peers.control("POST", "resolver/dns", {"name": domain, "addresses": [before]})
    await scene.leads(domain, "10.0.0.5")
    if whose == "the firewall's":  # it asks its resolver again when five minutes are over
        await scene.peers.control("POST", "scale", {"opnsense.refresh": 0})
        await scene.edits()
        await scene.peers.control("POST", "scale", {"opnsense.refresh": 1})


@pytest.mark.parametrize("whose", ["everybody's", "our resolver's", "the firewall's"])
async def test_a_name_that_turns_is_withdrawn_and_needs_a_new_decision(scene: Scene, whose: str) -> None:
    domain = await scene.name()
    card = await scene.asks(domain)
    assert await scene.chat.tap(card, "approve") == 200
    await scene.hears(f"[NETWORK_APPROVED: {domain}]")
    await _turn(scene, domain, whose)
    await scene.is_open(domain, wanted=False)
    withdrawn = f"⚠️ `{domain}` is withdrawn: it leads to an address that is not public (`10.0.0.5`)."
    said = await scene.chat.sees(withdrawn)
    assert f"`@claude approve {domain}`" in said["message"]
    await scene.chat.shows(card, f"🔒 `{domain}` was approved by @james, but is not any more", "`10.0.0.5`")
    await scene.leads(domain, "10.0.0.5")
    await scene.peers.control("POST", "resolver/dns", {"name": domain, "same": True})
    await scene.chat.say(f"please open {domain}")
    await scene.hears(f"[NETWORK_DENIED: {domain} — it leads to an address that is not public]")
    await scene.leads(domain, "192.52.193.90")
    await scene.looks()
    assert domain not in await scene.alias()
    assert await scene.count(withdrawn) == 1
    assert f"- `{domain}` withdrawn: it leads to an address that is not public" in await scene.says(
        "@claude net"
    )
    await scene.chat.say(f"@claude approve {domain}")
    await scene.chat.sees(f"✅ `{domain}` approved by @james")
    await scene.is_open(domain)


async def test_what_an_administrator_takes_out_is_not_written_again(scene: Scene) -> None:
    taken, other = await scene.name(), await scene.name()
    card = await scene.asks(taken)
    assert await scene.chat.tap(card, "approve") == 200
    await scene.hears(f"[NETWORK_APPROVED: {taken}]")
    await scene.edits(remove=[taken])
    withdrawn = f"⚠️ `{taken}` is withdrawn: somebody took it out at the firewall."
    await scene.chat.sees(withdrawn)
    second = await scene.asks(other)
    assert await scene.chat.tap(second, "approve") == 200
    await scene.hears(f"[NETWORK_APPROVED: {other}]")
    await scene.looks()
    assert taken not in await scene.alias()
    assert await scene.count(withdrawn) == 1
    await scene.chat.say(f"@claude approve {taken}")
    await scene.is_open(taken)


async def test_what_an_administrator_had_put_there_stays_there_when_it_is_revoked(scene: Scene) -> None:
    domain = await scene.name()
    await scene.edits(add=[domain])
    card = await scene.asks(domain)
    assert await scene.chat.tap(card, "approve") == 200
    await scene.hears(f"[NETWORK_APPROVED: {domain}]")
    said = await scene.says(f"@claude revoke {domain}")
    assert said.startswith(f"⚠️ `{domain}` is revoked, but remains open: ")
    shown = await scene.chat.shows(
        card, f"`{domain}` was approved by @james, but is not any more: it was taken"
    )
    assert "closed" not in shown["message"]
    await scene.looks()
    assert domain in await scene.alias()
    await scene.edits(remove=[domain])
    await scene.looks()
    assert await scene.count(f"`{domain}` is withdrawn") == 0


async def test_what_was_decided_while_the_service_was_dead_holds_when_it_is_back(scene: Scene) -> None:
    first, second = await scene.name(), await scene.name()
    cards = await scene.asks(first), await scene.asks(second)
    await scene.service.kill()
    assert await scene.chat.tap(cards[0], "approve") == 400
    await scene.sarah.react(cards[0], YES)
    await scene.service.start()
    await scene.service.answers()
    await scene.chat.shows(cards[0], f"✅ `{first}` approved by @sarah")
    await scene.hears(f"[NETWORK_APPROVED: {first}]")
    await scene.chat.press(cards[1], "deny")
    await scene.chat.shows(cards[1], f"❌ `{second}` denied by @james")
    await scene.hears(f"[NETWORK_DENIED: {second}]")


async def test_only_approvers_decide_and_who_is_none_is_told_alone(scene: Scene) -> None:
    await scene.restart(SM_APPROVERS="@james")
    domain = await scene.name()
    card = await scene.asks(domain)
    refusal = "You can't decide about the network here. Ask @james. Nothing was changed."
    before = len(await scene.sarah.alone())
    async with scene.sarah.whispers() as heard:
        assert await scene.sarah.tap(card, "approve") == 200

        async def heard_alone() -> bool:
            return heard == [refusal]

        await until("the press is answered to her alone", heard_alone)
    await scene.sarah.react(card, YES)
    await scene.sarah.say(f"@claude approve {domain}")

    async def written_alone() -> bool:
        return (await scene.sarah.alone())[before:] == [refusal, refusal]

    await until("reaction and command are answered to her alone", written_alone)
    assert not await scene.count("You can't decide")
    assert domain not in await scene.alias()
    assert await scene.chat.tap(card, "approve") == 200
    await scene.chat.shows(card, f"✅ `{domain}` approved by @james")
    await scene.hears(f"[NETWORK_APPROVED: {domain}]")
