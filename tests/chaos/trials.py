"""SIGKILL at random moments, then compare the state of the service with the requests and callbacks."""

from __future__ import annotations

import itertools
import math
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stemline.jobs.batch import row_job_id
from stemline.jobs.event import place
from stemline.jobs.job import Job
from stemline.jobs.states import State
from stemline.jobs.store import JobFilter, QueueFilter, Store
from stemline.jobs.tenant import Tenant
from stemline.runtime.store import open_store
from tests.chaos import stub
from tests.chaos.clients import Client, Listener, Receiver
from tests.chaos.ledger import Ledger
from tests.chaos.service import BUCKET, REGION, Service
from tests.chaos.witness import Witness

TENANT = Tenant(BUCKET, REGION)
#: Faster than the defaults, so that many reclaims fit into the run.
SETTINGS: dict[str, Any] = {
    "lease_s": 6,
    "heartbeat_s": 0.5,
    "sweep_interval_s": 1,
    "queue_max_concurrent": 50,
    "preload_models": [],
    "worker_concurrency": 2,
    "worker_grace_s": 2,
    "callback_per_host": 64,
    "callback_concurrency": 8,
    "callback_timeout_s": 2,
    "reuse": True,
    "callback_schedule_s": [0, 1, 2, 5, 5, 5, 5, 5, 5, 5],
}
TARGETS = ("api", "worker-1", "worker-2", "engine-1", "engine-2", "callbacks", "beat", "valkey")
SETTLE_S = 180.0
STOP_SHARE = 0.05
#: How long a worker is stopped: longer than its lease and a sweep, s.
STOPPED_S = 9.0


@dataclass
class Report:
    """The result of a run."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    stops: int = 0
    """Workers that were stopped past their lease and continued."""
    exits: Counter[str] = field(default_factory=Counter)
    """Parts that exited without being killed."""
    lasted_s: float = 0.0
    accepted: int = 0
    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    """Why jobs failed."""
    cancels: int = 0
    reclaims: int = 0
    """Claims beyond a job's first."""
    pauses: dict[str, float] = field(default_factory=dict)
    """Longest time without progress of a kind, s."""
    worst_claim_to_claim: float = 0.0
    callbacks: int = 0
    callbacks_repeated: int = 0
    empty_uploads: int = 0
    faults: list[str] = field(default_factory=list)
    """Everything that must not happen."""
    lost: int = 0
    done_twice: int = 0
    stale_writes: int = 0
    stored_after_503: int = 0
    reused: int = 0
    """Jobs whose stems were copied."""
    rows: int = 0
    """Rows of batches."""
    late: int = 0
    """Jobs that were cancelled at their deadline."""
    events: int = 0
    """Events that a listener received."""


def run(trials: int, seed: int, *, pace_s: float = 0.7, log: Callable[[str], None] = print) -> Report:
    """Run the service, kill its processes, wait until all work is done, and check the result."""
    folder = Path(tempfile.mkdtemp(prefix="stemline-chaos-"))
    service = Service(folder, **SETTINGS)
    ledger = Ledger()
    outcome = Report(seed)
    receiver = Receiver(ledger)
    client = Client(service, ledger, receiver.url, seed, varied=True)
    try:
        service.start()
        witness = Witness(service.valkey.folder, service.settings.store.key_prefix, ledger)
        listener = Listener(service.port)
        wait(lambda: bool(listener.ids), 60, "the stream of events")
        client.start()
        wait(lambda: len(ledger.beats["called back"]) > 0, 180, "the first callback")
        begin = time.monotonic()
        _kill_at_random(service, client, outcome, trials, random.Random(seed), pace_s, log)
        end = time.monotonic()
        client.stop()
        store = open_store(service.settings)
        settled = settle(service, store, outcome)
        witness.close()
        _listen_to_the_end(store, listener)
        outcome.lasted_s = end - begin
        outcome.pauses = {
            k: ledger.longest_pause(k, begin, end) for k in ("accepted", "claimed", "called back")
        }
        _check(service, store, ledger, witness, outcome)
        _check_events(listener, witness, outcome)
        if not settled:
            outcome.faults.append(f"work was left {SETTLE_S:.0f} s after the last kill")
        store.close()
    finally:
        service.stop()
        receiver.close()
        if outcome.faults:
            log(f"logs are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return outcome


def wait(check: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: It did not come true.
    """
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)


def _kill_at_random(
    service: Service,
    client: Client,
    outcome: Report,
    trials: int,
    chance: random.Random,
    pace_s: float,
    log: Callable[[str], None],
) -> None:
    paused = False
    store = open_store(service.settings)
    queue_id = store.queues.search(TENANT, QueueFilter()).items[0].id
    store.close()
    done = 0
    stopped: list[tuple[float, int]] = []
    while done < trials:
        time.sleep(chance.uniform(0, 2 * pace_s))
        stopped = _continue(stopped, time.monotonic())
        if chance.random() < STOP_SHARE:
            pid = service.pids[chance.choice(("worker-1", "worker-2"))]
            _signal(pid, signal.SIGSTOP)
            stopped.append((time.monotonic() + STOPPED_S, pid))
            outcome.stops += 1
        target = chance.choice(TARGETS)
        for name in service.exited():
            outcome.exits[name.partition("-")[0]] += 1
            service.restart(name)
        if not service.kill(target):
            continue
        done += 1
        outcome.kills[target.partition("-")[0]] += 1
        time.sleep(chance.uniform(0, 0.3))
        if not target.startswith("engine"):
            service.restart(target)
        if chance.random() < 0.02 or paused:
            paused = not paused
            client.pause_or_resume(queue_id, "Paused" if paused else "Active")
        if done % 50 == 0:
            log(f"{done} kills")
    _continue(stopped, math.inf)
    if paused:
        client.pause_or_resume(queue_id, "Active")


def _continue(stopped: list[tuple[float, int]], now: float) -> list[tuple[float, int]]:
    """Continue the workers whose time is over; return those that stay stopped."""
    for until, pid in stopped:
        if until <= now:
            _signal(pid, signal.SIGCONT)
    return [(until, pid) for until, pid in stopped if until > now]


def _signal(pid: int, number: int) -> None:
    """Signal a worker with its pool, if it has not been killed meanwhile."""
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def settle(service: Service, store: Store, outcome: Report) -> bool:
    """Wait until all jobs and callbacks have ended and nothing is left to remove; return whether so."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        for name in service.exited():
            outcome.exits[name.partition("-")[0]] += 1
            service.restart(name)
        open_states = frozenset({State.SUBMITTED, State.RUNNING, State.PAUSE})
        waiting = store.jobs.search(TENANT, JobFilter(states=open_states, size=1)).items
        fed = not store.batches.with_pending_rows()
        now = store.statistics.read()
        if fed and not waiting and not now.callbacks.pending and not now.leftovers:
            return True
        time.sleep(0.3)
    return False


def everything(store: Store) -> list[Job]:
    """Return every job of the tenant, read page by page."""
    jobs: list[Job] = []
    cursor: str | None = None
    while True:
        page = store.jobs.search(TENANT, JobFilter(order="Asc", size=100, cursor=cursor))
        jobs += page.items
        cursor = page.cursor
        if cursor is None:
            return jobs


def _check(service: Service, store: Store, ledger: Ledger, witness: Witness, outcome: Report) -> None:
    check_jobs(service, store, ledger, outcome)
    twice = witness.done_twice()
    outcome.done_twice = len(twice)
    outcome.faults += [f"ended twice: {job_id}" for job_id in twice]
    outcome.faults += [f"illegal history: {text}" for text in witness.illegal()]
    gaps = witness.claim_gaps()
    outcome.reclaims, outcome.worst_claim_to_claim = len(gaps), max(gaps, default=0.0)


def check_jobs(service: Service, store: Store, ledger: Ledger, outcome: Report) -> None:
    """Compare jobs, callbacks and stems with what clients were told."""
    jobs = {job.id: job for job in everything(store)}
    faults = outcome.faults
    outcome.accepted = len(ledger.accepted)
    outcome.cancels = ledger.cancels
    outcome.states = Counter(job.state for job in jobs.values() if job.id in ledger.accepted)
    failed = [j for j in jobs.values() if j.state is State.FAILED]
    outcome.reasons = Counter(f"{j.code}: {j.message}" for j in failed)

    lost = set(ledger.accepted) - set(jobs)
    outcome.lost = len(lost)
    faults += [f"lost: {job_id}" for job_id in lost]
    _check_batches(store, jobs, ledger, outcome)
    surplus = [j for j in jobs.values() if j.id not in ledger.accepted and j.spec.batch not in ledger.batches]
    for job in surplus:
        nonce = job.spec.user_data
        if nonce in ledger.refused:
            outcome.stored_after_503 += 1
        elif nonce not in ledger.unanswered:
            faults.append(f"a job that was not submitted: {job.id} {nonce}")
    faults += [f"server error: {text}" for text in ledger.server_errors]

    for job_id, asked in ledger.accepted.items():
        job = jobs.get(job_id)
        if job is not None and asked.poison and job.state is State.SUCCESS:
            faults.append(f"a poisoned job succeeded: {job_id}")
    _check_deadlines(jobs, outcome)
    check_callbacks(jobs, ledger, outcome)
    check_objects(service, jobs, outcome)


def _listen_to_the_end(store: Store, listener: Listener) -> None:
    """Let the listener receive what happened last."""
    end, _ = store.events.begin(TENANT)
    with suppress(TimeoutError):  # what it lacks then is found missing
        wait(lambda: place(listener.last) >= place(end), 60, "the last event")
    listener.close()


def _check_events(listener: Listener, witness: Witness, outcome: Report) -> None:
    """Compare what a listener received, over all breaks, with what the store wrote."""
    outcome.events = len(listener.ids)
    places = [place(each) for each in listener.ids]
    if any(after <= before for before, after in itertools.pairwise(places)):
        outcome.faults.append("events were repeated, or came in another order")
    if listener.resets:
        outcome.faults.append(f"{listener.resets} times events were gone")
    for job_id, states in witness.histories.items():
        changes = [str(state) for state, _ in itertools.groupby(states)]
        if changes != listener.states[job_id]:
            outcome.faults.append(f"events: {job_id} was {changes}, a listener saw {listener.states[job_id]}")


def _check_batches(store: Store, jobs: dict[str, Job], ledger: Ledger, outcome: Report) -> None:
    """Check that every row of an accepted batch is one job, and that the batch has ended."""
    outcome.rows = sum(ledger.batches.values())
    for batch_id, rows in ledger.batches.items():
        expected = {row_job_id(batch_id, number) for number in range(rows)}
        found = {job.id for job in jobs.values() if job.spec.batch == batch_id}
        outcome.lost += len(expected - found)
        outcome.faults += [f"row lost: {job_id} of {batch_id}" for job_id in expected - found]
        outcome.faults += [f"row twice: {job_id} of {batch_id}" for job_id in found - expected]
        batch = store.batches.get(TENANT, batch_id)
        if batch is None or batch.ended is None or batch.success + batch.failed + batch.cancelled != rows:
            outcome.faults.append(f"batch has not ended: {batch}")


def _check_deadlines(jobs: dict[str, Job], outcome: Report) -> None:
    """Check that no job was started after its deadline, and none cancelled before."""
    for job in jobs.values():
        outcome.reused += bool(job.result and job.result.reused)
        late = job.code == "DeadlineExceeded"
        outcome.late += late
        deadline = job.spec.deadline
        if deadline is not None and job.started is not None and job.started > deadline:
            outcome.faults.append(f"started after its deadline: {job.id}")
        if late and (deadline is None or (job.ended or 0) < deadline):
            outcome.faults.append(f"cancelled before its deadline: {job.id}")


def check_callbacks(jobs: dict[str, Job], ledger: Ledger, outcome: Report) -> None:
    """Report jobs without a callback, and callbacks with another state than the job's."""
    for job in jobs.values():
        states = ledger.callbacks.get(job.id, [])
        outcome.callbacks += len(states)
        outcome.callbacks_repeated += max(0, len(states) - 1)
        announced = job.state in {State.SUCCESS, State.FAILED} and not job.spec.batch
        if announced and not states:
            outcome.faults.append(f"no callback: {job.id} {job.state}")
        if any(state != job.state for state in states):
            outcome.faults.append(f"wrong callback: {job.id} {job.state} {states}")


def check_objects(service: Service, jobs: dict[str, Job], outcome: Report) -> None:
    """Report stems that are missing, of other attempts than the last, or of jobs without success."""
    s3 = service.s3.client()
    found: set[str] = set()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="out/"):
        found |= {item["Key"] for item in page.get("Contents", [])}
    succeeded = [job for job in jobs.values() if job.state is State.SUCCESS]
    expected = {f"out/{job.id}/{name}" for job in succeeded for name in stub.STEMS}
    stray = found - expected
    outcome.stale_writes += len(stray)
    outcome.faults += [f"object of a job without success: {key}" for key in sorted(stray)]
    outcome.faults += [f"stem is missing: {key}" for key in sorted(expected - found)]
    for job in succeeded:
        for name, model_name in stub.STEMS.items():
            if f"out/{job.id}/{name}" in found:
                _check_stem(s3, job, f"out/{job.id}/{name}", model_name, outcome)
    for upload in s3.list_multipart_uploads(Bucket=BUCKET, MaxUploads=1000).get("Uploads", []):
        parts = s3.list_parts(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
        if parts.get("Parts"):
            outcome.faults.append(f"bytes of a dead attempt are left: {upload['Key']}")
        else:
            outcome.empty_uploads += 1


def _check_stem(s3: Any, job: Job, key: str, model_name: str, outcome: Report) -> None:
    stored = s3.get_object(Bucket=BUCKET, Key=key)
    if stored["Body"].read() != stub.stem(model_name, stub.nonce(job)):
        outcome.faults.append(f"not its own stem: {key}")
    if stored["Metadata"] != {"stemline-job": job.id, "stemline-token": str(job.token)}:
        outcome.stale_writes += 1
        outcome.faults.append(f"written by a stale attempt: {key} {stored['Metadata']} not {job.token}")
