"""The job store while its server is killed, hung, full or out of disk, and after that is over."""

from __future__ import annotations

import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from stemline.jobs.errors import StoreUnavailable
from stemline.jobs.job import Job, JobSpec, Output, OutputFile, Result
from stemline.jobs.separation import AudioMode, Track, VoiceSeparate
from stemline.jobs.states import State
from stemline.jobs.store import JobFilter, Store
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.runtime.store import open_store
from stemline.testing.processes import eventually, stop
from tests.conftest import ValkeyServer

pytestmark = pytest.mark.slow

TENANT = Tenant("media-1250000000", "ap-chongqing")
DONE = Result(files=(OutputFile(Track.VOICE, "v.wav", "0" * 32, 1),), media_info={"Format": {}})
LEVELS = (2, 1, 0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server of the test's own, to be mistreated.

    It syncs before it answers: with ``everysec`` a kill during a slow sync may lose the last write.
    """
    server = ValkeyServer(tmp_path, appendfsync="always")
    server.start()
    yield server
    if server.process is not None:
        server.process.send_signal(signal.SIGCONT)
    server.stop()


@pytest.fixture
def store(server: ValkeyServer) -> Iterator[Store]:
    """A store as every process of the service opens it."""
    store = open_store(Settings(redis_url=server.url))
    yield store
    store.close()


def spec() -> JobSpec:
    output = Output(TENANT.region, TENANT.bucket, au_object="out/${jobid}")
    return JobSpec(TENANT, "in/a", VoiceSeparate(AudioMode.IS_AUDIO), output, user_data="x" * 500)


def submit(store: Store) -> Job:
    (job,) = store.jobs.create([spec()])
    return job


def admin(server: ValkeyServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def works_again(store: Store) -> bool:
    try:
        submit(store)
    except StoreUnavailable:
        return False
    return True


def test_answered_jobs_survive_a_kill(server: ValkeyServer, store: Store) -> None:
    """Whatever was answered before a kill -9 of the server is there after its restart, and runs on."""
    for _ in range(5):
        ids = [submit(store).id for _ in range(50)]
        claimed = store.attempts.claim("w", LEVELS)
        assert claimed is not None
        server.kill()
        with pytest.raises(StoreUnavailable):
            submit(store)
        server.start()
        found = store.jobs.get(TENANT, ids)
        assert ids == [job and job.id for job in found]
        assert not store.attempts.heartbeat(claimed.id, claimed.token, 50)
        store.attempts.succeed(claimed, DONE)


def test_a_cut_connection_is_made_again_unnoticed(server: ValkeyServer, store: Store) -> None:
    """CLIENT KILL of every connection costs no call its answer, and no job is stored twice."""
    admin_client = admin(server)
    for _ in range(100):
        admin_client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        submit(store)
    admin_client.close()
    assert len(store.jobs.search(TENANT, JobFilter(size=1000)).items) == 100


def test_a_hung_server_is_an_error_within_the_timeout(server: ValkeyServer, store: Store) -> None:
    """A stopped server (SIGSTOP) ends in the retryable error, and calls go through once it wakes."""
    submit(store)
    assert server.process is not None
    stop(server.process.pid)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        submit(store)
    assert time.monotonic() - began < 180  # it would wait for ever
    server.process.send_signal(signal.SIGCONT)
    assert eventually(lambda: works_again(store))


def test_a_full_server_refuses_the_new_and_lets_the_old_end(server: ValkeyServer, store: Store) -> None:
    """At maxmemory nothing new is stored, not even in part; what runs goes on, ends, and makes room."""
    for _ in range(20):
        submit(store)
    running = store.attempts.claim("w", LEVELS)
    assert running is not None
    client = admin(server)
    before = set(client.scan_iter("*"))
    client.config_set("maxmemory", "1mb")
    with pytest.raises(StoreUnavailable):
        store.jobs.create([spec(), spec()])
    assert before == set(client.scan_iter("*"))
    assert not store.attempts.heartbeat(running.id, running.token, 80, "cpu")
    store.attempts.register_uploads(running.id, running.token, [{"upload_id": "u"}])
    store.attempts.succeed(running, DONE)
    again = store.attempts.claim("w", LEVELS)
    assert again is not None
    store.attempts.release(again, delay_s=1)
    store.jobs.cancel(TENANT, [again.id])
    client.config_set("maxmemory", "0")
    submit(store)
    client.close()
    done = store.jobs.find(running.id)
    assert done is not None
    assert done.state is State.SUCCESS


def test_a_full_disk_is_survived(tmp_path: Path) -> None:
    """While the server cannot append to its file, writes are refused as retryable; then all goes on."""
    server = ValkeyServer(tmp_path)
    command = server.prepare()
    # The server inherits that a file that may not grow is an error instead of its death.
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    server.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, restore_signals=False)
    signal.signal(signal.SIGXFSZ, before)
    server.wait_ready()
    assert server.process is not None
    store = open_store(Settings(redis_url=server.url))
    try:
        ids = [submit(store).id for _ in range(20)]
        size = sum(f.stat().st_size for f in tmp_path.rglob("*.aof"))
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        refused = eventually(lambda: not works_again(store), 180, "a refusal")
        assert refused
        resource.prlimit(
            server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        assert eventually(lambda: works_again(store), 180, "an accepted job")
        accepted = ids + [job.id for job in store.jobs.search(TENANT, JobFilter(size=1000)).items]
        with admin(server) as client:  # a slow sync delays the write to the file by up to two seconds
            assert eventually(lambda: client.info("persistence")["aof_buffer_length"] == 0)
        server.kill()
        server.start()
        assert all(job is not None for job in store.jobs.get(TENANT, accepted))
    finally:
        store.close()
        server.stop()
