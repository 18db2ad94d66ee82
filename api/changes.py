"""Changes that are made from what was read: read again if another request was faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from stemline.jobs.errors import ChangedMeanwhile

T = TypeVar("T")

_TRIES: Final = 10


def repeat_if_changed(change: Callable[[], T]) -> T:
    """Return what a change returns, which reads a record and writes it with the revision it has read.

    Raises:
        ChangedMeanwhile: Others changed the record at each try.
    """
    for _ in range(_TRIES - 1):
        try:
            return change()
        except ChangedMeanwhile:
            continue
    return change()
