"""The share of a queue that the jobs of one credential take."""

from __future__ import annotations

from dataclasses import dataclass

from stemline.jobs.queue import USUAL_WEIGHT


@dataclass(frozen=True, slots=True)
class Share:
    """The weight of a credential, whose jobs take turns with those of others in each queue and level."""

    credential: str
    weight: int = USUAL_WEIGHT
    """As its latest submission said."""
    temporary: int | None = None
    """Weight that holds instead for a time."""
    until: int | None = None
    """When that ends, µs since the epoch."""

    def at(self, now: int) -> int:
        """Return the weight at a time, µs since the epoch."""
        if self.temporary is not None and self.until is not None and self.until > now:
            return self.temporary
        return self.weight


def step(weight: int) -> int:
    """Return how far one job moves the turn of a share; a million for the usual weight."""
    return int(1e6 * USUAL_WEIGHT / weight + 0.5)
