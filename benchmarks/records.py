"""What many tenants and records cost: claim, list, prune and metrics on one Valkey.

The records are made by the store's own scripts, in pipelines: each tenant gets its jobs in one call. A part
of them is then ended and past its retention, as after a day of service.

    python -m benchmarks.records [--tenants 10000] [--records 1000000] [--ended 50000] [--name scale-records]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from benchmarks.report import Report
from stemline.deploy.local.servers import ValkeyServer
from stemline.jobs.ids import new_job_id
from stemline.jobs.store import JobFilter, RedisStore, StoreOptions, records
from stemline.jobs.store.scripts import source
from stemline.jobs.tenant import Tenant
from stemline.runtime.store_metrics import StoreCollector
from stemline.testing.samples import job_spec

PIPELINE_CALLS = 50
LEVELS = (2, 1, 0)


def tenant(index: int) -> Tenant:
    return Tenant(f"b{index}-1250000000", "ap-chongqing")


def fill(store: RedisStore, tenants: int, per_tenant: int) -> None:
    """Create the records, many calls in one round trip."""
    sha = store.client.script_load(source("create"))
    for start in range(0, tenants, PIPELINE_CALLS):
        with store.client.pipeline(transaction=False) as pipe:
            for index in range(start, min(start + PIPELINE_CALLS, tenants)):
                pipe.evalsha(sha, 0, *_create(index, per_tenant))
            pipe.execute()


def _create(index: int, count: int) -> Iterator[str | int]:
    """Return the arguments of the script ``create``: those of ``RedisJobs.create``."""
    spec = replace(job_spec(), tenant=tenant(index), queue_id="")
    text, digest = records.text(records.SPEC, spec), records.digest(spec.input_object)
    yield from ("stemline", 0, str(spec.tenant), 1, f"p{uuid4().hex}", count, 10, 10**6, "", "", 0)
    for number in range(count):
        yield from (new_job_id(), text, number % 3, digest, "")


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


def measure(report: Report, tenants: int, count: int, ended: int) -> None:
    """Fill a store and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        server = ValkeyServer(Path(folder))
        server.start()
        try:
            store = RedisStore.open(server.url, StoreOptions(queue_max_size=count))
            began, per_tenant = time.perf_counter(), count // tenants
            fill(store, tenants, per_tenant)
            filled_s = time.perf_counter() - began
            print(f"filled in {filled_s:.0f} s", flush=True)
            end(store, ended, per_tenant)
            memory = store.statistics.read(0).server.memory_bytes
            collector = StoreCollector(store.statistics, most_queues=100)
            timed(report, "claim", 500, lambda _: store.jobs.claim("w", LEVELS))
            timed(
                report,
                "list, a page of 50",
                500,
                lambda n: store.jobs.search(tenant(n * 7 % tenants), JobFilter(size=50)),
            )
            timed(report, "metrics", 20, lambda _: list(collector.read_now()))
            prune(report, server.url)
            store.close()
        finally:
            server.stop()
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
    measure(report, options.tenants, options.records, options.ended)
    report.write()


if __name__ == "__main__":
    main()
