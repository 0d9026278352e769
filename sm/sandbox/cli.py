"""`sm sandbox`: the loopback peers, alone or with the service."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from sm.sandbox import environment_file
from sm.sandbox.assembly import Choices, NotOurFolderError, Ports, Sandbox
from sm.sandbox.ending import Signalled, until_signalled
from sm.sandbox.network.gate import Mode
from sm.sandbox.network.netns import NamespaceUnavailableError
from sm.sandbox.service_process import ServiceEndedError, ServiceProcess

app = App(
    name="sandbox",
    help="Run loopback peers (Mattermost, VM over SSH, OPNsense, agent), and the service against them.",
)

Port = Annotated[int, Parameter(validator=Number(gte=0, lte=65535), show_default=False)]


@app.default
def sandbox(
    *,
    peers_only: Annotated[bool, Parameter(negative="")] = False,
    env_file: Path | None = None,
    state: Path | None = None,
    mattermost_port: Port = 0,
    opnsense_port: Port = 0,
    vm_port: Port = 0,
    control_port: Port = 0,
    agent_port: Port = 0,
    callback_port: Port = 0,
    dns_port: Port = 0,
    gate: Mode | None = None,
    stand_in: Annotated[bool, Parameter(negative="")] = False,
    git_closed: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Run until SIGINT or SIGTERM, and leave nothing behind but the state folder that was asked for.

    Parameters
    ----------
    peers_only
        Run only the peers; start the service beside them with the variables of --env-file.
    env_file
        Write the SM_* variables that `sm serve` needs against these peers, and SANDBOX_*, to this file (0600) once
        all of them answer: `set -a; . FILE; set +a; sm serve`.
    state
        Keep everything in this folder (empty, new, or of an earlier sandbox), else in a temporary one.
    mattermost_port
        Port of the Mattermost; as with the others, a free one if it is not given.
    opnsense_port
        Port of the OPNsense.
    vm_port
        Port of the VM's SSH server.
    control_port
        Port of the control server: faults, scales, state.
    agent_port
        Port of the agent's scripted API.
    callback_port
        Port of the service's own listener.
    dns_port
        Port of the DNS server (UDP and TCP).
    gate
        How the network is blocked: by a network namespace or by a proxy; the best that works here if not given.
    stand_in
        Take the stand-in for the agent's CLI even where the real one is installed.
    git_closed
        Let the VM's git reach github.com only once it is approved; otherwise it is open from the beginning.

    """
    ports = Ports(mattermost_port, opnsense_port, vm_port, control_port, agent_port, callback_port, dns_port)
    choices = Choices(gate=gate, claude="" if stand_in else None, git_open=not git_closed)
    try:
        with ExitStack() as stack:
            folder = state or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sm-sandbox-")))
            built = Sandbox(folder, ports, choices)
            asyncio.run(until_signalled(_run(built, env_file, peers_only=peers_only)))
    except Signalled:
        return 0
    except (NotOurFolderError, NamespaceUnavailableError, ServiceEndedError, OSError, RuntimeError) as error:
        print(f"sm sandbox: {error}", file=sys.stderr)
        return 2 if isinstance(error, NotOurFolderError) else 1
    return 0


async def _run(built: Sandbox, env_file: Path | None, *, peers_only: bool) -> None:
    await built.start()
    try:
        variables = built.environment()
        for line in built.announcements():
            _say(line)
        for name in ("SM_MATTERMOST_URL", "SM_VM_HOST", "SM_OPNSENSE_URL", "SANDBOX_CONTROL_URL"):
            _say(f"{name}={variables[name]}")
        _say(f"State: {built.folder}")
        if env_file is not None:
            environment_file.write(env_file, variables)
            _say(f"Environment: {env_file}")
        if peers_only:
            _say("The peers are up. Ctrl-C or SIGTERM ends them.")
            await asyncio.get_running_loop().create_future()
        else:
            await _serve(variables)
    finally:
        await built.stop()


async def _serve(variables: dict[str, str]) -> None:
    service = ServiceProcess(variables)
    try:
        await service.start()
        _say(f"The service is ready at {service.url}, its peers beside it. Ctrl-C or SIGTERM ends all of it.")
        await service.wait()
    finally:
        await service.stop()


def _say(line: str) -> None:
    print(line, flush=True)
