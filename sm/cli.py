"""The command line: `sm serve`, `sm config`, `sm parse`, `sm domains`, `sm doctor`, `sm sandbox`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import structlog
from cyclopts import App, Parameter

from sm.engine.faultpoints import FaultPoints, KillAt, NoFaults
from sm.engine.service import EXIT_FATAL, EXIT_HELD
from sm.engine.service import serve as run_service
from sm.journal.errors import Held, JournalError
from sm.journal.masking import Masker
from sm.parse import known, parse
from sm.settings import Settings, SettingsError, load
from sm.web.secret import CallbackSecretError
from sm.web.server import CannotListen

EXIT_ANSWER = 1
EXIT_USAGE = 2

app = App(
    name="sm",
    help="Chat with Claude Code through Mattermost, with the network under human control.",
    version=lambda: version("session-manager"),
)
app.command("sm.sandbox.cli:app", name="sandbox")
app.command("sm.doctor.cli:app", name="doctor")
app.command("sm.domains.cli:app", name="domains")


def _settings() -> Settings:
    try:
        return load(os.environ)
    except SettingsError as error:
        _complain(str(error), EXIT_USAGE)


def _complain(text: str, status: int) -> NoReturn:
    print(text, file=sys.stderr)
    raise SystemExit(status)


@app.command
def serve(
    *, fault: Annotated[str | None, Parameter(help="for tests: POINT:KIND at which to be killed")] = None
) -> None:
    """Run the service; its settings come from the environment (see `sm config`)."""
    settings = _settings()
    faults: FaultPoints = NoFaults()
    if fault is not None:
        if not settings.peers_on_loopback():
            _complain("--fault is for tests: all peers must be on loopback.", EXIT_USAGE)
        try:
            faults = KillAt.parse(fault)
        except ValueError as error:
            _complain(str(error), EXIT_USAGE)
    _log_to_stderr(Masker(settings.secret_values()))
    for warning in settings.warnings():
        structlog.get_logger(__name__).warning(warning)
    try:
        asyncio.run(run_service(settings, faults=faults))
    except (SettingsError, CannotListen, CallbackSecretError) as error:
        _complain(str(error), EXIT_USAGE)
    except Held as error:
        _complain(str(error), EXIT_HELD)
    except JournalError as error:
        _complain(str(error), EXIT_FATAL)


@app.command
def config() -> None:
    """Print the settings in force, secrets masked."""
    print(_settings().printed())


@app.command(name="parse")
def parse_line(
    *line: Annotated[str, Parameter(allow_leading_hyphen=True)],
    bot: Annotated[str, Parameter(help="the bot's user name in Mattermost")] = "claude",
) -> None:
    """Print what the service would make of a LINE of the chat, as JSON; exit status 1 when that is an answer.

    The mention in front may be left out. SM_PROJECTS, SM_DEFAULT_ORG and SM_GIT_BASE_URL count if they are set.
    """
    if not line:
        _complain("Which line? For example: sm parse '@claude start org/repo --worktree'", EXIT_USAGE)
    try:
        read = parse(" ".join(line), bot=bot, known=known(os.environ))
    except SettingsError as error:
        _complain(str(error), EXIT_USAGE)
    print(json.dumps(read, ensure_ascii=False))
    if "answer" in read:
        raise SystemExit(EXIT_ANSWER)


def _log_to_stderr(masker: Masker) -> None:
    """One line an event; whatever a line would hold of a secret is masked."""
    logging.getLogger("transitions").setLevel(logging.ERROR)  # an ignored pair is an answer, not a warning

    def mask(_: object, __: str, line: Any) -> str:
        return masker.mask_text(line)[0]

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
            mask,
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


def main() -> None:
    """Entry point of `sm`."""
    app()
