"""Workers that report themselves, in memory."""

from __future__ import annotations

from dataclasses import replace

from stemline.jobs.store import WorkerRepository
from stemline.jobs.worker import KEPT_S, MAX_WORKERS, Worker
from stemline.testing.in_memory_store.contents import Contents


class InMemoryWorkers(WorkerRepository):
    """Workers that report themselves, in memory."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def report(self, worker: Worker) -> None:
        contents = self._contents
        with contents.lock:
            now = contents.clock()
            contents.workers[worker.name] = replace(worker, seen=now)
            for name, known in list(contents.workers.items()):
                if known.seen <= now - KEPT_S * 1e6:
                    del contents.workers[name]

    def leave(self, name: str) -> None:
        with self._contents.lock:
            self._contents.workers.pop(name, None)

    def latest(self) -> list[Worker]:
        with self._contents.lock:
            found = sorted(self._contents.workers.values(), key=lambda worker: worker.seen, reverse=True)
        return found[:MAX_WORKERS]
