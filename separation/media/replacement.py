"""A file that is written beside its place, and replaces what is there only when it is complete."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

#: Names of unfinished files begin so; they are hidden, and no longer than names may be anywhere.
PREFIX: Final = ".stemline-"


class Replacement:
    """A new file for a place where one of the same name may be.

    A link in that place is replaced itself; what it leads to stays as it is.

    Args:
        place: Where the file goes; its folder exists.

    Raises:
        OSError: No file of this name can be written there.

    Attributes:
        path: Of the file while it is written.
        file: Open for writing and reading.
    """

    def __init__(self, place: Path) -> None:
        _check(place)
        self._place = place
        self.path = place.with_name(f"{PREFIX}{secrets.token_hex(8)}.part")
        try:
            self.file: BinaryIO = self.path.open("x+b")
        except OSError as error:
            error.filename = str(place)  # the name that the user knows
            raise

    def publish(self) -> None:
        """Put the file, which is closed, in its place."""
        self.path.replace(self._place)
        self.path = self._place

    def discard(self) -> None:
        """Delete the file, wherever it is by now."""
        with suppress(OSError):  # a failed flush does not matter any more
            self.file.close()
        self.path.unlink(missing_ok=True)


def _check(place: Path) -> None:
    """Find out now, and not after minutes of work, whether a file can be put in a place."""
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(place))
    if not stat.S_ISLNK(mode) and not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
