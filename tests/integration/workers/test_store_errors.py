"""Every process while the server of the store and the broker answers every command with an error."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import ValkeyServer
from stemline.jobs.store.server_errors import MEANINGS
from stemline.testing.client import SECRET_ID, SECRET_KEY, Answer, Client, submission
from stemline.testing.processes import Program, eventually, program
from stemline.testing.receiver import Receiver, answer, receiving
from stemline.testing.resp_proxy import ABORT, RespProxy
from tests.conftest import running

FAULT_S = 1.5
RECOVERY_S = 40.0
REPLIES = [
    *(f"{word} 3999 127.0.0.1:1" for word in MEANINGS if word.isupper()),
    "ERR an injected error",
    "NEWWORD of a later server",
    ABORT,
]


@dataclass(frozen=True, slots=True)
class Service:
    """All processes, behind a proxy for their store and broker."""

    proxy: RespProxy
    client: Client
    receiver: Receiver
    flower_url: str
    programs: dict[str, Program]

    def submit(self) -> Answer:
        """Submit a job; it fails in the worker at once, as no bucket is configured, and has a callback."""
        body = submission(
            request=f"<CallBack>{self.receiver.url}</CallBack><CallBackFormat>JSON</CallBackFormat>"
        )
        return self.client.post("/jobs", body, {"Content-Type": "application/xml"})

    def status(self, url: str) -> int:
        try:
            return httpx.get(url, trust_env=False, timeout=10).status_code
        except httpx.TransportError:
            return 0

    def ready(self) -> bool:
        return self.status(f"http://127.0.0.1:{self.client.port}/readyz") == 200

    def do_job(self) -> None:
        """Submit a job and wait for its callback."""
        answered = self.submit()
        assert 200 == answered.status, answered.body
        job_id = (answered.text("JobsDetail/JobId") or "").encode()
        eventually(
            lambda: any(job_id in each.body for each in list(self.receiver.received)),
            RECOVERY_S,
            "the callback",
        )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """API, separation worker, callback worker, Celery beat and Flower behind the proxy."""
    folder = tmp_path_factory.mktemp("service")
    port, flower = free_port(), free_port()
    server = ValkeyServer(folder)
    with ExitStack() as stack:
        stack.callback(server.stop)
        next(running(server))
        proxy = stack.enter_context(RespProxy(server.port))
        receiver = stack.enter_context(receiving(answer(200)))
        env = {
            "STEMLINE_REDIS_URL": proxy.url,
            "STEMLINE_KEY_PREFIX": "store-errors",
            "STEMLINE_CREDENTIALS": f'[{{"secret_id": "{SECRET_ID}", "secret_key": "{SECRET_KEY}"}}]',
            "STEMLINE_PRELOAD_MODELS": "[]",
            "STEMLINE_SWEEP_INTERVAL_S": "1",
            "STEMLINE_RATE_LIMIT_PER_S": "0",
            "STEMLINE_CALLBACK_ALLOW_NETWORKS": '["127.0.0.0/8"]',
            "FLOWER_BASIC_AUTH": "user:password",
        }
        words = {
            "api": ("api", "--port", str(port)),
            "separate": ("worker", "separate"),
            "callbacks": ("worker", "callbacks"),
            "beat": ("beat",),
            "flower": ("flower", "--port", str(flower)),
        }
        programs = {
            name: stack.enter_context(program(folder / f"{name}.log", env, "-m", "stemline", *command))
            for name, command in words.items()
        }
        service = Service(
            proxy=proxy,
            client=Client(port),
            receiver=receiver,
            flower_url=f"http://127.0.0.1:{flower}/healthcheck",
            programs=programs,
        )
        eventually(service.ready, 60, "the API")
        eventually(lambda: service.status(service.flower_url) == 200, 60, "Flower")
        yield service


def test_a_job_passes_through_all_processes(service: Service) -> None:
    """Without a fault a job is taken, ended and reported."""
    service.do_job()


@pytest.mark.parametrize("reply", REPLIES)
def test_every_process_goes_on_after_every_word(reply: str, service: Service) -> None:
    """During the fault the API answers 503 with Retry-After; within seconds after it jobs are done again."""
    with service.proxy.refuse(reply):
        end = time.monotonic() + FAULT_S
        while time.monotonic() < end:
            refused = service.submit()
            assert (503, "SlowDown") == (refused.status, refused.code)
            assert int(refused.headers["retry-after"]) >= 1
            assert not service.ready()
            time.sleep(0.3)
    service.do_job()
    dead = [name for name, each in service.programs.items() if each.process.poll() is not None]
    assert not dead, service.programs[dead[0]].text()[-3000:]
    assert 200 == service.status(service.flower_url)


def test_no_request_was_answered_with_an_internal_error(service: Service) -> None:
    """Among all faults the API logged no request that ended in 500."""
    assert not re.findall(r'"status": ?500', service.programs["api"].text())
