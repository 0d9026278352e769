"""A hostile workspace behind real containers: whatever its git is told to run sees no host, no neighbour and no network.

The scripts that the workspace carries do run in the container (a filter's words stand in the diff); what they tried there is
looked for on the VM.
"""

from __future__ import annotations

import contextlib
import itertools

import pytest
import pytest_asyncio
from attrs import define
from need import needs
from real_kit import Rig

from sm.core.outcome import Refused
from sm.vm import Vm
from sm.vm.model import Candidate, Diff, Inspected, Prepared, PrepareSpec

pytestmark = [needs("sshd", "podman"), pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]
_numbers = itertools.count(1)

EVIL = """#!/bin/sh
# Runs as a filter, a hook, a monitor: tries what a host would mind, and says how it went on its standard output.
touch "$HOME_OF_VM/pwned" "$MIRROR/pwned" /workspace/pwned 2>/dev/null && echo WROTE
rm -rf "$MIRROR"/objects/pack/* 2>/dev/null
for place in "$HOME_OF_VM/.profile" "$NEIGHBOUR"; do [ -e "$place" ] && echo "SAW $place"; done
(exec 3<>/dev/tcp/127.0.0.1/22) 2>/dev/null && echo CONNECTED
[ -n "${GH_TOKEN-}${ANTHROPIC_API_KEY-}" ] && echo SECRET
grep -q '^CapEff:.0*$' /proc/self/status || echo CAPABLE
echo evil ran
"""
SETTINGS = (
    "core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.askPass", "core.alternateRefsCommand",
    "uploadpack.packObjectsHook", "diff.external", "diff.evil.textconv", "diff.evil.command", "filter.evil.clean",
    "filter.evil.smudge", "credential.helper", "gpg.program", "remote.origin.uploadpack", "remote.origin.receivepack",
)  # fmt: skip
HOOKS = (
    "pre-push",
    "post-index-change",
    "reference-transaction",
    "post-checkout",
    "pre-auto-gc",
    "fsmonitor-watchman",
)


@define
class Place:
    """One session's main clone of a repository of its own, on the VM."""

    rig: Rig
    vm: Vm
    repo: str
    session: str
    made: Prepared

    async def run(self, command: str) -> str:
        """What the agent could do in its workspace, or what an operator looks up."""
        return await self.rig.vm.run(
            f'cd {self.made.path} && git() {{ command git -c user.name=a -c user.email=a@b "$@"; }}; {command}'
        )

    async def inspect(self) -> Inspected:
        return await self.vm.workspaces.inspect(
            session_id=self.session, workspace=self.made.path, mirror=self.made.mirror
        )

    async def diff(self) -> Diff:
        return await self.vm.workspaces.diff(
            session_id=self.session, workspace=self.made.path, mirror=self.made.mirror, base="main"
        )

    async def candidate(self, branch: str = "sm/x") -> Candidate:
        return await self.vm.upstream.candidate(
            session_id=self.session, org="acme", repo=self.repo, workspace=self.made.path, branch=branch,
            target="sm/x", default_branch="main", epoch=1,
        )  # fmt: skip

    async def push(self, commit: str) -> bool:
        return await self.vm.upstream.push(
            session_id=self.session, org="acme", repo=self.repo, commit=commit, target="sm/x", epoch=1
        )

    async def nothing_happened(self) -> None:
        """No trace on the VM, and the mirror is whole."""
        found = await self.run(
            f"ls -d ~/pwned {self.made.mirror}/pwned {self.made.path}/pwned 2>/dev/null; "
            f"command git --git-dir={self.made.mirror} fsck --connectivity-only 2>&1"
        )
        assert found.strip() == "", found


@pytest_asyncio.fixture(loop_scope="module")
async def place(rig: Rig, vm: Vm) -> Place:
    """A clone on a branch of its own, with a commit, of a repository that no other test uses."""
    number = next(_numbers)
    repo, session = f"hostile{number}", f"{number:08x}-1111-4222-8333-444455556666"
    upstream = rig.vm.disk / "upstream/acme"
    await rig.vm.run(f"cp -r {upstream}/webapp.git {upstream}/{repo}.git")
    made = await vm.repositories.prepare(PrepareSpec(session_id=session, org="acme", repo=repo), 1)
    place = Place(rig, vm, repo, session, made)
    await place.run(
        "git switch -q -c sm/x && echo work >work.txt && git add work.txt && git commit -q -m Work"
    )
    return place


async def test_what_a_workspace_sets_up_runs_in_the_container_and_reaches_nothing(
    rig: Rig, place: Place
) -> None:
    neighbour = rig.vm.repos / "github.com/acme/neighbour"
    await rig.vm.run(f"mkdir -p {neighbour}")
    evil = EVIL.replace("$HOME_OF_VM", str(rig.vm.home)).replace("$MIRROR", place.made.mirror)
    evil = evil.replace("$NEIGHBOUR", str(neighbour))
    await place.run(f"cat >.git/evil.sh <<'EOF'\n{evil}EOF\nchmod +x .git/evil.sh")
    await place.run(
        "; ".join(f"git config {key} /workspace/.git/evil.sh" for key in SETTINGS)
        + "; git config core.hooksPath /workspace/.git/hooks; git config url.ext::/workspace/.git/evil.sh.insteadOf https://"
        + "; git config protocol.ext.allow always; mkdir -p .git/hooks; "
        + "; ".join(f"cp .git/evil.sh .git/hooks/{hook}" for hook in HOOKS)
        + "; echo '* filter=evil diff=evil' >.gitattributes; echo changed >>README.md"
    )
    seen = await place.inspect()
    assert seen.branch == "sm/x"
    change = await place.diff()
    assert "+evil ran\n" in change.text, change.text
    for word in ("WROTE", "SAW", "CONNECTED", "SECRET", "CAPABLE"):
        assert word not in change.text
    found = await place.candidate()
    assert await place.push(found.commit)
    await place.nothing_happened()


async def test_a_neighbours_objects_cannot_be_borrowed(rig: Rig, place: Place) -> None:
    neighbour = rig.vm.repos / "github.com/acme/secret"
    await rig.vm.run(
        f"git init -q {neighbour} && cd {neighbour} && echo secret >s && git add s && "
        "git -c user.name=a -c user.email=a@b commit -q -m s"
    )
    stolen = (await rig.vm.run(f"git -C {neighbour} rev-parse HEAD")).strip()
    await place.run(
        f"echo {neighbour}/.git/objects >>.git/objects/info/alternates; echo {stolen} >.git/refs/heads/sm/x"
    )
    with pytest.raises(Refused) as caught:
        await place.candidate()
    assert caught.value.code == "branch_missing"
    await place.run(
        f"git symbolic-ref HEAD refs/heads/main; rm -rf .git; echo 'gitdir: {neighbour}/.git' >.git"
    )
    for look in (place.inspect, place.diff, place.candidate):
        with pytest.raises(Refused) as caught:
            await look()
        assert caught.value.code in {"not_git", "clone_unreadable"}
    await place.nothing_happened()


async def test_links_to_files_of_the_vm_show_nothing_of_them(rig: Rig, place: Place) -> None:
    await rig.vm.run("echo 0123456789012345678901234567890123456789 >~/private; chmod 600 ~/private")
    private = f"{rig.vm.home}/private"
    await place.run(
        f"ln -s {private} link; ln -sf {private} .git/refs/heads/stolen; ln -sf {private} .git/info/exclude; "
        f"ln -s {rig.vm.home} home; git config core.excludesFile {private}; git config include.path {private}"
    )
    change = await place.diff()
    assert "0123456789" not in change.text
    assert "pwned" not in change.text
    with pytest.raises(Refused) as caught:
        await place.candidate("stolen")
    assert caught.value.code == "branch_missing"
    await place.nothing_happened()


async def test_a_working_tree_elsewhere_is_one_in_the_container(rig: Rig, place: Place) -> None:
    await place.run("git config core.worktree /")
    with contextlib.suppress(Refused):
        seen = await place.inspect()
        assert not [path for path in seen.changed if rig.vm.user.pw_name in path]
    await place.nothing_happened()


async def test_a_look_that_never_ends_is_ended_with_its_container(
    rig: Rig, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sm.vm.workspaces.LOOK_LIMIT_S", 5)
    await place.run("mkfifo .gitignore")
    with pytest.raises(Refused) as caught:
        await place.inspect()
    assert caught.value.code == "too_slow"
    assert (await rig.vm.run("podman ps -aq")).strip() == ""


async def test_a_flood_of_processes_and_words_stays_in_its_container(
    rig: Rig, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sm.vm.workspaces.LOOK_LIMIT_S", 10)
    await place.run(
        "printf '#!/bin/sh\\nyes complaint | head -c 300000000 >&2 &\\nyes answer | head -c 300000000 &\\n"
        "bomb() { bomb | bomb & }; bomb 2>/dev/null; sleep 60\\n' >.git/flood.sh; chmod +x .git/flood.sh; "
        "git config filter.f.clean /workspace/.git/flood.sh; git config filter.f.required true; "
        "echo '*.md filter=f' >.gitattributes; echo x >>README.md"
    )
    with pytest.raises(Refused):
        await place.diff()
    assert (await rig.vm.run("echo alive; podman ps -aq")).strip() == "alive"
    assert int((await rig.vm.run(f"du -sk {rig.vm.repos} | cut -f 1")).strip()) < 50_000
    await place.nothing_happened()
