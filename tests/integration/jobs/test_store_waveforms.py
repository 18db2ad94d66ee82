"""Waveforms of jobs: kept apart from the job and dropped with it."""

from __future__ import annotations

from stemline.jobs.job import Waveform
from stemline.jobs.store import Store
from stemline.testing.clock import FixedClock
from tests.integration.jobs.contract import DONE, OTHER, TENANT, spec

_DRAWN = (Waveform("Mix", 64, "gH8="), Waveform("AuObject", 64, "AAA="))


def test_waveforms_are_kept_and_dropped_with_the_job(store: Store, clock: FixedClock) -> None:
    """The tenant's finished job has its waveforms until it is pruned; another tenant has no such job."""
    (job,) = store.jobs.create([spec()])
    assert store.jobs.waveforms(TENANT, job.id) == ()
    claimed = store.attempts.claim("w", [0])
    assert claimed is not None
    store.attempts.succeed(claimed, DONE, _DRAWN)
    assert store.jobs.waveforms(TENANT, job.id) == _DRAWN
    assert store.jobs.waveforms(OTHER, job.id) is None
    clock.advance(91 * 86_400)
    assert store.jobs.prune() == 1
    assert store.jobs.waveforms(TENANT, job.id) is None
