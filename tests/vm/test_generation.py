"""A generation: started once, fed by compare-and-append, stopped by its container's id."""

import asyncio
import json
import os

import pytest

from sm.core.outcome import Refused, Unreachable
from sm.vm import Appended, LengthMismatch

from .conftest import AGENT, FIRST, SESSION, spec, until

LINE = b'{"type":"user","uuid":"u1"}\n'
START = len(FIRST) + 1


def containers(peer):
    return [json.loads(file.read_text()) for file in (peer.state / "c").glob("*.json")]


def last_run(peer):
    return json.loads((peer.state / "runs.jsonl").read_text().splitlines()[-1])


async def test_an_agent_is_started_with_the_first_line_and_answers(peer, started):
    status = await started.status(SESSION, 1)
    assert status.meaning == "running"
    assert (status.in_bytes, status.exit) == (START, "")
    assert status.container_id == peer.read("cid")
    assert peer.read("out") == '{"got":' + FIRST + "}\n"


async def test_the_container_has_exactly_the_options_of_the_contract(peer, vm):
    mirror = peer.repos / ".mirrors"
    mirror.mkdir()
    await vm.start_generation(spec(peer, mirror=str(mirror)), 1)
    words = last_run(peer)
    image = words.index("claude-code:latest")
    options, agent = " ".join(words[:image]), words[image + 1 :]
    home = peer.sessions / SESSION / "home"
    user = "--user 0:0" if os.getuid() == 0 else "--userns=keep-id"
    for option in (
        "-i --cidfile cid --sig-proxy=false --init --name claude-0a1b2c3d",
        f"--label sm.session={SESSION} --label sm.generation=1 --log-driver none --network isolated",
        f"{user} --cap-drop=all --security-opt=no-new-privileges --pull=never",
        "--memory 4g --pids-limit 512",
        "-e ANTHROPIC_API_KEY -e HOME=/home/agent -e CLAUDE_CONFIG_DIR=/home/agent/.claude",
        "-e CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS=1",
        f"-v {home}:/home/agent",
        f"-v {mirror}:{mirror}:ro",
        f"-v {peer.workspace}:/workspace -w /workspace",
    ):
        assert option in options
    assert agent == [
        "claude", "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose",
        "--replay-user-messages", "--append-system-prompt", spec(peer).system_prompt, "--session-id", AGENT,
        "--permission-mode", "bypassPermissions",
    ]  # fmt: skip


async def test_the_api_key_enters_by_name_and_stands_in_no_argument(peer, started):
    assert "ANTHROPIC_API_KEY=sk-ant-test-0000" in (peer.workspace / "env.txt").read_text()
    assert "sk-ant-test-0000" not in (peer.state / "runs.jsonl").read_text()


async def test_docker_runs_as_the_users_own_uid(peer):
    await peer.vm(runtime="docker").start_generation(spec(peer), 1)
    words = last_run(peer)
    assert words[words.index("--user") + 1] == peer.shell("id -u; id -g").replace("\n", ":")


async def test_rootless_podman_keeps_the_users_id(peer, vm):
    peer.tool("id", "case $1 in -u|-g) echo 1000;; *) echo claude;; esac")
    await vm.start_generation(spec(peer), 1)
    assert "--userns=keep-id" in last_run(peer)
    assert "IS_SANDBOX=1" not in last_run(peer)


async def test_a_later_generation_resumes(peer, vm):
    await vm.start_generation(spec(peer, resume=True), 1)
    assert last_run(peer)[-4:-2] == ["--resume", AGENT]


async def test_a_system_prompt_arrives_unchanged_whatever_it_quotes(peer, started):
    assert spec(peer).system_prompt in (peer.workspace / "argv.txt").read_text()


async def test_a_second_start_of_the_same_generation_is_harmless(peer, started):
    before = peer.pump()
    again = await started.start_generation(spec(peer), 1)
    assert again.resumed_existing
    assert again.container_id == peer.read("cid")
    assert peer.pump() == before
    assert len((peer.state / "runs.jsonl").read_text().splitlines()) == 1
    assert len(peer.read("in")) == START


async def test_two_starts_at_once_make_one_container(peer, vm):
    first, second = await asyncio.gather(*(vm.start_generation(spec(peer), 1) for _ in range(2)))
    assert sorted((first.resumed_existing, second.resumed_existing)) == [False, True]
    assert first.container_id == second.container_id
    assert len(containers(peer)) == 1


async def test_a_finished_generation_is_not_started_again(peer, started):
    await started.stop_generation(SESSION, 1, 1)
    assert (await started.start_generation(spec(peer), 1)).resumed_existing
    assert containers(peer) == []


async def test_the_next_generation_stops_and_removes_the_older_one_by_id(peer, started):
    old = peer.read("cid")
    begun = await started.start_generation(spec(peer, 2), 1)
    assert begun.container_id != old
    assert [c["id"] for c in containers(peer)] == [begun.container_id]
    assert peer.read("exit", 1).startswith("143 0 exited")


async def test_a_strangers_container_of_that_name_is_left_alone(peer, vm):
    peer.shell(
        "podman run --name claude-0a1b2c3d --label sm.session=other --label sm.generation=1 claude-code:latest true"
    )
    with pytest.raises(Refused) as refused:
        await vm.start_generation(spec(peer), 1)
    assert refused.value.code == "name_taken"
    assert len(containers(peer)) == 1


async def test_a_start_while_the_runtime_is_away_changes_nothing(peer, vm):
    (peer.state / "away").touch()
    with pytest.raises(Unreachable):
        await vm.start_generation(spec(peer), 1)
    assert not peer.generation().joinpath("in").exists()
    (peer.state / "away").unlink()
    assert not (await vm.start_generation(spec(peer), 1)).resumed_existing


async def test_without_an_api_key_nothing_is_started(peer, vm):
    peer.write_profile(key="")
    with pytest.raises(Refused) as refused:
        await vm.start_generation(spec(peer), 1)
    assert refused.value.code == "api_key_missing"
    assert containers(peer) == []


async def test_a_system_prompt_too_long_for_an_argument_is_refused(peer, vm):
    with pytest.raises(Refused) as refused:
        await vm.start_generation(spec(peer, system_prompt="x" * 130_000), 1)
    assert refused.value.code == "too_long"


async def test_a_line_is_appended_and_answered(peer, started):
    found = await started.append(session_id=SESSION, generation=1, expected=START, line=LINE, epoch=1)
    assert found == Appended(START + len(LINE))
    await until(lambda: '"u1"' in peer.read("out"), "the answer")


async def test_the_same_append_twice_is_harmless(peer, started):
    for _ in range(2):
        found = await started.append(session_id=SESSION, generation=1, expected=START, line=LINE, epoch=1)
        assert found == Appended(START + len(LINE))
    assert peer.read("in") == FIRST + "\n" + LINE.decode()


async def test_a_torn_line_is_completed(peer, started):
    with (peer.generation() / "in").open("ab") as file:
        file.write(LINE[:9])
    found = await started.append(session_id=SESSION, generation=1, expected=START, line=LINE, epoch=1)
    assert found == Appended(START + len(LINE))
    assert peer.read("in") == FIRST + "\n" + LINE.decode()
    await until(lambda: '"u1"' in peer.read("out"), "the answer")


@pytest.mark.parametrize(
    ("there", "expected"),
    [(b"something else\n", START), (b"", START + 5), (b"", START - 5), (LINE + LINE, START), (b"{,", START)],
)
async def test_any_other_length_or_beginning_is_a_mismatch_and_writes_nothing(peer, started, there, expected):
    with (peer.generation() / "in").open("ab") as file:
        file.write(there)
    found = await started.append(session_id=SESSION, generation=1, expected=expected, line=LINE, epoch=1)
    assert found == LengthMismatch(START + len(there))
    assert peer.read("in").encode() == FIRST.encode() + b"\n" + there


async def test_a_line_of_megabytes_goes_by_stdin(peer, started):
    line = b'{"image":"' + b"A" * 3_000_000 + b'"}\n'
    found = await started.append(session_id=SESSION, generation=1, expected=START, line=line, epoch=1)
    assert found == Appended(START + len(line))
    await until(lambda: len(peer.read("out")) > 3_000_000, "the echo")


async def test_half_a_line_is_never_taken(peer, started):
    for line in (b'{"a":1}', b'{"a":1}\n{"b":2}\n', b""):
        with pytest.raises(Refused):
            await started.append(session_id=SESSION, generation=1, expected=START, line=line, epoch=1)


async def test_an_append_to_a_generation_never_started_is_refused(peer, vm):
    with pytest.raises(Refused) as refused:
        await vm.append(session_id=SESSION, generation=1, expected=0, line=LINE, epoch=1)
    assert refused.value.code == "generation_missing"


async def test_an_older_writer_is_refused_everywhere(peer, started):
    await started.fence(SESSION, 7)
    for step in (
        started.append(session_id=SESSION, generation=1, expected=START, line=LINE, epoch=6),
        started.start_generation(spec(peer, 2), 6),
        started.stop_generation(SESSION, 1, 6),
        started.fence(SESSION, 6),
    ):
        with pytest.raises(Refused) as refused:
            await step
        assert refused.value.code == "fenced"
    assert (peer.sessions / SESSION / "epoch").read_text() == "7\n"
    assert (await started.status(SESSION, 1)).meaning == "running"


async def test_a_later_writer_raises_the_epoch_with_its_first_step(peer, started):
    await started.append(session_id=SESSION, generation=1, expected=START, line=LINE, epoch=12)
    assert (peer.sessions / SESSION / "epoch").read_text() == "12\n"


async def test_stop_ends_the_container_and_keeps_the_files(peer, started):
    found = await started.stop_generation(SESSION, 1, 1)
    assert found.meaning == "ended"
    assert found.exit.startswith("143 0 exited 143")
    assert containers(peer) == []
    assert peer.read("out")


async def test_stop_without_removal_keeps_the_container(peer, started):
    assert (await started.stop_generation(SESSION, 1, 1, remove=False)).meaning == "ended"
    assert [c["status"] for c in containers(peer)] == ["exited"]


async def test_a_second_stop_is_harmless(peer, started):
    first = await started.stop_generation(SESSION, 1, 1)
    assert await started.stop_generation(SESSION, 1, 1) == first


async def test_stopping_what_never_was_says_so(peer, vm):
    assert (await vm.stop_generation(SESSION, 1, 1)).meaning == "never_started"


async def test_a_stop_that_the_runtime_does_not_carry_out_is_not_reported_as_done(peer, started):
    (peer.state / "no-stop").touch()
    with pytest.raises(Unreachable):
        await started.stop_generation(SESSION, 1, 1)
    (peer.state / "no-stop").unlink()
    assert (await started.stop_generation(SESSION, 1, 1)).meaning == "ended"


async def test_the_last_error_lines_are_told(peer, started):
    assert await started.err_tail(SESSION, 1) == "said on the error output"


async def test_what_the_agent_says_on_its_error_output_is_never_read_as_an_answer(peer, started):
    with (peer.generation() / "err").open("a") as file:
        file.write("refused fenced not ours\ndone\n::sm-answer::\n")
    assert (await started.err_tail(SESSION, 1)).endswith("refused fenced not ours\ndone\n::sm-answer::")


@pytest.mark.parametrize(("uuid", "found"), [("11112222-aaaa", True), ("99992222-aaaa", False)])
async def test_the_agents_own_transcript_is_probed_for_a_message(peer, started, uuid, found):
    folder = peer.sessions / SESSION / "home" / ".claude" / "projects" / "-workspace"
    folder.mkdir(parents=True)
    (folder / "t.jsonl").write_text('{"uuid":"11112222-aaaa"}\n')
    assert await started.transcript_has(SESSION, 1, uuid) is found
    words = last_run(peer)
    assert "--read-only" in words
    assert words[words.index("--network") + 1] == "none"


async def test_a_transcript_that_cannot_be_read_tells_nothing(peer, started):
    (peer.state / "run-fails").touch()
    assert await started.transcript_has(SESSION, 1, "11112222-aaaa") is None
