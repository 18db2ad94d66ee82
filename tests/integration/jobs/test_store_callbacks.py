"""Contract of a job store: the outbox, dead letters and the delivery slots of hosts."""

from __future__ import annotations

import pytest

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.store import DeliveryFilter, Slot, Store
from stemline.testing import FixedClock
from tests.integration.jobs.contract import OTHER, SECOND, TENANT, ended, spec

PENDING = frozenset({"pending"})


def test_the_end_writes_the_outbox(store: Store, clock: FixedClock) -> None:
    """The callback is due when the job ends, is reserved by one worker, and due again if that one dies."""
    (job,) = store.jobs.create([spec(callback=CallbackRequest(url="http://cb.example/x", format="JSON"))])
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.attempts.fail(claimed, "InvalidContent", "no audio")
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


def test_texts_from_outside_are_cut(store: Store, clock: FixedClock) -> None:
    """What a receiver answers, why a job failed and why it waits take a kilobyte of a record at most."""
    long = "\N{GRINNING FACE}" * 100_000 + "\ud800"
    delivery = ended(store)
    attempt = DeliveryAttempt(clock.now, "5" * 5000, 12, long)
    store.outbox.record(delivery, attempt, next_due=None, status="dead")
    found = store.outbox.get(delivery)
    assert found is not None
    assert all(1000 < len(each.answer.encode()) <= 1024 for each in found.attempts)
    assert all(len(each.status) <= 64 for each in found.attempts)
    (job,) = store.jobs.create([spec()])
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.attempts.release(claimed, reason=long)
    waiting = store.jobs.find(job.id)
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.attempts.fail(claimed, "InvalidContent", long)
    failed = store.jobs.find(job.id)
    assert waiting is not None
    assert failed is not None
    texts = [waiting.message, failed.message, *(step.text for step in store.jobs.history(job.id))]
    assert all(len(text.encode()) <= 1024 for text in texts)
    assert 2 <= sum(len(text.encode()) > 1000 for text in texts)


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
    assert ("pending", clock.now, 1) == (again.status, again.due, again.uncounted)
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
    assert (70, list(range(20, 120))) == (found.uncounted, [attempt.at for attempt in found.attempts])


def failing(store: Store, clock: FixedClock, attempts: int = 3) -> str:
    """Return a pending callback after some attempts of its schedule; the next one is due in 5 s."""
    delivery = ended(store)
    for _ in range(attempts):
        tried = DeliveryAttempt(clock.now, "500", 1)
        store.outbox.record(delivery, tried, next_due=clock.now + 5 * SECOND, status="pending")
    return delivery


def by_hand(store: Store, delivery: str, status: str = "pending") -> None:
    """Record the attempt that was asked for by hand, as a worker does."""
    assert store.outbox.reserve(delivery, 30) is not None
    tried = DeliveryAttempt(store.now(), "500", 1)
    store.outbox.record(delivery, tried, next_due=None, status=status, by_hand=True)


@pytest.mark.parametrize("sends", [1, 9, 120])
@pytest.mark.parametrize(
    "way",
    [
        lambda store, delivery: store.outbox.send(TENANT, [delivery]),
        lambda store, delivery: store.outbox.send_where(TENANT, DeliveryFilter(statuses=PENDING)),
    ],
    ids=["some", "all"],
)
def test_a_send_by_hand_leaves_the_schedule_as_it_is(store: Store, clock: FixedClock, way, sends) -> None:
    """However often a pending callback is sent by hand, the number and time of its next attempt stay."""
    delivery = failing(store, clock)
    due = clock.now + 5 * SECOND
    for _ in range(sends):
        assert 1 == way(store, delivery)
        assert [delivery] == store.outbox.due()
        by_hand(store, delivery)
        found = store.outbox.get(delivery)
        assert found is not None
        assert ("pending", due, 3, None) == (found.status, found.due, found.counted, found.scheduled)
    assert min(100, 3 + sends) == len(found.attempts)
    assert [] == store.outbox.due()
    clock.advance(5)
    assert [delivery] == store.outbox.due()


def test_a_send_that_is_repeated_before_it_is_made_is_one(store: Store, clock: FixedClock) -> None:
    """Sends by hand that no worker has made yet become one attempt, and the schedule is still known."""
    delivery = failing(store, clock)
    due = clock.now + 5 * SECOND
    for _ in range(3):
        store.outbox.send(TENANT, [delivery])
        clock.advance(1)
    store.outbox.record(delivery, None, next_due=clock.now + SECOND, status="pending")  # postponed
    assert [] == store.outbox.due()
    clock.advance(1)
    by_hand(store, delivery)
    found = store.outbox.get(delivery)
    assert found is not None
    assert (due, 3, 4) == (found.due, found.counted, len(found.attempts))


def test_a_send_during_an_attempt_of_the_schedule(store: Store, clock: FixedClock) -> None:
    """An attempt that runs while its callback is sent by hand counts; the sent one and the rest follow."""
    delivery = failing(store, clock)
    clock.advance(5)
    assert store.outbox.reserve(delivery, 30) is not None
    store.outbox.send(TENANT, [delivery])
    due = clock.now + 300 * SECOND
    tried = DeliveryAttempt(clock.now, "500", 1)
    store.outbox.record(delivery, tried, next_due=due, status="pending")
    assert [delivery] == store.outbox.due()
    by_hand(store, delivery)
    found = store.outbox.get(delivery)
    assert found is not None
    assert ("pending", due, 4, 5) == (found.status, found.due, found.counted, len(found.attempts))


@pytest.mark.parametrize("status", ["delivered", "dead"])
def test_a_send_by_hand_may_be_the_last(store: Store, clock: FixedClock, status) -> None:
    """A callback that is taken, or refused for ever, when it is sent by hand is over."""
    delivery = failing(store, clock)
    store.outbox.send(TENANT, [delivery])
    by_hand(store, delivery, status)
    found = store.outbox.get(delivery)
    assert found is not None
    assert (status, None, None) == (found.status, found.due, found.scheduled)
    clock.advance(1e6)
    assert [] == store.outbox.due()
    store.outbox.send(TENANT, [delivery])
    again = store.outbox.get(delivery)
    assert again is not None
    assert ("pending", clock.now, 0, None) == (again.status, again.due, again.counted, again.scheduled)


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
    assert 1 == store.outbox.send(TENANT, [name])
    assert [] == asked_for  # it was due, which its end has asked for
    assert store.outbox.reserve(name, 60) is not None
    assert 1 == store.outbox.send(TENANT, [name, "d" + "0" * 32])
    assert [name] == asked_for
    assert 0 == store.outbox.send(OTHER, [name])
    assert 0 == store.outbox.replay([name])
    assert [name] == asked_for
    store.outbox.record(name, None, next_due=None, status="dead")
    assert 1 == store.outbox.replay([name])
    assert [name, name] == asked_for
