"""Working folders of attempts; folders of killed attempts are found and removed."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stemline.runtime.errors import UnusableFolder

_PREFIX = "stemline-attempt-"
_PREFIX_UNLOCKED = "stemline-new-"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
# Created, locked and renamed takes less; an empty folder that is older belongs to a killed process.
_UNLOCKED_S = 60


def parent_of_scratch(configured: Path | None) -> Path:
    """Return the folder of working folders; it outlives the process.

    In the system's temporary folder it is this user's own. There others could put folders and files with the
    names that are looked for: what they announce to write would leave no job any space.

    Raises:
        UnusableFolder: It cannot be made, or is another user's or a link.
    """
    if configured is not None:
        return configured
    folder = Path(tempfile.gettempdir()) / f"stemline-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise UnusableFolder("STEMLINE_SCRATCH_DIR", folder, error.strerror or str(error)) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & _OTHERS_WRITE:
        raise UnusableFolder("STEMLINE_SCRATCH_DIR", folder, "others can write there")
    return folder


def check_scratch(configured: Path | None) -> None:
    """Write to the folder of working folders, as every attempt will.

    Raises:
        UnusableFolder: That is not possible.
    """
    folder = parent_of_scratch(configured)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"stemline")
    except OSError as error:
        raise UnusableFolder("STEMLINE_SCRATCH_DIR", folder, error.strerror or str(error)) from error


@contextmanager
def scratch(parent: Path | None) -> Iterator[Path]:
    """Create a folder for one attempt, and remove it afterwards.

    The process holds a lock on the folder, which the system releases when the process ends.
    """
    folder, lock = _create(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def attempt_folders(parent: Path) -> Iterator[Path]:
    """Yield the folders of all attempts, also of dead ones."""
    return parent.glob(f"{_PREFIX}*")


def _create(parent: Path | None) -> tuple[Path, int | None]:
    """Return a new folder and the descriptor of its lock.

    The folder gets a name that ``clear_stale`` looks for only when it is locked. On a file system without
    locks the descriptor is ``None``; there ``clear_stale`` removes nothing either.
    """
    new = Path(tempfile.mkdtemp(prefix=_PREFIX_UNLOCKED, dir=parent_of_scratch(parent)))
    lock = _lock(new)
    folder = new.with_name(_PREFIX + new.name.removeprefix(_PREFIX_UNLOCKED))
    new.rename(folder)
    return folder, lock


def clear_stale(parent: Path | None) -> int:
    """Remove the folders of attempts whose process is dead; return how many there were."""
    count = 0
    root = parent_of_scratch(parent)
    for folder in root.glob(f"{_PREFIX_UNLOCKED}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _UNLOCKED_S:
                folder.rmdir()
    for folder in attempt_folders(root):
        lock = _lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
            count += 1
    return count


def _lock(folder: Path) -> int | None:
    """Lock a folder and return the descriptor; ``None`` if it is locked already, or gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
