"""Workers that report themselves, in Redis."""

from __future__ import annotations

from dataclasses import replace

from stemline.jobs.store import records
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.protocols import WorkerRepository
from stemline.jobs.worker import KEPT_S, MAX_WORKERS, Worker


class RedisWorkers(WorkerRepository):
    """Workers that report themselves, in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def report(self, worker: Worker) -> None:
        self._run(worker.name, records.text(records.WORKER, worker), *(worker.serves or ()))

    def leave(self, name: str) -> None:
        self._run(name, "")

    def latest(self) -> list[Worker]:
        rows = self._connection.run("workers", MAX_WORKERS)
        return [replace(records.WORKER.validate_json(report), seen=int(seen)) for _, seen, report in rows]

    def _run(self, name: str, report: str, *serves: str) -> None:
        self._connection.run("report_worker", name, report, round(KEPT_S * 1e6), *serves)
