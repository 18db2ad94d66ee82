"""The health probe of real workers and of beat."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from stemline.deploy.local.servers import ValkeyServer
from stemline.testing.processes import eventually, program
from stemline.workers.liveness import ConsumerLiveness, age_s
from tests.support.measured import MEASURED

pytestmark = pytest.mark.slow


def probe(env: dict[str, str], *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "stemline", "health", *words]
    done = subprocess.run(
        command,
        env={**os.environ, **env, **MEASURED},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def broker(tmp_path: Path):
    server = ValkeyServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("words", [("worker", "callbacks"), ("beat",)])
def test_a_probe_fails_for_a_part_that_hangs(words, broker, tmp_path: Path):
    """The probe passes while a part works; the file ages when the part or its broker is stopped."""
    file = tmp_path / "alive"
    env = {
        "STEMLINE_REDIS_URL": broker.url,
        "STEMLINE_ALIVE_FILE": str(file),
        "STEMLINE_SWEEP_INTERVAL_S": "1",
    }
    kind = "beat" if words == ("beat",) else "worker"
    assert probe(env, kind)[0] == 1
    with program(tmp_path / "part.log", env, "-m", "stemline", *words) as part:
        eventually(lambda: age_s(file) is not None, what="the first touch")
        assert (0, "ok\n") == probe(env, kind)
        part.signal(signal.SIGSTOP)
        time.sleep(3)
        age = age_s(file)
        assert age is not None
        assert age > 1.5
        part.signal(signal.SIGCONT)
        eventually(lambda: (age_s(file) or 99) < 1.5, what="a touch after the stop")
        # The part runs and its connection is open, but the broker does not respond.
        broker.process.send_signal(signal.SIGSTOP)
        try:
            eventually(lambda: (age_s(file) or 0) > 3, 180, "an old file")
        finally:
            broker.process.send_signal(signal.SIGCONT)
        eventually(lambda: (age_s(file) or 99) < 1.5, what="a touch after the silence")


def test_a_worker_without_its_broker_is_live_but_not_ready(broker, tmp_path: Path):
    """Without the broker the probe fails, except with --live: a restart would not help."""
    file = tmp_path / "alive"
    file.write_text(f"{max(0.0, time.monotonic() - 100):015.3f}\n")
    env = {"STEMLINE_REDIS_URL": broker.url, "STEMLINE_ALIVE_FILE": str(file)}
    assert probe(env, "worker")[0] == 1
    assert probe(env, "worker", "--live")[0] == 1  # the broker responds, so this worker hangs
    broker.kill()
    assert probe(env, "worker")[0] == 1
    assert probe(env, "worker", "--live")[0] == 0


class Channel:
    """A broker channel with or without a free slot."""

    def __init__(self, *, full: bool) -> None:
        self.qos = self
        self.full = full

    def can_consume(self) -> bool:
        return not self.full


@pytest.mark.parametrize("full", [True, False])
def test_the_timer_touches_the_file_only_while_all_slots_are_taken(full, tmp_path):
    """With a free slot the worker reads from the broker, so the timer must not touch the file."""
    file = tmp_path / "alive"

    class Parent:
        steps: ClassVar[list[object]] = []
        app = SimpleNamespace(conf=SimpleNamespace(liveness_file=file))

    step = ConsumerLiveness(Parent())
    step._touch_while_busy(Channel(full=full))
    assert full == file.exists()


def test_a_file_from_before_a_reboot_has_no_age(tmp_path: Path):
    """The monotonic clock restarts with the machine, so a time in the future is ignored."""
    file = tmp_path / "alive"
    file.write_text(f"{time.monotonic() + 1000:015.3f}\n")
    assert age_s(file) is None
