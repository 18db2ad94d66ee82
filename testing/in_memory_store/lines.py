"""Lines of an in-memory store: which jobs the same workers can do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from stemline.jobs.job import Job
from stemline.jobs.serving import COMMON, Demand
from stemline.jobs.states import State
from stemline.jobs.worker import Worker, what_is_missing
from stemline.testing.in_memory_store.state import StoredData


class Lines(StoredData):
    """What a store holds, and in which lines its jobs stand."""

    def line_wants(self, job: Job) -> str:
        """Return what the line of a job is named after: what it wants, or empty for the common line."""
        return "" if job.spec.wants in COMMON and job.id not in self.apart else job.spec.wants

    def wanted(self, queue_id: str | None = None) -> Counter[str]:
        """Return what waiting jobs want that do not stand in the common line; of one queue, or of all."""
        waiting = (
            job
            for job in self.jobs.values()
            if job.state is State.SUBMITTED and queue_id in {None, job.spec.queue_id}
        )
        return Counter(wants for job in waiting if (wants := self.line_wants(job)))

    def lines(self, queue_id: str) -> list[str]:
        """Return what the lines of a queue are named after."""
        return ["", *sorted(self.wanted(queue_id))]

    def is_served(self, wants: str) -> bool:
        """Return whether a worker that lives can do jobs; of common ones it is assumed if none is known."""
        alive = self._living()
        if any(wants in (each.serves or ()) for each in alive):
            return True
        return wants in COMMON and (not alive or any(each.serves is None for each in alive))

    def missing_for(self, job: Job) -> str:
        """Return what keeps every worker that lives from a job; empty if one takes it."""
        return what_is_missing(self._living(), job.spec.level, job.spec.wants)

    def _living(self) -> list[Worker]:
        now = self.clock()
        return [each for each in self.workers.values() if each.is_alive(now) and each.kind == "separation"]

    def has_room_for(self, wants: str) -> bool:
        """Return whether one more job that wants a model, or a mode, may run."""
        most = self.options.model_limits.get(wants)
        return most is None or sum(self.jobs[each].spec.wants == wants for each in self.leases) < most

    def demands(self, limit: int) -> list[Demand]:
        """Return what waiting jobs want that do not stand in the common line, the most wanted first."""
        wanted = sorted(self.wanted().items(), key=lambda row: (row[1], row[0]), reverse=True)
        return [Demand(wants, jobs, self.is_served(wants)) for wants, jobs in wanted[:limit]]


def served_lines(serves: Collection[str]) -> list[str]:
    """Return what the lines are named after that a worker looks at."""
    return [*([""] if COMMON.intersection(serves) else []), *serves]
