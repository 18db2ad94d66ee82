"""Contract of a job store: what the ended jobs and batches of a bucket take is bounded."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from stemline.jobs.batch import Row
from stemline.jobs.errors import BucketFull
from stemline.jobs.states import State
from stemline.jobs.store import JobFilter, RedisStore, StoreOptions, scripts
from stemline.jobs.store.records import PAGE_BYTES
from stemline.testing import FixedClock
from tests.integration.jobs.contract import DONE, OTHER, TENANT, Make, spec

LARGE: dict[str, Any] = {"user_data": "u" * 1000}


def test_the_oldest_ended_jobs_make_room(make: Make) -> None:
    """Beyond the bytes of a bucket its oldest ended jobs go, with their callbacks; waiting ones stay."""
    store = make(job_bytes_per_bucket=100_000, queue_max_size=1000)
    (foreign,) = store.jobs.create([spec(tenant=OTHER)])
    store.jobs.cancel(OTHER, [foreign.id])
    (waiting,) = store.jobs.create([spec("in/waits", level=0)])
    first = [job.id for job in store.jobs.create([spec(level=1)] * 5)]
    for job_id in first:
        claimed = store.attempts.claim("w", [1])
        assert claimed is not None
        assert job_id == claimed.id
        store.attempts.succeed(claimed, DONE)
    for _ in range(40):
        created = store.jobs.create([spec(f"in/{'k' * 900}", **LARGE)] * 10)
        store.jobs.cancel(TENANT, [job.id for job in created])
    kept = store.jobs.search(TENANT, JobFilter(size=1000)).items
    assert 20 <= len(kept) <= 60
    assert {job.id for job in created} <= {job.id for job in kept}
    assert [None] * 5 == store.jobs.get(TENANT, first)
    assert [] == [each for each in first if store.outbox.for_job(each)]
    assert State.SUBMITTED == store.jobs.get(TENANT, [waiting.id])[0].state
    assert store.jobs.get(OTHER, [foreign.id]) != [None]


def test_every_job_is_kept_without_a_limit(make: Make) -> None:
    """With 0 jobs are kept until their retention is over."""
    store = make(job_bytes_per_bucket=0)
    for _ in range(3):
        created = store.jobs.create([spec(**LARGE)] * 10)
        store.jobs.cancel(TENANT, [job.id for job in created])
    assert 30 == len(store.jobs.search(TENANT, JobFilter(size=100)).items)


def test_jobs_that_have_not_ended_are_bounded_in_bytes(make: Make) -> None:
    """A bucket whose waiting jobs take all of its room gets no further one, whatever its queue may hold."""
    store = make(job_bytes_per_bucket=20_000, queue_max_size=1000)
    store.jobs.create([spec(**LARGE)] * 15)
    with pytest.raises(BucketFull):
        store.jobs.create([spec()])
    (foreign,) = store.jobs.create([spec(tenant=OTHER, **LARGE)])
    assert State.SUBMITTED == foreign.state
    waiting = store.jobs.search(TENANT, JobFilter(size=1000)).items
    store.jobs.cancel(TENANT, [waiting[0].id])
    store.jobs.create([spec(**LARGE)])
    with pytest.raises(BucketFull):
        store.jobs.create([spec()])


@pytest.mark.parametrize("order", ["Asc", "Desc"])
def test_a_page_is_bounded_in_bytes(make: Make, order: str) -> None:
    """A page ends where it is large, whatever its size; together they have each job once."""
    store = make()
    large = spec(f"in/{'k' * (PAGE_BYTES // 4)}")
    ids = [job.id for _ in range(6) for job in store.jobs.create([large, spec()])]
    found: list[list[str]] = []
    cursor: str | None = None
    while cursor is not None or not found:
        page = store.jobs.search(TENANT, JobFilter(size=100, order=order, cursor=cursor))
        found.append([job.id for job in page.items])
        cursor = page.cursor
    assert (ids if order == "Asc" else ids[::-1]) == [job_id for page in found for job_id in page]
    assert 2 <= len(found) <= 3
    assert max(map(len, found)) <= 9


@pytest.mark.usefixtures("valkey")
def test_nothing_is_left_of_what_was_counted(valkey_server, clock: FixedClock) -> None:
    """When the last job of a bucket is deleted, nothing is counted for it any more."""
    client = redis.Redis.from_url(valkey_server.url, decode_responses=True)
    store = RedisStore(client, StoreOptions(job_bytes_per_bucket=10_000), clock=clock)
    for _ in range(5):
        created = store.jobs.create([spec(**LARGE)] * 10)
        store.jobs.cancel(TENANT, [job.id for job in created])
    sizes = [int(client.hget(f"stemline:job:{job.id}", "bytes")) for job in created]
    assert sum(sizes) == int(client.hget("stemline:kept", str(TENANT)))
    clock.advance(91 * 86_400)
    assert 10 == store.jobs.prune()
    assert {} == client.hgetall("stemline:kept")
    client.close()


@pytest.mark.usefixtures("valkey")
def test_the_oldest_ended_batches_make_room(valkey_server, clock: FixedClock, monkeypatch) -> None:
    """Of the batches of a bucket so many are kept; those that go on stay, and so do the latest."""
    monkeypatch.setattr(scripts, "BATCHES_KEPT", 3)
    scripts.source.cache_clear()
    client = redis.Redis.from_url(valkey_server.url, decode_responses=True)
    store = RedisStore(client, StoreOptions(), clock=clock)
    names = [f"b{number:032d}" for number in range(6)]
    for name in names:
        clock.advance(1)
        store.batches.begin(name, "", spec(), None, "upload")
        store.batches.append(name, "upload", 0, [Row("in/a")])
        store.batches.seal(name, "upload", "body")
        if name != names[0]:
            store.batches.cancel(TENANT, name)
    kept = [batch.id for batch in store.batches.search(TENANT, page=1, size=10).items]
    assert [names[5], names[4], names[0]] == kept
    scripts.source.cache_clear()
    client.close()
