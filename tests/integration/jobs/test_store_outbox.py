"""Contract of a job store: what becomes of a callback when attempts, sends and clocks cross."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.store import DeliveryFilter, RedisStore, Slot, Store
from stemline.jobs.tenant import Tenant
from stemline.testing import FixedClock
from tests.integration.jobs.contract import OTHER, SECOND, TENANT, ended

FAILED = DeliveryAttempt(1, "500", 1)


def listed(store: Store, *statuses: str, page: int = 1, size: int = 10) -> list[str]:
    every = frozenset(statuses or ("pending", "delivered", "dead"))
    which = DeliveryFilter(statuses=every, page=page, size=size)
    return [each.id for each in store.outbox.search(TENANT, which).items]


@pytest.mark.parametrize("first", ["dead", "delivered", "pending"])
@pytest.mark.parametrize("then", ["dead", "delivered", "pending"])
def test_of_two_results_the_better_one_stays(store: Store, clock: FixedClock, first: str, then: str) -> None:
    """Two workers send one callback at once: what was delivered stays so; else the later one counts."""
    delivery = ended(store)
    for status in (first, then):
        due = clock() if status == "pending" else None
        store.outbox.record(delivery, FAILED, next_due=due, status=status)
    status = "delivered" if first == "delivered" else then
    found = store.outbox.get(delivery)
    assert found is not None
    assert (status, clock() if status == "pending" else None) == (found.status, found.due)
    assert [[delivery] if each == status else [] for each in ("dead", "delivered", "pending")] == [
        listed(store, each) for each in ("dead", "delivered", "pending")
    ]
    assert ([delivery] if status == "pending" else []) == store.outbox.due()
    assert (status == "dead") == store.outbox.dead().total == store.outbox.dead(tenant=TENANT).total


def test_attempts_that_are_dropped_are_none_that_do_not_count(store: Store) -> None:
    """Of a callback that nobody replayed every attempt counts, also beyond the hundred that are kept."""
    delivery = ended(store)
    for _ in range(102):
        store.outbox.record(delivery, FAILED, next_due=0, status="pending")
    found = store.outbox.get(delivery)
    assert found is not None
    assert (100, 0, 100) == (len(found.attempts), found.uncounted, found.counted)


@pytest.mark.parametrize(("waits", "is_by_hand"), [(-1, False), (0, False), (1, True), (60, True)])
def test_a_send_is_one_of_the_schedule_if_that_is_due(
    store: Store, clock: FixedClock, waits: int, is_by_hand: bool
) -> None:
    """Sent before its time, its next attempt keeps that time; it is due now in either case."""
    delivery = ended(store)
    due = clock() + waits * SECOND
    store.outbox.record(delivery, FAILED, next_due=due, status="pending")
    assert 1 == store.outbox.send(TENANT, [delivery])
    found = store.outbox.get(delivery)
    assert found is not None
    assert (clock() if is_by_hand else due, due if is_by_hand else None) == (found.due, found.scheduled)
    assert [delivery] == store.outbox.due()


def test_callbacks_of_a_time_to_come_are_listed(store: Store, clock: FixedClock) -> None:
    """After the clock was set back, those that were made before it are in their lists, in order."""
    made = []
    for _ in range(4):
        made.append(ended(store))
        clock.advance(10)
    clock.advance(-3600)
    made.insert(0, ended(store))
    assert made[::-1] == listed(store)
    assert [[name] for name in made[::-1]] == [listed(store, size=1, page=page) for page in range(1, 6)]
    assert [] == listed(store, size=1, page=6)


def test_dead_letters_are_listed_as_they_were_given_up(client: redis.Redis, clock: FixedClock) -> None:
    """An earlier release keeps no list of them by that time, and takes none from it that is replayed."""
    store = RedisStore(client, clock=clock)
    made = [ended(store) for _ in range(4)]
    for name in (made[2], made[0], made[1]):
        clock.advance(1)
        store.outbox.record(name, FAILED, next_due=None, status="dead")
    key = f"stemline:deliveries:{TENANT}:given-up"
    client.delete(key)
    client.zadd(key, {made[3]: clock(), made[2]: 1})
    assert [made[1], made[0], made[2]] == [each.id for each in store.outbox.dead(tenant=TENANT).items]


@pytest.mark.parametrize("waits", [0, 59])
def test_a_delivery_that_has_a_slot_does_not_wait_for_one(
    store: Store, clock: FixedClock, waits: int
) -> None:
    """One that got a place which became free by itself is not given another; the next one is."""

    def acquire(delivery: str) -> Slot:
        return store.host_slots.acquire("h", delivery, limit=1, ttl_s=60)

    assert Slot.ACQUIRED is acquire("a")
    clock.advance(waits)
    assert [Slot.QUEUED, Slot.QUEUED] == [acquire("b"), acquire("c")]
    clock.advance(60 - waits)
    assert Slot.ACQUIRED is acquire("b")
    assert Slot.DUPLICATE is acquire("b")
    assert "c" == store.host_slots.release("h", "b", limit=1, ttl_s=60)


def test_many_callbacks_of_one_bucket_are_not_due_before_those_of_others(
    store: Store, clock: FixedClock
) -> None:
    """Whoever has many that are due delays its own: each sweep asks for the oldest of each bucket first."""
    third = Tenant("third-1250000000", "ap-chongqing")
    made: dict[Tenant, list[str]] = {TENANT: [], OTHER: [], third: []}
    for tenant, number in ((TENANT, 9), (OTHER, 2), (third, 4)):
        for _ in range(number):
            made[tenant].append(ended(store, tenant=tenant))
            clock.advance(1)
    many, few, some = made.values()
    assert [many[0], few[0], some[0], many[1], few[1], some[1], many[2], some[2]] == store.outbox.due(8)
    assert [many[0]] == store.outbox.due(1)
    assert {*many, *few, *some} == set(store.outbox.due(15))
    store.outbox.record(few[0], FAILED, next_due=None, status="delivered")
    assert store.outbox.reserve(few[1], 60) is not None
    assert [many[0], some[0], many[1], some[1]] == store.outbox.due(4)
    clock.advance(61)
    assert few[1] in store.outbox.due(3)


@pytest.mark.parametrize("change", ["made", "later", "sooner", "over"])
def test_callbacks_that_an_earlier_release_changes_are_due_as_it_says(
    client: redis.Redis, clock: FixedClock, change: str
) -> None:
    """It notes in the common list alone when a callback is due."""
    store = RedisStore(client, clock=clock)
    delivery = ended(store)
    if change == "made":
        client.delete(f"stemline:outbox:{TENANT}", "stemline:outboxes")
    elif change == "over":
        client.zrem("stemline:outbox", delivery)
    else:
        store.outbox.record(delivery, FAILED, next_due=clock() + 60 * SECOND, status="pending")
        client.zadd("stemline:outbox", {delivery: clock() + (600 * SECOND if change == "later" else 0)})
        clock.advance(60 if change == "later" else 0)
    is_due = change in {"made", "sooner"}
    assert ([delivery] if is_due else []) == store.outbox.due()
    own, all_due = (
        client.zrange(key, 0, -1, withscores=True) for key in (f"stemline:outbox:{TENANT}", "stemline:outbox")
    )
    assert own == all_due


@pytest.mark.parametrize("kind", ["send", "send_where", "replay", "replay_all"])
def test_no_request_asks_for_more_than_a_worker_can_send(
    store: Store, asked_for: list[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """However often a bucket sends all that it has: messages of others would wait behind its own."""
    for module in ("jobs.store.outbox", "testing.in_memory_store.callbacks"):
        monkeypatch.setattr(f"stemline.{module}.ASKED_AT_ONCE", 3)
    made = [ended(store) for _ in range(5)]
    others = ended(store, tenant=OTHER)
    for name in (*made, others):
        store.outbox.record(name, FAILED, next_due=None, status="dead")
    calls: dict[str, Callable[[], object]] = {
        "send": lambda: store.outbox.send(TENANT, made),
        "send_where": lambda: store.outbox.send_where(
            TENANT, DeliveryFilter(statuses=frozenset({"dead", "pending"}))
        ),
        "replay": lambda: store.outbox.replay(made),
        "replay_all": lambda: store.outbox.replay_all(TENANT, made),
    }
    calls[kind]()
    first = list(asked_for)
    assert 3 == len(first) == len(set(first) & set(made))
    assert set(made) == set(store.outbox.due())
    store.outbox.send(TENANT, made)
    assert first == asked_for
    store.outbox.send(OTHER, [others])
    assert [*first, others] == asked_for
