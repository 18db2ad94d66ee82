"""The bound on request bodies in memory."""

from __future__ import annotations

import contextlib

import pytest

from stemline.api.bodies import BodyBudget
from stemline.jobs.errors import BodiesFull


def test_one_credential_leaves_room() -> None:
    """A credential gets half of the budget at most, so others can still send; then nothing is lost."""
    budget = BodyBudget(1000)
    with budget.share() as mine, budget.share() as also_mine, budget.share() as other:
        mine.grow("a", 400)
        also_mine.grow("a", 100)
        with pytest.raises(BodiesFull) as full:
            also_mine.grow("a", 1)
        assert full.value.retry_after_s
        other.grow("b", 250)
        with pytest.raises(BodiesFull):
            other.grow("b", 1)
    with budget.share() as again:
        again.grow("b", 500)


def test_shares_are_returned_on_errors() -> None:
    """A request that fails returns its share as well."""
    budget = BodyBudget(100)
    for _ in range(10):
        with contextlib.suppress(BodiesFull), budget.share() as share:
            share.grow("a", 50)
            share.grow("a", 1)
    with budget.share() as share:
        share.grow("a", 50)
        assert 50 == share.size


def test_what_is_not_held_any_more_is_given_back() -> None:
    """A body that is read in parts takes room for the parts that are held, however long it is."""
    budget = BodyBudget(100)
    with budget.share() as share:
        for _ in range(100):
            share.grow("a", 50)
            share.shrink(40)
            share.shrink(10)
        assert 0 == share.size
        share.grow("a", 50)
