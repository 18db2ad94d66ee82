"""Callback workers that are killed: every callback is delivered all the same."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.delivery import Delivery
from stemline.jobs.store import RedisStore
from stemline.runtime.settings import Settings
from stemline.runtime.store import store_options
from stemline.testing.processes import eventually
from stemline.testing.receiver import answer, hang, receiving
from stemline.testing.samples import job_result, job_spec
from stemline.workers.app import create_app
from stemline.workers.notifier import CeleryNotifier
from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

END_AND_DIE = """
import os, signal
from stemline.runtime.settings import Settings
from stemline.runtime.store import open_store
from stemline.testing.samples import job_result
store = open_store(Settings())
store.attempts.succeed(store.attempts.claim("dying", [1]), job_result())
os.kill(os.getpid(), signal.SIGKILL)
"""


class Service:
    """A store, and the processes that deliver from it."""

    def __init__(self, url: str, home: Path) -> None:
        self.environment = os.environ | {
            "STEMLINE_REDIS_URL": url,
            "STEMLINE_HOME": str(home),
            "STEMLINE_CALLBACK_ALLOW_NETWORKS": '["127.0.0.0/8"]',
            "STEMLINE_CALLBACK_TIMEOUT_S": "1",
            "STEMLINE_SWEEP_INTERVAL_S": "0.5",
        }
        client = redis.Redis.from_url(url, decode_responses=True)
        self.store = RedisStore(client, store_options(Settings(callback_timeout_s=1)))
        self._home = home
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self._home / f"{words[0]}.txt").open("ab") as out:
            program = [sys.executable, "-m", "stemline", *words]
            process = subprocess.Popen(program, env=self.environment, cwd=REPOSITORY, stdout=out, stderr=out)
        self._processes.append(process)
        return process

    def submit(self, url: str) -> str:
        spec = job_spec(CallbackRequest(url=url, format="JSON"))
        (job,) = self.store.jobs.create([dataclasses.replace(spec, queue_id="")])
        return job.id

    def delivered(self, job_id: str, within_s: float = 300) -> Delivery:
        deadline = time.monotonic() + within_s
        while True:
            delivery = self.store.outbox.for_job(job_id)
            if delivery is not None and delivery.status == "delivered":
                return delivery
            assert time.monotonic() < deadline, f"{delivery}\n{self._logs()}"
            time.sleep(0.02)

    def notify(self, job_id: str) -> None:
        """Send the message that a worker sends after it has ended a job."""
        delivery = self.store.outbox.for_job(job_id)
        with create_app(Settings(redis_url=self.environment["STEMLINE_REDIS_URL"])) as app:
            CeleryNotifier(app).deliver(delivery.id)

    def _logs(self) -> str:
        return "".join(path.read_text()[-3000:] for path in self._home.glob("*.txt"))

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self.store.close()


@pytest.fixture
def service(valkey: redis.Redis, valkey_server, tmp_path) -> Iterator[Service]:
    """A store without processes."""
    service = Service(valkey_server.url, tmp_path)
    yield service
    service.close()


def test_killed_between_the_end_of_the_job_and_the_send(service):
    """A process that dies after ending a job, before its message is sent, delays the callback by a sweep."""
    with receiving() as receiver:
        service.start("beat")
        service.start("worker", "callbacks")
        # The worker is up once it has delivered the first one, for which no message was sent either.
        for _ in range(2):
            job_id = service.submit(receiver.url)
            died = subprocess.run(
                [sys.executable, "-c", END_AND_DIE], env=service.environment, cwd=REPOSITORY, check=False
            )
            assert -9 == died.returncode
            delivery = service.delivered(job_id)
    assert ["200"] == [a.status for a in delivery.attempts]
    assert 2 == len(receiver.received)


def test_killed_while_sending(service):
    """After a worker was killed while sending, the next one sends the same body again."""
    with receiving(hang, answer(200)) as receiver:
        service.start("beat")
        worker = service.start("worker", "callbacks")
        job_id = service.submit(receiver.url)
        service.store.attempts.succeed(service.store.attempts.claim("test", [1]), job_result())
        eventually(lambda: receiver.received, 180, "the delivery")
        worker.kill()
        worker.wait()
        service.start("worker", "callbacks")
        delivery = service.delivered(job_id)
    assert ["200"] == [a.status for a in delivery.attempts]
    first, second = receiver.received
    assert first.body == second.body


def test_the_first_attempt_does_not_wait_for_a_sweep(service):
    """Without beat, and so without sweeps, the message alone leads to the first attempt."""
    with receiving() as receiver:
        service.start("worker", "callbacks")
        for _ in range(2):  # the first one waits for the worker to start
            job_id = service.submit(receiver.url)
            service.store.attempts.succeed(service.store.attempts.claim("test", [1]), job_result())
            service.notify(job_id)
            assert ["200"] == [attempt.status for attempt in service.delivered(job_id).attempts]
