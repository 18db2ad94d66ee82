"""Contract of a job store: the steps of a job's attempts, and the workers that report themselves."""

from __future__ import annotations

from stemline.jobs.history import STEPS_KEPT, attempts_of
from stemline.jobs.job import Result
from stemline.jobs.store import Store
from stemline.jobs.worker import KEPT_S, Worker
from stemline.testing import FixedClock
from tests.integration.jobs.contract import Make, spec


def test_attempts_are_remembered(store: Store, clock: FixedClock) -> None:
    """Each claim, stage, return and lost lease is kept with its time, and makes up the attempts."""
    (job,) = store.jobs.create([spec()])
    start = store.now()
    first = store.attempts.claim("w1", [0])
    assert first is not None
    clock.advance(1)
    store.attempts.heartbeat(job.id, first.token, 0, stage="download")
    clock.advance(1)
    store.attempts.heartbeat(job.id, first.token, 20, stage="separate")
    store.attempts.heartbeat(job.id, first.token, 40, stage="separate")
    clock.advance(1)
    store.attempts.release(first, counts=True, reason="The bucket is unavailable.")
    second = store.attempts.claim("w2", [0])
    assert second is not None
    clock.advance(3600)
    reclaimed = store.attempts.reclaim(job.id, "sweeper")
    assert reclaimed is not None
    store.attempts.release(reclaimed)
    third = store.attempts.claim("w 3", [0])
    assert third is not None
    clock.advance(2)
    store.attempts.fail(third, "DecodeFailed", "not audio")
    ended = store.jobs.find(job.id)
    assert ended is not None
    lost, last = start + 3_000_000 + 3_600_000_000, ended.ended
    found = [
        (each.worker, each.started, each.ended, each.outcome, each.reason)
        for each in attempts_of(ended, store.jobs.history(job.id))
    ]
    assert found == [
        ("w1", start, start + 3_000_000, "failed", "The bucket is unavailable."),
        ("w2", start + 3_000_000, lost, "lost", ""),
        ("w 3", lost, last, "Failed", "DecodeFailed: not audio"),
    ]
    stages = attempts_of(ended, store.jobs.history(job.id))[0].stages
    assert [("download", start + 1_000_000), ("separate", start + 2_000_000)] == [
        (each.name, each.started) for each in stages
    ]


def test_steps_are_bounded_and_dropped_with_the_job(make: Make, clock: FixedClock) -> None:
    """Only the latest steps of a job that is put off for ever are kept, and none once the job is pruned."""
    store = make(retention_days=1)
    (job,) = store.jobs.create([spec()])
    for _ in range(STEPS_KEPT):
        claimed = store.attempts.claim("w", [0])
        assert claimed is not None
        store.attempts.release(claimed)
    assert STEPS_KEPT == len(store.jobs.history(job.id))
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.attempts.succeed(claimed, Result((), {}))
    clock.advance(2 * 86_400)
    assert 1 == store.jobs.prune()
    assert [] == store.jobs.history(job.id)


def test_workers_report_themselves(store: Store, clock: FixedClock) -> None:
    """A worker is known with the time of its latest report until it leaves, or has been gone for long."""
    kept, leaving = (Worker(name, "separation", 2, (2, 1, 0), "cpu", "1.0", 5) for name in ("a", "b"))
    store.workers.report(kept)
    clock.advance(10)
    store.workers.report(leaving)
    assert [("b", store.now()), ("a", store.now() - 10_000_000)] == [
        (each.name, each.seen) for each in store.workers.latest()
    ]
    store.workers.leave("b")
    (known,) = store.workers.latest()
    assert (kept.levels, kept.device, kept.slots) == (known.levels, known.device, known.slots)
    clock.advance(KEPT_S + 1)
    store.workers.report(leaving)
    assert ["b"] == [each.name for each in store.workers.latest()]
