"""Endpoints of message queues that lead to the service's own databases."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from stemline.runtime import bootstrap
from stemline.runtime.errors import EndpointRefused
from stemline.runtime.message_queues import check_endpoints
from stemline.runtime.settings import Settings
from stemline.testing import InMemoryStore

OWN = "redis://:pass@127.0.0.1:6390/2"


def configured(endpoint: str, store: str = OWN, broker: str | None = None) -> Settings:
    return Settings(redis_url=store, broker_url=broker, tdmq_endpoints={"gz": endpoint})


SAME = (
    OWN,
    "redis://localhost:6390/2",
    "redis://LOCALHOST.:6390/2",
    "redis://127.0.0.1:6390//2",
    "redis://127.0.0.1:6390/02",
    "redis://127.0.0.1:6390/%32",
    "redis://127.0.0.1:6390/2/",
    "rediss://127.0.0.1:6390/2",
    "redis://127.1:6390/2",
    "redis://2130706433:6390/2",
    "redis://0.0.0.0:6390/2",
    "redis://127.9.9.9:6390/2",
    "redis://[::1]:6390/2",
    "redis://[::ffff:127.0.0.1]:6390/2",
    "redis://someone:else@127.0.0.1:6390/2",
    "redis://other.invalid:6390/2;redis://127.0.0.1:6390/2",
    f"redis://{socket.gethostname()}:6390/2",
    "redis+socket:///run/redis.sock?virtual_host=2",
    "redis://127.0.0.1:6390/9?db=2",
)


@pytest.mark.parametrize("endpoint", SAME)
def test_every_spelling_of_our_own_database_is_refused(endpoint: str) -> None:
    """An endpoint that may be the store's database is refused, whichever of the two is the broker's."""
    for settings in (
        configured(endpoint),
        configured(endpoint, "redis://127.0.0.1:1/0", OWN),
        configured(OWN, "redis://localhost:6390/2"),
    ):
        with pytest.raises(EndpointRefused, match="gz") as caught:
            check_endpoints(settings)
        assert "pass" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["redis://127.0.0.1", "redis://127.0.0.1:6379/", "redis://localhost/0"])
def test_what_is_left_out_is_implied(endpoint: str) -> None:
    """Database 0 and port 6379 are meant where a URL has none."""
    for store in ("redis://localhost", "redis://localhost:6379/0", "redis://localhost:6379/?db=0"):
        with pytest.raises(EndpointRefused):
            check_endpoints(configured(endpoint, store))


def test_names_are_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two names of one address are one server."""
    addresses = {"store.example": "192.0.2.7", "queues.example": "192.0.2.7", "far.example": "192.0.2.8"}

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses[host], port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(EndpointRefused):
        check_endpoints(configured("redis://queues.example:6379/0", "redis://store.example/0"))
    check_endpoints(configured("redis://far.example:6379/0", "redis://store.example/0"))


@pytest.mark.parametrize(
    "endpoint",
    [
        "redis://127.0.0.1:6390/3",
        "redis://127.0.0.1:6391/2",
        "redis+socket:///run/redis.sock?virtual_host=3",
        "amqp://user:pass@127.0.0.1:6390/2",
        "https://cmq-gz.public.example.com",
        "http://127.0.0.1:6390/2",
    ],
)
def test_other_databases_and_servers_are_allowed(endpoint: str) -> None:
    """Another database, another port, RabbitMQ and CMQ are no databases of ours."""
    check_endpoints(configured(endpoint))


@pytest.mark.parametrize(
    "endpoint",
    [
        "memory://",
        "filesystem://",
        "sqla+sqlite:///x",
        "sentinel://127.0.0.1:26379/2",
        "redis://127.0.0.1:6390/x",
        "redis://127.0.0.1:6390/3?virtual_host=2",
        "redis://127.0.0.1:99999/3",
        "127.0.0.1:6390",
        "",
    ],
)
def test_what_cannot_be_judged_is_refused(endpoint: str) -> None:
    """A transport or a spelling whose server and database are not certain is refused at the start."""
    with pytest.raises(EndpointRefused):
        check_endpoints(configured(endpoint))


def test_processes_refuse_to_start() -> None:
    """The API and the callback worker do not start with such an endpoint."""
    settings = configured("redis://localhost:6390/2")
    with pytest.raises(EndpointRefused):
        bootstrap.api(settings, InMemoryStore())
    with pytest.raises(EndpointRefused):
        bootstrap.callback_worker(settings)


def test_the_check_of_settings_reports_it() -> None:
    """``stemline settings --check`` fails and says which entry is wrong."""
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("STEMLINE_")},
        "STEMLINE_REDIS_URL": OWN,
        "STEMLINE_TDMQ_ENDPOINTS": '{"sh": "redis://localhost:6390/2"}',
    }
    command = [sys.executable, "-m", "stemline", "settings", "--check"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "STEMLINE_TDMQ_ENDPOINTS at sh" in done.stderr
    assert "pass" not in done.stderr
