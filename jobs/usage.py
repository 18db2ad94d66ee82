"""What the jobs of a credential took on one day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

DAY_US: Final = 86_400_000_000
MAX_DAYS: Final = 366
WARNED_SHARE: Final = 0.9
"""Share of a budget above which users are warned."""
NEARLY_SPENT: Final = "NearlySpent"
"""State of a budget in its event."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums over the jobs that a credential submitted or that ended on one day, by UTC."""

    day: int
    """Days since the epoch."""
    credential: str
    """SecretId of the submitter."""
    jobs: int = 0
    """Submitted."""
    succeeded: int = 0
    failed: int = 0
    audio_ms: int = 0
    """Duration of the sources of successful jobs."""
    work_ms: Mapping[str, int] = field(default_factory=dict)
    """Device to how long the last attempts took that ended on it."""
    bytes_in: int = 0
    """Sources of successful jobs."""
    bytes_out: int = 0
    """Their stems."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a credential may take on one day, over all buckets; ``None`` is no limit."""

    jobs: int | None = None
    audio_s: float | None = None

    def share(self, spent: Usage) -> float:
        """Return how much of the budget is spent, 1 being all; of two limits the one that is nearer."""
        shares = [0.0]
        if self.jobs is not None:
            shares.append(spent.jobs / self.jobs if self.jobs else 1.0)
        if self.audio_s is not None:
            shares.append(spent.audio_ms / 1000 / self.audio_s if self.audio_s else 1.0)
        return max(shares)


NO_BUDGET: Final = Budget()
