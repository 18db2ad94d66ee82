"""Stores weights: a folder for each model, whose files are used only after their checksums are verified."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stemline.models.published import ModelFile, Published
from stemline.separation.disk import writing_to
from stemline.separation.errors import WeightsCorrupt, WeightsMissing

#: Environment variable that names the model directory.
MODELS_DIR_VARIABLE = "STEMLINE_MODELS_DIR"


def default_directory() -> Path:
    """Return the model directory: `STEMLINE_MODELS_DIR`, or a folder in the user's cache.

    Raises:
        WeightsMissing: The user has no home directory, so the folder must be named.
    """
    if named := os.environ.get(MODELS_DIR_VARIABLE):
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(cache).expanduser() / "stemline" / "models"
    except RuntimeError as error:
        message = f"The user has no home directory, so set {MODELS_DIR_VARIABLE} to the folder of models."
        raise WeightsMissing(message) from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    # hashlib.file_digest() reads smaller chunks, and has to wait for the interpreter lock after each.
    buffer = memoryview(bytearray(8 << 20))
    with path.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


class WeightStore:
    """The models in one directory."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or default_directory()

    def folder(self, model: Published) -> Path:
        """Return the folder that holds, or will hold, the files of `model`."""
        return self.directory / model.name

    def has(self, model: Published) -> bool:
        """Return whether all files of `model` can be seen; their checksums are not verified."""
        # Not Path.is_file, which raises before Python 3.13 where the folder may not be entered.
        return all(os.path.isfile(self.folder(model) / file.name) for file in model.files)  # noqa: PTH113

    def scratch(self) -> Path:
        """Return the folder for downloads that are not verified yet, on the same disk as the models."""
        folder = self.directory / ".fetching"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def verified(self, model: Published, *, digest: Callable[[Path], str] = sha256) -> Path:
        """Return the folder of `model` after verifying its files.

        Args:
            model: The model.
            digest: Returns the SHA-256 of a file; by default it is read.

        Raises:
            WeightsMissing: A file is missing, or cannot be read.
            WeightsCorrupt: A file does not match its checksum.
        """
        folder = self.folder(model)
        for file in model.files:
            path = folder / file.name
            try:
                if not path.is_file():
                    raise WeightsMissing(
                        f"The weights of {model.name} are not in {folder}; "
                        f"fetch them with `stemline models pull {model.name}`."
                    )
                verify_file(path, file, digest)
            except OSError as error:
                reason = error.strerror or str(error)
                raise WeightsMissing(
                    f"The weights of {model.name} cannot be read: {path}: {reason}"
                ) from error
        return folder

    def install(self, model: Published, source: Path) -> Path:
        """Verify the files of `model` in the folder `source` and install them atomically.

        Raises:
            WeightsMissing: A file is missing in `source`.
            WeightsCorrupt: A file in `source` does not match its checksum; nothing was changed.
            OSError: The disk is full; nothing was changed.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=self.directory, prefix=f".{model.name}-"))
        try:
            for file in model.files:
                if not (source / file.name).is_file():
                    raise WeightsMissing(f"{file.name} of {model.name} is not in {source}.")
                with writing_to(self.folder(model)):
                    shutil.copyfile(source / file.name, staged / file.name)
                verify_file(staged / file.name, file)
            staged.chmod(0o755)
            target = self.folder(model)
            if target.exists():
                # A rename cannot replace a folder that is not empty: the old one is moved first.
                old = staged.with_name(staged.name + "-old")
                target.rename(old)
                staged.rename(target)
                with suppress(OSError):
                    delete_folder(old)
            else:
                staged.rename(target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        return target

    @contextmanager
    def lock(self, model: Published, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the lock of `model` across processes, so that only one fetches it."""
        from filelock import FileLock, Timeout  # noqa: PLC0415  # it imports asyncio

        self.directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.directory / f".{model.name}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if waiting is not None:
                waiting()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def delete_folder(folder: Path) -> None:
    """Delete the folder of a model; of a link to one, the link alone."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)


def verify_file(path: Path, file: ModelFile, digest: Callable[[Path], str] = sha256) -> None:
    """Compare the size and SHA-256 of `path` with the catalogue.

    Raises:
        WeightsCorrupt: They differ.
    """
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise WeightsCorrupt(f"{path} has {size} bytes instead of {file.size}; fetch it again.")
    if file.sha256 is not None and (found := digest(path)) != file.sha256:
        raise WeightsCorrupt(f"{path} has SHA-256 {found} instead of {file.sha256}; fetch it again.")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that readers see either all of it or nothing."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
