"""A service for the commands: a real API and a real bucket, jobs in memory, a worker in a thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stemline.cli.main import main
from stemline.cli.wait_notice import WaitNotice
from stemline.client import Client, S3Access, Target
from stemline.client.target import save_profile
from stemline.runtime.settings import BucketAccess, HostRoute
from stemline.testing.api_server import ApiServer, api_settings
from stemline.testing.client import REGION, SECRET_ID, SECRET_KEY
from stemline.testing.in_memory_store import InMemoryStore
from tests.conftest import S3
from tests.support.separating import Worker, separating


@dataclass(frozen=True)
class Service:
    """A running service, and the commands that use it by the profile `default`."""

    client: Client
    worker: Worker
    s3: S3
    environment: dict[str, str]
    """Variables of a command that runs in a process of its own."""

    def run(self, *words: str, code: int = 0) -> Result:
        """Run a command in this process; its output must be that of a program, not of a terminal."""
        result = CliRunner().invoke(main, list(words))
        assert code == result.exit_code, f"{result.output}\n{result.exception!r}"
        return result


@pytest.fixture
def service(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service with an empty bucket; commands do not say that a busy machine is slow."""
    monkeypatch.setattr(WaitNotice, "silent_s", 600.0)
    routes = {"*": HostRoute(bucket=s3.bucket, region=REGION)}
    home = tmp_path / "home"
    environment = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    access = BucketAccess(
        endpoint_url=s3.endpoint_url, access_key=s3.access_key, secret_key=s3.secret_key, keeps_files=True
    )
    settings = api_settings(hosts=routes, buckets={"*": access})
    with ApiServer(settings, InMemoryStore()) as server:
        keys = S3Access(s3.endpoint_url, s3.access_key, s3.secret_key)
        target = Target(f"http://127.0.0.1:{server.port}", SECRET_ID, SECRET_KEY, s3.bucket, REGION, s3=keys)
        save_profile("default", target)
        with Client(target) as client, separating(server.store, s3) as worker:
            yield Service(client, worker, s3, environment)
