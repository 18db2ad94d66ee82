"""The backup and the restore of docs/operations.md: accepted jobs reach Success afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from stemline.deploy.local.servers import ValkeyServer
from stemline.jobs.states import State
from stemline.runtime.store import open_store
from stemline.testing.processes import eventually
from tests.chaos import scenarios
from tests.chaos.clients import Client, Receiver
from tests.chaos.ledger import Ledger
from tests.chaos.service import Service
from tests.chaos.trials import SETTINGS
from tests.conftest import missing
from tests.support import snippets
from tests.support.processes import children

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path, workers=1, **SETTINGS)
    try:
        service.start()
        yield service
    finally:
        service.stop()


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with `valkey-cli`; Debian's client of Redis knows the same options."""
    found = shutil.which("valkey-cli") or shutil.which("redis-cli")
    if found is None:
        missing("valkey-cli or redis-cli (Debian package redis-tools)")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "valkey-cli").symlink_to(found)
    return folder


def shell(commands: str, folder: Path, programs: Path, **variables: str) -> None:
    """Run commands of the page as they are printed."""
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", **variables}
    subprocess.run(["bash", "-euc", commands], cwd=folder, env=environment, check=True, timeout=300)


@pytest.mark.parametrize("kind", ["snapshot", pytest.param("folder", marks=pytest.mark.thorough)])
def test_restored_jobs_succeed(service: Service, kind: str, tmp_path: Path, programs: Path) -> None:
    """The store's files are damaged; after a restore, waiting and running jobs succeed and are announced.

    The snapshot is taken while the server rewrites its append-only file, which replaces files in its folder.
    """
    take, put = snippets.run_by("test_restore::test_restored_jobs_succeed")
    ledger = Ledger()
    receiver = Receiver(ledger)
    store = open_store(service.settings)
    client = Client(service, ledger, receiver.url, seed=1)
    backup, data = tmp_path / "backup", service.valkey.folder
    backup.mkdir()
    try:
        jobs = [scenarios.accepted(client, 1.5) for _ in range(4)]
        scenarios.running(store, jobs[0])
        if kind == "snapshot":
            with redis.Redis.from_url(service.valkey.url) as server:
                server.bgrewriteaof()
            shell(take, backup, programs, VALKEY_URL=service.valkey.url)
        for part in (*service.parts, "valkey"):
            service.kill(part)
        if kind == "folder":
            shutil.copytree(data / "appendonlydir", backup / "appendonlydir")
        for file in (data / "appendonlydir").iterdir():
            file.write_bytes(b"damaged")
        if kind == "snapshot":
            (snapshot,) = backup.iterdir()
            shutil.copy(snapshot, data / "dump.rdb")
            shell(put, data, programs)
        else:
            shutil.rmtree(data / "appendonlydir")
            shutil.copytree(backup / "appendonlydir", data / "appendonlydir")
        for part in ("valkey", *service.parts):
            service.restart(part)
        for job_id in jobs:
            job = scenarios.ended(store, job_id)
            assert job.state is State.SUCCESS
            scenarios.stems_are_right(service, job)
            eventually(lambda job_id=job_id: ledger.callbacks[job_id], scenarios.MAX_S, "the callback")
    finally:
        store.close()
        receiver.close()


def test_a_snapshot_that_breaks_off_is_none(tmp_path: Path, programs: Path) -> None:
    """If the server is lost during the transfer, the command fails and leaves no file that looks whole."""
    take, _ = snippets.run_by("test_restore::test_restored_jobs_succeed")
    # A snapshot of these keys takes two minutes.
    slow = {"rdb-key-save-delay": "1000000", "repl-diskless-sync-delay": "0"}
    server = ValkeyServer(tmp_path, options=slow)
    backup = tmp_path / "backup"
    backup.mkdir()
    with ThreadPoolExecutor() as pool:
        try:
            server.start()
            with redis.Redis.from_url(server.url, decode_responses=True) as client:
                client.mset({f"key-{number}": "value" for number in range(120)})
                taken = pool.submit(shell, take, backup, programs, VALKEY_URL=server.url)
                eventually(lambda: client.info("persistence")["rdb_bgsave_in_progress"], 180, "the snapshot")
        finally:
            writers = children(server.process.pid) if server.process else []
            server.kill()
            for pid in writers:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with pytest.raises(subprocess.CalledProcessError):
            taken.result()
    assert not list(backup.glob("*.rdb"))
