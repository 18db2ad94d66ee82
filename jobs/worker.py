"""A worker process, as it reports itself to the store."""

from __future__ import annotations

from collections.abc import Sequence
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


def what_is_missing(living: Sequence[Worker], level: int, wants: str) -> str:
    """Return what keeps all workers that live from a job, as `wait_reason` reads it; empty if one takes it.

    Args:
        living: Workers that separate.
        level: JobLevel of the job.
        wants: What the job wants of its worker.
    """
    able = [worker for worker in living if worker.can_do(wants)]
    if any(level in worker.levels for worker in able):
        return ""
    return "level" if able else "model" if living else "worker"


def worker_of(claimant: str) -> str:
    """Return the name under which a job's worker reports itself."""
    name, _, thread = claimant.rpartition("/")
    return name if name and thread.isdecimal() else claimant


def _host(name: str) -> str:
    return name.rpartition("@")[2]


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

    def is_alive(self, now: int) -> bool:
        """Return whether it has reported itself lately.

        Args:
            now: By the store's clock, µs since the epoch.
        """
        return now - self.seen < ALIVE_S * 1e6

    def is_replaced_by(self, other: Worker) -> bool:
        """Return whether another one of its kind was started on its host after its latest report."""
        is_like = (self.kind, _host(self.name)) == (other.kind, _host(other.name))
        return is_like and other.started > self.seen

    def can_do(self, wants: str) -> bool:
        """Return whether it does jobs that want this model or mode."""
        return wants in (COMMON if self.serves is None else self.serves)

    def __post_init__(self) -> None:
        """Cut the texts, which are those of its machine."""
        for name in ("name", "kind", "device", "version"):
            object.__setattr__(self, name, shorten(getattr(self, name)))
