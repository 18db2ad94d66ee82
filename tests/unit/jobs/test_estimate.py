"""Estimates of when jobs start and end."""

from __future__ import annotations

import random

import pytest

from stemline.jobs.estimate import Pace, ended_at, mean_run, started_at

SECOND = 1_000_000
NOW = 1_790_000_000 * SECOND


def test_nothing_is_guessed():
    """Without a finished job nothing is known of jobs behind others; the first one starts at once."""
    assert NOW == started_at(Pace(NOW, 0, None), 0)
    assert started_at(Pace(NOW, 1, None), 0) is None
    assert started_at(Pace(NOW, 0, None), 3) is None
    assert ended_at(Pace(NOW, 1, None), NOW) is None
    assert ended_at(Pace(NOW, 1, 5 * SECOND), None) is None


def test_the_worker_knows_best():
    """A worker's expectation outranks the mean of the queue; no estimate lies in the past."""
    pace = Pace(NOW, 1, 100 * SECOND)
    assert NOW + 7 == ended_at(pace, NOW - SECOND, NOW + 7)
    assert NOW == ended_at(pace, NOW - SECOND, NOW - 7)
    assert NOW == ended_at(pace, NOW - 300 * SECOND)


@pytest.mark.parametrize("workers", [1, 3, 10])
def test_starts_of_a_long_queue_are_met(workers):
    """Of a hundred jobs of about equal length, the estimates of all starts are within a fifth of the wait."""
    rng = random.Random(7)
    runs = [rng.uniform(8, 12) for _ in range(100 + workers)]
    ends = sorted(rng.uniform(0, 10) for _ in range(workers))
    pace = Pace(NOW, workers, 10 * SECOND)
    for ahead, run in enumerate(runs[:100]):
        start = ends.pop(0)
        estimate = (started_at(pace, ahead) - NOW) / SECOND
        assert abs(estimate - start) <= max(0.2 * start, 6), ahead
        ends = sorted([*ends, start + run])


def test_the_mean_follows_what_jobs_take():
    """The mean begins with the first run and is near a new length after a dozen runs."""
    mean = mean_run(None, 10)
    assert 10 == mean
    for _ in range(12):
        mean = mean_run(mean, 1000)
    assert 900 < mean < 1000
