"""The doorbell: submitters never wait for the broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from stemline.api.notifier import MAX_WAITING, Ringer
from stemline.jobs.store import Bell


def test_rings_in_order_from_its_own_thread() -> None:
    """Every bell is sent once, in order, and not by the caller."""
    heard: list[tuple[str, str]] = []

    def ring(bells: Sequence[Bell]) -> None:
        heard.extend((bell.job_id, threading.current_thread().name) for bell in bells)

    ringer = Ringer(ring)
    ringer([Bell(0, "a"), Bell(2, "b")])
    ringer([Bell(1, "c")])
    ringer.close()
    assert [("a", "bell"), ("b", "bell"), ("c", "bell")] == heard


def test_a_broken_broker_stops_nothing() -> None:
    """A bell that cannot be sent is dropped; the next one is tried again."""
    heard: list[str] = []

    def ring(bells: Sequence[Bell]) -> None:
        if bells[0].job_id == "bad":
            raise ConnectionError
        heard.append(bells[0].job_id)

    ringer = Ringer(ring)
    ringer([Bell(0, "bad"), Bell(0, "good")])
    ringer.close()
    assert ["good"] == heard


def test_a_hanging_broker_makes_nobody_wait() -> None:
    """While the broker hangs, ringing returns at once, also when more bells come than are kept."""
    hang = threading.Event()

    def block(_: object) -> None:
        hang.wait()

    ringer = Ringer(block)
    began = time.monotonic()
    ringer([Bell(0, str(number)) for number in range(MAX_WAITING + 100)])
    assert time.monotonic() - began < 1
    hang.set()
    ringer.close()
