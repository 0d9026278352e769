"""The demo as a person runs it: without a terminal, and at one."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from schema_kit import check_journal

# `--dist loadfile` keeps them with one worker: the demo without a terminal runs once for all of these tests.
pytestmark = [pytest.mark.real_peers, pytest.mark.timeout(180)]

DEMO = [sys.executable, "-m", "sm.sandbox.demo"]

CONVERSATION = """\
@james:  @claude start acme/webapp
@claude: 📦 Preparing **acme/webapp**...
@claude: 🚀 Starting session...
@claude: ✅ Ready. Container: `claude-SESSION`
@james:  add pytest to the project
@claude: I'll add pytest to the project dependencies...
@claude: $ pip install pytest
@claude: ERROR: Connection timed out to pypi.org
@claude:
@claude: [NETWORK_REQUEST: pypi.org]
@claude: 🔒 **Network Request:** `pypi.org`
@claude: [✅ Approve] [This session] [1 hour] [❌ Deny]
@james:  (presses [✅ Approve])
@claude: (now) ✅ `pypi.org` approved by @james
@claude: [NETWORK_APPROVED: pypi.org]
@claude:
@claude: $ pip install pytest
@claude: Successfully installed pytest-8.0.0
@james:  @claude stop
@claude: ✅ Stopped.
"""

CARD = "@claude: 🔒 **Network Request:** `pypi.org`"
SET = "@claude: [✅ Approve all of python: pypi.org, files.pythonhosted.org]"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    folder = tmp_path_factory.mktemp("demo")
    command = [*DEMO, "--state", "state"]
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done, folder


def test_the_example_conversation_happens_and_the_status_says_so(
    ran: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, _ = ran
    assert done.returncode == 0, done.stdout + done.stderr
    said = re.sub(r"claude-[0-9a-f]{8}", "claude-SESSION", done.stdout)
    lines = [line for line in said.splitlines() if "⏳" not in line]  # shown when the firewall takes its time
    asked, buttons = lines.index(CARD), next(at for at, line in enumerate(lines) if "[✅ Approve]" in line)
    del lines[asked + 1 : buttons]  # what one should know to decide
    lines.remove(SET)
    assert CONVERSATION in "\n".join(lines) + "\n"


def test_the_card_says_what_one_should_know_to_decide(
    ran: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    shown = [line.removeprefix("@claude: ") for line in ran[0].stdout.splitlines()]
    start = shown.index(CARD.removeprefix("@claude: "))
    card = "\n".join(shown[start : shown.index(SET.removeprefix("@claude: "))])
    session = re.findall(r"claude-([0-9a-f]{8})", ran[0].stdout)[0]
    assert f"Session `{session}` on **acme/webapp**, started by @james." in card
    assert "`pip install pytest`" in card
    assert "`192.52.193.20`, `192.52.193.21`" in card
    assert "every session on the VM" in card


def test_what_is_real_and_what_stands_in_is_said(
    ran: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, _ = ran
    for subject in ("Network gate:", "Agent:", "Containers:"):
        assert subject in done.stdout


def test_it_ends_with_the_command_that_shows_what_happened(
    ran: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, folder = ran
    assert (folder / "state" / "journal.db").exists()
    command = done.stdout.splitlines()[-1].strip()
    assert re.search(r"sm-replay state/journal\.db show [0-9a-f]{8}$", command)
    shown = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "acme/webapp" in shown.stdout
    assert "pypi.org" in shown.stdout


def test_the_journal_of_the_demo_verifies(ran: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, folder = ran
    program = Path(sys.executable).with_name("sm-replay")
    checked = subprocess.run(
        [program, folder / "state" / "journal.db", "verify"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_the_rows_of_the_demos_journal_fit_their_schemas(
    ran: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    _, folder = ran
    await check_journal(folder / "state" / "journal.db")


def test_a_second_demo_in_the_same_folder_is_refused(
    ran: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    _, folder = ran
    again = subprocess.run(
        [*DEMO, "--state", "state", "--no-stay"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert again.returncode == 2
    assert "earlier demo" in again.stderr


def test_no_process_of_it_is_left(ran: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, folder = ran
    commands = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True)
    assert str(folder) not in commands.stdout


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = subprocess.run([*DEMO, "--state", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "files that are not of a sandbox" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


class Terminal:
    """A demo at a terminal of its own."""

    def __init__(self, command: list[str]) -> None:
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, {**os.environ, "TERM": "dumb"})
        self.shown = ""

    def type(self, line: str) -> None:
        os.write(self.handle, f"{line}\n".encode())

    def until(self, text: str, within_s: float = 40.0) -> str:
        """Read until the text appears after what was last waited for."""
        deadline = time.monotonic() + within_s
        while text not in self.shown:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} did not appear after:\n{self.shown}"
            if select.select([self.handle], [], [], left)[0]:
                try:
                    self.shown += os.read(self.handle, 65536).decode(errors="replace")
                except OSError:  # its end
                    assert text in self.shown, self.shown
        before, _, self.shown = self.shown.partition(text)
        return before

    def status(self) -> int:
        while True:
            try:
                if not os.read(self.handle, 65536):
                    break
            except OSError:
                break
        os.close(self.handle)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_at_a_terminal_it_stays_with_a_prompt(tmp_path: Path) -> None:
    terminal = Terminal([*DEMO, "--state", str(tmp_path / "state"), "--gate", "proxy"])
    terminal.until("✅ Stopped.")
    terminal.until("The sandbox stays up")
    terminal.until("\n> ")
    terminal.type("sarah: @claude start acme/api")
    terminal.until("@sarah:  @claude start acme/api")
    terminal.until("✅ Ready.")
    terminal.type("kill")
    terminal.until("is gone")
    terminal.type("please open example.com")
    terminal.until("@james:  please open example.com")
    terminal.type("restart")
    terminal.until("The service is ready again")
    terminal.until("🔒 **Network Request:** `example.com`")
    terminal.until("[❌ Deny]")
    terminal.type("press hour")
    terminal.until("✅ `example.com` approved by @james until ")
    terminal.type("firewall")
    assert "example.com" in terminal.until("open addresses")
    terminal.type("please open cafe.de")
    terminal.until("🔒 **Network Request:** `cafe.de`")
    terminal.until("[❌ Deny]")
    terminal.type("press set")
    terminal.until("That card has no button 'set'")
    terminal.type("react no")
    terminal.until("❌ `cafe.de` denied by @james")
    terminal.type("leave")
    assert terminal.status() == 0
