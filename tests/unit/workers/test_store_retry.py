"""How long an attempt waits for the job store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stemline.jobs.errors import LeaseLost, StoreUnavailable
from stemline.workers.store_retry import retry_until_stored


class Store:
    """A store that is away until a time of a clock, which a pause moves."""

    def __init__(self, back_s: float) -> None:
        self.now = 0.0
        self.back_s = back_s

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def call(self) -> str:
        if self.now < self.back_s:
            raise StoreUnavailable("gone")
        return "stored"


def outcome(
    monkeypatch: pytest.MonkeyPatch, back_s: float, call: Callable[[Store], str]
) -> tuple[str, float]:
    """Return what became of a call, and how long that took, s."""
    store = Store(back_s)
    with monkeypatch.context() as patched:
        patched.setattr("tenacity.time.monotonic", lambda: store.now)
        patched.setattr("tenacity.nap.time.sleep", store.sleep)
        try:
            return retry_until_stored(lambda: call(store)), store.now
        except LeaseLost:
            return "lost", store.now


@pytest.mark.parametrize(("back_s", "expected"), [(0, "stored"), (590, "stored"), (1e9, "lost")])
def test_a_call_is_repeated_for_ten_minutes(
    monkeypatch: pytest.MonkeyPatch, back_s: float, expected: str
) -> None:
    """The end of a job is reported to a store that is back by then; afterwards the lease is another's."""
    found, took_s = outcome(monkeypatch, back_s, Store.call)
    assert expected == found
    assert min(back_s, 600) <= took_s <= min(back_s, 600) + 1


def test_a_refusal_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that refuses the token is not away."""

    def refuse(_store: Store) -> str:
        raise LeaseLost

    assert ("lost", 0.0) == outcome(monkeypatch, 0, refuse)
