"""What the stand-in of podman and docker answers, in the words and with the statuses of the real ones."""

import asyncio
import json
import os
import shlex
import subprocess
import time
from pathlib import Path

import pytest
from vm_kit import as_user, needs_mounts

from sm.sandbox.faults import Faults
from sm.sandbox.vm.container import arguments, template
from sm.sandbox.vm.container.monitor import kill_marked
from sm.sandbox.vm.container.store import Engine, Store
from sm.sandbox.vm.peer import VmPeer

BOX = f"run --rm --network none {shlex.join(as_user())} --cap-drop=all --security-opt=no-new-privileges --pull=never"


class Vm:
    """The programs of a VM that is set up, called without SSH."""

    def __init__(self, vm: VmPeer, tmp_path: Path) -> None:
        self.layout = vm.layout
        self.work = tmp_path / "work"
        self.work.mkdir(exist_ok=True)

    def __call__(
        self, line: str, runtime: str = "podman", stdin: str = "", **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.layout.bin / runtime), *shlex.split(line)], input=stdin, capture_output=True, text=True, check=False,
            timeout=30, env={"PATH": "/usr/bin:/bin", "SM_SANDBOX_VM": json.loads((self.layout.engine / "config.json").read_text())["environment"]["SM_SANDBOX_VM"], **env},
        )  # fmt: skip

    def background(self, line: str) -> str:
        """Start a container that goes on; its id."""
        cid = self.work / f"cid{time.monotonic_ns()}"
        subprocess.Popen(
            [str(self.layout.bin / "podman"), *shlex.split(f"run --cidfile {cid} {line}")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 10
        while (
            not cid.exists()
            or self(f"inspect -f {{{{.State.Status}}}} {cid.read_text()}").stdout != "running\n"
        ):
            assert time.monotonic() < deadline
        return cid.read_text()


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory):
    """The disk of one VM for all tests here; its SSH server is not needed."""
    vm = VmPeer(tmp_path_factory.mktemp("vm"), Faults(), claude="")
    asyncio.run(vm.set_up())
    yield vm
    asyncio.run(vm.kill_everything())


@pytest.fixture
def podman(disk: VmPeer, tmp_path: Path) -> Vm:
    return Vm(disk, tmp_path)


def test_streams_and_the_exit_code_pass_through(podman: Vm):
    done = podman(f"{BOX} -i claude-code:latest sh -c 'cat; echo problem >&2; exit 7'", stdin="härter ✅\n")
    assert (done.stdout, done.stderr, done.returncode) == ("härter ✅\n", "problem\n", 7)


def test_without_i_standard_input_is_empty(podman: Vm):
    assert podman(f"{BOX} claude-code:latest cat", stdin="lost").stdout == ""


@needs_mounts
def test_a_container_sees_its_mounts_and_nothing_else_of_the_host(podman: Vm):
    (podman.work / "kept").write_text("old\n")
    done = podman(
        f"{BOX} --read-only --tmpfs /tmp:size=1m -v {podman.work}:/workspace -v {podman.work}:/given:ro -w /workspace "
        f"claude-code:latest sh -c 'cat kept; echo new >made; echo x >/given/no; echo x >/etc/no; ls {podman.layout.home}'"
    )
    assert done.stdout == "old\n"
    assert (podman.work / "made").read_text() == "new\n"
    assert [line.split(": ")[-1] for line in done.stderr.splitlines()] == [
        "Read-only file system",
        "Read-only file system",
        "No such file or directory",
    ]
    assert not Path("/workspace/made").exists()


@needs_mounts
def test_what_a_container_shares_in_memory_is_not_the_hosts(podman: Vm):
    name = f"/dev/shm/{os.getpid()}"
    assert podman(f"{BOX} claude-code:latest sh -c 'echo x >{name}; cat {name}'").stdout == "x\n"
    assert not Path(name).exists()


@needs_mounts
def test_git_works_in_the_box_on_a_mirror_that_it_cannot_write(podman: Vm):
    mirror = podman.layout.upstream / "acme/webapp.git"
    (podman.work / "W").mkdir()
    done = podman(
        f"{BOX} -e HOME=/tmp -v {mirror}:{mirror}:ro -v {podman.work}/W:/workspace claude-code:latest "
        f'sh -c \'git clone -q --shared --branch main "$1" /workspace && git -C /workspace log --oneline && touch "$1/x"\' sh {mirror}'
    )
    assert "Begin main" in done.stdout
    assert "Read-only file system" in done.stderr
    assert (podman.work / "W/pyproject.toml").exists()


def test_an_environment_variable_by_name_takes_the_clients_value(podman: Vm):
    done = podman(f"{BOX} -e KEY -e ABSENT -e GIVEN=x=y claude-code:latest env", KEY="secret", LEAK="no")
    lines = done.stdout.splitlines()
    assert "KEY=secret" in lines
    assert "GIVEN=x=y" in lines
    assert not any(line.startswith(("ABSENT", "LEAK")) for line in lines)


def test_network_none_reaches_nothing(podman: Vm):
    script = "import socket; socket.create_connection(('127.0.0.1', 22), 1)"
    done = podman(f'{BOX} claude-code:latest python3 -c "{script}"')
    assert done.returncode == 1
    assert "OSError" in done.stderr or "Network is unreachable" in done.stderr or "refused" in done.stderr
    assert "lo" in podman(f"{BOX} claude-code:latest cat /proc/net/dev").stdout


@pytest.mark.parametrize(
    ("runtime", "line", "status", "words"),
    [
        ("podman", f"{BOX} nothere:1 true", 125, "Error: nothere:1: image not known"),
        ("podman", "run --network gone claude-code:latest true", 125, "network not found"),
        ("podman", f"{BOX} --privileged claude-code:latest", 125, "Error: unknown flag: --privileged"),
        ("podman", f"{BOX} -v /not/there:/x claude-code:latest true", 125, "statfs /not/there: no such file"),
        ("podman", f"{BOX} claude-code:latest no-such-program", 127, "executable file not found in $PATH"),
        ("podman", f"{BOX} claude-code:latest /etc/passwd", 126, "permission denied"),
        ("podman", "inspect --type container -f {{.Id}} gone", 125, "no such container gone"),
        ("podman", "stop -t 1 gone", 125, "no such container"),
        ("podman", "rm gone", 1, "no such container"),
        ("podman", "rm -f gone", 0, ""),
        ("docker", "run --userns=keep-id claude-code:latest true", 125, "--userns: invalid USER mode"),
        ("podman", "frobnicate", 125, "unrecognized command"),
        ("docker", "inspect -f {{.Id}} gone", 1, "No such object: gone"),
        ("docker", "run --network gone claude-code:latest true", 125, "network gone not found"),
        ("docker", "run --pull=never nothere:1 true", 125, "No such image: nothere:1"),
        ("podman", "image exists claude-code:latest", 0, ""),
        ("podman", "image exists other", 1, ""),
        ("podman", "network exists isolated", 0, ""),
        ("podman", "network exists gone", 1, ""),
        ("docker", "network inspect gone", 1, "No such network: gone"),
        ("docker", "image inspect -f {{.Id}} claude-code:latest", 0, ""),
        ("podman", "container exists gone", 1, ""),
    ],
)
def test_it_refuses_in_the_real_ones_words(podman: Vm, runtime: str, line: str, status: int, words: str):
    done = podman(line, runtime)
    assert done.returncode == status, done.stderr
    assert words in done.stderr


def test_a_name_belongs_to_one_container_until_that_is_removed(podman: Vm):
    assert podman("run --name one --network none claude-code:latest false").returncode == 1
    again = podman("run --name one --network none claude-code:latest true")
    assert again.returncode == 125
    assert 'the container name "one" is already in use by' in again.stderr
    assert (
        podman("inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}' one").stdout
        == "exited 1 false\n"
    )
    assert podman("rm one").stdout == "one\n"
    assert podman("run --name one --network none claude-code:latest true").returncode == 0


def test_the_id_file_must_not_be_there(podman: Vm):
    cid = podman.work / "cid"
    line = f"run --cidfile {cid} --network none --label sm.session=s1 claude-code:latest true"
    assert podman(line).returncode == 0
    assert len(cid.read_text()) == 64
    again = podman(line)
    assert again.returncode == 125
    assert "container id file exists" in again.stderr
    labels = podman(
        f"inspect -f '{{{{json .Config.Labels}}}} {{{{index .Config.Labels \"sm.session\"}}}}' {cid.read_text()}"
    )
    assert labels.stdout == '{"sm.session":"s1"} s1\n'
    listed = podman("ps -a --no-trunc --filter label=sm.session=s1 --format '{{.ID}} {{.Names}}'")
    assert listed.stdout.startswith(cid.read_text())
    assert podman("ps -a --filter label=sm.session=other --format '{{.ID}}'").stdout == ""


def test_stop_kills_what_does_not_listen_after_its_time(podman: Vm):
    cid = podman.background(
        "--network none claude-code:latest sh -c 'trap \"\" TERM; while :; do sleep 1; done'"
    )
    assert podman(f"rm {cid}").returncode == 2
    assert podman(f"stop -t 1 {cid}").stdout == f"{cid}\n"
    assert podman(f"inspect -f '{{{{.State.ExitCode}}}}' {cid}").stdout == "137\n"
    assert podman(f"stop -t 1 {cid}").returncode == 0


def test_after_a_power_cut_the_record_is_there_and_nothing_runs(podman: Vm):
    cid = podman.background("--name a --network none claude-code:latest sleep 99")
    store = Store(podman.layout.engine)
    marker = Engine.load(podman.layout.engine).environment["SM_SANDBOX_VM"]
    while kill_marked(f"SM_SANDBOX_VM={marker}"):
        pass
    deadline = time.monotonic() + 5
    while store.state(store.record(cid)).status == "running":
        assert time.monotonic() < deadline
    assert podman(f"inspect -f '{{{{.State.Status}}}} {{{{.State.ExitCode}}}}' {cid}").stdout in (
        "created 0\n",
        "exited 137\n",
    )


def test_where_nothing_can_be_mounted_the_source_stands_in(tmp_path: Path):
    vm = VmPeer(tmp_path / "state", Faults(), claude="", mounts=False)
    asyncio.run(vm.set_up())
    podman = Vm(vm, tmp_path)
    done = podman(
        f"{BOX} -e HOME=/home/agent -v {podman.work}:/workspace -v {tmp_path}:/home/agent -w /workspace "
        "claude-code:latest sh -c 'pwd; echo $HOME; echo \"$@\"' sh /workspace /workspace/a x/workspace"
    )
    work = podman.work
    assert done.stdout.splitlines() == [str(work), str(tmp_path), f"{work} {work}/a x/workspace"]
    assert any("stands in" in note for note in vm.notes)


@pytest.mark.skipif(os.getuid() != 0, reason="a rootless podman has it")
def test_root_has_no_keep_id(podman: Vm):
    done = podman("run --userns=keep-id claude-code:latest true")
    assert (done.returncode, done.stderr) == (125, "Error: keep-id is only supported in rootless mode\n")


@needs_mounts
def test_programs_on_a_tmpfs_run_as_each_runtime_has_it(podman: Vm):
    script = "sh -c 'cp /bin/true /t/true && /t/true'"
    docker = f"run --rm --network none {shlex.join(as_user('docker'))} --tmpfs"
    assert podman(f"{BOX} --tmpfs /t claude-code:latest {script}").returncode == 0
    assert "Permission denied" in podman(f"{BOX} --tmpfs /t:noexec claude-code:latest {script}").stderr
    assert "Permission denied" in podman(f"{docker} /t claude-code:latest {script}", "docker").stderr
    assert podman(f"{docker} /t:exec claude-code:latest {script}", "docker").returncode == 0


def test_a_template_says_what_go_would_say():
    value = {"Id": "x", "State": {"Running": True, "ExitCode": 3}, "Config": {"Labels": {"a.b": "c"}}}
    text = (
        '{{.Id}} {{ .State.Running }} {{.State.ExitCode}} {{index .Config.Labels "none"}}|{{.Config.Labels}}'
    )
    assert template.render(text, value) == "x true 3 |map[a.b:c]"
    with pytest.raises(template.TemplateError, match="can't evaluate field Nope"):
        template.render("{{.Nope}}", value)


def test_an_option_that_the_service_does_not_send_is_unknown():
    with pytest.raises(arguments.UsageError, match="unknown flag: --device"):
        arguments.parse_run(["--device", "/dev/kvm", "image"])
    with pytest.raises(arguments.UsageError, match="flag needs an argument: --name"):
        arguments.parse_run(["--name"])


def test_what_follows_the_image_is_the_containers():
    parsed = arguments.parse_run(["-i", "--name=n", "image", "run", "--name", "other"])
    assert (parsed.image, parsed.command, parsed.last("--name")) == ("image", ("run", "--name", "other"), "n")
