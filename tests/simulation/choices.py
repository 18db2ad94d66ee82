"""The choices of a run: drawn from a seed, or given, so that a run can be repeated and made shorter."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

_FAVOURED: Final = 0.4
"""How often :meth:`Choices.rare` is not 0 at a favourite call."""


class Choices:
    """A sequence of numbers. 0 is always the most harmless: no fault, the task that waits for longest."""

    def __init__(self, seed: int = 0, given: Sequence[int] | None = None) -> None:
        """Draw from a seed, or take the given numbers and 0 after them."""
        self._random = random.Random(seed)
        self._given = given
        self.taken: list[int] = []
        self.rate = 0.0
        """How often :meth:`rare` is not 0."""
        self.favourites = frozenset[str]()
        """Calls at which something goes wrong more often."""
        self.has_harmed = False
        """Whether anything has gone wrong yet."""
        self.is_calm = False
        """Whether everything is harmless from now on."""

    def pick(self, count: int) -> int:
        """Return a number below a count."""
        return self._take(count, lambda: self._random.randrange(count))

    def rare(self, count: int, call: str = "") -> int:
        """Return 0 most of the time, else a number below a count; less rarely at a favourite call."""
        draw, rate = self._random, _FAVOURED if call in self.favourites else self.rate
        value = self._take(count, lambda: draw.randrange(1, count) if draw.random() < rate else 0)
        self.has_harmed |= value > 0
        return value

    def _take(self, count: int, draw: Callable[[], int]) -> int:
        if count <= 1 or self.is_calm:
            return 0
        if self._given is None:
            value = draw()
        else:
            place = len(self.taken)
            value = min(self._given[place], count - 1) if place < len(self._given) else 0
        self.taken.append(value)
        return value


def shrink(choices: Sequence[int], fails: Callable[[Sequence[int]], bool], *, tries: int = 400) -> list[int]:
    """Return choices that still fail and of which fewer are not 0.

    Args:
        choices: They fail.
        fails: Says whether other choices fail.
        tries: How often it is asked at most.
    """
    best = list(choices)
    size = max(1, len(best) // 2)
    while size and tries:
        start = 0
        while start < len(best) and tries:
            block = best[start : start + size]
            if any(block):
                tries -= 1
                other = [*best[:start], *([0] * len(block)), *best[start + size :]]
                if fails(other):
                    best = other
            start += size
        size //= 2
    while best and best[-1] == 0:
        best.pop()
    return best
