"""Memory of the machine that attempts have reserved: they are going to take it, and have not yet.

A file for each in the folder that they share, as long as what is reserved, which its attempt keeps locked:
the system unlocks those of a killed process. Where there are no locks nothing is reserved.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class MemoryReservations:
    """The reservation of one attempt, and those of the others.

    Args:
        folder: Folder that all attempts of the machine share.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._prefix = f"stemline-memory-{os.getuid()}-"
        self._own: tuple[int, Path] | None = None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep others from reserving for the length of a ``with`` block."""
        descriptor = None
        with suppress(OSError):
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._folder / f"{self._prefix}gate", flags, 0o600)
            if os.fstat(descriptor).st_uid == os.getuid():  # another user could keep it locked
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def reserve(self, size: int) -> None:
        """Reserve so many bytes for this attempt, instead of what it had reserved."""
        self.release()
        with suppress(OSError):
            descriptor, name = tempfile.mkstemp(prefix=f"{self._prefix}takes-", dir=self._folder)
            self._own = descriptor, Path(name)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, size)  # takes no space

    def of_others(self) -> int:
        """Return what other attempts have reserved, bytes; reservations of killed ones are removed."""
        own = None if self._own is None else self._own[1]
        return sum(_reserved(path) for path in self._folder.glob(f"{self._prefix}takes-*") if path != own)

    def release(self) -> None:
        """End the reservation of this attempt, if there is one."""
        if self._own is not None:
            descriptor, path = self._own
            with suppress(OSError):
                path.unlink()
            os.close(descriptor)
            self._own = None


def _reserved(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0  # released meanwhile, or another user's
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.getuid():
            return 0
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return found.st_size
    except OSError:
        return 0
    else:
        path.unlink(missing_ok=True)
        return 0
    finally:
        os.close(descriptor)
