"""Pieces of a stream that were made and not taken yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np

from stemline.separation.windows import Block


class PieceBuffer:
    """The pieces of an iterator, of which its reader takes as many samples as it needs.

    Attributes:
        reached: Samples that the iterator has given.
        waiting: Those of them that were not taken.
    """

    def __init__(self, pieces: Iterable[Mapping[str, Block]]) -> None:
        self._pieces = iter(pieces)
        self._queue: deque[Mapping[str, Block]] = deque()
        self.reached = 0
        self.waiting = 0

    def advance(self) -> bool:
        """Get the next piece; return whether there was one."""
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self._queue.append(piece)
        count = len(next(iter(piece.values())))
        self.reached += count
        self.waiting += count
        return True

    def take(self, count: int) -> Mapping[str, Block]:
        """Return the next `count` samples of every stem, at least 1; get more pieces where too few wait."""
        while self.waiting < count and self.advance():
            pass
        parts: list[Mapping[str, Block]] = []
        missing = count
        while missing:
            piece = self._queue.popleft()
            have = len(next(iter(piece.values())))
            if have > missing:
                self._queue.appendleft({name: samples[missing:] for name, samples in piece.items()})
                piece = {name: samples[:missing] for name, samples in piece.items()}
            parts.append(piece)
            missing -= min(have, missing)
        self.waiting -= count
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
