"""The resolver without a server: this machine's own, its hosts file first."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from sm.resolver import Resolution, Resolver, hosts, resolver, where


@pytest.fixture(autouse=True)
def hosts_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost\n8.8.8.8 A.example other # b.example\n2a04:4e42::0223 a.example\n")
    monkeypatch.setattr(hosts.addresses_of, "__defaults__", (file,))
    return file


def answering(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[str]:
    """Let the system's resolver answer so: addresses, or an error to raise."""
    asked: list[str] = []

    def getaddrinfo(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in answer]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


async def test_the_hosts_file_is_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, ["9.9.9.9"])
    assert await Resolver().resolve("a.Example.") == Resolution(("2a04:4e42::223", "8.8.8.8"), "found")
    assert asked == []


async def test_other_names_are_asked_for_as_absolute_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, ["9.9.9.9", "fe80::1%eth0", "9.9.9.9"])
    assert await Resolver().resolve("b.example") == Resolution(("9.9.9.9", "fe80::1"), "found")
    assert asked == ["b.example."]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no name"), "none"),
        (socket.gaierror(socket.EAI_NODATA, "no data"), "none"),
        (socket.gaierror(socket.EAI_AGAIN, "again"), "unknown"),
        (socket.gaierror(socket.EAI_FAIL, "fail"), "unknown"),
        (OSError("no file descriptors"), "unknown"),
        (UnicodeError("label too long"), "none"),
    ],
)
async def test_what_the_system_says_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: str
) -> None:
    answering(monkeypatch, error)
    assert await Resolver().resolve("b.example") == Resolution((), status)  # type: ignore[arg-type]


async def test_a_hosts_file_that_is_missing_has_no_names(
    monkeypatch: pytest.MonkeyPatch, hosts_file: Path
) -> None:
    hosts_file.unlink()
    answering(monkeypatch, ["9.9.9.9"])
    assert (await Resolver().resolve("a.example")).addresses == ("9.9.9.9",)


async def test_a_system_that_hangs_is_unknown_and_gathers_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    release, asked = threading.Event(), []

    def hang(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        release.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    ours = Resolver(timeout_s=0.1)
    try:
        answers = await asyncio.gather(*(ours.resolve(f"n{number % 20}.example") for number in range(60)))
        assert {answer.status for answer in answers} == {"unknown"}
        assert len(asked) <= resolver.MAX_SYSTEM_QUESTIONS
    finally:
        release.set()


async def test_an_address_is_itself_and_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, ["9.9.9.9"])
    for ours in (Resolver(), Resolver("127.0.0.1:9")):
        assert await ours.resolve("FD00::0001") == Resolution(("fd00::1",), "found")
    assert asked == []


async def test_a_peer_is_where_this_machine_would_connect_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, ["10.0.0.7"])
    assert await where("mattermost") == Resolution(("10.0.0.7",), "found")
    assert asked == ["mattermost"]
    answering(monkeypatch, socket.gaierror(socket.EAI_AGAIN, "again"))
    assert (await where("mattermost")).status == "unknown"
    monkeypatch.undo()
    assert await where("127.0.0.1") == Resolution(("127.0.0.1",), "found")
