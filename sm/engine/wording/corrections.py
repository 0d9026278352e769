"""What is said to a line that is not written as it must be: a sentence, and the line to copy.

One entry for each problem that the grammar finds.
"""

from __future__ import annotations

from typing import Final

CORRECTIONS: Final = {
    "typo": "I don't know `{word}`. Did you mean this?\n`{suggestion}`",
    "quoted": "I read `{word}`. Write it with nothing around it:\n`{suggestion}`",
    "takes_nothing": "That command takes nothing more, but I read `{word}`. Write it alone:\n`{suggestion}`",
    "takes_session": "That command takes a session's id or nothing, but I read `{word}`. Write:\n`{suggestion}`",
    "no_repository": "Which repository? Write it as on GitHub:\n`{suggestion}`",
    "what_repository": "`{word}` is no repository or project that I know. Write a repository as on GitHub:\n`{suggestion}`",
    "other_server": "That is an address on another server than the one I take repositories from. "
    "Write a repository of that one:\n`{suggestion}`",
    "not_an_address": "Write the repository without its address:\n`{suggestion}`",
    "repository_form": "A repository is written `org/repo`, but I read `{word}`. Did you mean this?\n`{suggestion}`",
    "spaces": "I read `{word}`. Write it without spaces:\n`{suggestion}`",
    "glued": "I read `{word}`. Write it with a space:\n`{suggestion}`",
    "full_stop": "I read `{word}`. Write it without the mark at its end:\n`{suggestion}`",
    "extra_words": "I start one repository at a time, but I also read `{word}`. Write:\n`{suggestion}`",
    "bad_branch": "`{word}` can't be the name of a branch. Write:\n`{suggestion}`",
    "empty_branch": "I read an `@` without a branch behind it. Write:\n`{suggestion}`",
    "branch_sign": "A branch stands behind an `@`, but I read `{word}`. Did you mean this?\n`{suggestion}`",
    "branch_option": "A branch stands behind the repository and an `@`; there is no option `{word}`. Write:\n`{suggestion}`",
    "unknown_option": "I don't know the option `{word}`. Without it:\n`{suggestion}`",
    "option_typo": "I don't know the option `{word}`. Did you mean this?\n`{suggestion}`",
    "dashes": "An option begins with two dashes, but I read `{word}`. Write:\n`{suggestion}`",
    "repeated_option": "I read `--worktree` more than once. Once is enough:\n`{suggestion}`",
    "worktree_form": "A worktree's name stands behind `=` without a space, but I read `{word}`. Write:\n`{suggestion}`",
    "empty_name": "I read `--worktree=` without a name behind it. For a name that I choose:\n`{suggestion}`",
    "bad_worktree": "`{word}` can't be the name of a worktree: it is letters, digits, dots, dashes and underscores, 64 at most. "
    "Write:\n`{suggestion}`",
    "project_name": "`{word}` is not quite the name of a project. Did you mean this?\n`{suggestion}`",
    "project_branch": "The project `{word}` is a folder that is used as it is: no branch can be chosen. "
    "As it is:\n`{suggestion}`",
    "project_worktree": "The project `{word}` is a folder that is used as it is: it has no worktrees. "
    "As it is:\n`{suggestion}`",
    "no_name": "Which one? Write the host's name behind the command. This lists them:\n`{suggestion}`",
    "no_host": "`{word}` is no host and no set of hosts that I know. This lists what I do:\n`{suggestion}`",
    "set_name": "`{word}` is not quite the name of a set of hosts. Did you mean this?\n`{suggestion}`",
    "more_words": "I take hosts and sets of hosts, but I also read `{word}`. Without that:\n`{suggestion}`",
    "scope": "An approval holds until it is revoked, `for this session` or `for 1 hour`, but I read `{word}`. "
    "Write one of them:\n`{suggestion}`",
    "too_many_names": "I take 20 hosts at a time. Write fewer:\n`{suggestion}`",
}
