"""Contract of a job store: the outbox, dead letters and the delivery slots of hosts."""

from __future__ import annotations

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.store import Slot, Store
from stemline.testing import FixedClock
from tests.integration.jobs.contract import OTHER, SECOND, TENANT, ended, spec


def test_the_end_writes_the_outbox(store: Store, clock: FixedClock) -> None:
    """The callback is due when the job ends, is reserved by one worker, and due again if that one dies."""
    (job,) = store.jobs.create([spec(callback=CallbackRequest(url="http://cb.example/x", format="JSON"))])
    claimed = store.jobs.claim("w", [0])
    assert claimed is not None
    store.jobs.fail(claimed, "InvalidContent", "no audio")
    (due,) = store.outbox.due()
    taken = store.outbox.reserve(due, 30)
    assert taken is not None
    assert (job.id, "JSON", "cb.example") == (taken.job_id, taken.target.format, taken.target.host)
    assert store.outbox.reserve(due, 30) is None
    assert store.outbox.due() == []
    clock.advance(31)
    assert [due] == store.outbox.due()


def test_attempts_of_a_callback(store: Store, clock: FixedClock) -> None:
    """Each attempt is recorded; the callback is due when it says, and over once it is delivered."""
    delivery = ended(store)
    failed = DeliveryAttempt(clock.now, "500", 12, "no")
    store.outbox.record(delivery, failed, next_due=clock.now + 5 * SECOND, status="pending")
    store.outbox.record(delivery, None, next_due=clock.now + 7 * SECOND, status="pending")
    assert store.outbox.reserve(delivery, 30) is None
    clock.advance(7)
    assert [delivery] == store.outbox.due()
    delivered = DeliveryAttempt(clock.now, "200", 8)
    store.outbox.record(delivery, delivered, next_due=None, status="delivered")
    store.outbox.record(delivery, failed, next_due=clock.now, status="dead")
    found = store.outbox.get(delivery)
    assert found is not None
    assert ("delivered", None, (failed, delivered)) == (found.status, found.due, found.attempts)
    assert (store.outbox.due(), store.outbox.dead().total) == ([], 0)


def test_dead_letters(store: Store, clock: FixedClock) -> None:
    """Dead letters are listed by tenant, host and time, replayed from the start, and kept for a while."""
    gone = DeliveryAttempt(clock.now, "410", 1)
    first, second = ended(store), ended(store, "http://other.example/")
    for delivery in (first, second):
        clock.advance(10)
        store.outbox.record(delivery, gone, next_due=None, status="dead")

    def dead(**which) -> list[str]:
        return [delivery.id for delivery in store.outbox.dead(**which).items]

    assert [second, first] == dead() == dead(tenant=TENANT)
    assert [first] == dead(page=2, size=1) == dead(host="cb.example")
    assert [second] == dead(since=clock.now)
    assert [] == dead(tenant=OTHER)
    assert 1 == store.outbox.replay_where(host="cb.example")
    assert 0 == store.outbox.replay([first, "d0"])
    again = store.outbox.get(first)
    assert again is not None
    assert ("pending", clock.now, 1) == (again.status, again.due, again.replayed_after)
    clock.advance(31 * 86_400)
    store.jobs.prune()
    assert [] == dead()
    assert store.outbox.get(second) is None
    assert store.outbox.get(first) is not None


def test_attempts_are_kept_up_to_a_number(store: Store, clock: FixedClock) -> None:
    """Of more than a hundred attempts the oldest are dropped, also from those before the last replay."""
    delivery = ended(store)
    for number in range(90):
        attempt = DeliveryAttempt(number, "500", 1)
        store.outbox.record(delivery, attempt, next_due=None, status="dead")
    store.outbox.replay([delivery])
    for number in range(90, 120):
        store.outbox.record(delivery, DeliveryAttempt(number, "500", 1), next_due=0, status="pending")
    found = store.outbox.get(delivery)
    assert found is not None
    assert (70, list(range(20, 120))) == (found.replayed_after, [attempt.at for attempt in found.attempts])


def test_slots_of_a_host(store: Store, clock: FixedClock) -> None:
    """No more than the limit get a slot; those that wait follow in turn; a dead worker's slot expires."""
    slots = store.host_slots

    def acquire(delivery: str) -> Slot:
        return slots.acquire("h:80", delivery, limit=2, ttl_s=60)

    assert [Slot.ACQUIRED, Slot.ACQUIRED, Slot.QUEUED] == [acquire("a"), acquire("b"), acquire("c")]
    clock.advance(1)
    assert [Slot.QUEUED, Slot.QUEUED, Slot.DUPLICATE] == [acquire("d"), acquire("c"), acquire("a")]
    assert slots.release("h:80", "a", limit=2, ttl_s=60) == "c"
    assert slots.release("h:80", "b", limit=0, ttl_s=60) is None
    assert slots.acquire("other", "e", limit=1, ttl_s=60) is Slot.ACQUIRED
    clock.advance(61)
    assert [Slot.ACQUIRED, Slot.ACQUIRED, Slot.QUEUED] == [acquire("f"), acquire("g"), acquire("h")]
    assert slots.release("h:80", "f", limit=2, ttl_s=60) == "d"
    assert slots.release("h:80", "d", limit=2, ttl_s=60) == "h"
    assert slots.release("h:80", "h", limit=2, ttl_s=60) is None


def test_what_is_sent_now_is_asked_for_at_once(store: Store, asked_for: list[str]) -> None:
    """Sending and replaying ask for the delivery without waiting for a sweep; others are left alone."""
    name = ended(store)
    assert [] == asked_for
    assert 1 == store.outbox.send(TENANT, [name, "d" + "0" * 32])
    assert [name] == asked_for
    assert 0 == store.outbox.send(OTHER, [name])
    assert 0 == store.outbox.replay([name])
    assert [name] == asked_for
    store.outbox.record(name, None, next_due=None, status="dead")
    assert 1 == store.outbox.replay([name])
    assert [name, name] == asked_for
