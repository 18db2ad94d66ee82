"""What make says in a fresh clone on a machine without a Python that fits."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("named", ["", "no-such-python"])
def test_a_missing_python_is_said_with_what_is_needed(named: str, tmp_path: Path) -> None:
    """Nothing is installed; one line names what is missing, which versions fit, and how to name one."""
    for name in ("Makefile", "make", "constraints"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    ran = subprocess.run(
        ["make", "up", f"PYTHON={named}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert 0 != ran.returncode
    assert f"There is no Python here{f' named {named}' if named else ''}." in ran.stdout
    assert "3.11, 3.12 or 3.13, with venv: make PYTHON=/path/to/python3.11" in ran.stdout
    assert not (tmp_path / ".venv").exists()
