"""Background wake-ups: submissions never wait for the broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from stemline.api.notifier import MAX_WAITING, BackgroundNotifier
from stemline.jobs.store import WakeUp


def test_sends_in_order_from_its_own_thread() -> None:
    """Every wake-up is sent once, in order, and not by the caller's thread."""
    sent: list[tuple[str, str]] = []

    def send(wake_ups: Sequence[WakeUp]) -> None:
        sent.extend((wake_up.job_id, threading.current_thread().name) for wake_up in wake_ups)

    notifier = BackgroundNotifier(send)
    notifier([WakeUp(0, "a"), WakeUp(2, "b")])
    notifier([WakeUp(1, "c")])
    notifier.close()
    assert [("a", "notifier"), ("b", "notifier"), ("c", "notifier")] == sent


def test_a_broken_broker_stops_nothing() -> None:
    """A wake-up that cannot be sent is dropped; the next one is sent."""
    sent: list[str] = []

    def send(wake_ups: Sequence[WakeUp]) -> None:
        if wake_ups[0].job_id == "bad":
            raise ConnectionError
        sent.append(wake_ups[0].job_id)

    notifier = BackgroundNotifier(send)
    notifier([WakeUp(0, "bad"), WakeUp(0, "good")])
    notifier.close()
    assert ["good"] == sent


def test_a_hanging_broker_blocks_no_caller() -> None:
    """While the broker hangs, notifying returns at once, also with more wake-ups than are kept."""
    hang = threading.Event()

    def block(_: object) -> None:
        hang.wait()

    notifier = BackgroundNotifier(block)
    began = time.monotonic()
    notifier([WakeUp(0, str(number)) for number in range(MAX_WAITING + 100)])
    assert time.monotonic() - began < 180  # it would block for ever
    hang.set()
    notifier.close()


def test_callbacks_that_are_due_are_asked_for() -> None:
    """Each callback that is sent now causes one message, from the same thread."""
    sent: list[str] = []
    notifier = BackgroundNotifier(lambda _: None, sent.append)
    notifier.deliver(["d1", "d2"])
    notifier.close()
    assert ["d1", "d2"] == sent
