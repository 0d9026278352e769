"""Who plays a case of `runtime_table`: a real runtime, or the sandbox's stand-in; both as the VM's user, on the same machine."""

from __future__ import annotations

import hashlib
import itertools
import os
import pwd
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import attr
import attrs
from attrs import frozen
from runtime_table import Case, Step

import sm
from sm.sandbox.vm.container.store import Engine
from sm.sandbox.vm.peer import IMAGE, NETWORKS

LIMIT_S = 40.0
OTHER = "0123456789ab" * 5 + "cdef"
PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
_NOISE = re.compile(
    r'^(Resource limits are not supported and ignored on cgroups V1 rootless systems|time="[^\n]*|[A-Z]+\[\d+\] [^\n]*|\s*|See \'docker( \w+)* --help\'\.?|Run \'docker( \w+)* --help\' for more information)$',
    re.MULTILINE,
)
_numbers = itertools.count(1)


@frozen
class Side:
    """One player: how its programs are called, and a folder of the VM's user for its cases."""

    name: str
    user: str
    folder: Path
    programs: dict[str, str]
    environment: dict[str, str]

    def play(self, case: Case, runtime: str) -> str:
        """Run a case's lines; answers the transcript, without what differs from run to run."""
        played = Played(self, runtime, self.folder / f"{runtime}-{next(_numbers)}")
        self.execute(["mkdir", "-p", str(played.folder)])
        try:
            return played.transcript(case)
        finally:
            left = (
                self.execute([self.programs[runtime], "ps", "-aq", "--filter", f"name={played.name}"])
                .stdout.decode()
                .split()
            )
            if left:
                self.execute([self.programs[runtime], "rm", "-f", *left])

    def command(self, words: list[str], env: dict[str, str] | None = None) -> list[str]:
        pairs = [f"{name}={value}" for name, value in {**self.environment, **(env or {})}.items()]
        return ["runuser", "-u", self.user, "--", "env", "-C", str(self.folder), "-i", *pairs, *words]

    def execute(
        self, words: list[str], stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self.command(words, env), input=stdin, capture_output=True, timeout=LIMIT_S)


class Played:
    """One case, as one side plays it."""

    def __init__(self, side: Side, runtime: str, folder: Path) -> None:
        self.side = side
        self.runtime = runtime
        self.folder = folder
        self.name = f"case-{os.getpid()}-{folder.name.rpartition('-')[2]}"
        self.behind: list[tuple[Step, subprocess.Popen[bytes]]] = []

    def transcript(self, case: Case) -> str:
        said: list[str] = []
        for step in case.steps:
            if step.behind:
                self._begin(step)
                continue
            done = self.side.execute(self._words(step.line), step.stdin.encode(), step.env)
            said.append(self._told(step, done.returncode, done.stdout, done.stderr))
        for step, process in self.behind:
            out, err = process.communicate(timeout=LIMIT_S)
            said.append(self._told(step, process.returncode, out, err))
        return "\n".join(said)

    def _words(self, line: str) -> list[str]:
        words = shlex.split(line)
        program = [] if line.startswith("!") else [self.side.programs[self.runtime]]
        user = pwd.getpwnam(self.side.user)
        own = ["--userns=keep-id"] if self.runtime == "podman" else ["--user", f"{user.pw_uid}:{user.pw_gid}"]
        found = program
        for word in words:
            found += (
                own
                if word == "@USER"
                else [self._filled(word.removeprefix("!") if word == words[0] else word)]
            )
        return found

    def _filled(self, word: str) -> str:
        for sign, name in (("@CID", "cid"), ("@SHORT", "short")):
            if sign in word:
                word = word.replace(sign, (self.folder / name).read_text().strip())
        return word.replace("@OTHER", OTHER).replace("@W", str(self.folder)).replace("@N", self.name)

    def _begin(self, step: Step) -> None:
        """Start a container that goes on, and wait until the runtime calls it running."""
        command = self.side.command(self._words(step.line), step.env)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.behind.append((step, process))
        cid, deadline = self.folder / "cid", time.monotonic() + LIMIT_S
        inspect = [self.side.programs[self.runtime], "inspect", "-f", "{{.State.Status}}"]
        while not (cid.exists() and self.side.execute([*inspect, cid.read_text()]).stdout == b"running\n"):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, f"it does not run: {step.line}"
            time.sleep(0.02)

    def _told(self, step: Step, status: int, out: bytes, err: bytes) -> str:
        return f"{'' if step.line.startswith('!') else self.runtime + ' '}{step.line}\n  status {status}\n  out {self._plain(out)}\n  err {self._plain(err, drop=True)}"

    def _plain(self, raw: bytes, *, drop: bool = False) -> str:
        text = raw.decode("utf-8", "replace")
        if drop:
            text = "\n".join(line for line in text.split("\n") if not _NOISE.match(line))
            text = re.sub(
                r"\btemplate: .*", "template: …", text
            )  # which of Go's words they are differs by version
        if len(text) > 4000:
            return f"{len(text)} characters, {hashlib.sha256(text.encode()).hexdigest()}"
        text = text.replace(str(self.folder), "@W").replace(self.name, "@N").replace(OTHER, "@OTHER")
        text = re.sub(r"\b[0-9a-f]{64}\b", "<id>", text)
        text = re.sub(
            r"^stopped (?=\d+ )", "exited ", text
        )  # podman's word for a moment, until it has cleaned up
        text = re.sub(r"\b[0-9a-f]{12}\b", "<short id>", text)
        return repr(text)


def stand_in(user: str, folder: Path) -> Side:
    """The sandbox's programs, called by the user with the system's own Python: where this one lies may be closed to it."""
    package, state = folder / "python", folder / "state"
    for module in (attr, attrs):
        source = Path(module.__file__).parent
        shutil.copytree(source, package / source.name, dirs_exist_ok=True)
    root = Path(sm.__file__).parent
    shutil.copytree(
        root / "sandbox" / "vm" / "container",
        package / "sm" / "sandbox" / "vm" / "container",
        dirs_exist_ok=True,
    )
    for place in ("sm", "sm/sandbox", "sm/sandbox/vm"):
        shutil.copy(root.parent / place / "__init__.py", package / place / "__init__.py")
    engine = state / "engine"
    probe = Side("probe", user, folder, {}, {"PATH": PATH, "PYTHONPATH": str(package)})
    allowed = probe.execute(["python3", "-m", "sm.sandbox.vm.container", "probe"]).stdout.decode().split()
    assert set(allowed) == {"mounts", "pids", "nets"}, f"the kernel allows the stand-in {allowed} only"
    Engine(
        state=str(state), images=(IMAGE,), networks=NETWORKS, environment={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        mounts=True, pids=True, nets=True,
    ).save(engine)  # fmt: skip
    programs: dict[str, str] = {}
    for runtime in ("podman", "docker"):
        file = state / runtime
        file.write_text(
            f'#!/bin/sh\nexport SM_SANDBOX_ENGINE={engine} PYTHONPATH={package}\nexec /usr/bin/python3 -m sm.sandbox.vm.container {runtime} "$@"\n'
        )
        file.chmod(0o755)
        programs[runtime] = str(file)
    cases = folder / "cases"
    cases.mkdir()
    own(folder, user)
    return Side("stand-in", user, cases, programs, {"HOME": pwd.getpwnam(user).pw_dir, "PATH": PATH})


def real(user: str, folder: Path, more: dict[str, str]) -> Side:
    """The runtimes that are installed."""
    folder.mkdir()
    own(folder, user)
    entry = pwd.getpwnam(user)
    return Side(
        "real", user, folder, {"podman": "podman", "docker": "docker"},
        {"HOME": entry.pw_dir, "PATH": PATH, "XDG_RUNTIME_DIR": f"/run/user/{entry.pw_uid}", **more},
    )  # fmt: skip


def own(folder: Path, user: str) -> None:
    entry = pwd.getpwnam(user)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
