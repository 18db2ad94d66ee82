"""The short form of `make simulate`."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.simulation.__main__ import explore, find
from tests.simulation.choices import shrink
from tests.simulation.mistakes import MISTAKES
from tests.simulation.run import Simulator, simulator

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with simulator() as made:
        yield made


def test_no_promise_is_broken(sim: Simulator) -> None:
    """Whatever goes wrong in some runs, every promise about jobs holds."""
    first = random.SystemRandom().randrange(10**6)
    total = explore(sim, iter(range(first, first + 1000)), 10_000)
    assert total.failed_seed is None, f"python -m tests.simulation --seed {total.failed_seed}"


def test_a_run_is_repeated_exactly(sim: Simulator) -> None:
    """The same seed, and the choices that it led to, give the same run again."""
    first = sim.run(7, is_logged=True)
    assert first.steps > 100
    again, given = sim.run(7, is_logged=True), sim.run(0, first.choices, is_logged=True)
    assert (first.steps, first.choices, first.log) == (again.steps, again.choices, again.log)
    assert (first.steps, first.log) == (given.steps, given.log)


def test_a_mistake_is_found_and_its_run_made_shorter(sim: Simulator) -> None:
    """An end without its callback is found, and fewer choices than those of the seed lead to it."""
    mistake = next(each for each in MISTAKES if each.name == "ends have no callback")
    assert 0 not in find(sim, mistake, range(1), 20_000)
    with mistake.planted():
        failed = next(result for seed in range(100) if (result := sim.run(seed)).faults)
        shortest = shrink(failed.choices, lambda choices: bool(sim.run(0, choices).faults), tries=30)
        assert sim.run(0, shortest).faults
    assert sum(map(bool, shortest)) < sum(map(bool, failed.choices))


def test_every_mistake_can_be_planted() -> None:
    """What the mistakes change is there in the product, and is there again afterwards."""
    for mistake in MISTAKES:
        with mistake.planted():
            pass
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES) >= 20
