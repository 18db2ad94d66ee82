"""The restore drill of docs/operations.md: from either kind of backup, accepted jobs reach Success."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from stemline.deploy.local.servers import valkey_program
from stemline.jobs.states import State
from stemline.runtime.store import open_store
from stemline.testing.processes import eventually
from tests.chaos import scenarios
from tests.chaos.clients import Client, Receiver
from tests.chaos.ledger import Ledger
from tests.chaos.service import Service
from tests.chaos.trials import SETTINGS

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path, workers=1, **SETTINGS)
    try:
        service.start()
        yield service
    finally:
        service.stop()


def back_up(service: Service, kind: str, backup: Path) -> None:
    """Copy the store's data while it serves."""
    with redis.Redis.from_url(service.valkey.url, decode_responses=True) as client:
        if kind == "AOF":
            client.bgrewriteaof()
            eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"], 180, "the rewrite")
            shutil.copytree(service.valkey.folder / "appendonlydir", backup / "appendonlydir")
        else:
            client.bgsave()
            eventually(lambda: not client.info("persistence")["rdb_bgsave_in_progress"], 180, "the snapshot")
            shutil.copy(service.valkey.folder / "dump.rdb", backup / "dump.rdb")


def restore(service: Service, kind: str, backup: Path) -> None:
    """Put the backup in place of the lost data and start Valkey on it."""
    folder = service.valkey.folder
    if kind == "RDB":
        turn_into_aof(backup, service.valkey.port)
    shutil.copytree(backup / "appendonlydir", folder / "appendonlydir")
    service.restart("valkey")


def turn_into_aof(backup: Path, port: int) -> None:
    """Load the snapshot without an append-only file, then let Valkey write one."""
    options = {"port": port, "bind": "127.0.0.1", "dir": backup, "appendonly": "no", "save": ""}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    server = subprocess.Popen([valkey_program(), *words], stdout=subprocess.DEVNULL)
    with redis.Redis(port=port, decode_responses=True) as client:

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.exceptions.RedisError:
                return False

        eventually(answers, 180, "Valkey on the snapshot")
        client.config_set("appendonly", "yes")
        eventually(
            lambda: not client.info("persistence")["aof_rewrite_in_progress"], 180, "the first rewrite"
        )
        client.shutdown(nosave=True)
    assert 0 == server.wait(60)


@pytest.mark.parametrize("kind", ["AOF", "RDB"])
def test_restored_jobs_succeed(service: Service, kind: str, tmp_path: Path) -> None:
    """The data is lost; after the restore of a backup, waiting and running jobs succeed and are announced."""
    ledger = Ledger()
    receiver = Receiver(ledger)
    store = open_store(service.settings)
    client = Client(service, ledger, receiver.url, seed=1)
    backup = tmp_path / "backup"
    backup.mkdir()
    try:
        jobs = [scenarios.accepted(client, 1.5) for _ in range(4)]
        scenarios.running(store, jobs[0])
        back_up(service, kind, backup)
        for part in (*service.parts, "valkey"):
            service.kill(part)
        for lost in ("appendonlydir", "dump.rdb"):
            path = service.valkey.folder / lost
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        restore(service, kind, backup)
        for part in service.parts:
            service.restart(part)
        for job_id in jobs:
            job = scenarios.ended(store, job_id)
            assert job.state is State.SUCCESS
            scenarios.stems_are_right(service, job)
            eventually(lambda job_id=job_id: ledger.callbacks[job_id], scenarios.MOST_S, "the callback")
    finally:
        store.close()
        receiver.close()
