"""How long a job lies between its acceptance and its start, on a worker that has nothing else to do.

Starts a Valkey with AOF and one real separation worker, then submits jobs one at a time. The bucket of every
job refuses, so it ends at once and the next finds the worker idle; both times are those of
the job's own record (µs, the store's clock).

    python -m benchmarks.overhead [--jobs 300]
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.refusal import refusing_bucket
from benchmarks.report import Report
from stemline.deploy.local.servers import ValkeyServer
from stemline.jobs.job import JobSpec, Output
from stemline.jobs.separation import AudioMode, VoiceSeparate
from stemline.jobs.states import State
from stemline.jobs.store import Store, WakeUp
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.runtime.store import open_store
from stemline.workers.app import create_app, separate_queue

LONGEST_S = 120
"""Longest wait for a job that ends at once."""
TENANT = Tenant("nobody-1250000000", "ap-chongqing")


def measure(store: Store, jobs: int) -> list[float]:
    """Milliseconds from acceptance to start, job by job; the first ones warm the worker up."""
    output = Output(TENANT.region, TENANT.bucket, au_object="voice.wav")
    spec = JobSpec(TENANT, "song.mp3", VoiceSeparate(AudioMode.IS_AUDIO), output)
    waits = []
    for number in range(jobs + 5):
        (job,) = store.jobs.create([spec])
        end = time.monotonic() + LONGEST_S
        while (found := store.jobs.find(job.id)) is None or not found.ended:
            if time.monotonic() > end:
                raise SystemExit(f"{job.id} has not ended after {LONGEST_S} s.")
            time.sleep(0.005)
        if found.state is not State.FAILED or found.started is None:
            raise SystemExit(f"{job.id} is {found.state} {found.message}")
        if number >= 5:
            waits.append((found.started - found.created) / 1000)
        time.sleep(random.uniform(0.0, 0.1))
    return waits


def main() -> None:
    """Run the benchmark and print its row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    jobs = parser.parse_args().jobs
    report = Report("overhead", "From acceptance to start, on an idle worker", ["benchmarks/overhead.py"])
    with tempfile.TemporaryDirectory() as folder, refusing_bucket() as bucket:
        valkey = ValkeyServer(Path(folder))
        valkey.start()
        settings = Settings(redis_url=valkey.url)
        own = {"STEMLINE_REDIS_URL": valkey.url, "STEMLINE_LOG_LEVEL": "error"}
        environment = os.environ | bucket | own
        worker = subprocess.Popen([sys.executable, "-m", "stemline", "worker", "separate"], env=environment)
        app = create_app(settings)

        def notify(wake_ups: Sequence[WakeUp]) -> None:
            for wake_up in wake_ups:
                name = separate_queue(wake_up.level)
                app.send_task("stemline.separate", args=[wake_up.job_id, wake_up.level], queue=name)

        try:
            waits = sorted(measure(open_store(settings, notify=notify), jobs))
        finally:
            worker.terminate()
            worker.wait()
            valkey.stop()
    report.add("wait_ms", waits, unit="ms", label="accepted to Running")
    report.write()


if __name__ == "__main__":
    main()
