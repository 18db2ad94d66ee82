"""How soon healthy receivers are called while others hang: 1,000 jobs, a tenth of them for dead receivers.

Starts a Valkey with AOF, one real callback worker and beat. Jobs end at a steady rate; every tenth names a
receiver that takes the request and never answers. A delay is counted from the end of the job in its record to
the arrival of the request. Three runs: no dead receiver, all dead ones on one host, each dead one a host of
its own.

    python -m benchmarks.callbacks [--jobs 1000] [--rate 100]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from celery import Celery

from benchmarks.report import Report
from stemline.deploy.local.servers import ValkeyServer
from stemline.jobs.callback import CallbackRequest
from stemline.jobs.store import Store
from stemline.runtime.settings import Settings
from stemline.runtime.store import open_store
from stemline.testing.receiver import Receiver, hang, receiving
from stemline.testing.samples import job_result, job_spec
from stemline.workers.app import CALLBACKS, DELIVER, create_app

HEALTHY_HOSTS = 9


def measure(store: Store, app: Celery, jobs: int, rate: float, dead_hosts: int) -> list[float]:
    """Seconds from the end of each job with a healthy receiver to its callback, sorted."""
    with ExitStack() as stack:
        dead = [stack.enter_context(receiving(hang)) for _ in range(dead_hosts)]
        healthy = [stack.enter_context(receiving()) for _ in range(HEALTHY_HOSTS)]
        ended: dict[str, float] = {}
        began = time.monotonic()
        for number in range(jobs):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            for_dead = bool(dead) and number % 10 == 0
            receiver = dead[number // 10 % dead_hosts] if for_dead else healthy[number % HEALTHY_HOSTS]
            end_one(store, app, receiver)
        expected = jobs - (len(range(0, jobs, 10)) if dead else 0)
        deadline = time.monotonic() + 60
        while sum(len(r.received) for r in healthy) < expected and time.monotonic() < deadline:
            time.sleep(0.1)
        arrived = [request for receiver in healthy for request in receiver.received]
        if len(arrived) != expected:
            raise SystemExit(f"{len(arrived)} of {expected} callbacks arrived")
        for request in arrived:
            job = store.jobs.find(json.loads(request.body)["JobsDetail"][0]["JobId"])
            assert job is not None
            assert job.ended is not None
            ended[job.id] = request.at - job.ended / 1e6
    return sorted(ended.values())


def end_one(store: Store, app: Celery, receiver: Receiver) -> None:
    """Submit a job, claim it, end it and announce the callback, as a worker does."""
    spec = job_spec(CallbackRequest(url=receiver.url, format="JSON"))
    (job,) = store.jobs.create([dataclasses.replace(spec, queue_id="")])
    claimed = store.attempts.claim("bench", [spec.level])
    assert claimed is not None
    store.attempts.succeed(claimed, job_result())
    delivery = store.outbox.for_job(job.id)
    assert delivery is not None
    app.send_task(DELIVER, args=[delivery.id], queue=CALLBACKS, retry=False, ignore_result=True)


def main() -> None:
    """Run the benchmark and print its rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=100.0, help="Jobs that end in a second.")
    options = parser.parse_args()
    title = f"Delay of callbacks to healthy receivers: {options.jobs} jobs, {options.rate:g} end in a second"
    report = Report("callbacks", title, ["benchmarks/callbacks.py"])
    rows = []
    for name, dead_hosts in (
        ("none", 0),
        ("a tenth, all on one host", 1),
        ("a tenth, each on its own host", options.jobs // 10),
    ):
        with tempfile.TemporaryDirectory() as folder:
            delays = run(Path(folder), options.jobs, options.rate, dead_hosts)
        report.add(f"dead_hosts_{dead_hosts}", delays, unit="s", label=f"receivers that hang: {name}")
        p99 = delays[int(len(delays) * 0.99)]
        rows.append((name, *(f"{each:.2f} s" for each in (statistics.median(delays), p99, delays[-1]))))
    report.table("delays", ("Receivers that never answer", "Median", "99 %", "Worst"), rows)
    report.write()


def run(folder: Path, jobs: int, rate: float, dead_hosts: int) -> list[float]:
    """One run on processes of its own."""
    valkey = ValkeyServer(folder)
    valkey.start()
    environment = os.environ | {
        "STEMLINE_REDIS_URL": valkey.url,
        "STEMLINE_HOME": str(folder),
        "STEMLINE_CALLBACK_ALLOW_NETWORKS": '["127.0.0.0/8"]',
        "STEMLINE_LOG_LEVEL": "error",
    }
    program = [sys.executable, "-m", "stemline"]
    processes = [
        subprocess.Popen([*program, *words], env=environment) for words in (["beat"], ["worker", "callbacks"])
    ]
    settings = Settings(redis_url=valkey.url)
    store = open_store(settings)
    app = create_app(settings)
    try:
        with receiving() as receiver:  # the worker is up when it has delivered one
            end_one(store, app, receiver)
            while not receiver.received:
                time.sleep(0.1)
        return measure(store, app, jobs, rate, dead_hosts)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        store.close()
        valkey.stop()


if __name__ == "__main__":
    main()
