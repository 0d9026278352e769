"""A real git host for tests: repositories that a test makes and changes, behind `git http-backend` over loopback HTTP.

    github = GitHub(folder)
    await github.start()
    webapp = github.repository("acme/webapp")           # main, with a README
    first = webapp.commit({"a.txt": "a\n"}, branch="feature/login")
    vm = peer.vm(git_base_url=github.url)

Public repositories may be read by anybody; `github.private("acme/webapp")` needs the token, a push always does. What goes
wrong on purpose: `github.fault("cut" | "hang" | "unauthorized" | "forbidden" | "missing", times=1, service="git-upload-pack",
repository="acme/webapp", what="info/refs")`; a cut comes after `github.server.cut_after` bytes of the answer.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sm.sandbox.faults import Faults
from sm.sandbox.git.server import GitServer

TOKEN = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C",
    "GIT_AUTHOR_NAME": "Sarah", "GIT_AUTHOR_EMAIL": "sarah@acme.example", "GIT_AUTHOR_DATE": "2026-01-05T09:00:00Z",
    "GIT_COMMITTER_NAME": "Sarah", "GIT_COMMITTER_EMAIL": "sarah@acme.example",
    "GIT_COMMITTER_DATE": "2026-01-05T09:00:00Z",
}  # fmt: skip


def git(*words: str, cwd: Path | str = "/", stdin: bytes | None = None, **environment: str) -> str:
    """Run git as a person with a name would, without anybody's settings; answers what it printed."""
    done = subprocess.run(
        ["git", "-c", "init.defaultBranch=main", "-c", "safe.directory=*", "-c", "gc.auto=0", *words],
        cwd=cwd, env={**ENVIRONMENT, **environment}, input=stdin, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr.decode(errors='replace')}"
    return done.stdout.decode(errors="replace").strip()


class Repository:
    """A bare repository upstream, changed without a working tree."""

    def __init__(self, path: Path, default: str) -> None:
        self.path = path
        self.default = default
        git("init", "-q", "--bare", "-b", default, str(path))

    def git(self, *words: str, stdin: bytes | None = None, **environment: str) -> str:
        return git(f"--git-dir={self.path}", *words, stdin=stdin, **environment)

    def head(self, branch: str = "") -> str:
        """The commit of a branch, empty when there is no such branch."""
        ref = f"refs/heads/{branch or self.default}"
        return self.git("for-each-ref", "--format=%(objectname)", ref).split("\n")[0]

    def refs(self) -> dict[str, str]:
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ") for line in lines)

    def commit(
        self,
        files: Mapping[str, str | bytes | None],
        *,
        branch: str = "",
        message: str = "Change",
        parent: str | None = None,
        links: Mapping[str, str] | None = None,
    ) -> str:
        """A commit on a branch (made from the default one where it is new) that writes these files; None removes one.

        `parent` names another commit to begin from, "" none at all: then the branch is moved by force. `links` are
        submodule entries, path to commit.
        """
        branch = branch or self.default
        if parent is None:
            parent = self.head(branch) or self.head()
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index"}
            self.git("read-tree", parent or "--empty", **index)
            lines = []
            for path, content in files.items():
                if content is None:
                    lines.append(f"0 {'0' * 40}\t{path}")
                    continue
                data = content.encode() if isinstance(content, str) else content
                lines.append(f"100644 {self.git('hash-object', '-w', '--stdin', stdin=data)}\t{path}")
            lines += [f"160000 {commit}\t{path}" for path, commit in (links or {}).items()]
            self.git("update-index", "--index-info", stdin="".join(f"{x}\n" for x in lines).encode(), **index)
            tree = self.git("write-tree", **index)
        made = self.git("commit-tree", tree, "-m", message, *(["-p", parent] if parent else []))
        self.git("update-ref", f"refs/heads/{branch}", made)
        return made

    def rewrite(self, files: Mapping[str, str | bytes | None], *, branch: str = "") -> str:
        """What a force-push does: the branch's last commit is replaced by another."""
        parents = self.git("rev-list", "--parents", "-n", "1", f"refs/heads/{branch or self.default}").split()
        return self.commit(
            files, branch=branch, message="Rewritten", parent=parents[1] if parents[1:] else ""
        )

    def branch(self, name: str, at: str = "") -> None:
        self.git("update-ref", f"refs/heads/{name}", at or self.head())

    def tag(self, name: str, at: str = "", *, annotated: bool = False) -> None:
        words = ["-a", "-m", name] if annotated else []
        self.git("tag", *words, name, at or self.head())

    def delete(self, ref: str) -> None:
        self.git("update-ref", "-d", ref)

    def move_default(self, branch: str) -> None:
        """Another branch becomes the default one."""
        self.default = branch
        self.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")

    def submodule(self, path: str, url: str, commit: str, *, branch: str = "") -> str:
        """A commit with a submodule: its entry and its line in .gitmodules."""
        text = f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n'
        return self.commit({".gitmodules": text}, branch=branch, links={path: commit})

    def lfs(self, *paths: str, branch: str = "") -> str:
        """A commit with pointers of Git LFS, which a clone without its filter leaves as they are."""
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 123456\n"
        files = dict.fromkeys(paths, pointer)
        attributes = "".join(f"{path} filter=lfs diff=lfs merge=lfs -text\n" for path in paths)
        return self.commit({**files, ".gitattributes": attributes}, branch=branch)

    def big(self, size: int, *, path: str = "big.bin", branch: str = "") -> str:
        """A commit with a file that does not compress, of `size` bytes."""
        return self.commit({path: os.urandom(size)}, branch=branch)

    def hook(self, name: str, text: str) -> None:
        """What the host does at a push, such as to decline it: `update`, `pre-receive`."""
        file = self.path / "hooks" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)


class GitHub:
    """The host. `url` is the SM_GIT_BASE_URL of a VM that uses it."""

    def __init__(self, folder: Path, token: str = TOKEN) -> None:
        self.folder = folder
        self.faults = Faults()
        self.server = GitServer(folder, self.faults, token=token)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def requests(self) -> list[dict[str, object]]:
        """Each request: `repository`, `what`, `service`, `user` ("" for nobody, None for a wrong token), `status`."""
        return self.server.requests

    def asked(self, what: str) -> int:
        """How many requests for `git-upload-pack`, `git-receive-pack` or `info/refs` came in."""
        return sum(request["what"] == what for request in self.requests)

    async def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        await self.server.start(port=self.server.port)

    async def stop(self) -> None:
        """Away: connections are refused until it is started again, at the same port."""
        await self.server.stop()

    def repository(
        self, name: str = "acme/webapp", *, default: str = "main", files: Mapping[str, str] | None = None
    ) -> Repository:
        """A new repository with one commit on its default branch; with `files={}` it is empty."""
        made = Repository(self.folder / f"{name}.git", default)
        if files is None or files:
            made.commit(files or {"README.md": "hello\n"}, message="First")
        return made

    def private(self, *names: str) -> None:
        self.server.private |= set(names)

    def fault(self, name: str, times: int | None = 1, after: int = 0, **match: object) -> None:
        self.faults.arm("git", name, times, match, after)
