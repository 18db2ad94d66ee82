"""Protocol of a repository of workers."""

from __future__ import annotations

from typing import Protocol

from stemline.jobs.worker import Worker


class WorkerRepository(Protocol):
    """Workers that report themselves. Nothing depends on it but what people are shown."""

    def report(self, worker: Worker) -> None:
        """Remember that a worker lives."""
        ...

    def leave(self, name: str) -> None:
        """Forget a worker that has ended."""
        ...

    def latest(self) -> list[Worker]:
        """Return the workers that were seen last, up to ``MAX_WORKERS``, with the time of their report."""
        ...
