"""Posts into the journal: whose are taken, each once, none lost over gaps, stops and restarts.

What is guaranteed about order: a channel's posts are recorded in the order in which Mattermost announces them, and
after a gap in the order of the channel's own listing. Where Mattermost announces two the wrong way round, they are
recorded so: each once, and both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from chat_kit import Town, shortly
from engine_kit import ALIAS, Engine, ManualClock, ingress, until

from sm.core import streams
from sm.core.events import ChannelJoined, MessageReceived, MessageSkipped
from sm.engine.approvals import Approvals
from sm.engine.identity import Identity
from sm.engine.intake import Intake
from sm.mattermost.client import MattermostClient
from sm.mattermost.socket import MattermostSocket


class Listener:
    """One start of engine and intake before the town."""

    def __init__(self, engine: Engine, town: Town) -> None:
        self.engine, self.town = engine, town
        self.client = MattermostClient(town.http, town.peer.url, town.peer.bot_token, sleep=shortly)
        bot_id = town.peer.user_id("claude")
        socket = MattermostSocket(town.http, town.peer.url, town.peer.bot_token, bot_id=bot_id, sleep=shortly)
        self.intake = Intake(
            engine.writer,
            self.client,
            socket,
            ingress(),
            bot_id=bot_id,
            positions=engine.positions,
            clock=engine.clock,
            approvals=Approvals(
                engine.writer,
                self.client,
                alias=ALIAS,
                identity=Identity(self.client, engine.clock),
                clock=engine.clock,
            ),
        )
        self.task = asyncio.create_task(self.intake.run())

    async def joined(self, channel: str = "") -> None:
        """Wait until the channel is read."""
        stream = streams.channel(channel or self.town.channel)
        await until(lambda: self.engine.writer.state(stream).rules, "the channel is read")

    def texts(self, channel: str = "") -> list[str]:
        """What was recorded of people in a channel since this start; `-` for what is not stored."""
        found: list[str] = []
        for commit in self.engine.commits:
            for recorded in commit.events:
                event = recorded.event
                if getattr(event, "channel_id", "") == (channel or self.town.channel):
                    if isinstance(event, MessageReceived):
                        found.append(event.text)
                    elif isinstance(event, MessageSkipped):
                        found.append("-")
        return found

    async def has(self, *texts: str, channel: str = "") -> None:
        await until(lambda: self.texts(channel) == list(texts) or None, f"{texts}, not {self.texts(channel)}")

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        await self.engine.crash()


Listen = Callable[..., Awaitable[Listener]]


@pytest.fixture
async def listen(start_engine, town: Town) -> AsyncIterator[Listen]:
    """Start an engine with an intake; all are stopped at the end."""
    started: list[Listener] = []

    async def start(*args: Path, joined: bool = True) -> Listener:
        listener = Listener(await start_engine(*args, clock=ManualClock(flows=True)), town)
        started.append(listener)
        if joined:
            await listener.joined()
        return listener

    yield start
    for listener in started:
        await listener.stop()


# --- whose posts --------------------------------------------------------------------------------------------------------


async def test_a_persons_post_is_recorded_with_who_wrote_it(listen: Listen, town: Town) -> None:
    listener = await listen()
    post_id = await town.write("james", "@claude help")
    await listener.has("@claude help")
    [received] = listener.engine.recorded("chat.message_received")
    assert received.stream == streams.channel(town.channel)
    assert (received.event.post_id, received.event.user_name) == (post_id, "james")
    assert await listener.engine.journal.event_by_key(f"post:{post_id}") is not None


async def test_own_bot_webhook_and_system_posts_are_ignored(listen: Listen, town: Town) -> None:
    listener = await listen()
    other = town.peer.store.add_user("helper", is_bot=True)
    town.peer.store.members[town.channel].append(other.id)
    await town.write("claude", "@claude help from ourselves")
    await town.write("helper", "@claude help from a bot")
    await town.write("james", "@claude help from a webhook", props={"from_webhook": "true"})
    guest = town.peer.store.add_user("guest")
    await town.peer.actions()["mattermost/join"]({"channel": town.channel, "user": guest.username})
    await town.write("james", "@claude help")
    await listener.has("@claude help")


async def test_without_a_session_the_text_of_others_is_not_stored_but_the_cursor_moves(
    listen: Listen, town: Town, path: Path
) -> None:
    listener = await listen(path)
    post_id = await town.write("james", "between ourselves")
    await listener.has("-")
    assert listener.engine.positions.recorded[town.channel][-1] == post_id
    assert not any("ourselves" in row.payload for row in await listener.engine.rows())


async def test_an_edit_or_a_reaction_is_no_new_post(listen: Listen, town: Town) -> None:
    listener = await listen()
    post_id = await town.write("james", "@claude help")
    await town.call("james", "PUT", f"/posts/{post_id}/patch", {"message": "@claude stop"})
    await town.write("james", "@claude status")
    await listener.has("@claude help", "@claude status")


# --- once and in order ----------------------------------------------------------------------------------------------------


async def test_a_post_announced_twice_is_recorded_once(listen: Listen, town: Town) -> None:
    listener = await listen()
    town.arm("duplicate_posted", times=None)
    for n in range(5):
        await town.write("james", f"@claude say {n}")
    await listener.has(*[f"@claude say {n}" for n in range(5)])


async def test_posts_announced_the_wrong_way_round_are_each_recorded_once(listen: Listen, town: Town) -> None:
    listener = await listen()
    town.arm("reorder_posted", message="@claude first")
    for text in ("@claude first", "@claude second", "@claude third"):
        await town.write("james", text)
    await listener.has("@claude second", "@claude first", "@claude third")


async def test_many_posts_at_once_are_recorded_in_the_channels_order(listen: Listen, town: Town) -> None:
    listener = await listen()
    await asyncio.gather(*[town.write("james" if n % 2 else "sarah", f"@claude say {n}") for n in range(30)])
    people = {town.peer.user_id("james"), town.peer.user_id("sarah")}
    order = [p.message for p in town.peer.store.live(town.channel) if p.user_id in people]
    await listener.has(*order)


# --- gaps -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forget", [False, True], ids=["resumed", "a new stream: filled from the listing"])
async def test_posts_during_a_dropped_websocket_arrive_once_and_in_order(
    listen: Listen, town: Town, forget: bool
) -> None:
    listener = await listen()
    await town.write("james", "@claude say 0")
    await listener.has("@claude say 0")
    await town.peer.actions()["drop"]({"user": "claude", "forget": forget})
    for n in range(1, 6):
        await town.write("james", f"@claude say {n}")
    await listener.has(*[f"@claude say {n}" for n in range(6)])
    await town.write("james", "@claude say 6")
    await listener.has(*[f"@claude say {n}" for n in range(7)])


async def test_a_gap_of_more_than_a_page_is_filled(listen: Listen, town: Town) -> None:
    listener = await listen()
    await town.write("james", "@claude say first")
    await listener.has("@claude say first")
    town.arm("server_error", times=None, path="/api/v4/websocket")
    await town.peer.actions()["drop"]({"user": "claude", "forget": True})
    texts = [f"@claude say {n}" for n in range(450)]
    for text in texts:
        await town.write("sarah", text)
    town.faults.clear("mattermost")
    await listener.has("@claude say first", *texts)


async def test_a_gap_is_filled_although_mattermost_stumbles(listen: Listen, town: Town) -> None:
    listener = await listen()
    await town.write("james", "@claude say 0")
    await listener.has("@claude say 0")
    town.arm("server_error", times=3, path=f"/api/v4/channels/{town.channel}/posts")
    town.arm("rate_limited", times=1, path=f"/api/v4/channels/{town.channel}/posts", after=1)
    await town.peer.actions()["drop"]({"user": "claude", "forget": True})
    for n in range(1, 4):
        await town.write("james", f"@claude say {n}")
    await listener.has(*[f"@claude say {n}" for n in range(4)])


async def test_posts_of_one_millisecond_are_all_there_after_a_gap(listen: Listen, town: Town) -> None:
    listener = await listen()
    await town.write("james", "@claude say 0")
    await listener.has("@claude say 0")
    town.arm("same_millisecond", times=None)
    await town.peer.actions()["drop"]({"user": "claude", "forget": True})
    for n in range(1, 5):
        await town.write("james", f"@claude say {n}")
    await until(lambda: len(listener.texts()) == 5)
    assert sorted(listener.texts()) == [f"@claude say {n}" for n in range(5)]


async def test_a_token_that_is_refused_for_a_while_costs_no_post(listen: Listen, town: Town) -> None:
    """An open WebSocket goes on when REST says 401; who wrote the post cannot be looked up meanwhile."""
    listener = await listen()
    await town.write("sarah", "@claude say 0")
    await listener.has("@claude say 0")
    town.arm("unauthorized", times=3)
    await town.write("james", "@claude say 1")  # james was not looked up before
    await town.write("sarah", "@claude say 2")
    await listener.has("@claude say 0", "@claude say 1", "@claude say 2")


# --- stops and starts -----------------------------------------------------------------------------------------------------


async def test_posts_written_while_stopped_arrive_at_the_next_start(
    listen: Listen, town: Town, path: Path
) -> None:
    listener = await listen(path)
    await town.write("james", "@claude say 0")
    await listener.has("@claude say 0")
    await listener.stop()
    for n in range(1, 4):
        await town.write("james", f"@claude say {n}")
    await town.write("claude", "ourselves")
    again = await listen(path)
    await again.has("@claude say 1", "@claude say 2", "@claude say 3")
    await town.write("james", "@claude say 4")
    await again.has(*[f"@claude say {n}" for n in range(1, 5)])


async def test_a_restart_records_nothing_twice(listen: Listen, town: Town, path: Path) -> None:
    listener = await listen(path)
    await town.write("james", "@claude help")
    await listener.has("@claude help")
    await listener.stop()
    again = await listen(path)
    await town.write("james", "@claude stop")
    await again.has("@claude stop")


async def test_a_crash_before_the_commit_loses_nothing(listen: Listen, town: Town, path: Path) -> None:
    listener = await listen(path)
    listener.engine.running.cancel()  # the writer is dead; what comes in is never committed
    await town.write("james", "@claude say 1")
    await town.write("james", "@claude say 2")
    await listener.stop()
    again = await listen(path)
    await again.has("@claude say 1", "@claude say 2")


async def test_a_crash_between_two_that_came_the_wrong_way_round_loses_neither(
    listen: Listen, town: Town, path: Path
) -> None:
    listener = await listen(path)
    await town.write("james", "@claude say 0")
    await listener.has("@claude say 0")
    town.faults.set_scale("mattermost.held_back", 1000)
    listener.engine.writer.listen(
        lambda committed: (
            listener.task.cancel()
            if any(getattr(r.event, "text", "") == "@claude second" for r in committed.events)
            else None
        )
    )
    town.arm("reorder_posted", message="@claude first")
    await town.write("james", "@claude first")
    await town.write("james", "@claude second")
    await listener.has("@claude say 0", "@claude second")
    await listener.stop()
    again = await listen(path)
    await again.has("@claude first")


# --- channels -------------------------------------------------------------------------------------------------------------


async def test_a_first_join_begins_at_the_channels_end(listen: Listen, town: Town) -> None:
    for n in range(3):
        await town.write("james", f"@claude old {n}")
    last = town.peer.store.live(town.channel)[-1].id
    listener = await listen()
    [joined] = listener.engine.recorded("channel.joined")
    assert isinstance(joined.event, ChannelJoined)
    assert (joined.event.name, joined.event.after_post_id) == ("claude-project", last)
    await town.write("james", "@claude new")
    await listener.has("@claude new")


async def test_a_first_join_of_an_empty_channel_begins_at_its_beginning(listen: Listen, town: Town) -> None:
    listener = await listen()
    [joined] = listener.engine.recorded("channel.joined")
    assert joined.event.after_post_id is None
    await town.peer.actions()["drop"]({"user": "claude", "forget": True})
    await town.write("james", "@claude new")
    await listener.has("@claude new")


async def test_what_is_written_right_after_the_first_join_is_not_lost(listen: Listen, town: Town) -> None:
    """The connection stands, the channel's end is asked for: what is written meanwhile comes both ways."""
    town.faults.set_scale("mattermost.slow", 0.02)
    town.arm("slow", path=f"/api/v4/channels/{town.channel}/posts")
    listener = await listen(joined=False)
    await until(lambda: town.faults.hits("mattermost", "slow"))
    await town.write("james", "@claude one")
    await town.write("james", "@claude two")
    await listener.has("@claude one", "@claude two")


async def test_a_channel_that_the_bot_is_added_to_while_running_is_read_from_there(
    listen: Listen, town: Town
) -> None:
    listener = await listen()
    made = await town.peer.actions()["mattermost/channel"]({"name": "second", "members": ["james", "sarah"]})
    channel = made["id"]  # type: ignore[index]
    await town.write("james", "@claude before", channel=channel)
    await town.peer.actions()["mattermost/join"]({"channel": channel, "user": "claude"})
    await town.write("james", "@claude one", channel=channel)
    await town.write("sarah", "@claude two", channel=channel)
    await listener.has("@claude one", "@claude two", channel=channel)
    await town.write("james", "@claude here")
    await listener.has("@claude here")


async def test_a_channel_that_the_bot_was_added_to_while_stopped_is_read_from_the_start_on(
    listen: Listen, town: Town, path: Path
) -> None:
    listener = await listen(path)
    await listener.stop()
    made = await town.peer.actions()["mattermost/channel"]({"name": "second"})
    channel = made["id"]  # type: ignore[index]
    again = await listen(path)
    await again.joined(channel)
    await town.write("james", "@claude one", channel=channel)
    await again.has("@claude one", channel=channel)


async def test_a_channel_that_refuses_does_not_hold_up_the_others(listen: Listen, town: Town) -> None:
    made = await town.peer.actions()["mattermost/channel"]({"name": "aside"})
    channel = made["id"]  # type: ignore[index]
    listener = await listen()
    await listener.joined(channel)
    await town.peer.actions()["mattermost/leave"]({"channel": channel, "user": "claude"})
    await town.write("james", "@claude unheard", channel=channel)
    await town.write("james", "@claude heard")
    await listener.has("@claude heard")
    assert listener.texts(channel) == []


async def test_a_direct_message_is_a_channel_like_any_other(listen: Listen, town: Town) -> None:
    listener = await listen()
    ids = [town.peer.user_id("james"), town.peer.user_id("claude")]
    _, channel = await town.call("james", "POST", "/channels/direct", ids)
    await town.write("james", "@claude help", channel=channel["id"])
    await listener.has("@claude help", channel=channel["id"])
