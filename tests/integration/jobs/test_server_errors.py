"""Every error word of a Redis server, injected at every call of the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from stemline.deploy.local.servers import ValkeyServer
from stemline.jobs.errors import StoreUnavailable
from stemline.jobs.states import State
from stemline.jobs.store import RedisStore, StoreOptions
from stemline.jobs.store.server_errors import MEANINGS, UNKNOWN, UNREACHABLE, word_of
from stemline.runtime.settings import Settings
from stemline.runtime.store import probe
from stemline.testing.resp_proxy import ABORT, RespProxy
from stemline.testing.samples import job_spec
from stemline.wire.errors import code_of, status_of
from tests.support.store_calls import calls, methods

WORDS = [word for word in MEANINGS if word.isupper()]
REPLIES = [
    *(f"{word} an injected error" for word in WORDS),
    "MOVED 3999 127.0.0.1:1",
    "ASK 3999 127.0.0.1:1",
    "ERR an injected error",
    "ERR max number of clients reached",
    "NEWWORD of a later server",
    ABORT,
]


@pytest.fixture(scope="module")
def proxy(valkey_server: ValkeyServer) -> Iterator[RespProxy]:
    """A proxy in front of the shared server."""
    with RespProxy(valkey_server.port) as proxy:
        yield proxy


@pytest.fixture
def store(proxy: RespProxy) -> Iterator[RedisStore]:
    """A store behind the proxy, with a key prefix of its own."""
    store = RedisStore.open(proxy.url, StoreOptions(key_prefix="words"))
    yield store
    store.close()


def test_every_method_of_the_store_is_called(store: RedisStore) -> None:
    """The table of calls has all methods of all parts, and no other."""
    (job,) = store.jobs.create([replace(job_spec(), queue_id="")])
    assert methods(store) == set(calls(store, job))


@pytest.mark.parametrize("reply", REPLIES)
def test_every_word_is_the_retryable_error_at_every_call(
    reply: str, proxy: RespProxy, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call ends in StoreUnavailable, 503 SlowDown with Retry-After; after the fault it succeeds again."""
    monkeypatch.setattr("redis.retry.sleep", lambda seconds: None)  # as many attempts, without their pauses
    (job,) = store.jobs.create([replace(job_spec(), queue_id="")])
    for name, call in calls(store, job).items():
        with proxy.refuse(reply), pytest.raises(StoreUnavailable) as caught:
            call()
        assert ("SlowDown", 503) == (code_of(caught.value), status_of(caught.value)), name
        assert caught.value.retry_after_s, name
        assert caught.value.reason, name
    found = store.jobs.find(job.id)
    assert found is not None
    assert found.state is State.SUBMITTED


@pytest.mark.parametrize("word", WORDS)
def test_the_readiness_probe_names_the_word(word: str, proxy: RespProxy) -> None:
    """A server that answers but refuses writes is not ready, and the probe says by which word."""
    assert "ok" == probe(Settings().store, proxy.url)
    with proxy.refuse(f"{word} 3999 127.0.0.1:1"):
        assert word == probe(Settings().store, proxy.url)


def test_a_replica_is_not_ready(valkey_server: ValkeyServer, tmp_path: Path) -> None:
    """A primary that became a replica answers PING, yet the probe says READONLY."""
    replica = ValkeyServer(tmp_path)
    replica.start()
    try:
        with replica_client(replica) as client:
            client.replicaof("127.0.0.1", valkey_server.port)
            assert client.ping()
            assert probe(Settings().store, replica.url) in {"READONLY", "MASTERDOWN", "LOADING"}
            client.replicaof("NO", "ONE")
        assert "ok" == probe(Settings().store, replica.url)
    finally:
        replica.stop()
    assert UNREACHABLE == probe(Settings().store, replica.url)


def replica_client(server: ValkeyServer) -> redis.Redis:
    return redis.Redis.from_url(server.url)


def test_a_word_that_is_not_in_the_table_is_unknown() -> None:
    """What a later server invents is an unknown word, never an unhandled error."""
    assert UNKNOWN == word_of(redis.exceptions.ResponseError("NEWWORD of a later server"))
    assert UNKNOWN == word_of(redis.exceptions.RedisError("something"))
    assert UNREACHABLE == word_of(redis.exceptions.TimeoutError("too slow"))
