"""What we say about repositories, worktrees and project folders, about diffs and pushes, and whom a message is for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

from sm.engine.wording.phrases import Facts, code, counted, fenced, line, undelivered

MAX_DIFF_SHOWN = 3000  # characters of a diff that stand in a message; a longer one is a file
MAX_CHANGES_SHOWN = 20  # paths of changes that are named one by one

PREPARE_ADVICE = {
    "repository_missing": "The git host has no such repository, or the VM's `GH_TOKEN` may not see it. Check the name.",
    "no_access": "The VM may not read it. Set a `GH_TOKEN` with access in the VM user's login environment.",
    "network_unreachable": "The VM cannot reach the git host. Its firewall must let the VM fetch from it.",
    "disk_full": "The VM's disk is full. Make room, then start again.",
    "too_slow": "It took too long on the VM. Try again, when the VM or the git host has less to do.",
    "path_taken": "A folder that I did not make is in the way. Move it, or name it in `SM_PROJECTS`; then start again.",
    "path_owned": "Another repository's worktree has that path. Give this one another name: `--worktree=NAME`.",
    "branch_missing": "There is no such branch. Check its name, or push it first.",
    "branch_differs": "That worktree is on another branch. Leave out the `@branch` to go on there, or choose another name.",
    "local_changes": "The main clone has changes, and I don't touch them. Commit or discard them, or use `--worktree`.",
    "unrelated_history": "The branch upstream shares no commit with the clone. Use `--worktree` for a fresh one.",
    "runtime_missing": "The container runtime is not on the VM.",
    "image_missing": "The agent's image is not on the VM.",
    "network_missing": "The container network is not on the VM.",
    "network_unfit": "The container network is none whose rules I know.",
    "network_open": "The container network is not closed: an agent on it would reach what it must not.",
    "network_unchecked": "Whether the container network is closed could not be tried, so nothing is started on it.",
    "nft_missing": "The VM lacks nftables, which closes the container network.",
    "no_linger": "The VM user's containers would end with the connection.",
    "api_key_missing": "Set `ANTHROPIC_API_KEY` in the VM user's login environment.",
    "name_taken": "Another container has the name of this session's.",
    "host_key_changed": "The VM shows another host key than the one that is trusted.",
    "fenced": "Another copy of this service has taken over.",
}


# --- how a place is claimed and made --------------------------------------------------------------------------------


def _preparing(facts: Facts) -> str:
    return f"📦 Preparing **{facts['repository']}**..."


def _worktree_new(facts: Facts) -> str:
    return f"🌿 Creating worktree for **{facts['repository']}**..."


def _worktree_again(facts: Facts) -> str:
    return (
        f"🌿 Worktree `{facts['worktree']}` of **{facts['repository']}** is there already: going on in it..."
    )


def _branch_taken(facts: Facts) -> str:
    return (
        f"🌿 Branch `{facts['branch']}` is in use by session `{facts['holder']}`: this worktree gets a new one from it, "
        f"`{facts['create']}`."
    )


def _in_use(facts: Facts) -> str:
    return (
        f"⚠️ Repository **{facts['repository']}** is already in use by session `{facts['holder']}`.\n"
        "Use `--worktree` for an isolated working directory:\n"
        f"`@{facts['bot']} start {facts['repository']} --worktree`"
    )


def _worktree_in_use(facts: Facts) -> str:
    return (
        f"⚠️ Worktree `{facts['worktree']}` of **{facts['repository']}** is already in use by session "
        f"`{facts['holder']}`.\nUse another name, or none for a new one:\n"
        f"`@{facts['bot']} start {facts['repository']} --worktree`"
    )


def _branch_in_use(facts: Facts) -> str:
    return (
        f"⚠️ Branch `{facts['branch']}` of **{facts['repository']}** is already in use by session `{facts['holder']}`.\n"
        "Use `--worktree` for a new branch from it:\n"
        f"`@{facts['bot']} start {facts['repository']}@{facts['branch']} --worktree`"
    )


def _project_in_use(facts: Facts) -> str:
    return (
        f"⚠️ Project **{facts['repository']}** is already in use by session `{facts['holder']}`.\n"
        "A project has one folder: wait until that session is stopped."
    )


_PROJECT_ADVICE = {
    "project_missing": "Its folder is not on the VM. Make it, or mend `SM_PROJECTS`.",
    "project_not_folder": "What `SM_PROJECTS` names is no folder on the VM.",
    "project_inside": "Its folder lies inside the folders that I keep. Name another in `SM_PROJECTS`.",
    "project_not_writable": "The VM user cannot write in its folder.",
}


def _project_refused(facts: Facts) -> str:
    advice = _PROJECT_ADVICE.get(facts["code"]) or PREPARE_ADVICE.get(
        facts["code"], "Mend what it says, then start again."
    )
    head = f"❌ Could not use project **{facts['repository']}**. {advice}"
    return head + undelivered(facts) + fenced(facts["detail"])


def _progress(facts: Facts) -> str:
    return (
        f"⏳ **{facts['repository']}**: {line(facts['phase']).lower()}, {facts['percent']} %. "
        f"`@{facts['bot']} stop` ends it."
    )


def _prepare_failed(facts: Facts) -> str:
    advice = PREPARE_ADVICE.get(facts["code"], "Mend what it says, then start again.")
    head = f"❌ Could not prepare **{facts['repository']}**. {advice}"
    return head + undelivered(facts) + fenced(facts["detail"])


_NOTES = {
    "fetch_failed": "⚠️ Could not fetch from the git host, so **{repository}** is as of the last time: {detail}",
    "fetch_network": "⚠️ The VM cannot reach the git host, so **{repository}** is as of the last time: {detail}",
    "submodules": "ℹ️ Submodules stay empty, since fetching them would need the token: {detail}",
    "lfs": "ℹ️ Files in Git LFS stay pointers, since fetching them would need the token: {detail}",
    "dirty": "⚠️ Not pulled: the main clone has changes, and I don't touch them: {detail}",
    "diverged": "⚠️ Not pulled: the main clone has commits that upstream lacks. Merge or push them: {detail}",
    "unrelated": "⚠️ Not pulled: the branch upstream shares no commit with the clone any more: {detail}",
    "updated": "⬇️ Pulled **{repository}** on `{branch}`: {detail}",
}


def _place_note(facts: Facts) -> str:
    words = _NOTES.get(facts["code"], "⚠️ **{repository}**: {detail}")
    return words.format(
        repository=facts["repository"], branch=facts["branch"], detail=code(facts["detail"], 400)
    )


def _git_host_needed(facts: Facts) -> str:
    return (
        f"🔒 The VM cannot reach `{facts['host']}`, which **{facts['repository']}** needs. It goes on when that is "
        f"approved.\n{code(facts['detail'], 300)}"
    )


def _git_denied(facts: Facts) -> str:
    if facts["waited"] == "prepare":
        head = f"❌ Could not prepare **{facts['repository']}** without `{facts['host']}`. "
        return head + "Start again to ask once more." + undelivered(facts)
    return f"❌ `{facts['host']}` stays closed, so there is no {facts['waited']}. Write it again to ask once more."


# --- using it -------------------------------------------------------------------------------------------------------


def _no_place(facts: Facts) -> str:
    return f"There is nothing to see yet: the session on **{facts['repository']}** has no folder now."


def _project_is_yours(facts: Facts) -> str:
    did = "pushed from" if facts["what"] == "push" else "fetched"
    return (
        f"A project's folder is not {did} here: it has no mirror of mine. "
        f"Use git on the VM, in {code(facts['path'])}."
    )


def _no_changes(facts: Facts) -> str:
    since = f" since `{facts['base']}`" if facts["base"] else ""
    return f"No changes{since} in {code(facts['path'])}."


def diff(text: str, cut: bool, files: int, insertions: int, deletions: int) -> tuple[str, bool]:
    """The message with a diff, and whether the diff itself goes into a file beside it."""
    counts = f"{counted(files, 'file', 'files')}, +{insertions} −{deletions}"
    if cut:
        return f"📄 The change so far: {counts}. It is long: the file holds its beginning.", True
    if len(text) > MAX_DIFF_SHOWN:
        return f"📄 The change so far: {counts}.", True
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return f"📄 The change so far: {counts}.\n{fence}diff\n{text.rstrip()}\n{fence}", False


def _diff_failed(facts: Facts) -> str:
    if facts["code"] == "not_git":
        return "There is no diff: the folder is no git repository."
    return "❌ Could not read the changes." + fenced(facts["detail"])


def _fetched(facts: Facts) -> str:
    changed = int(facts["changed"])
    if not changed:
        return f"✅ The mirror of **{facts['repository']}** was up to date."
    moved = counted(changed, "branch or tag", "branches and tags")
    return f"✅ The mirror of **{facts['repository']}** is up to date: {moved} moved. The agent can `git fetch` now."


def _fetch_failed(facts: Facts) -> str:
    advice = PREPARE_ADVICE.get(facts["code"], "Mend what it says, then write it again.")
    return f"❌ Could not fetch **{facts['repository']}**. {advice}" + fenced(facts["detail"])


def _push_under_way(facts: Facts) -> str:
    if facts["status"] == "asked":
        return "A push waits for your decision: press a button on its card first."
    return "⏳ A push is under way. Its card will say what came of it."


PUSH_ADVICE = {
    "nothing_to_push": "There are no commits on it that upstream lacks. Have the agent commit first.",
    "no_branch": "The session's folder was on no branch when it started, so I don't know which to push.",
    "branch_missing": "The session's branch is not there any more. Have the agent make it again.",
    "too_large": "Its commits are over 100 MiB. Take large files out of them.",
    "unrelated_history": "Its commits share none with upstream, so they are not pushed.",
    "push_rejected": "Upstream has commits that it lacks, and I never force. `fetch`, have the agent merge, then `push`.",
    "no_access": "The VM's `GH_TOKEN` may not write there.",
    "workflow_scope": "The VM's `GH_TOKEN` may not change workflows: it lacks that permission.",
    "push_declined": "A rule of the git host declines it.",
    "default_branch": "Upstream's default branch is another one now, and I don't push to that. Start again.",
    "bundle_unreadable": "What the branch holds could not be taken over. Have the agent look at it with `git fsck`.",
    "mirror_missing": "The mirror is gone from the VM. Start again: that makes it anew.",
    "too_slow": "It took too long on the VM. Try again.",
    "network_unreachable": "The VM cannot reach the git host.",
    "repository_missing": "The git host has no such repository, or the VM's `GH_TOKEN` may not see it.",
}


def _push_refused(facts: Facts) -> str:
    advice = PUSH_ADVICE.get(facts["code"], "Mend what it says, then write `push` again.")
    on = f" of {code(facts['branch'])}" if facts["branch"] else ""
    return f"❌ Nothing{on} was pushed. {advice}" + fenced(facts["detail"])


def push_card(facts: Facts) -> str:
    """The text of a push's card in each of its states."""
    into = f"**{facts['repository']}** `{facts['target']}`"
    commit, who = f"`{facts['commit'][:12]}`", facts.get("user_name", "")
    match facts["status"]:
        case "asked":
            return _push_question(facts, into, commit)
        case "pushing":
            return f"⏳ Pushing {commit} to {into}, allowed by @{who}..."
        case "done":
            link = facts["compare_url"]
            return f"✅ Pushed {commit} to {into}, allowed by @{who}.\n[Open a pull request]({link})"
        case "cancelled":
            return f"❌ Not pushed: {commit} to {into}, declined by @{who}."
        case "over":
            return f"❌ Not pushed: {commit} to {into}. The session is over; start it again to push."
        case _:
            advice = PUSH_ADVICE.get(facts["code"], "Mend what it says, then write `push` again.")
            return f"❌ Not pushed: {commit} to {into}. {advice}" + fenced(facts["detail"])


def _push_question(facts: Facts, into: str, commit: str) -> str:
    count = counted(int(facts["commits"]), "commit", "commits")
    new = ", a new branch" if facts["new_branch"] else ""
    head = f"⬆️ **Push** {count} up to {commit} to {into}{new}?"
    warning = (
        "\n⚠️ It changes `.github/workflows`: what stands there runs on the git host with the repository's secrets. "
        "Read it first."
        if facts["workflows"]
        else ""
    )
    return head + warning + _stat(facts["stat"])


def _stat(text: str) -> str:
    shown = text.replace("```", "'''").rstrip()
    return f"\n```text\n{shown}\n```" if shown.strip() else ""


# --- what is left ---------------------------------------------------------------------------------------------------


def _left_behind(facts: Facts) -> str:
    changed, unpushed = int(facts["changed_count"]), int(facts["unpushed"])
    on = f" on branch {code(facts['branch'])}" if facts["branch"] else ""
    state = (
        f"{counted(changed, 'uncommitted change', 'uncommitted changes')}, "
        f"{counted(unpushed, 'unpushed commit', 'unpushed commits')}"
        if changed or unpushed
        else "nothing uncommitted, nothing unpushed"
    )
    return (
        f"📁 {code(facts['path'])}{on}: {state}."
        + _stat(_listed(facts, changed))
        + _go_on(facts, changed or unpushed)
    )


def _listed(facts: Facts, count: int) -> str:
    shown = facts["changed"].splitlines()[:MAX_CHANGES_SHOWN]
    more = count - len(shown)
    return "\n".join([*(line(path) for path in shown), *([f"… and {more} more"] if more > 0 else [])])


def _left_unseen(facts: Facts) -> str:
    on = f" on branch {code(facts['branch'])}" if facts["branch"] else ""
    return f"📁 {code(facts['path'])}{on}." + fenced(facts["detail"])


def _go_on(facts: Facts, is_something: int) -> str:
    """How to take it up again, and the container in which git is safe there: the agent may have set traps."""
    if not is_something:
        return ""
    option = f" --worktree={facts['worktree']}" if facts["worktree"] else ""
    again = f"\nGo on with `@{facts['bot']} start {facts['repository']}{option}`"
    user = "--userns=keep-id" if facts["runtime"] == "podman" else '--user "$(id -u):$(id -g)"'
    mirror = (
        f"-v {shlex.quote(facts['mirror'])}:{shlex.quote(facts['mirror'])}:ro " if facts["mirror"] else ""
    )
    run = (
        f"{facts['runtime']} run --rm -it --network none {user} {mirror}-v {shlex.quote(facts['path'])}:/workspace "
        f"-w /workspace {facts['image']} bash"
    )
    return f"{again}, or look at it on the VM with git inside a container:\n```text\n{run}\n```"


# --- whom a message is for --------------------------------------------------------------------------------------------


def _sessions(facts: Facts) -> str:
    lines: list[str] = []
    for row in facts["sessions"].splitlines():
        short, post, user, title = row.split(" ", 3)
        lines.append(f"- [`{short}`]({facts['link']}{post}) on **{title}**, started by @{user}")
    return "\n".join(lines)


def _which_session(facts: Facts) -> str:
    if facts["command"] == "text":
        return f"Which session is that for? Write in its thread:\n{_sessions(facts)}"
    return f"Which session? Write `@{facts['bot']} {facts['command']} ID`:\n{_sessions(facts)}"


def _no_such_session(facts: Facts) -> str:
    return f"No session `{facts['session']}` in this channel. There are:\n{_sessions(facts)}"


def _session_over(facts: Facts) -> str:
    return f"The session of this thread is over. Start one with `@{facts['bot']} start org/repo`, in the channel."


def _start_at_top(_: Facts) -> str:
    return "This thread belongs to a session. Write `start` in the channel, outside of a thread."


def _too_many_sessions(facts: Facts) -> str:
    return f"This channel has {facts['count']} sessions, which is the most. Stop one, or start in another channel."


PLACE_MESSAGES: dict[str, Callable[[Facts], str]] = {
    "preparing": _preparing,
    "worktree_new": _worktree_new,
    "worktree_again": _worktree_again,
    "branch_taken": _branch_taken,
    "in_use": _in_use,
    "worktree_in_use": _worktree_in_use,
    "branch_in_use": _branch_in_use,
    "project_in_use": _project_in_use,
    "project_refused": _project_refused,
    "progress": _progress,
    "prepare_failed": _prepare_failed,
    "place_note": _place_note,
    "git_host_needed": _git_host_needed,
    "git_denied": _git_denied,
    "no_place": _no_place,
    "project_is_yours": _project_is_yours,
    "no_changes": _no_changes,
    "diff_failed": _diff_failed,
    "fetched": _fetched,
    "fetch_failed": _fetch_failed,
    "push_under_way": _push_under_way,
    "push_refused": _push_refused,
    "left_behind": _left_behind,
    "left_unseen": _left_unseen,
    "which_session": _which_session,
    "no_such_session": _no_such_session,
    "session_over": _session_over,
    "start_at_top": _start_at_top,
    "too_many_sessions": _too_many_sessions,
}
