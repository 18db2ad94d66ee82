"""Estimates of the end of an attempt."""

from __future__ import annotations

import random

import pytest

from stemline.workers.eta import KNOWN_SHARE, Eta

SEGMENTS = 60


@pytest.mark.parametrize("startup_s", [0.0, 6.0, 30.0])
@pytest.mark.parametrize("upload_share", [0.0, 0.3])
def test_the_end_is_met_within_a_fifth(startup_s, upload_share):
    """From a tenth of the work on, the estimate is within 20 % of what is left, whatever the start took."""
    rng = random.Random(5)
    ends = [startup_s + 1.0]
    for _ in range(SEGMENTS - 1):
        ends.append(ends[-1] + rng.uniform(0.8, 1.2))
    end = ends[-1] * (1 + upload_share)
    now = 0.0
    eta = Eta(upload_share, lambda: now)
    for number, at in zip(range(1, SEGMENTS), ends, strict=False):
        now = at
        estimate = eta.ends_at(number / SEGMENTS)
        if number / SEGMENTS < KNOWN_SHARE:
            assert estimate is None
        else:
            assert estimate is not None
            assert abs(estimate - end) <= 0.2 * (end - now) + 0.1


def test_nothing_is_known_without_a_rate():
    """One report, however large, is no rate."""
    eta = Eta(0.0, lambda: 1.0)
    assert eta.ends_at(0.0) is None
    assert eta.ends_at(0.5) is None
    assert eta.ends_at(0.5) is None


def test_at_a_constant_rate_the_end_is_known_exactly():
    """The upload takes its share of the whole separation, not of what is done of it."""
    now = 100.0
    eta = Eta(0.5, lambda: now)
    for share in (0.01, 0.1, 0.5, 0.9):
        now = 100.0 + share * 40
        estimate = eta.ends_at(share)
    assert estimate == pytest.approx(100.0 + 40 + 20)
    now = 140.0
    assert eta.ends_at(1.0) == pytest.approx(160.0)
