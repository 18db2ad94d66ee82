"""Importing Stemline has no effect: nothing is read, written, opened, started or patched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

IMPORT_ALL = Path(__file__).with_name("import_all.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    """What `import_all.py` observed in a fresh interpreter with an empty environment."""
    folder = tmp_path_factory.mktemp("empty")
    done = subprocess.run(
        [sys.executable, "-P", "-B", "-W", "error", str(IMPORT_ALL)],
        env={"PATH": os.environ["PATH"]},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not done.returncode, done.stderr
    assert not list(folder.iterdir())
    return json.loads(done.stdout)


def test_every_module_is_imported(found):
    """All modules of all packages are imported, the folders at the top of the repository among them."""
    packages = {name.split(".")[1] for name in found["modules"]}
    repository = Path(__file__).parents[2]
    assert {link.name for link in (repository / "src/stemline").iterdir() if link.is_dir()} - {
        "__pycache__"
    } <= packages
    assert len(found["modules"]) > 100


@pytest.mark.parametrize(
    "effect",
    [
        "events",
        "settings",
        "patched",
        "receivers",
        "celery_apps",
        "metrics",
        "threads",
        "signals",
        "environment",
    ],
)
def test_importing_has_no_effect(found, effect):
    """No file is written, no socket opened, no thread started, no setting read, nothing patched."""
    assert found[effect] == []
