"""Batches in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from stemline.jobs.batch import Batch, BatchState, Row
from stemline.jobs.callback import CallbackTarget
from stemline.jobs.errors import (
    BatchesFull,
    BudgetSpent,
    IllegalTransition,
    NoSuchBatch,
    RequestRefused,
    UploadSuperseded,
)
from stemline.jobs.job import JobSpec
from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import BatchRepository
from stemline.jobs.store.usage import budget_arguments
from stemline.jobs.store.values import Listing
from stemline.jobs.tenant import Tenant
from stemline.jobs.usage import NO_BUDGET, Budget

_UPLOAD_MS: Final = 3_600_000
"""How long an upload may take that is not accepted yet, ms."""


class RedisBatches(BatchRepository):
    """Batches in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(
        self, batch_id: str, name: str, spec: JobSpec, target: CallbackTarget | None, upload: str
    ) -> str | None:
        texts = (records.text(records.SPEC, spec), records.text(records.TARGET, target) if target else "")
        most = self._connection.options.batches_per_bucket
        answer = self._connection.run(
            "batch_rows", "begin", batch_id, upload, str(spec.tenant), name, *texts, _UPLOAD_MS, most
        )
        self._check_room(answer)
        return str(answer[1]) if answer[0] == "sealed" else None

    def append(self, batch_id: str, upload: str, first: int, rows: Sequence[Row]) -> None:
        texts = [records.text(records.ROW, row) for row in rows]
        options = self._connection.options
        most = options.batch_rows_per_bucket, options.batch_bytes_per_bucket
        answer = self._connection.run("batch_rows", "append", batch_id, upload, first, *most, *texts)
        self._check_room(answer)
        if answer[0] != "ok":
            raise UploadSuperseded

    def drop(self, batch_id: str, upload: str) -> None:
        self._connection.run("batch_rows", "drop", batch_id, upload)

    def seal(
        self,
        batch_id: str,
        upload: str,
        body_sha256: str,
        *,
        credential: str = "",
        budget: Budget = NO_BUDGET,
    ) -> None:
        answer = self._run("seal", batch_id, upload, body_sha256, credential, *budget_arguments(budget))
        if answer[0] == "spent":
            raise BudgetSpent
        if answer[0] != "ok":
            raise UploadSuperseded

    def get(self, tenant: Tenant, batch_id: str) -> Batch | None:
        found = self.find(batch_id)
        if found is None or found.tenant != tenant or found.state is BatchState.LOADING:
            return None
        return found

    def find(self, batch_id: str) -> Batch | None:
        (record,) = self._connection.hashes("batch", [batch_id])
        return records.batch(batch_id, record) if record else None

    def search(self, tenant: Tenant, *, page: int = 1, size: int = 10) -> Listing[Batch]:
        connection, first = self._connection, (page - 1) * size
        key, client = connection.key("batches", str(tenant)), connection.client
        ids = connection.read(client.zrevrange, key, first, first + size - 1)
        rows = zip(ids, connection.hashes("batch", ids), strict=True)
        found = [records.batch(name, record) for name, record in rows if record]
        return Listing(found, int(connection.read(client.zcard, key)))

    def pause(self, tenant: Tenant, batch_id: str) -> None:
        self._change("pause", tenant, batch_id)

    def resume(self, tenant: Tenant, batch_id: str) -> None:
        self._change("resume", tenant, batch_id)

    def cancel(self, tenant: Tenant, batch_id: str) -> None:
        self._change("cancel", tenant, batch_id)

    def with_pending_rows(self, limit: int = 20) -> list[str]:
        connection = self._connection
        found = connection.read(connection.client.zrange, connection.key("feeding"), 0, limit - 1)
        return [str(name) for name in found]

    def take(self, batch_id: str, *, most: int, max_waiting: int) -> tuple[int, list[Row]]:
        answer = self._run("take", batch_id, most, max_waiting)
        if answer[0] == "unknown":
            return 0, []
        return int(answer[1]), [records.ROW.validate_json(text) for text in answer[2]]

    def fed(self, batch_id: str, first: int, count: int) -> None:
        self._run("fed", batch_id, first, count)

    def _run(self, what: str, batch_id: str, *args: str | float) -> list[Any]:
        answer: list[Any] = self._connection.run("batch", what, batch_id, *args)
        return answer

    def _check_room(self, answer: list[Any]) -> None:
        """Raise what it means that the rows of a batch have no room.

        Raises:
            BatchesFull: Those of the tenant's other batches take it.
            RequestRefused: The batch alone has too many.
        """
        options = self._connection.options
        most = {
            "batches": options.batches_per_bucket,
            "rows": options.batch_rows_per_bucket,
            "bytes": options.batch_bytes_per_bucket,
        }
        if answer[0] == "full":
            what = "batches with rows" if answer[1] == "batches" else f"{answer[1]} of rows of batches"
            raise BatchesFull(
                f"The bucket has {most[answer[1]]} {what} that are not jobs yet, or would have more."
            )
        if answer[0] == "large":
            raise RequestRefused(f"The rows of a batch may have at most {most[answer[1]]} {answer[1]}.")

    def _change(self, what: str, tenant: Tenant, batch_id: str) -> None:
        answer = self._run(what, batch_id, str(tenant))
        if answer[0] == "unknown":
            raise NoSuchBatch
        if answer[0] == "refused":
            raise IllegalTransition(f"The batch {batch_id} is {answer[1]}.")
        self._connection.wake_up(answer[1])
