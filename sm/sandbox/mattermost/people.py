"""Users, teams, channels and who is in them, as the sandbox's Mattermost answers about them over REST."""

from __future__ import annotations

import re
from typing import cast

from aiohttp import web

from sm.sandbox.mattermost.posts import Posts
from sm.sandbox.mattermost.rest import (
    ApiError,
    answer,
    body_list,
    body_object,
    channel_in_path,
    invalid_body,
    invalid_parameter,
    is_id,
    logged_in,
    no_permission,
    ok,
    path_id,
    user_in_path,
)
from sm.sandbox.mattermost.rows import Channel, User
from sm.sandbox.mattermost.shapes import Json
from sm.sandbox.mattermost.store import Store
from sm.sandbox.mattermost.websocket import Hub, to_channel, to_user

VERSIONS = (
    "AndroidLatestVersion", "AndroidMinVersion", "DesktopLatestVersion", "DesktopMinVersion", "IosLatestVersion",
    "IosMinVersion",
)  # fmt: skip


class People:
    """The REST calls about users, teams and channels."""

    def __init__(self, store: Store, hub: Hub, posts: Posts) -> None:
        self.store = store
        self.hub = hub
        self.posts = posts

    def routes(self) -> list[web.RouteDef]:
        """To be added under the API's prefix."""
        return [
            web.get("/system/ping", self._ping),
            web.post("/users/ids", self._users_by_ids),
            web.post("/users/usernames", self._users_by_names),
            web.get("/users/username/{username}", self._user_by_name),
            web.get("/users/{user_id}", self._user),
            web.post("/users/{user_id}/typing", self._typing),
            web.get("/users/{user_id}/teams", self._teams),
            web.get("/users/{user_id}/channels", self._channels),
            web.get("/users/{user_id}/teams/{team_id}/channels", self._channels),
            web.get("/teams/{team_id}/channels/name/{name}", self._channel_by_name),
            web.get("/teams/name/{team}/channels/name/{name}", self._channel_by_name),
            web.post("/channels", self._create_channel),
            web.post("/channels/direct", self._direct_channel),
            web.get("/channels/{channel_id}", self._channel),
            web.get("/channels/{channel_id}/members", self._members),
            web.post("/channels/{channel_id}/members", self._add_member),
            web.get("/channels/{channel_id}/members/{user_id}", self._member),
            web.delete("/channels/{channel_id}/members/{user_id}", self._remove_member),
        ]

    # --- users ---------------------------------------------------------------------------------------------

    async def _ping(self, _request: web.Request) -> web.Response:
        return answer({**dict.fromkeys(VERSIONS, ""), "status": "OK"})

    async def _user(self, request: web.Request) -> web.Response:
        asking = logged_in(request, self.store)
        user = user_in_path(request, self.store, asking)
        return answer(user.to_json(own=user == asking))

    async def _user_by_name(self, request: web.Request) -> web.Response:
        asking = logged_in(request, self.store)
        name = request.match_info["username"]
        if not re.fullmatch(r"[a-z0-9._-]{1,64}", name):
            raise invalid_parameter("username")
        user = self.store.user_named(name)
        if user is None:
            raise ApiError(404, "app.user.get_by_username.app_error", "Unable to find an existing account.")
        return answer(user.to_json(own=user == asking))

    async def _users_by_ids(self, request: web.Request) -> web.Response:
        logged_in(request, self.store)
        ids = await body_list(request, "user_ids")
        return answer([user.to_json() for user in self.store.users.values() if user.id in ids])

    async def _users_by_names(self, request: web.Request) -> web.Response:
        logged_in(request, self.store)
        names = await body_list(request, "usernames")
        return answer([user.to_json() for user in self.store.users.values() if user.username in names])

    async def _typing(self, request: web.Request) -> web.Response:
        user = logged_in(request, self.store)
        body = await body_object(request, "typing")
        self.hub.typing(user.id, str(body.get("channel_id")), str(body.get("parent_id") or ""))
        return ok()

    async def _teams(self, request: web.Request) -> web.Response:
        return answer([team.to_json() for team in self.store.teams_of(self._itself(request).id)])

    async def _channels(self, request: web.Request) -> web.Response:
        """The live channels that the user is in, by their names; a team's list holds the direct ones, too."""
        user = self._itself(request)
        team_id = request.match_info.get("team_id", "")
        mine = [
            channel
            for channel in self.store.channels.values()
            if self.store.is_member(channel.id, user.id)
            and not channel.delete_at
            and (not team_id or channel.team_id in (team_id, ""))
        ]
        mine.sort(key=lambda channel: channel.display_name)
        return answer([self.store.channel_json(channel) for channel in mine])

    def _itself(self, request: web.Request) -> User:
        asking = logged_in(request, self.store)
        if user_in_path(request, self.store, asking) != asking:
            raise no_permission()
        team_id = request.match_info.get("team_id")
        if team_id is not None and team_id not in {team.id for team in self.store.teams_of(asking.id)}:
            raise no_permission()
        return asking

    # --- channels ------------------------------------------------------------------------------------------

    async def _channel(self, request: web.Request) -> web.Response:
        asking = logged_in(request, self.store)
        channel_id = path_id(request, "channel_id")
        channel = self.store.channels.get(channel_id)
        if channel is None:
            raise ApiError(404, "app.channel.get.existing.app_error", "Unable to find the existing channel.")
        return answer(self.store.channel_json(self._visible(channel, asking)))

    async def _channel_by_name(self, request: web.Request) -> web.Response:
        asking = logged_in(request, self.store)
        path = request.match_info
        by_name = self.store.team_named(path["team"]) if "team" in path else None
        team_id = by_name.id if by_name is not None else path.get("team_id", "none")
        channel = self.store.channel_named(path["name"], team_id)
        if channel is None:
            raise ApiError(404, "app.channel.get_by_name.missing.app_error", "Channel does not exist.")
        return answer(self.store.channel_json(self._visible(channel, asking)))

    def _visible(self, channel: Channel, asking: User) -> Channel:
        if channel.type != "O" and not self.store.is_member(channel.id, asking.id):
            raise no_permission()
        return channel

    async def _create_channel(self, request: web.Request) -> web.Response:
        user = logged_in(request, self.store)
        body = await body_object(request, "channel")
        name, kind = str(body.get("name")), str(body.get("type"))
        display_name = str(body.get("display_name") or name)
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{1,63}", name) or kind not in ("O", "P"):
            raise invalid_body("channel")
        team_id = str(body.get("team_id"))
        if team_id not in {team.id for team in self.store.teams_of(user.id)}:
            raise no_permission()
        if self.store.channel_named(name, team_id) is not None:
            text = "A channel with that name already exists on the same team."
            raise ApiError(400, "store.sql_channel.save_channel.exists.app_error", text)
        channel = self.store.add_channel(name, kind, user.id, display_name, team_id=team_id)
        text = f"{user.username} joined the channel."
        self.posts.system_post(user, channel.id, "system_join_channel", text, {"username": user.username})
        data: Json = {"channel_id": channel.id, "team_id": channel.team_id}
        self.hub.publish("channel_created", data, to_user(user.id))
        return answer(channel.to_json([]), 201)  # as it was before anybody had joined it

    async def _direct_channel(self, request: web.Request) -> web.Response:
        asking = logged_in(request, self.store)
        ids = [str(item) for item in await body_list(request, "user_ids")]
        if len(ids) != 2 or not all(map(is_id, ids)):
            raise invalid_body("user_ids")
        if asking.id not in ids:
            raise no_permission()
        if any(user_id not in self.store.users for user_id in ids):
            text = "Invalid other user id."
            raise ApiError(400, "api.channel.create_direct_channel.invalid_user.app_error", text)
        name = "__".join(sorted(ids))
        for channel in self.store.channels.values():
            if channel.name == name:
                return answer(self.store.channel_json(channel), 201)
        channel = self.store.add_channel(name, "D", asking.id)
        other = ids[1] if ids[0] == asking.id else ids[0]
        if other != asking.id:
            self.store.members[channel.id].append(other)
        data: Json = {"creator_id": asking.id, "teammate_id": other}
        self.hub.publish("direct_added", data, to_channel(channel.id))
        return answer(self.store.channel_json(channel), 201)

    # --- members -------------------------------------------------------------------------------------------

    async def _members(self, request: web.Request) -> web.Response:
        channel = channel_in_path(request, self.store, logged_in(request, self.store))
        return answer([_member_json(channel, user_id) for user_id in self.store.members[channel.id]])

    async def _member(self, request: web.Request) -> web.Response:
        asking = logged_in(request, self.store)
        channel = channel_in_path(request, self.store, asking)
        user_id = path_id(request, "user_id", also="me")
        user_id = asking.id if user_id == "me" else user_id
        if not self.store.is_member(channel.id, user_id):
            text = "No channel member found for that user ID and channel ID."
            raise ApiError(404, "app.channel.get_member.missing.app_error", text)
        return answer(_member_json(channel, user_id))

    async def _add_member(self, request: web.Request) -> web.Response:
        asking = logged_in(request, self.store)
        channel = channel_in_path(request, self.store, asking)
        body = await body_object(request, "user_id")
        user = self.store.users.get(str(body.get("user_id")))
        if user is None or channel.type == "D":
            raise invalid_body("user_id")
        self.join(channel, user, asking)
        return answer(_member_json(channel, user.id), 201)

    def join(self, channel: Channel, user: User, by: User) -> None:
        """Add somebody to a channel, and say so in it."""
        if self.store.is_member(channel.id, user.id):
            return
        self.store.members[channel.id].append(user.id)
        data: Json = {"team_id": channel.team_id, "user_id": user.id}
        self.hub.publish("user_added", data, to_channel(channel.id))
        text = f"{user.username} added to the channel by {by.username}."
        props: Json = {
            "addedUserId": user.id,
            "addedUsername": user.username,
            "userId": by.id,
            "username": by.username,
        }
        self.posts.system_post(by, channel.id, "system_add_to_channel", text, props)

    async def _remove_member(self, request: web.Request) -> web.Response:
        asking = logged_in(request, self.store)
        channel = channel_in_path(request, self.store, asking)
        user_id = path_id(request, "user_id", also="me")
        user = asking if user_id == "me" else self.store.users.get(user_id)
        if user is not None:
            self.leave(channel, user, asking)
        return ok()

    def leave(self, channel: Channel, user: User, by: User) -> None:
        """Take somebody out of a channel; the channel is told, and who was removed apart."""
        if not self.store.is_member(channel.id, user.id):
            return
        self.store.members[channel.id].remove(user.id)
        to_the_rest: Json = {"remover_id": by.id, "user_id": user.id}
        self.hub.publish("user_removed", to_the_rest, to_channel(channel.id))
        to_the_removed: Json = {"channel_id": channel.id, "remover_id": by.id}
        self.hub.publish("user_removed", to_the_removed, to_user(user.id))
        props: Json = {"removedUserId": user.id, "removedUsername": user.username}
        text = f"@{user.username} removed from the channel."
        self.posts.system_post(by, channel.id, "system_remove_from_channel", text, props)


def _member_json(channel: Channel, user_id: str) -> Json:
    return cast(
        "Json",
        {
            "channel_id": channel.id,
            "user_id": user_id,
            "roles": "channel_user",
            "last_viewed_at": 0,
            "msg_count": 0,
            "mention_count": 0,
            "mention_count_root": 0,
            "msg_count_root": 0,
            "notify_props": {
                "desktop": "default",
                "email": "default",
                "ignore_channel_mentions": "default",
                "mark_unread": "all",
                "push": "default",
            },
            "last_update_at": channel.create_at,
            "scheme_guest": False,
            "scheme_user": True,
            "scheme_admin": False,
            "explicit_roles": "",
        },
    )
