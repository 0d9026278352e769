"""What lies on the VM's disk: the user's home with profile and git settings, the repositories upstream, the image."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

_AUTHOR = {
    "GIT_AUTHOR_NAME": "Sarah", "GIT_AUTHOR_EMAIL": "sarah@acme.example", "GIT_AUTHOR_DATE": "2026-01-05T09:00:00Z",
    "GIT_COMMITTER_NAME": "Sarah", "GIT_COMMITTER_EMAIL": "sarah@acme.example",
    "GIT_COMMITTER_DATE": "2026-01-05T09:00:00Z",
}  # fmt: skip

_WEBAPP = {
    "README.md": "# webapp\n\nThe shop window of Acme.\n",
    "pyproject.toml": '[project]\nname = "webapp"\nversion = "0.1.0"\nrequires-python = ">=3.11"\ndependencies = []\n',
    "webapp/__init__.py": '"""Acme\'s shop window."""\n',
    "webapp/app.py": 'def greet(name: str) -> str:\n    return f"Hello, {name}!"\n',
}
_API = {
    "README.md": "# api\n\nWhat the shop window asks.\n",
    "pyproject.toml": '[project]\nname = "api"\nversion = "0.1.0"\nrequires-python = ">=3.11"\ndependencies = []\n',
    "api/__init__.py": '"""Acme\'s API."""\n',
}
_FEATURE = {"webapp/login.py": "def login(user: str) -> bool:\n    return bool(user)\n"}

# repository → branch → the files that its commit adds; the first branch is the default, the others begin there
UPSTREAM: dict[str, dict[str, dict[str, str]]] = {
    "acme/webapp": {"main": _WEBAPP, "feature/login": _FEATURE, "develop": {"CHANGES.md": "# Changes\n"}},
    "acme/api": {"main": _API, "v2": {"api/v2.py": "VERSION = 2\n"}},
}


@frozen
class Layout:
    """Where things lie below the sandbox's state folder."""

    state: Path

    @property
    def vm(self) -> Path:
        """All that is the VM's."""
        return self.state / "vm"

    @property
    def home(self) -> Path:
        """The user's home."""
        return self.vm / "home" / "claude"

    @property
    def bin(self) -> Path:
        """Programs of the VM that come first on a login shell's PATH."""
        return self.vm / "bin"

    @property
    def engine(self) -> Path:
        """The container stand-in's settings and records."""
        return self.vm / "engine"

    @property
    def image(self) -> Path:
        """Programs of the agent's image that come first on its PATH."""
        return self.vm / "image" / "bin"

    @property
    def upstream(self) -> Path:
        """What stands for https://github.com/."""
        return self.state / "upstream"

    @property
    def sessions(self) -> Path:
        """SM_SESSIONS_PATH."""
        return self.home / "sessions"

    @property
    def repos(self) -> Path:
        """SM_REPOS_BASE_PATH."""
        return self.home / "repos"

    @property
    def worktrees(self) -> Path:
        """SM_WORKTREES_PATH."""
        return self.home / "worktrees"


def make_home(
    layout: Layout, secrets: Mapping[str, str], git_settings: str = "", *, closed: bool = True
) -> None:
    """Write profile, git settings and programs. `secrets` are exported by the profile only: a login shell sees them.

    `git_settings` are the lines of `.gitconfig` that say how github.com is reached; without them, its repositories are
    those of the folder `upstream`. `closed` False says that no namespace closes the containers in: the profile tells it,
    and a start does not try whether they are.
    """
    for folder in (layout.home, layout.bin, layout.image, layout.vm / "run"):
        folder.mkdir(parents=True, exist_ok=True)
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in secrets.items())
    if not closed:
        exports += "export SM_SANDBOX_WITHOUT_NAMESPACES=1\n"
    profile = layout.home / ".bash_profile"
    profile.touch(mode=0o600)
    profile.write_text(
        f"{exports}export XDG_RUNTIME_DIR={shlex.quote(str(layout.vm / 'run'))}\n"
        f'export PATH={shlex.quote(str(layout.bin))}:"$PATH"\n'
        '[ -z "${SM_SANDBOX_PROFILE_PRINTS:-}" ] || printf "Welcome to lanllm.\\nYou have 3 new messages.\\n"\n'
    )
    git_settings = git_settings or f'[url "file://{layout.upstream}/"]\n\tinsteadOf = https://github.com/\n'
    (layout.home / ".gitconfig").write_text(f"{git_settings}[init]\n\tdefaultBranch = main\n")
    for runtime in ("podman", "docker"):
        _script(
            layout.bin / runtime,
            f"export SM_SANDBOX_ENGINE={shlex.quote(str(layout.engine))}\n"
            f'exec {shlex.quote(sys.executable)} -m sm.sandbox.vm.container {runtime} "$@"\n',
        )
    _script(
        layout.bin / "loginctl",
        'case "$*" in *--value*) echo yes;; *inger*) echo Linger=yes;; *) exit 0;; esac\n',
    )


def make_agent(layout: Layout, claude: Path | None) -> None:
    """Put `claude` into the image: the real CLI where there is one, else the stand-in."""
    command = shlex.quote(str(claude)) if claude else f"{shlex.quote(sys.executable)} -m sm.sandbox.agent.cli"
    _script(layout.image / "claude", f'exec {command} "$@"\n')


def find_agent(named: str | None) -> tuple[Path | None, str]:
    """The real Claude Code CLI, and a line for a person. `named` empty takes the stand-in; None looks for it.

    Looked for are what `CLAUDE_CLI` names, then `claude` on the PATH. One that cannot say its version does not count:
    the npm package leaves such a stub behind when its install script was not allowed to run.
    """
    wanted = named if named is not None else os.environ.get("CLAUDE_CLI") or "claude"
    stand_in = "Agent: a stand-in for the Claude Code CLI"
    if not wanted:
        return None, f"{stand_in}, as asked for."
    found = shutil.which(wanted)
    if found is None:
        what = "none is installed" if wanted == "claude" else f"{wanted} is no program"
        return None, f"{stand_in} ({what}; CLAUDE_CLI names one)."
    claude = Path(found).resolve()
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(Path.home()),
        "DISABLE_AUTOUPDATER": "1",
    }
    try:
        said = subprocess.run(
            [str(claude), "--version"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None, f"{stand_in} ({claude} is there but does not run)."
    return (
        claude,
        f"Agent: the Claude Code CLI {said.stdout.strip()} at {claude}, answered by the sandbox's own API.",
    )


def needs(claude: Path) -> tuple[list[str], list[str]]:
    """What a CLI needs in the image: folders to see, and folders for the PATH (the older package is a node script)."""
    with claude.open("rb") as file:
        is_node = b"node" in file.readline(200) if file.read(2) == b"#!" else False
    node = shutil.which("node") if is_node else None
    if node is None:
        return [str(claude.parent)], []
    folder = Path(node).resolve().parent
    return [str(claude.parent), str(folder.parent if folder.name == "bin" else folder)], [str(folder)]


async def make_upstream(layout: Layout) -> None:
    """Make the repositories that are not there yet. Raises `RuntimeError` with git's own words."""
    for name, branches in UPSTREAM.items():
        bare = layout.upstream / f"{name}.git"
        if bare.exists():
            continue
        work = bare.with_suffix(".part")
        shutil.rmtree(work, ignore_errors=True)
        await _git("init", "-q", "-b", next(iter(branches)), str(work))
        for index, (branch, files) in enumerate(branches.items()):
            if index:
                await _git("-C", str(work), "switch", "-q", "-c", branch, next(iter(branches)))
            for path, text in files.items():
                file = work / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            await _git("-C", str(work), "add", ".")
            await _git("-C", str(work), "commit", "-q", "-m", f"Begin {branch}")
        await _git("-C", str(work), "switch", "-q", next(iter(branches)))
        await _git("clone", "-q", "--bare", str(work), str(bare))
        shutil.rmtree(work)


async def _git(*words: str) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", **_AUTHOR}
    process = await asyncio.create_subprocess_exec(
        "git", "-c", "commit.gpgsign=false", *words, env=environment,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"git {' '.join(words)} failed: {said.decode(errors='replace').strip()}")


def make_python(fallback: Path) -> Path:
    """The image's Python with its own pip: made once an environment (or in `fallback`), kept for later starts.

    Its packages go to the agent's HOME (`PIP_PREFIX`), so it stays as it is. Raises `RuntimeError` when `venv` fails,
    which on Debian means that the package python3-venv is missing.
    """
    base = Path(sys.prefix) if os.access(sys.prefix, os.W_OK) and sys.prefix != sys.base_prefix else fallback
    folder = base / "share" / "sandbox-image"
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "python"
    done = folder / "done"
    with _locked(folder / "lock"):
        if not (done.exists() and (python / "bin" / "pip").exists() and done.read_text() == sys.version):
            shutil.rmtree(python, ignore_errors=True)
            interpreter = (
                Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
            )
            command = [
                str(interpreter if interpreter.exists() else sys.executable),
                "-m",
                "venv",
                str(python),
            ]
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode:
                raise RuntimeError(
                    f"python3 -m venv failed (install python3-venv): {made.stdout}{made.stderr}"
                )
            done.write_text(sys.version)
    return python


@contextmanager
def _locked(path: Path) -> Generator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}")
    path.chmod(0o755)
