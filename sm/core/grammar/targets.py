"""What one word can name: a repository with a branch, a project, or either of them in another form.

`full`, `project` and `bare` together are what a line may say; all else has a `problem`.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from attrs import evolve, frozen

from sm.core.grammar.names import is_branch, repository
from sm.core.grammar.words import one_edit

_BRANCH_PAGES = frozenset(
    {"tree", "commits", "src/branch"}
)  # of GitHub's and Gitea's pages: a branch follows
_SSH = "git@"


@frozen
class Known:
    """What the settings say of names.

    The projects, the owner of a bare name, the server that repositories are on, the sets of hosts (in lower case).
    """

    projects: tuple[str, ...] = ()
    default_org: str = ""
    git_url: str = "https://github.com"
    sets: tuple[str, ...] = ()


@frozen
class Target:
    """A repository, perhaps with a branch, or a project. `shown` is the part of the word that is wrong, if not all."""

    org: str = ""
    repo: str = ""
    branch: str = ""
    project: str = ""
    problem: str = ""
    shown: str = ""


def mended_branch(name: str) -> str:
    """A branch's name made of one that is not written as such, or nothing."""
    mended = re.sub("/{2,}", "/", name[:300]).strip("/").removeprefix("refs/heads/")
    return mended if is_branch(mended) else ""


class Targets:
    """Readings of one word, from the most certain to the least."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._server = re.sub(r"\Ahttps?://", "", known.git_url).rstrip("/").lower()

    def plain(self, word: str) -> Target | None:
        """What a word without anything wrong in it names."""
        return self.full(word) or self.project(word) or self.bare(word)

    def full(self, word: str) -> Target | None:
        """`org/repo` or `org/repo@branch`."""
        name, at, branch = word.partition("@")
        found = repository(name)
        if not found or (at and not is_branch(branch)):
            return None
        return Target(*found, branch)

    def project(self, word: str) -> Target | None:
        """A project's name; with a branch behind it, too, which the line has to refuse."""
        name, _, branch = word.partition("@")
        return Target(project=name, branch=branch) if name in self._known.projects else None

    def bare(self, word: str) -> Target | None:
        """A name without an owner: the default owner's repository, or a project in other letters."""
        name, at, branch = word.partition("@")
        projects = sorted(self._known.projects)
        if alike := [each for each in projects if each.lower() == name.lower()]:
            return Target(project=alike[0], problem="project_name")
        found = repository(f"{self._known.default_org}/{name}")
        if found and (not at or is_branch(branch)):
            return Target(*found, branch)
        if not found and len(name) >= 4 and (alike := [each for each in projects if one_edit(each, name)]):
            return Target(project=alike[0], problem="project_name")
        return None

    def mended(self, word: str) -> Target | None:
        """An address, or something with a slash, an `@` or the like at the wrong place."""
        path = self._path_on_server(word)
        if path is not None:
            return _from_page(path)
        if self.bare(word) or self.is_elsewhere(word):
            return None
        text = word.lstrip("@/\\") if "/" in word or "\\" in word else word
        name = re.split("[@#:]", text, maxsplit=1)[0]
        sign, branch = text[len(name) : len(name) + 1], text[len(name) + 1 :]
        parts = [part for part in re.split(r"[/\\]+", name[:400]) if part]
        plain = _without_git("/".join(parts[:2]))
        found = self.plain(plain)
        if found is None or plain == word:
            return None
        if parts[2:3] == ["tree"]:
            branch = branch or "/".join(parts[3:])
        if found.project:
            return evolve(found, problem="repository_form")
        found = evolve(found, branch=mended_branch(branch), problem="repository_form")
        if sign and sign in "#:" and found.branch:
            return evolve(found, problem="branch_sign")
        if sign == "@" and plain == name and text == word:
            return (
                evolve(found, problem="bad_branch", shown=branch)
                if branch
                else evolve(found, problem="empty_branch")
            )
        return found

    def is_elsewhere(self, word: str) -> bool:
        """Whether it is the address of another server."""
        return self._path_on_server(word) is None and re.match(rf"\w+://|{_SSH}", word) is not None

    def _path_on_server(self, word: str) -> str | None:
        """What stands behind the server's name in an address on it; None for all else."""
        rest = re.sub(r"\A(?:https?|ssh|git)://", "", word, flags=re.IGNORECASE)
        rest = re.sub(r"\A[^/@\s]*@", "", rest) if rest != word or rest.startswith(_SSH) else rest
        rest = re.sub(r"\Awww\.", "", rest, flags=re.IGNORECASE)
        size = len(self._server)
        return (
            rest[size + 1 :]
            if rest[:size].lower() == self._server and rest[size : size + 1] in {"/", ":"}
            else None
        )


def _from_page(path: str) -> Target | None:
    """The repository, and the branch if the page is a branch's, of an address's path."""
    parts = [part for part in unquote(re.split("[?#]", path[:600], maxsplit=1)[0]).split("/") if part]
    found = repository(_without_git("/".join(parts[:2])))
    if not found:
        return None
    page, behind = parts[2:3], parts[3:]
    if parts[2:4] == ["src", "branch"]:
        page, behind = ["src/branch"], parts[4:]
    branch = "/".join(behind) if page and page[0] in _BRANCH_PAGES else ""
    return Target(*found, mended_branch(branch), problem="not_an_address")


def _without_git(name: str) -> str:
    return name[:-4] if name.lower().endswith(".git") else name
