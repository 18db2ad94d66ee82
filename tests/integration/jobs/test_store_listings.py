"""What lists cost on a real Valkey: as much as their page, whatever other tenants have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest
import redis

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.errors import BindedBucketNumLimit, NoSuchQueue, NoSuchTemplate
from stemline.jobs.policy import Policy
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import (
    BucketFilter,
    DeliveryFilter,
    JobFilter,
    QueueFilter,
    RedisStore,
    Store,
    StoreOptions,
    TemplateFilter,
)
from stemline.jobs.store.scripts import SHARES_COUNTED
from stemline.jobs.tenant import Tenant
from stemline.testing import FixedClock
from tests.conftest import ValkeyServer
from tests.integration.jobs.contract import DONE, OTHER, TENANT, spec

ALL = DeliveryFilter(size=5)
LISTS: dict[str, Callable[[Store, Tenant], object]] = {
    "dead letters": lambda store, tenant: store.outbox.dead(tenant=tenant, size=5),
    "dead letters of a host": lambda store, tenant: store.outbox.dead(tenant=tenant, host="a", size=5),
    "the last dead letters": lambda store, tenant: store.outbox.dead(tenant=tenant, page=10**6, size=100),
    "callbacks": lambda store, tenant: store.outbox.search(tenant, ALL),
    "callbacks of a page behind the last": lambda store, tenant: store.outbox.search(
        tenant, DeliveryFilter(page=10**6, size=100)
    ),
    "jobs": lambda store, tenant: store.jobs.search(tenant, JobFilter(size=5)),
    "failed jobs": lambda store, tenant: store.jobs.search(
        tenant, JobFilter(states=frozenset({State.FAILED}), size=5)
    ),
    "jobs by place": lambda store, tenant: store.jobs.browse(tenant, None, offset=0, size=5),
    "batches": lambda store, tenant: store.batches.search(tenant, size=5),
    "queues": lambda store, tenant: store.queues.search(tenant, QueueFilter()),
    "templates": lambda store, tenant: store.templates.search(tenant, TemplateFilter()),
    "usage": lambda store, tenant: store.usage.read(tenant, 0, 3),
    "replay": lambda store, tenant: store.outbox.replay_where(tenant=tenant, since=10**18),
}


@pytest.fixture
def store(valkey: redis.Redis, valkey_server: ValkeyServer) -> Iterator[RedisStore]:
    """An empty store."""
    client = redis.Redis.from_url(valkey_server.url, decode_responses=True)
    yield RedisStore(client, clock=FixedClock())
    client.close()


def fill(store: Store, tenant: Tenant, count: int) -> None:
    """Give a tenant failed jobs whose callbacks were given up."""
    for _ in range(count):
        store.jobs.create([spec(tenant=tenant, callback=CallbackRequest(url="http://a/"))])
        held = store.attempts.claim("w", [0])
        store.attempts.succeed(held, DONE)
        delivery = store.outbox.for_job(held.id)
        attempt = DeliveryAttempt(1, "500", 1)
        store.outbox.record(delivery.id, attempt, next_due=None, status="dead")


def commands(client: redis.Redis, call: Callable[[], object]) -> dict[str, int]:
    """The commands that the server runs for a call, those of scripts too, and how often."""
    client.config_resetstat()
    call()
    return {
        name.removeprefix("cmdstat_"): each["calls"] for name, each in client.info("commandstats").items()
    }


def cost(client: redis.Redis, call: Callable[[], object]) -> int:
    """How many commands the server runs for a call, those of scripts too."""
    return sum(commands(client, call).values())


def test_a_list_costs_what_its_tenant_has(store: RedisStore, valkey: redis.Redis) -> None:
    """With sixty callbacks and jobs of another bucket, no list costs a bucket one command more."""
    fill(store, TENANT, 2)
    for call in LISTS.values():
        call(store, TENANT)  # scripts are loaded, and records filed
    before = {name: cost(valkey, lambda c=call: c(store, TENANT)) for name, call in LISTS.items()}
    fill(store, OTHER, 60)
    after = {name: cost(valkey, lambda c=call: c(store, TENANT)) for name, call in LISTS.items()}
    assert before == after


def test_dead_letters_of_an_older_release_are_found(store: RedisStore, valkey: redis.Redis) -> None:
    """Letters that an older release gave up, also beside this one, are in their bucket's list in order."""
    fill(store, TENANT, 3)
    every = [each.id for each in store.outbox.dead().items]
    valkey.delete(f"stemline:deliveries:{TENANT}:given-up")
    assert every == [each.id for each in store.outbox.dead(tenant=TENANT).items]
    valkey.zrem(f"stemline:deliveries:{TENANT}:given-up", every[1])
    assert every == [each.id for each in store.outbox.dead(tenant=TENANT).items]


@pytest.mark.parametrize("what", ["templates", "batches", "jobs", "callbacks"])
def test_a_list_leaves_out_what_is_gone_when_it_is_read(
    store: RedisStore, valkey: redis.Redis, what: str
) -> None:
    """What is deleted, or lost in a failover, between the reads of its id and of its record is left out."""
    fill(store, TENANT, 1)
    store.templates.create(TENANT, "gone", spec().separate)
    for kind in ("queue", "template", "batch", "job", "delivery"):
        for key in valkey.keys(f"stemline:{kind}:*"):
            valkey.delete(key)
    found = LISTS[what](store, TENANT)
    assert [] == found.items  # type: ignore[attr-defined]


def test_a_tenant_whose_queue_is_gone_has_its_first_one(store: RedisStore, valkey: redis.Redis) -> None:
    """As before its first job, where a failover has lost the queue since its id was read."""
    (job,) = store.jobs.create([spec()])
    valkey.delete(f"stemline:queue:{job.spec.queue_id}")
    assert [job.spec.queue_id] == [queue.id for queue in store.queues.search(TENANT, QueueFilter()).items]


def test_what_is_gone_after_its_change_is_said_to_be_unknown(store: RedisStore, valkey: redis.Redis) -> None:
    """A queue or template that is deleted before its new record is read is an unknown one, not a crash."""
    (job,) = store.jobs.create([spec()])
    template = store.templates.create(TENANT, "gone", spec().separate)
    real = store.queues._connection.hashes

    def hashes(kind: str, ids: Iterable[str]) -> list[dict[str, str]]:
        valkey.delete(*(f"stemline:{kind}:{each}" for each in ids))
        return real(kind, ids)

    for repository in (store.queues, store.templates):
        repository._connection.hashes = hashes  # type: ignore[method-assign]
    with pytest.raises(NoSuchQueue):
        store.queues.update(TENANT, job.spec.queue_id, state=QueueState.PAUSED)
    with pytest.raises(NoSuchTemplate):
        store.templates.update(TENANT, template.id, name="new")


MEDIA = BucketFilter(allowed=Policy(buckets=("media-*",)).allows_tenant, size=2)


def tenants(count: int, name: str) -> list[Tenant]:
    """Tenants of several regions."""
    return [Tenant(f"{name}-{number}-1250000000", f"ap-{number % 3}") for number in range(count)]


def shown(store: Store, which: BucketFilter = MEDIA) -> tuple[list[Tenant], int]:
    """A page of buckets, and how many there are."""
    found = store.tenants.search(which)
    return [bucket.tenant for bucket in found.items], found.total


def test_a_list_of_buckets_costs_its_page(store: RedisStore, valkey: redis.Redis) -> None:
    """Of however many buckets that a credential with a pattern may see, the page's records alone are read."""
    for tenant in (*tenants(300, "media"), *tenants(50, "other")):
        store.tenants.open(tenant)
    assert 300 == shown(store)[1]
    found = commands(valkey, lambda: shown(store))
    assert 2 == found["hgetall"]
    assert "zrange" not in found


def test_opening_reads_no_tenants(valkey: redis.Redis, valkey_server: ValkeyServer) -> None:
    """A region at its limit is known without a look at the tenants of all regions."""
    client = redis.Redis.from_url(valkey_server.url, decode_responses=True)
    store = RedisStore(client, StoreOptions(buckets_per_region=20), clock=FixedClock())

    def refused() -> None:
        with pytest.raises(BindedBucketNumLimit):
            store.tenants.open(Tenant("more-1250000000", "ap-0"))

    for tenant in tenants(60, "other"):
        store.tenants.open(tenant)
    refused()
    assert "zrange" not in commands(valkey, refused)
    client.close()


def test_a_list_of_buckets_follows_each_change(store: RedisStore, valkey_server: ValkeyServer) -> None:
    """What another process opened or closed is seen at once, also where two changes have the same time."""
    client = redis.Redis.from_url(valkey_server.url, decode_responses=True)
    other = RedisStore(client, clock=FixedClock())
    one, two, three = tenants(3, "media")
    for change, expected in (
        (lambda: other.tenants.open(one), [one]),
        (lambda: other.jobs.create([spec(tenant=two)]), [one, two]),
        (lambda: other.tenants.close(one), [two]),
        (lambda: other.tenants.open(three), [two, three]),
        (lambda: other.tenants.close(two), [three]),
        (lambda: other.tenants.open(one), [one, three]),
    ):
        change()
        assert (expected, len(expected)) == shown(store) == shown(other)
    client.flushall()
    assert ([], 0) == shown(store)
    other.tenants.open(two)
    assert ([two], 1) == shown(store)
    client.close()


def test_buckets_of_an_older_release_are_listed(store: RedisStore, valkey: redis.Redis) -> None:
    """A store without a directory, and one in which an older release goes on, gets one that is right."""
    one, two, three = tenants(3, "media")
    for tenant in (one, two, three):
        store.tenants.open(tenant)
    store.tenants.close(two)
    valkey.delete("stemline:directory", "stemline:closed")
    assert ([one, three], 2) == shown(store)
    valkey.zadd("stemline:tenants", {"ap-0/media-9-1250000000": 10**16})
    valkey.hset(
        "stemline:tenant:ap-0/media-9-1250000000", mapping={"open": 1, "created": 10**16, "queue": "p9"}
    )
    assert 3 == shown(store)[1]
    valkey.delete("stemline:directory", "stemline:closed")
    store.tenants.close(one)
    assert 2 == shown(store)[1]


def test_a_list_of_named_buckets_has_only_allowed_regions(store: RedisStore) -> None:
    """A credential that names its buckets sees them in its regions alone, and only open ones."""
    names = [Tenant("media-0-1250000000", f"ap-{number}") for number in range(3)]
    for tenant in names:
        store.tenants.open(tenant)
    policy = Policy(buckets=(names[0].bucket,), regions=("ap-0", "ap-2"))
    which = BucketFilter(allowed=policy.allows_tenant, known=tuple(names))
    assert ([names[0], names[2]], 2) == shown(store, which)
    store.tenants.close(names[0])
    assert ([names[2]], 1) == shown(store, which)


def test_a_page_of_jobs_looks_at_few_shares(store: RedisStore, valkey: redis.Redis) -> None:
    """The positions of waiting jobs cost the same beside four times as many credentials with a share."""

    def submit(numbers: range) -> None:
        for number in numbers:
            store.jobs.create([replace(spec(), credential=f"AKID{number}", weight=100)])

    submit(range(2 * SHARES_COUNTED))
    before = cost(valkey, lambda: store.jobs.search(TENANT, JobFilter(size=50)))
    submit(range(2 * SHARES_COUNTED, 8 * SHARES_COUNTED))
    assert before == cost(valkey, lambda: store.jobs.search(TENANT, JobFilter(size=50)))
