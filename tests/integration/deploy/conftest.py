"""The built distributions, environments to install them in, and a folder with misleading file names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import REPOSITORY
from tools.compiled_modules import share

UV = Path(sys.executable).with_name("uv")
_BUILD = ("build", "--build-constraints", "constraints/build.txt", "--require-hashes", "--out-dir")
IMPORTED = "a file of the current folder was imported"
#: Names of packages of ours, of libraries and of modules of Python.
_MISLEADING = (
    *("jobs.py", "cli.py", "storage/__init__.py", "api/__init__.py", "callbacks.py", "stemline.py"),
    *("celery.py", "click.py", "pip.py", "redis.py"),
    *("logging.py", "multiprocessing.py", "pickle.py", "selectors.py", "socket.py", "tempfile.py"),
)


def uv(*arguments: str | Path) -> None:
    """Run uv in the repository."""
    command = [str(UV), *map(str, arguments)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr


def build(folder: Path, *arguments: str | Path) -> Path:
    """Build one distribution with the pinned build back end."""
    uv(*_BUILD, folder, *arguments)
    (built,) = [path for path in folder.iterdir() if path.suffix in {".whl", ".gz"}]
    return built


def try_to_build(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Build a wheel of the checkout with further variables; it may fail."""
    command = [str(UV), *map(str, _BUILD), str(folder), "--wheel"]
    environment = {**os.environ, **variables}
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )


def new_environment(folder: Path, *requirements: str | Path) -> Path:
    """Create a virtual environment with the packages of `constraints/`; return its folder of programs."""
    uv("venv", "--python", sys.executable, folder)
    if requirements:
        python = folder / "bin" / "python"
        uv("pip", "install", "--python", python, "-c", "constraints/python.txt", *requirements)
        share(Path(sys.prefix), folder)
    return folder / "bin"


@pytest.fixture(scope="session")
def wheel(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as the images build it; the one that `make test` has just built from this checkout."""
    built = list((REPOSITORY / "build" / "wheel").glob("*.whl"))
    if pytestconfig.getoption("--wheel") and len(built) == 1:
        return built[0]
    return build(tmp_path_factory.mktemp("wheel"), "--wheel")


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution."""
    return build(tmp_path_factory.mktemp("sdist"), "--sdist")


@pytest.fixture
def misleading_folder(tmp_path: Path) -> Path:
    """A user's folder whose files have the names of modules; importing one of them is an error."""
    return write_misleading_files(tmp_path / "misleading")


def write_misleading_files(folder: Path) -> Path:
    """Fill a folder with files that have the names of modules and report `IMPORTED`; return the folder."""
    for name in _MISLEADING:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"raise RuntimeError(f'{IMPORTED}: {{__file__}}')\n")
    return folder


def clean_environment(programs: Path, **variables: str) -> dict[str, str]:
    """The variables of a user who has installed the wheel: nothing of this test run's own settings."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PATH": f"{programs}:{os.environ['PATH']}", **variables}
