"""A real API server on a real Valkey."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from stemline.deploy.local.servers import ValkeyServer
from stemline.testing.api_server import ApiServer, api_settings
from stemline.testing.client import Client
from tests.conftest import missing

#: Deadlines that no test waits for.
LONG = {"header_timeout_s": 600, "idle_timeout_s": 600, "body_timeout_s": 600, "write_timeout_s": 600}
#: Sooner than any of these, and long for a busy machine, s.
AT_ONCE_S = 180


@pytest.fixture(scope="session")
def common_server(valkey_server: ValkeyServer) -> Iterator[ApiServer]:
    """One API server for all tests that need no settings of their own."""
    with ApiServer(api_settings(redis_url=valkey_server.url, **LONG)) as server:
        yield server


@pytest.fixture
def server(common_server: ApiServer, valkey: redis.Redis) -> ApiServer:
    """The common API server, its store empty."""
    return common_server


@pytest.fixture
def client(server: ApiServer) -> Client:
    """A client with a key."""
    return server.client


@pytest.fixture
def serve(valkey_server: ValkeyServer, valkey: redis.Redis) -> Iterator[Callable[..., ApiServer]]:
    """Starts API servers with settings of their own: ``serve(auto_open=False)``."""
    with ExitStack() as stack:

        def start(*, clock: Callable[[], float] = time.time, **changes: object) -> ApiServer:
            settings = api_settings(**{"redis_url": valkey_server.url, **changes})
            return stack.enter_context(ApiServer(settings, clock=clock))

        yield start


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private certificate for every bucket of the region."""
    if shutil.which("openssl") is None:
        missing("openssl")
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=stemline"
    names = "subjectAltName=DNS:*.ci.ap-chongqing.myqcloud.com,IP:127.0.0.1"
    command = ["openssl", *words.split(), "-keyout", "tls.key", "-out", "tls.crt", "-addext", names]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "tls.crt", folder / "tls.key"
