"""The scripts that people run, without running all of them: what they record, and what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_names_no_download_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"index-url|find-links|trusted-host", text)


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_a_lock_file_has_its_version_and_hashes(name: str) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", (ROOT / name).read_text().partition("\n#    scripts/lock\n")[2])
    assert len(entries) > 20
    for entry in entries:
        assert re.match(
            r"[a-z0-9._-]+(\[[a-z,]+\])?==[0-9][^ ]*( ; .*)? \\\n    --hash=sha256:[0-9a-f]{64}", entry
        ), entry


def test_both_lock_files_hold_the_same_versions() -> None:
    runtime, everything = (
        set(re.findall(r"^[a-z0-9._-]+(?:\[[a-z,]+\])?==[^ ]+", (ROOT / name).read_text(), re.MULTILINE))
        for name in LOCKS
    )
    assert runtime <= everything


def test_the_lock_files_hold_every_dependency_of_the_project() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]

    def names(wanted: list[str]) -> set[str]:
        return {re.split(r"[\[>=<!~ ;]", one, maxsplit=1)[0] for one in wanted}

    def locked(name: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==", (ROOT / name).read_text(), re.MULTILINE))

    assert names(project["dependencies"] + extras["build"]) <= locked("requirements.lock")
    assert names(project["dependencies"] + extras["build"] + extras["dev"]) <= locked("requirements-dev.lock")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The scripts in a project that was never set up."""
    shutil.copytree(ROOT / "scripts", tmp_path / "project" / "scripts")
    for name in (*LOCKS, "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / "project" / name)
    return tmp_path / "project"


def tools(folder: Path, *names: str) -> str:
    """A PATH with these programs only."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return str(folder)


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


BASICS = ("bash", "dirname", "cat", "tr", "cut", "flock", "sha256sum", "rm", "env")


@pytest.mark.parametrize("script", ["demo", "test"])
def test_all_that_the_machine_lacks_is_named_at_once(project: Path, tmp_path: Path, script: str) -> None:
    path = tools(tmp_path / "bin", *BASICS)
    done = subprocess.run(
        [project / "scripts" / script], env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "apt-get install git python3 python3-venv" in done.stderr
    assert not (project / ".venv").exists()


def test_a_python_without_ensurepip_needs_the_venv_package(project: Path, tmp_path: Path) -> None:
    path = tools(tmp_path / "bin", *BASICS, "git")
    python = tmp_path / "bin" / "python3"
    answers = f'case "$2" in *ensurepip*) exit 1;; *executable*) echo {python};; *) exit 0;; esac'
    program(tmp_path / "bin", "python3", answers)
    done = subprocess.run(
        [project / "scripts" / "demo"], env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith("apt-get install python3-venv")


def test_a_python_that_is_too_old_is_said_to_be(project: Path, tmp_path: Path) -> None:
    path = tools(tmp_path / "bin", *BASICS, "git")
    program(tmp_path / "bin", "python3", 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    done = subprocess.run(
        [project / "scripts" / "demo"], env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Python 3.11 or newer" in done.stderr
    assert "Python 3.9.2" in done.stderr


@pytest.mark.parametrize("name", ["scripts/demo", "scripts/test", "scripts/lock", ".ci/run"])
def test_a_command_can_be_run_as_it_is(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / name], check=True)
