"""Changes that depend on a record that was read: the record is read again if another request changed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from stemline.jobs.errors import ChangedMeanwhile

T = TypeVar("T")

_TRIES: Final = 10


def repeat_if_changed(change: Callable[[], T]) -> T:
    """Run a change, which reads a record and writes it with the revision that it read, and return its result.

    Raises:
        ChangedMeanwhile: Others changed the record at each try.
    """
    for _ in range(_TRIES - 1):
        try:
            return change()
        except ChangedMeanwhile:
            continue
    return change()
