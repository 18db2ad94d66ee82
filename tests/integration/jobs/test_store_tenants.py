"""Contract of a job store: buckets, queues and templates."""

from __future__ import annotations

import dataclasses

import pytest

from stemline.jobs.errors import (
    BindedBucketNumLimit,
    NoSuchBucket,
    NoSuchQueue,
    NoSuchTemplate,
    TemplateNameDuplicate,
)
from stemline.jobs.queue import NotifyConfig
from stemline.jobs.separation import AudioMode, VoiceSeparate
from stemline.jobs.states import QueueState
from stemline.jobs.store import BucketFilter, QueueFilter, Store, TemplateFilter
from stemline.jobs.tenant import Tenant
from stemline.testing import FixedClock
from tests.integration.jobs.contract import OTHER, TENANT, Make


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
