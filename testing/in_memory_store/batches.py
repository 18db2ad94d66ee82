"""Batches in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stemline.jobs.batch import Batch, BatchState, Row
from stemline.jobs.callback import CallbackTarget
from stemline.jobs.errors import (
    BatchesFull,
    IllegalTransition,
    NoSuchBatch,
    RequestRefused,
    UploadSuperseded,
)
from stemline.jobs.job import JobSpec
from stemline.jobs.states import State
from stemline.jobs.store import BatchRepository, Listing, WakeUp, records
from stemline.jobs.store.snapshot import LEVELS
from stemline.jobs.store.values import page_of
from stemline.jobs.tenant import Tenant
from stemline.jobs.usage import DAY_US, NO_BUDGET, Budget
from stemline.testing.in_memory_store.contents import Contents


def _bytes_of(rows: Sequence[Row]) -> int:
    """Return the size of rows as a server holds them."""
    return sum(len(records.text(records.ROW, row).encode()) for row in rows)


class InMemoryBatches(BatchRepository):
    """Batches in memory; an unfinished upload is kept until the next one."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._looked: dict[str, int] = {}
        """When rows were last taken from each batch, µs since the epoch."""

    def begin(
        self, batch_id: str, name: str, spec: JobSpec, target: CallbackTarget | None, upload: str
    ) -> str | None:
        contents = self._contents
        with contents.lock:
            known = contents.batches.get(batch_id)
            if known is not None and known.state is not BatchState.LOADING:
                return known.body
            if len(self._held(spec.tenant, batch_id)) >= contents.options.batches_per_bucket:
                raise BatchesFull
            contents.batches[batch_id] = Batch(
                batch_id, spec.tenant, name, spec, BatchState.LOADING, contents.clock(), target=target
            )
            contents.batch_rows[batch_id] = []
            contents.uploads[batch_id] = upload
        return None

    def append(self, batch_id: str, upload: str, first: int, rows: Sequence[Row]) -> None:
        contents = self._contents
        with contents.lock:
            self._check_upload(batch_id, upload)
            count = len(contents.batch_rows[batch_id])
            if count == first:
                self._check_room(batch_id, rows)
                contents.batch_rows[batch_id] += rows
            elif count != first + len(rows):
                raise UploadSuperseded

    def drop(self, batch_id: str, upload: str) -> None:
        contents = self._contents
        with contents.lock:
            known = contents.batches.get(batch_id)
            is_loading = known is not None and known.state is BatchState.LOADING
            if is_loading and contents.uploads[batch_id] == upload:
                del contents.batches[batch_id], contents.batch_rows[batch_id], contents.uploads[batch_id]

    def seal(
        self,
        batch_id: str,
        upload: str,
        body_sha256: str,
        *,
        credential: str = "",
        budget: Budget = NO_BUDGET,
    ) -> None:
        contents = self._contents
        with contents.lock:
            known = contents.batches.get(batch_id)
            if known and known.body == body_sha256 and contents.uploads[batch_id] == upload:
                return  # repeated after a lost answer
            self._check_upload(batch_id, upload)
            rows = len(contents.batch_rows[batch_id])
            contents.check_budget(credential, budget, rows)
            today = contents.clock() // DAY_US
            contents.usage[contents.batches[batch_id].tenant, credential, today]["jobs"] += rows
            contents.counted_rows[batch_id] = credential, today
            contents.batches[batch_id] = replace(
                contents.batches[batch_id], state=BatchState.ACTIVE, body=body_sha256, rows=rows
            )
            contents.publish_event(contents.batches[batch_id].tenant, "batch", batch_id, BatchState.ACTIVE)

    def get(self, tenant: Tenant, batch_id: str) -> Batch | None:
        found = self.find(batch_id)
        known = found is not None and found.tenant == tenant and found.state is not BatchState.LOADING
        return found if known else None

    def find(self, batch_id: str) -> Batch | None:
        with self._contents.lock:
            found = self._contents.batches.get(batch_id)
            return None if found is None else self._contents.counted(found)

    def search(self, tenant: Tenant, *, page: int = 1, size: int = 10) -> Listing[Batch]:
        with self._contents.lock:
            found = [batch for name in self._contents.batches if (batch := self.get(tenant, name))]
        found.sort(key=lambda batch: (batch.created, batch.id), reverse=True)
        return Listing(page_of(found, page, size), len(found))

    def pause(self, tenant: Tenant, batch_id: str) -> None:
        self._change(tenant, batch_id, BatchState.PAUSED, {BatchState.ACTIVE})

    def resume(self, tenant: Tenant, batch_id: str) -> None:
        self._change(tenant, batch_id, BatchState.ACTIVE, {BatchState.PAUSED})

    def cancel(self, tenant: Tenant, batch_id: str) -> None:
        contents = self._contents
        with contents.lock:
            self._change(tenant, batch_id, BatchState.CANCEL, {BatchState.ACTIVE, BatchState.PAUSED})
            batch = contents.batches[batch_id]
            made = max(batch.fed, sum(not job.spec.origin for job in contents.jobs_of(batch_id)))
            if made < batch.rows:
                contents.usage[tenant, *contents.counted_rows[batch_id]]["jobs"] -= batch.rows - made
            contents.batches[batch_id] = replace(batch, fed=made)
            contents.batch_rows[batch_id] = []
            contents.end_batch(batch_id)

    def with_pending_rows(self, limit: int = 20) -> list[str]:
        with self._contents.lock:
            found = [
                batch
                for batch in self._contents.batches.values()
                if batch.state is not BatchState.LOADING and self._contents.batch_rows[batch.id]
            ]
        looked = self._looked
        return [each.id for each in sorted(found, key=lambda b: looked.get(b.id, b.created))[:limit]]

    def take(self, batch_id: str, *, most: int, max_waiting: int) -> tuple[int, list[Row]]:
        contents = self._contents
        with contents.lock:
            batch = contents.batches.get(batch_id)
            if batch is None:
                return 0, []
            self._looked[batch_id] = contents.clock()  # the others are looked at before it is again
            waiting = sum(job.state is State.SUBMITTED for job in contents.jobs_of(batch_id))
            may = min(most, max_waiting - waiting) if batch.state is BatchState.ACTIVE else 0
            return batch.fed, contents.batch_rows[batch_id][: max(0, may)]

    def fed(self, batch_id: str, first: int, count: int) -> None:
        contents = self._contents
        with contents.lock:
            batch = contents.batches[batch_id]
            if batch.fed == first and batch.state is not BatchState.CANCEL:
                contents.batches[batch_id] = replace(batch, fed=first + count)
                del contents.batch_rows[batch_id][:count]
                contents.end_batch(batch_id)

    def _held(self, tenant: Tenant, without: str) -> list[str]:
        """Return the batches of a tenant that have rows which are not jobs yet, without one of them."""
        return [
            batch.id
            for batch in self._contents.batches.values()
            if batch.tenant == tenant
            and batch.id != without
            and (batch.state is BatchState.LOADING or self._contents.batch_rows[batch.id])
        ]

    def _check_room(self, batch_id: str, new: Sequence[Row]) -> None:
        """Check that a tenant may hold some more rows.

        Raises:
            BatchesFull: Its batches would hold too many rows or bytes.
            RequestRefused: The batch alone would.
        """
        contents = self._contents
        options, known = contents.options, contents.batch_rows
        own = [*known[batch_id], *new]
        others = [
            row for each in self._held(contents.batches[batch_id].tenant, batch_id) for row in known[each]
        ]
        for most, size in ((options.batch_rows_per_bucket, len), (options.batch_bytes_per_bucket, _bytes_of)):
            if size(own) > most:
                raise RequestRefused
            if size(own) + size(others) > most:
                raise BatchesFull

    def _check_upload(self, batch_id: str, upload: str) -> None:
        batch = self._contents.batches.get(batch_id)
        if (
            batch is None
            or batch.state is not BatchState.LOADING
            or self._contents.uploads[batch_id] != upload
        ):
            raise UploadSuperseded

    def _change(self, tenant: Tenant, batch_id: str, to: BatchState, before: set[BatchState]) -> None:
        contents = self._contents
        found: list[WakeUp] = []
        with contents.lock:
            batch = self.find(batch_id)
            if batch is None or batch.tenant != tenant:
                raise NoSuchBatch
            if batch.state is to:
                return
            if batch.state not in before:
                raise IllegalTransition(f"The batch {batch_id} is {batch.state}.")
            contents.batches[batch_id] = replace(contents.batches[batch_id], state=to)
            contents.publish_event(tenant, "batch", batch_id, to)
            for queue_id in {job.spec.queue_id for job in contents.jobs_of(batch_id)}:
                contents.refresh(queue_id)
                for level in sorted(LEVELS, reverse=True):
                    found += contents.wake_ups(queue_id, level, 100)
        if found:
            contents.notify(found)
