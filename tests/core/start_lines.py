"""Lines as people write them, what each asks for, and the words of the answer to each that is not written right.

`myproject` and `tools.old` are projects of `SM_PROJECTS`. The second table adds `SM_DEFAULT_ORG=acme`, the third takes
repositories from a server of its own.
"""

from __future__ import annotations

from typing import Any

PROJECTS = {"myproject": "/home/claude/projects/myproject", "tools.old": "/srv/tools"}
DEFAULT_ORG = "acme"
GIT_URL = "https://git.example.com:3000/forge"

Outcome = dict[str, Any] | str


def start(org: str, repo: str, branch: str | None = None, *, worktree: str | bool | None = None) -> Outcome:
    return _command("start", org=org, repo=repo, branch=branch, worktree=worktree)


def project(name: str) -> Outcome:
    return _command("start", project=name)


def command(name: str, session: str | None = None) -> Outcome:
    return _command(name, session=session)


def answer(sentence: str, line: str) -> Outcome:
    """The whole answer: a sentence, the line to copy, and how to say the words to the agent instead."""
    return f"{sentence}\n`@claude {line}`\n(To say it to the agent, leave out the mention.)"


def _command(name: str, **given: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("org", "repo", "branch", "worktree", "project", "session"))
    return {"command": name, **empty, **given}


WEBAPP = start("acme", "webapp")
WHICH = "Which repository? Write it as on GitHub:"
TWO_DASHES = "An option begins with two dashes, but I read `{}`. Write:"
NO_OPTION = "I don't know the option `{}`. Without it:"
SLIP = "I don't know the option `{}`. Did you mean this?"
PLAIN = "I read `{}`. Write it with nothing around it:"
PARTED = "I read `{}`. Write it without spaces:"
GLUED = "I read `{}`. Write it with a space:"
MARK = "I read `{}`. Write it without the mark at its end:"
FORM = "A repository is written `org/repo`, but I read `{}`. Did you mean this?"
NONE = "`{}` is no repository or project that I know. Write a repository as on GitHub:"
ELSEWHERE = "That is an address on another server than the one I take repositories from. Write a repository of that one:"
ADDRESS = "Write the repository without its address:"
TOO_MUCH = "I start one repository at a time, but I also read `{}`. Write:"
NO_BRANCH = "`{}` can't be the name of a branch. Write:"
AT = "A branch stands behind an `@`, but I read `{}`. Did you mean this?"
AT_NO_OPTION = "A branch stands behind the repository and an `@`; there is no option `{}`. Write:"
NAME_FORM = "A worktree's name stands behind `=` without a space, but I read `{}`. Write:"
NO_NAME = "`{}` can't be the name of a worktree: it is letters, digits, dots, dashes and underscores, 64 at most. Write:"
ID_ONLY = "That command takes a session's id or nothing, but I read `{}`. Write:"
TYPO = "I don't know `{}`. Did you mean this?"
NO_PROJECT = "`{}` is not quite the name of a project. Did you mean this?"
FOLDER_BRANCH = "The project `{}` is a folder that is used as it is: no branch can be chosen. As it is:"
FOLDER_WORKTREE = "The project `{}` is a folder that is used as it is: it has no worktrees. As it is:"

LINES: list[tuple[str, Outcome]] = [
    # the six forms of the specification
    ("@claude start org/repo", start("org", "repo")),
    ("@claude start org/repo@branch", start("org", "repo", "branch")),
    ("@claude start org/repo --worktree", start("org", "repo", worktree=True)),
    ("@claude start org/repo --worktree=feature", start("org", "repo", worktree="feature")),
    ("@claude start org/repo@branch --worktree", start("org", "repo", "branch", worktree=True)),
    ("@claude start myproject", project("myproject")),
    # the same with other names, and in other order
    ("@claude start acme/webapp", WEBAPP),
    ("@claude start Acme-Corp/web.app_2", start("Acme-Corp", "web.app_2")),
    ("@claude start a/.github", start("a", ".github")),
    ("@claude start acme/webapp@feature/login", start("acme", "webapp", "feature/login")),
    ("@claude start acme/webapp@release-1.0", start("acme", "webapp", "release-1.0")),
    ("@claude start acme/webapp@issue#12", start("acme", "webapp", "issue#12")),
    ("@claude start acme/webapp@v2@next", start("acme", "webapp", "v2@next")),
    ("@claude start --worktree acme/webapp", start("acme", "webapp", worktree=True)),
    ("@claude start --worktree=feature acme/webapp", start("acme", "webapp", worktree="feature")),
    ("@claude start --worktree=fix.1_a acme/webapp@dev", start("acme", "webapp", "dev", worktree="fix.1_a")),
    ("@claude start acme/webapp@feature/x --worktree=x", start("acme", "webapp", "feature/x", worktree="x")),
    ("@claude start tools.old", project("tools.old")),
    ("@claude start myproject/webapp", start("myproject", "webapp")),
    # spaces, line ends, letters and marks that do no harm
    ("  @claude   start\tacme/webapp   --worktree ", start("acme", "webapp", worktree=True)),
    ("@claude start\nacme/webapp", WEBAPP),
    ("@Claude Start acme/webapp", WEBAPP),
    ("@CLAUDE START acme/webapp", WEBAPP),
    ("@claude, start acme/webapp", WEBAPP),
    ("@claude: start: acme/webapp", WEBAPP),
    ("start acme/webapp", WEBAPP),
    # nothing to start
    ("@claude start", answer(WHICH, "start org/repo")),
    ("@claude start --worktree", answer(WHICH, "start org/repo --worktree")),
    ("@claude start --worktree=feature", answer(WHICH, "start org/repo --worktree=feature")),
    ("@claude start webapp", answer(NONE.format("webapp"), "start org/repo")),
    ("@claude start @dev", answer(NONE.format("@dev"), "start org/repo")),
    ("@claude start ..", answer(NONE.format(".."), "start org/repo")),
    ("@claude start ``", answer(PLAIN.format("''"), "start org/repo")),
    # dashes: a phone makes one of two
    ("@claude start acme/webapp —worktree", answer(TWO_DASHES.format("—worktree"), "start acme/webapp --worktree")),
    ("@claude start acme/webapp –worktree=a", answer(TWO_DASHES.format("–worktree=a"), "start acme/webapp --worktree=a")),
    ("@claude start —worktree acme/webapp@dev", answer(TWO_DASHES.format("—worktree"), "start acme/webapp@dev --worktree")),
    ("@claude start acme/webapp -worktree", answer(TWO_DASHES.format("-worktree"), "start acme/webapp --worktree")),
    ("@claude start acme/webapp ---worktree", answer(TWO_DASHES.format("---worktree"), "start acme/webapp --worktree")),
    ("@claude start acme/webapp — worktree", answer(PARTED.format("— worktree"), "start acme/webapp --worktree")),
    ("@claude start acme/webapp -- worktree=a", answer(PARTED.format("-- worktree=a"), "start acme/webapp --worktree=a")),
    ("@claude start acme/webapp--worktree", answer(GLUED.format("acme/webapp--worktree"), "start acme/webapp --worktree")),
    ("@claude start acme/webapp@dev—worktree=a", answer(GLUED.format("acme/webapp@dev—worktree=a"), "start acme/webapp@dev --worktree=a")),
    # options that are none
    ("@claude start acme/webapp --worktre", answer(SLIP.format("--worktre"), "start acme/webapp --worktree")),
    ("@claude start acme/webapp --worktrees", answer(SLIP.format("--worktrees"), "start acme/webapp --worktree")),
    ("@claude start acme/webapp --work-tree=a", answer(SLIP.format("--work-tree=a"), "start acme/webapp --worktree=a")),
    ("@claude start acme/webapp --Worktree", answer(SLIP.format("--Worktree"), "start acme/webapp --worktree")),
    ("@claude start acme/webapp --wroktree", answer(SLIP.format("--wroktree"), "start acme/webapp --worktree")),
    ("@claude start acme/webapp --force", answer(NO_OPTION.format("--force"), "start acme/webapp")),
    ("@claude start --force acme/webapp@dev --worktree", answer(NO_OPTION.format("--force"), "start acme/webapp@dev --worktree")),
    ("@claude start acme/webapp -f", answer(NO_OPTION.format("-f"), "start acme/webapp")),
    ("@claude start acme/webapp --", answer(NO_OPTION.format("--"), "start acme/webapp")),
    ("@claude start -o/x", answer(NO_OPTION.format("-o/x"), "start org/repo")),
    ("@claude start --upload-pack=touch/x", answer(NO_OPTION.format("--upload-pack=touch/x"), "start org/repo")),
    ("@claude start acme/webapp --branch dev", answer(AT_NO_OPTION.format("--branch"), "start acme/webapp@dev")),
    ("@claude start acme/webapp --branch=dev --worktree", answer(AT_NO_OPTION.format("--branch=dev"), "start acme/webapp@dev --worktree")),
    ("@claude start -b dev acme/webapp", answer(AT_NO_OPTION.format("-b"), "start acme/webapp@dev")),
    ("@claude start acme/webapp --worktree --worktree", answer("I read `--worktree` more than once. Once is enough:", "start acme/webapp --worktree")),
    ("@claude start --worktree acme/webapp --worktree=a", answer("I read `--worktree` more than once. Once is enough:", "start acme/webapp --worktree=a")),
    # names of worktrees
    ("@claude start acme/webapp --worktree feature", answer(NAME_FORM.format("--worktree feature"), "start acme/webapp --worktree=feature")),
    ("@claude start --worktree feature acme/webapp", answer(NAME_FORM.format("--worktree feature"), "start acme/webapp --worktree=feature")),
    ("@claude start acme/webapp --worktree = feature", answer(NAME_FORM.format("--worktree feature"), "start acme/webapp --worktree=feature")),
    ("@claude start acme/webapp --worktree= feature", answer(NAME_FORM.format("--worktree feature"), "start acme/webapp --worktree=feature")),
    ("@claude start acme/webapp --worktree:feature", answer(NAME_FORM.format("--worktree:feature"), "start acme/webapp --worktree=feature")),
    ("@claude start acme/webapp --worktree=", answer("I read `--worktree=` without a name behind it. For a name that I choose:", "start acme/webapp --worktree")),
    ("@claude start acme/webapp --worktree=feature/x", answer(NO_NAME.format("feature/x"), "start acme/webapp --worktree=feature-x")),
    ("@claude start acme/webapp --worktree=../../etc", answer(NO_NAME.format("../../etc"), "start acme/webapp --worktree=etc")),
    ("@claude start acme/webapp --worktree=--force", answer(NO_NAME.format("--force"), "start acme/webapp --worktree=force")),
    ("@claude start acme/webapp --worktree=x.lock", answer(NO_NAME.format("x.lock"), "start acme/webapp --worktree")),
    ("@claude start acme/webapp --worktree=für", answer(NO_NAME.format("für"), "start acme/webapp --worktree=f-r")),
    ("@claude start acme/webapp --worktree=" + "x" * 65, answer(NO_NAME.format("x" * 59 + "…"), "start acme/webapp --worktree=" + "x" * 64)),
    # names of branches
    ("@claude start acme/webapp@", answer("I read an `@` without a branch behind it. Write:", "start acme/webapp")),
    ("@claude start acme/webapp@--upload-pack=x", answer(NO_BRANCH.format("--upload-pack=x"), "start acme/webapp")),
    ("@claude start acme/webapp@a..b", answer(NO_BRANCH.format("a..b"), "start acme/webapp")),
    ("@claude start acme/webapp@a@{1}", answer(NO_BRANCH.format("a@{1}"), "start acme/webapp")),
    ("@claude start acme/webapp@HEAD", answer(NO_BRANCH.format("HEAD"), "start acme/webapp")),
    ("@claude start acme/webapp@x.lock", answer(NO_BRANCH.format("x.lock"), "start acme/webapp")),
    ("@claude start acme/webapp@$(id)", answer(PLAIN.format("acme/webapp@$(id)"), "start acme/webapp")),
    ("@claude start acme/webapp@refs/heads/dev --worktree", answer(NO_BRANCH.format("refs/heads/dev"), "start acme/webapp@dev --worktree")),
    ("@claude start acme/webapp@dev/", answer(NO_BRANCH.format("dev/"), "start acme/webapp@dev")),
    ("@claude start acme/webapp@" + "x" * 201, answer(NO_BRANCH.format("x" * 59 + "…"), "start acme/webapp")),
    ("@claude start acme/webapp#dev", answer(AT.format("acme/webapp#dev"), "start acme/webapp@dev")),
    ("@claude start acme/webapp:dev", answer(AT.format("acme/webapp:dev"), "start acme/webapp@dev")),
    # repositories in another form
    ("@claude start acme/webapp/", answer(FORM.format("acme/webapp/"), "start acme/webapp")),
    ("@claude start /acme/webapp", answer(FORM.format("/acme/webapp"), "start acme/webapp")),
    ("@claude start @acme/webapp", answer(FORM.format("@acme/webapp"), "start acme/webapp")),
    ("@claude start acme//webapp", answer(FORM.format("acme//webapp"), "start acme/webapp")),
    ("@claude start acme\\webapp", answer(FORM.format("acme\\webapp"), "start acme/webapp")),
    ("@claude start acme/webapp.git", answer(FORM.format("acme/webapp.git"), "start acme/webapp")),
    ("@claude start acme/webapp/tree/dev", answer(FORM.format("acme/webapp/tree/dev"), "start acme/webapp@dev")),
    ("@claude start acme/webapp/docs", answer(FORM.format("acme/webapp/docs"), "start acme/webapp")),
    ("@claude start acme / webapp", answer(PARTED.format("acme / webapp"), "start acme/webapp")),
    ("@claude start acme/ webapp --worktree", answer(PARTED.format("acme/ webapp"), "start acme/webapp --worktree")),
    ("@claude start acme/webapp @dev", answer(PARTED.format("acme/webapp @dev"), "start acme/webapp@dev")),
    ("@claude start acme/webapp @ dev", answer(PARTED.format("acme/webapp @ dev"), "start acme/webapp@dev")),
    ("@claude start acme/webapp.", answer(MARK.format("acme/webapp."), "start acme/webapp")),
    ("@claude start acme/webapp --worktree!", answer(MARK.format("--worktree!"), "start acme/webapp --worktree")),
    ("@claude start acme/webapp@dev, please", answer(MARK.format("acme/webapp@dev,"), "start acme/webapp@dev")),
    ("@claude start acme/../x", answer(NONE.format("acme/../x"), "start org/repo")),
    ("@claude start ../x", answer(NONE.format("../x"), "start org/repo")),
    ("@claude start acme/webapp;rm -rf", answer(NONE.format("acme/webapp;rm"), "start org/repo")),
    ("@claude start acme/$HOME", answer(NONE.format("acme/$HOME"), "start org/repo")),
    ("@claude start ac--me/webapp", answer(NONE.format("ac--me/webapp"), "start org/repo")),
    ("@claude start аcme/webapp", answer(NONE.format("аcme/webapp"), "start org/repo")),  # a Cyrillic a
    # addresses
    ("@claude start https://github.com/acme/webapp", answer(ADDRESS, "start acme/webapp")),
    ("@claude start https://github.com/acme/webapp.git --worktree=a", answer(ADDRESS, "start acme/webapp --worktree=a")),
    ("@claude start https://github.com/acme/webapp/tree/feature/x", answer(ADDRESS, "start acme/webapp@feature/x")),
    ("@claude start https://github.com/acme/webapp/tree/a%23b", answer(ADDRESS, "start acme/webapp@a#b")),
    ("@claude start https://github.com/acme/webapp/blob/main/README.md#top", answer(ADDRESS, "start acme/webapp")),
    ("@claude start https://www.github.com/acme/webapp/?tab=readme", answer(ADDRESS, "start acme/webapp")),
    ("@claude start github.com/acme/webapp", answer(ADDRESS, "start acme/webapp")),
    ("@claude start git@github.com:acme/webapp.git", answer(ADDRESS, "start acme/webapp")),
    ("@claude start ssh://git@github.com/acme/webapp", answer(ADDRESS, "start acme/webapp")),
    ("@claude start https://gitlab.com/acme/webapp", answer(ELSEWHERE, "start org/repo")),
    ("@claude start git@gitlab.com:acme/webapp.git", answer(ELSEWHERE, "start org/repo")),
    ("@claude start https://github.com.evil.example/acme/webapp", answer(ELSEWHERE, "start org/repo")),
    # quotes
    ('@claude start "acme/webapp"', answer(PLAIN.format('"acme/webapp"'), "start acme/webapp")),
    ("@claude start “acme/webapp” --worktree", answer(PLAIN.format("“acme/webapp”"), "start acme/webapp --worktree")),
    ("@claude start `acme/webapp --worktree`", answer(PLAIN.format("'acme/webapp"), "start acme/webapp --worktree")),
    ("@claude start **acme/webapp**", answer(PLAIN.format("**acme/webapp**"), "start acme/webapp")),
    ("@claude start <acme/webapp>", answer(PLAIN.format("<acme/webapp>"), "start acme/webapp")),
    ('@claude start acme/webapp --worktree="feature"', answer(PLAIN.format('--worktree="feature"'), "start acme/webapp --worktree=feature")),
    ("@claude start acme/webapp ‘--worktree’", answer(PLAIN.format("‘--worktree’"), "start acme/webapp --worktree")),
    ("@claude `start acme/webapp --worktree`", answer(PLAIN.format("'start acme/webapp --worktree'"), "start acme/webapp --worktree")),
    ("@claude `@claude start acme/webapp`", answer(PLAIN.format("'@claude start acme/webapp'"), "start acme/webapp")),
    ("@claude start acme/webapp\u200b", answer(PLAIN.format("acme/webapp�"), "start acme/webapp")),
    # more words than are needed
    ("@claude start acme/webapp acme/other", answer(TOO_MUCH.format("acme/other"), "start acme/webapp")),
    ("@claude start acme/webapp and add pytest", answer(TOO_MUCH.format("and add pytest"), "start acme/webapp")),
    ("@claude start the acme/webapp repo", answer(TOO_MUCH.format("the repo"), "start acme/webapp")),
    ("@claude start acme/webapp --worktree=a in a folder", answer(TOO_MUCH.format("in a folder"), "start acme/webapp --worktree=a")),
    ("@claude start myproject acme/webapp", answer(TOO_MUCH.format("myproject"), "start acme/webapp")),
    # projects
    ("@claude start MyProject", answer(NO_PROJECT.format("MyProject"), "start myproject")),
    ("@claude start myprojct", answer(NO_PROJECT.format("myprojct"), "start myproject")),
    ("@claude start myproject/", answer(NO_PROJECT.format("myproject/"), "start myproject")),
    ("@claude start myproject@dev", answer(FOLDER_BRANCH.format("myproject"), "start myproject")),
    ("@claude start myproject --worktree", answer(FOLDER_WORKTREE.format("myproject"), "start myproject")),
    ("@claude start --worktree=a myproject", answer(FOLDER_WORKTREE.format("myproject"), "start myproject")),
    # the command's own word
    ("@claude strat acme/webapp", answer(TYPO.format("strat"), "start acme/webapp")),
    ("@claude satrt acme/webapp —worktree", answer(TYPO.format("satrt"), "start acme/webapp --worktree")),
    ("@claude star myproject", answer(TYPO.format("star"), "start myproject")),
    ("@claude startt", answer(TYPO.format("startt"), "start org/repo")),
    ("@claude please start acme/webapp", command("text")),
    ("@claude restart acme/webapp", command("text")),
    ("@claude add pytest to the project", command("text")),
    # the other commands
    ("@claude", command("help")),
    ("@claude help", command("help")),
    ("@claude stop", command("stop")),
    ("@claude stop abc12345", command("stop", "abc12345")),
    ("@claude stop `claude-abc12345`", command("stop", "abc12345")),
    ("@claude status", command("status")),
    ("@claude diff", command("diff")),
    ("@claude push `abc12345`", command("push", "abc12345")),
    ("@claude fetch", command("fetch")),
    ("@claude stop acme/webapp", answer(ID_ONLY.format("acme/webapp"), "stop")),
    ("@claude stop session ABC12345", answer(ID_ONLY.format("session ABC12345"), "stop abc12345")),
    ("@claude push --force", answer(ID_ONLY.format("--force"), "push")),
    ("@claude push to main", answer(ID_ONLY.format("to main"), "push")),
    ("@claude help me", answer("That command takes nothing more, but I read `me`. Write it alone:", "help")),
    ("@claude psuh abc12345", answer(TYPO.format("psuh"), "push abc12345")),
]  # fmt: skip

WITH_A_DEFAULT_ORG: list[tuple[str, Outcome]] = [
    ("@claude start webapp", WEBAPP),
    ("@claude start webapp@dev", start("acme", "webapp", "dev")),
    ("@claude start webapp@dev --worktree=a", start("acme", "webapp", "dev", worktree="a")),
    ("@claude start --worktree webapp", start("acme", "webapp", worktree=True)),
    ("@claude start other/webapp", start("other", "webapp")),
    ("@claude start myproject", project("myproject")),
    ("@claude start myprojct", start("acme", "myprojct")),
    ("@claude start MyProject", answer(NO_PROJECT.format("MyProject"), "start myproject")),
    ("@claude start webapp —worktree", answer(TWO_DASHES.format("—worktree"), "start acme/webapp --worktree")),
    ("@claude start webapp --worktree feature", answer(NAME_FORM.format("--worktree feature"), "start acme/webapp --worktree=feature")),
    ("@claude start webapp.git", answer(FORM.format("webapp.git"), "start acme/webapp")),
    ("@claude start webapp@a..b", answer(NO_BRANCH.format("a..b"), "start acme/webapp")),
    ("@claude start webapp @dev", answer(PARTED.format("webapp @dev"), "start acme/webapp@dev")),
    ("@claude start webapp;rm", answer(NONE.format("webapp;rm"), "start org/repo")),
]  # fmt: skip

WITH_ANOTHER_SERVER: list[tuple[str, Outcome]] = [
    ("@claude start https://git.example.com:3000/forge/acme/webapp", answer(ADDRESS, "start acme/webapp")),
    ("@claude start https://git.example.com:3000/forge/acme/webapp/src/branch/a/b", answer(ADDRESS, "start acme/webapp@a/b")),
    ("@claude start https://github.com/acme/webapp", answer(ELSEWHERE, "start org/repo")),
    ("@claude start acme/webapp", WEBAPP),
]  # fmt: skip
