"""Whether a host is reached from where the agents are: asked in a short container of its own, and in no other way."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sm.core.outcome import Refused, Unreachable
from sm.vm.network import AT_A_TIME
from sm.vm.remote import script

from .conftest import SESSION, until

NAME = "files.pythonhosted.org"


def lines(peer, name):
    file = peer.state / name
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def rootless(peer):
    peer.tool("id", "case $1 in -u|-g) echo 1000;; *) echo claude;; esac")


def running(peer):
    return [file for name in ("c", "short") for file in (peer.state / name).glob("*.json")]


async def hanging(peer, vm, within_s=60.0):
    """A container that asks, and hears nothing."""
    (peer.state / "https").write_text("-")
    task = asyncio.create_task(vm.network.reach(NAME, within_s=within_s))
    await until(lambda: lines(peer, "asked"), "the container to be asked")
    return task


async def test_one_short_container_with_nothing_of_the_session_asks(peer, vm):
    found = await vm.network.reach(NAME, within_s=9, session=SESSION)
    assert (found.state, found.detail) == ("reachable", "")
    (words,) = lines(peer, "probes.jsonl")
    text = " ".join(words)
    for option in (
        f"--label sm.probe={SESSION}", "--network isolated", "--cap-drop=all --security-opt=no-new-privileges --pull=never",
        "--memory 256m --pids-limit 128 --read-only", "--sysctl net.ipv6.conf.all.disable_ipv6=1",
    ):  # fmt: skip
        assert option in text
    assert {"-i", "--rm", "--init"} <= set(words)
    assert not {"-v", "-e", "--volume", "--env", "--env-file", "--mount", "--privileged"} & set(words)
    assert "ANTHROPIC" not in text
    (asked,) = lines(peer, "asked")
    assert (asked["name"], 1 <= asked["seconds"] <= 9) == (NAME, True)
    assert NAME not in text  # it is told on the container's input, as data
    assert running(peer) == []


@pytest.mark.parametrize(
    ("said", "state", "detail"),
    [
        ("reached 35", "reachable", "no TLS"),
        ("reached 60", "reachable", "certificate"),
        ("unanswered 28", "unreachable", "Nothing answered on port 443."),
        ("unanswered 6", "unreachable", "could not be resolved"),
        ("unanswered 7", "unreachable", "refused"),
        ("unanswered 99", "unreachable", "99"),
        ("nocurl", "unknown", "no curl in the image claude-code:latest"),
    ],
)
async def test_what_curl_found_is_told_in_our_own_words(peer, vm, said, state, detail):
    (peer.state / "https").write_text(said)
    found = await vm.network.reach(NAME, within_s=5)
    assert found.state == state
    assert detail in found.detail
    assert running(peer) == []


NO_NAMES = (
    "", "-x", "--proxy.example.com", "a b.com", "a.com;id", "$(id).com", "`id`.com", "a.com\ntcp 10.0.0.1 22 vm x", "a.com/x",
    "user@a.com", "a.com:22", "10.0.0.1", "0x7f.1", "[::1]", "::1", "localhost", "Example.com", "example.com.", "ex..com",
    "münchen.de", "*.example.com", "!example.com", "a_b.com", "a" * 64 + ".com", "a." * 130 + "com",
)  # fmt: skip


async def test_what_is_no_hosts_name_never_leaves_for_the_vm(peer, vm):
    for name in NO_NAMES:
        with pytest.raises(Refused) as caught:
            await vm.network.reach(name, within_s=5)
        assert caught.value.code == "bad_name", name
    assert peer.logins == 0


async def test_a_session_that_is_none_becomes_no_label(peer, vm):
    with pytest.raises(Refused) as caught:
        await vm.network.reach(NAME, within_s=5, session="x --privileged")
    assert caught.value.code == "bad_session"


@pytest.mark.parametrize("open_", ["gateway", "vm"])
async def test_on_a_network_that_is_not_closed_nothing_is_asked(peer, vm, open_):
    (peer.state / "reached").write_text(open_)
    found = await vm.network.reach(NAME, within_s=5)
    assert found.state == "unknown"
    assert "sm doctor rules" in found.detail
    assert lines(peer, "asked") == []
    assert running(peer) == []


async def test_rootless_podman_is_given_the_rules_before_anything_is_asked(peer, vm):
    rootless(peer)
    assert (await vm.network.reach(NAME, within_s=5)).state == "reachable"
    assert [one["ruled"] for one in lines(peer, "asked")] == [True]


async def test_rules_that_cannot_be_loaded_leave_it_unasked(peer, vm):
    rootless(peer)
    (peer.state / "no-rules").write_text("Error: Operation not supported")
    found = await vm.network.reach(NAME, within_s=5)
    assert found.state == "unknown"
    assert "Operation not supported" in found.detail
    assert lines(peer, "asked") == []


async def test_what_the_vm_lacks_for_it_is_said(peer, vm):
    (peer.state / "no-probe").write_text("Error: claude-code:latest: image not known")
    found = await vm.network.reach(NAME, within_s=5)
    assert found.state == "unknown"
    assert "podman build -t claude-code:latest" in found.detail
    (peer.state / "networks").write_text("")
    found = await vm.network.reach(NAME, within_s=5)
    assert found.state == "unknown"
    assert "podman network create isolated" in found.detail


async def test_a_vm_that_is_away_proves_nothing(peer, vm):
    await peer.away()
    with pytest.raises(Unreachable):
        await vm.network.reach(NAME, within_s=5)


async def test_when_the_connection_breaks_the_container_ends(peer, vm):
    asked = await hanging(peer, vm)
    peer.cut()
    with pytest.raises(Unreachable):
        await asked
    await until(lambda: not running(peer), "the end of the container")


async def test_when_it_is_given_up_the_container_ends(peer, vm):
    asked = await hanging(peer, vm)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await until(lambda: not running(peer), "the end of the container")


async def test_a_container_that_does_not_end_with_its_input_is_removed_by_its_id(peer, vm):
    (peer.state / "holds-on").touch()
    assert (await vm.network.reach(NAME, within_s=5)).state == "reachable"
    assert running(peer) == []


async def test_a_container_that_dies_while_it_asks_is_no_answer(peer, vm):
    asked = await hanging(peer, vm)
    for file in running(peer):
        os.kill(json.loads(file.read_text())["pid"], 9)
    found = await asked
    assert found.state == "unknown"
    assert f"asked for {NAME} ended" in found.detail


async def test_what_was_left_of_such_containers_is_removed_when_its_time_is_over(peer, vm):
    """As after a power cut: the runtime has their records, and nobody is there to remove them."""
    left = {
        "a" * 64: {"sm.probe": SESSION, "sm.until": "1700000000"},
        "b" * 64: {"sm.probe": SESSION, "sm.until": "99999999999"},
        "c" * 64: {"sm.session": SESSION, "sm.until": "1700000000"},
        "d" * 64: {"sm.probe": SESSION},
    }
    for number, labels in left.items():
        record = {
            "id": number,
            "name": number[:3],
            "labels": labels,
            "status": "created",
            "exit": 0,
            "pid": 0,
        }
        file = peer.state / ("short" if "sm.probe" in labels else "c") / f"{number}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(record))
    await vm.network.reach(NAME, within_s=5)
    await until(lambda: {file.stem[0] for file in running(peer)} == {"b", "c", "d"}, "the first to go")


async def test_only_so_many_ask_at_a_time(peer, vm):
    asked = [await hanging(peer, vm) for _ in range(AT_A_TIME)]
    await until(lambda: len(lines(peer, "asked")) == AT_A_TIME, "all of them to ask")
    found = await vm.network.reach(NAME, within_s=1)
    assert (found.state, "at the same time" in found.detail) == ("unknown", True)
    for one in asked:
        one.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    await until(lambda: not running(peer), "the end of the containers")
    (peer.state / "https").unlink()
    assert (await vm.network.reach(NAME, within_s=9)).state == "reachable"


# --- what runs inside, with a curl that says what it is told ---------------------------------------------------


class Inside:
    """The script in the container, run here."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        (text,) = re.findall(
            r"^prober=\$\(cat <<'END'\n(.*?)^END$", script("network"), re.DOTALL | re.MULTILINE
        )
        self.text = text.replace("/dev/tcp/$0/443", f"/dev/tcp/$0/{port}")
        for name in ("bash", "timeout", "sleep", "sed", "env"):
            (folder / name).symlink_to(str(shutil.which(name)))

    def curl(self, text: str) -> None:
        (self.folder / "curl").write_text(f'#!/bin/bash\necho "$@" >>{self.calls}\n{text}\n')
        (self.folder / "curl").chmod(0o755)

    def ask(self, name: str = "127.0.0.1", seconds: int = 1, **environment: str) -> str:
        done = subprocess.run(
            ["bash", "-c", self.text], input=f"https {name} {seconds} said\ngo\n", capture_output=True, text=True,
            env={"PATH": str(self.folder), **environment}, timeout=30, check=False,
        )  # fmt: skip
        return next(line for line in done.stdout.splitlines() if line.startswith("https "))


@pytest.fixture
async def inside(tmp_path):
    """A port on which somebody listens stands for 443."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    yield Inside(tmp_path, server.sockets[0].getsockname()[1])
    server.close()


@pytest.mark.parametrize(
    ("code", "printed", "answer"),
    [
        (0, "000 0.001", "reached 0"),
        (35, "000 0.001", "reached 35"),
        (52, "000 0.001", "reached 52"),
        (56, "000 0.001", "reached 56"),
        (60, "000 0.001", "reached 60"),
        (28, "000 0.001", "reached 28"),  # it is connected, and says no more
        (28, "000 0.000000", "unanswered 6"),
        (7, "000 0.001", "unanswered 7"),
        (6, "000 0.000000", "unanswered 6"),
    ],
)
async def test_tcp_that_is_connected_counts(inside, code, printed, answer):
    inside.curl(f"echo -n '{printed}'; exit {code}")
    assert await asyncio.to_thread(inside.ask) == f"https {answer}"
    said = inside.calls.read_text()
    assert said.startswith("-q -g -4 -s --head --proto =https ")
    assert said.endswith(" https://127.0.0.1:443/\n")


@pytest.mark.parametrize(
    ("code", "printed", "answer"),
    [
        (0, "200 0.001", "reached 0"),
        (60, "200 0.001", "reached 60"),
        (28, "200 0.001", "reached 28"),
        (28, "000 0.000000", "unanswered 28"),
        (28, "000 0.001", "unanswered 28"),  # only the proxy is connected
        (56, "403 0.001", "unanswered 56"),
        (52, "000 0.001", "unanswered 52"),
        (35, "000 0.001", "unanswered 35"),
    ],
)
async def test_behind_a_proxy_only_its_tunnel_counts(inside, code, printed, answer):
    inside.curl(f"echo -n '{printed}'; exit {code}")
    found = await asyncio.to_thread(inside.ask, HTTPS_PROXY="http://127.0.0.1:9")
    assert found == f"https {answer}"


async def test_it_asks_again_until_something_answers(inside):
    inside.curl(f"[ $(wc -l <{inside.calls}) -gt 2 ] && exit 0; exit 7")
    (inside.folder / "wc").symlink_to(str(shutil.which("wc")))
    assert await asyncio.to_thread(inside.ask, seconds=20) == "https reached 0"
    assert len(inside.calls.read_text().splitlines()) == 3


async def test_an_image_without_curl_is_told(inside):
    assert await asyncio.to_thread(inside.ask) == "https nocurl"
