"""The short form of `make powercut`."""

from __future__ import annotations

import random
import shutil

import pytest

from stemline.jobs.store.durability import Durability
from tests.chaos.powercut import cuts, flips
from tests.conftest import missing

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


@pytest.fixture
def compiler() -> None:
    """The shim between Valkey and its disk is compiled."""
    if not shutil.which("cc"):
        missing("cc (Debian package gcc)")


@pytest.mark.usefixtures("compiler")
def test_a_power_cut_loses_nothing_that_was_answered() -> None:
    """With `disk` every answered change is there, whatever of the rest was dropped, torn or reordered."""
    outcome = cuts.run(12, Durability.DISK, "always", random.SystemRandom().randrange(10**6))
    assert outcome.cuts == 12
    assert outcome.found.answered > 0
    assert (outcome.found.lost, outcome.found.damaged) == ([], []), f"seed {outcome.seed}"


@pytest.mark.usefixtures("compiler")
def test_the_shim_drops_what_is_not_synced() -> None:
    """With `process` and a file that is synced each second, changes are lost: the cuts do cut."""
    outcome = cuts.run(8, Durability.PROCESS, "everysec", seed=1)
    assert outcome.found.lost


def test_a_damaged_job_is_never_started() -> None:
    """A wrong bit in the files keeps the server from its start, or a job from its own, or damages neither."""
    seed = random.SystemRandom().randrange(10**6)
    found = flips.run(10, seed)
    assert found.outcomes.total() == 10
    assert found.run == [], f"seed {seed}"
