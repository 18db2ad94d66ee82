"""Arrays that are used again."""

from __future__ import annotations

import math
import sys
import threading
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: References to an array that nobody else holds: the pool's, and the one that it is asked by.
_UNUSED: Final = 2


class ArrayPool:
    """Gives copies of arrays of one shape in memory that is in use already.

    To get fresh memory from the system costs more than such a copy. An array is free again as soon as nobody
    holds it or a view of it.

    Args:
        shape: Of the arrays.
        most: How many are kept; further ones are fresh.
    """

    def __init__(self, shape: tuple[int, ...], most: int) -> None:
        self._shape = shape
        self._most = most
        self._arrays: list[NDArray[np.float32]] = []
        self._lock = threading.Lock()

    def copy(self, source: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a copy of an array of the pool's shape; its memory is used again once nobody holds it."""
        array = self._take()
        array[:] = source
        return array

    def _take(self) -> NDArray[np.float32]:
        with self._lock:
            for number in range(len(self._arrays)):
                if sys.getrefcount(self._arrays[number]) <= _UNUSED:
                    return self._arrays[number]
            array = np.empty(self._shape, np.float32)
            if len(self._arrays) < self._most:
                self._arrays.append(array)
            return array


class Scratch:
    """Memory for one result at a time, which the next one overwrites."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.float32)

    def of(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return an array of a shape with any content, valid until the next call."""
        size = math.prod(shape)
        if self._memory.size < size:
            self._memory = np.empty(size, np.float32)
        return self._memory[:size].reshape(shape)
