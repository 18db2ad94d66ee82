"""What is said of a file system that takes no more."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_full(error: BaseException) -> bool:
    """Return whether an error says that a file cannot grow: no space, no quota, or a limit of its size."""
    return getattr(error, "errno", None) in _NO_SPACE


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Name in the error of a full disk what is written to: a write names no file, and a copy its source.

    Raises:
        OSError: The body met a full disk.
    """
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
