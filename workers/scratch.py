"""Folders in which attempts work; those of attempts that were killed are found and removed."""

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
    """A folder for one attempt, gone afterwards whatever happened.

    While the process lives it holds a lock on the folder; the system lets go of it with the process.
    """
    folder, held = _make(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if held is not None:
            os.close(held)


def _make(parent: Path | None) -> tuple[Path, int | None]:
    """A new folder and the descriptor that locks it.

    The race: between making and locking it, another process may take it for a dead one's and remove it.
    """
    for _ in range(5):
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        held = _lock(folder)
        if held is not None and folder.exists():
            return folder, held
        if held is not None:
            os.close(held)
    # A file system without locks: there clear_stale removes nothing either.
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)), None


def clear_stale(parent: Path | None) -> int:
    """Remove the folders of attempts whose process is dead; how many there were."""
    count = 0
    for folder in Path(parent or tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        held = _lock(folder)
        if held is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)
            count += 1
    return count


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock; ``None`` where somebody else does, or it is gone."""
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
