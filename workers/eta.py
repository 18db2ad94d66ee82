"""When an attempt will end, from the share of the separation that is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

KNOWN_SHARE: Final = 0.1
"""Share of a separation from which on its end is estimated."""


class Eta:
    """Extends the rate of a separation to its end.

    The rate counts from the first result on: what comes before, such as starting the decoder, happens once.
    """

    def __init__(self, upload_share: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with the separation.

        Args:
            upload_share: How long the upload will take, as a share of the separation.
            clock: s.
        """
        self._upload_share = upload_share
        self._clock = clock
        self._began = clock()
        self._first: tuple[float, float] | None = None

    def ends_at(self, share: float) -> float | None:
        """Return when the attempt will end, by the clock; ``None`` while that is not known.

        Args:
            share: Share of the separation that is done, 0 to 1.
        """
        now = self._clock()
        if share <= 0:
            return None
        if self._first is None:
            self._first = (share, now)
        first_share, first_at = self._first
        if share < KNOWN_SHARE or share <= first_share:
            return None
        separated_at = now + (1 - share) * (now - first_at) / (share - first_share)
        return separated_at + self._upload_share * (separated_at - self._began)
