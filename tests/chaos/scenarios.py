"""One fault at a time in the whole running service; each function returns the recovery time, s."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import redis

from stemline.jobs.batch import Batch, row_job_id
from stemline.jobs.job import Job
from stemline.jobs.states import State
from stemline.jobs.store import Store
from stemline.jobs.tenant import Tenant
from stemline.testing.processes import eventually
from stemline.testing.s3_proxy import Fault
from tests.chaos import stub
from tests.chaos.clients import Client
from tests.chaos.service import BUCKET, REGION, Service
from tests.support.processes import children

MAX_S = 120.0


def ended(store: Store, job_id: str, seconds: float = MAX_S) -> Job:
    """Wait for the end of a job and return it."""

    def look() -> Job | None:
        job = store.jobs.find(job_id)
        return job if job and job.ended else None

    job: Job = eventually(look, seconds, f"the end of {job_id}")
    return job


def running(store: Store, job_id: str, attempt: int = 1) -> Job:
    """Wait until an attempt at a job runs and return the job."""

    def look() -> Job | None:
        job = store.jobs.find(job_id)
        return job if job and job.state is State.RUNNING and job.attempt == attempt and job.worker else None

    job: Job = eventually(look, MAX_S, f"attempt {attempt} of {job_id}")
    return job


def stems_are_right(service: Service, job: Job) -> None:
    """Check that both stems exist, are those of the job's source, and carry the token of the record."""
    s3 = service.s3.client()
    for name, model_name in stub.STEMS.items():
        stored = s3.get_object(Bucket=BUCKET, Key=f"out/{job.id}/{name}")
        assert stub.stem(model_name, stub.nonce(job)) == stored["Body"].read()
        assert {"stemline-job": job.id, "stemline-token": str(job.token)} == stored["Metadata"]


def nothing_is_left(service: Service, job_id: str) -> None:
    """Check that the job has no object and no open upload."""
    s3 = service.s3.client()
    assert not s3.list_objects_v2(Bucket=BUCKET, Prefix=f"out/{job_id}/").get("Contents")
    uploads = s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    assert not [u["Key"] for u in uploads if job_id in u["Key"]]


def no_file_is_left(service: Service) -> None:
    """Check that no attempt left a temporary file; what a killed one left is removed when a worker starts."""
    service.kill("worker-1")
    service.restart("worker-1")
    folder = service.folder / "scratch"
    eventually(lambda: not list(folder.glob("stemline-attempt-*")), MAX_S, "the removal of working folders")


def worker_of(service: Service, job: Job) -> str:
    """Return the part that runs a job; the worker's name ends in the process id of the pool's child."""
    child = int(job.worker.rpartition("/")[2])
    (name,) = (n for n, pid in service.pids.items() if child in children(pid))
    return name


def accepted(client: Client, seconds: float) -> str:
    """Submit a job until it is accepted; return its id."""
    job_id: str = eventually(lambda: client.submit(seconds=seconds, poison=False), MAX_S, "an accepted job")
    return job_id


@contextmanager
def proxied(service: Service, fault: Fault, method: str = "", having: str = "") -> Iterator[None]:
    """While the block runs, requests to S3 meet the fault."""
    assert service.proxy is not None

    def plan(asked: str, path: str) -> Fault | None:
        return fault if asked.startswith(method) and having in path else None

    service.proxy.plan = plan
    try:
        yield
    finally:
        service.proxy.plan = lambda method, path: None


def killed_worker(service: Service, client: Client, store: Store) -> float:
    """kill -9 of a worker in the middle of a job, until the job's next claim."""
    job = running(store, accepted(client, 1.5))
    name = worker_of(service, job)
    began = time.monotonic()
    service.kill(name)
    running(store, job.id, attempt=2)
    took = time.monotonic() - began
    service.restart(name)
    done = ended(store, job.id)
    assert (State.SUCCESS, 2) == (done.state, done.attempt)
    stems_are_right(service, done)
    return took


def stopped_worker(service: Service, client: Client, store: Store, after_s: float) -> float:
    """SIGSTOP of a worker past its lease, until another has done its job; it writes nothing afterwards."""
    job = running(store, accepted(client, 0.4))
    name = worker_of(service, job)
    time.sleep(after_s)
    began = time.monotonic()
    os.killpg(service.pids[name], signal.SIGSTOP)
    try:
        done = ended(store, job.id)
    finally:
        took = time.monotonic() - began
        os.killpg(service.pids[name], signal.SIGCONT)
    time.sleep(1.5)
    assert done == store.jobs.find(job.id)
    assert State.SUCCESS is done.state
    stems_are_right(service, done)
    return took


def cancel_waiting(service: Service, client: Client, store: Store, queue_id: str) -> float:
    """Cancel of a waiting job, until it shows Cancel."""
    client.pause_or_resume(queue_id, "Paused")
    job_id = accepted(client, 0)
    began = time.monotonic()
    client.cancel(job_id)
    assert State.CANCEL is ended(store, job_id).state
    took = time.monotonic() - began
    client.pause_or_resume(queue_id, "Active")
    nothing_is_left(service, job_id)
    return took


def cancel_running(service: Service, client: Client, store: Store) -> float:
    """Cancel of a running job, until it shows Cancel; nothing of it is left."""
    job = running(store, accepted(client, 30))
    began = time.monotonic()
    client.cancel(job.id)
    assert State.CANCEL is ended(store, job.id).state
    took = time.monotonic() - began
    nothing_is_left(service, job.id)
    return took


def valkey_unavailable(
    service: Service, client: Client, store: Store, seconds: float, *, hung: bool
) -> float:
    """Valkey killed (or stopped) and back after some time, until a job submitted then has ended.

    A job that runs meanwhile ends as Success.
    """
    job = running(store, accepted(client, seconds + 1))
    if hung:
        assert service.valkey.process is not None
        service.valkey.process.send_signal(signal.SIGSTOP)
    else:
        service.kill("valkey")
    time.sleep(seconds)
    began = time.monotonic()
    if hung:
        assert service.valkey.process is not None
        service.valkey.process.send_signal(signal.SIGCONT)
    else:
        service.restart("valkey")
    assert State.SUCCESS is ended(store, accepted(client, 0)).state
    took = time.monotonic() - began
    assert State.SUCCESS is ended(store, job.id).state
    return took


def connections_cut(service: Service, client: Client, store: Store) -> float:
    """CLIENT KILL of every connection to Valkey, until a job submitted then has ended."""
    began = time.monotonic()
    with redis.Redis.from_url(service.valkey.url) as admin:
        for kind in ("normal", "pubsub"):
            admin.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    assert State.SUCCESS is ended(store, accepted(client, 0)).state
    return time.monotonic() - began


def s3_unavailable(service: Service, client: Client, store: Store, fault: Fault, seconds: float) -> float:
    """S3 faulty for some time while jobs run, until all of them have ended as Success."""
    before = [accepted(client, 0.3) for _ in range(4)]
    with proxied(service, fault):
        time.sleep(seconds)
        began = time.monotonic()
    after = [accepted(client, 0) for _ in range(2)]
    for job_id in before + after:
        done = ended(store, job_id)
        assert State.SUCCESS is done.state, done.message
        stems_are_right(service, done)
    return time.monotonic() - began


def rolling_restart(service: Service, client: Client, store: Store, count: int) -> int:
    """Restart each worker while jobs run; return how many jobs were claimed more than once."""
    ids = [accepted(client, 0.3) for _ in range(count)]
    for name in [n for n in service.pids if n.startswith("worker")]:
        os.kill(service.pids[name], signal.SIGTERM)
        eventually(lambda n=name: n in service.exited(), MAX_S, f"the end of {name}")
        service.restart(name)
    done = [ended(store, job_id) for job_id in ids]
    assert {State.SUCCESS} == {job.state for job in done}
    for job in done:
        stems_are_right(service, job)
    return sum(job.attempt - 1 for job in done)


def reused(service: Service, client: Client, store: Store) -> int:
    """kill -9 of the worker that separates while an equal job waits for it; return how many got copies."""
    first, second = equal_jobs(client, store)
    name = worker_of(service, first)
    service.kill(name)
    service.restart(name)
    done = [ended(store, job_id) for job_id in (first.id, second)]
    assert [State.SUCCESS] * 2 == [job.state for job in done]
    for job in done:
        stems_are_right(service, job)
    return sum(bool(job.result and job.result.reused) for job in done)


def equal_jobs(client: Client, store: Store) -> tuple[Job, str]:
    """Return a running job, and the id of an equal one that waits for it; on a slow machine a longer one."""
    for seconds in (2.0, 10.0, 40.0):
        first = running(store, accepted(client, seconds))

        def separates(job_id: str = first.id) -> bool:
            job = store.jobs.find(job_id)
            return job is not None and (job.stage not in {"", "download"} or job.ended is not None)

        eventually(separates, MAX_S, "the separation of the first job")
        asked = stub.nonce(first)
        second: str = eventually(
            partial(client.submit, seconds=0, poison=False, source=asked), MAX_S, "an equal job"
        )

        def settled(job_id: str = second) -> Job | None:
            job = store.jobs.find(job_id)
            return job if job and (job.message or job.ended) else None

        if first.id in eventually(settled, MAX_S, "the equal job").message:
            return first, second
    raise AssertionError("the first of two equal jobs was always faster than the second")


def batch(service: Service, client: Client, store: Store, rows: int) -> int:
    """kill -9 of the callback worker and a worker while a batch is fed; return how many rows succeeded."""
    name: str = eventually(lambda: client.submit_batch(rows), MAX_S, "an accepted batch")
    for part in ("callbacks", "worker-1"):
        service.kill(part)
        service.restart(part)

    def over() -> Batch | None:
        found = store.batches.get(Tenant(BUCKET, REGION), name)
        return found if found and found.ended else None

    found: Batch = eventually(over, MAX_S, "the end of the batch")
    for number in range(rows):
        stems_are_right(service, ended(store, row_job_id(name, number)))
    return found.success


def poison(service: Service, client: Client, store: Store) -> Job:
    """A job that kills its engine each time fails after three attempts; other jobs are not affected."""
    others = [accepted(client, 0.5) for _ in range(3)]
    bad: str = eventually(lambda: client.submit(seconds=0, poison=True), MAX_S, "an accepted job")
    others += [accepted(client, 0.5) for _ in range(3)]
    for job_id in others:
        assert (State.SUCCESS, 1) == ((job := ended(store, job_id)).state, job.attempt)
    failed = ended(store, bad)
    nothing_is_left(service, bad)
    return failed
