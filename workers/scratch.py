"""Working folders of attempts; folders of killed attempts are found and removed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "stemline-attempt-"


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


def _create(parent: Path | None) -> tuple[Path, int | None]:
    """Return a new folder and the descriptor of its lock.

    The race: before the lock is taken, another process may remove the folder as a dead process's.
    """
    for _ in range(5):
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = _lock(folder)
        if lock is not None and folder.exists():
            return folder, lock
        if lock is not None:
            os.close(lock)
    # A file system without locks; there clear_stale removes nothing either.
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)), None


def clear_stale(parent: Path | None) -> int:
    """Remove the folders of attempts whose process is dead; return how many there were."""
    count = 0
    for folder in Path(parent or tempfile.gettempdir()).glob(f"{_PREFIX}*"):
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
