"""What many tenants and records cost: claim, list, prune and metrics on one Valkey.

The records are made by the store itself, those of a tenant in one call. A part of them is then ended and
past its retention, as after a day of service.

    python -m benchmarks.records [--tenants 10000] [--records 1000000] [--ended 50000] [--name scale-records]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.report import Report
from stemline.deploy.local.servers import ValkeyServer
from stemline.jobs.store import JobFilter, RedisStore, StoreOptions
from stemline.jobs.tenant import Tenant
from stemline.runtime.store_metrics import StoreCollector
from stemline.testing.samples import job_spec

LEVELS = (2, 1, 0)


def tenant(index: int) -> Tenant:
    return Tenant(f"b{index}-1250000000", "ap-chongqing")


def fill(store: RedisStore, tenants: int, per_tenant: int) -> None:
    """Create the records, those of a tenant in one call, in all levels."""
    specs = [replace(job_spec(), level=level) for level in LEVELS]
    for index in range(tenants):
        of_tenant = [replace(spec, tenant=tenant(index), queue_id="") for spec in specs]
        store.jobs.create_many([of_tenant[number % len(LEVELS)] for number in range(per_tenant)])


def end(store: RedisStore, count: int, per_tenant: int) -> None:
    """Cancel jobs of the first tenants, which ends them."""
    for index in range(count // per_tenant):
        page = store.jobs.search(tenant(index), JobFilter(size=per_tenant))
        store.jobs.cancel(tenant(index), [job.id for job in page.items])


def timed(report: Report, name: str, times: int, call: Callable[[int], object]) -> None:
    """Measure calls one after the other."""
    taken = []
    for number in range(times):
        began = time.perf_counter()
        call(number)
        taken.append((time.perf_counter() - began) * 1000)
    report.add(name.partition(",")[0], taken, unit="ms", label=name)


def prune(report: Report, url: str) -> None:
    """Delete all that is past its retention, in the sweep's batches."""
    store = RedisStore.open(url, StoreOptions(retention_days=1e-9))
    time.sleep(0.1)
    began, deleted, longest = time.perf_counter(), 0, 0.0
    while True:
        before = time.perf_counter()
        found = store.jobs.prune(200)
        longest = max(longest, time.perf_counter() - before)
        deleted += found
        if found < 200:
            break
    seconds = time.perf_counter() - began
    store.close()
    report.add("prune", [deleted / seconds], unit="records/s", label=f"prune {deleted:,} in batches of 200")
    report.add("prune_batch", [longest * 1000], unit="ms", label="the longest of these batches")


def measure(report: Report, url: str, tenants: int, count: int, ended: int) -> None:
    """Fill the empty store of a server and measure it."""
    store = RedisStore.open(url, StoreOptions(queue_max_size=count, buckets_per_region=tenants))
    began, per_tenant = time.perf_counter(), count // tenants
    fill(store, tenants, per_tenant)
    filled_s = time.perf_counter() - began
    print(f"filled in {filled_s:.0f} s", flush=True)
    end(store, ended, per_tenant)
    memory = store.statistics.read(0).server.memory_bytes
    collector = StoreCollector(store.statistics, max_queues=100)
    timed(report, "claim", 500, lambda _: store.attempts.claim("w", LEVELS))
    listed = "list, a page of 50"
    timed(report, listed, 500, lambda n: store.jobs.search(tenant(n * 7 % tenants), JobFilter(size=50)))
    timed(report, "metrics", 20, lambda _: list(collector.read_now()))
    prune(report, url)
    store.close()
    report.add("memory", [memory / 2**30], unit="GiB", label="memory of the store")
    report.notes.append(f"Created in {filled_s:.0f} s. Times as seen by a client.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--ended", type=int, default=50_000, help="records that are past their retention")
    parser.add_argument("--name", default="scale-records", help="of the files in benchmarks/results")
    options = parser.parse_args()
    title = f"{options.tenants:,} tenants, {options.records:,} records, one Valkey"
    report = Report(options.name, title, ["benchmarks/records.py"])
    with tempfile.TemporaryDirectory() as folder:
        server = ValkeyServer(Path(folder))
        server.start()
        try:
            measure(report, server.url, options.tenants, options.records, options.ended)
        finally:
            server.stop()
    report.write()


if __name__ == "__main__":
    main()
