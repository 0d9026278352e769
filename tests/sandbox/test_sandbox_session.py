"""The whole path of a session on the VM: SSH, the pump, the container, the agent, its API."""

import os
import signal
from pathlib import Path

import pytest
from vm_kit import CLAUDE, Rig, needs_mounts, running_vm, until


@pytest.fixture
async def rig(tmp_path: Path):
    async with running_vm(tmp_path) as rig:
        yield rig


@pytest.mark.parametrize("runtime", ["podman", "docker"])
async def test_a_message_goes_in_and_its_answer_comes_out(rig: Rig, runtime: str):
    generation = rig.generation()
    await generation.start(runtime=runtime)
    generation.write({"type": "control_request", "request_id": "r1", "request": {"subtype": "initialize"}})
    generation.say("say Hello there, ✅")
    assert (await generation.result())["result"] == "Hello there, ✅"
    await until(lambda: len(generation.out()) >= 7, "the turn's end")
    assert [(line["type"], line.get("subtype")) for line in generation.out()] == [
        ("control_response", None),
        ("system", "session_state_changed"),
        ("system", "init"),
        ("user", None),
        ("assistant", None),
        ("result", "success"),
        ("system", "session_state_changed"),
    ]
    assert rig.api.state()["texts"] == ["say Hello there, ✅"]


async def test_the_state_shows_containers_and_the_lines_of_in(rig: Rig):
    generation = rig.generation()
    await generation.start()
    generation.say("say yes")
    await generation.result()
    state = rig.vm.state()
    (container,) = state["containers"]
    assert container["id"] == generation.container_id
    assert container["running"]
    assert container["labels"] == {"sm.session": "s1"}
    assert len(state["sessions"]["s1"]["1"]["in"]) == 1


async def test_stop_ends_the_agent_with_143_and_the_pump_writes_exit(rig: Rig):
    generation = rig.generation()
    await generation.start()
    generation.say("sleep 60")
    await until(lambda: any(line["type"] == "assistant" for line in generation.out()), "the tool's start")
    done = await rig.run(f"podman stop -t 5 {generation.container_id}")
    assert done.exit_status == 0
    assert await generation.ended() == "143 0 exited 143 false"
    assert not generation.results()


async def test_children_of_the_agent_die_with_the_container(rig: Rig):
    generation = rig.generation()
    await generation.start()
    generation.say("run setsid sleep 4321 >/dev/null 2>&1 & echo started")
    await generation.result()
    assert _processes("sleep\x004321")
    await rig.run(f"podman kill {generation.container_id}")
    assert (await generation.ended()).startswith("137 0")
    assert not _processes("sleep\x004321")


async def test_a_killed_client_leaves_the_container_until_the_pump_stops_it(rig: Rig):
    generation = rig.generation()
    await generation.start()
    generation.say("sleep 60")
    await until(lambda: any(line["type"] == "assistant" for line in generation.out()), "the tool's start")
    os.kill(int((generation.folder / "pid").read_text()), signal.SIGKILL)
    assert await generation.ended() == "137 0 exited 143 false"


async def test_a_full_out_ends_the_client_with_141(rig: Rig):
    generation = rig.generation()
    await generation.start(argv=("sh", "-c", "while :; do echo 0123456789; done"), limit_blocks=8)
    assert (await generation.ended()).startswith("141 153 exited 143")
    assert (generation.folder / "out").stat().st_size == 8 * 1024


async def test_the_conversation_goes_on_in_the_next_generation(rig: Rig):
    session = "11111111-1111-4111-8111-111111111111"
    first = rig.generation()
    await first.start(argv=(*CLAUDE, "--session-id", session))
    first.say("say one")
    await first.result()
    await rig.run(f"podman stop -t 5 {first.container_id}; podman rm {first.container_id}")
    await first.ended()
    for name in ("in", "out", "err", "exit", "cid", "pid", "alive"):
        (first.folder / name).unlink(missing_ok=True)
    await first.start(argv=(*CLAUDE, "--resume", session))
    first.say("say one")  # the same uuid again: acknowledged and dropped
    first.say("say two", 2)
    assert (await first.result())["result"] == "two"
    assert rig.api.state()["texts"] == ["say one", "say two"]


@needs_mounts
async def test_the_environment_of_the_agent_holds_nothing_of_the_host(rig: Rig):
    generation = rig.generation()
    await generation.start()
    generation.say("run env | cut -d= -f1 | sort | xargs; touch /usr/x; ls " + str(rig.vm.layout.sessions))
    await generation.result()
    text = generation.texts()[-1]
    assert "GH_TOKEN" not in text
    assert "SSH" not in text
    assert "ANTHROPIC_API_KEY" in text
    assert "cannot touch '/usr/x'" in text  # read-only; who isn't root may not even ask
    assert "s1" not in text.splitlines()[-1]


def _processes(words: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and words in (entry / "cmdline").read_text():
                found.append(entry.name)
        except OSError:
            continue
    return found
