"""A small file system for a test of a full disk; it needs root, or users who may have namespaces."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MOUNT = 'mount -t tmpfs -o "size=$2" stemline "$1" && echo mounted && exec cat'


class Refused(Exception):
    """The system lets this user mount nothing."""


class SmallDisk:
    """An empty tmpfs, which ends with the process that mounted it.

    Attributes:
        path: Of its folder, as every process of this user can use it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, *, but: int = 0) -> None:
        """Write a file until no byte fits, then give some bytes back, in whole pages."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass
            if but:
                file.truncate(file.tell() - but)

    def free(self) -> None:
        """Remove that file."""
        self._ballast.unlink()


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """Mount a disk of so many bytes, in a namespace of a process of its own.

    Args:
        folder: An empty one, under whose name only that process sees the disk.
        size: In bytes, a multiple of a page.

    Raises:
        Refused: The system does not allow it.
    """
    namespace = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *namespace, "--mount", "sh", "-c", _MOUNT, "sh", str(folder), str(size)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stderr is not None
        try:
            if holder.stdout.readline() != b"mounted\n":
                raise Refused(holder.stderr.read().decode())
            yield SmallDisk(Path(f"/proc/{holder.pid}/root{folder}"))
        finally:
            holder.stdin.close()
