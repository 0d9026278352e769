"""What the tables of the sandbox's Mattermost hold: users, teams, channels, posts, reactions, and how each is shown.

Shapes are those of Mattermost 5.37, observed. Times are milliseconds since the epoch; a `delete_at` of 0 is live.
"""

from __future__ import annotations

import secrets

import attrs
from attrs import field, frozen

from sm.sandbox.mattermost.shapes import Json

ALPHABET = "ybndrfg8ejkmcpqxot1uwisza345h769"
_NOTIFIED = {
    "channel": "true", "comments": "never", "desktop": "mention", "desktop_sound": "true", "email": "true",
    "first_name": "false", "mention_keys": "", "push": "mention", "push_status": "away",
}  # fmt: skip


def new_id() -> str:
    """A fresh id: 26 characters of Mattermost's base 32."""
    return "".join(secrets.choice(ALPHABET) for _ in range(26))


@frozen
class User:
    """An account; `is_bot` decides about `from_bot` and what is allowed. `delete_at` other than 0: deactivated."""

    id: str
    username: str
    is_bot: bool
    create_at: int
    delete_at: int = 0
    update_at: int = 0
    is_admin: bool = False

    def to_json(self, *, own: bool = False) -> Json:
        """As `GET /users/{id}` shows it; `own` adds what only the user sees of itself."""
        host = "localhost" if self.is_bot else "example.test"
        shown: Json = {
            "id": self.id,
            "create_at": self.create_at,
            "update_at": self.update_at or self.create_at,
            "delete_at": self.delete_at,
            "username": self.username,
            "auth_data": "",
            "auth_service": "",
            "email": f"{self.username}@{host}",
            "nickname": "",
            "first_name": self.username.capitalize() if self.is_bot else "",
            "last_name": "",
            "position": "",
            "roles": self._roles(),
            "locale": "en",
            "timezone": {"automaticTimezone": "", "manualTimezone": "", "useAutomaticTimezone": "true"},
            "disable_welcome_email": False,
        }
        if own:
            shown["notify_props"] = dict(_NOTIFIED)
            shown["last_password_update"] = self.create_at
        if self.is_bot:
            shown |= {"is_bot": True, "bot_description": "The sandbox's bot"}
        return shown

    def bot_json(self, owner_id: str) -> Json:
        """As the calls about bots show it."""
        return {
            "user_id": self.id,
            "username": self.username,
            "display_name": self.username.capitalize(),
            "description": "The sandbox's bot",
            "owner_id": owner_id,
            "create_at": self.create_at,
            "update_at": self.update_at or self.create_at,
            "delete_at": self.delete_at,
        }

    def _roles(self) -> str:
        if self.is_bot:
            return "system_user"
        return f"{'system_admin ' if self.is_admin else ''}system_user system_user_access_token"


@frozen
class Team:
    """A team; `members` are the ids of its users."""

    id: str
    name: str
    create_at: int
    members: tuple[str, ...] = field(default=(), converter=tuple[str, ...])

    def to_json(self) -> Json:
        """As `GET /users/{id}/teams` lists it."""
        return {
            "id": self.id,
            "create_at": self.create_at,
            "update_at": self.create_at,
            "delete_at": 0,
            "display_name": self.name.capitalize(),
            "name": self.name,
            "description": "",
            "email": "",
            "type": "O",
            "company_name": "",
            "allowed_domains": "",
            "invite_id": self.id[::-1],
            "allow_open_invite": False,
            "scheme_id": None,
            "group_constrained": None,
            "policy_id": None,
        }


@frozen
class Channel:
    """A channel of `type` O (public), P (private) or D (two people, with no team); `delete_at` other than 0: archived."""

    id: str
    team_id: str
    type: str
    name: str
    display_name: str
    creator_id: str
    create_at: int
    delete_at: int = 0

    def to_json(self, posts: list[Post]) -> Json:
        """As `GET /channels/{id}` shows it. Who joins or leaves is no message, but moves `last_post_at`."""
        counted = [post for post in posts if not post.type]
        return {
            "id": self.id,
            "create_at": self.create_at,
            "update_at": self.delete_at or self.create_at,
            "delete_at": self.delete_at,
            "team_id": self.team_id,
            "type": self.type,
            "display_name": self.display_name,
            "name": self.name,
            "header": "",
            "purpose": "",
            "last_post_at": posts[-1].create_at if posts else 0,
            "total_msg_count": len(counted),
            "extra_update_at": 0,
            "creator_id": self.creator_id,
            "scheme_id": None,
            "props": None,
            "group_constrained": None,
            "shared": False if self.type == "D" else None,
            "total_msg_count_root": sum(not post.root_id for post in counted),
            "policy_id": None,
        }


@frozen
class Post:
    """One row of the posts table. A row with `original_id` is an older revision of that post."""

    id: str
    create_at: int
    update_at: int
    user_id: str
    channel_id: str
    message: str
    root_id: str = ""
    type: str = ""
    props: Json = field(factory=dict[str, object])
    edit_at: int = 0
    delete_at: int = 0
    original_id: str = ""
    file_ids: tuple[str, ...] = field(default=(), converter=tuple[str, ...])


@frozen
class Reaction:
    """One emoji by one user on one post; `delete_at` other than 0: taken back."""

    user_id: str
    post_id: str
    emoji_name: str
    create_at: int
    update_at: int = 0
    delete_at: int = 0

    def same_as(self, other: Reaction) -> bool:
        """Whether both are one row of the table, whatever their times."""
        mine, theirs = ((one.user_id, one.post_id, one.emoji_name) for one in (self, other))
        return mine == theirs

    def to_json(self) -> Json:
        """As it stands in answers and, as a string, in events."""
        return {**attrs.asdict(self), "remote_id": ""}
