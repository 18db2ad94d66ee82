"""Contract of a job store: buckets, queues and templates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from stemline.jobs.errors import (
    AsrBucketUnBinded,
    BindedBucketNumLimit,
    NoncesFull,
    NoSuchBucket,
    NoSuchQueue,
    NoSuchTemplate,
    TemplateNameDuplicate,
)
from stemline.jobs.queue import NotifyConfig, QueueLimits
from stemline.jobs.separation import AudioMode, VoiceSeparate
from stemline.jobs.states import QueueState
from stemline.jobs.store import BucketFilter, JobFilter, QueueFilter, Store, TemplateFilter
from stemline.jobs.tenant import Tenant
from stemline.testing import FixedClock
from tests.integration.jobs.contract import OTHER, TENANT, Make, spec


def test_buckets(make: Make) -> None:
    """A bucket is opened once, closed and opened again with its queue; a region holds so many."""
    store = make(buckets_per_region=2, auto_open=False)
    bucket = store.tenants.open(TENANT)
    (queue,) = store.queues.search(TENANT, QueueFilter()).items
    store.tenants.close(TENANT)
    with pytest.raises(NoSuchBucket):
        store.tenants.close(TENANT)
    assert not store.tenants.is_open(TENANT)
    assert (bucket, [queue]) == (
        store.tenants.open(TENANT),
        store.queues.search(TENANT, QueueFilter()).items,
    )
    store.tenants.open(OTHER)
    with pytest.raises(BindedBucketNumLimit):
        store.tenants.open(Tenant("third-1250000000", TENANT.region))
    far = Tenant("third-1250000000", "ap-beijing")
    store.tenants.open(far)

    def buckets(**which) -> list[Tenant]:
        return [found.tenant for found in store.tenants.search(BucketFilter(**which)).items]

    assert {TENANT, OTHER, far} == set(buckets())
    assert [far] == buckets(regions=("ap-beijing",))
    assert [OTHER] == buckets(names=(OTHER.bucket,)) == buckets(name_part="other")
    unknown = Tenant("none-1250000000", "ap-beijing")
    assert {TENANT, far} == set(buckets(known=(far, unknown, TENANT)))
    assert [far] == buckets(known=(far, TENANT), regions=("ap-beijing",))
    assert [] == buckets(known=())


def test_a_closed_bucket_stays_closed(make: Make) -> None:
    """Also where the service opens by itself: no job and no rest of a batch opens a closed bucket."""
    store = make(auto_open=True)
    assert store.tenants.is_open(TENANT) is None
    (job,) = store.jobs.create([spec()])
    assert store.tenants.is_open(TENANT) is True
    store.jobs.cancel(TENANT, [job.id])
    store.tenants.close(TENANT)
    attempts: list[Callable[[], object]] = [
        lambda: store.jobs.create([spec()]),
        lambda: store.jobs.create_many([spec()]),
        lambda: store.jobs.create([dataclasses.replace(spec(), origin=job.id)]),
        lambda: store.tenants.open(TENANT, again=False),
    ]
    for attempt in attempts:
        with pytest.raises(AsrBucketUnBinded):
            attempt()
    assert store.tenants.is_open(TENANT) is False
    store.tenants.open(TENANT)
    store.jobs.create([spec()])
    assert store.tenants.open(TENANT, again=False) == store.tenants.open(TENANT)


def test_queues(store: Store, clock: FixedClock) -> None:
    """What is given of a queue changes, the rest stays; another tenant's queue is unknown."""
    store.tenants.open(TENANT)
    (queue,) = store.queues.search(TENANT, QueueFilter()).items
    clock.advance(3)
    notify = NotifyConfig(state="On", event="TaskFinish", type="Url", url="http://q.example/")
    changed = store.queues.update(TENANT, queue.id, name="night", notify=notify, max_size=3)
    expected = dataclasses.replace(queue, name="night", notify=notify, max_size=3, updated=clock.now)
    assert expected == changed
    listing = store.queues.search(TENANT, QueueFilter(ids=(queue.id, "p1")))
    assert ([expected], 1, ("p1",)) == (listing.items, listing.total, listing.missing)
    assert [] == store.queues.search(TENANT, QueueFilter(state=QueueState.PAUSED)).items
    with pytest.raises(NoSuchQueue):
        store.queues.update(OTHER, queue.id, name="mine")


def test_templates(make: Make) -> None:
    """Names are unique per bucket; a deleted template is gone and frees its name."""
    store = make()
    both = VoiceSeparate(AudioMode.AUDIO_AND_BACKGROUND)
    one = store.templates.create(TENANT, "one", both)
    store.templates.create(OTHER, "one", both)
    with pytest.raises(TemplateNameDuplicate):
        store.templates.create(TENANT, "one", both)
    changed = store.templates.update(TENANT, one.id, name="two")
    assert ("two", both) == (changed.name, changed.separate)
    store.templates.create(TENANT, "one", both)
    listing = store.templates.search(TENANT, TemplateFilter(ids=(one.id, "t1x")))
    assert ([one.id], ("t1x",)) == ([t.id for t in listing.items], listing.missing)
    store.templates.delete(TENANT, one.id)
    with pytest.raises(NoSuchTemplate):
        store.templates.delete(TENANT, one.id)
    assert store.templates.get(TENANT, one.id) is None


def test_the_limit_of_a_region_counts_its_own_buckets_once(make: Make) -> None:
    """Buckets of another region leave a region its whole number."""
    store = make(buckets_per_region=2, auto_open=False)
    for name in ("one-1250000000", "two-1250000000"):
        store.tenants.open(Tenant(name, "ap-beijing"))
    store.tenants.open(TENANT)
    store.tenants.open(OTHER)
    with pytest.raises(BindedBucketNumLimit):
        store.tenants.open(Tenant("third-1250000000", TENANT.region))


@pytest.mark.parametrize("limit", [1, 3])
def test_submissions_count_towards_the_limit_of_a_region(make: Make, limit: int) -> None:
    """A region takes no further tenant, whichever call would open it; tenants that it has go on."""
    store = make(buckets_per_region=limit)
    tenants = [Tenant(f"b{number}-1250000000", TENANT.region) for number in range(limit + 1)]
    for tenant in tenants[:-1]:
        store.jobs.create([spec(tenant=tenant)])
    for call in (
        lambda: store.jobs.create([spec(tenant=tenants[-1])]),
        lambda: store.tenants.open(tenants[-1]),
    ):
        with pytest.raises(BindedBucketNumLimit):
            call()
    assert store.jobs.search(tenants[-1], JobFilter()).items == []
    assert not store.tenants.is_open(tenants[-1])
    store.jobs.create([spec(tenant=tenants[0])])


def test_racing_submissions_open_no_more_than_the_limit(make: Make) -> None:
    """Of many first submissions at the same time, only as many as there is room for open their bucket."""
    store = make(buckets_per_region=3)

    def submit(number: int) -> bool:
        try:
            store.jobs.create([spec(tenant=Tenant(f"b{number}-1250000000", TENANT.region))])
        except BindedBucketNumLimit:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert 3 == sum(pool.map(submit, range(24)))
    assert 3 == store.tenants.search(BucketFilter()).total


def test_the_first_queue_is_known_before_it_is_stored(make: Make) -> None:
    """A tenant that opens by itself shows the queue it will have, with the limits of its first call."""
    store = make()
    (shown,) = store.queues.search(TENANT, QueueFilter()).items
    assert not store.tenants.is_open(TENANT)
    assert store.queues.search(TENANT, QueueFilter(ids=(shown.id, "px"))).missing == ("px",)
    (job,) = store.jobs.create([spec(queue_id=shown.id)], new_queue=QueueLimits(5, 2))
    assert job.spec.queue_id == shown.id
    (made,) = store.queues.search(TENANT, QueueFilter()).items
    assert (shown.id, 5, 2) == (made.id, made.max_size, made.max_concurrent)
    assert make(auto_open=False).queues.search(OTHER, QueueFilter()).items == []


def test_a_nonce_is_used_once(store: Store, clock: FixedClock) -> None:
    """A nonce serves one request of its credential; the same request may ask again after a lost answer."""
    use, is_used = store.nonces.use, store.nonces.is_used
    assert not is_used("AKID", "n" * 16)
    assert use("AKID", "n" * 16, request_id="r1", ttl_s=60)
    assert is_used("AKID", "n" * 16)
    assert not is_used("OTHER", "n" * 16)
    assert use("AKID", "n" * 16, request_id="r1", ttl_s=60)
    assert not use("AKID", "n" * 16, request_id="r2", ttl_s=60)
    assert use("OTHER", "n" * 16, request_id="r2", ttl_s=60)
    assert use("AKID", "m" * 16, request_id="r2", ttl_s=0)


def test_nonces_of_a_credential_are_limited(make, clock: FixedClock) -> None:
    """Only so many are remembered at a time; known ones stay refused, other credentials have their own."""
    store = make(nonces_per_credential=3)
    use = store.nonces.use
    assert [True] * 3 == [use("AKID", f"n{n}", request_id=f"r{n}", ttl_s=60) for n in range(3)]
    with pytest.raises(NoncesFull):
        use("AKID", "n3", request_id="r3", ttl_s=60)
    assert use("AKID", "n0", request_id="r0", ttl_s=60)
    assert not use("AKID", "n0", request_id="r9", ttl_s=60)
    assert use("AKOTHER", "n0", request_id="r0", ttl_s=60)
    clock.advance(1201)
    assert use("AKID", "n3", request_id="r3", ttl_s=60)


def test_one_of_many_requests_gets_a_nonce(store: Store) -> None:
    """Of many copies that arrive at the same time, exactly one is the first."""
    with ThreadPoolExecutor(8) as pool:
        firsts = pool.map(
            lambda n: store.nonces.use("AKID", "n" * 16, request_id=f"r{n}", ttl_s=60), range(32)
        )
        assert 1 == sum(firsts)
