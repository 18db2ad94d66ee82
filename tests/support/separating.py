"""A worker in a thread of the test: it claims jobs, and writes a short text for each stem."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from stemline.jobs.errors import LeaseLost
from stemline.jobs.job import Job, OutputFile, Result
from stemline.jobs.serving import COMMON, announced
from stemline.jobs.store import Store
from stemline.jobs.worker import Worker as WorkerReport
from tests.conftest import S3


@dataclass
class Worker:
    """What it does with the jobs that it claims.

    Attributes:
        fails: Sources whose jobs end as Failed, once each.
        holds: While set, a job that was claimed goes on running.
        sources: Of all jobs that were run, in their order.
    """

    store: Store
    s3: S3
    fails: set[str] = field(default_factory=set)
    holds: threading.Event = field(default_factory=threading.Event)
    sources: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Serve jobs until it is stopped."""
        while not self.stopped.is_set():
            self._report()
            job = self.store.attempts.claim("test@worker", (2, 1, 0))
            if job is None:
                time.sleep(0.02)
                continue
            try:
                self._separate(job)
            except LeaseLost:
                continue

    def _report(self) -> None:
        """Say that it lives, as a worker does from time to time."""
        serves = announced(COMMON)
        self.store.workers.report(
            WorkerReport("test@worker", "separation", 1, (2, 1, 0), "cpu", "1", 0, serves)
        )

    def _separate(self, job: Job) -> None:
        source = job.spec.input_object
        self.sources.append(source)
        beat = partial(self.store.attempts.heartbeat, job.id, job.token, 40, stage="separate")
        while beat() or self.holds.is_set():
            self._report()
            if beat():
                self.store.attempts.confirm_cancel(job)
                return
            if self.stopped.is_set():
                return
            time.sleep(0.02)
        if next((name for name in self.fails if name in source), ""):
            self.fails -= {name for name in self.fails if name in source}
            self.store.attempts.fail(job, "InvalidContent", "The source has no audio stream.")
            return
        files = []
        for track in job.spec.tracks():
            key = job.spec.key(track, job.id)
            content = f"{track} of {source}".encode()
            self.s3.client.put_object(Bucket=job.spec.output.bucket, Key=key, Body=content)
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            files.append(OutputFile(track, key, digest, len(content)))
        self.store.attempts.succeed(
            job, Result(tuple(files), {"Format": {"Duration": "1.0"}}, model="2stems")
        )


@contextmanager
def separating(store: Store, s3: S3) -> Iterator[Worker]:
    """Run a worker while the block runs."""
    worker = Worker(store, s3)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        worker.holds.clear()
        worker.stopped.set()
        thread.join(180)
