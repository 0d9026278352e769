"""An agent that wants the host, its neighbours and its own history: real containers, as the service starts them.

What concerns the network stands in test_real_network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hostile_kit import Agent
from need import USER, needs
from real_kit import Rig

pytestmark = [
    needs("sshd", "podman", "claude"),
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]
TOKEN = "ghp_" + "Zx9" * 12


@pytest_asyncio.fixture(loop_scope="module")
async def canary(rig: Rig) -> AsyncIterator[Path]:
    """A file that only something on the VM itself can write: no container has its folder."""
    folder = rig.vm.disk / "canary"
    folder.mkdir()
    os.chown(folder, rig.vm.user.pw_uid, rig.vm.user.pw_gid)
    yield folder / "ran"
    assert not (folder / "ran").exists(), (folder / "ran").read_text()
    shutil.rmtree(folder)


def whole(folder: Path) -> dict[str, str]:
    """Every file below a folder: its mode, its owner, its content."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        content = (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
        )
        found[str(path.relative_to(folder))] = f"{state.st_mode:o} {state.st_uid} {content}"
    return found


REACH = """
cd /; exec 2>/tmp/complaints
M={mirror}
touch $M/x $M/objects/x $M/hooks/post-update; echo evil >>$M/config; rm -rf $M; mv $M/objects $M/gone; chmod -R 777 $M
ln -s /etc/passwd $M/link; mount -o remount,rw $M; umount $M
unshare -Urm sh -c "mount -o remount,rw $M; umount $M; touch $M/x; mount -t proc x /proc && ls -d /proc/[0-9]*" | tail -n +9
mknod /tmp/sda b 8 0 && echo "a device"; chroot / true && echo "a chroot"
[ -f $M/HEAD ] && echo "the mirror stands"
for path in {folders}; do
  mkdir -p $path && echo "made $path"; ls $path >/dev/null && echo "saw $path"; echo evil >$path/evil && echo "wrote $path"
done
ls -d /run/user/* /run/docker.sock /run/podman /var/lib/containers && echo "saw the runtime"
echo b >/proc/sysrq-trigger && echo "rebooted"; echo 1 >/proc/sys/kernel/panic && echo "a setting of the kernel"
cat /proc/1/root{profile} && echo "read the profile"; su -c true </dev/null && echo "became root"
grep -qa "{token}" /proc/[0-9]*/environ && echo "the token"; grep -rqa "{token}" $M/config /home && echo "the token"
kill -9 {pids} && echo "killed"; for pid in {pids}; do kill -0 $pid && echo "found $pid"; done
echo "$(ls -d /proc/[0-9]* | wc -l) processes"; grep CapEff /proc/self/status
"""


async def test_whatever_it_can_reach_is_its_own(rig: Rig, canary: Path) -> None:
    rig.vm.write_profile(more=f"export GH_TOKEN={TOKEN}")
    async with rig.talk() as talk:
        agent = await Agent.begin(talk)
        neighbour = await Agent.begin(talk, "acme/api", "sarah", thread=True)
        mirrors, beside = rig.vm.repos / ".mirrors", rig.vm.repos / "github.com/acme/api"
        before = whole(mirrors), whole(beside)
        pids = [pid for pid in (await rig.vm.run("pgrep -u $(id -u)")).split() if int(pid) > 500]
        folders = [
            canary.parent, rig.vm.sessions, agent.folder / "1", neighbour.folder, neighbour.home, beside,
            rig.vm.repos / ".made/github.com/acme", rig.vm.home, rig.vm.home / ".ssh", rig.vm.home / ".config",
        ]  # fmt: skip
        script = REACH.format(
            mirror=mirrors / "github.com/acme/webapp.git", folders=" ".join(map(str, folders)), token=TOKEN.replace("_", "[_]"),
            profile=rig.vm.home / ".profile", pids=" ".join(pids),
        )  # fmt: skip
        said = await agent.does(script)
        assert said.splitlines()[0] == "the mirror stands", said
        assert said.splitlines()[-1] == "CapEff:\t0000000000000000", said
        # Podman makes the mirror's parents in the container, where it is mounted: they are empty there, and root's.
        seen = {line for line in said.splitlines()[1:-1] if not line.endswith("processes")}
        assert seen <= {f"made {rig.vm.home}", f"saw {rig.vm.home}"}, said
        assert (whole(mirrors), whole(beside)) == before
        await neighbour.answers("are you there?")
        await agent.answers("and you?")


TRAPS = """
cd /workspace || exit
git config user.name Agent; git config user.email agent@example.com
trap=/workspace/.git/trap
printf '#!/bin/sh\\necho "$0 $*" >>{canary}; touch /workspace/.git/ran; case $0 in *filter*) cat;; esac; exit 0\\n' >$trap; chmod 755 $trap
mkdir -p sub; printf '* filter=evil diff=evil merge=evil\\n' >.gitattributes; echo work >work.txt
ln -s {secret} leak; ln -s /proc/self/environ env; ln -s . loop; mkfifo pipe
git add -A; git commit -q -m 'Work'; git tag evil; echo more >>work.txt; echo new >new.txt
for hook in applypatch-msg pre-commit post-checkout post-merge post-rewrite pre-rebase pre-push pre-receive update post-update \\
  reference-transaction post-index-change pre-auto-gc fsmonitor-watchman proc-receive pre-merge-commit post-commit; do
  cp $trap .git/hooks/$hook
done
for key in core.fsmonitor core.sshCommand core.editor core.pager core.askPass core.gitProxy core.alternateRefsCommand \\
  uploadpack.packObjectsHook diff.external diff.evil.command diff.evil.textconv credential.helper filter.evil.clean \\
  filter.evil.smudge merge.evil.driver remote.origin.uploadpack remote.origin.receivepack gpg.program \\
  gpg.ssh.program sequence.editor interactive.diffFilter pager.diff pager.status trailer.x.command; do
  git config $key $trap
done
cp $trap .git/filter; git config filter.evil.clean /workspace/.git/filter; git config filter.evil.smudge /workspace/.git/filter
git config core.hooksPath /workspace/.git/hooks; git config commit.gpgSign true; git config protocol.ext.allow always
git config --add url."ext::$trap %S ".insteadOf {repos}; git config alias.status '!'$trap; git config safe.directory '*'
git config include.path {home}/.gitconfig; echo {repos}/.mirrors/github.com/acme/api.git/objects >>.git/objects/info/alternates
cp -r .git/config ~/.gitconfig; mkdir -p ~/.config/git; cp .git/config ~/.config/git/config
echo armed
"""


async def test_nothing_that_the_workspace_sets_up_runs_on_the_host_in_any_of_our_git_steps(
    rig: Rig, canary: Path
) -> None:
    secret = rig.vm.disk / "secret"
    secret.write_text("the host's own words\n")
    workspace = rig.vm.repos / "github.com/acme/webapp"
    async with rig.talk(SM_AUTO_PULL="true") as talk:
        agent = await Agent.begin(talk)
        said = await agent.does(
            TRAPS.format(canary=canary, secret=secret, repos=rig.vm.repos, home=rig.vm.home)
        )
        assert "armed" in said
        _springs_for_who_is_careless(rig, workspace, canary)
        await talk.say("@claude diff")
        diff = await talk.sees("📄 The change so far")
        shown = diff.text + "".join([(await talk.room.file("james", file)).decode() for file in diff.files])
        assert "new.txt" in shown
        assert "the host's own words" not in shown
        assert "ANTHROPIC_API_KEY=" not in shown
        await talk.say("@claude push")
        card = await talk.sees("⬆️ **Push**")
        await talk.room.press("james", card, card.buttons[0])
        await talk.room.changed(card, lambda post: "✅ Pushed" in post.text)
        await talk.say("@claude fetch")
        await talk.sees("The mirror of **acme/webapp**")
        await talk.say("@claude stop")
        left = await talk.sees("📁")
        assert "unpushed commit" in left.text
        await Agent.begin(talk)
        await talk.stop()
    assert not canary.exists()
    shutil.rmtree(workspace)


def _springs_for_who_is_careless(rig: Rig, workspace: Path, canary: Path) -> None:
    """The traps are real: git on the host, run in that folder by the VM's user, sets them off."""
    copy = canary.parent / "copy"
    shutil.copytree(workspace, copy, symlinks=True, ignore=lambda *_: ["pipe"])
    rig.vm.as_user("chmod", "-R", "u+w", str(copy))
    subprocess.run(["chown", "-R", USER, str(copy)], check=True)
    trap = copy / ".git/trap"
    config = copy / ".git/config"
    config.write_text(config.read_text().replace("/workspace/.git/trap", str(trap)))
    rig.vm.as_user("git", "-C", str(copy), "status")
    assert canary.exists()
    canary.unlink()
    shutil.rmtree(copy)
