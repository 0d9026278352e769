"""`sm domains check NAME…`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Annotated

from cyclopts import App, Parameter

from sm.domains.check import Checked, check, peers_of, resolved, sets_of
from sm.resolver import Resolver
from sm.settings import SettingsError, load_some

EXIT_REFUSED = 1
EXIT_USAGE = 2
AT_ONCE = 4  # names that are asked for together

app = App(name="domains", help="Look what the service makes of names that are asked for.")


@app.command(name="check")
def check_names(
    *names: Annotated[str, Parameter(allow_leading_hyphen=True)],
    as_json: Annotated[bool, Parameter(name="--json", negative="", help="one JSON object a line")] = False,
    resolve: Annotated[
        bool, Parameter(name="--resolve", negative="", help="judge what the names resolve to as well")
    ] = False,
) -> int:
    """Print the verdict on each NAME and its reason, one line each, exactly as the service would judge.

    Ends with 0 when all could be asked for, 1 when one is refused. The named sets are those of SM_DOMAIN_SETS and the
    shipped ones; with --resolve SM_RESOLVER is asked (default: the system's), and the peers that the settings name are
    known as ours.
    """
    if not names:
        return _complain("Which names? For example: sm domains check pypi.org")
    try:
        sets = sets_of(os.environ)
        checked = [check(name, sets) for name in names]
        if resolve:
            checked = asyncio.run(_resolved(checked))
    except SettingsError as error:
        return _complain(str(error))
    for one in checked:
        # ASCII: a name may hold half a character, or bytes that were none.
        print(json.dumps(one.json()) if as_json else _printable(one.line()))
    return EXIT_REFUSED if any(one.said == "refused" for one in checked) else 0


async def _resolved(checked: list[Checked]) -> list[Checked]:
    resolver = Resolver(load_some(os.environ, "SM_RESOLVER")["SM_RESOLVER"])
    peers = await peers_of(os.environ, resolver)
    few = asyncio.Semaphore(AT_ONCE)

    async def ask(one: Checked) -> Checked:
        async with few:
            return await resolved(one, resolver, peers)

    return list(await asyncio.gather(*map(ask, checked)))


def _printable(line: str) -> str:
    encoding = sys.stdout.encoding or "ascii"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def _complain(text: str) -> int:
    print(text, file=sys.stderr)
    return EXIT_USAGE
