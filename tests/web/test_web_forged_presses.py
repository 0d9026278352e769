"""Every way to fake a press, as far as the listener can tell: through the sandbox's Mattermost, and straight at the port.

What the listener cannot tell, and so hands on for the service to look up, is said here too, each by its name.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sm.sandbox.faults import Faults
from sm.sandbox.mattermost.peer import MattermostPeer
from sm.web.mac import card_context
from sm.web.press import Press
from sm.web.server import NOT_OURS, PressAnswer, WebServer

SECRET = b"s" * 32
OTHER_CHANNEL = "d" * 26
TRIGGER = "dHJpZ2dlcg=="


class Room:
    """The sandbox's Mattermost with a card of ours in it, and the listener that the card's buttons call."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.faults = Faults()
        self.peer = MattermostPeer(self.faults)
        self.presses: list[Press] = []
        self.listener = WebServer(
            callback_path="/callback", on_press=self._on_press, ready=lambda: True, secret=SECRET
        )
        self.card = ""

    async def _on_press(self, press: Press) -> PressAnswer:
        self.presses.append(press)
        return PressAnswer()

    @property
    def refused(self) -> dict[str, int]:
        return dict(self.listener.refused_presses)

    @property
    def callback_url(self) -> str:
        return f"http://127.0.0.1:{self.listener.port}/callback"

    def context(self, **changes: str) -> dict[str, str]:
        """The context of the card's Approve, or of another button of ours."""
        of = {"card_id": "c1", "request_id": "r1", "action": "approve", "channel_id": self.peer.channel_id}
        return card_context(SECRET, **(of | changes))

    def button(self, context: dict[str, Any], action: str = "approve") -> dict[str, Any]:
        integration = {"url": self.callback_url, "context": context}
        button = {"id": action, "name": action.title(), "type": "button", "integration": integration}
        return {"attachments": [{"text": "pypi.org", "actions": [button]}]}

    async def ask(self, who: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One REST call of a user; an own token may stand for the name."""
        token = who if len(who) == 26 else self.peer.token(who)
        url, headers = f"{self.peer.url}/api/v4{path}", {"Authorization": f"Bearer {token}"}
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def post(self, who: str, context: dict[str, Any], channel: str = "") -> str:
        """Somebody posts a button that calls our listener; answers the post's id."""
        body = {"channel_id": channel or self.peer.channel_id, "message": "m", "props": self.button(context)}
        status, post = await self.ask(who, "POST", "/posts", body)
        assert status == 201, post
        return post["id"]

    async def press(self, who: str, post_id: str) -> int:
        return (await self.ask(who, "POST", f"/posts/{post_id}/actions/approve"))[0]

    def body(self, **changes: Any) -> dict[str, Any]:
        """A press of the card by james, as Mattermost would post it."""
        return {
            "user_id": self.peer.user_id("james"),
            "user_name": "james",
            "channel_id": self.peer.channel_id,
            "post_id": self.card,
            "trigger_id": TRIGGER,
            "type": "button",
            "context": self.context(),
            **changes,
        }

    async def call(self, body: Any) -> tuple[int, Any]:
        """Whoever reaches the port calls the listener."""
        async with self.http.post(self.callback_url, json=body) as answer:
            return answer.status, await answer.json()

    def member_of_nothing(self, name: str, *, bot: bool = False, admin: bool = False) -> str:
        """An account that is in no channel; answers its id."""
        return self.peer.store.add_user(name, is_bot=bot, is_admin=admin).id


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    async with aiohttp.ClientSession() as http:
        room = Room(http)
        await room.peer.start()
        await room.listener.start("127.0.0.1", 0)
        room.card = await room.post("claude", room.context())
        yield room
        await room.listener.stop()
        await room.peer.stop()


# --- what is ours ---------------------------------------------------------------------------------------------------------


async def test_a_members_press_of_our_card_arrives_as_mattermost_says_it(room: Room) -> None:
    assert await room.press("james", room.card) == 200
    [press] = room.presses
    assert (press.card_id, press.request_id, press.action) == ("c1", "r1", "approve")
    assert (press.user_id, press.post_id) == (room.peer.user_id("james"), room.card)
    assert room.refused == {}


# --- what the listener refuses -------------------------------------------------------------------------------------------


async def refused(room: Room, body: Any, reason: str) -> None:
    assert await room.call(body) == (200, {"ephemeral_text": NOT_OURS})
    assert (room.presses, room.refused) == ([], {reason: 1})


@pytest.mark.parametrize("context", [{}, {"card_id": "c1", "request_id": "r1", "action": "approve"}])
async def test_a_press_without_a_mac_is_refused_and_counted(room: Room, context: dict[str, str]) -> None:
    await refused(room, room.body(context=context), "no_mac")


async def test_a_press_with_a_wrong_mac_is_refused_and_counted(room: Room) -> None:
    await refused(room, room.body(context=room.context() | {"mac": "0" * 64}), "bad_mac")


@pytest.mark.parametrize("mac", ["", "0" * 63, "0" * 65, "G" * 64, None, 0, ["0" * 64]])
async def test_a_mac_of_another_shape_is_refused_and_counted(room: Room, mac: Any) -> None:
    status, _ = await room.call(room.body(context=room.context() | {"mac": mac}))
    assert (status, room.presses, room.refused) == (400, [], {"malformed": 1})


@pytest.mark.parametrize(
    "of",
    [{"card_id": "c2"}, {"action": "deny"}, {"channel_id": OTHER_CHANNEL}, {"request_id": "r2"}],
    ids=["another card", "another action", "another channel", "another request"],
)
async def test_the_mac_of_another_button_of_ours_is_refused_and_counted(
    room: Room, of: dict[str, str]
) -> None:
    await refused(room, room.body(context=room.context() | {"mac": room.context(**of)["mac"]}), "bad_mac")


async def test_our_button_in_another_channel_is_refused_and_counted(room: Room) -> None:
    await refused(room, room.body(channel_id=OTHER_CHANNEL), "bad_mac")


async def test_a_mac_with_another_secret_is_refused_and_counted(room: Room) -> None:
    of = {"card_id": "c1", "request_id": "r1", "action": "approve", "channel_id": room.peer.channel_id}
    await refused(room, room.body(context=card_context(b"t" * 32, **of)), "bad_mac")


async def test_a_members_own_button_with_a_guessed_context_is_refused_and_counted(room: Room) -> None:
    lure = await room.post("sarah", room.context() | {"mac": "0" * 64})
    assert await room.press("james", lure) == 200
    assert (room.presses, room.refused) == ([], {"bad_mac": 1})


async def test_a_members_own_button_without_any_context_is_refused_and_counted(room: Room) -> None:
    lure = await room.post("sarah", {})
    assert await room.press("james", lure) == 200
    assert (room.presses, room.refused) == ([], {"no_mac": 1})


async def test_a_context_that_leaked_is_worth_nothing_in_a_members_own_channel(room: Room) -> None:
    other = await room.peer.actions()["mattermost/channel"]({"name": "own", "members": ["sarah", "james"]})
    lure = await room.post("sarah", room.context(), other["id"])  # type: ignore[index]
    assert await room.press("james", lure) == 200
    assert (room.presses, room.refused) == ([], {"bad_mac": 1})


async def test_an_invented_user_without_our_context_is_refused_and_counted(room: Room) -> None:
    await refused(room, room.body(user_id="q" * 26, user_name="root", context={}), "no_mac")


async def test_another_decision_slipped_in_beside_the_signed_one_is_left_unread(room: Room) -> None:
    context = {**room.context(), "user_id": "q" * 26, "domain": "evil.example", "selected_option": "deny"}
    await room.call(room.body(context=context, action="deny", card_id="c9"))
    [press] = room.presses
    assert (press.card_id, press.action, press.user_id) == ("c1", "approve", room.peer.user_id("james"))


# --- what cannot be had: the context -------------------------------------------------------------------------------------


async def everything_readable(room: Room, who: str) -> str:
    """Whatever Mattermost answers to this user about the card."""
    read = [
        await room.ask(who, "GET", path)
        for path in (
            f"/posts/{room.card}",
            f"/posts/{room.card}/thread",
            f"/channels/{room.peer.channel_id}/posts",
            f"/channels/{room.peer.channel_id}/posts?since=1",
        )
    ]
    assert [status for status, _ in read] == [200] * 4
    return json.dumps([body for _, body in read])


async def test_no_one_can_read_the_context_of_our_card(room: Room) -> None:
    admin = room.member_of_nothing("root", admin=True)
    readers = ["james", "sarah", "claude", room.peer.store.token_of(admin)]
    url, headers = f"{room.peer.url}/api/v4/websocket", {"Authorization": f"Bearer {room.peer.sarah_token}"}
    async with room.http.ws_connect(url, headers=headers) as socket:
        again = await room.post("claude", room.context())
        await room.ask("claude", "PUT", f"/posts/{again}/patch", {"message": "changed"})
        await room.press("james", again)
        seen = ""
        while "post_edited" not in seen:
            seen += await socket.receive_str(timeout=5)
    seen += "".join([await everything_readable(room, who) for who in readers])
    assert again in seen
    assert room.card in seen
    assert room.context()["mac"] not in seen
    assert "integration" not in seen


async def test_a_card_posted_again_as_it_can_be_read_has_no_buttons_that_work(room: Room) -> None:
    _, read = await room.ask("sarah", "GET", f"/posts/{room.card}")
    copy = {"channel_id": room.peer.channel_id, "message": read["message"], "props": read["props"]}
    status, post = await room.ask("sarah", "POST", "/posts", copy)
    assert status == 201
    assert await room.press("james", post["id"]) == 404
    assert (room.presses, room.refused) == ([], {})


# --- what Mattermost itself refuses ----------------------------------------------------------------------------------------


async def test_who_is_not_in_the_channel_cannot_press_through_mattermost(room: Room) -> None:
    eve = room.member_of_nothing("eve")
    assert await room.press(room.peer.store.token_of(eve), room.card) == 403
    assert room.presses == []


async def test_a_deactivated_user_cannot_press_through_mattermost(room: Room) -> None:
    sarah = room.peer.store.users[room.peer.user_id("sarah")]
    room.peer.store.activate(sarah, active=False)
    assert await room.press("sarah", room.card) == 401
    assert room.presses == []


# --- what the listener cannot tell: the service has to ask Mattermost ---------------------------------------------------------


@pytest.mark.parametrize("who", ["nobody at all", "a bot", "no member", "deactivated"])
async def test_a_direct_call_in_anybodys_name_is_handed_on_as_a_claim(room: Room, who: str) -> None:
    """Whoever learned a context on the wire can name whom they like: only the id is handed on, to be looked up."""
    user_id = {
        "nobody at all": "q" * 26,
        "a bot": room.peer.user_id("claude"),
        "no member": room.member_of_nothing("eve"),
        "deactivated": room.peer.store.activate(
            room.peer.store.users[room.peer.user_id("sarah")], active=False
        ).id,
    }[who]
    assert await room.call(room.body(user_id=user_id, user_name="james")) == (200, {})
    assert [(press.user_id, press.user_name) for press in room.presses] == [(user_id, "james")]


async def test_a_system_administrator_can_press_through_mattermost_without_being_a_member(room: Room) -> None:
    root = room.member_of_nothing("root", admin=True)
    assert await room.press(room.peer.store.token_of(root), room.card) == 200
    assert [press.user_id for press in room.presses] == [root]


async def test_a_bot_can_press_through_mattermost(room: Room) -> None:
    assert await room.press("claude", room.card) == 200
    assert [press.user_id for press in room.presses] == [room.peer.user_id("claude")]


async def test_a_post_by_somebody_else_with_a_context_that_leaked_is_handed_on_with_that_posts_id(
    room: Room,
) -> None:
    lure = await room.post("sarah", room.context())
    assert await room.press("james", lure) == 200
    assert [press.post_id for press in room.presses] == [lure]


async def test_a_press_sent_again_is_handed_on_with_the_same_trigger_so_that_it_counts_once(
    room: Room,
) -> None:
    await room.call(room.body())
    await room.call(room.body())
    first, second = room.presses
    assert first == second
    assert first.trigger_id == TRIGGER


async def test_a_press_that_mattermost_delivers_twice_has_one_trigger(room: Room) -> None:
    room.faults.arm("mattermost", "press_delivered_twice")
    await room.press("james", room.card)
    assert len(room.presses) == 2
    assert len({press.trigger_id for press in room.presses}) == 1
