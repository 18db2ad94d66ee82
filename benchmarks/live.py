"""What is beyond the vendor's API, in figures: starts, events, bulk requests, batches, memory of a job.

Starts a Valkey with AOF, one API process and separation workers of its own. This process plays the clients
and, except for the starts, the workers.

    python -m benchmarks.live [--listeners 1000] [--changes 300] [--jobs 10000] [--rows 100000] [--only bulk]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.refusal import refusing_bucket
from benchmarks.report import Report
from benchmarks.submit import BUCKET, SECRET_ID, SECRET_KEY, in_ms, processor_seconds, start_api
from stemline.api.notifier import BackgroundNotifier
from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import ValkeyServer
from stemline.jobs.job import JobSpec, Output
from stemline.jobs.separation import AudioMode, VoiceSeparate
from stemline.jobs.store import JobRepository, RedisStore, StoreOptions
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.runtime.store import open_store
from stemline.testing.client import Client
from stemline.workers.app import create_app
from stemline.workers.feeder import Feeder
from stemline.workers.notifier import CeleryNotifier

LONGEST_S = 120
"""Longest wait for jobs that end at once."""
MAX_ENDED = 3000
"""Jobs of the batch that are made and ended."""
TENANT = Tenant(BUCKET, "ap-chongqing")
OUTPUT = {"Region": TENANT.region, "Bucket": BUCKET, "AuObject": "out/${jobid}.wav"}


def spec(number: int) -> JobSpec:
    output = Output(TENANT.region, TENANT.bucket, au_object="out/${jobid}.wav")
    return JobSpec(TENANT, f"in/{number}.mp3", VoiceSeparate(AudioMode.IS_AUDIO), output)


@dataclass
class Bench:
    """What the parts share."""

    report: Report
    store: RedisStore
    api: int
    """Process id."""

    @contextmanager
    def measured(self, key: str, label: str, jobs: int = 1) -> Iterator[None]:
        """Add what a block takes: elapsed, and of the processors in the API and the store's server."""
        began, before = time.perf_counter(), processor(self.store, self.api)
        yield
        elapsed = time.perf_counter() - began
        used = sum(processor(self.store, self.api)) - sum(before)
        if jobs > 1:
            label = f"{label}, {jobs:,} jobs"
        self.report.add(f"{key}.s", [elapsed], unit="s", label=label)
        self.report.add(f"{key}.cpu_s", [used], unit="s", label=f"{label}: processor of API and store")


async def listen(port: int, request: bytes, ready: asyncio.Semaphore, seen: dict[str, list[float]]) -> None:
    """Note when each change of progress arrives."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(request)
    await reader.readuntil(b"event: open")
    ready.release()
    while line := await reader.readline():
        if line.startswith(b'data: {"JobId"') and b'"Running"' in line:
            now = time.perf_counter()
            seen.setdefault(json.loads(line[6:])["Progress"], []).append(now)


async def events(bench: Bench, port: int, listeners: int, changes: int) -> None:
    """Measure from a change in the store to its arrival at every listener."""
    client = Client(port, f"{BUCKET}.ci.{TENANT.region}.myqcloud.com", SECRET_ID, SECRET_KEY)
    request, ready, store = client.raw("GET", "/events"), asyncio.Semaphore(0), bench.store
    seen: dict[str, list[float]] = {}
    tasks = []
    for _ in range(listeners):
        tasks.append(asyncio.create_task(listen(port, request, ready, seen)))
        await ready.acquire()
    store.jobs.create([spec(0)])
    job = store.attempts.claim("w", [0])
    assert job is not None
    sent: dict[str, float] = {}
    for number in range(1, changes + 1):
        sent[str(number)] = time.perf_counter()
        await asyncio.to_thread(store.attempts.heartbeat, job.id, job.token, number)
        await asyncio.sleep(0.2)
    await asyncio.sleep(2)
    for task in tasks:
        task.cancel()
    times = [at - sent[number] for number, arrivals in seen.items() for at in arrivals if number in sent]
    label = f"from a change to {listeners:,} listeners"
    bench.report.add("events_ms", in_ms(times), unit="ms", label=label)
    bench.report.notes.append(f"Events: {len(times):,} of {listeners * changes:,} arrived.")


def starts(bench: Bench, settings: Settings, folder: Path, workers: int, rates: Sequence[int]) -> None:
    """Measure from acceptance to start, with jobs that end at once because their bucket refuses."""
    command = [sys.executable, "-m", "stemline", "worker", "separate"]
    with (folder / "workers.log").open("wb") as log, ExitStack() as stack:
        bucket = stack.enter_context(refusing_bucket())
        environment = os.environ | bucket | {"STEMLINE_REDIS_URL": settings.store.url.get_secret_value()}
        for number in range(workers):
            named = [*command, "--name", f"w{number}"]
            process = subprocess.Popen(named, env=environment, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        notifier = BackgroundNotifier(CeleryNotifier(create_app(settings)).notify_workers)
        stack.callback(notifier.close)
        jobs = open_store(settings, notify=notifier).jobs
        _started(jobs, [jobs.create([spec(0)])[0].id for _ in range(10 * workers)])  # warm up
        for rate in rates:
            began, ids = time.perf_counter(), []
            for number in range(min(3 * rate, 600)):
                time.sleep(max(0.0, began + number / rate - time.perf_counter()))
                ids.append(jobs.create([spec(number)])[0].id)
            label = f"accepted to Running at {rate} a second, {workers} workers"
            bench.report.add(f"starts.{rate}_ms", _started(jobs, ids), unit="ms", label=label)


def _started(jobs: JobRepository, ids: Sequence[str]) -> list[float]:
    """Wait until all jobs have ended, and return how long each waited, ms."""
    waits = []
    end = time.monotonic() + LONGEST_S
    for job_id in ids:
        while (job := jobs.find(job_id)) is None or job.started is None or not job.ended:
            if time.monotonic() > end:
                raise SystemExit(f"Job {job_id} has not ended after {LONGEST_S} s.")
            time.sleep(0.01)
        waits.append((job.started - job.created) / 1000)
    return waits


def processor(store: RedisStore, pid: int) -> tuple[float, float]:
    """Processor seconds of the API and of the store's server so far."""
    used: dict[str, float] = store.client.info("cpu")
    return processor_seconds(pid), used["used_cpu_user"] + used["used_cpu_sys"]


def bulk(bench: Bench, client: Client, jobs: int) -> None:
    """Cancel and retry many jobs with one request each."""
    create(bench.store, jobs)
    for path in ("cancel?dryRun=true", "cancel", "retry?dryRun=true", "retry"):
        name = path.replace("?dryRun=true", "_dry")
        with bench.measured(f"bulk.{name}", f"POST /bulk/jobs/{path}", jobs):
            answer = client.request(
                "POST", f"/bulk/jobs/{path}", headers={"Accept": "application/json"}, timeout_s=60
            )
        assert int(json.loads(answer.body)["MatchedCount"]) == jobs, answer.body
    client.request("POST", "/bulk/jobs/cancel", timeout_s=60)


def batch(bench: Bench, client: Client, rows: int) -> None:
    """Submit a batch, then make jobs of its rows and end them, as workers do."""
    store, operation = bench.store, {"VoiceSeparate": {"AudioMode": "IsAudio"}, "Output": OUTPUT}
    first = json.dumps({"Tag": "VoiceSeparate", "Operation": operation})
    lines = (json.dumps({"Object": f"in/{number}.mp3", "UserData": str(number)}) for number in range(rows))
    body = "\n".join([first, *lines]).encode()
    before = memory(bench.api)
    headers = {"Content-Type": "application/x-ndjson", "Accept": "application/json"}
    with bench.measured("batch", f"POST /batches with {rows:,} rows"):
        answer = client.request("POST", "/batches", body, headers, timeout_s=60)
    grown = memory(bench.api) - before
    bench.report.add("batch.memory_mb", [grown], unit="MB", label="peak memory of the API, more than before")
    name = json.loads(answer.body)["Batch"]["BatchId"]
    feeder = Feeder(store)
    began, done = time.perf_counter(), 0
    while (found := store.batches.find(name)) is not None and found.ended is None and done < MAX_ENDED:
        feeder.feed()
        while (job := store.attempts.claim("w", [0])) is not None:
            store.attempts.fail(job, "InternalError", "")
            done += 1
    rate = done / (time.perf_counter() - began)
    label = "rows made into jobs, claimed and ended by one process"
    bench.report.add("batch.rows_per_s", [rate], unit="rows/s", label=label)


def memory(pid: int) -> float:
    """Peak memory of a process, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def create(store: RedisStore, jobs: int) -> None:
    """Store waiting jobs."""
    for start in range(0, jobs, 500):
        store.jobs.create_many([spec(number) for number in range(start, min(start + 500, jobs))])


def per_job(bench: Bench, jobs: int) -> None:
    """Add what a waiting job takes of the store."""
    before = bench.store.statistics.read().server.memory_bytes
    create(bench.store, jobs)
    used = (bench.store.statistics.read().server.memory_bytes - before) / jobs / 1000
    bench.report.add("memory.waiting_kb", [used], unit="kB", label="memory of the store for a waiting job")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--listeners", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=["memory", "starts", "events", "bulk", "batch"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rates", type=int, nargs="+", default=[10, 100, 500])
    parser.add_argument("--name", default="live", help="of the files in benchmarks/results")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.environ |= {
        "STEMLINE_MAX_CONNECTIONS_PER_CLIENT": "0",
        "STEMLINE_LISTENERS_PER_CREDENTIAL": "10000",
        "STEMLINE_BODY_TIMEOUT_S": "60",
    }
    with tempfile.TemporaryDirectory() as folder:
        valkey = ValkeyServer(Path(folder))
        valkey.start()
        port = free_port()
        api: subprocess.Popen[bytes] = start_api(port, valkey.url, Path(folder) / "api.log", "process")
        del os.environ["STEMLINE_MAX_CONNECTIONS_PER_CLIENT"]
        store = RedisStore.open(
            valkey.url, StoreOptions(queue_max_size=10_000_000, queue_max_concurrent=1000)
        )
        client = Client(port, f"{BUCKET}.ci.{TENANT.region}.myqcloud.com", SECRET_ID, SECRET_KEY)
        report = Report(options.name, "Events, bulk requests and batches", ["benchmarks/live.py"])
        bench = Bench(report, store, api.pid)
        settings = Settings(redis_url=valkey.url, queue_max_size=10_000_000, queue_max_concurrent=1000)
        try:
            parts: dict[str, Callable[[], None]] = {
                "memory": lambda: per_job(bench, options.jobs),
                "starts": lambda: starts(bench, settings, Path(folder), options.workers, options.rates),
                "bulk": lambda: bulk(bench, client, options.jobs),
                "batch": lambda: batch(bench, client, options.rows),
                # Last: the API closes a thousand streams behind it.
                "events": lambda: asyncio.run(events(bench, port, options.listeners, options.changes)),
            }
            for name in options.only or parts:
                parts[name]()
                store.client.flushall()
        finally:
            api.terminate()
            api.wait()
            valkey.stop()
        report.write()


if __name__ == "__main__":
    main()
