"""The wheel that is installed is the tree that was tested."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import REPOSITORY

PACKAGES = ("api", "callbacks", "cli", "deploy", "jobs", "separation", "storage", "workers")
ENGINE = {"av", "lameenc", "numpy", "onnx", "onnxruntime", "scipy", "soxr"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        check=True,
        cwd=REPOSITORY,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(wheel: Path, program: str) -> str:
    """What a program prints that sees our packages in the wheel alone."""
    ran = subprocess.run(
        [sys.executable, "-P", "-c", program],
        check=True,
        cwd=wheel,
        env={**os.environ, "PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
    )
    return ran.stdout.strip()


def test_nothing_is_left_out(wheel: Path) -> None:
    """Every tracked file of our packages, scripts and pages included, is in the wheel."""
    listed = subprocess.run(
        ["git", "ls-files", *PACKAGES], check=False, cwd=REPOSITORY, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert [] == [name for name in listed.stdout.splitlines() if not (wheel / name).is_file()]


def test_the_installed_command_works(wheel: Path) -> None:
    """All packages can be imported from the wheel alone, and its command lists its commands."""
    told = run(
        wheel,
        f"import {', '.join(PACKAGES)}, cli.main as m; print({'.__file__, '.join(PACKAGES)}.__file__);"
        " m.main(['--help'], standalone_mode=False)",
    )
    assert len(PACKAGES) == told.count(f"{wheel}/")
    for name in ("up", "demo", "separate", "worker", "api", "callbacks", "models"):
        assert f"\n  {name} " in told


def test_the_api_needs_no_engine(wheel: Path) -> None:
    """Neither what the extra `api` installs nor what the API imports belongs to the engine."""
    (info,) = wheel.glob("*.dist-info")
    wanted = [Requirement(text) for text in Distribution.at(info).requires or []]
    names = {each.name for each in wanted if each.marker is None or each.marker.evaluate({"extra": "api"})}
    assert "fastapi" in names
    assert set() == names & ENGINE
    loaded = run(wheel, "import sys, api.app, api.server, workers.app; print(*sys.modules)").split()
    assert set() == ENGINE & set(loaded)
