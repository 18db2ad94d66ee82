"""Limits what attempts write to the scratch folder; a job that can never fit must not wait for space."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from stemline.separation.disk import is_full
from stemline.separation.errors import DiskFull, DiskTooSmall
from stemline.workers.scratch import attempt_folders

_EXPECTED: Final = "expected"
"""An empty file in an attempt's folder, whose length is what the attempt will have written at its end."""


class ScratchSpace:
    """The space of one attempt, beside those of other attempts in the same folder."""

    def __init__(self, folder: Path, max_bytes: int | None = None) -> None:
        """Expect nothing yet.

        Args:
            folder: The attempt's own.
            max_bytes: What all attempts together may take; ``None`` if only the file system limits them.
        """
        self._folder = folder
        self._max_bytes = max_bytes
        self._expected = 0
        self._source = 0

    def expect_source(self, size: int) -> None:
        """Announce the size of the source; raises as :meth:`expect` does."""
        if size != self._source:
            self._expect(self._expected - self._source + size)
            self._source = size

    def expect(self, size: int) -> None:
        """Announce that so many more bytes are going to be written.

        Raises:
            DiskTooSmall: This worker's folder could not hold them if it were empty.
            DiskFull: It cannot hold them now, beside what others have written and announced.
        """
        self._expect(self._expected + size)

    def is_exceeded(self) -> bool:
        """Return whether the attempt has written more than it announced, and all more than they may."""
        if self._max_bytes is None:
            return False
        own = _used(self._folder)
        return own > self._expected and own + sum(map(_taken, self._others())) > self._max_bytes

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Raise the error of a full file system: the job is too large, or others' files take the space.

        Raises:
            DiskTooSmall: The stems, which are deleted by now, had most of the folder to themselves.
            DiskFull: They had not; another attempt may succeed.
        """
        try:
            yield
        except DiskTooSmall:
            raise
        except (DiskFull, OSError) as error:
            if isinstance(error, OSError) and not is_full(error):
                raise
            raise self.fault() from error

    def fault(self) -> DiskFull:
        """Return the error of an attempt that needs more space than it has."""
        others = sum(map(_used, self._others()))
        disk = shutil.disk_usage(self._folder)
        had = disk.free + _used(self._folder)
        if self._max_bytes is not None:
            had = min(had, self._max_bytes - others)
        return DiskTooSmall() if 2 * had > self._capacity() else DiskFull()

    def _expect(self, size: int) -> None:
        capacity, left = self._capacity(), self._left()
        if size > capacity:
            raise DiskTooSmall(
                f"The source and its stems take {_gigabytes(size)}; "
                f"the worker's scratch folder holds {_gigabytes(capacity)}."
            )
        if size > left:
            raise DiskFull(
                f"The source and its stems take {_gigabytes(size)}; "
                f"the worker's scratch folder has {_gigabytes(max(left, 0))} left."
            )
        self._expected = size
        with (self._folder / _EXPECTED).open("ab") as file:
            file.truncate(size)

    def _capacity(self) -> int:
        """Return what the folder could hold if it were empty, bytes."""
        disk = shutil.disk_usage(self._folder)
        whole = disk.used + disk.free  # less than `total`, of which some systems keep a part for root
        return whole if self._max_bytes is None else min(whole, self._max_bytes)

    def _left(self) -> int:
        """Return what this attempt can write in all, what it has written included, bytes."""
        others = list(self._others())
        taken = sum(map(_taken, others))
        free = shutil.disk_usage(self._folder).free
        left = free + _used(self._folder) + sum(map(_used, others)) - taken
        return left if self._max_bytes is None else min(left, self._max_bytes - taken)

    def _others(self) -> Iterator[Path]:
        return (each for each in attempt_folders(self._folder.parent) if each != self._folder)


def _taken(folder: Path) -> int:
    """Return what an attempt has written or will have written, bytes."""
    expected = 0
    with suppress(OSError):
        expected = (folder / _EXPECTED).stat().st_size
    return max(_used(folder), expected)


def _used(folder: Path) -> int:
    """Return the bytes of the files that an attempt has written; files may vanish meanwhile."""
    total = 0
    with suppress(OSError):
        for file in folder.iterdir():
            if file.name != _EXPECTED:
                with suppress(OSError):
                    total += file.stat().st_size
    return total


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
