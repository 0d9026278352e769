"""The command `sm-replay`: reads a journal, also while the service runs; acts on nothing."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from cyclopts import App, CycloptsError, Parameter

from sm.journal.errors import JournalError
from sm.journal.sqlite import InlineSqliteJournal
from sm.replay.errors import ReplayError
from sm.replay.find import resolve, sessions
from sm.replay.show import story, table
from sm.replay.summaries import printable
from sm.replay.verify import verify

HOLDS, DIVERGES, CANNOT_READ = 0, 1, 2

app = App(
    name="sm-replay",
    help="Show and verify a journal of Session Manager. Exit status: 0 it holds, 1 it diverges, 2 it can't be read.",
    usage="Usage: sm-replay PATH sessions | show SESSION | verify [SESSION]",
)


@app.default
def replay(
    path: Annotated[Path, Parameter(help="The journal, or the folder that holds journal.db.")],
    question: Annotated[
        Literal["sessions", "show", "verify"],
        Parameter(help="List the sessions, tell the story of one, or prove the record by folding it again."),
    ],
    session: Annotated[
        str | None,
        Parameter(
            help="A session's id or a unique beginning of it, or a stream's name (`alias:…`, `channel:…`)."
        ),
    ] = None,
    /,
) -> int:
    """Answer one question about a journal."""
    if question == "show" and session is None:
        raise ReplayError("Name the session to show; `sessions` lists them.")
    if question == "sessions" and session is not None:
        raise ReplayError("`sessions` takes no further argument; `show SESSION` tells of one.")
    return asyncio.run(_answer(path / "journal.db" if path.is_dir() else path, question, session))


async def _answer(path: Path, question: str, session: str | None) -> int:
    async with InlineSqliteJournal.open(path, read_only=True) as journal:
        stream = None if session is None else await resolve(journal, session)
        if question == "verify":
            report = await verify(journal, stream)
            for line in report.lines():
                print(printable(line))
            return report.exit_code
        if stream is not None:
            async for line in story(journal, stream):
                print(line)
            return HOLDS
        for line in table(await sessions(journal)):
            print(line)
        return HOLDS


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
