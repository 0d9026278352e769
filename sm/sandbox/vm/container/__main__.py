"""`python -m sm.sandbox.vm.container podman|docker …`; `start` and `probe` are for the sandbox itself.

The environment's `SM_SANDBOX_ENGINE` names the engine's folder; `SM_SANDBOX_RUNTIME_AWAY` makes every command fail as
when the runtime cannot be reached.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sm.sandbox.vm.container.commands import Client
from sm.sandbox.vm.container.store import Engine, Store
from sm.sandbox.vm.container.wording import RefusedError


def main(words: list[str]) -> int:
    """Answer one command line with its status."""
    match words:
        case ["start", folder, container_id, report]:
            from sm.sandbox.vm.container import start

            return start.main(Path(folder), container_id, int(report))
        case ["probe"]:
            from sm.sandbox.vm.container import start

            sys.stdout.write(" ".join(start.probe()))
            return 0
        case [("podman" | "docker") as runtime, *rest]:
            return _answer(runtime, rest)
        case _:
            sys.stderr.write("usage: python -m sm.sandbox.vm.container podman|docker ARGUMENTS…\n")
            return 2


def _answer(runtime: str, words: list[str]) -> int:
    if os.environ.get("SM_SANDBOX_RUNTIME_AWAY"):
        if runtime == "docker":
            sys.stderr.write("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon "
                             "running?\n")  # fmt: skip
            return 1
        sys.stderr.write("Error: unable to connect to Podman: storage is locked\n")
        return 125
    folder = Path(os.environ["SM_SANDBOX_ENGINE"])
    try:
        return Client(runtime, Engine.load(folder), Store(folder)).answer(words)
    except RefusedError as refused:
        sys.stderr.write(refused.line + "\n")
        return refused.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
