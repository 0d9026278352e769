"""The sandbox's github.com: a real git host, which the VM's git reaches through the firewall."""

import asyncio
import contextlib

import aiohttp
import asyncssh
import pytest
from vm_kit import needs_mounts

from sm.sandbox.assembly import Choices, Sandbox
from sm.sandbox.git.host import SCALE
from sm.vm import Vm, VmSettings
from sm.vm.model import PrepareSpec


class Rig:
    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.env = sandbox.environment()

    async def run(self, command):
        """A command through a login shell, as the service runs its own; answers its status and what it printed."""
        host, port = self.env["SM_VM_HOST"].rsplit(":", 1)
        known = asyncssh.import_known_hosts(f"[{host}]:{port} {self.env['SM_VM_HOST_KEY']}\n")
        key = asyncssh.import_private_key(self.env["SM_VM_SSH_KEY"])
        async with asyncssh.connect(
            host,
            int(port),
            username=self.env["SM_VM_USER"],
            client_keys=[key],
            known_hosts=known,
            config=None,
        ) as connection:
            done = await connection.run(f"bash -lc '{command}' 2>&1")
        return done.exit_status, done.stdout

    async def post(self, action, body):
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{self.env['SANDBOX_CONTROL_URL']}/{action}", json=body) as answer,
        ):
            return answer.status


@contextlib.asynccontextmanager
async def running(folder, **choices):
    sandbox = Sandbox(folder, choices=Choices(gate="proxy", claude="", **choices))
    await sandbox.start()
    try:
        yield Rig(sandbox)
    finally:
        await sandbox.stop()


@pytest.fixture
async def rig(tmp_path):
    async with running(tmp_path) as rig:
        yield rig


HELPER = 'git -c credential.https://github.com.helper="!f() { printf \\"username=x-access-token\\npassword=%s\\n\\" \\"$GH_TOKEN\\"; }; f"'


async def test_the_vms_git_clones_over_https_and_pushes_with_its_token(rig):
    status, said = await rig.run(
        "git clone -q -b feature/login https://github.com/acme/webapp w && cd w && "
        "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m more && "
        + HELPER
        + " push -q origin HEAD:sm/x"
    )
    assert (status, said) == (0, "")
    _, heads = await rig.run("git ls-remote https://github.com/acme/webapp refs/heads/sm/x")
    assert heads.endswith("refs/heads/sm/x\n")
    asked = rig.sandbox.git.state()["requests"]
    assert {"repository": "acme/webapp", "what": "git-receive-pack", "service": "git-receive-pack", "user": "x-access-token", "status": 200} in asked  # fmt: skip
    assert rig.sandbox.git.token not in str(asked)


async def test_without_the_token_nothing_is_pushed(rig):
    status, said = await rig.run(
        "export GIT_TERMINAL_PROMPT=0; git clone -q https://github.com/acme/webapp w && cd w && git push origin HEAD:sm/x"
    )
    assert status == 128
    assert "could not read Username" in said


async def test_a_closed_host_is_out_of_reach_until_the_alias_opens_it(rig):
    rig.sandbox.faults.set_scale(SCALE, 0.05)
    assert await rig.post("git/firewall", {"open": False}) == 200
    status, said = await rig.run("git ls-remote https://github.com/acme/webapp")
    assert status == 128
    assert "unable to access" in said
    assert rig.sandbox.git.state()["requests"] == []
    names = rig.sandbox.gate.names
    await rig.sandbox.gate.table_changed(rig.sandbox.gate.table.union(names.lookup("github.com")))
    status, said = await rig.run("git ls-remote https://github.com/acme/webapp HEAD")
    assert (status, said.split()[1:]) == (0, ["HEAD"])


async def test_the_firewall_takes_a_word_for_open_only(rig):
    assert await rig.post("git/firewall", {"open": "no"}) == 400
    assert rig.sandbox.git.open


async def test_a_sandbox_may_begin_closed(tmp_path):
    async with running(tmp_path, git_open=False) as rig:
        rig.sandbox.faults.set_scale(SCALE, 0.05)
        status, _ = await rig.run("git ls-remote https://github.com/acme/webapp")
        assert status == 128


async def test_a_fault_of_the_host_is_seen_by_git(rig):
    rig.sandbox.faults.arm("git", "cut", match={"what": "info/refs"})
    rig.sandbox.git.server.cut_after = 20
    status, _ = await rig.run("git ls-remote https://github.com/acme/webapp")
    assert status == 128
    rig.sandbox.faults.arm("git", "hang", match={"repository": "acme/api"})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await rig.run("git ls-remote https://github.com/acme/api")


SESSION = "0a1b2c3d-1111-4222-8333-444455556666"
BRANCH = "sm/0a1b2c3d"


def client(env):
    """The service's client of this VM."""
    host, port = env["SM_VM_HOST"].rsplit(":", 1)
    return Vm(
        VmSettings(
            host=host, port=int(port), user=env["SM_VM_USER"], private_key=env["SM_VM_SSH_KEY"],
            pinned_host_keys=(env["SM_VM_HOST_KEY"],), repos_base=env["SM_REPOS_BASE_PATH"],
            worktrees=env["SM_WORKTREES_PATH"], sessions=env["SM_SESSIONS_PATH"], runtime="podman",
            network=env["SM_CONTAINER_NETWORK"], image=env["SM_CONTAINER_IMAGE"],
        ),
        accept_host_key=None,
    )  # fmt: skip


@needs_mounts
async def test_work_goes_out_of_a_read_only_workspace_through_the_mirror(rig):
    vm = client(rig.env)
    here = {"session_id": SESSION, "org": "acme", "repo": "webapp"}
    try:
        place = await vm.repositories.prepare(PrepareSpec(**here), 1, progress=lambda _: None)
        await rig.run(
            f"cd {place.path} && git switch -q -c {BRANCH} && echo new >new.txt && git add new.txt && "
            "git -c user.name=a -c user.email=a@b commit -q -m new && echo more >more.txt"
        )
        of = {"session_id": SESSION, "workspace": place.path, "mirror": place.mirror}
        seen = await vm.workspaces.inspect(**of)
        assert (seen.branch, seen.changed, seen.unpushed) == (BRANCH, ("?? more.txt",), 1)
        change = await vm.workspaces.diff(**of, base="main")
        assert (change.files, change.insertions) == (2, 2)
        found = await vm.upstream.candidate(
            **here, workspace=place.path, branch=BRANCH, target=BRANCH, default_branch="main", epoch=1
        )
        assert await vm.upstream.push(**here, commit=found.commit, target=BRANCH, epoch=1)
    finally:
        await vm.close()
    _, heads = await rig.run(f"git ls-remote https://github.com/acme/webapp refs/heads/{BRANCH}")
    assert heads.split()[0] == found.commit == seen.head
