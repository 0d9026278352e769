"""A Mattermost on loopback: REST v4 and the WebSocket, with the bot `claude` and the people `james` and `sarah`.

It behaves as Mattermost 5.37 was observed to, its unkind parts included, and worse when `Faults` says so.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import attrs
from aiohttp import web

from sm.sandbox.control import Action, ActionError, Section
from sm.sandbox.faults import Faults
from sm.sandbox.mattermost.actions import Actions
from sm.sandbox.mattermost.administration import Administration
from sm.sandbox.mattermost.people import People
from sm.sandbox.mattermost.posts import Posts
from sm.sandbox.mattermost.reactions import Reactions
from sm.sandbox.mattermost.rest import PREFIX, declare_faults, middleware
from sm.sandbox.mattermost.rows import Channel, Post, User
from sm.sandbox.mattermost.shapes import Json
from sm.sandbox.mattermost.store import Store
from sm.sandbox.mattermost.uploads import Uploads
from sm.sandbox.mattermost.websocket import Hub

BOT = "claude"
PEOPLE = ("james", "sarah")
CHANNEL = "claude-project"
TEAM = "sandbox"
STATE_FILE = "mattermost.json"
SAVE_EVERY_S = 0.1
MAX_BODY_BYTES = 50 << 20


class MattermostPeer:
    """The whole server. Tokens and ids are random, unless `state_dir` already holds those of an earlier run."""

    def __init__(
        self, faults: Faults, *, clock: Callable[[], float] = time.time, state_dir: Path | None = None
    ) -> None:
        declare_faults(faults)
        self.faults = faults
        self.url = ""
        self._file = state_dir / STATE_FILE if state_dir is not None else None
        if self._file is not None and self._file.exists():
            self.store = Store.load(self._file, clock)
        else:
            self.store = Store(clock)
            self._people_the_team()
        self.hub = Hub(self.store, faults, clock)
        self._posts = Posts(self.store, self.hub, faults)
        self._people = People(self.store, self.hub, self._posts)
        self._actions = Actions(self.store, self.hub, self._posts, faults)
        self._uploads = Uploads(self.store)
        self._reactions = Reactions(self.store, self.hub, faults)
        self._administration = Administration(self.store, self.hub, self._posts)
        self._runner: web.AppRunner | None = None
        self._saver: asyncio.Task[None] | None = None

    @classmethod
    def create(
        cls, faults: Faults, state_dir: Path | None = None, *, clock: Callable[[], float] = time.time
    ) -> MattermostPeer:
        """The same by name; the folder is made when it isn't there."""
        if state_dir is not None:
            state_dir.mkdir(parents=True, exist_ok=True)
        return cls(faults, clock=clock, state_dir=state_dir)

    @property
    def bot_token(self) -> str:
        """What the service logs in with."""
        return self.token(BOT)

    @property
    def james_token(self) -> str:
        """James' token: what is posted with it is posted by james."""
        return self.token("james")

    @property
    def sarah_token(self) -> str:
        """Sarah's token."""
        return self.token("sarah")

    @property
    def team_id(self) -> str:
        """The team that all are in from the start."""
        return next(iter(self.store.teams))

    @property
    def channel_id(self) -> str:
        """`#claude-project`, with the bot, james and sarah in it."""
        return self._channel(CHANNEL).id

    def token(self, username: str) -> str:
        """A user's token. Raises `KeyError` when it was revoked."""
        return self.store.token_of(self._user(username).id)

    def user_id(self, username: str) -> str:
        """A user's id."""
        return self._user(username).id

    def react(self, username: str, post_id: str, emoji: str) -> None:
        """Let somebody put an emoji on a post, member or not. Raises `KeyError` for what isn't there."""
        self._reactions.add(self._user(username), self.store.rows[post_id], emoji)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises `OSError` when the port is taken."""
        app = web.Application(
            client_max_size=MAX_BODY_BYTES, middlewares=[middleware(self.store, self.faults)]
        )
        parts = (
            self._posts, self._reactions, self._uploads, self._actions, self._people, self._administration,
        )  # fmt: skip
        routes = [route for part in parts for route in part.routes()]
        app.add_routes([_prefixed(route) for route in routes])
        app.router.add_get(f"{PREFIX}/websocket", self.hub.serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        self._runner = runner
        await web.TCPSite(runner, host, port).start()
        self.url = f"http://{host}:{runner.addresses[0][1]}"
        if self._file is not None:
            self._saver = asyncio.create_task(self._keep_saved(self._file))

    async def stop(self) -> None:
        """Cut every WebSocket, stop listening, save."""
        self.hub.drop(forget=True)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self._actions.close()
        if self._saver is not None and self._file is not None:
            self._saver.cancel()
            await asyncio.gather(self._saver, return_exceptions=True)
            self._saver = None
            self.store.save(self._file)

    # --- for the control server ----------------------------------------------------------------------------

    def sections(self) -> Mapping[str, Section]:
        """What `GET /state` shows of this peer."""
        return {
            "posts": self._state_of_posts,
            "channels": self._state_of_channels,
            "presses": lambda: [attrs.asdict(press) for press in self._actions.presses],
            "websockets": self.hub.listeners,
        }

    def actions(self) -> Mapping[str, Action]:
        """What can be done to this peer beside faults.

        `drop` {user?, forget?} cuts WebSockets, `mattermost/channel` {name, members?, type?, team?} makes a channel,
        `mattermost/user` {name, admin?, bot?, team?} makes an account, in no channel, `mattermost/react` {user, post,
        emoji, back?} puts an emoji on a post or takes it back, `mattermost/join` and `mattermost/leave` {channel, user} by id or name, `mattermost/archive` {channel,
        archived?} archives one or takes that back, `mattermost/team` {name, members?} makes a team,
        `mattermost/deactivate` and `mattermost/activate` {user}, `mattermost/revoke` {user} ends the user's tokens,
        `mattermost/token` {user} makes a new one.
        """
        return {
            "drop": self._drop,
            "mattermost/channel": self._make_channel,
            "mattermost/user": self._make_user,
            "mattermost/react": self._react,
            "mattermost/join": self._join,
            "mattermost/leave": self._leave,
            "mattermost/archive": self._archive,
            "mattermost/team": self._make_team,
            "mattermost/deactivate": self._deactivate,
            "mattermost/activate": self._activate,
            "mattermost/revoke": self._revoke,
            "mattermost/token": self._new_token,
        }

    def _state_of_posts(self) -> object:
        return [self._post_state(row) for row in self.store.rows.values() if not row.original_id]

    def _post_state(self, post: Post) -> Json:
        return {
            "id": post.id,
            "channel": self.store.channels[post.channel_id].name,
            "channel_id": post.channel_id,
            "user": self.store.users[post.user_id].username,
            "root_id": post.root_id,
            "type": post.type,
            "message": post.message,
            "props": post.props,
            "files": [self.store.files[file_id].name for file_id in post.file_ids],
            "reactions": sorted(
                r.emoji_name for r in self.store.reactions if r.post_id == post.id and not r.delete_at
            ),
            "create_at": post.create_at,
            "edit_at": post.edit_at,
            "delete_at": post.delete_at,
        }

    def _state_of_channels(self) -> object:
        return [
            {
                "id": channel.id,
                "name": channel.name,
                "type": channel.type,
                "archived": bool(channel.delete_at),
                "members": [self.store.users[user_id].username for user_id in self.store.members[channel.id]],
            }
            for channel in self.store.channels.values()
        ]

    async def _drop(self, body: dict[str, object]) -> object:
        user = body.get("user")
        if user is not None:
            self._named_user(user)
        return {
            "dropped": self.hub.drop(str(user) if user is not None else None, forget=bool(body.get("forget")))
        }

    async def _make_channel(self, body: dict[str, object]) -> object:
        name = str(body.get("name") or "")
        team = self.store.team_named(str(body.get("team") or TEAM))
        if team is None:
            raise ActionError(f"No team {body.get('team')!r}.")
        if not name or self.store.channel_named(name, team.id) is not None:
            raise ActionError(f"The channel {name!r} cannot be made: give a name that is not taken.")
        members = self._named_users(body)
        kind = str(body.get("type") or "O")
        channel = self.store.add_channel(name, kind, members[0].id, name, team_id=team.id)
        for member in members[1:]:
            self._people.join(channel, member, members[0])
        return {"id": channel.id}

    async def _make_team(self, body: dict[str, object]) -> object:
        name = str(body.get("name") or "")
        if not name or self.store.team_named(name) is not None:
            raise ActionError(f"The team {name!r} cannot be made: give a name that is not taken.")
        team = self.store.add_team(name, [user.id for user in self._named_users(body)])
        return {"id": team.id}

    def _named_users(self, body: dict[str, object]) -> list[User]:
        given = body.get("members", [BOT, *PEOPLE])
        names = cast("list[object]", given) if isinstance(given, list) else []
        if not names:
            raise ActionError("members is a list of user names, the first of whom makes what is made.")
        return [self._named_user(item) for item in names]

    async def _make_user(self, body: dict[str, object]) -> object:
        name = str(body.get("name") or "")
        if not re.fullmatch(r"[a-z][a-z0-9._-]{0,63}", name) or self.store.user_named(name) is not None:
            raise ActionError(f"The user {name!r} cannot be made: give a name that is not taken.")
        team = self.store.team_named(str(body.get("team") or TEAM))
        if team is None:
            raise ActionError(f"No team {body.get('team')!r}.")
        user = self.store.add_user(name, is_bot=bool(body.get("bot")), is_admin=bool(body.get("admin")))
        self.store.teams[team.id] = attrs.evolve(team, members=(*team.members, user.id))
        return {"id": user.id, "token": self.store.token_of(user.id)}

    async def _react(self, body: dict[str, object]) -> object:
        user, post = self._named_user(body.get("user")), self.store.rows.get(str(body.get("post")))
        emoji = str(body.get("emoji") or "")
        if post is None or not emoji:
            raise ActionError("Give the id of a post, and the emoji's name.")
        (self._reactions.remove if body.get("back") else self._reactions.add)(user, post, emoji)
        return None

    async def _join(self, body: dict[str, object]) -> object:
        user = self._named_user(body.get("user"))
        self._people.join(self._channel(str(body.get("channel"))), user, self._user(PEOPLE[0]))
        return None

    async def _leave(self, body: dict[str, object]) -> object:
        user = self._named_user(body.get("user"))
        self._people.leave(self._channel(str(body.get("channel"))), user, self._user(PEOPLE[0]))
        return None

    async def _archive(self, body: dict[str, object]) -> object:
        channel = self._channel(str(body.get("channel")))
        self._administration.archive(
            channel, self._user(PEOPLE[0]), archived=bool(body.get("archived", True))
        )
        return None

    async def _deactivate(self, body: dict[str, object]) -> object:
        self._administration.activate(self._named_user(body.get("user")), active=False)
        return None

    async def _activate(self, body: dict[str, object]) -> object:
        self._administration.activate(self._named_user(body.get("user")), active=True)
        return None

    async def _revoke(self, body: dict[str, object]) -> object:
        user = self._named_user(body.get("user"))
        tokens = [token for token, owner in self.store.tokens.items() if owner == user.id]
        for token in tokens:
            del self.store.tokens[token]
        return {"revoked": len(tokens)}

    async def _new_token(self, body: dict[str, object]) -> object:
        return {"token": self.store.add_token(self._named_user(body.get("user")).id)}

    # --- inside --------------------------------------------------------------------------------------------

    def _people_the_team(self) -> None:
        bot = self.store.add_user(BOT, is_bot=True)
        people = [self.store.add_user(name) for name in PEOPLE]
        team = self.store.add_team(TEAM, [bot.id, *(person.id for person in people)])
        channel = self.store.add_channel(CHANNEL, "O", people[0].id, CHANNEL, team_id=team.id)
        self.store.members[channel.id] = [bot.id, *(person.id for person in people)]

    def _user(self, username: str) -> User:
        user = self.store.user_named(username)
        if user is None:
            raise KeyError(username)
        return user

    def _named_user(self, name: object) -> User:
        user = self.store.user_named(name) if isinstance(name, str) else None
        if user is None:
            known = ", ".join(user.username for user in self.store.users.values())
            raise ActionError(f"No user {name!r}. Known are: {known}.")
        return user

    def _channel(self, id_or_name: str) -> Channel:
        channel = self.store.channels.get(id_or_name) or self.store.channel_named(id_or_name)
        if channel is None:
            raise ActionError(f"No channel {id_or_name!r}.")
        return channel

    async def _keep_saved(self, path: Path) -> None:
        saved = None
        while True:
            if self.store.version() != saved:
                saved = self.store.version()
                self.store.save(path)
            await asyncio.sleep(SAVE_EVERY_S)


def _prefixed(route: web.RouteDef) -> web.RouteDef:
    return attrs.evolve(route, path=PREFIX + route.path)
