"""What every test may ask for: a real Valkey, a real S3 server, a running stack."""

from __future__ import annotations

import filecmp
import gc
import os
import signal
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import redis

import stemline
from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import SeaweedServer, Server, ServerMissing, ValkeyServer
from tests import ordering
from tests.paths import REPOSITORY
from tests.support import ports, s3_models
from tests.support.environment import heed_signals, leave_out_own_settings
from tests.support.logs import configure_plainly
from tests.support.measured import MEASURED, leave_out_processes
from tests.support.shared import SHARED

__all__ = ["REPOSITORY", "S3", "SeaweedServer", "ValkeyServer", "free_port", "missing"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--wheel", action="store_true", help="test the installed, current wheel only")


def pytest_report_header() -> str:
    return f"stemline {stemline.__version__} from {Path(stemline.__file__).parent}"


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--wheel") and (stale := stale_files()):
        raise pytest.UsageError(f"the installed wheel is not this checkout's: {', '.join(stale[:5])}")
    gc.disable()  # nothing that is collected goes away; it takes a fifth of the time
    leave_out_own_settings()
    heed_signals()
    ports.divide()
    s3_models.read_once()
    configure_plainly()
    from hypothesis import HealthCheck, settings

    # A busy machine decides neither how long an example takes nor how long it takes to make one.
    settings.register_profile(
        "stemline",
        settings.get_profile("ci" if os.environ.get("CI") else "default"),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("stemline")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ordering.Scheduling:
    return ordering.Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ordering.arrange(items)


def pytest_collection_finish() -> None:
    """Collected tests stay to the end: the garbage collector need not look through them each time."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the last test of a group its services end."""
    if nextitem is None or ordering.group_of(nextitem.nodeid) != ordering.group_of(item.nodeid):
        SHARED.stop()


def pytest_sessionfinish() -> None:
    SHARED.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """In CI a test that shows a row of docs/wire-coverage.md must run."""
    report: Any = yield
    if os.environ.get("CI") and report.skipped and item.get_closest_marker("shows"):
        report.outcome, report.longrepr = "failed", f"skipped, but it shows a row: {report.longrepr}"
    return report


def stale_files() -> list[str]:
    """The installed files that differ from the checkout's; all of them for an editable installation.

    Of compiled libraries the sources are compared, which a library names when it is loaded.
    """
    made = {".pyc", ".so"}
    installed = [str(file) for file in distribution("stemline").files or () if file.suffix not in made]
    own = [name for name in installed if name.startswith("stemline/")]
    site = Path(str(distribution("stemline").locate_file("")))
    _, differing, absent = filecmp.cmpfiles(site, REPOSITORY / "src", own, shallow=False)
    return [*differing, *absent] if own else installed


@pytest.fixture(scope="session", autouse=True)
def few_measured_processes() -> None:
    """Coverage counts lines in this process, and in few of those that tests start."""
    leave_out_processes()


@pytest.fixture(autouse=True)
def unchanged_environment() -> Iterator[None]:
    """A command that a test runs in this process changes variables for itself alone, as on a real start."""
    before = dict(os.environ)
    yield
    pytests_own = "PYTEST_CURRENT_TEST"  # it says in which phase the test is, and must be there
    before[pytests_own] = os.environ.get(pytests_own, before[pytests_own])
    # Only what differs: to set all variables takes longer than most tests.
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


def missing(what: str) -> None:
    """A service that cannot be had is a skip on a laptop and a failure in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


def running(server: Server) -> Iterator[None]:
    """Start a server for as long as a fixture lives; it is killed, since SeaweedFS takes seconds to stop."""
    try:
        server.start()
    except ServerMissing as error:
        missing(str(error))
    yield
    server.kill()


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One real Valkey for the whole run."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    for _ in running(server):
        yield server


@pytest.fixture
def valkey(valkey_server: ValkeyServer) -> Iterator[redis.Redis]:
    """A client of an empty real Valkey."""
    client = redis.Redis.from_url(valkey_server.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    """One real S3 server for the whole run."""
    server = SeaweedServer(tmp_path_factory.mktemp("seaweedfs"))
    for _ in running(server):
        yield server


@pytest.fixture(scope="session")
def s3_client(s3_server: SeaweedServer) -> Iterator[Any]:
    """One boto3 client with the server's keys: to make one takes longer than most requests."""
    client = s3_server.client()
    yield client
    client.close()


@dataclass(frozen=True, slots=True)
class S3:
    """An empty bucket of a real S3 server, and how it is reached."""

    endpoint_url: str
    access_key: str
    secret_key: str
    region: str
    bucket: str
    client: Any
    """A boto3 client with its keys."""


@pytest.fixture
def s3(s3_server: SeaweedServer, s3_client: Any) -> Iterator[S3]:
    """A new, empty bucket on the real S3 server."""
    bucket = f"media-{uuid.uuid4().int % 10**10:010d}"
    client, server = s3_client, s3_server
    client.create_bucket(Bucket=bucket)
    yield S3(server.endpoint_url, server.access_key, server.secret_key, "ap-chongqing", bucket, client)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", []):
            client.delete_object(Bucket=bucket, Key=item["Key"])
    client.delete_bucket(Bucket=bucket)


@pytest.fixture(scope="session")
def stack_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tests' stack."""
    return tmp_path_factory.mktemp("stack") / ".stemline"


@pytest.fixture(scope="module")
def where(stack_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The running stack's ``stack.json``; it began as a user's does, without weights."""
    from stemline.testing.processes import running_stack

    @contextmanager
    def start() -> Iterator[Any]:
        models = tmp_path_factory.mktemp("models")
        log = tmp_path_factory.mktemp("log") / "up.log"
        with running_stack(stack_home, log, STEMLINE_MODELS_DIR=str(models), **MEASURED) as running:
            yield running
            # It ends as at Ctrl-C.
            stack = running[0]
            stack.process.send_signal(signal.SIGINT)
            assert 0 == stack.process.wait(120), stack.text()
            assert "Stopped" in stack.text()

    _, document = SHARED.get("stack", start)
    return dict(document)
