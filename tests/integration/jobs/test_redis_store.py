"""What only the store on a server promises: no keys left over, record versions, migrations, no server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import redis

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.errors import RecordTooNew, StoreUnavailable
from stemline.jobs.job import JobSpec, Output, Result, Waveform
from stemline.jobs.separation import AudioMode, VoiceSeparate
from stemline.jobs.store import (
    DeliveryFilter,
    Idempotency,
    JobFilter,
    RedisStore,
    StoreOptions,
    delivery_id,
    records,
    statistics,
)
from stemline.jobs.store.connection import Connection
from stemline.jobs.store.migrations import Migration, Migrations, Phase, PreMigrationsPending
from stemline.jobs.store.records import RECORD_VERSION
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.runtime.store import store_options
from stemline.runtime.store_metrics import StoreCollector
from stemline.testing import FixedClock
from stemline.wire.errors import code_of, status_of
from tests.conftest import ValkeyServer
from tests.support.logs import captured_logs

TENANT = Tenant("media-1250000000", "ap-chongqing")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def store(client: redis.Redis, clock: FixedClock) -> RedisStore:
    return RedisStore(client, clock=clock)


def spec() -> JobSpec:
    output = Output(TENANT.region, TENANT.bucket, au_object="out/${jobid}")
    callback = CallbackRequest(url="http://a/")
    return JobSpec(TENANT, "in/a", VoiceSeparate(AudioMode.IS_AUDIO), output, callback=callback)


def test_the_settings_have_the_stores_defaults() -> None:
    """A store with default options behaves as the service with default settings."""
    assert StoreOptions() == store_options(Settings())


def test_every_option_comes_from_its_setting() -> None:
    """Other settings make other options, each of them."""
    other = Settings(
        key_prefix="other",
        auto_open=False,
        buckets_per_region=7,
        queue_max_size=8,
        queue_max_concurrent=9,
        templates_per_bucket=10,
        batches_per_bucket=16,
        nonces_per_credential=19,
        job_bytes_per_bucket=20,
        batch_rows_per_bucket=17,
        batch_bytes_per_bucket=18,
        cancel_running=False,
        lease_s=33,
        heartbeat_s=3,
        level_ageing_s=12,
        model_limits={"htdemucs": 2},
        idempotency_hours=13,
        retention_days=14,
        dead_letter_days=15,
        durability="disk",
    )
    before, after = StoreOptions(), store_options(other)
    names = {each.name for each in fields(StoreOptions)}
    same = {name for name in names if getattr(before, name) == getattr(after, name)}
    assert set() == same


def test_an_idempotency_key_is_forgotten_after_its_time(client: redis.Redis, clock: FixedClock) -> None:
    """The server drops the key after the hours of the setting."""
    store = RedisStore(client, StoreOptions(idempotency_hours=2), clock=clock)
    store.jobs.create([spec()], idempotency=Idempotency("k", "body"))
    (key,) = [key for key in client.scan_iter("*") if ":idempotency:" in str(key)]
    assert 7000 < client.ttl(key) <= 7200


def test_retention_leaves_no_keys(store: RedisStore, client: redis.Redis, clock: FixedClock) -> None:
    """After its retention no key of a job or its callback is left, and none refers to it."""
    (job,) = store.jobs.create([spec()])
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.attempts.succeed(claimed, Result((), {}), (Waveform("Mix", 64, "gH8="),))
    assert {f"stemline:job:{job.id}", f"stemline:waveforms:{job.id}"} <= set(client.scan_iter("*"))
    clock.advance(91 * 86_400)
    store.jobs.prune()
    left = set(client.scan_iter("*"))
    assert set() == {key for key in left if job.id[1:] in key}
    members = {str(key): client.zrange(key, 0, -1) for key in left if client.type(key) == "zset"}
    assert [] == [key for key, found in members.items() if any(job.id[1:] in name for name in found)]


@pytest.mark.parametrize(
    ("field", "before", "after"),
    [
        ("spec", "a", "b"),
        ("tenant", "a", "b"),
        ("seal", "", "0"),
        ("queue", "p", "q"),
        ("level", "0", "1"),
        ("level", "0", "8"),
        ("wants", "A", "a"),
    ],
)
def test_a_damaged_record_is_never_started(
    store: RedisStore, client: redis.Redis, field: str, before: str, after: str
) -> None:
    """A disk changed a byte of what was submitted: the job fails with the reason, and the next one starts."""
    (damaged,), (sound,) = store.jobs.create([spec()]), store.jobs.create([spec()])
    key = f"stemline:job:{damaged.id}"
    client.hset(key, field, str(client.hget(key, field)).replace(before, after, 1))
    assert sound.id == store.attempts.claim("w", [0]).id
    assert ["Failed", "InternalError", None] == client.hmget(key, "state", "code", "worker")
    assert "damaged" in client.hget(key, "message")
    assert store.attempts.claim("w", [0]) is None
    assert [] == [
        key for key in client.scan_iter("*:waiting:*") if client.zscore(key, damaged.id) is not None
    ]


def test_a_job_without_a_record_blocks_no_other(store: RedisStore, client: redis.Redis) -> None:
    """What is left of a job whose record a disk has lost leaves the queue when its turn comes."""
    (lost,), (sound,) = store.jobs.create([spec()]), store.jobs.create([spec()])
    client.delete(f"stemline:job:{lost.id}")
    assert sound.id == store.attempts.claim("w", [0]).id
    assert [] == [key for key in client.scan_iter("*:waiting:*") if client.zscore(key, lost.id) is not None]


def test_a_job_of_an_older_release_is_given_to_who_serves_it(store: RedisStore, client: redis.Redis) -> None:
    """One that an older release put into the common line, though it names a model, is left to its workers."""
    named = replace(spec(), separate=VoiceSeparate(AudioMode.IS_AUDIO, model="htdemucs"))
    (heavy,), (plain,) = store.jobs.create([spec()]), store.jobs.create([spec()])
    key = f"stemline:job:{heavy.id}"
    text = records.text(records.SPEC, named)
    client.hset(key, "spec", text)
    client.hdel(key, "wants", "seal")
    assert plain.id == store.attempts.claim("w", [0]).id
    assert store.attempts.claim("w", [0]) is None
    assert heavy.id == store.attempts.claim("v", [0], ["htdemucs"]).id


def test_a_job_that_an_older_release_cancelled_blocks_no_other(
    store: RedisStore, client: redis.Redis
) -> None:
    """One that stands in the line of its model, although it has ended, leaves it when its turn comes."""
    named = replace(spec(), separate=VoiceSeparate(AudioMode.IS_AUDIO, model="htdemucs"))
    (ended,), (next_one,) = store.jobs.create([named]), store.jobs.create([named])
    client.hset(f"stemline:job:{ended.id}", "state", "Cancel")
    assert next_one.id == store.attempts.claim("w", [0], ["htdemucs"]).id
    assert [] == store.jobs.demands()


def test_a_record_of_an_older_release_is_started(store: RedisStore, client: redis.Redis) -> None:
    """A record without a seal is taken as it is."""
    (job,) = store.jobs.create([spec()])
    client.hdel(f"stemline:job:{job.id}", "seal")
    assert job.id == store.attempts.claim("w", [0]).id


def test_callbacks_of_older_releases_are_listed(
    store: RedisStore, client: redis.Redis, clock: FixedClock
) -> None:
    """The first list of a tenant files the callbacks that a release before these lists left unfiled."""
    clock.advance(1)
    found = []
    for _ in range(5):
        (job,) = store.jobs.create([spec()])
        claimed = store.attempts.claim("w", [0])
        assert claimed is not None
        store.attempts.succeed(claimed, Result((), {}))
        found.append(delivery_id(job.id))
        clock.advance(1)
    client.delete(f"stemline:deliveries:{TENANT}:pending")
    client.hdel(f"stemline:tenant:{TENANT}", "filed")
    assert 5 == store.outbox.search(TENANT, DeliveryFilter()).total
    client.hdel(f"stemline:tenant:{TENANT}", "filed")
    client.delete(f"stemline:deliveries:{TENANT}:pending")
    while client.hget(f"stemline:tenant:{TENANT}", "filed") != "all":
        store._connection.run("file_deliveries", str(TENANT), 2)
    assert found[::-1] == [each.id for each in store.outbox.search(TENANT, DeliveryFilter()).items]


@pytest.fixture
def newer(store: RedisStore, client: redis.Redis) -> str:
    """The id of a waiting job whose record is of a version after this release's."""
    (job,) = store.jobs.create([spec()])
    client.hset(f"stemline:job:{job.id}", mapping={"v": RECORD_VERSION + 1, "spec": "of another kind"})
    return job.id


@pytest.mark.parametrize(
    "call",
    [
        lambda store, job_id: store.jobs.find(job_id),
        lambda store, job_id: store.jobs.get(TENANT, [job_id]),
        lambda store, job_id: store.jobs.search(TENANT, JobFilter()),
        lambda store, job_id: store.jobs.cancel(TENANT, [job_id]),
        lambda store, job_id: store.attempts.claim("w", [0]),
        lambda store, job_id: store.attempts.heartbeat(job_id, 1, 50),
        lambda store, job_id: store.attempts.register_uploads(job_id, 1, []),
        lambda store, job_id: store.attempts.reclaim(job_id, "sweeper"),
    ],
)
def test_a_newer_record_is_refused(
    store: RedisStore, client: redis.Redis, newer: str, call: Callable[[RedisStore, str], object]
) -> None:
    """A record of a newer release is an error that names its version, and nothing of the store changes."""
    before = {key: client.dump(key) for key in client.scan_iter("*")}
    with pytest.raises(RecordTooNew, match=f"{newer} has version {RECORD_VERSION + 1}"):
        call(store, newer)
    assert before == {key: client.dump(key) for key in client.scan_iter("*")}


def test_migrations_run_once_and_in_order(client: redis.Redis, clock: FixedClock) -> None:
    """Each phase applies its own migrations once; post waits for pre; an interrupted one runs again."""
    connection = Connection(client, StoreOptions(), clock=clock)
    applied: list[str] = []

    def apply(name: str) -> Callable[[Connection], None]:
        def run(used: Connection) -> None:
            assert connection is used
            applied.append(name)
            if applied.count("second") == 1 and name == "second":
                raise KeyboardInterrupt

        return run

    known = [
        Migration("first", Phase.PRE, "adds an index", apply("first")),
        Migration("last", Phase.POST, "converts records", apply("last")),
        Migration("second", Phase.PRE, "fills the index", apply("second")),
    ]
    migrations = Migrations(connection, known)
    with pytest.raises(PreMigrationsPending):
        migrations.apply(Phase.POST)
    with pytest.raises(KeyboardInterrupt):
        migrations.apply(Phase.PRE)
    assert ["second"] == [each.name for each in migrations.pending(Phase.PRE)]
    assert ["second"] == [each.name for each in migrations.apply(Phase.PRE)]
    assert ["last"] == [each.name for each in migrations.apply(Phase.POST)]
    assert [] == migrations.apply(Phase.PRE) == migrations.apply(Phase.POST)
    assert ["first", "second", "second", "last"] == applied


def test_an_unreachable_store_is_a_retryable_error() -> None:
    """Without a server every call says so with the wire's retryable code."""
    store = RedisStore(redis.Redis(port=1, decode_responses=True))
    with pytest.raises(StoreUnavailable) as caught:
        store.jobs.create([spec()])
    assert (code_of(caught.value), status_of(caught.value)) == ("SlowDown", 503)


def test_reading_numbers_costs_the_same_for_any_number_of_tenants(
    store: RedisStore, client: redis.Redis
) -> None:
    """The server runs as many commands for 300 tenants as for 10, those of scripts included."""
    costs = []
    for start, end in ((0, 10), (10, 300)):
        for index in range(start, end):
            tenant = Tenant(f"b{index}-1250000000", "ap-chongqing")
            store.jobs.create([replace(spec(), tenant=tenant)])
        store.statistics.read(3)
        client.config_resetstat()
        assert end == store.statistics.read(3).totals_of_queues.queues
        stats = client.info("commandstats")
        costs.append(sum(each["calls"] for each in stats.values()))
    assert costs[0] == costs[1]


def test_a_user_without_info_still_has_numbers(
    store: RedisStore, client: redis.Redis, valkey_server: ValkeyServer
) -> None:
    """All numbers but the server's own are reported; what is missing is logged once, not at each scrape."""
    store.jobs.create([spec()])
    client.acl_setuser(
        "no-info", enabled=True, nopass=True, categories=["+@all"], commands=["-info"], keys=["*"]
    )
    limited = RedisStore.open(valkey_server.url.replace("redis://", "redis://no-info:any@"))
    try:
        assert "NOPERM" == limited.statistics.read().server.missing
        collector = StoreCollector(limited.statistics, max_queues=3)
        with captured_logs() as logs:
            for _ in range(3):
                names = {metric.name for metric in collector.read_now()}
        assert {"stemline_store_up", "stemline_jobs", "stemline_queue_waiting"} <= names
        assert "stemline_store_memory_bytes" not in names
        assert ["metrics.server_not_read"] == [each["event"] for each in logs]
    finally:
        limited.close()
        client.acl_deluser("no-info")


def _script_calls(client: redis.Redis) -> int:
    """Return how many scripts the server was asked to run."""
    return client.info("commandstats")["cmdstat_evalsha"]["calls"]


def test_numbers_of_an_older_store_are_counted_once(
    store: RedisStore, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store whose jobs are older than its sums, or whose sums were deleted, has right numbers again.

    Its queues are counted in parts, so that the server answers others in between.
    """
    monkeypatch.setattr(statistics, "COUNTED_AT_ONCE", 2)
    for index in range(3):
        store.jobs.create(
            [replace(spec(), tenant=Tenant(f"b{index}-1250000000", "ap-chongqing"), level=index)]
        )
    assert store.attempts.claim("w", [2]) is not None
    expected = store.statistics.read()
    client.delete("stemline:sums", "stemline:loads", "stemline:busiest", *client.keys("stemline:oldest:*"))
    calls = _script_calls(client)
    assert expected == replace(store.statistics.read(), server=expected.server)
    assert 2 == _script_calls(client) - calls
    assert not client.exists("stemline:uncounted")
    assert store.attempts.claim("w", [1]) is not None
    assert 2 == store.statistics.read().totals_of_queues.running
