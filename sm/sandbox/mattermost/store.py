"""What the sandbox's Mattermost knows: users, teams, channels, the rows of the posts table, reactions, files.

Shapes and semantics are those of Mattermost 5.37, observed. Times are milliseconds since the epoch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar, cast

import attrs
from attrs import define, field

from sm.sandbox.mattermost.files import File
from sm.sandbox.mattermost.rows import Channel, Post, Reaction, Team, User, new_id
from sm.sandbox.mattermost.shapes import Json, visible_props

SINCE_LIMIT = 1000
EVERYBODY = frozenset({"channel", "all", "here"})
_FENCE = re.compile(r"^[ ]{0,3}(```+|~~~+).*?(?:^[ ]{0,3}\1[ ]*$|\Z)", re.MULTILINE | re.DOTALL)
_INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_AT_NAME = re.compile(r"(?<![\w@.-])@([a-z0-9._-]+)", re.IGNORECASE)


T = TypeVar("T")


@define
class Store:
    """All of it in memory, saved as one JSON file when a folder was given. Not for threads."""

    clock: Callable[[], float]
    teams: dict[str, Team] = field(factory=dict[str, Team])
    users: dict[str, User] = field(factory=dict[str, User])
    tokens: dict[str, str] = field(factory=dict[str, str], repr=False)
    token_ids: dict[str, str] = field(factory=dict[str, str], repr=False)
    channels: dict[str, Channel] = field(factory=dict[str, Channel])
    members: dict[str, list[str]] = field(factory=dict[str, list[str]])
    rows: dict[str, Post] = field(factory=dict[str, Post])
    reactions: list[Reaction] = field(factory=list[Reaction])
    files: dict[str, File] = field(factory=dict[str, File])
    _last_ms: int = field(default=0, init=False)

    def now_ms(self) -> int:
        """The time in milliseconds, later than any handed out before: no two posts share one by chance."""
        self._last_ms = max(int(self.clock() * 1000), self._last_ms + 1)
        return self._last_ms

    # --- people and channels -------------------------------------------------------------------------------

    def add_user(self, username: str, *, is_bot: bool = False, is_admin: bool = False) -> User:
        """A new account with a token of its own."""
        user = User(new_id(), username, is_bot, self.now_ms(), is_admin=is_admin)
        self.users[user.id] = user
        self.add_token(user.id)
        return user

    def activate(self, user: User, *, active: bool) -> User:
        """Deactivate an account, or take that back; its tokens stay, and are worth nothing meanwhile."""
        now = self.now_ms()
        changed = attrs.evolve(user, delete_at=0 if active else now, update_at=now)
        self.users[user.id] = changed
        return changed

    def user_of(self, token: str) -> User | None:
        """Whose token that is; None for no known one, and for a deactivated user's."""
        user = self.users.get(self.tokens.get(token, ""))
        return user if user is not None and not user.delete_at else None

    def add_token(self, user_id: str, token_id: str = "") -> str:
        """One more token for the user; `token_id` is what it can be revoked by."""
        token = new_id()
        self.tokens[token] = user_id
        self.token_ids[token_id or new_id()] = token
        return token

    def add_team(self, name: str, members: Iterable[str]) -> Team:
        """A new team with these users in it."""
        team = Team(new_id(), name, self.now_ms(), members)
        self.teams[team.id] = team
        return team

    def teams_of(self, user_id: str) -> list[Team]:
        """The teams that a user is in."""
        return [team for team in self.teams.values() if user_id in team.members]

    def team_named(self, name: str) -> Team | None:
        """The team with that name."""
        return next((team for team in self.teams.values() if team.name == name), None)

    def user_named(self, username: str) -> User | None:
        """The account with that name, whatever its case."""
        wanted = username.lower()
        return next((user for user in self.users.values() if user.username == wanted), None)

    def token_of(self, user_id: str) -> str:
        """The user's token. Raises `KeyError` when all were revoked."""
        for token, owner in self.tokens.items():
            if owner == user_id:
                return token
        raise KeyError(user_id)

    def add_channel(
        self, name: str, kind: str, creator_id: str, display_name: str = "", *, team_id: str = ""
    ) -> Channel:
        """A new channel with its creator as the first member; no team for a direct one."""
        channel = Channel(new_id(), team_id, kind, name, display_name, creator_id, self.now_ms())
        self.channels[channel.id] = channel
        self.members[channel.id] = [creator_id]
        return channel

    def channel_named(self, name: str, team_id: str = "") -> Channel | None:
        """The channel with that name, in that team or else in any."""
        return next(
            (
                channel
                for channel in self.channels.values()
                if channel.name == name and channel.team_id and team_id in ("", channel.team_id)
            ),
            None,
        )

    def archive(self, channel: Channel, *, archived: bool = True) -> Channel:
        """Archive a channel: it can be read, and nothing more; or take that back."""
        changed = attrs.evolve(channel, delete_at=self.now_ms() if archived else 0)
        self.channels[channel.id] = changed
        return changed

    def is_member(self, channel_id: str, user_id: str) -> bool:
        """Whether the user is in the channel; no for a channel that doesn't exist."""
        return user_id in self.members.get(channel_id, ())

    def channel_json(self, channel: Channel) -> Json:
        """As `GET /channels/{id}` shows it."""
        return channel.to_json(self.live(channel.id))

    # --- posts ---------------------------------------------------------------------------------------------

    def insert(self, post: Post) -> Post:
        """Add a row."""
        self.rows[post.id] = post
        return post

    def attach(self, post: Post, file_ids: Iterable[str]) -> Post:
        """Hang files on a new post; what is no file of the author's, or hangs on another post, is dropped.

        The post with what is left is written a second time then.
        """
        asked, taken = list(file_ids), list[str]()
        for file_id in dict.fromkeys(asked):
            file = self.files.get(file_id)
            if file is not None and not file.post_id and file.user_id == post.user_id:
                self.files[file_id] = attrs.evolve(file, post_id=post.id)
                taken.append(file_id)
        update_at = post.update_at if taken == asked else self.now_ms()
        return self.insert(attrs.evolve(post, file_ids=taken, update_at=update_at))

    def live_post(self, post_id: str) -> Post | None:
        """The post, unless it is deleted or an old revision."""
        post = self.rows.get(post_id)
        return post if post is not None and not post.delete_at else None

    def live(self, channel_id: str) -> list[Post]:
        """The channel's posts, oldest first."""
        found = [row for row in self.rows.values() if row.channel_id == channel_id and not row.delete_at]
        return sorted(found, key=lambda row: row.create_at)

    def revise(self, post: Post, message: str, props: Json) -> Post:
        """Change message and props. The old revision stays as a deleted row of its own, as the real table has it."""
        now = self.now_ms()
        self.insert(attrs.evolve(post, id=new_id(), update_at=now, delete_at=now, original_id=post.id))
        edit_at = now if message != post.message else post.edit_at
        return self.insert(attrs.evolve(post, message=message, props=props, update_at=now, edit_at=edit_at))

    def delete(self, post: Post, by_user_id: str) -> None:
        """Mark the post, and the replies to it, as deleted."""
        now = self.now_ms()
        for row in list(self.rows.values()):
            if not row.delete_at and post.id in (row.id, row.root_id):
                props: Json = {**row.props, "deleteBy": by_user_id}
                self.rows[row.id] = attrs.evolve(row, update_at=now, delete_at=now, props=props)

    def since(self, channel_id: str, since_ms: int) -> list[Post]:
        """What `?since=` answers, newest first: the first thousand rows that the table happens to yield.

        Filters on update_at, so edits, deleted rows and old revisions (before the post that they became) come along;
        with more rows than the limit it is the newest that are missing.
        """
        rows = [
            row for row in self.rows.values() if row.channel_id == channel_id and row.update_at > since_ms
        ]
        return sorted(rows[:SINCE_LIMIT], key=lambda row: row.create_at)[::-1]

    def post_json(self, post: Post) -> Json:
        """As REST and events show it: without what a button is bound to, and emptied when deleted."""
        replies = [row for row in self.rows.values() if row.root_id == post.id and not row.delete_at]
        deleted = bool(post.delete_at)
        props = visible_props(post.props)
        if deleted:
            props = {key: value for key, value in props.items() if key == "deleteBy"}
        shown: Json = {
            "id": post.id,
            "create_at": post.create_at,
            "update_at": post.update_at,
            "edit_at": post.edit_at,
            "delete_at": post.delete_at,
            "is_pinned": False,
            "user_id": post.user_id,
            "channel_id": post.channel_id,
            "root_id": post.root_id,
            "parent_id": post.root_id,
            "original_id": post.original_id,
            "message": "" if deleted else post.message,
            "type": post.type,
            "props": props,
            "hashtags": "",
            **({"file_ids": list(post.file_ids)} if post.file_ids else {}),
            "pending_post_id": "",
            "reply_count": len(replies),
            "last_reply_at": max((row.create_at for row in replies), default=0),
            "participants": None,
            "metadata": self._metadata(post, props),
        }
        if any(reaction.post_id == post.id and not reaction.delete_at for reaction in self.reactions):
            shown["has_reactions"] = True
        return shown

    def _metadata(self, post: Post, props: Json) -> Json:
        metadata: Json = {}
        if "attachments" in props:
            metadata["embeds"] = [{"type": "message_attachment"}]
        if post.file_ids:
            metadata["files"] = [self.files[file_id].to_json() for file_id in post.file_ids]
        return metadata

    def mentions(self, post: Post) -> list[str]:
        """The ids of the channel's members whom a post mentions: by name, by `@channel`, or by writing to them alone.

        Code doesn't count, a quotation does; the author is never mentioned.
        """
        others = [user_id for user_id in self.members[post.channel_id] if user_id != post.user_id]
        if self.channels[post.channel_id].type == "D":
            return others
        if post.type == "system_add_to_channel":
            return [str(post.props["addedUserId"])]
        text = _INLINE_CODE.sub(" ", _FENCE.sub(" ", post.message))
        names = {name for match in _AT_NAME.finditer(text) for name in _readings(match.group(1).lower())}
        if names & EVERYBODY:
            return others
        return [user_id for user_id in others if self.users[user_id].username in names]

    def version(self) -> tuple[int, ...]:
        """Differs whenever there is something new to save."""
        members = sum(len(ids) for ids in self.members.values())
        return self._last_ms, len(self.tokens), len(self.reactions), members

    # --- the file ------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write everything, so that it is either the old file or the new one."""
        data: Json = {
            "teams": [attrs.asdict(team) for team in self.teams.values()],
            "users": [attrs.asdict(user) for user in self.users.values()],
            "tokens": self.tokens,
            "token_ids": self.token_ids,
            "channels": [attrs.asdict(channel) for channel in self.channels.values()],
            "members": self.members,
            "rows": [attrs.asdict(row) for row in self.rows.values()],
            "reactions": [attrs.asdict(reaction) for reaction in self.reactions],
            "files": [file.to_row() for file in self.files.values()],
            "last_ms": self._last_ms,
        }
        part = path.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps(data), encoding="utf-8")
        part.replace(path)

    @classmethod
    def load(cls, path: Path, clock: Callable[[], float]) -> Store:
        """Read what `save` wrote."""
        data = cast("dict[str, list[Json]]", json.loads(path.read_text(encoding="utf-8")))
        store = cls(
            clock,
            tokens=cast("dict[str, str]", data["tokens"]),
            token_ids=cast("dict[str, str]", data["token_ids"]),
            members=cast("dict[str, list[str]]", data["members"]),
        )
        store._last_ms = cast("int", data["last_ms"])
        store.teams = {t.id: t for t in _each(Team, data["teams"])}
        store.users = {u.id: u for u in _each(User, data["users"])}
        store.channels = {c.id: c for c in _each(Channel, data["channels"])}
        store.rows = {r.id: r for r in _each(Post, data["rows"])}
        store.reactions = list(_each(Reaction, data["reactions"]))
        store.files = {f.id: f for f in map(File.from_row, data.get("files", []))}
        return store


def _each(kind: Callable[..., T], items: Iterable[Json]) -> Iterable[T]:
    return (kind(**item) for item in items)


def _readings(name: str) -> set[str]:
    """The names that `@name` can mean: what follows may be punctuation (`@claude.`) or part of the name."""
    readings = {name}
    while name and name[-1] in "._-":
        name = name[:-1]
        readings.add(name)
    return readings
