from __future__ import annotations

from mattermost_kit import sandbox


async def test_the_control_server_lists_what_it_knows():
    async with sandbox() as box:
        status, index = await box.ask("GET", "/")
        assert status == 200
        assert "mattermost.lost_reply" in index["faults"]
        assert "mattermost.deduplication" in index["scales"]
        assert "drop" in index["actions"]
        assert "posts" in index["sections"]


async def test_an_unknown_fault_answers_400_and_those_that_are_known():
    async with sandbox() as box:
        status, answer = await box.ask("POST", "/faults", {"peer": "mattermost", "fault": "meteor"})
        assert status == 400
        assert "mattermost.lost_reply" in answer["error"]


async def test_an_unknown_peer_action_section_key_or_wait_answers_400():
    async with sandbox() as box:
        for method, path, body in (
            ("POST", "/faults", {"peer": "matermost", "fault": "slow"}),
            ("POST", "/faults", {"peer": "mattermost", "fault": "slow", "tims": 1}),
            ("POST", "/faults", {"peer": "mattermost", "fault": "slow", "times": "often"}),
            ("POST", "/faults", [1]),
            ("POST", "/scale", {"mattermost.nothing": 1}),
            ("POST", "/scale", {"mattermost.slow": "fast"}),
            ("POST", "/explode", {}),
            ("GET", "/state/nothing", None),
            ("POST", "/drop", {"user": "nobody"}),
        ):
            status, answer = await box.ask(method, path, body)
            assert status == 400, (path, body)
            assert answer["error"].endswith(".")


async def test_the_state_shows_every_post_with_who_wrote_it():
    async with sandbox() as box:
        post = await box.post("james", "hello", props={"k": 1})
        status, state = await box.ask("GET", "/state")
        assert status == 200
        (shown,) = state["posts"]
        assert shown["id"] == post["id"]
        assert (shown["user"], shown["channel"], shown["message"]) == ("james", "claude-project", "hello")
        assert shown["props"] == {"k": 1}
        assert shown["create_at"] == post["create_at"]
        assert (await box.ask("GET", "/state/posts"))[1] == state["posts"]


async def test_no_token_is_in_the_state():
    async with sandbox() as box:
        await box.post("james", "hello")
        text = str((await box.ask("GET", "/state"))[1])
        assert not any(box.peer.token(name) in text for name in ("claude", "james", "sarah"))


async def test_faults_count_their_hits_and_can_be_cleared():
    async with sandbox() as box:
        await box.arm("server_error", times=None)
        assert (await box.call("claude", "GET", "/users/me"))[0] == 500
        _, listed = await box.ask("GET", "/faults")
        assert listed["mattermost"]["server_error"]["hits"] == 1
        assert listed["mattermost"]["server_error"]["armed"]
        assert (await box.ask("DELETE", "/faults?peer=mattermost"))[1] == {"cleared": 1}
        assert (await box.call("claude", "GET", "/users/me"))[0] == 200


async def test_a_channel_can_be_made_and_people_moved():
    async with sandbox() as box:
        status, made = await box.ask("POST", "/mattermost/channel", {"name": "other", "members": ["james"]})
        assert status == 200
        path = f"/channels/{made['id']}/members/{box.peer.user_id('claude')}"
        assert (await box.call("claude", "GET", path))[0] == 403
        await box.ask("POST", "/mattermost/join", {"channel": "other", "user": "claude"})
        assert (await box.call("claude", "GET", path))[0] == 200
        await box.ask("POST", "/mattermost/leave", {"channel": "other", "user": "claude"})
        assert (await box.call("claude", "GET", path))[0] == 403
