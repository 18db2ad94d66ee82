"""The short form of `make chaos`: kills at random."""

from __future__ import annotations

import random

import pytest

from stemline.jobs.states import State
from tests.chaos.trials import run

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.thorough
def test_random_kills() -> None:
    """After kills at random moments no job is lost or done twice, and no stem is stale or mixed up."""
    outcome = run(8, seed=random.SystemRandom().randrange(10**6))
    assert outcome.faults == [], f"seed {outcome.seed}"
    assert outcome.kills.total() == 8
    assert outcome.states[State.SUCCESS] > 0
