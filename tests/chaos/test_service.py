"""The running service in trouble: real processes, Valkey and S3; only the separator is a stand-in."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from stemline.jobs.errors import StoreUnavailable
from stemline.jobs.states import State
from stemline.jobs.store import QueueFilter, Store
from stemline.runtime.store import open_store
from stemline.testing.processes import eventually
from stemline.testing.s3_proxy import Fault
from tests.chaos import scenarios
from tests.chaos.clients import Client, Receiver
from tests.chaos.ledger import Ledger
from tests.chaos.service import Service
from tests.chaos.trials import SETTINGS, TENANT, run

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(120)]

RECOVERY_S = 30.0

long = pytest.mark.skipif(not os.environ.get("CHAOS"), reason="one of the longer proofs of `make chaos`")


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The whole service, with leases of 6 s, behind a proxy that can spoil S3."""
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
    """A client, and a service that is warm."""
    receiver = Receiver(ledger)
    client = Client(service, ledger, receiver.url, seed=1)
    job_id = scenarios.accepted(client, 0)
    assert scenarios.ended(store, job_id).state is State.SUCCESS
    eventually(lambda: ledger.callbacks[job_id], 30, "the callback")
    yield client
    receiver.close()


def test_a_killed_worker_s_job_runs_again(service: Service, client: Client, store: Store) -> None:
    """kill -9 of a worker: its job is claimed again within the lease and one sweep, and ends well."""
    assert scenarios.killed_worker(service, client, store) < 6 + 1 + 8


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=long), pytest.param(3, marks=long)])
def test_a_stopped_worker_writes_nothing_when_it_wakes(
    service: Service, client: Client, store: Store, seed: int
) -> None:
    """SIGSTOP past the lease at any moment of a job: record and objects stay the next attempt's."""
    after_s = random.Random(seed).uniform(0.1, 0.7)
    assert scenarios.stopped_worker(service, client, store, after_s) < RECOVERY_S


def test_cancel_is_quick_and_clean(service: Service, client: Client, store: Store) -> None:
    """Waiting within 1 s, running within 5 s, with no object, upload or temporary file left."""
    (queue,) = store.queues.search(TENANT, QueueFilter()).items
    assert scenarios.cancel_waiting(service, client, store, queue.id) < 1
    assert scenarios.cancel_running(service, client, store) < 5


@long
@pytest.mark.parametrize("hung", [False, True], ids=["killed", "stopped"])
def test_valkey_away(service: Service, client: Client, store: Store, hung: bool) -> None:
    """Valkey away for 4 s: work goes on within 30 s of its return, and what ran ends well."""

    def once() -> float:
        return scenarios.valkey_away(service, client, store, 4, hung=hung)

    assert once() < RECOVERY_S


def test_connections_cut(service: Service, client: Client, store: Store) -> None:
    """CLIENT KILL of every connection of every process is survived by all of them."""
    assert scenarios.connections_cut(service, client, store) < RECOVERY_S
    assert service.fallen() == []


@long
@pytest.mark.parametrize(
    "fault",
    [Fault(drop=True), Fault(status=500), Fault(status=503, code="SlowDown"), Fault(delay_s=1.0)],
    ids=["down", "500", "503", "slow"],
)
def test_s3_away(service: Service, client: Client, store: Store, fault: Fault) -> None:
    """S3 in trouble for 3 s while jobs run: all of them succeed within 30 s of its return."""
    assert scenarios.s3_away(service, client, store, fault, 3) < RECOVERY_S


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
    """Lost answers to parts and completions are asked again; the stems are right."""
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
    """It fails after three attempts with the reason; the worker's other jobs end at their first."""
    failed = scenarios.poison(service, client, store)
    assert (State.FAILED, 3) == (failed.state, failed.attempt)
    assert "3 attempts" in failed.message


@long
def test_rolling_restart_repeats_nothing(service: Service, client: Client, store: Store) -> None:
    """TERM and restart of each worker under load: every job succeeds at its first attempt."""
    assert scenarios.rolling_restart(service, client, store, 20) == 0


@pytest.mark.last
def test_the_store_is_whole_after_all_that(service: Service, store: Store, ledger: Ledger) -> None:
    """Every accepted job has ended, and its callback told the state it ended in."""

    def told() -> bool:
        try:
            jobs = [store.jobs.find(job_id) for job_id in ledger.accepted]
        except StoreUnavailable:
            return False
        announced = {j.id: j.state for j in jobs if j and j.state in {State.SUCCESS, State.FAILED}}
        return all(j and j.ended for j in jobs) and all(
            set(ledger.callbacks[i]) == {state} for i, state in announced.items()
        )

    eventually(told, 90, "all callbacks")
    assert ledger.accepted, "nothing was tried"
    scenarios.no_file_is_left(service)


def test_random_kills() -> None:
    """Kills at random moments over all processes: nothing lost, done twice, stale or mixed up."""
    outcome = run(8, seed=random.SystemRandom().randrange(10**6))
    assert outcome.faults == [], f"seed {outcome.seed}"
    assert outcome.kills.total() == 8
    assert outcome.states[State.SUCCESS] > 0
