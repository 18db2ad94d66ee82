"""Every process while the server of the store and the broker answers every command with an error."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from stemline.deploy.local.servers import ValkeyServer
from stemline.jobs.store.server_errors import MEANINGS
from stemline.testing.processes import eventually
from stemline.testing.resp_proxy import ABORT, RespProxy
from tests.conftest import running
from tests.support.service import Service, running_service

pytestmark = pytest.mark.slow

FAULT_S = 1.5
#: One word of each kind that the clients of Redis and Celery treat in a way of its own.
WORDS = ("LOADING", "READONLY", "MASTERDOWN", "MOVED", "OOM", "NOAUTH")
REPLIES = [
    *(f"{word} 3999 127.0.0.1:1" for word in WORDS),
    *(
        pytest.param(f"{word} 3999 127.0.0.1:1", marks=pytest.mark.thorough)
        for word in MEANINGS
        if word.isupper() and word not in WORDS
    ),
    "ERR an injected error",
    pytest.param("NEWWORD of a later server", marks=pytest.mark.thorough),
    ABORT,
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """All processes behind the proxy."""
    folder = tmp_path_factory.mktemp("service")
    server = ValkeyServer(folder)
    for _ in running(server):
        with RespProxy(server.port) as proxy, running_service(folder, proxy) as service:
            yield service


def test_a_job_passes_through_all_processes(service: Service) -> None:
    """Without a fault a job is taken, ended and reported."""
    assert "Failed" == service.do_job()  # its bucket refuses


@pytest.mark.parametrize("reply", REPLIES)
def test_every_process_goes_on_after_every_word(reply: str, service: Service) -> None:
    """During the fault the API answers 503 with Retry-After; within seconds after it jobs are done again."""
    assert service.proxy is not None
    with service.proxy.refuse(reply):
        end = time.monotonic() + FAULT_S
        while time.monotonic() < end:
            refused = service.submit()
            assert (503, "SlowDown") == (refused.status, refused.code)
            assert int(refused.headers["retry-after"]) >= 1
            assert not service.ready()
            time.sleep(0.3)
    assert "Failed" == service.do_job()  # its bucket refuses
    dead = [name for name, each in service.programs.items() if each.process.poll() is not None]
    assert not dead, service.programs[dead[0]].text()[-3000:]
    eventually(lambda: 200 == service.status(service.flower_url + "/healthcheck"), 180, "Flower")


def test_no_request_was_answered_with_an_internal_error(service: Service) -> None:
    """Among all faults the API logged no request that ended in 500."""
    assert not re.findall(r'"status": ?500', service.programs["api"].text())
