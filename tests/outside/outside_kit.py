"""Peers and service as processes of their own, and what can be seen of them from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import asyncssh
from attrs import define, field

from sm.journal.sqlite import open_journal
from sm.sandbox import environment_file

DEADLINE_S = 40.0


async def until(what: str, look: Callable[[], Awaitable[Any]], within_s: float = DEADLINE_S) -> Any:
    """Wait until `look` answers something true; the failure says what did not happen."""
    try:
        async with asyncio.timeout(within_s):
            while not (found := await look()):
                await asyncio.sleep(0.05)
            return found
    except TimeoutError:
        raise AssertionError(f"this did not happen in {within_s:g} s: {what}") from None


@define
class Peers:
    """`sm sandbox --peers-only` as a process."""

    folder: Path
    variables: dict[str, str] = field(factory=dict)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        env_file = self.folder / "peers.env"
        log = (self.folder / "peers.log").open("ab")
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sm", "sandbox", "--peers-only", "--stand-in",
            "--state", str(self.folder / "state"), "--env-file", str(env_file),
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip

        async def up() -> bool:
            assert self.process is not None
            assert self.process.returncode is None, (self.folder / "peers.log").read_text()
            return env_file.exists()

        await until("the peers are up", up, 60)
        self.variables = environment_file.read(env_file)

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()

    async def control(self, method: str, path: str, body: object = None) -> Any:
        """Ask the control server."""
        url = f"{self.variables['SANDBOX_CONTROL_URL']}/{path}"
        async with aiohttp.ClientSession() as http, http.request(method, url, json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json(content_type=None)

    async def on_vm(self, command: str) -> None:
        """Run a command as an operator logged in on the VM would."""
        host, port = self.variables["SM_VM_HOST"].split(":")
        key = asyncssh.import_private_key(self.variables["SM_VM_SSH_KEY"])
        async with asyncssh.connect(
            host, int(port), username=self.variables["SM_VM_USER"], client_keys=[key], known_hosts=None
        ) as connection:
            await connection.run(f"bash -lc {command!r}", check=True)


@define
class Service:
    """`sm serve`, watched: when it kills itself at its fault, it is started again without one."""

    variables: dict[str, str]
    journal: Path
    fault: str | None = None
    kills: int = 0
    killed: asyncio.Event = field(factory=asyncio.Event)
    _process: asyncio.subprocess.Process | None = None
    _watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._spawn(self.fault)
        self._watch = asyncio.create_task(self._watching())

    async def _spawn(self, fault: str | None) -> None:
        settings = {name: value for name, value in self.variables.items() if name.startswith("SM_")}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SM_")}
        log = self.journal.with_suffix(".log").open("ab")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sm", "serve", *(["--fault", fault] if fault else []),
            env={**inherited, **settings, "SM_JOURNAL": str(self.journal)},
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip

    async def _watching(self) -> None:
        while True:
            assert self._process is not None
            status = await self._process.wait()
            if status != -signal.SIGKILL or self.fault is None:
                return
            self.kills += 1
            await self._spawn(None)
            await self.answers()
            self.killed.set()

    async def answers(self) -> None:
        """Wait until the service says that it is ready."""

        async def ready() -> bool:
            assert self._process is not None
            if self.fault is None:
                assert self._process.returncode is None, self.said()
            with contextlib.suppress(aiohttp.ClientError):
                url = f"http://{self.variables['SM_LISTEN_ADDR']}/ready"
                async with aiohttp.ClientSession() as http, http.get(url) as answer:
                    return answer.status == 200
            return False

        await until("the service is ready", ready)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    def said(self) -> str:
        """The end of what the service printed."""
        return self.journal.with_suffix(".log").read_text()[-3000:]

    async def drained(self) -> None:
        """Wait until nothing is left to do but timers."""

        async def empty() -> bool:
            async with await open_journal(self.journal, read_only=True) as journal:
                return all(command.kind == "timer.set" for command in await journal.outstanding())

        await until("the outbox is empty", empty)

    async def rests(self) -> None:
        """Wait until each session waits for people: what the agent says next, a person caused."""

        async def ready() -> bool:
            async with await open_journal(self.journal, read_only=True) as journal:
                sessions = [one for one in await journal.streams() if one.stream.startswith("session:")]
            return all(session.state == "ready" for session in sessions)

        await until("the agent rests", ready)

    async def kill(self) -> None:
        """End it at once, as an outage does; `start` starts it again."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        self.fault = None
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            assert await self._process.wait() == 0, self.said()
        if self._watch is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch


@define
class Chat:
    """A channel, seen and written by a person: james, unless it is `of` another."""

    peers: Peers
    http: aiohttp.ClientSession
    channel_id: str
    who: str = "james"

    async def posts(self) -> list[dict[str, Any]]:
        """All posts, oldest first, as people see them."""
        url = f"{self.peers.variables['SM_MATTERMOST_URL']}/api/v4/channels/{self.channel_id}/posts"
        async with self.http.get(url, params={"per_page": "200"}) as answer:
            listing = await answer.json()
        found = [listing["posts"][post_id] for post_id in reversed(listing["order"])]
        return [post for post in found if not post["type"]]

    async def say(self, text: str, root_id: str = "") -> dict[str, Any]:
        """Write a post, with `root_id` in that post's thread; answers the post."""
        url = f"{self.peers.variables['SM_MATTERMOST_URL']}/api/v4/posts"
        body = {"channel_id": self.channel_id, "message": text, "root_id": root_id}
        async with self.http.post(url, json=body) as answer:
            assert answer.status == 201, await answer.text()
            return await answer.json()

    async def file(self, file_id: str) -> bytes:
        """What a file of a post (`file_ids`) holds."""
        url = f"{self.peers.variables['SM_MATTERMOST_URL']}/api/v4/files/{file_id}"
        async with self.http.get(url) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()

    @contextlib.asynccontextmanager
    async def of(self, who: str) -> AsyncIterator[Chat]:
        """The same channel, written by another."""
        token = self.peers.variables[f"SANDBOX_TOKEN_{who.upper()}"]
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
            yield Chat(self.peers, http, self.channel_id, who)

    async def sees_in(self, root_id: str, text: str) -> dict[str, Any]:
        """Wait for a post that holds this text, in a thread."""

        async def look() -> dict[str, Any] | None:
            posts = await self.posts()
            return next((p for p in posts if p["root_id"] == root_id and text in p["message"]), None)

        return await until(f"a post with {text!r} in the thread", look)

    async def sees(self, text: str, *, by_bot: bool = False) -> dict[str, Any]:
        """Wait for a post that holds this text; `by_bot` leaves out what a person wrote."""

        async def look() -> dict[str, Any] | None:
            posts = [p for p in await self.posts() if not by_bot or "sm_command" in p["props"]]
            return next((post for post in posts if text in post["message"]), None)

        try:
            return await until(f"a post with {text!r}", look)
        except AssertionError as error:
            said = "\n".join(post["message"] for post in await self.posts())
            raise AssertionError(f"{error}; the channel holds:\n{said}") from None

    async def _call(self, method: str, path: str, body: object = None) -> Any:
        url = f"{self.peers.variables['SM_MATTERMOST_URL']}/api/v4/{path}"
        async with self.http.request(method, url, json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def card(self, *domains: str) -> dict[str, Any]:
        """Wait for the card that asks for exactly these domains."""
        asked = [f"🔒 **Network Request:** `{domain}`" for domain in domains]

        async def look() -> dict[str, Any] | None:
            posts = [post for post in await self.posts() if "sm_card" in post["props"]]
            return next((p for p in posts if _asked(p["message"]) == asked), None)

        return await until(f"a card for {domains}", look)

    async def shows(self, post: dict[str, Any], *texts: str) -> dict[str, Any]:
        """Wait until a post holds these texts; answers it as it then is."""
        seen = post

        async def look() -> bool:
            nonlocal seen
            seen = await self._call("GET", f"posts/{post['id']}")
            return all(text in seen["message"] for text in texts)

        try:
            await until(f"the post holds {texts}", look)
        except AssertionError as error:
            raise AssertionError(f"{error}; it holds:\n{seen['message']}") from None
        return seen

    async def tap(self, post: dict[str, Any], action: str) -> int:
        """Press a button once; answers Mattermost's status, which is 400 when the service did not take it."""
        url = f"{self.peers.variables['SM_MATTERMOST_URL']}/api/v4/posts/{post['id']}/actions/{action}"
        async with self.http.post(url, json={}) as answer:
            await answer.read()
            return answer.status

    async def react(self, post: dict[str, Any], emoji: str) -> None:
        """Put an emoji on a post."""
        me = await self._call("GET", "users/me")
        body = {"user_id": me["id"], "post_id": post["id"], "emoji_name": emoji}
        await self._call("POST", "reactions", body)

    async def alone(self) -> list[str]:
        """What the bot has written to this person alone, ever."""
        ids = [(await self._call("GET", f"users/username/{name}"))["id"] for name in (self.who, "claude")]
        channel_id = (await self._call("POST", "channels/direct", ids))["id"]
        listing = await self._call("GET", f"channels/{channel_id}/posts?per_page=200")
        posts = [listing["posts"][post_id] for post_id in reversed(listing["order"])]
        return [post["message"] for post in posts if post["user_id"] == ids[1]]

    @contextlib.asynccontextmanager
    async def whispers(self) -> AsyncIterator[list[str]]:
        """What is shown to this person alone beside posts, from now on: the answers to presses."""
        heard: list[str] = []
        url = f"{self.peers.variables['SM_MATTERMOST_URL']}/api/v4/websocket"
        async with self.http.ws_connect(url) as socket:
            assert (await socket.receive_json())["event"] == "hello"
            listening = asyncio.create_task(_listen(socket, heard))
            try:
                yield heard
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def press(self, post: dict[str, Any], action: str, undecided: str = "Network Request") -> None:
        """Press a button, again and again, until the card shows a decision: the service may be down."""
        base = f"{self.peers.variables['SM_MATTERMOST_URL']}/api/v4/posts/{post['id']}"

        async def decided() -> bool:
            async with self.http.get(base) as answer:
                if undecided not in (await answer.json())["message"]:
                    return True
            async with self.http.post(f"{base}/actions/{action}", json={}) as answer:
                await answer.read()
            await asyncio.sleep(0.2)
            return False

        await until("the card shows a decision", decided)


def _asked(text: str) -> list[str]:
    return [line for line in text.splitlines() if "**Network Request:**" in line]


async def _listen(socket: aiohttp.ClientWebSocketResponse, heard: list[str]) -> None:
    async for message in socket:
        frame = message.json()
        if frame.get("event") == "ephemeral_message":
            heard.append(json.loads(frame["data"]["post"])["message"])


@contextlib.asynccontextmanager
async def channel(peers: Peers, name: str) -> AsyncIterator[Chat]:
    """A new channel with the bot and james in it."""
    made = await peers.control(
        "POST", "mattermost/channel", {"name": name, "members": ["james", "sarah", "claude"]}
    )
    token = peers.variables["SANDBOX_TOKEN_JAMES"]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
        yield Chat(peers, http, made["id"])


def normal(text: str, domain: str) -> str:
    """A text without what differs from run to run: ids, and the run's own domain."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID", text)
    text = re.sub(r"(claude-|sm/|`)[0-9a-f]{8}\b", r"\1ID", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "COMMIT", text)
    text = re.sub(r"^index [0-9a-f]+\.\.[0-9a-f]+", "index", text, flags=re.MULTILINE)
    return text.replace(domain, "DOMAIN")
