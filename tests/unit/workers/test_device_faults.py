"""How long a card that failed is not used."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stemline.workers.device_faults import (
    MAX_FAILURES,
    WINDOW_S,
    DeviceFaults,
    end_after_fault,
    wait_until_usable,
)
from stemline.workers.metrics import WorkerMetrics


class Clock:
    """A clock that a wait moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def faults(tmp_path: Path, clock: Clock) -> DeviceFaults:
    return DeviceFaults(tmp_path, "GPU-1/../x", clock=clock)


def test_one_failure_is_an_accident(faults: DeviceFaults) -> None:
    """After one failure the card is used again at once."""
    faults.add()
    assert MAX_FAILURES == 2
    assert faults.out_of_service_s() == 0


def test_the_last_failures_decide(faults: DeviceFaults, clock: Clock) -> None:
    """Of many failures the last two count: the card is back when an hour holds only one of them."""
    for _ in range(4):
        faults.add()
        clock.now += 600
    # The third one was 1,200 s ago.
    assert faults.out_of_service_s() == pytest.approx(WINDOW_S - 1200)
    clock.now += WINDOW_S - 1200
    assert faults.out_of_service_s() == 0


def test_old_failures_are_forgotten(faults: DeviceFaults, clock: Clock) -> None:
    """A failure of more than an hour ago does not count together with a new one."""
    faults.add()
    clock.now += WINDOW_S + 10
    assert faults.out_of_service_s() == 0
    faults.add()
    assert faults.out_of_service_s() == 0


def test_a_restarted_worker_knows_the_failures(tmp_path: Path, clock: Clock) -> None:
    """They are kept in the scratch folder, for each card alone."""
    for _ in range(2):
        DeviceFaults(tmp_path, "GPU-1", clock=clock).add()
    assert DeviceFaults(tmp_path, "GPU-1", clock=clock).out_of_service_s() > 0
    assert DeviceFaults(tmp_path, "GPU-2", clock=clock).out_of_service_s() == 0


def test_a_clock_that_was_set_back_keeps_no_card_out(faults: DeviceFaults, clock: Clock) -> None:
    """Failures of a time to come are not counted."""
    faults.add()
    faults.add()
    clock.now -= 10 * WINDOW_S
    assert faults.out_of_service_s() == 0


@pytest.mark.parametrize("content", ["no number\n", "\ufffd", ""])
def test_a_damaged_file_keeps_no_card_out(tmp_path: Path, clock: Clock, content: str) -> None:
    """What cannot be read counts as no failure."""
    faults = DeviceFaults(tmp_path, "GPU-1", clock=clock)
    (tmp_path / "stemline-device-faults-GPU-1").write_text(content)
    assert faults.out_of_service_s() == 0


def test_a_worker_waits_and_shows_that_it_lives(faults: DeviceFaults, clock: Clock) -> None:
    """While the card is out of service the metric says so, and the process is alive each second."""
    metrics, touched, shown = WorkerMetrics(), list[float](), set[float]()

    def touch() -> None:
        touched.append(clock.now)
        shown.add(value(metrics.device_out_of_service))

    faults.add()
    faults.add()
    began = clock.now
    wait_until_usable(faults, metrics, touch=touch, sleep=clock.sleep)
    assert clock.now - began == pytest.approx(WINDOW_S, abs=1)
    assert len(touched) == pytest.approx(WINDOW_S, abs=1)
    assert ({1.0}, 0.0) == (shown, value(metrics.device_out_of_service))


def test_a_failure_is_recorded_before_the_worker_is_asked_to_end(faults: DeviceFaults) -> None:
    """The next worker on the card knows it, an operator sees it, and the process gets SIGTERM."""
    metrics = WorkerMetrics()
    with subprocess.Popen(["sleep", "60"]) as worker:
        report = end_after_fault(faults, metrics, worker.pid)
        report("CUDA error 719")
        assert -signal.SIGTERM == worker.wait(30)
    assert faults.out_of_service_s() == 0
    faults.add()
    assert faults.out_of_service_s() > 0
    assert 1.0 == next(
        sample.value
        for family in metrics.device_failures.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    )


def value(gauge: Any) -> float:
    (family,) = gauge.collect()
    (sample,) = family.samples
    return float(sample.value)
