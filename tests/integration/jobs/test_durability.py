"""What an answered change survives: STEMLINE_DURABILITY on real servers, a replica among them."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from stemline.deploy.local.servers import ValkeyServer
from stemline.jobs.errors import NotConfirmed, StoreUnavailable
from stemline.jobs.job import JobSpec
from stemline.jobs.states import State
from stemline.jobs.store import RedisStore, StoreOptions, scripts
from stemline.jobs.store import durability as durability_module
from stemline.jobs.store.durability import (
    CONFIRMED_SCRIPTS,
    REPEATED_SCRIPTS,
    Confirmation,
    Durability,
    shortcoming,
)
from stemline.jobs.store.values import Idempotency
from stemline.runtime.settings import Settings
from stemline.runtime.store import open_store, probe_durability
from stemline.testing.processes import eventually, stop
from stemline.testing.samples import job_spec
from stemline.wire.errors import code_of, status_of
from tests.conftest import running

ONCE = Idempotency("once", "0" * 64)


def spec() -> JobSpec:
    """Return a job for its bucket's own queue."""
    return replace(job_spec(), queue_id="")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server of this test alone, since tests change its settings."""
    valkey = ValkeyServer(tmp_path / "primary", appendfsync="always")
    (tmp_path / "primary").mkdir()
    for _ in running(valkey):
        yield valkey


@pytest.fixture
def admin(server: ValkeyServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        yield client


@pytest.fixture(autouse=True)
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait three seconds for what will not come."""
    monkeypatch.setattr(durability_module, "_TIMEOUT_MS", 500)


@contextmanager
def opened(server: ValkeyServer, durability: Durability) -> Iterator[RedisStore]:
    store = RedisStore.open(server.url, StoreOptions(durability=durability))
    try:
        yield store
    finally:
        store.close()


def test_disk_answers_when_the_file_is_synced(server: ValkeyServer, admin: redis.Redis) -> None:
    """Every kind of change a client relies on is answered while the file is synced."""
    with opened(server, Durability.DISK) as store:
        (job,) = store.jobs.create([spec()])
        store.jobs.cancel(job.spec.tenant, [job.id])
        assert store.jobs.get(job.spec.tenant, [job.id])[0].state == State.CANCEL
        assert admin.info("persistence")["aof_pending_bio_fsync"] == 0


def test_disk_is_not_answered_before_the_file_is_synced(server: ValkeyServer, admin: redis.Redis) -> None:
    """Where nothing is synced there is no answer but a retryable error, also for a repeated submission."""
    with opened(server, Durability.DISK) as store:
        store.jobs.create([spec()])
        admin.config_set("appendfsync", "no")
        for _ in range(2):
            with pytest.raises(NotConfirmed) as refused:
                store.jobs.create([spec()], idempotency=ONCE)
            assert (status_of(refused.value), code_of(refused.value)) == (503, "SlowDown")
            assert refused.value.retry_after_s == 1
        with pytest.raises(NotConfirmed):
            store.jobs.repeated(spec().tenant, ONCE)
        admin.config_set("appendfsync", "always")
        (job,) = store.jobs.create([spec()], idempotency=ONCE)
        assert (job,) == tuple(store.jobs.create([spec()], idempotency=ONCE))
        assert [job] == store.jobs.repeated(spec().tenant, ONCE)


def test_process_asks_for_nothing(server: ValkeyServer, admin: redis.Redis) -> None:
    """By default a change is answered whatever the server does with its file."""
    admin.config_set("appendonly", "no")
    with opened(server, Durability.PROCESS) as store:
        assert store.jobs.create([spec()])


def test_a_server_without_a_file_cannot_promise_its_disk(server: ValkeyServer, admin: redis.Redis) -> None:
    """Changes are refused, and readiness gives the reason."""
    admin.config_set("appendonly", "no")
    settings = Settings(redis_url=server.url, durability="disk")
    store = open_store(settings)
    with pytest.raises(StoreUnavailable):
        store.jobs.create([spec()])
    store.close()
    assert "no append-only file" in probe_durability(settings.store)
    admin.config_set("appendonly", "yes")
    eventually(lambda: not admin.info("persistence")["aof_rewrite_in_progress"], 180, "the file")
    assert probe_durability(settings.store) == "ok"


def test_a_server_that_syncs_later_cannot_promise_its_disk(server: ValkeyServer, admin: redis.Redis) -> None:
    """Readiness says so with `everysec` and `no`, where the server confirms what it has not synced."""
    settings = Settings(redis_url=server.url, durability="disk")
    assert probe_durability(settings.store) == "ok"
    for policy in ("everysec", "no"):
        admin.config_set("appendfsync", policy)
        assert f"appendfsync {policy}" in probe_durability(settings.store)


def test_replica_answers_when_a_replica_has_the_change(
    server: ValkeyServer, admin: redis.Redis, tmp_path: Path
) -> None:
    """Without a replica, or with one that hangs, there is no answer but a retryable error."""
    with opened(server, Durability.REPLICA) as store:
        with pytest.raises(NotConfirmed):
            store.jobs.create([spec()])
        assert "replicas that keep up: 0 of 1" == shortcoming(admin, Confirmation(Durability.REPLICA))
        (tmp_path / "replica").mkdir()
        replica = ValkeyServer(tmp_path / "replica")
        for _ in running(replica):
            with redis.Redis.from_url(replica.url, decode_responses=True) as client:
                client.execute_command("REPLICAOF", "127.0.0.1", server.port)
                eventually(lambda: client.info("replication")["master_link_status"] == "up", 180, "the link")
                eventually(
                    lambda: not shortcoming(admin, Confirmation(Durability.REPLICA)),
                    180,
                    "an acknowledgement",
                )
                (job,) = store.jobs.create([spec()])
                assert client.hget(f"stemline:job:{job.id}", "state") == "Submitted"
                two = RedisStore.open(
                    server.url, StoreOptions(durability=Durability.REPLICA, required_replicas=lambda: 2)
                )
                with pytest.raises(NotConfirmed):  # one of two is not enough
                    two.jobs.create([spec()])
                two.close()
                pid = int(client.info("server")["process_id"])
                stopped = time.monotonic()
                stop(pid)
                try:
                    with pytest.raises(NotConfirmed):
                        store.jobs.create([spec()])
                    assert time.monotonic() - stopped < 100
                finally:
                    os.kill(pid, signal.SIGCONT)


def test_every_script_that_writes_is_confirmed_or_repeated() -> None:
    """No new script is forgotten: each is confirmed, made again if it is lost, or only reads."""
    texts = {path.stem: path.read_text() for path in Path(scripts.__file__).with_name("lua").glob("*.lua")}
    classified = CONFIRMED_SCRIPTS | REPEATED_SCRIPTS
    assert not CONFIRMED_SCRIPTS & REPEATED_SCRIPTS
    assert classified <= set(texts)
    writes = re.compile(
        r"redis\.call\('(?:SET|HSET|HDEL|ZADD|ZREM|SADD|SREM|DEL|XADD|INCR|EXPIRE|RENAME|COPY)"
    )
    readers = set(texts) - classified - {"schema"}
    assert readers
    assert [] == [name for name in sorted(readers) if writes.search(texts[name])]
