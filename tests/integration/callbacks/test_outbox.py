"""From the outbox to the dead letters: schedule, replays, reservations, and dead receivers."""

from __future__ import annotations

import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise

import pytest

from stemline.callbacks.bucket_shares import SLOW_S as SLOW_BUCKET_S
from stemline.callbacks.delivery import RESERVATION_TIMEOUTS, DeliveryService
from stemline.callbacks.host_status import SLOW_S
from stemline.callbacks.outcome import Outcome, failed
from stemline.jobs.batch import Batch, BatchState
from stemline.jobs.callback import CallbackRequest
from stemline.jobs.job import Job
from stemline.jobs.queue import NotifyConfig
from stemline.jobs.states import State
from stemline.jobs.store import JobFilter, QueueFilter, Slot
from stemline.jobs.store.values import Page
from stemline.jobs.tenant import Tenant
from stemline.testing.client import REGION
from stemline.testing.processes import eventually
from stemline.testing.receiver import answer, hang, receiving
from stemline.testing.samples import job_spec

DELIVERED = Outcome(delivered=True, status="200")


def test_the_whole_schedule_ends_in_a_dead_letter(bench):
    """Ten attempts at the scheduled times are recorded; then the callback is a dead letter."""
    bench = bench()
    with receiving(answer(500, b"no")) as receiver:
        delivery = bench.post_to(receiver.url)
        waits = []
        while (wait := bench.wait_s(delivery)) is not None:
            waits.append(wait)
            bench.clock.advance(wait)
            after = bench.try_(delivery)
        bench.clock.advance(1e6)
        bench.try_(delivery)
    assert list(bench.settings.callbacks.schedule_s) == waits
    assert ("dead", 10, 10) == (after.status, len(after.attempts), len(receiver.received))
    starts = [a.at for a in after.attempts]
    assert [round(w * 1e6) for w in waits[1:]] == [b - a for a, b in pairwise(starts)]


def test_jitter_reaches_the_schedule(bench):
    """With the setting, waits differ from the schedule by up to its share; the first one is not spread."""
    bench = bench(callback_schedule_s=(0, *[1000] * 6), callback_jitter=0.5)
    with receiving(answer(500)) as receiver:
        delivery = bench.post_to(receiver.url)
        waits = []
        while (wait := bench.wait_s(delivery)) is not None:
            waits.append(wait)
            bench.clock.advance(wait)
            bench.try_(delivery)
    assert (0, 7) == (waits[0], len(waits))
    assert all(500 <= wait <= 1500 for wait in waits[1:])
    assert len({round(wait) for wait in waits[1:]}) > 1


def test_a_replay_starts_the_schedule_again(bench):
    """A replay starts the schedule again, keeps the recorded attempts, and can be repeated."""
    bench = bench(callback_schedule_s=(0, 5, 300))
    with receiving(answer(500)) as receiver:
        delivery = bench.post_to(receiver.url)
        for replays in range(40):
            waits = []
            while (wait := bench.wait_s(delivery)) is not None:
                waits.append(wait)
                bench.clock.advance(wait)
                bench.try_(delivery)
            assert [0, 5, 300] == waits, replays
            assert 1 == bench.store.outbox.replay([delivery.id])
        assert 100 == len(bench.store.outbox.get(delivery.id).attempts)
        assert 120 == len(receiver.received)


def test_sends_by_hand_use_up_no_attempts(bench):
    """A failing callback that is sent by hand before each attempt still has the whole schedule."""
    bench = bench(callback_schedule_s=(0, 5, 300, 1800))
    with receiving(answer(500)) as receiver:
        delivery = bench.post_to(receiver.url)
        created, waits = bench.clock.now, []
        while (wait := bench.wait_s(delivery)) is not None:
            waits.append(wait)
            bench.clock.advance(wait)
            after = bench.try_(delivery)
            for _ in range(3 if after.status == "pending" else 0):
                assert 1 == bench.store.outbox.send(delivery.tenant, [delivery.id])
                assert (after.due, "pending") == ((sent := bench.try_(delivery)).due, sent.status)
        assert ([0, 5, 300, 1800], "dead", 4 + 3 * 3) == (waits, after.status, len(after.attempts))
        assert 2105e6 == bench.clock.now - created
        assert 13 == len(receiver.received)


def test_a_first_wait_does_not_hold_back_what_is_sent_by_hand(bench):
    """A callback whose first wait goes on is sent at once by hand; the wait then still holds."""
    bench = bench(callback_schedule_s=(30, 5))
    with receiving(answer(500)) as receiver:
        delivery = bench.post_to(receiver.url)
        bench.try_(delivery)
        bench.store.outbox.send(delivery.tenant, [delivery.id])
        assert ("pending", 1) == (bench.try_(delivery).status, len(receiver.received))
        assert 30 == bench.wait_s(delivery)
        bench.clock.advance(30)
        bench.try_(delivery)
        assert (5, 2) == (bench.wait_s(delivery), len(receiver.received))


def test_dead_letters_by_host_and_time(bench):
    """Dead letters can be listed by host and by the time they were given up."""
    bench = bench()
    with receiving(answer(410)) as one:
        first = bench.post_to(one.url)
        bench.try_(first)
        bench.clock.advance(100)
        second = bench.post_to(one.url.replace("127.0.0.1", "localhost"))
        bench.try_(second)
    dead = bench.store.outbox.dead
    assert [second.id, first.id] == [d.id for d in dead().items]
    assert [first.id] == [d.id for d in dead(host="127.0.0.1").items]
    assert [second.id] == [d.id for d in dead(since=bench.clock.now - 50_000_000).items]


def test_the_queues_target_and_format(bench):
    """A job without CallBack uses its queue's; a job with `no` has none."""
    bench = bench()
    with receiving() as receiver:
        tenant = bench.post_to(receiver.url).tenant
        queue = bench.store.queues.search(tenant, QueueFilter()).items[0]
        notify = NotifyConfig(
            state="On", event="TaskFinish", result_format="JSON", type="Url", url=receiver.url
        )
        bench.store.queues.update(tenant, queue.id, notify=notify)
        assert "delivered" == bench.try_(bench.end_job(CallbackRequest(), fail=True)).status
        with pytest.raises(AssertionError):
            bench.end_job(CallbackRequest(url="no"))
    (request,) = receiver.received
    assert b'"State":"Failed"' in request.body


def test_the_delivery_of_a_dead_worker_is_due_again(bench):
    """A delivery whose worker died while sending is due again after its reservation, its slots free."""
    bench = bench()
    with receiving() as receiver:
        delivery = bench.post_to(receiver.url)
        # What a worker that dies leaves behind: the reservation, and every slot of the host.
        lease_s = RESERVATION_TIMEOUTS * bench.settings.callbacks.timeout_s
        assert bench.store.outbox.reserve(delivery.id, lease_s) is not None
        host = f"127.0.0.1:{receiver.port}"
        for number in range(4):
            slot = bench.store.host_slots.acquire(host, f"gone-{number}", limit=4, ttl_s=lease_s)
            assert Slot.ACQUIRED == slot
        assert 0 == len(bench.try_(delivery).attempts)
        bench.clock.advance(lease_s)
        assert [delivery.id] == bench.store.outbox.due()
        assert "delivered" == bench.try_(delivery).status


def test_waiting_deliveries_follow_in_turn(bench):
    """At most the limit of deliveries go to one host at a time; the others follow, each once."""
    bench = bench(callback_per_host=2)

    def slow(connection, receiver):
        time.sleep(0.05)
        answer(200)(connection, receiver)

    with receiving(slow) as receiver, ThreadPoolExecutor(10) as pool:
        deliveries = [bench.post_to(receiver.url) for _ in range(10)]
        began = time.monotonic()
        list(pool.map(bench.service.deliver, [d.id for d in deliveries]))
        took = time.monotonic() - began
    assert ["delivered"] * 10 == [bench.store.outbox.get(d.id).status for d in deliveries]
    assert 10 == len(receiver.received)
    assert took > 0.24, "ten of 50 ms by two at a time take 250 ms"
    assert not list(bench.store.client.scan_iter("*:sending"))


def test_two_workers_share_the_limit(bench):
    """The limit per host is shared by all workers, and no delivery is sent by two of them."""
    bench = bench(callback_per_host=1, callback_timeout_s=60)
    other = DeliveryService(bench.store, bench.settings)
    with receiving(hang) as receiver, ThreadPoolExecutor(2) as pool:
        first, second = bench.post_to(receiver.url), bench.post_to(receiver.url)
        sending = pool.submit(bench.service.deliver, first.id)
        eventually(lambda: receiver.received, 180, "the first delivery")
        other.deliver(second.id)
        other.deliver(first.id)
        assert 1 == receiver.connections
        receiver.closed = True
        sending.result(180)


def test_dead_receivers_do_not_delay_healthy_ones(bench):
    """With a tenth of 300 callbacks going to hanging receivers, all others arrive while those still hang."""
    bench = bench(callback_timeout_s=300)
    dead = [receiving(hang) for _ in range(30)]
    healthy = [receiving() for _ in range(3)]
    receivers = [r.__enter__() for r in [*dead, *healthy]]
    deliveries: list[str] = []
    with ThreadPoolExecutor(bench.settings.callbacks.concurrency) as pool:
        for number in range(300):
            kind = number // 10 if number % 10 == 0 else 30 + number % 3
            delivery = bench.post_to(receivers[kind].url)
            deliveries.append(delivery.id)
            pool.submit(bench.service.deliver, delivery.id)
        eventually(lambda: sum(len(r.received) for r in receivers[30:]) == 270, 180, "the healthy receivers")
        hanging = [bench.store.outbox.get(each) for each in deliveries[::10]]
        for each in [*dead, *healthy]:
            each.__exit__(None, None, None)
    assert [()] * 30 == [each.attempts for each in hanging]
    assert 30 == sum(len(r.received) for r in receivers[:30])


def test_a_first_wait_is_kept(bench):
    """With a first wait in the schedule nothing is sent before it is over."""
    bench = bench(callback_schedule_s=(30, 5))
    with receiving() as receiver:
        delivery = bench.post_to(receiver.url)
        assert ("pending", 0) == (bench.try_(delivery).status, receiver.connections)
        assert 30 == bench.wait_s(delivery)
        bench.clock.advance(30)
        assert "delivered" == bench.try_(delivery).status


def test_a_delivery_without_a_thread_is_postponed(bench):
    """Without a thread for an unknown host the delivery is postponed, and no attempt is counted."""
    bench = bench(callback_concurrency=1, callback_timeout_s=60)
    with receiving(hang) as slow, receiving() as receiver, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(bench.service.deliver, bench.post_to(slow.url).id)
        eventually(lambda: slow.received, 180, "the first delivery")
        delivery = bench.post_to(receiver.url)
        after = bench.try_(delivery)
        assert ("pending", 0, 2) == (after.status, len(after.attempts), bench.wait_s(delivery))
        slow.closed = True
        sending.result(180)
        bench.clock.advance(2)
        assert "delivered" == bench.try_(delivery).status


def test_dead_letters_expire(bench):
    """A dead letter is deleted after the configured time, and not before."""
    bench = bench(dead_letter_days=2)
    with receiving(answer(410)) as receiver:
        delivery = bench.post_to(receiver.url)
        bench.try_(delivery)
    bench.clock.advance(2 * 86_400 - 1)
    bench.store.jobs.prune()
    assert 1 == bench.store.outbox.dead().total
    bench.clock.advance(2)
    bench.store.jobs.prune()
    assert (0, None) == (bench.store.outbox.dead().total, bench.store.outbox.get(delivery.id))
    assert bench.store.jobs.find(delivery.job_id) is not None


def test_a_host_that_hangs_gets_one_delivery_at_a_time(bench, monkeypatch):
    """As long as the last attempt hung, others of its host wait for it; then they may be several again."""
    bench = bench(callback_per_host=4)
    limits: list[int] = []
    acquire = bench.store.host_slots.acquire

    def acquired(host: str, delivery_id: str, *, limit: int, ttl_s: float) -> Slot:
        limits.append(limit)
        return acquire(host, delivery_id, limit=limit, ttl_s=ttl_s)

    monkeypatch.setattr(bench.store.host_slots, "acquire", acquired)
    with receiving(answer(200)) as receiver:
        first, second, third = (bench.post_to(receiver.url) for _ in range(3))
        bench.try_(first)
        bench.service._health.record(bench.service._host(first), failed("timeout", "silent"), SLOW_S)
        bench.try_(second)
        bench.try_(third)
    assert [4, 1, 4] == limits


def test_what_was_delivered_meanwhile_is_not_sent_again(bench, monkeypatch):
    """A delivery that waited for a slot while another worker sent it, or gave it up, is left alone."""
    bench = bench()
    with receiving(answer(200)) as receiver:
        delivery = bench.post_to(receiver.url)
        assert "delivered" == bench.try_(delivery).status
        monkeypatch.setattr(bench.store.outbox, "reserve", lambda _id, _seconds: delivery)
        after = bench.try_(delivery)
    assert (1, 1) == (len(receiver.received), len(after.attempts))


def test_the_callback_of_a_batch_names_failures_of_several_pages(bench, monkeypatch):
    """Failed rows are read until a hundred are found or none are left."""
    bench = bench()
    delivery = dataclasses.replace(bench.post_to("http://127.0.0.1:1/"), job_id="b1")
    spec = job_spec()
    batch = Batch("b1", spec.tenant, "night", spec, BatchState.ACTIVE, 0, ended=1, rows=300, failed=150)
    asked: list[tuple[str | None, int]] = []

    def search(_tenant: object, which: JobFilter) -> Page:
        asked.append((which.cursor, which.size))
        start = int(which.cursor or 0)
        jobs = [failed_job(f"j{start + number:032x}") for number in range(min(40, which.size))]
        return Page(jobs, str(start + 40))

    monkeypatch.setattr(bench.store.batches, "find", lambda _: batch)
    monkeypatch.setattr(bench.store.jobs, "search", search)
    announced = bench.service._announced(delivery)
    assert announced is not None
    assert [(None, 100), ("40", 60), ("80", 20)] == asked
    assert all(f"j{number:032x}" in announced.body.decode() for number in range(100))


def failed_job(job_id: str) -> Job:
    return Job(job_id, job_spec(), State.FAILED, 0, code="AudioDamaged", message="It is.", ended=1)


def test_receivers_that_answer_late_hold_half_of_the_threads(bench):
    """However many receivers of a bucket answer 200 late, callbacks of others find a thread at once."""
    bench = bench(callback_concurrency=4)
    go_on = threading.Event()

    def after_a_second(connection, receiver):
        time.sleep(SLOW_BUCKET_S)
        answer(200)(connection, receiver)

    def late(connection, receiver):
        go_on.wait(60)
        answer(200)(connection, receiver)

    def end_job(bucket, receiver):
        spec = job_spec(CallbackRequest(url=receiver.url, format="JSON"), "")
        (job,) = bench.store.jobs.create(
            [dataclasses.replace(spec, queue_id="", tenant=Tenant(bucket, REGION))]
        )
        bench.store.attempts.fail(
            bench.store.attempts.claim("test", [spec.level]), "ResourceNotFound", "Gone."
        )
        return bench.store.outbox.for_job(job.id)

    with ExitStack() as stack:
        slow = [stack.enter_context(receiving(late)) for _ in range(4)]
        quick, first = (stack.enter_context(receiving(each)) for each in (answer(200), after_a_second))
        assert "delivered" == bench.try_(end_job("slow-1250000000", first)).status
        for receiver in slow:  # known hosts: only their bucket limits them
            bench.service._health.record(f"127.0.0.1:{receiver.port}", DELIVERED, 0.1)
        with ThreadPoolExecutor(4) as threads:
            tried = [threads.submit(bench.try_, end_job("slow-1250000000", receiver)) for receiver in slow]
            eventually(lambda: sum(each.done() for each in tried) == 2, 30, "two that were put off")
            assert "delivered" == bench.try_(end_job("other-1250000000", quick)).status
            go_on.set()
        statuses = sorted(each.result().status for each in tried)
    assert ["delivered", "delivered", "pending", "pending"] == statuses
