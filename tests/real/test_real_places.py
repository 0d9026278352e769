"""Main clones and worktrees behind real rootless containers: made, taken up again, switched and brought up to date."""

from __future__ import annotations

import pytest
from need import needs
from real_kit import Rig

from sm.core.outcome import Refused
from sm.vm import Vm
from sm.vm.model import PrepareSpec

pytestmark = [needs("sshd", "podman"), pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]
SESSION = "0a1b2c3d-1111-4222-8333-444455556666"


async def test_places_are_made_switched_and_updated_in_containers(rig: Rig, vm: Vm) -> None:
    upstream = f"{rig.vm.disk}/upstream/acme/places.git"
    person = "git -c user.name=a -c user.email=a@b"
    await rig.vm.run(
        f"cp -r {rig.vm.disk}/upstream/acme/webapp.git {upstream} && git -C {upstream} branch next main"
    )

    async def prepare(**asked: object):
        spec = PrepareSpec(session_id=SESSION, org="acme", repo="places", **asked)  # pyright: ignore[reportArgumentType]
        return await vm.repositories.prepare(spec, 1)

    made = await prepare(worktree="one", create="sm/one")
    assert (made.created, made.branch, made.base) == (True, "sm/one", "main")
    await rig.vm.run(
        f"cd {made.path} && echo x >x && git add x && {person} commit -q -m X && git fetch -q origin"
    )
    again = await prepare(worktree="one")
    assert (again.created, again.branch) == (False, "sm/one")
    assert again.head not in ("", made.head)

    main = await prepare()
    assert (main.created, main.branch) == (True, "main")
    assert (await prepare(branch="next")).branch == "next"
    commit = (
        await rig.vm.run(
            f"cd $(mktemp -d) && git clone -q -b next {upstream} . && {person} commit -q --allow-empty -m Y && "
            "git push -q origin next && git rev-parse HEAD"
        )
    ).strip()
    updated = await prepare(update=True)
    assert (updated.head, [note.code for note in updated.notes]) == (commit, ["updated"])

    await rig.vm.run(f"touch {main.path}/mine")
    with pytest.raises(Refused) as caught:
        await prepare(branch="main")
    assert caught.value.code == "local_changes"
    project = await vm.repositories.resolve_project(SESSION, str(rig.vm.disk / "upstream/acme/places.git"))
    assert project.path.endswith("places.git")
