"""Contract of a job store: which job a claim takes, and what it leaves behind of those it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import redis

from stemline.jobs.errors import LeaseLost
from stemline.jobs.job import Hop, Job, JobSpec
from stemline.jobs.separation import AudioMode
from stemline.jobs.serving import COMMON
from stemline.jobs.states import State
from stemline.jobs.store import RedisStore, Store, scripts
from stemline.testing import FixedClock
from tests.integration.jobs.contract import DONE, OTHER, SECOND, TENANT, Make, spec

HEAVY = "htdemucs"
SERVES = {*COMMON, HEAVY}


@pytest.fixture
def server(client: redis.Redis, clock: FixedClock) -> RedisStore:
    """An empty store on the server."""
    return RedisStore(client, clock=clock)


def wanting(model: str | None, **changes) -> JobSpec:
    plain = spec(**changes)
    return replace(plain, separate=replace(plain.separate, model=model))


def claim(store: Store, *levels: int) -> Job | None:
    return store.attempts.claim("w", levels or (2, 1, 0), SERVES)


def claimed(store: Store) -> Job:
    job = claim(store)
    assert job is not None
    return job


@pytest.mark.parametrize("models", [(None, HEAVY), (HEAVY, None)])
def test_of_equal_turns_the_queue_with_the_lower_id_is_first(
    store: Store, models: tuple[str | None, str | None]
) -> None:
    """Whichever of a worker's lines its job stands in."""
    jobs = [
        store.jobs.create([wanting(model, tenant=tenant)])[0]
        for tenant, model in zip((TENANT, OTHER), models, strict=True)
    ]
    expected = sorted(jobs, key=lambda job: job.spec.queue_id)
    assert [job.id for job in expected] == [claimed(store).id for _ in jobs]


def test_no_other_argument_of_a_claim_is_what_the_worker_serves(make: Make) -> None:
    """Levels and their number are no models, although a model may be called so."""
    store = make(lease_s=7, level_ageing_s=0)
    store.jobs.create([wanting(str(number)) for number in (0, 1, 2, 3, 7_000_000, "w")])
    assert [None, None] == [claim(store), claim(store, 0)]


@pytest.mark.parametrize(("waits", "first"), [(9, 1), (10, 0), (11, 0)])
def test_of_one_rank_the_job_that_has_waited_longer_is_first(
    make: Make, clock: FixedClock, waits: int, first: int
) -> None:
    """With ageing of ten seconds a job of level 0 has the rank of level 1 after ten."""
    store = make(level_ageing_s=10)
    store.jobs.create([spec()])
    clock.advance(waits)
    store.jobs.create([spec(level=1)])
    assert first == claimed(store).spec.level


def reclaimed(store: Store, held: Job) -> Job:
    job = store.attempts.reclaim(held.id, "sweeper")
    assert job is not None
    return job


def claimed_again(store: Store, held: Job) -> Job:
    store.attempts.release(held)
    return claimed(store)


@pytest.mark.parametrize(
    ("again", "back"),
    [(reclaimed, 0.0), (claimed_again, 0.0), (claimed_again, 1e-6), (claimed_again, 3600.0)],
)
def test_tokens_rise_while_the_clock_does_not(
    make: Make, clock: FixedClock, again: Callable[[Store, Job], Job], back: float
) -> None:
    """Within one microsecond, and after the clock was set back; what an earlier attempt writes is refused."""
    store = make(lease_s=0)
    store.jobs.create([spec()])
    held = [claimed(store)]
    for _ in range(3):
        clock.advance(-back)
        held.append(again(store, held[-1]))
    tokens = [job.token for job in held]
    assert [tokens[0] + number for number in range(4)] == tokens
    for job in held[:-1]:
        with pytest.raises(LeaseLost):
            store.attempts.heartbeat(job.id, job.token, 1)
    store.attempts.succeed(held[-1], DONE)


def answers(store: RedisStore) -> list[str]:
    """Claim until a call gives a job; the kinds of all answers."""
    found: list[str] = []
    while not found or found[-1] == "again":
        found.append(store._connection.run("claim", "w", SECOND, 0, 1, 0, "AudioAndBackground")[0])
    return found


@pytest.mark.parametrize(("before", "expected"), [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (6, 3)])
@pytest.mark.parametrize("what", ["over", "apart"])
def test_one_call_does_not_do_too_much(
    client: redis.Redis,
    clock: FixedClock,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    before: int,
    expected: int,
) -> None:
    """After so many jobs that are cancelled, or given a line apart, a call ends and is made again."""
    monkeypatch.setattr(scripts, "MAX_PASSED", 3 if what == "over" else 1)
    monkeypatch.setattr(scripts, "MAX_MOVED", 3 if what == "apart" else 1)
    scripts.source.cache_clear()
    store = RedisStore(client, clock=clock)
    music = replace(spec().separate, audio_mode=AudioMode.MUSIC_MODE)
    over, apart = spec(deadline=clock() + SECOND), replace(spec(), separate=music)
    for _ in range(before):
        store.jobs.create([over if what == "over" else apart])
    (last,) = store.jobs.create([spec()])
    clock.advance(2)
    found = answers(store)
    scripts.source.cache_clear()
    assert [*["again"] * (expected - 1), "job"] == found
    assert State.RUNNING is store.jobs.get(TENANT, [last.id])[0].state
    totals = store.statistics.read().totals
    assert (before if what == "over" else 0) == totals.get("ended:Cancel", 0)
    assert (before if what == "apart" else 0) == sum(each.waiting for each in store.jobs.demands())


DAMAGE = {
    "gone": lambda client, key: client.delete(key),
    "another queue": lambda client, key: client.hset(key, "queue", "p" + "0" * 32),
    "another level": lambda client, key: client.hset(key, "level", 2),
    "another specification": lambda client, key: client.hset(key, "spec", "{}"),
    "ended by an earlier release": lambda client, key: client.hset(key, "state", "Cancel"),
}


@pytest.mark.parametrize("weight", [None, 50])
@pytest.mark.parametrize("model", [None, HEAVY])
@pytest.mark.parametrize("damage", DAMAGE)
def test_nothing_is_left_in_line_of_a_damaged_record(
    client: redis.Redis, server: RedisStore, damage: str, model: str | None, weight: int | None
) -> None:
    """A claim passes it, takes the next job of its line, and leaves no trace of it in lines and numbers."""
    first, second = (
        server.jobs.create([replace(wanting(model), credential="AKIDa", weight=weight)])[0] for _ in range(2)
    )
    key = f"stemline:job:{first.id}"
    DAMAGE[damage](client, key)
    assert [second.id] == [job.id for job in (claim(server), claim(server)) if job]
    (third,) = server.jobs.create([replace(wanting(model), credential="AKIDa", weight=weight)])
    DAMAGE[damage](client, f"stemline:job:{third.id}")
    assert claim(server) is None
    assert [] == server.jobs.demands()
    assert [] == lines(client)
    totals = server.statistics.read().totals_of_queues
    assert ((0, 0, 0), 1, (0, 0, 0)) == (totals.waiting, totals.running, totals.startable)


def lines(client: redis.Redis) -> list[str]:
    """Return the keys in which jobs wait, or queues and shares that have any."""
    kinds = ("waiting", "weighted", "shares", "wanted", "ready")
    return sorted(key for kind in kinds for key in client.keys(f"stemline:{kind}:*"))


def test_a_job_that_stands_in_two_lines_is_claimed_once(client: redis.Redis, server: RedisStore) -> None:
    """An earlier release puts a job into the common line that stands in its own; a claim empties both."""
    job = server.jobs.create([wanting(HEAVY)])[0]
    client.zadd(f"stemline:waiting:{job.spec.queue_id}:0", {job.id: job.created})
    server.queues.update(TENANT, job.spec.queue_id, max_size=7)
    for own in (f"stemline:ready:0/{HEAVY}", "stemline:ready:0"):
        assert [job.spec.queue_id] == client.zrange(own, 0, -1)
    assert job.id == claimed(server).id
    assert [] == lines(client)


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ((("", None), ("a", None), ("b", None)), ["", "a", "b"]),
        ((("b", None), ("a", HEAVY), ("", None)), ["", "a", "b"]),
        ((("b", HEAVY), ("a", HEAVY), ("", HEAVY)), ["", "a", "b"]),
        ((("a", HEAVY), ("a", None), ("b", None), ("b", HEAVY)), ["a", "b", "a", "b"]),
        ((("b", HEAVY), ("b", HEAVY), ("a", None), ("a", None), ("", HEAVY)), ["", "a", "b", "a", "b"]),
        ((("", HEAVY), ("", None), ("", HEAVY), ("b", None)), ["", "b", "", ""]),
        ((("a", None), ("a", HEAVY), ("a", None)), ["a", "a", "a"]),
    ],
)
def test_of_equal_turns_the_share_of_the_lower_name_is_first(
    store: Store, jobs: tuple[tuple[str, str | None], ...], expected: list[str]
) -> None:
    """The common share before all, in whichever lines their jobs stand; jobs of one share by their age."""
    names = [
        store.jobs.create([replace(wanting(model), credential=share or "x", weight=100 if share else None)])[
            0
        ].id
        for share, model in jobs
    ]
    found = [claimed(store) for _ in jobs]
    assert expected == [job.spec.share for job in found]
    for share, _ in jobs:
        own = [name for name, (each, _) in zip(names, jobs, strict=True) if each == share]
        assert own == [job.id for job in found if job.spec.share == share]


@pytest.mark.parametrize("line", ["its own", "common"])
@pytest.mark.parametrize("weight", [None, 50])
@pytest.mark.parametrize("model", [None, HEAVY])
def test_a_job_changes_its_level_wherever_it_stands(
    client: redis.Redis,
    server: RedisStore,
    clock: FixedClock,
    line: str,
    weight: int | None,
    model: str | None,
) -> None:
    """Also one that an earlier release has put into the common line; it is claimed at its new level alone."""
    job = server.jobs.create([replace(wanting(model, hop=Hop(5, 2)), credential="a", weight=weight)])[0]
    if line == "common" and model:
        place = f"{job.spec.queue_id}:0"
        for kind, share in (("waiting", ""),) if weight is None else (("weighted", ""), ("weighted", ":a")):
            key = f"stemline:{kind}:{place}"
            client.zrem(f"{key}/{model}{share}", job.id)
            client.zadd(f"{key}{share}", {job.id: job.created})
    clock.advance(6)
    server.jobs.promote()
    assert claim(server, 1, 0) is None
    found = claim(server, 2)
    assert found is not None
    assert job.id == found.id
    assert [] == [key for key in lines(client) if ":shares:" not in key]
