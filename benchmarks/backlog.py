"""One backlog of jobs, done by some workers on servers of their own, and what that cost."""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import redis
from pydantic import SecretStr

from benchmarks.hosts import Hosts, Seaweed, Valkey
from stemline.jobs.job import Job, JobSpec, Output
from stemline.jobs.separation import AudioConfig, AudioMode, VoiceSeparate
from stemline.jobs.states import State
from stemline.jobs.store import Store, WakeUp
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.runtime.store import open_store
from stemline.workers.app import LEVELS, create_app, separate_queue

BUCKET, REGION = "media-1250000000", "ap-chongqing"
TENANT = Tenant(BUCKET, REGION)
_BATCH = 100
#: Jobs of the queue that may run at once: more than there are workers.
_CONCURRENT = 16
#: How long the workers are watched when all is done, s.
_IDLE_S = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Row:
    """One run. Times in ms but for `seconds`; per job where the name says so."""

    workers: int
    jobs: int
    seconds: float
    jobs_per_s: float
    gap_median: float
    gap_p99: float
    lost: int
    twice: int
    valkey_commands_per_job: float
    valkey_cpu_ms_per_job: float
    valkey_aof_bytes_per_job: float
    valkey_memory_bytes_per_job: float
    s3_cpu_ms_per_job: float
    worker_cpu_ms_per_job: float
    valkey_commands_per_s_and_idle_worker: float


def cpu_s(pids: list[int]) -> float:
    """Processor seconds that these processes and their living children have used."""
    wanted, total = set(pids), 0
    for entry in sorted((e for e in Path("/proc").iterdir() if e.name.isdigit()), key=lambda e: int(e.name)):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(entry.name) in wanted or int(fields[1]) in wanted:
            wanted.add(int(entry.name))
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def tone(seconds: float) -> bytes:
    """A stereo WAV file at 44,100 Hz."""
    time_s = np.arange(round(seconds * 44_100)) / 44_100
    samples = np.round(8000 * np.sin(2 * np.pi * np.outer(time_s, (220, 330)))).astype("<i2")
    with io.BytesIO() as file:
        with wave.open(file, "wb") as out:
            out.setnchannels(2)
            out.setsampwidth(2)
            out.setframerate(44_100)
            out.writeframes(samples.tobytes())
        return file.getvalue()


def submit(store: Store, count: int) -> None:
    """Put the backlog into the store."""
    spec = JobSpec(
        TENANT,
        "song.wav",
        VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND, AudioConfig(codec="wav")),
        Output(REGION, BUCKET, object="out/${jobid}/bg.wav", au_object="out/${jobid}/voice.wav"),
    )
    for first in range(0, count, _BATCH):
        store.jobs.create([spec] * min(_BATCH, count - first))


def gaps_ms(jobs: list[Job]) -> list[float]:
    """How long each worker was idle between the end of a job and the start of its next."""
    lines: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        lines[job.worker or ""].append(job)
    found = []
    for line in lines.values():
        line.sort(key=lambda job: job.started or 0)
        found += [((b.started or 0) - (a.ended or 0)) / 1000 for a, b in pairwise(line)]
    return sorted(found)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run does."""

    workers: int
    jobs: int
    sleep_s: float
    """What the stub takes for a job."""
    real_s: float
    """Audio of each job for the real engine; 0 for the stub."""
    namespaces: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """What was used up to a moment."""

    at: float
    done: int
    valkey: dict[str, Any]
    s3_cpu_s: float
    worker_cpu_s: float


class Run:
    """One backlog, done by some workers on servers of their own."""

    def __init__(self, plan: Plan, folder: Path, hosts: Hosts) -> None:
        self.plan, self.hosts, self.folder = plan, hosts, folder
        self.calls = folder / "calls"
        self.calls.touch()
        self.valkey, self.s3 = Valkey(folder / "valkey", hosts.address), Seaweed(folder / "s3", hosts.address)
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for server in (self.valkey, self.s3):
            server.folder.mkdir()
            server.start()
        self.s3.create_bucket(BUCKET)
        boto = self.s3.client()
        boto.put_object(Bucket=BUCKET, Key="song.wav", Body=tone(self.plan.real_s or 0.1))
        boto.close()
        s3 = self.s3
        self.access = {
            "endpoint_url": s3.endpoint_url,
            "access_key": s3.access_key,
            "secret_key": s3.secret_key,
        }
        self.settings = Settings(
            redis_url=SecretStr(self.valkey.url),
            queue_max_size=self.plan.jobs + 1,
            queue_max_concurrent=_CONCURRENT,
        )
        self.client = redis.Redis.from_url(self.valkey.url, decode_responses=True)
        self.app = create_app(self.settings)
        self.store = open_store(self.settings, notify=self.notify)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()
        self.client.close()
        self.s3.stop()
        self.valkey.stop()

    def notify(self, wake_ups: Sequence[WakeUp]) -> None:
        """Send the wake-ups over one connection."""
        with self.app.producer_pool.acquire(block=True) as producer:
            for wake_up in wake_ups:
                name = separate_queue(wake_up.level)
                arguments = [wake_up.job_id, wake_up.level]
                self.app.send_task("stemline.separate", args=arguments, queue=name, producer=producer)

    def start_workers(self) -> None:
        """Each on its host."""
        environment = {
            **os.environ,
            "STEMLINE_REDIS_URL": self.valkey.url,
            "STEMLINE_BUCKETS": json.dumps({"*": self.access}),
            "STEMLINE_LOG_LEVEL": "error",
            "STEMLINE_THREADS": "1",
            "STEMLINE_SCRATCH_DIR": str(self.folder),
            "STEMLINE_MODELS_FETCH": "true",  # the stand-in for the engine needs no weights
            "STUB_SLEEP_S": str(self.plan.sleep_s),
            "STUB_CALLS": str(self.calls),
        }
        module = "stemline" if self.plan.real_s else "benchmarks.stub_worker"
        for host in range(self.plan.workers):
            command = [*self.hosts.command(host), sys.executable, "-m", module, "worker", "separate"]
            command += ["--name", f"w{host}@bench"]
            here = Path(__file__).parent.parent
            self.processes.append(subprocess.Popen(command, env=environment, cwd=here))

    def key(self, *parts: str) -> str:
        """A key of the job store."""
        return ":".join((self.settings.store.key_prefix, *parts))

    def done(self) -> int:
        """How many jobs are over."""
        counts: Any = self.client.hgetall(self.key("counts"))
        return sum(int(value) for name, value in counts.items() if name.startswith("ended:"))

    def sample(self) -> Sample:
        """What was used up to now."""
        server = self.s3.process
        info: Any = self.client.info()
        return Sample(
            at=time.monotonic(),
            done=self.done(),
            valkey=info,
            s3_cpu_s=cpu_s([server.pid] if server else []),
            worker_cpu_s=cpu_s([process.pid for process in self.processes]),
        )

    def wait(self, count: int) -> None:
        """Until so many jobs are over."""
        while (done := self.done()) < count:
            if any(process.poll() is not None for process in self.processes):
                raise SystemExit("a worker ended by itself")
            if sys.stdout.isatty():
                print(f"\r  {done}/{self.plan.jobs}", end="", flush=True)
            time.sleep(0.2)

    def wait_idle(self) -> None:
        """Until no message lies in the broker."""
        while any(int(self.client.llen(separate_queue(level))) for level in LEVELS):
            time.sleep(0.2)
        time.sleep(1)

    def all_jobs(self) -> list[Job]:
        """Every job there is."""
        ids: Any = self.client.zrange(self.key("index", str(TENANT), "all"), 0, -1)
        parts = [ids[first : first + 500] for first in range(0, len(ids), 500)]
        return [job for part in parts for job in self.store.jobs.get(TENANT, part) if job]

    def measure(self) -> Row:
        """Do the backlog."""
        empty = self.sample()
        submit(self.store, self.plan.jobs)
        full = self.sample()
        print(f"  {self.plan.jobs} jobs stored in {full.at - empty.at:.1f} s", flush=True)
        self.start_workers()
        # Counted from the first job's end: starting Python is not what is measured.
        self.wait(1)
        first = self.sample()
        self.wait(self.plan.jobs)
        last = self.sample()
        self.wait_idle()
        before = self.sample()
        time.sleep(_IDLE_S)
        after = self.sample()
        commands = grew("total_commands_processed", before, after) / (after.at - before.at)
        return self.row(
            first,
            last,
            memory=grew("used_memory", empty, full) / self.plan.jobs,
            idle=commands / self.plan.workers,
        )

    def row(self, first: Sample, last: Sample, *, memory: float, idle: float) -> Row:
        """The figures of the run."""
        jobs, count = self.all_jobs(), last.done - first.done
        good = [job for job in jobs if job.state is State.SUCCESS]
        repeated = sum(job.attempt - 1 for job in jobs)
        if not self.plan.real_s:
            repeated += self.calls.stat().st_size - self.plan.jobs
        gaps = gaps_ms(jobs)
        cpu_ms = 1000 * (grew("used_cpu_user", first, last) + grew("used_cpu_sys", first, last))
        return Row(
            workers=self.plan.workers,
            jobs=self.plan.jobs,
            seconds=round(last.at - first.at, 1),
            jobs_per_s=round(count / (last.at - first.at), 2),
            gap_median=round(statistics.median(gaps), 1),
            gap_p99=round(gaps[int(len(gaps) * 0.99)], 1),
            lost=self.plan.jobs - len(good),
            twice=repeated,
            valkey_commands_per_job=round(grew("total_commands_processed", first, last) / count, 1),
            valkey_cpu_ms_per_job=round(cpu_ms / count, 2),
            valkey_aof_bytes_per_job=round(grew("aof_current_size", first, last) / count),
            valkey_memory_bytes_per_job=round(memory),
            s3_cpu_ms_per_job=round(1000 * (last.s3_cpu_s - first.s3_cpu_s) / count, 1),
            worker_cpu_ms_per_job=round(1000 * (last.worker_cpu_s - first.worker_cpu_s) / count, 1),
            valkey_commands_per_s_and_idle_worker=round(idle, 1),
        )


def grew(name: str, since: Sample, until: Sample) -> float:
    """How much one of Valkey's counters grew."""
    return float(until.valkey[name]) - float(since.valkey[name])


def run(plan: Plan) -> Row:
    """One run, with everything it needs made and taken away."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Hosts(plan.workers, wanted=plan.namespaces) as hosts,
        Run(plan, Path(folder), hosts) as running,
    ):
        return running.measure()
