"""The bare mirror and the main clone: made whole or not at all, and never out of a hostile name."""

import asyncio
import os
import shutil
import signal
import subprocess

import pytest

from sm.core.outcome import Refused, Unreachable
from sm.vm.model import PrepareSpec

from .conftest import SESSION, until

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=trunk"]


def git(*words, cwd=None):
    return subprocess.run([*GIT, *words], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def upstream(peer):
    """acme/webapp on a stand-in for GitHub: two branches, the default one not called main."""
    origin = peer.folder / "github" / "acme" / "webapp"
    origin.mkdir(parents=True)
    git("init", "-q", cwd=origin)
    (origin / "README.md").write_text("hello\n")
    git("add", ".", cwd=origin)
    git("commit", "-q", "-m", "first", cwd=origin)
    git("branch", "feature", cwd=origin)
    (peer.home / ".gitconfig").write_text(
        f'[url "file://{peer.folder}/github/"]\n\tinsteadOf = https://github.com/\n[safe]\n\tdirectory = *\n'
    )
    return origin


async def prepare(vm, org="acme", repo="webapp", epoch=1):
    return await vm.repositories.prepare(PrepareSpec(session_id=SESSION, org=org, repo=repo), epoch)


async def refused(vm, **changes):
    with pytest.raises(Refused) as caught:
        await prepare(vm, **changes)
    return caught.value


async def test_the_clone_stands_where_the_specification_says_on_the_default_branch(peer, vm, upstream):
    found = await prepare(vm)
    assert found.path == str(peer.repos / "github.com/acme/webapp")
    assert found.mirror == str(peer.repos / ".mirrors/github.com/acme/webapp.git")
    assert (found.branch, found.head) == ("trunk", git("rev-parse", "HEAD", cwd=upstream))
    assert found.created
    assert (peer.repos / "github.com/acme/webapp/README.md").read_text() == "hello\n"


async def test_the_clone_borrows_its_objects_from_the_mirror(peer, vm, upstream):
    found = await prepare(vm)
    borrowed = (peer.repos / "github.com/acme/webapp/.git/objects/info/alternates").read_text()
    assert borrowed.strip() == f"{found.mirror}/objects"
    assert git("for-each-ref", "--format=%(refname)", cwd=found.mirror).split() == [
        "refs/heads/feature",
        "refs/heads/trunk",
    ]


async def test_a_second_preparation_finds_the_clone_as_it_is(peer, vm, upstream):
    first = await prepare(vm)
    (peer.repos / "github.com/acme/webapp/work.txt").write_text("mine")
    git("switch", "-q", "-c", "mine", cwd=first.path)
    again = await prepare(vm)
    assert (again.created, again.branch, again.head) == (False, "mine", first.head)
    assert (peer.repos / "github.com/acme/webapp/work.txt").read_text() == "mine"


async def test_the_clone_is_made_in_a_container_without_a_network(peer, vm, upstream):
    await prepare(vm)
    await prepare(vm)
    runs = (peer.state / "runs.jsonl").read_text().splitlines()
    assert len(runs) == 2
    for words in runs:
        assert '"--network", "none"' in words
        assert '"--cap-drop=all"' in words
    assert '"--read-only"' in runs[1]


async def test_a_repository_that_is_not_there_is_a_no(peer, vm, upstream):
    assert (await refused(vm, repo="nothing")).code == "repository_missing"
    assert not list((peer.repos / "github.com/acme").iterdir())
    assert not (peer.repos / ".mirrors/github.com/acme/nothing.git").exists()


async def test_a_host_that_does_not_answer_is_named(peer):
    vm = peer.vm(git_base_url="http://127.0.0.1:9")
    assert (await refused(vm)).code == "network_unreachable"


async def test_a_folder_that_was_not_made_here_is_left_alone(peer, vm, upstream):
    taken = peer.repos / "github.com/acme/webapp"
    taken.mkdir(parents=True)
    (taken / "thesis.tex").write_text("years of work")
    assert (await refused(vm)).code == "path_taken"
    assert (taken / "thesis.tex").read_text() == "years of work"


async def test_a_link_in_the_clones_place_is_not_followed(peer, vm, upstream):
    found = await prepare(vm)
    os.rename(found.path, peer.folder / "moved")
    os.symlink(peer.folder / "moved", found.path)
    assert (await refused(vm)).code == "path_taken"


async def test_an_interrupted_clone_leaves_nothing_whole_and_the_next_try_makes_it(peer, vm, upstream):
    (peer.state / "hold-run").touch()
    task = asyncio.create_task(prepare(vm))
    await until(
        lambda: (peer.state / "c").is_dir() and list((peer.state / "c").iterdir()), "the clone's container"
    )
    for process in await until(lambda: scripts(peer), "the script"):
        os.kill(process, signal.SIGKILL)
    with pytest.raises(Unreachable):
        await task
    assert not (peer.repos / "github.com/acme/webapp").exists()
    assert (peer.repos / ".mirrors/github.com/acme/webapp.git/HEAD").exists()
    (peer.state / "hold-run").unlink()
    found = await prepare(vm)
    assert found.created


def scripts(peer):
    """Everything that runs for the preparation on the VM."""
    found = subprocess.run(["pgrep", "-f", f"{peer.repos}"], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


async def test_an_interrupted_fetch_leaves_no_mirror(peer, vm, upstream):
    real = shutil.which("git")
    peer.tool("git", f'case " $* " in *" fetch "*) kill -9 $PPID; exit 1;; esac; exec {real} "$@"')
    with pytest.raises((Refused, Unreachable)):
        await prepare(vm)
    assert not (peer.repos / ".mirrors/github.com/acme/webapp.git").exists()
    assert not (peer.repos / "github.com/acme/webapp").exists()
    (peer.bin / "git").unlink()
    assert (await prepare(vm)).created


async def test_an_older_writer_prepares_nothing(peer, vm, upstream):
    await prepare(vm, epoch=5)
    assert (await refused(vm, epoch=4)).code == "fenced"


async def test_the_token_stands_in_no_argument_file_or_message(peer, vm, upstream):
    token = "ghp_0123456789abcdefghij"
    real = shutil.which("git")
    log = peer.folder / "git.log"
    peer.write_profile(more=f"export GH_TOKEN={token}")
    peer.tool(
        "git",
        f'printf "%s\\n" "$*" >>{log}\n'
        f'case " $* " in *" ls-remote "*) printf "protocol=https\\nhost=github.com\\n\\n" | '
        f'GIT_CONFIG_NOSYSTEM=1 {real} "${{@:1:$#-4}}" credential fill >{peer.folder}/filled; '
        'echo "fatal: $GH_TOKEN returned error: 403" >&2; exit 128;; esac\n'
        f'exec {real} "$@"',
    )
    error = await refused(vm)
    assert error.code == "no_access"
    assert token not in str(error)
    assert token not in log.read_text()
    assert f"password={token}" in (peer.folder / "filled").read_text()
    stored = [file.read_bytes() for file in peer.repos.rglob("*") if file.is_file()]
    assert not any(token.encode() in raw for raw in stored)


async def test_an_empty_repository_is_cloned_without_a_commit(peer, vm, upstream):
    git("init", "-q", "--bare", str(peer.folder / "github/acme/empty"))
    found = await prepare(vm, repo="empty")
    assert (found.head, found.created) == ("", True)


async def test_an_image_that_is_missing_is_named(peer, upstream):
    assert (await refused(peer.vm(image="other:2"))).code == "image_missing"
    assert not (peer.repos / "github.com/acme/webapp").exists()


@pytest.mark.parametrize(
    ("org", "repo"),
    [
        ("acme", "$(touch pwned)"), ("acme", "--upload-pack=touch pwned"), ("acme", ".."), ("..", "webapp"), ("acme", "a/b"),
        ("acme", "a;b"), ("acme", "a\nb"), ("-acme", "webapp"), ("acme", "webapp.git"), ("acme", ""), ("a'b", "webapp"),
    ],
)  # fmt: skip
async def test_a_hostile_name_reaches_no_shell(peer, vm, org, repo):
    assert (await refused(vm, org=org, repo=repo)).code == "bad_name"
    assert peer.logins == 0


async def test_a_name_that_is_allowed_but_odd_is_only_a_name(peer, vm, upstream):
    for name in (".github", "web-app_2.0", "webapp.git.part"):
        git("clone", "-q", "--bare", str(upstream), str(peer.folder / "github/acme" / name))
        found = await prepare(vm, repo=name)
        assert found.path.endswith(f"/acme/{name}")


@pytest.mark.parametrize("path", ["relative", "/a:/etc", "/a/../b", "/a\nb", ""])
def test_a_path_that_cannot_be_mounted_is_refused_at_once(peer, path):
    with pytest.raises(Refused):
        peer.vm(repos_base=path)


async def test_a_claim_of_the_clone_that_is_no_branch_is_not_repeated(peer, vm, upstream):
    found = await prepare(vm)
    (peer.repos / "github.com/acme/webapp/.git/HEAD").write_text("0" * 40 + "\n")
    again = await prepare(vm)
    assert again.path == found.path
    assert again.branch == ""
