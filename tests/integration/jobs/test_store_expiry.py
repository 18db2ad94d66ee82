"""What the server forgets by itself, and what it keeps."""

from __future__ import annotations

import redis

from stemline.jobs.batch import Row
from stemline.jobs.event import EVENTS_MS
from stemline.jobs.store import RedisStore
from tests.integration.jobs.contract import DONE, TENANT, spec

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
BATCH = "b" + "1" * 32


def lives(client: redis.Redis, pattern: str) -> list[int]:
    """How long the keys of a pattern are kept, ms; -1 for ever."""
    return [int(client.pttl(key)) for key in client.scan_iter(f"stemline:{pattern}")]


def all_within(found: list[int], least: float, most: float) -> bool:
    return bool(found) and all(least < each <= most for each in found)


def test_a_batch_is_kept_once_it_is_accepted(client: redis.Redis) -> None:
    """An upload that breaks off is forgotten after an hour; what was accepted stays with its rows."""
    batches = RedisStore(client).batches
    batches.begin(BATCH, "night", spec(), None, "u1")
    batches.append(BATCH, "u1", 0, [Row("in/a.mp3")])
    assert all_within(lives(client, "batch*:" + BATCH), HOUR_MS * 0.9, HOUR_MS)
    assert 2 == len(lives(client, "batch*:" + BATCH))
    batches.seal(BATCH, "u1", "a" * 64)
    assert [-1, -1] == lives(client, "batch*:" + BATCH)


def test_slots_of_a_host_are_forgotten(client: redis.Redis) -> None:
    """Of a host that gets no callbacks any more nothing is left after twice the time of a slot."""
    slots = RedisStore(client).host_slots
    for delivery in ("a", "b"):
        slots.acquire("h", delivery, limit=1, ttl_s=600)
    assert 2 == len(lives(client, "host:*"))
    assert all_within(lives(client, "host:*"), 1_100_000, 1_200_000)
    for delivery in ("c", "d"):
        slots.acquire("h", delivery, limit=1, ttl_s=60)
    slots.release("h", "a", limit=1, ttl_s=6000)
    assert 2 == len(lives(client, "host:*"))
    assert all_within(lives(client, "host:*"), 11_000_000, 12_000_000)


def test_nonces_are_forgotten(client: redis.Redis) -> None:
    """Each after its time, and their number some ten minutes later."""
    assert RedisStore(client).nonces.use("AKID", "n" * 16, request_id="r", ttl_s=900)
    assert all_within(lives(client, "nonce:*"), 890_000, 900_000)
    assert all_within(lives(client, "nonces:*"), 1_490_000, 1_500_000)
    assert RedisStore(client).nonces.use("AKID", "m" * 16, request_id="r", ttl_s=60)
    assert all_within(lives(client, "nonces:*"), 1_490_000, 1_500_000)


def test_usage_and_events_are_forgotten(client: redis.Redis) -> None:
    """Usage after 400 days, what a credential spent after two, events after their time; jobs stay."""
    store = RedisStore(client)
    (job,) = store.jobs.create([spec(credential="AKID")])
    held = store.attempts.claim("w", [0])
    assert held is not None
    store.attempts.succeed(held, DONE)
    assert all_within(lives(client, "usage:*"), 399 * DAY_MS, 400 * DAY_MS)
    assert all_within(lives(client, "spent:*"), 1.9 * DAY_MS, 2 * DAY_MS)
    assert all_within(lives(client, f"events:{TENANT}"), 0.9 * EVENTS_MS, EVENTS_MS)
    assert [-1] == lives(client, f"job:{job.id}")
