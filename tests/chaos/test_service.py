"""Faults in the running service: real processes, Valkey and S3; only the separator is a stub."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemline.jobs.errors import StoreUnavailable
from stemline.jobs.states import State
from stemline.jobs.store import QueueFilter, Store
from stemline.runtime.store import open_store
from stemline.testing.processes import eventually
from stemline.testing.s3_proxy import Fault
from tests.chaos import scenarios, tracks
from tests.chaos.clients import Client, Receiver
from tests.chaos.ledger import Ledger
from tests.chaos.service import Service
from tests.chaos.trials import SETTINGS, TENANT

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(600)]

#: The times that are promised are those of a machine that does nothing else, as it should for `make chaos`.
SLACK = 1 if os.environ.get("CHAOS") else 60
RECOVERY_S = 30.0 * SLACK

long = pytest.mark.skipif(not os.environ.get("CHAOS"), reason="part of `make chaos`")


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The whole service, with leases of 6 s, behind a proxy that can inject faults into S3."""
    service = Service(tmp_path_factory.mktemp("service"), faulty_s3=True, **SETTINGS)
    try:
        service.start()
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="module")
def store(service: Service) -> Iterator[Store]:
    store = open_store(service.settings)
    yield store
    store.close()


@pytest.fixture(scope="module")
def client(service: Service, store: Store, ledger: Ledger) -> Iterator[Client]:
    """A client, once the service has done its first job."""
    receiver = Receiver(ledger)
    client = Client(service, ledger, receiver.url, seed=1)
    job_id = scenarios.accepted(client, 0)
    assert scenarios.ended(store, job_id).state is State.SUCCESS
    eventually(lambda: ledger.callbacks[job_id], scenarios.MAX_S, "the callback")
    yield client
    receiver.close()


def test_a_killed_worker_s_job_runs_again(service: Service, client: Client, store: Store) -> None:
    """kill -9 of a worker: its job is claimed again within the lease and one sweep, and succeeds."""
    assert scenarios.killed_worker(service, client, store) < (6 + 1 + 8) * SLACK


def test_equal_jobs_survive_the_death_of_the_one_that_is_separated(
    service: Service, client: Client, store: Store
) -> None:
    """kill -9 of its worker: one of two equal jobs is separated again, the other one gets copies."""
    assert 1 == scenarios.reused(service, client, store)


def test_a_batch_survives_the_death_of_what_feeds_it(service: Service, client: Client, store: Store) -> None:
    """kill -9 of the callback worker and a worker: each row is one job with its own stems."""
    assert 8 == scenarios.batch(service, client, store, 8)


@pytest.mark.usefixtures("client")
def test_a_folder_of_tracks_is_separated_once(service: Service, tmp_path: Path) -> None:
    """kill -9 of `stemline submit FOLDER`, a worker and the API: each track has one job and its own stems."""
    outcome = tracks.run(tracks.Folder(service, tmp_path, 16), 16, ["client", "worker-1", "api"])
    assert ([], 16) == (outcome.faults, outcome.jobs)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=long), pytest.param(3, marks=long)])
def test_a_stopped_worker_writes_nothing_when_it_continues(
    service: Service, client: Client, store: Store, seed: int
) -> None:
    """SIGSTOP past the lease at any moment of a job: record and objects are those of the next attempt."""
    after_s = random.Random(seed).uniform(0.1, 0.7)
    assert scenarios.stopped_worker(service, client, store, after_s) < RECOVERY_S


def test_cancel_is_quick_and_clean(service: Service, client: Client, store: Store) -> None:
    """A waiting job is cancelled within 1 s, a running one within 5 s, and nothing of it is left."""
    (queue,) = store.queues.search(TENANT, QueueFilter()).items
    assert scenarios.cancel_waiting(service, client, store, queue.id) < 1 * SLACK
    assert scenarios.cancel_running(service, client, store) < 5 * SLACK


@long
@pytest.mark.parametrize("hung", [False, True], ids=["killed", "stopped"])
def test_valkey_away(service: Service, client: Client, store: Store, hung: bool) -> None:
    """After 4 s without Valkey, work continues within 30 s, and the job that was running succeeds."""

    def once() -> float:
        return scenarios.valkey_unavailable(service, client, store, 4, hung=hung)

    assert once() < RECOVERY_S


def test_connections_cut(service: Service, client: Client, store: Store) -> None:
    """Every process survives CLIENT KILL of all its connections."""
    assert scenarios.connections_cut(service, client, store) < RECOVERY_S
    assert service.exited() == []


@long
@pytest.mark.parametrize(
    "fault",
    [Fault(drop=True), Fault(status=500), Fault(status=503, code="SlowDown"), Fault(delay_s=1.0)],
    ids=["down", "500", "503", "slow"],
)
def test_s3_away(service: Service, client: Client, store: Store, fault: Fault) -> None:
    """S3 faulty for 3 s while jobs run: all of them succeed within 30 s after that."""
    assert scenarios.s3_unavailable(service, client, store, fault, 3) < RECOVERY_S


def test_s3_refuses(service: Service, client: Client, store: Store) -> None:
    """403 for reading and for writing fail the job with the wire's codes, and leave nothing."""
    for method, having, code in (
        ("GET", "/in/", "ResourceAccessDenied"),
        ("POST", "uploads", "WriteTargetBucketDenied"),
        ("PUT", "partNumber", "WriteTargetBucketDenied"),
    ):
        fault = Fault(status=403, code="AccessDenied")
        with scenarios.proxied(service, fault, method, having):
            job = scenarios.ended(store, scenarios.accepted(client, 0))
        assert (State.FAILED, code) == (job.state, job.code)
        scenarios.nothing_is_left(service, job.id)


@long
def test_answers_lost_while_publishing(service: Service, client: Client, store: Store) -> None:
    """Requests for parts and completions are repeated after a lost response; the stems are right."""
    left = [6]

    def plan(method: str, path: str) -> Fault | None:
        if method in {"PUT", "POST"} and "uploadId" in path and left[0] > 0:
            left[0] -= 1
            return Fault(lose_answer=True)
        return None

    assert service.proxy is not None
    service.proxy.plan = plan
    job = scenarios.ended(store, scenarios.accepted(client, 0))
    service.proxy.plan = lambda method, path: None
    assert (State.SUCCESS, 1) == (job.state, job.attempt)
    scenarios.stems_are_right(service, job)


@long
def test_a_job_that_kills_its_engine(service: Service, client: Client, store: Store) -> None:
    """It fails after three attempts with the reason; other jobs succeed at their first attempt."""
    failed = scenarios.poison(service, client, store)
    assert (State.FAILED, 3) == (failed.state, failed.attempt)
    assert "3 attempts" in failed.message


@long
def test_rolling_restart_repeats_nothing(service: Service, client: Client, store: Store) -> None:
    """TERM and restart of each worker under load: every job succeeds at its first attempt."""
    assert scenarios.rolling_restart(service, client, store, 20) == 0


@pytest.mark.last
def test_the_store_is_whole_after_all_that(service: Service, store: Store, ledger: Ledger) -> None:
    """Every accepted job has ended, and its callbacks carry its final state."""

    def consistent() -> bool:
        try:
            jobs = [store.jobs.find(job_id) for job_id in ledger.accepted]
        except StoreUnavailable:
            return False
        announced = {j.id: j.state for j in jobs if j and j.state in {State.SUCCESS, State.FAILED}}
        return all(j and j.ended for j in jobs) and all(
            set(ledger.callbacks[i]) == {state} for i, state in announced.items()
        )

    eventually(consistent, 300, "all callbacks")
    assert ledger.accepted, "no job was accepted"
    scenarios.no_file_is_left(service)
