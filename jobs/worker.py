"""A worker process, as it reports itself to the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stemline.jobs.serving import COMMON
from stemline.jobs.text import shorten

REPORT_S: Final = 10.0
"""How often a worker reports itself, s."""
ALIVE_S: Final = 35.0
"""A worker that has not reported for this long, three reports, counts as gone, s."""
KEPT_S: Final = 86_400.0
"""How long a worker that is gone is remembered, s."""
MAX_WORKERS: Final = 500
"""Workers that are listed at most."""


def claimant(worker: str, thread: int) -> str:
    """Return what a job names as its worker: name, and native id of the thread that claimed it."""
    return f"{worker}/{thread}"


def worker_of(claimant: str) -> str:
    """Return the name under which a job's worker reports itself."""
    name, _, thread = claimant.rpartition("/")
    return name if name and thread.isdecimal() else claimant


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker says of itself."""

    name: str
    kind: str
    """``separation`` or ``callbacks``."""
    slots: int
    """How many jobs, or deliveries, it does at the same time."""
    levels: tuple[int, ...]
    """JobLevels that it serves; none of a callback worker."""
    device: str
    """Where its networks run; empty of a callback worker, and until one that chooses has loaded the first."""
    version: str
    """Of Stemline."""
    started: int
    """µs since the epoch."""
    serves: tuple[str, ...] | None = None
    """Models and modes that it can do; ``None`` of an earlier release, which does the common ones."""
    seen: int = 0
    """When the store received its latest report, µs since the epoch."""

    def can_do(self, wants: str) -> bool:
        """Return whether it does jobs that want this model or mode."""
        return wants in (COMMON if self.serves is None else self.serves)

    def __post_init__(self) -> None:
        """Cut the texts, which are those of its machine."""
        for name in ("name", "kind", "device", "version"):
            object.__setattr__(self, name, shorten(getattr(self, name)))
