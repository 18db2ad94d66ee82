"""What is promised about batches, checked while a run goes on and at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from stemline.jobs.batch import Batch, BatchState, row_job_id
from stemline.jobs.job import Job
from stemline.jobs.states import ENDED, State
from stemline.jobs.store import Store
from tests.simulation.clients import BatchSeen, Seen, batch_end

_OVER = frozenset({BatchState.DONE, BatchState.CANCEL})


class BatchProperties:
    """The promises about the batches of one run."""

    def __init__(self, store: Store, seen: Seen) -> None:
        """Follow the batches that clients know."""
        self._store, self._seen = store, seen

    # -- on the way

    def claimed(self, job_id: str, batch: str) -> str:
        """Return what is wrong with the claim of a job."""
        known = self._seen.batches.get(batch)
        if known is not None and known.is_paused:
            return f"{job_id} was claimed while its batch was paused"
        if known is not None and known.is_cancelled:
            return f"{job_id} was claimed after the cancel of its batch was answered"
        return ""

    def succeeded(self, job: Job) -> str:
        """Return what is wrong with the success of a job."""
        known = self._seen.batches.get(job.spec.batch)
        return f"the cancel of its batch was answered: {job.id}" if known and known.is_cancelled else ""

    # -- at the end

    def are_over(self) -> bool:
        """Return whether all batches have ended; one that is lost has."""
        return not self.unfinished()

    def unfinished(self) -> list[str]:
        """Return the batches that have not ended."""
        found = [self._store.batches.find(name) for name in self._seen.batches]
        return [
            f"{batch.id} {batch.state}"
            for batch in found
            if batch is not None and (batch.state not in _OVER or batch.waiting or batch.running)
        ]

    def may_be_cancelled(self, job: Job) -> bool:
        """Return whether somebody asked for the cancel of a job's batch."""
        known = self._seen.batches.get(job.spec.batch)
        return known is not None and known.cancel_asked

    def may_fail(self, job: Job) -> bool:
        """Return whether a job is the row whose source was missing at first."""
        return bool(job.spec.batch) and job.code == "ResourceNotFound" and job.spec.user_data == "row-0"

    def faults(self, jobs: Sequence[Job]) -> list[str]:
        """Return the promises about batches that were broken, by the jobs of all of them."""
        faults = []
        for name, known in self._seen.batches.items():
            batch = self._store.batches.find(name)
            if batch is None:
                faults.append(f"a batch is lost: {name}")
            else:
                faults += self._faults_of(batch, known, [job for job in jobs if job.spec.batch == name])
        return faults

    def _faults_of(self, batch: Batch, known: BatchSeen, jobs: Sequence[Job]) -> list[str]:
        faults = []
        rows = [row_job_id(batch.id, number) for number in range(known.rows)]
        by_row = {row: [job for job in jobs if row in {job.id, job.spec.origin}] for row in rows}
        if batch.rows != known.rows:
            faults.append(f"{batch.id} has {batch.rows} rows instead of {known.rows}")
        if known.is_cancelled and batch.state is not BatchState.CANCEL:
            faults.append(f"{batch.id} is {batch.state}, but its cancel was answered")
        faults += [
            f"not a row of a batch: {job.id}" for job in jobs if not {job.id, job.spec.origin} & set(rows)
        ]
        last = []
        for row, found in by_row.items():
            if len(found) > 2:
                faults.append(f"a row was retried twice: {row}")
            if not found and batch.state is not BatchState.CANCEL:
                faults.append(f"a row is lost: {row}")
            last += sorted(found, key=lambda job: job.created)[-1:]
        states = Counter(job.state for job in last)
        states[State.CANCEL] += known.rows - len(last)  # rows that never became jobs
        wanted = [states[state] for state in (State.SUCCESS, State.FAILED, State.CANCEL)]
        if [batch.success, batch.failed, batch.cancelled] != wanted:
            faults.append(f"{batch} counts otherwise than its rows: {wanted}")
        if any(job.state not in ENDED for job in jobs):
            faults.append(f"{batch.id} is {batch.state}, but rows of it are not")
        if batch_end(batch.state, wanted) not in self._seen.callbacks[batch.id]:
            faults.append(f"its end was not announced: {batch.id} {batch.state} {wanted}")
        return faults
