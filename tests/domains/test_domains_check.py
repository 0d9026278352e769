"""`sm domains check`: the service's own verdict, a line each; the resolver is a real one on loopback."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from attrs import field, frozen
from domain_table import TABLE

from sm.cli import app
from sm.domains.check import check, peers_of, resolved, sets_of
from sm.engine.domain_sets import SHIPPED
from sm.engine.judging import judge
from sm.resolver import Resolution

PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("SM_")}


@frozen
class Done:
    status: int
    out: str
    err: str


class Run(Protocol):
    def __call__(self, *words: str, **settings: str) -> Done: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process, with these settings alone."""

    def call(*words: str, **settings: str) -> Done:
        monkeypatch.setattr(os, "environ", {**PLAIN, **settings})
        with pytest.raises(SystemExit) as ended:
            app(["domains", "check", *words])
        captured = capsys.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return call


def run_apart(*words: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sm", "domains", "check", *words],
        env={**PLAIN, "PYTHONIOENCODING": encoding},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )


def printed(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def whole_table() -> subprocess.CompletedProcess[str]:
    """Every name of the table that can be an argument, asked in one go."""
    return run_apart("--json", *(row.written for row in TABLE if _is_argument(row.written)))


def _is_argument(name: str) -> bool:
    return "\0" not in name and (name.isprintable() or name.isascii())


def test_the_command_says_of_every_name_of_the_table_what_the_service_judges(
    whole_table: subprocess.CompletedProcess[str],
) -> None:
    rows = [row for row in TABLE if _is_argument(row.written)]
    assert len(rows) >= 150
    said = {one["name"]: one for one in printed(whole_table)}
    assert set(said) == {row.written for row in rows}
    for row in rows:
        one, verdict = said[row.written], judge(row.written)
        assert (one["verdict"], one["code"]) == (("refused", row.code) if row.code else ("accepted", None))
        assert one["domain"] == (None if row.code else verdict.domain)
        assert (one["hint"], one["warning"], one["shown"]) == (
            verdict.hint or None,
            verdict.warning or None,
            verdict.shown or None,
        )
        assert bool(one["reason"]) == bool(row.code or row.warning)


@pytest.mark.parametrize("row", TABLE, ids=[ascii(row.written)[:40] for row in TABLE])
def test_a_verdict_is_one_line_with_its_reason(row) -> None:
    checked = check(row.written, {})
    line = checked.line()
    assert len(line.splitlines()) == 1
    assert line.startswith("refused   " if row.code else "accepted  ")
    assert checked.reason in line
    if row.code:
        assert f"({row.code})" in line
    else:
        assert judge(row.written).domain in line


def test_the_lines_are_for_a_person(run: Run) -> None:
    done = run(
        "pypi.org", "PyPI.org.", "bücher.de", "xn--bcher-kva.de", "co.uk", "https://pypi.org/simple", "-x", ""
    )
    assert done.out.splitlines() == [
        "accepted  pypi.org",
        "accepted  PyPI.org. → pypi.org",
        "accepted  bücher.de → xn--bcher-kva.de: it has characters outside of ASCII, which may look like others (unicode)",
        "accepted  xn--bcher-kva.de (bücher.de): it has characters outside of ASCII, which may look like others (unicode)",
        "refused   co.uk: that is a whole registry, not one host; name the host (public_suffix)",
        "refused   https://pypi.org/simple: a host is opened, not a page on it; write the host's name alone; perhaps pypi.org is meant (a_url)",
        "refused   -x: write a plain host name: letters, digits and hyphens, with dots between (not_a_host_name)",
        "refused   (nothing): name one host, such as example.com (empty)",
    ]  # fmt: skip


def test_the_readme_shows_what_is_printed() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    ((words, lines),) = re.findall(r"^sm domains check (.*)\n((?:# .*\n)+)```$", readme, re.MULTILINE)
    sets = sets_of({})
    assert [f"# {check(word, sets).line()}" for word in shlex.split(words)] == lines.splitlines()


def test_the_exit_status_is_1_when_any_name_is_refused(run: Run) -> None:
    assert run("pypi.org", "python").status == 0
    assert run("pypi.org", "co.uk", "example.com").status == 1


def test_without_a_name_it_says_how_it_is_used(run: Run) -> None:
    done = run()
    assert (done.status, done.out) == (2, "")
    assert "sm domains check pypi.org" in done.err


def test_a_setting_that_is_wrong_is_named(run: Run) -> None:
    done = run("pypi.org", SM_DOMAIN_SETS="[")
    assert (done.status, done.out) == (2, "")
    assert "SM_DOMAIN_SETS" in done.err


def test_a_terminal_that_knows_ascii_alone_gets_ascii() -> None:
    done = run_apart("bücher.de", encoding="ascii")
    assert "xn--bcher-kva.de" in done.stdout
    assert done.stdout.isascii()


# --- sets ---------------------------------------------------------------------------------------------------------------


def test_a_set_s_name_is_said_to_be_one() -> None:
    assert check("python", SHIPPED).line() == "set       python: pypi.org, files.pythonhosted.org"
    assert check("Python", SHIPPED).json()["hosts"] == ["pypi.org", "files.pythonhosted.org"]


def test_the_operator_s_sets_count() -> None:
    sets = sets_of({"SM_DOMAIN_SETS": '{"ours": ["a.example.com"], "npm": []}'})
    assert check("ours", sets).said == "set"
    assert check("npm", sets).verdict.refused == "no_dot"


def test_a_set_with_a_host_that_is_refused_is_refused_and_the_host_named() -> None:
    checked = check("ours", {"ours": ("pypi.org", "co.uk")})
    assert checked.said == "refused"
    assert checked.line() == (
        "refused   ours: its host co.uk: that is a whole registry, not one host; name the host (public_suffix)"
    )
    assert checked.hosts == ()


# --- what names resolve to ----------------------------------------------------------------------------------------------


@frozen
class Answers:
    """A resolver that knows a few names."""

    known: dict[str, tuple[str, ...]] = field(factory=dict)

    async def resolve(self, name: str) -> Resolution:
        found = self.known.get(name)
        return Resolution(found or (), "unknown" if found is None else "found" if found else "none")


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("151.101.0.223", ""),
        ("10.0.0.5", "not_global"),
        ("169.254.169.254", "not_global"),
        ("8.8.4.4", "is_peer"),
    ],
)
async def test_a_name_with_an_address_that_may_not_be_opened_is_refused(address: str, code: str) -> None:
    answers = Answers({"pypi.org": ("1.1.1.1", address)})
    checked = await resolved(check("pypi.org", {}), answers, ("8.8.4.4",))
    assert checked.verdict.refused == code
    assert checked.json()["resolved"] == {"pypi.org": {"status": "found", "addresses": ["1.1.1.1", address]}}
    assert f"[1.1.1.1 {address}]" in checked.line()


async def test_one_bad_host_of_a_set_refuses_it() -> None:
    answers = Answers({"pypi.org": ("1.1.1.1",), "files.pythonhosted.org": ("127.0.0.1",)})
    checked = await resolved(check("python", SHIPPED), answers, ())
    assert checked.line() == (
        "refused   python: its host files.pythonhosted.org: it resolves to an address that is not public (not_global) "
        "[pypi.org 1.1.1.1; files.pythonhosted.org 127.0.0.1]"
    )


async def test_a_name_without_an_address_is_said_so_and_not_refused() -> None:
    nothing = await resolved(check("pypi.org", {}), Answers({"pypi.org": ()}), ())
    unknown = await resolved(check("pypi.org", {}), Answers(), ())
    assert (nothing.line(), unknown.line()) == (
        "accepted  pypi.org [no address]",
        "accepted  pypi.org [not to be found out]",
    )


async def test_a_refused_name_is_not_asked_for() -> None:
    checked = await resolved(check("co.uk", {}), Answers(), ())
    assert "resolved" not in checked.json()


async def test_the_peers_that_the_settings_name_are_known_by_their_addresses() -> None:
    answers = Answers({"vm.example.com": ("8.8.4.4",), "chat.example.com": ("8.8.8.8",)})
    settings = {"SM_VM_HOST": "vm.example.com:2222", "SM_MATTERMOST_URL": "https://chat.example.com/team"}
    assert sorted(await peers_of(settings, answers)) == ["8.8.4.4", "8.8.8.8"]
    assert await peers_of({}, answers) == ()


@pytest.fixture
def dns_server() -> Iterator[str]:
    """A DNS server on loopback for which every name is 10.0.0.5, and has no other address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_answer, args=(server,), daemon=True)
        thread.start()
        host, port = server.getsockname()
        yield f"{host}:{port}"
        server.sendto(b"", (host, port))
        thread.join(10)


def _answer(server: socket.socket) -> None:
    while (received := server.recvfrom(4096))[0]:
        question = dns.message.from_wire(received[0])
        answer = dns.message.make_response(question)
        asked = question.question[0]
        if asked.rdtype == dns.rdatatype.A:
            answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", "A", "10.0.0.5"))
        server.sendto(answer.to_wire(), received[1])


def test_the_resolver_of_the_settings_is_asked(run: Run, dns_server: str) -> None:
    done = run("--resolve", "pypi.org", SM_RESOLVER=dns_server)
    assert (done.status, done.out) == (
        1,
        "refused   pypi.org: it resolves to an address that is not public (not_global) [10.0.0.5]\n",
    )
