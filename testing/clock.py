"""A clock that tests move."""

from __future__ import annotations


class FixedClock:
    """A clock that stands still until it is moved; µs since the epoch."""

    def __init__(self, now: int = 1_790_000_000_000_000) -> None:
        """Start at a time, µs since the epoch."""
        self.now = now

    def __call__(self) -> int:
        """Return the time, µs since the epoch."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.now += round(seconds * 1_000_000)
