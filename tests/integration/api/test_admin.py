"""The port for operators: metrics and readiness, which the public port does not serve."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from stemline.api import admin
from stemline.api.metrics import ApiMetrics
from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import ValkeyServer
from stemline.testing.api_server import ApiServer, api_settings
from stemline.testing.client import Answer, exchange
from stemline.testing.processes import eventually


def ask(port: int, path: str, method: str = "GET") -> Answer:
    """Ask without a signature."""
    return exchange(port, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), head=method == "HEAD")


@pytest.fixture
def operators(server: ApiServer, valkey_server: ValkeyServer) -> Iterator[int]:
    """The port of a running admin server."""
    port = free_port()
    settings = api_settings(redis_url=valkey_server.url, metrics_port=port)
    with admin.serving(settings, ApiMetrics(), public=("127.0.0.1", server.port)):
        eventually(lambda: answers(port), 180, "the admin server")
        yield port


def answers(port: int) -> bool:
    try:
        return ask(port, "/healthz").status == 200
    except OSError:
        return False


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/metrics/",
        "/metrics%2f",
        "//metrics",
        "/%6detrics",
        "/metrics?x=1",
        "/readyz",
        "/readyz/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_not_on_the_public_port(server: ApiServer, path: str, method: str) -> None:
    """Metrics and readiness are no resources of the public port, however they are spelled."""
    assert 404 == ask(server.port, path, method).status


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_operators_port(operators: int, path: str, method: str) -> None:
    """The port for operators serves liveness, readiness and metrics; HEAD has no body."""
    answer = ask(operators, path, method)
    assert 200 == answer.status
    assert (method == "GET") == bool(answer.body)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_liveness_on_the_public_port(server: ApiServer, method: str) -> None:
    """The public port says that the process runs, and nothing more."""
    answer = ask(server.port, "/healthz", method)
    assert 200 == answer.status
    assert (b'{"status":"ok"}' if method == "GET" else b"") == answer.body


def test_not_ready_without_the_store(server: ApiServer, tmp_path: Path) -> None:
    """Readiness reports which service does not answer; liveness is not affected."""
    valkey = ValkeyServer(tmp_path)
    valkey.start()
    port = free_port()
    settings = api_settings(redis_url=valkey.url, metrics_port=port)
    with admin.serving(settings, ApiMetrics(), public=("127.0.0.1", server.port)):
        eventually(lambda: answers(port), 180, "the admin server")
        assert 200 == ask(port, "/readyz").status
        valkey.stop()
        answer = ask(port, "/readyz")
        assert 200 == ask(port, "/healthz").status
    assert (503, "1") == (answer.status, answer.headers["retry-after"])
    expected = {"status": "unavailable", "api": "ok", "store": "unreachable", "broker": "unreachable"}
    assert expected == json.loads(answer.body)


def test_not_ready_where_changes_cannot_be_confirmed(server: ApiServer, tmp_path: Path) -> None:
    """With STEMLINE_DURABILITY=disk and no append-only file, readiness gives the reason."""
    valkey = ValkeyServer(tmp_path, appendfsync="always")
    valkey.start()
    port = free_port()
    settings = api_settings(redis_url=valkey.url, metrics_port=port, durability="disk")
    with admin.serving(settings, ApiMetrics(), public=("127.0.0.1", server.port)):
        eventually(lambda: answers(port), 180, "the admin server")
        assert "ok" == json.loads(ask(port, "/readyz").body)["durability"]
        with redis.Redis.from_url(valkey.url) as client:
            client.config_set("appendonly", "no")
        answer = ask(port, "/readyz")
    valkey.stop()
    assert 503 == answer.status
    assert "no append-only file" in json.loads(answer.body)["durability"]


def test_not_ready_before_the_api_listens(valkey_server: ValkeyServer) -> None:
    """Readiness waits for the public port: nothing is sent to an API that cannot be reached."""
    port = free_port()
    settings = api_settings(redis_url=valkey_server.url, metrics_port=port)
    with admin.serving(settings, ApiMetrics(), public=("127.0.0.1", free_port())):
        eventually(lambda: answers(port), 180, "the admin server")
        assert 503 == ask(port, "/readyz").status


def test_nothing_without_a_port(valkey_server: ValkeyServer) -> None:
    """Without a port nothing is served and nothing is opened."""
    settings = api_settings(redis_url=valkey_server.url)
    with admin.serving(settings, ApiMetrics(), public=("127.0.0.1", free_port())):
        assert "admin" not in {thread.name for thread in threading.enumerate()}
