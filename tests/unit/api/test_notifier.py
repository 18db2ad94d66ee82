"""Wake-ups: submitters never wait for the broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from stemline.api.notifier import MAX_WAITING, BackgroundNotifier
from stemline.jobs.store import WakeUp


def test_rings_in_order_from_its_own_thread() -> None:
    """Every wake-up is sent once, in order, and not by the caller."""
    heard: list[tuple[str, str]] = []

    def notify(wake_ups: Sequence[WakeUp]) -> None:
        heard.extend((wake_up.job_id, threading.current_thread().name) for wake_up in wake_ups)

    notifier = BackgroundNotifier(notify)
    notifier([WakeUp(0, "a"), WakeUp(2, "b")])
    notifier([WakeUp(1, "c")])
    notifier.close()
    assert [("a", "notifier"), ("b", "notifier"), ("c", "notifier")] == heard


def test_a_broken_broker_stops_nothing() -> None:
    """A wake-up that cannot be sent is dropped; the next one is tried again."""
    heard: list[str] = []

    def notify(wake_ups: Sequence[WakeUp]) -> None:
        if wake_ups[0].job_id == "bad":
            raise ConnectionError
        heard.append(wake_ups[0].job_id)

    notifier = BackgroundNotifier(notify)
    notifier([WakeUp(0, "bad"), WakeUp(0, "good")])
    notifier.close()
    assert ["good"] == heard


def test_a_hanging_broker_makes_nobody_wait() -> None:
    """While the broker hangs, notifying returns at once, also when more wake-ups come than are kept."""
    hang = threading.Event()

    def block(_: object) -> None:
        hang.wait()

    notifier = BackgroundNotifier(block)
    began = time.monotonic()
    notifier([WakeUp(0, str(number)) for number in range(MAX_WAITING + 100)])
    assert time.monotonic() - began < 1
    hang.set()
    notifier.close()
