"""How long a store that gives no answer is tried again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

MAX_S: Final = 30.0
"""No further try begins this long after the first one that had no answer."""
_FORGOTTEN_S: Final = 120.0
"""After so long without a try, the next one is the first again."""


class UnansweredTries:
    """Tries in a row that had no answer, of all calls to one store; may be used by several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None
        self._last = 0.0

    def answered(self) -> None:
        """Note an answer, whatever it says."""
        with self._lock:
            self._since = None

    def should_end(self) -> bool:
        """Note a try without an answer, and return whether it was the last one that is worth while."""
        with self._lock:
            now = self._clock()
            if self._since is None or now - self._last > _FORGOTTEN_S:
                self._since = now
            self._last = now
            return now - self._since >= MAX_S
