"""What the stream of events promises, on a real Valkey and in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from stemline.jobs.event import Event, place
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import QueueFilter, RedisStore, Store, scripts
from stemline.testing.in_memory_store import state as in_memory_state
from stemline.testing.processes import eventually
from tests.conftest import ValkeyServer
from tests.integration.jobs.contract import DONE, OTHER, TENANT, spec


def events_after(store: Store, after: str) -> list[Event]:
    events = store.events.read(TENANT, after)
    assert events is not None
    return events


def test_every_change_of_a_job_is_told_once_and_in_order(store):
    """Submission, claim, progress, release and end each leave one event, with the state that clients see."""
    start, _ = store.events.begin(TENANT)
    (job,) = store.jobs.create([spec()])
    held = store.attempts.claim("w", [0])
    for progress, stage in ((5, "download"), (5, "download"), (40, "separate")):
        store.attempts.heartbeat(job.id, held.token, progress, "cpu", stage)
    store.attempts.release(held)
    held = store.attempts.claim("w", [0])
    store.attempts.succeed(held, DONE)
    events = events_after(store, start)
    assert {("job", job.id)} == {(event.kind, event.subject) for event in events}
    assert [
        ("Submitted", 0, ""),
        ("Running", 0, ""),
        ("Running", 5, "download"),
        ("Running", 40, "separate"),
        ("Submitted", 0, ""),
        ("Running", 0, ""),
        ("Success", 100, ""),
    ] == [(event.state, event.progress, event.stage) for event in events]
    assert sorted(events, key=lambda event: place(event.id)) == events


def test_stage_is_that_of_the_running_attempt(store):
    """A job shows the stage that its worker reported, until it ends or is released."""
    (job,) = store.jobs.create([spec()])
    held = store.attempts.claim("w", [0])
    store.attempts.heartbeat(job.id, held.token, 7, stage="decode")
    assert "decode" == store.jobs.find(job.id).stage
    store.attempts.fail(held, "AudioDamaged", "It is.")
    assert "" == store.jobs.find(job.id).stage


def test_failures_and_cancels_are_told_with_their_code(store):
    """The event of an end holds its code; a running job's cancel is reported when it is confirmed."""
    first, second = store.jobs.create([spec(), spec()])
    start, _ = store.events.begin(TENANT)
    store.jobs.cancel(TENANT, [second.id])
    held = store.attempts.claim("w", [0])
    store.attempts.fail(held, "AudioDamaged", "It is.")
    assert [
        (second.id, "Cancel", "Success"),
        (first.id, "Running", "Success"),
        (first.id, "Failed", "AudioDamaged"),
    ] == [(event.subject, event.state, event.code) for event in events_after(store, start)]


def test_a_paused_queue_is_told(store):
    """Pausing and resuming a queue is one event each; a job that is then submitted shows Pause."""
    store.jobs.create([spec()])
    (queue,) = store.queues.search(TENANT, QueueFilter()).items
    start, _ = store.events.begin(TENANT)
    for state in (QueueState.PAUSED, QueueState.PAUSED, QueueState.ACTIVE):
        store.queues.update(TENANT, queue.id, state=state)
    store.queues.update(TENANT, queue.id, state=QueueState.PAUSED)
    store.jobs.create([spec()])
    events = events_after(store, start)
    assert ["Paused", "Active", "Paused", "Pause"] == [event.state for event in events]
    assert [queue.id] * 3 == [event.subject for event in events[:3]]


def test_running_jobs_of_a_paused_queue_are_told_as_they_are(store):
    """Only what waits is Pause; a running job is reported as Running and as Success, a new one as Pause."""
    (job,) = store.jobs.create([spec()])
    held = store.attempts.claim("w", [0])
    store.queues.update(TENANT, held.spec.queue_id, state=QueueState.PAUSED)
    start, _ = store.events.begin(TENANT)
    store.attempts.heartbeat(job.id, held.token, 40, "cpu", "separate")
    store.attempts.succeed(held, DONE)
    (late,) = store.jobs.create([spec()])
    assert [(job.id, "Running"), (job.id, "Success"), (late.id, "Pause")] == [
        (event.subject, event.state) for event in events_after(store, start)
    ]


def test_a_reader_begins_where_the_jobs_are_read(store):
    """The jobs that come with the end of the stream are what all events before it say, and nothing after."""
    (job,) = store.jobs.create([spec()])
    end, (seen, unknown) = store.events.begin(TENANT, [job.id, "j0"])
    assert (State.SUBMITTED, None) == (seen.state, unknown)
    assert [] == events_after(store, end)
    store.attempts.claim("w", [0])
    assert ["Running"] == [event.state for event in events_after(store, end)]


def test_events_stay_within_their_tenant(store):
    """A tenant reads no event of another one."""
    start, _ = store.events.begin(OTHER)
    (job,) = store.jobs.create([spec()])
    assert [] == store.events.read(OTHER, start)
    assert [None] == store.events.begin(OTHER, [job.id])[1]


def test_reading_in_parts_gives_each_event_once(store):
    """Pages of events join without a gap and without a repetition."""
    start, _ = store.events.begin(TENANT)
    ids = [job.id for _ in range(7) for job in store.jobs.create([spec()])]
    found: list[str] = []
    while page := store.events.read(TENANT, start, 3):
        found += [event.subject for event in page]
        start = page[-1].id
    assert ids == found


@pytest.fixture
def few_events(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """How many events a store keeps."""
    kept = 200
    for module in (scripts, in_memory_state):
        monkeypatch.setattr(module, "EVENTS_KEPT", kept)
    scripts.source.cache_clear()
    yield kept
    scripts.source.cache_clear()


def test_a_gap_is_noticed(few_events: int, store: Store) -> None:
    """A reader that stayed away for more events than are kept learns it, and is not given a part of them."""
    start, _ = store.events.begin(TENANT)
    (job,) = store.jobs.create([spec()])
    held = store.attempts.claim("w", [0])
    for number in range(few_events + 500):
        store.attempts.heartbeat(job.id, held.token, number % 2)
    assert store.events.read(TENANT, start) is None
    end, _ = store.events.begin(TENANT)
    assert [] == store.events.read(TENANT, end)


@pytest.mark.parametrize("beyond", ["999999999999999-0", "{later}-0"])
def test_an_event_beyond_the_end_is_noticed(store, beyond):
    """A reader of an event that the store does not have gets a reset, with or without other events."""
    for _ in range(2):
        end, _ = store.events.begin(TENANT)
        assert store.events.read(TENANT, beyond.format(later=place(end)[0] + 3_600_000)) is None
        assert [] == store.events.read(TENANT, end)
        store.jobs.create([spec()])


def test_waiting_ends_with_an_event(store):
    """A waiting reader of several tenants gets the first new event, of the tenant that has one."""
    after = {tenant: store.events.begin(tenant)[0] for tenant in (TENANT, OTHER)}
    assert {} == store.events.wait(after, 0.01)
    timer = threading.Timer(0.05, lambda: store.jobs.create([spec(tenant=OTHER)]))
    timer.start()
    found = eventually(lambda: store.events.wait(after, 4), 180, "the event")
    timer.join()
    assert [OTHER] == list(found)
    assert ["Submitted"] == [event.state for event in found[OTHER]]


@pytest.mark.parametrize("text", ["", "5", "5-", "-5", "a-1", "1-2-3", "1" * 30 + "-1"])
def test_only_ids_of_events_are_places(text):
    """A text that is no id of an event has no place among them."""
    with pytest.raises(ValueError, match=r"^"):
        place(text)


@pytest.mark.parametrize(
    ("after", "following"),
    [
        ((-1, 9), None),
        ((0, 4), None),
        ((0, 5), [(0, 7), (1, 0), (1, 2)]),
        ((0, 6), [(0, 7), (1, 0), (1, 2)]),
        ((0, 7), [(1, 0), (1, 2)]),
        ((1, 0), [(1, 2)]),
        ((1, 1), [(1, 2)]),
        ((1, 2), []),
        ((1, 3), None),
        ((2, 0), None),
    ],
)
def test_a_gap_is_noticed_to_the_event(
    valkey: redis.Redis,
    valkey_server: ValkeyServer,
    after: tuple[int, int],
    following: list[tuple[int, int]] | None,
) -> None:
    """Milliseconds and numbers distinguish events; after the first one that is kept there is no gap."""
    client = redis.Redis.from_url(valkey_server.url, decode_responses=True)
    store, stream = RedisStore(client), f"stemline:events:{TENANT}"
    at = client.time()[0] * 1000 - 60_000
    entry: dict[Any, Any] = {
        "kind": "job",
        "id": "j",
        "state": "Running",
        "progress": 0,
        "stage": "",
        "code": "",
    }
    for ms, number in ((0, 1), (0, 5), (0, 7), (1, 0), (1, 2)):
        client.xadd(stream, entry, id=f"{at + ms}-{number}")
    client.xtrim(stream, maxlen=4, approximate=False)
    events = store.events.read(TENANT, f"{at + after[0]}-{after[1]}")
    expected = None if following is None else [f"{at + ms}-{number}" for ms, number in following]
    assert expected == (None if events is None else [event.id for event in events])
    client.close()
