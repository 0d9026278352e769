"""The specification's example conversation, from `start` to Stopped, command by command."""

from __future__ import annotations

from sm.core import streams
from sm.core.commands import (
    AppendLine,
    ApplyAlias,
    CardRow,
    CardView,
    PostCard,
    PrepareRepository,
    Relay,
    ResolveCard,
    SetTimer,
    StartAgent,
    StopAgent,
    TryDomain,
    UpdateCard,
    WriteAlias,
)
from sm.core.stream_json import initialize_line, user_line

from .playbook import (
    ALIAS,
    CHANNEL,
    NOON_MS,
    PREPARED,
    SESSION,
    World,
    address_of,
    init,
    said,
    tool_result,
    tool_use,
)

BLOCKED = """I'll add pytest to the project dependencies...

$ pip install pytest
ERROR: Connection timed out to pypi.org

[NETWORK_REQUEST: pypi.org]"""


def test_the_example_conversation_from_start_to_stopped():
    world = World()

    world.start()
    assert world.events == [
        "chat.message_received",
        "session.requested",
        "repository.claim_requested",
        "repository.granted",
    ]
    assert world.commands == [said("preparing"), PrepareRepository(SESSION, "acme", "webapp")]
    assert (world.state(), world.channel_state(), world.repository()) == ("preparing", "occupied", "held")

    world.prepared()
    assert world.commands == [
        said("starting"),
        StartAgent(
            session_id=SESSION,
            generation=1,
            workspace=PREPARED.path,
            mirror=PREPARED.mirror,
            agent_session_id=SESSION,
            resume=False,
            permission_mode="bypassPermissions",
            line=initialize_line(1),
        ),
    ]

    world.started()
    assert world.commands == [SetTimer(SESSION, "ready", 1, NOON_MS + 60_000)]
    world.initialized()
    assert world.commands == [said("ready", session="abc12345")]
    assert world.state() == "ready"

    world.post("add pytest to the project")
    asked = world.data.talk.unacknowledged
    line = user_line("add pytest to the project", asked.uuid)
    assert world.commands == [AppendLine(SESSION, 1, len(initialize_line(1)), line)]
    assert world.appended_line().commands == []
    assert world.state() == "working"

    world.running().agent(init())
    assert world.replay().commands == []
    assert world.agent(tool_use(command="pip install pytest")).commands == []
    assert world.agent(tool_result("Connection timed out")).commands == []
    world.says(BLOCKED)
    assert world.commands == [Relay(CHANNEL, 0), ResolveCard(world.card("pypi.org").card_id, ("pypi.org",))]
    assert world.result(BLOCKED).commands == []
    assert world.idle().commands == []
    assert world.state() == "ready"

    world.resolved()
    card, row = world.card("pypi.org"), world.views[0].rows[0]
    assert world.views == [
        CardView(
            card_id=card.card_id,
            session_id=SESSION,
            title="acme/webapp",
            user_name="james",
            doing="pip install pytest",
            rows=(
                CardRow(
                    row.request_id, "pypi.org", "pending", status="found", addresses=(address_of("pypi.org"),)
                ),
            ),
            expires_ms=NOON_MS + 86_400_000,
        )
    ]
    remind = SetTimer("", f"remind:{card.card_id}", 0, NOON_MS + 3_600_000)
    expire = SetTimer("", f"expire:{card.card_id}", 0, NOON_MS + 86_400_000)
    assert world.commands == [PostCard(card.card_id, CHANNEL, world.views[0]), remind, expire]

    assert world.card_posted("pypi.org").commands == []
    world.press("pypi.org")
    assert world.commands[0] == WriteAlias(ALIAS, ("pypi.org",), ())
    assert world.shown == [("applying",)]
    assert world.read().commands == []
    world.written(read=False)
    assert world.firewall == ["api.anthropic.com", "pypi.org"]
    assert world.commands == [ApplyAlias(ALIAS, ("pypi.org",), (), (), ("192.0.2.1",))]

    world.applied("seen")
    assert world.events == ["alias.applied"]
    assert world.commands[0] == TryDomain("pypi.org", NOON_MS + 90_000)
    assert world.shown == [("approved",)]
    assert world.appended == []
    world.tried("pypi.org")
    assert world.events == ["network.tried", "network.approved"]
    assert world.last(UpdateCard).view.rows[0].user_name == "james"
    assert world.appended == ["[NETWORK_APPROVED: pypi.org]"]
    assert world.turn("Successfully installed pytest-8.0.0").state() == "ready"

    world.stop()
    assert world.commands == [StopAgent(SESSION, 1)]
    assert world.ended(how="143 0").commands == []
    assert world.container_stopped().kinds == ["workspace.inspect"]
    world.looked_at()
    assert world.commands[0] == said("stopped", waiting="0")
    assert world.said == ["stopped", "left_behind"]
    assert world.events == [
        "workspace.inspected",
        "repository.released",
        "channel.session_ended",
        "network.session_ended",
    ]
    assert (world.state(), world.channel_state(), world.repository()) == ("stopped", "open", "free")


def test_its_streams_are_four_and_each_begins_with_its_rules():
    world = World().ready()
    world.says("[NETWORK_REQUEST: pypi.org]")
    first = {recorded.stream: recorded.event.KIND for recorded in reversed(world.history)}
    assert first == {
        streams.channel(CHANNEL): "stream.opened",
        streams.session(SESSION): "stream.opened",
        streams.repository("vm1", "acme", "webapp"): "stream.opened",
        streams.alias(ALIAS): "stream.opened",
    }
