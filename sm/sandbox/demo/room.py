"""A channel of the sandbox as people see it: they write, press buttons, and everything that appears is printed."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, cast

import aiohttp
from attrs import field, frozen

from sm.sandbox.mattermost.shapes import as_object, objects

POLL_S = 0.1
_CALL_S = 40.0  # a press is answered by the service's callback, which has 30 s
_NEWEST = 200
_FAILURES = 30


class RoomError(Exception):
    """What a person wanted to do was not possible; the text says what and why."""


@frozen
class Button:
    """A button of a post. `row` is which row of buttons it stands in, `about` the text before that row."""

    id: str
    name: str
    row: int = 0
    about: str = ""


@frozen
class Attached:
    """A file that hangs on a post; `Room.file` reads it. `size` is in bytes."""

    id: str
    name: str
    size: int


@frozen
class Seen:
    """A post as it stands: its text with that of its attachments without buttons, its buttons and files, and by whom.

    `root_id` is the post whose thread it is in, empty for one in the channel itself.
    """

    id: str
    who: str
    text: str
    buttons: tuple[Button, ...] = ()
    root_id: str = ""
    files: tuple[Attached, ...] = ()

    def lines(self) -> list[str]:
        """Its text, and its files and rows of buttons on lines of their own; in a thread each begins with ↳."""
        shown = self.text.splitlines() or [""]
        shown += [f"📎 {file.name} ({file.size} bytes)" for file in self.files]
        for _, row in itertools.groupby(self.buttons, lambda button: button.row):
            buttons = tuple(row)
            about = (buttons[0].about,) if buttons[0].about else ()
            shown.append(" ".join((*about, *(f"[{button.name}]" for button in buttons))))
        return [f"↳ {line}" for line in shown] if self.root_id else shown


@frozen
class Access:
    """How the people of a sandbox get in: from `Sandbox.environment()`."""

    url: str
    channel_id: str
    control_url: str
    tokens: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Access:
        """Read it from the environment that a sandbox hands out."""
        return cls(
            variables["SM_MATTERMOST_URL"],
            variables["SANDBOX_CHANNEL_ID"],
            variables["SANDBOX_CONTROL_URL"],
            {"james": variables["SANDBOX_TOKEN_JAMES"], "sarah": variables["SANDBOX_TOKEN_SARAH"]},
        )


class Room:
    """The channel. Within `async with`, posts and their changes are told by `tell(who, line)` as they come.

    They are read over REST, which misses nothing; what is shown to one person alone comes over the WebSocket only.
    """

    def __init__(self, access: Access, tell: Callable[[str, str], None]) -> None:
        self._access = access
        self._tell = tell
        self._names: dict[str, str] = {}
        self._posts: dict[str, Seen] = {}
        self._changed = asyncio.Condition()
        self._client: aiohttp.ClientSession | None = None
        self._watching: asyncio.Task[None] | None = None
        self._listening: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Begin to watch, from what stands there already (which is not printed)."""
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_CALL_S))
        try:
            for post in await self._read():
                self._posts[post.id] = post
        except BaseException:
            await self._client.close()
            raise
        self._watching = asyncio.create_task(self._watch())
        self._listening = [asyncio.create_task(self._listen(who)) for who in self._access.tokens]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching."""
        tasks = [*self._listening, *([self._watching] if self._watching is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    # --- what people do -------------------------------------------------------------------------------------

    async def say(self, who: str, text: str, *, root_id: str = "") -> str:
        """Write a post, with `root_id` in that post's thread; answers the post's id. Raises `RoomError`."""
        body = {"channel_id": self._access.channel_id, "message": text, "root_id": root_id}
        return str((await self._call("POST", "/api/v4/posts", who, body))["id"])

    async def press(self, who: str, post: Seen, button: Button) -> None:
        """Press a button, and tell of it. Raises `RoomError` when the service did not take it."""
        self._tell(who, f"(presses [{button.name}])")
        await self._call("POST", f"/api/v4/posts/{post.id}/actions/{button.id}", who, {})

    async def react(self, who: str, post: Seen, emoji: str) -> None:
        """Put an emoji, by its name at Mattermost, on a post, and tell of it. Raises `RoomError`."""
        self._tell(who, f"(reacts with :{emoji}:)")
        user_id = str((await self._call("GET", "/api/v4/users/me", who, None))["id"])
        body = {"user_id": user_id, "post_id": post.id, "emoji_name": emoji}
        await self._call("POST", "/api/v4/reactions", who, body)

    # --- what people see ------------------------------------------------------------------------------------

    def cards(self) -> list[Seen]:
        """The posts that have buttons now, oldest first."""
        return [post for post in self._posts.values() if post.buttons]

    def post(self, post_id: str) -> Seen:
        """A post as it stands now."""
        return self._posts[post_id]

    async def until(self, found: Callable[[Seen], bool], after: Seen | None = None) -> Seen:
        """Wait until a post looks so, and answer it; with `after`, one that was written later than that."""
        async with self._changed:
            while True:
                order = list(self._posts.values())
                first = 0 if after is None else order.index(self._posts[after.id]) + 1
                post = next((post for post in order[first:] if found(post)), None)
                if post is not None:
                    return post
                self._check()
                await self._changed.wait()

    async def changed(self, post: Seen, found: Callable[[Seen], bool]) -> Seen:
        """Wait until this post looks so."""
        return await self.until(lambda seen: seen.id == post.id and found(seen))

    def thread(self, root_id: str) -> list[Seen]:
        """The replies in a post's thread, oldest first."""
        return [post for post in self._posts.values() if post.root_id == root_id]

    def newest_thread(self) -> str:
        """The root of the thread that was written to last. Raises `RoomError` when there is none."""
        root_id = next((post.root_id for post in reversed(self._posts.values()) if post.root_id), "")
        if not root_id:
            raise RoomError("Nobody has written in a thread yet.")
        return root_id

    async def file(self, who: str, file: Attached) -> bytes:
        """What an attached file holds. Raises `RoomError`."""
        headers = {"Authorization": f"Bearer {self._access.tokens[who]}"}
        url = f"{self._access.url}/api/v4/files/{file.id}"
        try:
            async with self._session().get(url, headers=headers) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RoomError(f"Mattermost did not answer for the file {file.name}: {error!r}") from error
        if response.status != 200:
            raise RoomError(f"Mattermost answered {response.status} for the file {file.name}.")
        return content

    async def state(self, section: str) -> Any:
        """What an observer of the peers sees (`GET /state/SECTION` of the control server)."""
        async with self._session().get(f"{self._access.control_url}/state/{section}") as response:
            response.raise_for_status()
            return await response.json()

    # --- inside ---------------------------------------------------------------------------------------------

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise RuntimeError("the room is entered with `async with`")
        return self._client

    def _check(self) -> None:
        if self._watching is not None and self._watching.done() and not self._watching.cancelled():
            self._watching.result()

    async def _watch(self) -> None:
        failures = 0
        try:
            while failures < _FAILURES:
                try:
                    posts = await self._read()
                except RoomError:
                    failures += 1  # a fault that somebody armed strikes people, too
                    posts = []
                else:
                    failures = 0
                for post in posts:
                    self._notice(post)
                async with self._changed:
                    self._changed.notify_all()
                await asyncio.sleep(POLL_S)
            raise RoomError(f"Mattermost did not answer {_FAILURES} times in a row.")
        finally:
            async with self._changed:
                self._changed.notify_all()

    async def _listen(self, who: str) -> None:
        """Tell what is shown to this person alone."""
        headers = {"Authorization": f"Bearer {self._access.tokens[who]}"}
        while True:
            try:
                socket = await self._session().ws_connect(
                    f"{self._access.url}/api/v4/websocket", headers=headers
                )
                async for message in socket:
                    self._hear(who, message)
            except (aiohttp.ClientError, TimeoutError):
                pass  # a fault that somebody armed
            await asyncio.sleep(1)

    def _hear(self, who: str, message: aiohttp.WSMessage) -> None:
        if message.type is not aiohttp.WSMsgType.TEXT:
            return
        frame = as_object(json.loads(cast("str", message.data)))
        data = as_object(frame.get("data"))
        direct = frame.get("event") == "posted" and data.get("channel_type") == "D"
        if direct or frame.get("event") == "ephemeral_message":
            post = as_object(json.loads(str(data.get("post") or "{}")))
            for line in str(post.get("message", "")).splitlines():
                self._tell("claude", f"(to @{who} alone) {line}")

    def _notice(self, post: Seen) -> None:
        before = self._posts.get(post.id)
        if before == post:
            return
        self._posts[post.id] = post
        for line in post.lines():
            self._tell(post.who, line if before is None else f"(now) {line}")

    async def _read(self) -> list[Seen]:
        """The newest posts, oldest first."""
        path = f"/api/v4/channels/{self._access.channel_id}/posts?per_page={_NEWEST}"
        page = await self._call("GET", path, "james", None)
        rows = as_object(page.get("posts"))
        order = cast("list[str]", page.get("order", []))
        return [await self._seen(as_object(rows[post_id])) for post_id in reversed(order)]

    async def _seen(self, row: dict[str, object]) -> Seen:
        attachments = objects(as_object(row.get("props")).get("attachments"))
        plain = [str(one.get("text") or "") for one in attachments if not one.get("actions")]
        texts = [str(row.get("message", "")), *plain]
        buttons = tuple(
            Button(str(action.get("id")), str(action.get("name")), number, str(one.get("text") or ""))
            for number, one in enumerate(attachments)
            for action in objects(one.get("actions"))
        )
        who = await self._name(str(row["user_id"]))
        text = "\n".join(text for text in texts if text)
        return Seen(str(row["id"]), who, text, buttons, str(row.get("root_id") or ""), _attached(row))

    async def _name(self, user_id: str) -> str:
        if user_id not in self._names:
            user = await self._call("GET", f"/api/v4/users/{user_id}", "james", None)
            self._names[user_id] = str(user["username"])
        return self._names[user_id]

    async def _call(
        self, method: str, path: str, who: str, body: Mapping[str, object] | None
    ) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {self._access.tokens[who]}"}
        try:
            async with self._session().request(
                method, self._access.url + path, json=body, headers=headers
            ) as response:
                answer = as_object(await response.json())
                if response.status >= 400:
                    raise RoomError(f"Mattermost answered {response.status}: {answer.get('message')}")
                return answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RoomError(f"Mattermost did not answer {method} {path}: {error!r}") from error


def _attached(row: dict[str, object]) -> tuple[Attached, ...]:
    infos = objects(as_object(row.get("metadata")).get("files"))
    return tuple(Attached(str(one["id"]), str(one["name"]), cast("int", one["size"])) for one in infos)
