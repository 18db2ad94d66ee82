"""The bounds on request bodies, in memory and in time."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from stemline.api.bodies import BodyBudget, chunks_of
from stemline.jobs.errors import BodiesFull, InvalidContent


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


class Body:
    """A request whose body comes in parts; after them it is silent, unless it is complete."""

    def __init__(self, parts: int, *, complete: bool = True) -> None:
        self.parts, self.complete = parts, complete

    async def receive(self) -> dict[str, Any]:
        if not self.parts:
            await asyncio.Event().wait()
        self.parts -= 1
        return {"type": "http.request", "body": b"x", "more_body": self.parts > 0 or not self.complete}


async def read(request: Any, work_s: float = 0.0) -> bytes:
    """The body, of which each part is worked on for some time."""
    found = b""
    async with contextlib.aclosing(chunks_of(request, within_s=0.05)) as chunks:
        async for chunk in chunks:
            found += chunk
            await asyncio.sleep(work_s)
    return found


def test_what_is_done_with_the_parts_does_not_count() -> None:
    """A body that is there is read to its end, however long each of its parts is worked on."""
    assert b"xxxxx" == asyncio.run(read(Body(5), work_s=0.03))


@pytest.mark.parametrize("parts", [0, 3])
def test_a_silent_body_is_refused(parts: int) -> None:
    """A body that does not go on is refused after the time, from the start and in the middle."""
    with pytest.raises(InvalidContent, match=r"within 0\.05 s"):
        asyncio.run(read(Body(parts, complete=False)))
