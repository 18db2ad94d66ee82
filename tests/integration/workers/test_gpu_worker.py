"""A separation worker for a GPU, with stand-ins for the driver and for ONNX Runtime's CUDA provider."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from stemline.deploy.local.ports import free_port
from stemline.jobs.states import State
from stemline.jobs.store import Store
from stemline.runtime.store import open_store
from stemline.storage import Buckets
from stemline.testing.processes import Program, environment, eventually, program, settings
from stemline.workers.app import create_app
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.notifier import CeleryNotifier
from stemline.workers.sweep import Sweeper
from tests.integration.workers.test_separate import ended, sound, submit, weights
from tests.support.measured import MEASURED
from tests.unit.workers.test_sweep import Broker, Quiet

pytestmark = pytest.mark.slow

__all__ = ["weights"]

LOST = "CUDA failure 700: an illegal memory access was encountered ; GPU=0"


@pytest.fixture
def env(valkey_server, s3_server, tmp_path: Path) -> dict[str, str]:
    redis.Redis.from_url(valkey_server.url).flushall()
    return environment(
        valkey_server.url,
        s3_server,
        device="cuda",
        scratch_dir=str(tmp_path),
        retry_delay_s=0,
        batch_wait_ms=20,
        worker_grace_s=0,
        log_level="info",
    )


@pytest.fixture
def notifier(valkey_server, s3_server) -> Iterator[CeleryNotifier]:
    with create_app(settings(valkey_server.url, s3_server)) as app:
        yield CeleryNotifier(app)


@pytest.fixture
def store(valkey_server, s3_server, notifier: CeleryNotifier) -> Iterator[Store]:
    kept = open_store(settings(valkey_server.url, s3_server), notify=notifier.notify_workers)
    yield kept
    kept.close()


def worker(folder: Path, env: dict[str, str]) -> Program:
    return Program(folder / "worker.log", env | MEASURED, "-m", "tests.support.cuda_worker", str(folder))


def batches(folder: Path) -> list[tuple[int, int]]:
    """Return size and segments of each batch since the engine was verified."""
    lines = [line.split() for line in (folder / "batches").read_text().splitlines()]
    return [(int(size), int(filled)) for size, filled in lines][2:]


def test_the_jobs_of_a_worker_share_one_engine_and_its_batches(env, store: Store, s3, tmp_path: Path) -> None:
    """Eight jobs run at once in one process with one engine, and their segments run together."""
    s3.client.put_object(Bucket=s3.bucket, Key="in/a.wav", Body=sound(13))
    jobs = [submit(store, s3, "in/a.wav", user_data=str(number)) for number in range(8)]
    started = worker(tmp_path, env)
    try:
        done = [ended(store, job) for job in jobs]
        assert {(State.SUCCESS, 1)} == {(job.state, job.attempt) for job in done}, started.text()
        assert {"cuda (NVIDIA Stand-in)"} == {job.device for job in done}
        assert started.text().count('"engine.loaded"') == 1
        ran = batches(tmp_path)
        assert sum(filled for _, filled in ran) == 8 * 2
        assert {size for size, _ in ran} <= {1, 16}
        assert max(filled for _, filled in ran) > 3
        assert started.terminate() == 0
    finally:
        started.kill()


def test_a_crash_gives_all_jobs_of_the_process_back(
    env, valkey_server, s3_server, store: Store, notifier: CeleryNotifier, s3, tmp_path: Path
) -> None:
    """Each has a lease of its own: the next worker does all of them, each in its second attempt."""
    s3.client.put_object(Bucket=s3.bucket, Key="in/a.wav", Body=sound(3))
    env |= {"STEMLINE_LEASE_S": "6", "STEMLINE_HEARTBEAT_S": "0.5"}
    first = worker(tmp_path, env)
    try:
        eventually(lambda: '"model.loaded"' in first.text(), 180, "the engine")
        (tmp_path / "hold").touch()
        jobs = [submit(store, s3, "in/a.wav", user_data=str(number)) for number in range(8)]

        def states() -> set[tuple[State, int]]:
            found = [store.jobs.find(job.id) for job in jobs]
            return {(job.state, job.attempt) for job in found if job}

        eventually(lambda: states() == {(State.RUNNING, 1)}, 180, "eight attempts")
    finally:
        first.kill()
    assert states() == {(State.RUNNING, 1)}
    (tmp_path / "hold").unlink()
    found = settings(valkey_server.url, s3_server)
    broker: Any = Broker()
    quiet: Any = Quiet()
    sweeper = Sweeper(
        found, store, Buckets(found), app=broker, notifier=notifier, metrics=WorkerMetrics(), events=quiet
    )
    eventually(lambda: len(store.attempts.expired()) == 8, 60, "the end of the leases")
    sweeper.reclaim_expired()
    with program(tmp_path / "second.log", env, "-m", "tests.support.cuda_worker", str(tmp_path)) as second:

        def done() -> bool:
            notifier.notify_workers(store.jobs.startable(0, 10))
            return states() == {(State.SUCCESS, 2)}

        eventually(done, 180, second.text())
        assert states() == {(State.SUCCESS, 2)}


def test_a_failed_card_costs_no_attempt_and_is_taken_out_of_service(
    env, store: Store, notifier: CeleryNotifier, s3, tmp_path: Path
) -> None:
    """A job goes back uncounted and the worker ends; after two failures it waits, and a metric says so."""
    s3.client.put_object(Bucket=s3.bucket, Key="in/a.wav", Body=sound(3))
    port = free_port()
    env |= {"STEMLINE_METRICS_PORT": str(port)}
    first = worker(tmp_path, env)
    try:
        eventually(lambda: '"model.loaded"' in first.text(), 180, "the engine")
        (tmp_path / "fail").write_text(LOST)
        job = submit(store, s3, "in/a.wav")
        first.process.wait(180)
    finally:
        first.kill()
    assert '"device.failed"' in first.text()
    (tmp_path / "fail").unlink()
    faults = next(tmp_path.glob("stemline-device-faults-*"))
    faults.write_text(2 * faults.read_text())  # the second failure

    with program(tmp_path / "second.log", env, "-m", "tests.support.cuda_worker", str(tmp_path)) as second:
        eventually(lambda: '"device.out_of_service"' in second.text(), 180, "the second start")
        found = store.jobs.find(job.id)
        assert found is not None
        assert (State.SUBMITTED, 0) == (found.state, found.attempt)

        def metrics() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
                return str(answer.read().decode())

        assert "stemline_device_out_of_service 1.0" in metrics()
        faults.unlink()  # an hour later

        def done() -> bool:
            notifier.notify_workers(store.jobs.startable(0, 10))  # as a sweep does after the job's delay
            return bool((now := store.jobs.find(job.id)) and now.ended)

        eventually(done, 180, "the end of the job")
        assert State.SUCCESS == ended(store, job).state
        eventually(lambda: "stemline_device_out_of_service 0.0" in metrics(), 180, "the metric")


def test_a_worker_without_its_card_refuses_to_start(env, tmp_path: Path) -> None:
    """Without an NVIDIA driver the worker ends before it claims a job, and says what is missing."""
    known = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "stemline", "worker", "separate"],
        env={**known, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode not in {0, None}
    assert "cuda was asked for" in done.stderr
    assert "Traceback" not in done.stderr
