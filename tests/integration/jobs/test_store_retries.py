"""Retried jobs and callbacks of any status, on a real Valkey and in memory."""

from __future__ import annotations

import dataclasses

import pytest

from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.store import DeliveryFilter, JobFilter, Store
from tests.integration.jobs.contract import OTHER, TENANT, ended, spec

ALL = DeliveryFilter()


def test_a_retry_and_its_origin_name_each_other(store):
    """The new job names the one it retries, which names its latest retry; nothing else of it changes."""
    (old,) = store.jobs.create([spec()])
    store.jobs.cancel(TENANT, [old.id])
    before = store.jobs.find(old.id)
    retries = [store.jobs.create([dataclasses.replace(old.spec, origin=old.id)])[0] for _ in range(2)]
    assert [old.id, old.id] == [store.jobs.find(job.id).spec.origin for job in retries]
    assert dataclasses.replace(before, retried_by=retries[1].id) == store.jobs.find(old.id)


def test_a_retry_outlives_the_record_of_its_origin(store):
    """A retry whose origin is gone is a job like any other."""
    (job,) = store.jobs.create([dataclasses.replace(spec(), origin="j0")])
    assert "j0" == store.jobs.find(job.id).spec.origin
    assert store.jobs.find("j0") is None


def attempt(store: Store, delivery: str, status: str) -> None:
    taken = store.outbox.reserve(delivery, 30)
    assert taken is not None
    tried = DeliveryAttempt(store.now(), "200" if status == "delivered" else "500", 3)
    store.outbox.record(delivery, tried, next_due=None, status=status)


@pytest.fixture
def deliveries(store: Store, clock) -> dict[str, str]:
    """One callback of each status, the pending one last."""
    found = {}
    for status in ("delivered", "dead", "pending"):
        clock.advance(1)
        found[status] = ended(store, f"http://{status}.example/x")
        if status != "pending":
            attempt(store, found[status], status)
    return found


def ids(store: Store, which: DeliveryFilter = ALL) -> list[str]:
    return [each.id for each in store.outbox.search(TENANT, which).items]


def test_callbacks_are_listed_by_status(store, deliveries):
    """Each status has its list, all together are ordered by the end of their jobs, latest first."""
    for status, delivery in deliveries.items():
        assert [delivery] == ids(store, DeliveryFilter(statuses=frozenset({status})))
    assert [deliveries[status] for status in ("pending", "dead", "delivered")] == ids(store)
    assert 3 == store.outbox.search(TENANT, ALL).total
    assert [] == store.outbox.search(OTHER, ALL).items


def test_lists_of_callbacks_narrow_and_page(store, deliveries, clock):
    """Host, time, page and size narrow a list; the total counts all pages."""
    first, second = DeliveryFilter(size=2), DeliveryFilter(size=2, page=2)
    assert [deliveries["pending"], deliveries["dead"]] == ids(store, first)
    assert [deliveries["delivered"]] == ids(store, second)
    assert 3 == store.outbox.search(TENANT, second).total
    assert [deliveries["dead"]] == ids(store, DeliveryFilter(host="dead.example"))
    assert [deliveries["pending"]] == ids(store, DeliveryFilter(since=clock()))


def test_any_callback_can_be_sent_now(store, deliveries, clock):
    """Whatever its status, a callback is due at once and keeps its attempts; one that is over begins anew."""
    clock.advance(1)
    assert 3 == store.outbox.send(TENANT, list(deliveries.values()))
    assert set(deliveries.values()) == set(store.outbox.due())
    found = {status: store.outbox.get(delivery) for status, delivery in deliveries.items()}
    assert {"pending"} == {each.status for each in found.values()}
    assert {"delivered": 1, "dead": 1, "pending": 0} == {k: v.uncounted for k, v in found.items()}
    assert {"delivered": 1, "dead": 1, "pending": 0} == {k: len(v.attempts) for k, v in found.items()}
    assert sorted(deliveries.values()) == sorted(ids(store, DeliveryFilter(statuses=frozenset({"pending"}))))
    attempt(store, deliveries["delivered"], "delivered")
    assert [deliveries["delivered"]] == ids(store, DeliveryFilter(statuses=frozenset({"delivered"})))


def test_callbacks_of_others_are_not_sent(store, deliveries):
    """A tenant sends its own callbacks only, and unknown ids are none."""
    assert 0 == store.outbox.send(OTHER, list(deliveries.values()))
    assert 0 == store.outbox.send(TENANT, ["d0"])
    assert [] == store.outbox.dead(tenant=OTHER).items
    assert 1 == store.outbox.dead(tenant=TENANT).total


def test_all_callbacks_of_a_filter_are_sent(store, deliveries):
    """Sending by filter sends what the list holds on all its pages."""
    which = DeliveryFilter(statuses=frozenset({"delivered", "dead"}), size=1)
    assert 2 == store.outbox.send_where(TENANT, which)
    assert 0 == store.outbox.send_where(TENANT, which)
    assert 1 == store.outbox.send_where(TENANT, DeliveryFilter(host="dead.example"))
    assert 0 == store.outbox.dead().total


def kill(store: Store, clock, url: str = "http://cb.example/x") -> str:
    """A callback that is given up at once; its id."""
    clock.advance(1)
    delivery = ended(store, url)
    attempt(store, delivery, "dead")
    return delivery


def test_any_page_of_several_lists_is_right(store, clock):
    """Pages of deliveries of several statuses hold each delivery once, in order, whatever their size."""
    made = []
    for number in range(14):
        clock.advance(number % 3)  # some at the same moment
        made.append(ended(store))
        if number % 3:
            attempt(store, made[-1], "dead" if number % 2 else "delivered")
    every = sorted(made, key=lambda name: (store.outbox.get(name).created, name), reverse=True)
    for size in (1, 3, 5, 20):
        pages = [ids(store, DeliveryFilter(page=page, size=size)) for page in range(1, 16)]
        assert every == [name for page in pages for name in page]
    assert [] == ids(store, DeliveryFilter(page=999_999_999, size=100))
    assert 14 == store.outbox.search(TENANT, DeliveryFilter(page=999_999_999, size=100)).total


def test_dead_letters_of_a_bucket_are_in_the_order_they_were_given_up(store, clock):
    """A bucket's list has them by the time they were given up, and loses those that are replayed."""
    first, second = ended(store), ended(store)
    for delivery in (second, first):
        clock.advance(1)
        attempt(store, delivery, "dead")
    assert [first, second] == [each.id for each in store.outbox.dead(tenant=TENANT).items]
    assert [first] == [each.id for each in store.outbox.dead(tenant=TENANT, since=clock()).items]
    assert 1 == store.outbox.replay([first])
    assert [second] == [each.id for each in store.outbox.dead(tenant=TENANT).items]
    assert 1 == store.outbox.replay_where(tenant=TENANT)
    assert 0 == store.outbox.dead(tenant=TENANT).total


def test_a_list_by_host_holds_its_page_alone(store, clock):
    """A host's deliveries are counted whole and shown by page, for one bucket and for all."""
    for number in range(5):
        kill(store, clock, f"http://{'a' if number % 2 else 'b'}.example/x")
    found = store.outbox.dead(tenant=TENANT, host="b.example", page=2, size=2)
    assert (3, 1) == (found.total, len(found.items))
    found = store.outbox.dead(host="a.example", size=1)
    assert (2, "a.example") == (found.total, found.items[0].target.host)
    found = store.outbox.search(TENANT, DeliveryFilter(host="a.example", page=2, size=1))
    assert (2, 1) == (found.total, len(found.items))
    assert 2 == store.outbox.replay_where(tenant=TENANT, host="a.example")


def test_a_brief_list_says_what_was_submitted(store):
    """It has the same jobs with the same specifications, states and times, and leaves the rest out."""
    first, second = store.jobs.create([spec(level=2), spec("in/b.mp3", user_data="17")])
    store.attempts.fail(store.attempts.claim("w", [2]), "InternalError", "it broke")
    whole, brief = (store.jobs.search(TENANT, JobFilter(is_brief=each)).items for each in (False, True))
    assert {first.id, second.id} == {job.id for job in brief}
    shown = [[(job.id, job.spec, job.state, job.created) for job in each] for each in (whole, brief)]
    assert shown[0] == shown[1]
