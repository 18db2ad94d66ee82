"""What jobs took, on a real Valkey and in memory."""

from __future__ import annotations

from stemline.jobs.job import OutputFile, Result
from stemline.jobs.separation import Track
from stemline.jobs.store import Store
from stemline.jobs.usage import DAY_US, Usage
from stemline.runtime.store_metrics import StoreCollector
from tests.integration.jobs.contract import OTHER, TENANT, spec

DONE = Result((OutputFile(Track.VOICE, "v.wav", "0" * 32, 700),), {}, audio_s=200.5, source_bytes=3000)


def run(store: Store, clock, seconds: float, device: str = "cpu") -> None:
    """Let the best waiting job succeed after some time."""
    held = store.attempts.claim("w", [0])
    store.attempts.heartbeat(held.id, held.token, 50, device)
    clock.advance(seconds)
    store.attempts.succeed(held, DONE)
    store.attempts.succeed(held, DONE)  # repeated after a lost answer


def test_jobs_are_summed_by_credential_and_day(store, clock):
    """Submissions count on their day, ends on theirs: audio, work by device and bytes, each job once."""
    today = clock() // DAY_US
    store.jobs.create([spec(credential="a")] * 3)
    store.jobs.create([spec(credential="b|x")])
    run(store, clock, 10)
    run(store, clock, 5, "cuda")
    held = store.attempts.claim("w", [0])
    clock.advance(2)
    store.attempts.fail(held, "AudioDamaged", "It is.")
    first, second = store.usage.read(TENANT, today, today)
    assert Usage(today, "b|x", jobs=1) == second
    assert ("a", 3, 2, 1) == (first.credential, first.jobs, first.succeeded, first.failed)
    assert (401_000, 6000, 1400) == (first.audio_ms, first.bytes_in, first.bytes_out)
    assert (12_000, 5000) == (first.work_ms[""] + first.work_ms["cpu"], first.work_ms["cuda"])
    clock.advance(86_400)
    run(store, clock, 10)
    (later,) = store.usage.read(TENANT, today + 1, today + 2)
    assert (today + 1, "b|x", 0, 1) == (later.day, later.credential, later.jobs, later.succeeded)


def test_usage_stays_within_its_tenant(store, clock):
    """A tenant's list has its own jobs; what a credential has spent today counts over all tenants."""
    today = clock() // DAY_US
    store.jobs.create([spec(credential="a")])
    store.jobs.create([spec(credential="a", tenant=OTHER)] * 2)
    assert [1] == [usage.jobs for usage in store.usage.read(TENANT, today, today)]
    assert [2] == [usage.jobs for usage in store.usage.read(OTHER, today, today)]
    run(store, clock, 1)
    spent = store.usage.spent("a")
    assert (3, 200_500) == (spent.jobs, spent.audio_ms)
    assert 0 == store.usage.spent("b").jobs
    clock.advance(86_400)
    assert Usage(today + 1, "a") == store.usage.spent("a")


def test_a_repeated_submission_is_counted_once(store, clock):
    """Jobs that are stored already are not counted again."""
    ids = [f"j{number:032x}" for number in range(2)]
    for _ in range(2):
        store.jobs.create_many([spec(credential="a")] * 2, ids)
    assert 2 == store.usage.spent("a").jobs


def test_the_sums_are_metrics(store, clock):
    """Audio, work by device and bytes are counters over all credentials."""
    store.jobs.create([spec(credential="a"), spec(credential="b", tenant=OTHER)])
    run(store, clock, 10)
    run(store, clock, 5)
    metrics = {metric.name: metric for metric in StoreCollector(store.statistics, max_queues=1).read_now()}
    assert 401 == metrics["stemline_audio_seconds"].samples[0].value
    work = {sample.labels["device"]: sample.value for sample in metrics["stemline_work_seconds"].samples}
    assert {"cpu": 15} == work
    moved = {sample.labels["direction"]: sample.value for sample in metrics["stemline_object_bytes"].samples}
    assert {"in": 6000, "out": 1400} == moved
