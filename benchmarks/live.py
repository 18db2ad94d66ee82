"""What is beyond the vendor's API, in figures: events, bulk requests, batches, and the memory of a job.

Starts a Valkey with AOF and one API process of its own. This process plays the listeners and the workers.

    python -m benchmarks.live [--listeners 1000] [--changes 300] [--jobs 10000] [--rows 100000] [--only bulk]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.submit import BUCKET, SECRET_ID, SECRET_KEY, processor_seconds, start_api
from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import ValkeyServer
from stemline.jobs.job import JobSpec, Output
from stemline.jobs.separation import AudioMode, VoiceSeparate
from stemline.jobs.store import RedisStore, StoreOptions
from stemline.jobs.tenant import Tenant
from stemline.testing.client import Client
from stemline.workers.feeder import Feeder

MOST_ENDED = 3000
"""Jobs of the batch that are made and ended."""
TENANT = Tenant(BUCKET, "ap-chongqing")
OUTPUT = {"Region": TENANT.region, "Bucket": BUCKET, "AuObject": "out/${jobid}.wav"}


def spec(number: int) -> JobSpec:
    output = Output(TENANT.region, TENANT.bucket, au_object="out/${jobid}.wav")
    return JobSpec(TENANT, f"in/{number}.mp3", VoiceSeparate(AudioMode.IS_AUDIO), output)


def percentiles(times: list[float]) -> str:
    """p50, p99 and maximum, ms."""
    ordered = sorted(times)
    p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {ordered[-1] * 1000:.1f} ms"


@contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - began:.2f} s")


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


async def events(port: int, store: RedisStore, listeners: int, changes: int) -> None:
    """Measure from a change in the store to its arrival at every listener."""
    client = Client(port, f"{BUCKET}.ci.{TENANT.region}.myqcloud.com", SECRET_ID, SECRET_KEY)
    request, ready = client.raw("GET", "/events"), asyncio.Semaphore(0)
    seen: dict[str, list[float]] = {}
    tasks = []
    for _ in range(listeners):
        tasks.append(asyncio.create_task(listen(port, request, ready, seen)))
        await ready.acquire()
    store.jobs.create([spec(0)])
    job = store.jobs.claim("w", [0])
    assert job is not None
    sent: dict[str, float] = {}
    for number in range(1, changes + 1):
        sent[str(number)] = time.perf_counter()
        await asyncio.to_thread(store.jobs.heartbeat, job.id, job.token, number)
        await asyncio.sleep(0.2)
    await asyncio.sleep(2)
    for task in tasks:
        task.cancel()
    times = [at - sent[number] for number, arrivals in seen.items() for at in arrivals if number in sent]
    print(f"{listeners} listeners, {changes} changes at 5/s: {len(times)} of {listeners * changes} arrived")
    print(f"from change to client: {percentiles(times)}")


def processor(store: RedisStore, pid: int) -> tuple[float, float]:
    """Processor seconds of the API and of the store's server so far."""
    used: dict[str, float] = store.client.info("cpu")
    return processor_seconds(pid), used["used_cpu_user"] + used["used_cpu_sys"]


def bulk(client: Client, store: RedisStore, jobs: int, pid: int) -> None:
    """Cancel and retry many jobs with one request each."""
    for start in range(0, jobs, 500):
        store.jobs.create_many([spec(number) for number in range(start, min(start + 500, jobs))])
    for path in ("cancel?dryRun=true", "cancel", "retry?dryRun=true", "retry"):
        began, before = time.perf_counter(), processor(store, pid)
        answer = client.request(
            "POST", f"/bulk/jobs/{path}", headers={"Accept": "application/json"}, timeout_s=60
        )
        counted = json.loads(answer.body)["MatchedCount"]
        seconds, after = time.perf_counter() - began, processor(store, pid)
        api, server = (new - old for new, old in zip(after, before, strict=True))
        print(f"POST /bulk/jobs/{path}: {counted} jobs in {seconds:.2f} s; ", end="")
        print(f"processor {api:.2f} s of the API, {server:.2f} s of the store")
    client.request("POST", "/bulk/jobs/cancel", timeout_s=60)


def batch(client: Client, store: RedisStore, rows: int, pid: int) -> None:
    """Submit a batch, then make jobs of its rows and end them, as workers do."""
    operation = {"VoiceSeparate": {"AudioMode": "IsAudio"}, "Output": OUTPUT}
    first = json.dumps({"Tag": "VoiceSeparate", "Operation": operation})
    lines = (json.dumps({"Object": f"in/{number}.mp3", "UserData": str(number)}) for number in range(rows))
    body = "\n".join([first, *lines]).encode()
    before, used = memory(pid), processor(store, pid)
    headers = {"Content-Type": "application/x-ndjson", "Accept": "application/json"}
    with timed(f"POST /batches with {rows} rows ({len(body) / 1e6:.1f} MB)"):
        answer = client.request("POST", "/batches", body, headers, timeout_s=60)
    api, server = (new - old for new, old in zip(processor(store, pid), used, strict=True))
    print(f"processor {api:.2f} s of the API, {server:.2f} s of the store")
    print(f"memory of the API: {before:.0f} MB before, {memory(pid):.0f} MB after")
    name = json.loads(answer.body)["Batch"]["BatchId"]
    feeder = Feeder(store)
    began, done = time.perf_counter(), 0
    while (found := store.batches.find(name)) is not None and found.ended is None and done < MOST_ENDED:
        feeder.feed()
        while (job := store.jobs.claim("w", [0])) is not None:
            store.jobs.fail(job, "InternalError", "")
            done += 1
    seconds = time.perf_counter() - began
    print(f"{done} rows made into jobs, claimed and ended by one process: {done / seconds:.0f} per second")


def memory(pid: int) -> float:
    """Peak memory of a process, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def per_job(store: RedisStore, jobs: int) -> None:
    """Print what a waiting job takes of the store."""
    before = store.statistics.read().server.memory_bytes
    for start in range(0, jobs, 500):
        store.jobs.create_many([spec(number) for number in range(start, min(start + 500, jobs))])
    used = store.statistics.read().server.memory_bytes
    print(f"memory of the store: {(used - before) / jobs / 1000:.2f} kB for a waiting job")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--listeners", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=["memory", "events", "bulk", "batch"])
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
        try:
            parts: dict[str, Callable[[], None]] = {
                "memory": lambda: per_job(store, options.jobs),
                "events": lambda: asyncio.run(events(port, store, options.listeners, options.changes)),
                "bulk": lambda: bulk(client, store, options.jobs, api.pid),
                "batch": lambda: batch(client, store, options.rows, api.pid),
            }
            for name in options.only or parts:
                parts[name]()
                store.client.flushall()
        finally:
            api.terminate()
            api.wait()
            valkey.stop()


if __name__ == "__main__":
    main()
