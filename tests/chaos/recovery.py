"""``make recovery``: how long recoveries take with the default settings, and the store with many jobs."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Report
from stemline.jobs.job import JobSpec, Output, OutputFile, Result
from stemline.jobs.separation import AudioMode, Track, VoiceSeparate
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import JobFilter, QueueFilter, Store
from stemline.jobs.tenant import Tenant
from stemline.runtime.store import open_store
from stemline.testing.s3_proxy import Fault
from tests.chaos import scenarios
from tests.chaos.clients import Client, Receiver
from tests.chaos.ledger import Ledger
from tests.chaos.service import Service
from tests.chaos.trials import TENANT

MANY = Tenant("many-1250000000", "ap-chongqing")
DONE = Result(files=(OutputFile(Track.VOICE, "v.wav", "0" * 32, 1),), media_info={"Format": {}})


def _fill(store: Store, count: int) -> None:
    output = Output(MANY.region, MANY.bucket, au_object="out/${jobid}")
    spec = JobSpec(MANY, "in/a", VoiceSeparate(AudioMode.IS_AUDIO), output)
    for _ in range(count // 500):
        store.jobs.create([spec] * 500)


def _timed(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def pause_ten_thousand(store: Store) -> float:
    """Pause and resume of 10,000 waiting jobs, both together, s."""
    store.tenants.open(MANY)
    (queue,) = store.queues.search(MANY, QueueFilter()).items
    store.queues.update(MANY, queue.id, state=QueueState.PAUSED, max_size=1_000_000)
    _fill(store, 10_000)
    active = _timed(lambda: store.queues.update(MANY, queue.id, state=QueueState.ACTIVE))
    return active + _timed(lambda: store.queues.update(MANY, queue.id, state=QueueState.PAUSED))


def list_hundred_thousand(store: Store) -> tuple[float, float, int]:
    """Page through 100,000 jobs while others arrive: median and worst time of a page, s, and jobs seen."""
    _fill(store, 90_000)
    over = threading.Event()

    def arrive() -> None:
        while not over.wait(0.02):
            _fill(store, 500)

    writer = threading.Thread(target=arrive)
    writer.start()
    times: list[float] = []
    seen: list[str] = []
    cursor: str | None = None
    while True:
        began = time.monotonic()
        page = store.jobs.search(MANY, JobFilter(size=100, cursor=cursor))
        times.append(time.monotonic() - began)
        seen += [job.id for job in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    over.set()
    writer.join()
    assert len(seen) == len(set(seen))
    return sorted(times)[len(times) // 2], max(times), len(seen)


def main() -> int:
    """Measure and print."""
    title = "Recovery with a stand-in for the separator: lease 20 s, heartbeat 2 s, sweep every 5 s"
    report = Report("recovery", title, ["tests/chaos/recovery.py"])
    rows: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="stemline-recovery-") as name:
        service = Service(Path(name), faulty_s3=True, preload_models=[], worker_grace_s=5)
        ledger = Ledger()
        receiver = Receiver(ledger)
        try:
            service.start()
            store = open_store(service.settings)
            client = Client(service, ledger, receiver.url, seed=1)
            assert scenarios.ended(store, scenarios.accepted(client, 0)).state is State.SUCCESS
            (queue,) = store.queues.search(TENANT, QueueFilter()).items
            measured: list[tuple[str, Callable[[], float]]] = [
                (
                    "kill -9 of a worker, claim to claim",
                    lambda: scenarios.killed_worker(service, client, store),
                ),
                (
                    "worker stopped past its lease, until the job is done by another",
                    lambda: scenarios.stopped_worker(service, client, store, 0.2),
                ),
                (
                    "cancel of a waiting job",
                    lambda: scenarios.cancel_waiting(service, client, store, queue.id),
                ),
                ("cancel of a running job", lambda: scenarios.cancel_running(service, client, store)),
                (
                    "Valkey killed for 10 s: from its start to the end of a new job",
                    lambda: scenarios.valkey_unavailable(service, client, store, 10, hung=False),
                ),
                (
                    "Valkey hung for 10 s: from its continuation to the end of a new job",
                    lambda: scenarios.valkey_unavailable(service, client, store, 10, hung=True),
                ),
                (
                    "every connection to Valkey cut: to the end of a new job",
                    lambda: scenarios.connections_cut(service, client, store),
                ),
                (
                    "S3 down for 10 s: from its return until all jobs have ended",
                    lambda: scenarios.s3_unavailable(service, client, store, Fault(drop=True), 10),
                ),
                (
                    "S3 answering 500 for 10 s: likewise",
                    lambda: scenarios.s3_unavailable(service, client, store, Fault(status=500), 10),
                ),
                ("pause and resume of 10,000 waiting jobs", lambda: pause_ten_thousand(store)),
            ]
            for what, measure in measured:
                took = measure()
                report.add(f"step_{len(rows)}", [took], unit="s", label=what)
                rows.append((what, f"{took:.2f} s"))
            middle, worst, seen = list_hundred_thousand(store)
            what = f"a page of 100 of {seen:,} jobs while more arrive"
            report.add("page_ms", [middle * 1000], unit="ms", label=f"{what}: median")
            report.add("page_worst_ms", [worst * 1000], unit="ms", label=f"{what}: worst")
            rows.append((what, f"median {middle * 1000:.0f} ms, worst {worst * 1000:.0f} ms"))
            store.close()
        finally:
            service.stop()
            receiver.close()
    report.table("took", ("What", "Took"), rows)
    report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
