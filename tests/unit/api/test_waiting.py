"""For how long a request may wait for its jobs."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.api import waiting
from stemline.jobs.errors import RequestRefused
from stemline.runtime.settings import Settings


def context(prefer: str = "", **settings: Any) -> Any:
    return SimpleNamespace(settings=Settings(**settings), headers={"prefer": prefer} if prefer else {})


@pytest.mark.parametrize(
    ("wait_s", "answer_timeout_s", "held_s"), [(60, 10.0, 5.0), (4, 10.0, 4), (5, 10.0, 5)]
)
def test_an_answer_is_held_for_half_of_its_deadline_at_most(
    monkeypatch: pytest.MonkeyPatch, wait_s: int, answer_timeout_s: float, held_s: float
) -> None:
    """The connection ends at the deadline: what is stored is answered well before."""
    asked: list[float] = []

    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    async def wait(tasks: Any, **options: Any) -> Any:
        asked.append(options["timeout"])
        return set(), tasks

    monkeypatch.setattr(waiting, "_until_ended", never)
    monkeypatch.setattr(waiting, "disconnected", never)
    monkeypatch.setattr(waiting.asyncio, "wait", wait)  # type: ignore[attr-defined]
    nothing: Any = None
    asyncio.run(waiting._wait(context(answer_timeout_s=answer_timeout_s), nothing, [], wait_s))
    assert [held_s] == asked


@pytest.mark.parametrize(("asked", "most", "allowed"), [("wait=7", 60, 7), ("wait=60", 20, 20), ("", 60, 0)])
def test_a_request_waits_as_long_as_it_asks_and_the_settings_allow(
    asked: str, most: int, allowed: int
) -> None:
    """Without the header not at all."""
    assert allowed == waiting.wanted_s(context(asked, max_wait_s=most))


def test_a_longer_wait_is_refused() -> None:
    """A minute is the most that a request may ask for."""
    assert waiting.LONGEST_S == waiting.wanted_s(context(f"wait={waiting.LONGEST_S}"))
    with pytest.raises(RequestRefused, match="60 s"):
        waiting.wanted_s(context(f"wait={waiting.LONGEST_S + 1}"))
