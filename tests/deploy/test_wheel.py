"""The wheel: everything is in it, and it works where nothing of the checkout is."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = """
import importlib, pathlib, pkgutil, sm
names = [module.name for module in pkgutil.walk_packages(sm.__path__, "sm.") if not module.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
from sm.vm.remote import script
assert all(script(name) for name in ("prelude", "pump", "start"))
print(pathlib.Path(sm.__file__).parent, len(names))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by hatchling alone, without an index."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bin` of an empty venv with the wheel; what it depends on is read from where the tests have it."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # A path in a .pth file is searched, and .pth files there are not read: the checkout is not on the path.
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def run(program: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SM_", "PYTHON"))}
    return subprocess.run(
        [program, *arguments], env={**clean, **variables}, cwd=program.parent, capture_output=True, text=True, check=False
    )  # fmt: skip


def test_the_wheel_is_for_every_machine_and_has_the_projects_version(wheel: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert wheel.name == f"session_manager-{version}-py3-none-any.whl"


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "sm"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = {name for name in tracked.stdout.split("\0") if name and (ROOT / name).exists()}
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert found == expected
        assert {"sm/vm/scripts/pump.sh", "sm/vm/scripts/start.sh"} <= found
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in archive.namelist())


def test_every_module_can_be_imported_from_the_wheel(installed: Path) -> None:
    done = run(installed / "python", "-c", MODULES)
    assert done.returncode == 0, done.stderr
    where, count = done.stdout.split()
    assert Path(where).is_relative_to(installed.parent)
    assert int(count) > 50


def test_sm_config_runs_from_the_wheel(installed: Path) -> None:
    done = run(installed / "sm", "config")
    assert done.returncode == 2
    assert "SM_MATTERMOST_URL is missing" in done.stderr


def test_sm_replay_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    done = run(installed / "sm-replay", str(tmp_path / "none.db"), "sessions")
    assert done.returncode == 2
    assert "none.db" in done.stderr
    assert "Traceback" not in done.stderr
