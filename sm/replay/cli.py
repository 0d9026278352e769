"""The command `sm-replay`: reads a journal, also while the service runs; acts on nothing."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from cyclopts import App, CycloptsError, Parameter

from sm.journal.errors import JournalError
from sm.journal.protocol import Journal
from sm.journal.sqlite import InlineSqliteJournal
from sm.replay import times
from sm.replay.errors import ReplayError
from sm.replay.find import resolve, sessions
from sm.replay.net import net
from sm.replay.show import story, table
from sm.replay.summaries import printable
from sm.replay.verify import verify
from sm.replay.why import why

HOLDS, DIVERGES, CANNOT_READ = 0, 1, 2

Question = Literal["sessions", "show", "verify", "why", "net"]

app = App(
    name="sm-replay",
    help="Show and verify a journal of Session Manager. Exit status: 0 it holds, 1 it diverges, 2 it can't be read.",
    usage="Usage: sm-replay PATH sessions | show SESSION | verify [SESSION] | why DOMAIN | net [--at TIME]",
)


@app.default
def replay(
    path: Annotated[Path, Parameter(help="The journal, or the folder that holds journal.db.")],
    question: Annotated[
        Question,
        Parameter(
            help="List the sessions, tell the story of one, prove the record by folding it again, tell why a domain is"
            " open or is not, or list what was open."
        ),
    ],
    subject: Annotated[
        str | None,
        Parameter(
            help="A session's id or a unique beginning of it, or a stream's name (`alias:…`, `channel:…`); for `why` a"
            " domain."
        ),
    ] = None,
    /,
    *,
    at: Annotated[
        str | None,
        Parameter(
            help="For `net`: as of this time, in ISO 8601 (without a zone it is UTC) or milliseconds since 1970."
        ),
    ] = None,
) -> int:
    """Answer one question about a journal."""
    if subject is None and question in _SUBJECT_NEEDED:
        raise ReplayError(_SUBJECT_NEEDED[question])
    if subject is not None and question in _SUBJECT_REFUSED:
        raise ReplayError(_SUBJECT_REFUSED[question])
    if at is not None and question != "net":
        raise ReplayError("`--at` goes with `net` alone: it asks what was open at that time.")
    at_ms = None if at is None else times.parsed(at)
    return asyncio.run(_answer(path / "journal.db" if path.is_dir() else path, question, subject, at_ms))


_SUBJECT_NEEDED = {
    "show": "Name the session to show; `sessions` lists them.",
    "why": "Name the domain, as in `why pypi.org`; `net` lists what is open.",
}
_SUBJECT_REFUSED = {
    "sessions": "`sessions` takes no further argument; `show SESSION` tells of one.",
    "net": "`net` takes no further argument but `--at TIME`; `why DOMAIN` tells of one domain.",
}


async def _answer(path: Path, question: Question, subject: str | None, at_ms: int | None) -> int:
    async with InlineSqliteJournal.open(path, read_only=True) as journal:
        if question == "verify":
            report = await verify(journal, None if subject is None else await resolve(journal, subject))
            for line in report.lines():
                print(printable(line))
            return report.exit_code
        async for line in _lines(journal, question, subject or "", at_ms):
            print(printable(line))
        return HOLDS


async def _lines(journal: Journal, question: Question, subject: str, at_ms: int | None) -> AsyncIterator[str]:
    match question:
        case "show":
            async for line in story(journal, await resolve(journal, subject)):
                yield line
        case "why":
            for line in await why(journal, subject):
                yield line
        case "net":
            for line in await net(journal, at_ms):
                yield line
        case _:
            for line in table(await sessions(journal)):
                yield line


def main() -> None:
    """Run the command and end the process with its status."""
    stdout = cast("io.TextIOWrapper[Any]", sys.stdout)
    stdout.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 still gets each line
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command; answer its exit status."""
    logging.getLogger("transitions").setLevel(logging.ERROR)  # it warns of each pair that the tables ignore
    try:
        status = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except (CycloptsError, JournalError, ReplayError) as error:
        print(f"sm-replay: {printable(str(error))}", file=sys.stderr)
        return CANNOT_READ
    except BrokenPipeError:
        # The reader of our output (`head`) has enough; Python would complain at its own last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CANNOT_READ
    return status if isinstance(status, int) else HOLDS
